//! Users: whose sender they may be, and to whom they may write.

use super::*;

/// SEED-115.
#[test]
fn seed_115_senders_of_a_user() {
    let table = |level: &str| {
        rules(&[
            (DocumentName::OwnDomains, "domain.jp"),
            (DocumentName::Accounts, "user1@domain.jp\nuser2@domain.jp\n"),
            (
                DocumentName::Aliases,
                "sales@domain.jp\tuser1@domain.jp\nboss@domain.jp\tsales@domain.jp\n*@domain.jp\tuser1@domain.jp\n",
            ),
            (DocumentName::Settings, &format!("sender_trust = {level}")),
        ])
    };
    let user1 = user(EXT, Listener::Submission, "user1@domain.jp");
    for (level, from, expected) in [
        ("1", "a@x.example", "250"),
        ("2", "user1@domain.jp", "250"),
        ("2", "USER1@DOMAIN.JP", "250"),
        ("2", "sales@domain.jp", "250"),
        ("2", "boss@domain.jp", "250"),
        ("2", "user2@domain.jp", "553 5.7.1"),
        ("2", "any@domain.jp", "553 5.7.1"),
        ("2", "a@x.example", "553 5.7.1"),
        ("2", "", "250"),
        ("3", "user2@domain.jp", "553 5.7.1"),
    ] {
        assert_eq!(sender_of(&table(level), &user1, from).0, expected, "{level} {from}");
    }
    let author = |level: &str, authors: &[&str]| {
        let authors: Vec<Mailbox> = authors.iter().map(|author| author.parse().unwrap()).collect();
        match table(level).check_author(&"user1@domain.jp".parse().unwrap(), &authors).verdict {
            Verdict::Accept => "250".to_owned(),
            Verdict::Refuse(reply) => code(&reply),
        }
    };
    assert_eq!(author("3", &["sales@domain.jp"]), "250");
    assert_eq!(author("3", &["user2@domain.jp"]), "550 5.7.1");
    assert_eq!(author("3", &["user1@domain.jp", "user2@domain.jp"]), "550 5.7.1");
    assert_eq!(author("3", &[]), "550 5.7.1");
    assert_eq!(author("2", &["user2@domain.jp"]), "250");
    let asks =
        |level: &str| table(level).check_sender(&user1, &ReversePath::Null, SystemTime::now()).check_author;
    assert!(asks("3") && !asks("2"));
}

/// SEED-117 through RCPT: users and trusted clients, never mail from outside.
#[test]
fn seed_117_recipients_of_a_sender() {
    let table = rules(&[
        (DocumentName::OwnDomains, "domain.jp"),
        (DocumentName::Accounts, "user1@domain.jp\nuser2@domain.jp\n"),
        (DocumentName::Access, "192.168.0.20 true"),
        (DocumentName::SenderRules, "user1@domain.jp *@domain.jp deny\nuser1@domain.jp * allow\n"),
    ]);
    let user1 = user(EXT, Listener::Submission, "user1@domain.jp");
    let said = |asker: &Asker, to: &str| recipient_of(&table, asker, "user1@domain.jp", to);
    assert_eq!(said(&user1, "user2@domain.jp"), ("550 5.7.1".to_owned(), "sender-rules:1".to_owned()));
    assert!(said(&user1, "a@z.example").0.starts_with("250"));
    assert_eq!(said(&anonymous(INNER), "user2@domain.jp").0, "550 5.7.1");
    assert!(recipient(&table, INNER, "user2@domain.jp").0.starts_with("250"), "another sender has no rules");
    assert!(said(&anonymous(EXT), "user2@domain.jp").0.starts_with("250"), "it comes from outside");
    let reach = |asker: &Asker| {
        let (sender, to) = ("user1@domain.jp".parse().unwrap(), "a@z.example".parse().unwrap());
        table.check_recipient(asker, &sender, &to, SystemTime::now()).reach
    };
    assert_eq!((reach(&user1).scope, reach(&user1).sender_bound), (Scope::Address, false));
    assert!(reach(&anonymous(INNER)).sender_bound);
}

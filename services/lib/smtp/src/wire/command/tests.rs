use hikyaku_types::domain::DomainError;
use proptest::prelude::*;

use super::*;

const UTF8: Allowed = Allowed { smtputf8: true, requiretls: false, xclient: false, auth: false };

fn parse(line: &str) -> Result<Command, CommandError> {
    Command::parse(line.as_bytes(), Allowed::default())
}

fn auth(mechanism: &str, initial: Option<&str>) -> Result<Command, CommandError> {
    let initial_response = initial.map(|text| Encoded::new(text.as_bytes()));
    Ok(Command::Auth { mechanism: mechanism.to_owned(), initial_response })
}

fn from(path: &str) -> Result<Command, CommandError> {
    Ok(Command::Mail {
        reverse_path: path.parse().unwrap(),
        size: None,
        transfer: Transfer { smtputf8: !path.is_ascii(), ..Transfer::PLAIN },
    })
}

fn to(path: &str) -> Result<Command, CommandError> {
    Ok(Command::Rcpt { forward_path: path.parse().unwrap(), reporting: Reporting::default() })
}

#[test]
fn verbs() {
    for (line, expected) in [
        ("EHLO client.example", Ok(Command::Ehlo { name: "client.example".into() })),
        ("ehlo [192.0.2.1]", Ok(Command::Ehlo { name: "[192.0.2.1]".into() })),
        ("HELO  my_pc ", Ok(Command::Helo { name: "my_pc".into() })),
        ("EHLO", Err(CommandError::Arguments)),
        ("HELO a\u{7}b", Err(CommandError::Arguments)),
        ("EHLO m\u{fc}nchen.example", Err(CommandError::Arguments)),
        ("DATA", Ok(Command::Data)),
        ("data  ", Ok(Command::Data)),
        ("DATA x", Err(CommandError::Arguments)),
        ("BDAT 0", Ok(Command::Bdat { size: 0, is_last: false })),
        ("bdat  12  last ", Ok(Command::Bdat { size: 12, is_last: true })),
        ("BDAT 99999999999999999999 LAST", Ok(Command::Bdat { size: u64::MAX, is_last: true })),
        ("BDAT", Err(CommandError::Chunk)),
        ("BDAT LAST", Err(CommandError::Chunk)),
        ("BDAT 999999999999999999999", Err(CommandError::Chunk)),
        ("BDAT -1", Err(CommandError::Chunk)),
        ("BDAT 1 FIRST", Err(CommandError::Chunk)),
        ("BDAT 1 LAST 2", Err(CommandError::Chunk)),
        ("RSET", Ok(Command::Rset)),
        ("RSET x", Err(CommandError::Arguments)),
        ("NOOP", Ok(Command::Noop)),
        ("NOOP anything at all", Ok(Command::Noop)),
        ("VRFY user", Ok(Command::Vrfy)),
        ("VRFY", Err(CommandError::Arguments)),
        ("EXPN list", Ok(Command::Expn)),
        ("HELP", Ok(Command::Help)),
        ("AUTH PLAIN", auth("PLAIN", None)),
        ("auth plain  xyz ", auth("PLAIN", Some("xyz"))),
        ("AUTH PLAIN =", auth("PLAIN", Some("="))),
        ("AUTH", Err(CommandError::Arguments)),
        ("AUTH PLAIN x y", Err(CommandError::Arguments)),
        ("AUTH PL\u{c4}IN", Err(CommandError::Arguments)),
        ("QUIT", Ok(Command::Quit)),
        ("QUIT now", Err(CommandError::Arguments)),
        ("", Err(CommandError::Unknown)),
        (" NOOP", Err(CommandError::Unknown)),
        ("GET / HTTP/1.1", Err(CommandError::Unknown)),
        ("StartTLS", Ok(Command::StartTls)),
        ("STARTTLS now", Err(CommandError::Arguments)),
        ("MAILFROM:<a@b.example>", Err(CommandError::Unknown)),
        ("D\u{e4}TA", Err(CommandError::Unknown)),
    ] {
        assert_eq!(parse(line), expected, "{line:?}");
    }
    let long = format!("EHLO {}", "x".repeat(256));
    assert_eq!(parse(&long), Err(CommandError::Arguments));
}

#[test]
fn mail() {
    use AddressError as A;
    use CommandError as E;
    for (line, expected) in [
        ("MAIL FROM:<a@b.example>", from("a@b.example")),
        ("mail from:<a@b.example>", from("a@b.example")),
        ("MAIL FROM: <a@b.example>", from("a@b.example")),
        ("MAIL FROM:<>", from("")),
        ("MAIL FROM:<\"a>b\"@b.example>", from("\"a>b\"@b.example")),
        ("MAIL FROM:<\"a\\\">\"@b.example>", from("\"a\\\">\"@b.example")),
        ("MAIL FROM:<@x.example,@y.example:a@b.example>", from("a@b.example")),
        ("MAIL FROM:<用户@b.example> SMTPUTF8", from("用户@b.example")),
        // SEED-063: no brackets, no path.
        ("MAIL FROM:", Err(E::Arguments)),
        ("MAIL", Err(E::Arguments)),
        ("MAIL FROM", Err(E::Arguments)),
        ("MAIL FROM :<a@b.example>", Err(E::Arguments)),
        ("MAIL FROM:a@b.example", Err(E::Arguments)),
        ("MAIL FROM:<a@b.example", Err(E::Arguments)),
        ("MAIL FROM:<a@b.example>SIZE=1", Err(E::Arguments)),
        ("MAIL TO:<a@b.example>", Err(E::Arguments)),
        ("MAIL FROM:<a>", Err(E::Sender(A::NoDomain))),
        ("MAIL FROM:<postmaster>", Err(E::Sender(A::NoDomain))),
        ("MAIL FROM:< a@b.example>", Err(E::Sender(A::LocalPart))),
        ("MAIL FROM:<a@>", Err(E::Sender(A::Domain(DomainError::Empty)))),
        ("MAIL FROM:<@x.example:>", Err(E::Sender(A::LocalPart))),
        ("MAIL FROM:<@x example:a@b.example>", Err(E::Sender(A::LocalPart))),
        ("MAIL FROM:<用户@b.example>", Err(E::NeedsSmtputf8)),
        ("MAIL FROM:<a@münchen.example>", Err(E::NeedsSmtputf8)),
    ] {
        assert_eq!(parse(line), expected, "{line:?}");
    }
    assert_eq!(
        Command::parse(b"MAIL FROM:<\xff@b.example> SMTPUTF8", Allowed::default()),
        Err(E::Sender(A::LocalPart)),
        "not UTF-8"
    );
}

#[test]
fn rcpt() {
    use AddressError as A;
    use CommandError as E;
    for (line, expected) in [
        ("RCPT TO:<a@b.example>", to("a@b.example")),
        ("RCPT To: <a@b.example>", to("a@b.example")),
        ("RCPT TO:<Postmaster>", to("postmaster")),
        ("RCPT TO:<@x.example:a@b.example>", to("a@b.example")),
        ("RCPT TO:<a@[192.0.2.1]>", to("a@[192.0.2.1]")),
        ("RCPT TO:", Err(E::Arguments)),
        ("RCPT TO:a@b.example", Err(E::Arguments)),
        ("RCPT FROM:<a@b.example>", Err(E::Arguments)),
        ("RCPT TO:<>", Err(E::Recipient(A::NoDomain))),
        ("RCPT TO:<user>", Err(E::Recipient(A::NoDomain))),
        ("RCPT TO:<a@b_?.example>", Err(E::Recipient(A::Domain(DomainError::Illegal)))),
        ("RCPT TO:<a@b.example> SIZE=1", Err(E::Parameter)),
        ("RCPT TO:<用户@b.example>", Err(E::NeedsSmtputf8)),
    ] {
        assert_eq!(parse(line), expected, "{line:?}");
    }
    let line = "RCPT TO:<用户@b.example>";
    assert_eq!(Command::parse(line.as_bytes(), UTF8), to("用户@b.example"));
}

proptest! {
    #[test]
    fn any_line_is_parsed_without_a_panic(
        verb in "(MAIL FROM:|RCPT TO:|EHLO |VRFY )?",
        rest in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let line = [verb.as_bytes(), &rest].concat();
        let _ = Command::parse(&line, UTF8);
    }

    /// What is accepted is what was written: nothing is cut off or unquoted.
    #[test]
    fn an_accepted_path_is_kept_as_written(local in "[a-z.\"\\\\<>@ ]{1,8}") {
        let path = format!("{local}@b.example");
        if let Ok(Command::Mail { reverse_path, .. }) = parse(&format!("MAIL FROM:<{path}>"))
            && !path.starts_with('@')
        {
            prop_assert_eq!(reverse_path.to_string(), path);
        }
    }
}

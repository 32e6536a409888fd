//! `sender-rules`: who may write to whom (SEED-117). `sender recipients allow|deny`, where the sender
//! `*` stands for the rules that hold for everybody. Within a sender the first line that fits decides.

use hikyaku_types::address::Mailbox;

use super::lines::{Line, clean_lines};
use crate::{
    problem::Findings,
    rules::table::sender_rules::{Permission, Recipients, Rule, SenderRules, Whose},
};

pub(crate) fn parse(text: &str, findings: &mut Findings) -> SenderRules {
    let mut table = SenderRules::default();
    for line in clean_lines(text, findings) {
        if let Some((whose, rule)) = rule(line, findings) {
            if let Some(earlier) = table.covering(&whose, &rule.recipients) {
                let reason = format!("never reached, line {earlier} already covers it");
                findings.warning(line.number, "W-SND-SHADOW", reason);
            }
            table.insert(whose, rule);
        }
    }
    // SEED-117: whoever has rules is refused everything else.
    for (whose, line) in table.without_last_word() {
        let reason = format!("no \"*\" line for {whose}: every other recipient is refused");
        findings.warning(line, "W-SND-DEFAULTDENY", reason);
    }
    table
}

fn rule(line: Line<'_>, findings: &mut Findings) -> Option<(Whose, Rule)> {
    let fields: Vec<&str> = line.text.split_whitespace().collect();
    let [whose, recipients, permission] = fields[..] else {
        let reason = format!("{} field(s), want sender, recipients and allow or deny", fields.len());
        findings.error(line.number, "E-SND-FIELDS", reason);
        return None;
    };
    let whose = match whose {
        "*" => Some(Whose::Everybody),
        text => address(text).map(|mailbox| Whose::Sender(Box::new(mailbox))),
    };
    if whose.is_none() {
        findings.error(line.number, "E-SND-SENDER", format!("{:?} is not * or user@domain", fields[0]));
    }
    let pattern = recipients_of(recipients);
    if pattern.is_none() {
        let reason = format!("{recipients:?} is not *, *@domain or user@domain");
        findings.error(line.number, "E-SND-PATTERN", reason);
    }
    let permission = match permission {
        "allow" => Some(Permission::Allow),
        "deny" => Some(Permission::Deny),
        _ => None,
    };
    if permission.is_none() {
        findings.error(line.number, "E-SND-OPTION", format!("{:?} is not allow or deny", fields[2]));
    }
    Some((whose?, Rule { line: line.number, recipients: pattern?, permission: permission? }))
}

pub(crate) fn recipients_of(text: &str) -> Option<Recipients> {
    match text.strip_prefix("*@") {
        _ if text == "*" => Some(Recipients::All),
        Some(domain) => domain.parse().ok().map(Recipients::Domain),
        None => address(text).map(|mailbox| Recipients::Address(Box::new(mailbox))),
    }
}

fn address(text: &str) -> Option<Mailbox> {
    if text.matches('@').count() != 1 || text.contains('*') {
        return None;
    }
    text.parse().ok().filter(|mailbox: &Mailbox| mailbox.domain().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::report;

    fn parsed(text: &str) -> (SenderRules, Vec<String>) {
        report("sender-rules", |findings| parse(text, findings))
    }

    fn decides(table: &SenderRules, sender: &str, recipient: &str) -> (Permission, Option<u32>) {
        table.decide(&sender.parse().unwrap(), &recipient.parse().unwrap())
    }

    #[test]
    fn both_levels_must_allow() {
        let (table, problems) = parsed(
            "* *@blocked.example deny\n* * allow\nuser1@domain.jp *@domain.jp deny\nuser1@domain.jp * allow\n\
             user2@domain.jp *@allowed.example allow\n",
        );
        assert_eq!(
            problems,
            ["sender-rules:5: warning W-SND-DEFAULTDENY: no \"*\" line for user2@domain.jp: every other \
              recipient is refused"]
        );
        for (sender, recipient, expected) in [
            ("user1@domain.jp", "a@domain.jp", (Permission::Deny, Some(3))),
            ("User1@domain.jp", "a@z.example", (Permission::Allow, Some(4))),
            ("user1@domain.jp", "a@blocked.example", (Permission::Deny, Some(1))),
            ("user2@domain.jp", "a@allowed.example", (Permission::Allow, Some(5))),
            ("user2@domain.jp", "a@z.example", (Permission::Deny, None)),
            ("user3@domain.jp", "a@z.example", (Permission::Allow, Some(2))),
        ] {
            assert_eq!(decides(&table, sender, recipient), expected, "{sender} {recipient}");
        }
        assert_eq!(decides(&SenderRules::default(), "a@b.jp", "c@d.jp"), (Permission::Allow, None));
    }

    #[test]
    fn refused() {
        let (_, problems) = parsed(
            "*@d.jp * allow\na@d.jp domain.jp deny\n* * 5\n* a@b@c allow\n* allow\n* x@y.jp deny\n* x@y.jp allow",
        );
        assert_eq!(
            problems,
            [
                "sender-rules:1: error E-SND-SENDER: \"*@d.jp\" is not * or user@domain",
                "sender-rules:2: error E-SND-PATTERN: \"domain.jp\" is not *, *@domain or user@domain",
                "sender-rules:3: error E-SND-OPTION: \"5\" is not allow or deny",
                "sender-rules:4: error E-SND-PATTERN: \"a@b@c\" is not *, *@domain or user@domain",
                "sender-rules:5: error E-SND-FIELDS: 2 field(s), want sender, recipients and allow or deny",
                "sender-rules:7: warning W-SND-SHADOW: never reached, line 6 already covers it",
                "sender-rules:7: warning W-SND-DEFAULTDENY: no \"*\" line for everybody: every other recipient \
                 is refused",
            ]
        );
    }
}

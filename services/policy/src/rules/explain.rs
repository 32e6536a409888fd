//! The way to an answer, step by step (SEED-032), and the same questions put to two versions.

use std::time::SystemTime;

use hikyaku_types::address::{ForwardPath, ReversePath};

use super::{
    Asker, Rules,
    decision::{DecidedBy, Decision, RecipientDecision, RecipientVerdict, Verdict},
    eval::trace::{Step, StepName, Trace},
};

/// An envelope, as a session would ask about it.
#[derive(Debug, Clone)]
pub struct Question {
    pub asker: Asker,
    pub reverse_path: ReversePath,
    pub recipient: ForwardPath,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// All nine; one that is not reached has no finding.
    pub steps: Vec<(StepName, Option<Step>)>,
    pub sender: Decision,
    /// What it would be if the sender was not refused.
    pub recipient: RecipientDecision,
}

impl Explanation {
    pub fn sender_reply(&self) -> String {
        match &self.sender.verdict {
            Verdict::Accept => "250 2.1.0".to_owned(),
            Verdict::Refuse(reply) => reply.to_string().trim_end().to_owned(),
        }
    }

    pub fn recipient_reply(&self) -> String {
        match &self.recipient.verdict {
            RecipientVerdict::Accept { deliver_to, destination } => {
                format!("250 2.1.5; delivered to {deliver_to} by {destination}")
            }
            RecipientVerdict::Refuse(reply) => reply.to_string().trim_end().to_owned(),
        }
    }

    pub fn decided_by(&self) -> DecidedBy {
        match self.sender.verdict {
            Verdict::Refuse(_) => self.sender.decided_by,
            Verdict::Accept => self.recipient.decided_by,
        }
    }
}

impl Rules {
    pub fn explain(&self, question: &Question, now: SystemTime) -> Explanation {
        let Question { asker, reverse_path, recipient } = question;
        let sender = self.check_sender(asker, reverse_path, now).decision;
        let mut taken = Vec::new();
        let trace = Trace::into_steps(&mut taken);
        let recipient = self.trace_recipient(asker, reverse_path, recipient, now, trace);
        let of = |name: StepName| taken.iter().rfind(|step| step.name == name).cloned();
        Explanation { steps: StepName::ALL.map(|name| (name, of(name))).into(), sender, recipient }
    }

    /// What a client hears, with where the mail goes. Two versions that say the same do the same.
    pub fn outcome(&self, question: &Question, now: SystemTime) -> String {
        let Question { asker, reverse_path, recipient } = question;
        if let Verdict::Refuse(reply) = self.check_sender(asker, reverse_path, now).decision.verdict {
            return format!("MAIL {}", reply.to_string().trim_end());
        }
        let RecipientDecision { verdict, unconfirmed, .. } =
            self.check_recipient(asker, reverse_path, recipient, now);
        match verdict {
            RecipientVerdict::Accept { deliver_to, destination } => {
                let condition =
                    unconfirmed.map_or_else(String::new, |it| format!(" if {} knows it", it.source));
                format!("250 {deliver_to} by {destination}{condition}")
            }
            RecipientVerdict::Refuse(reply) => format!("RCPT {}", reply.to_string().trim_end()),
        }
    }
}

#[cfg(test)]
mod tests {
    use hikyaku_types::origin::Listener;

    use super::*;
    use crate::{document::DocumentName, rules::tests::rules};

    fn question(client: &str, from: &str, to: &str) -> Question {
        Question {
            asker: Asker::new(client.parse().unwrap(), Listener::Relay, None),
            reverse_path: from.parse().unwrap(),
            recipient: to.parse().unwrap(),
        }
    }

    /// SEED-032: nine steps in their order, each with the line that has to do with it.
    #[test]
    fn seed_032_the_order_of_the_steps() {
        let rules = rules(&[
            (DocumentName::OwnDomains, "domain.jp"),
            (DocumentName::Access, "192.168.0.20 true\n*.*.*.* norelay,2"),
            (DocumentName::Aliases, "info@domain.jp\tuser1@domain.jp\nuser1@domain.jp\tuser1@domain.jp"),
            (DocumentName::Routes, "domain.jp,inner.domain.jp,25"),
            (DocumentName::Hosts, "inner.domain.jp 192.168.0.20"),
            (DocumentName::SenderRules, "* *@rival.example deny\n* * allow"),
        ]);
        let shown = |question: &Question| {
            let explanation = rules.explain(question, SystemTime::now());
            let lines: Vec<String> = explanation
                .steps
                .iter()
                .map(|(name, step)| {
                    let by = step.as_ref().and_then(|step| step.decided_by).map(|by| by.to_string());
                    let finding = step.as_ref().map_or("not reached", |step| &step.finding);
                    format!("{name} [{}] {finding}", by.unwrap_or_default())
                })
                .collect();
            (lines, explanation)
        };
        let (lines, explanation) = shown(&question("203.0.113.9", "a@x.example", "info@domain.jp"));
        assert_eq!(
            lines,
            [
                "access verdict [access:2] relays with AUTH only",
                "alias rewrite [aliases:1] info@domain.jp becomes user1@domain.jp",
                "own domain and recipient [aliases:1] user1@domain.jp is accepted for an own domain",
                "right to relay [] not reached",
                "rules of the sender [] hold for users of ours only",
                "route [routes:1] goes to [inner.domain.jp]:25",
                "smart host [] no line",
                "host map [hosts:1] [inner.domain.jp]:25 has its addresses from there",
                "MX and A records [] not asked: the next hop is a host",
            ]
        );
        assert_eq!(
            explanation.recipient_reply(),
            "250 2.1.5; delivered to user1@domain.jp by [inner.domain.jp]:25"
        );
        assert_eq!(
            (explanation.sender_reply(), explanation.decided_by().to_string()),
            ("250 2.1.0".to_owned(), "aliases:1".to_owned())
        );

        let (lines, explanation) = shown(&question("203.0.113.9", "a@x.example", "v@z.example"));
        assert_eq!(lines[3], "right to relay [access:2] may not relay");
        assert_eq!(lines[4..].iter().filter(|line| line.ends_with("not reached")).count(), 5);
        assert_eq!(explanation.decided_by().to_string(), "access:2");
        let (lines, _) = shown(&question("192.168.0.20", "user1@domain.jp", "v@rival.example"));
        assert_eq!(
            lines[4],
            "rules of the sender [sender-rules:1] user1@domain.jp may not write to v@rival.example"
        );
    }

    #[test]
    fn an_outcome_is_what_a_client_hears_and_where_mail_goes() {
        let rules = rules(&[
            (DocumentName::OwnDomains, "domain.jp"),
            (DocumentName::Aliases, "user1@domain.jp\tuser1@domain.jp"),
        ]);
        let outcome = |from: &str, to: &str| {
            let question = question("203.0.113.9", from, to);
            rules.outcome(&question, SystemTime::now())
        };
        assert_eq!(outcome("a@x.example", "user1@domain.jp"), "250 user1@domain.jp by domain.jp");
        assert_eq!(
            outcome("a@domain.jp", "user1@domain.jp"),
            "MAIL 530 5.7.0 authentication required for this sender"
        );
        assert_eq!(outcome("a@x.example", "v@z.example"), "RCPT 550 5.7.1 relaying denied");
    }
}

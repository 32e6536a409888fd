//! Envelopes from a mail log in JSON lines: what was accepted and what was refused, by client, sender and
//! recipient. An accepted recipient stands there as it was after aliases.

use std::collections::HashSet;

use hikyaku_proto::directory::v1::Question;
use serde_json::Value;

const MOST: usize = 100_000;
const NULL: &str = "<>";

/// Each envelope once.
pub(super) fn questions(log: &str) -> Vec<Question> {
    let mut seen = HashSet::new();
    let mut questions = Vec::new();
    for line in log.lines() {
        let Ok(value) = serde_json::from_str::<Value>(line) else { continue };
        for question in of_line(value.get("fields").unwrap_or(&value)) {
            let key = (question.client.clone(), question.reverse_path.clone(), question.recipient.clone());
            if questions.len() < MOST && seen.insert(key) {
                questions.push(question);
            }
        }
    }
    questions
}

fn of_line(fields: &Value) -> Vec<Question> {
    let text = |key: &str| fields.get(key).and_then(Value::as_str);
    let recipients: Vec<&str> = match text("event") {
        Some("accepted") => split(text("recipients").unwrap_or_default()),
        Some("refused") => text("recipient").into_iter().collect(),
        _ => return Vec::new(),
    };
    let (Some(client), Some(sender)) = (text("client"), text("sender")) else { return Vec::new() };
    let sender = if sender == NULL { "" } else { sender };
    let of = |recipient: &&str| Question {
        client: client.to_owned(),
        reverse_path: sender.to_owned(),
        recipient: (*recipient).to_owned(),
        ..Question::default()
    };
    recipients.iter().filter(|recipient| !recipient.is_empty()).map(of).collect()
}

/// At the commas that are not within quotes.
fn split(recipients: &str) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let is_end = move |c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return c == ',' && !quoted,
        }
        false
    };
    recipients.split(is_end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_and_refused_envelopes() {
        let log = r#"{"target":"mail","fields":{"event":"accepted","client":"192.0.2.1","sender":"a@x.example","recipients":"b@y.jp,\"c,d\"@y.jp"}}
not json
{"fields":{"event":"refused","client":"192.0.2.2","sender":"<>","recipient":"d@y.jp"}}
{"fields":{"event":"refused","client":"192.0.2.2","sender":"<>","recipient":"d@y.jp"}}
{"fields":{"event":"refused","client":"192.0.2.2","sender":"e@x.example"}}
{"fields":{"event":"delivered","client":"192.0.2.2","sender":"e@x.example","recipients":"z@y.jp"}}"#;
        let shown: Vec<(String, String, String)> = questions(log)
            .into_iter()
            .map(|question| (question.client, question.reverse_path, question.recipient))
            .collect();
        let of = |client: &str, from: &str, to: &str| (client.to_owned(), from.to_owned(), to.to_owned());
        assert_eq!(
            shown,
            [
                of("192.0.2.1", "a@x.example", "b@y.jp"),
                of("192.0.2.1", "a@x.example", "\"c,d\"@y.jp"),
                of("192.0.2.2", "", "d@y.jp"),
            ]
        );
    }
}

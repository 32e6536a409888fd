//! A mail log in JSON lines: what was accepted and what was refused, by client, sender and recipient. An accepted
//! recipient stands there as it was after aliases.

use std::collections::HashSet;

use hikyaku_proto::{admin::v1::GetAcceptanceResponse, directory::v1::Question};
use serde_json::Value;

const MOST: usize = 100_000;
const NULL: &str = "<>";

/// Each envelope once.
pub(crate) fn questions(log: &str) -> Vec<Question> {
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
        Some("accepted") => recipients(fields),
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

/// `None`: the log does not know of it.
pub(crate) fn acceptance(log: &str, queue_id: &str) -> Option<GetAcceptanceResponse> {
    let mut found: Option<GetAcceptanceResponse> = None;
    for line in log.lines().filter(|line| line.contains(queue_id)) {
        let Ok(value) = serde_json::from_str::<Value>(line) else { continue };
        let fields = value.get("fields").unwrap_or(&value);
        let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        if text("event") != "accepted" || text("queue_id") != queue_id {
            continue;
        }
        let found = found.get_or_insert_with(|| GetAcceptanceResponse {
            accepted_at: value.get("timestamp").and_then(Value::as_str).and_then(|at| at.parse().ok()),
            origin: "client".to_owned(),
            client: text("client"),
            identity: text("identity"),
            admitted_by: text("admitted_by"),
            promised: true,
            recipients: Vec::new(),
        });
        found.recipients.extend(recipients(fields).into_iter().map(str::to_owned));
    }
    found
}

/// A list, or as logs of earlier versions have it, a text.
fn recipients(fields: &Value) -> Vec<&str> {
    match fields.get("recipients") {
        Some(Value::Array(recipients)) => recipients.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(recipients)) => split(recipients),
        _ => Vec::new(),
    }
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

    #[test]
    fn seed_102_a_message_with_two_next_hops() {
        let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let log = format!(
            r#"{{"timestamp":"2026-11-22T08:00:00.123Z","target":"mail","event":"accepted","queue_id":"{id}","client":"192.0.2.1","identity":"ann@example.org","admitted_by":"builtin:default","recipients":["a@one.example","\"b,c\"@one.example"]}}
{{"target":"mail","event":"accepted","queue_id":"{id}","client":"192.0.2.1","recipients":"d@two.example"}}
{{"target":"mail","event":"delivered","queue_id":"{id}","recipient":"d@two.example"}}
"#
        );
        let found = acceptance(&log, id).unwrap();
        assert_eq!(found.recipients, ["a@one.example", "\"b,c\"@one.example", "d@two.example"]);
        assert_eq!((&*found.client, &*found.identity), ("192.0.2.1", "ann@example.org"));
        assert_eq!(found.accepted_at.unwrap().seconds, 1_795_334_400);
        assert_eq!(acceptance(&log, "01ARZ3NDEKTSV4RRFFQ69G5FAW"), None);
    }
}

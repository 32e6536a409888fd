//! An event with its time and place, as a line.

use std::{fmt::Write as _, time::SystemTime};

use bytes::Bytes;
use hikyaku_types::text::{is_unprintable, rfc3339};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Event;

/// Lines of the mail log stand beside others on standard output; this tells them apart.
pub const TARGET: &str = "mail";

/// Where events of this process come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// `node` of the configuration.
    pub node: String,
    /// up, ingress, delivery or policy.
    pub role: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the schema says.
    Json,
    /// For people.
    Text,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub at: SystemTime,
    pub event: Event,
    /// As JSON, without the end of the line.
    pub line: Bytes,
}

/// The line is not one of a mail log, or of a later version.
#[derive(Debug, thiserror::Error)]
#[error("this is no line of a mail log: {0}")]
pub struct Unreadable(#[from] serde_json::Error);

#[derive(Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    target: &'static str,
    #[serde(flatten)]
    place: &'a Place,
    #[serde(flatten)]
    event: &'a Event,
}

impl Entry {
    pub fn new(event: Event, place: &Place, at: SystemTime) -> Result<Self, serde_json::Error> {
        let line = Line { timestamp: &rfc3339(at), target: TARGET, place, event: &event };
        let line = serde_json::to_vec(&line)?.into();
        Ok(Self { at, event, line })
    }

    /// What `line` says; its time is left as text, in `timestamp`.
    pub fn read(line: &str) -> Result<Event, Unreadable> {
        Ok(serde_json::from_str(line)?)
    }

    /// Without the end of the line.
    pub(crate) fn shown(&self, form: Form) -> Bytes {
        match form {
            Form::Json => self.line.clone(),
            Form::Text => self.for_people().into(),
        }
    }

    fn for_people(&self) -> String {
        let mut text = format!("{}  INFO {TARGET}:", rfc3339(self.at));
        if let Ok(Value::Object(fields)) = serde_json::to_value(&self.event) {
            // The event first, as everywhere.
            let name = fields.get("event").and_then(Value::as_str).unwrap_or_default();
            let _ = write!(text, " {name}");
            for (key, value) in fields.iter().filter(|(key, _)| *key != "event") {
                // A string is written in quotes, so nothing that a client said can look like another field.
                let _ = write!(text, " {key}={value}");
            }
        }
        // Controls are escaped above; what hides or turns the text around it is not.
        text.chars().map(|c| if is_unprintable(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::event::Deleted;

    fn entry() -> Entry {
        let event = Event::Deleted(Deleted {
            queue_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
            entry: "01ARZ3NDEKTSV4RRFFQ69G5FAV-0".to_owned(),
            destination: "a\" b=\"c\n.example".to_owned(),
        });
        let place = Place { node: "gw-1".to_owned(), role: "delivery".to_owned() };
        Entry::new(event, &place, UNIX_EPOCH + Duration::from_micros(1_795_334_400_123_456)).unwrap()
    }

    #[test]
    fn a_line_says_when_where_and_what() {
        let entry = entry();
        assert_eq!(
            entry.shown(Form::Json),
            concat!(
                r#"{"timestamp":"2026-11-22T08:00:00.123456Z","target":"mail","node":"gw-1","role":"delivery","#,
                r#""event":"deleted","queue_id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","entry":"01ARZ3NDEKTSV4RRFFQ69G5FAV-0","#,
                r#""destination":"a\" b=\"c\n.example"}"#,
            )
        );
        let line = str::from_utf8(&entry.line).unwrap();
        assert_eq!(Entry::read(line).unwrap(), entry.event);
    }

    #[test]
    fn what_others_said_looks_like_no_field_and_no_line() {
        let text = entry().shown(Form::Text);
        assert_eq!(
            text,
            concat!(
                "2026-11-22T08:00:00.123456Z  INFO mail: deleted destination=\"a\\\" b=\\\"c\\n.example\" ",
                "entry=\"01ARZ3NDEKTSV4RRFFQ69G5FAV-0\" queue_id=\"01ARZ3NDEKTSV4RRFFQ69G5FAV\""
            )
        );
    }
}

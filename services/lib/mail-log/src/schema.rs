//! The interface as JSON Schema (draft 2020-12), made from the types.

use serde_json::{Map, Value, json};

use crate::{Event, TARGET};

/// Of one line. Every field of an event is named, so a line with another one is of a later version.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Event).to_value();
    schema["title"] = "Line of the mail log of Hikyaku".into();
    let common = json!({
        "timestamp": {
            "description": "When it happened, by the clock of its node: RFC 3339, UTC, microseconds.",
            "type": "string", "format": "date-time",
        },
        "target": { "description": "Tells these lines from others on standard output.", "const": TARGET },
        "node": { "description": "Where it happened: `node` of the configuration.", "type": "string" },
        "role": { "enum": ["up", "ingress", "delivery", "policy"] },
    });
    let Value::Object(common) = common else { return schema };
    let definitions = schema["$defs"].as_object().cloned().unwrap_or_default();
    for event in schema["oneOf"].as_array_mut().into_iter().flatten() {
        let event = event.as_object_mut();
        event.into_iter().for_each(|event| close(event, &common, &definitions));
    }
    // Each event has taken over what it needs of them.
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$defs");
    }
    schema
}

/// An event names its own fields by reference; a closed object has to name them all itself.
fn close(event: &mut Map<String, Value>, common: &Map<String, Value>, definitions: &Map<String, Value>) {
    let mut properties = common.clone();
    let mut required: Vec<Value> = common.keys().map(|key| key.as_str().into()).collect();
    let reference = event.remove("$ref").unwrap_or_default();
    let own = reference.as_str().and_then(|it| it.rsplit('/').next()).and_then(|name| definitions.get(name));
    for part in [own, Some(&Value::Object(event.clone()))].into_iter().flatten() {
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    event.insert("properties".to_owned(), properties.into());
    event.insert("required".to_owned(), required.into());
    event.insert("additionalProperties".to_owned(), false.into());
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::*;

    /// `UPDATE_GOLDEN=1` writes it. A name that goes away breaks programs of others.
    #[test]
    fn it_is_the_file_that_others_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("mail-log.schema.json");
        let made = format!("{:#}\n", schema());
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &made).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), made);
    }

    #[test]
    fn every_event_is_closed_and_names_its_fields() {
        let schema = schema();
        let events = schema["oneOf"].as_array().unwrap();
        assert!(events.len() > 15);
        for event in events {
            let properties = event["properties"].as_object().unwrap();
            assert!(properties.contains_key("event") && properties.len() > 5, "{event:#}");
            assert_eq!(event["additionalProperties"], false);
            assert!(!event.to_string().contains("$ref"), "{event:#}");
        }
    }
}

//! What a record says beyond what is drawn.
//!
//! Owns: any property as lines of text, so that new ones are shown without being known here. Must not own: the meaning
//! of the known ones.

use serde_json::Value;

use crate::model::finding::{Record, property};

/// The most lines of one property, and the deepest.
const LINES_MAX: usize = 40;
const DEPTH_MAX: usize = 6;

/// What the drawing, the timeline and the plan say already, and what is for machines.
const SHOWN: [&str; 40] = [
    "Padding",
    "Reverse_Shell_Stdin_Redirection_Dst_Ip",
    "Reverse_Shell_Stdin_Redirection_Dst_Port",
    "Reverse_Shell_Stdin_Redirection_Src_Ip",
    "Reverse_Shell_Stdin_Redirection_Src_Port",
    property::BOOT_ID,
    property::CONTAINER_ID,
    property::CONTAINER_IMAGE_URI,
    property::CONTAINER_NAME,
    property::CONTAINER_RUNTIME,
    property::EVIDENCE,
    property::FIRST_SEEN,
    property::OBSERVATION,
    property::PARENT_BINARY_FULLPATH,
    property::PARENT_PID,
    property::PEER_SCOPE,
    property::POD_NAME,
    property::POD_NAMESPACE,
    property::PREVIOUS_SHA256,
    property::PROCESS_ANCESTRY,
    property::PROCESS_ARGUMENTS,
    property::PROCESS_ARGUMENTS_BASE64,
    property::PROCESS_BINARY_FULLPATH,
    property::PROCESS_COUNT,
    property::PROCESS_OBSERVATIONS,
    property::PROCESS_START_TICKS,
    property::PROCESS_USER_NAME,
    property::PROCESS_WORKING_DIRECTORY,
    property::ROW,
    property::SCHEMA_VERSION,
    property::SEQUENCE,
    property::PROCESS_GROUP_ID,
    property::SOCKET_COOKIE,
    property::SOCKET_FDS,
    property::SOCKET_INODE,
    property::SOCKET_PROTOCOL,
    property::TETHER_DIRECTION,
    property::TETHER_KIND,
    property::TETHER_PATH,
    property::TIMELINE,
];
/// The properties that are not shown elsewhere, by name, each with its lines.
pub fn others(record: &Record) -> Vec<(&str, Vec<String>)> {
    let properties = record.finding.source_properties.iter();
    properties
        .filter(|(key, _)| !SHOWN.contains(&key.as_str()))
        .map(|(key, value)| match (key.as_str(), value.get("missing")) {
            // Nothing missing is nothing to say.
            (property::ENRICHMENT_STATUS, Some(missing)) => ("Not_known", each(missing)),
            (key, _) => (key, lines(value)),
        })
        .filter(|(_, lines)| !lines.is_empty())
        .collect()
}

/// A value as lines: an object on one line where it is flat, each item of a list on its own.
pub fn lines(value: &Value) -> Vec<String> {
    let mut lines = match value {
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            items.iter().map(|item| flat(item, 0)).collect()
        }
        Value::Object(fields) if fields.values().any(|field| field.is_array() || field.is_object()) => {
            fields.iter().map(|(key, field)| format!("{key}: {}", flat(field, 0))).collect()
        }
        value => vec![flat(value, 0)],
    };
    lines.retain(|line| !line.is_empty());
    if lines.len() > LINES_MAX {
        let more = lines.len() - LINES_MAX;
        lines.truncate(LINES_MAX);
        lines.push(format!("... {more} more"));
    }
    lines
}

/// The items of a list, each on a line of its own.
fn each(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().take(LINES_MAX).map(|item| flat(item, 0)).collect()
}

fn flat(value: &Value, depth: usize) -> String {
    if depth > DEPTH_MAX {
        return "...".into();
    }
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(|item| flat(item, depth + 1)).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let parts = fields.iter().map(|(key, field)| format!("{key} {}", flat(field, depth + 1)));
            parts.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn any_value() {
        assert_eq!(lines(&json!("x")), ["x"]);
        assert_eq!(lines(&json!(["a", 1])), ["a, 1"]);
        assert_eq!(lines(&json!([{"id": "a", "why": "b"}, {"id": "c"}])), ["id a, why b", "id c"]);
        assert_eq!(lines(&json!({"held": 1, "live": 2})), ["held 1, live 2"]);
        assert_eq!(lines(&json!({"a": [1, 2], "b": 3})), ["a: 1, 2", "b: 3"]);
        assert!(lines(&json!([])).is_empty() && lines(&json!(null)).is_empty());
        let mut deep = json!("x");
        (0..100).for_each(|_| deep = json!([deep.clone()]));
        assert_eq!(lines(&deep), ["..."]);
        assert_eq!(lines(&json!(vec![json!({"a": 1}); 100])).len(), LINES_MAX + 1);
    }
}

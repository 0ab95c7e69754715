//! What a message's body has to be, form by form.

use serde_json::Value;
use tetherd::deliver::format::Format;

/// Panics where a body is not all of its form: a cut one would not end as it has to.
pub fn check(format: Format, message: &str) {
    match format {
        Format::Scc => {
            serde_json::from_str::<Value>(message).expect("JSON");
        }
        Format::Compact => {
            let json = message.strip_prefix("@cee: ").expect("the cookie comes first");
            serde_json::from_str::<Value>(json).expect("JSON");
        }
        Format::Ocsf => {
            let event: Value = serde_json::from_str(message).expect("JSON");
            assert!(event["time"].is_u64() && event["metadata"]["sequence"].is_u64(), "{message}");
        }
        Format::Structured => {
            let (mut escaped, mut quoted, mut open) = (false, false, 0);
            for c in message.chars() {
                match c {
                    ' ' if open == 0 => break,
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    '"' => quoted = !quoted,
                    '[' if !quoted => open += 1,
                    ']' if !quoted => open -= 1,
                    ']' => panic!("not escaped: {message}"),
                    _ => {}
                }
                assert!(open == 0 || open == 1, "{message}");
            }
            assert!(!escaped && !quoted && open == 0, "{message}");
        }
        Format::Cef => {
            let (mut escaped, mut bars) = (false, 0);
            for c in message.chars() {
                match c {
                    _ if std::mem::take(&mut escaped) => {
                        let known = if bars < 7 { r"\|" } else { r"\=nr" };
                        assert!(known.contains(c), "{c} behind a backslash: {message}");
                    }
                    '\\' => escaped = true,
                    '|' => bars += 1,
                    _ => {}
                }
            }
            assert!(message.starts_with("CEF:0|tetherd|tetherd|") && bars >= 7 && !escaped, "{message}");
        }
    }
}

//! A process's environment, as much of it as is shown (`enrich::shown_environment`).
//!
//! Holds: values are those of allowed names alone; a name that is shown stands before an equals sign; nothing moves a
//! cursor; every variable is shown or counted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherd::enrich::shown_environment;

fuzz_target!(|bytes: &[u8]| {
    let allowed = ["USER".to_owned(), "SSH_CLIENT".to_owned(), "a".to_owned()];
    for most in [0, 3, 64] {
        let shown = shown_environment(bytes, false, &allowed, most);
        assert!(shown.values.keys().all(|name| allowed.contains(name)));
        assert!(shown.values.values().all(|value| value.len() <= 256));
        assert!(shown.names.len() <= most && shown.names.iter().all(|name| !allowed.contains(name)));
        for name in shown.names.iter().chain(shown.values.keys()) {
            assert!(!name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_graphic()));
            let start = [name.as_bytes(), b"="].concat();
            assert!(bytes.split(|&b| b == 0).any(|entry| entry.starts_with(&start)), "{name}");
        }
        let variables = bytes.split(|&b| b == 0).filter(|entry| !entry.is_empty()).count();
        assert!(shown.names.len() + shown.more + shown.values.len() <= variables);
        assert!(most > 0 || !shown.values.is_empty() || shown.more == variables);
    }
});

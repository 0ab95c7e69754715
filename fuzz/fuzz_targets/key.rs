//! Public keys of checkpoints, as somebody has kept them (`spool::key`), and addresses of collectors
//! (`deliver::settings`).
//!
//! Holds: a key that is taken is shown as a text that gives the same key; nothing but a signature verifies; a host that is
//! taken can be written into the same address again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherd::deliver::settings::host_and_port;
use tetherd::spool::key::PublicKey;

fuzz_target!(|text: &str| {
    if let Some(key) = PublicKey::parse(text) {
        assert_eq!(PublicKey::parse(&key.to_string()), Some(key));
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n");
        assert_eq!(PublicKey::parse(&pem), Some(key));
        let digits = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(digits(&key.fingerprint()));
        assert!(!key.has_signed(text.as_bytes(), text.as_bytes()));
    }
    if let Ok((host, port)) = host_and_port(text) {
        assert!((1..=253).contains(&host.len()) && port > 0);
        let again = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        assert_eq!(host_and_port(&again), Ok((host, port)));
    }
});

//! passwd files, of the host and of containers, and uid_map (`enrich`, `config::rules_dir`).
//!
//! Holds: a name is bounded and comes from a line with that uid; a uid is mapped as the kernel maps it.
#![no_main]

use libfuzzer_sys::arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use tetherd::config::rules_dir::parse_users;
use tetherd::enrich::{inner_uid, name_in};
use tetherd::model::ids::Uid;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for uid in [0, 33, 1000] {
        let _ = inner_uid(bytes, Uid(uid));
        let Some(name) = name_in(bytes, Uid(uid)) else { continue };
        assert!((1..=256).contains(&name.len()) && !name.contains([':', '\n']));
        let begins = |line: &str| {
            line.strip_prefix(&name).is_some_and(|rest| rest.starts_with(':') || name.len() > 250)
        };
        assert!(text.split('\n').any(begins), "the name is a line's first field");
    }
    let users = parse_users(&text);
    assert!(users.len() <= text.lines().count());
    for (name, id) in users.iter().filter(|(name, _)| !name.is_empty() && name.len() <= 256) {
        // The file's first line with that name has the id; name_in may know the id under another name.
        let alone: String =
            text.lines().filter(|line| line.split(':').next() == Some(name)).collect::<Vec<_>>().join("\n");
        if alone.lines().all(|line| line.len() <= 4096) {
            assert_eq!(name_in(alone.as_bytes(), Uid(*id)).as_ref(), Some(name));
        }
    }

    let mut unstructured = Unstructured::new(bytes);
    let Ok((uid, lines)) = <(u32, [(u32, u32, u32); 3])>::arbitrary(&mut unstructured) else { return };
    let map: String = lines
        .iter()
        .map(|(inside, outside, count)| format!("{inside:10} {outside:10} {count:10}\n"))
        .collect();
    let mapped = lines.iter().find_map(|&(inside, outside, count)| {
        let offset = uid.checked_sub(outside).filter(|&offset| offset < count)?;
        inside.checked_add(offset)
    });
    assert_eq!(inner_uid(map.as_bytes(), Uid(uid)), mapped.map(Uid));
});

//! Capabilities and the like in words.
//!
//! Owns: the names of capabilities (capabilities(7), Linux `include/uapi/linux/capability.h`) and of seccomp's modes. Must
//! not own: reading them.

use std::sync::OnceLock;

/// By number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set's names, without `CAP_`; `ALL` where it is every one that the kernel has.
pub(super) fn capabilities(set: u64) -> Vec<String> {
    if all().is_some_and(|all| set & all == all) {
        return vec!["ALL".into()];
    }
    let name =
        |bit: u32| NAMES.get(bit as usize).map_or_else(|| format!("CAP_{bit}"), |name| (*name).to_owned());
    (0..u64::BITS).filter(|bit| set >> bit & 1 == 1).map(name).collect()
}

/// Every capability of this kernel.
fn all() -> Option<u64> {
    static ALL: OnceLock<Option<u64>> = OnceLock::new();
    *ALL.get_or_init(|| {
        let last: u32 = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok()?.trim().parse().ok()?;
        u64::MAX.checked_shr(63u32.checked_sub(last)?)
    })
}

/// What a mode of seccomp(2) is called.
pub(super) fn seccomp(mode: u8) -> &'static str {
    match mode {
        0 => "disabled",
        1 => "strict",
        2 => "filter",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(capabilities(0), Vec::<String>::new());
        assert_eq!(capabilities(1 << 21 | 1), ["CHOWN", "SYS_ADMIN"]);
        assert_eq!(capabilities(1 << 40), ["CHECKPOINT_RESTORE"]);
        assert_eq!(capabilities(1 << 63), ["CAP_63"]);
        assert_eq!(capabilities(u64::MAX), ["ALL"]);
        assert!(all().is_some_and(|all| all & 1 == 1));
        assert_eq!((seccomp(0), seccomp(2), seccomp(9)), ("disabled", "filter", "unknown"));
    }
}

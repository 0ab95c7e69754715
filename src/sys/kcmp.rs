//! Whether two processes share something.
//!
//! Owns: kcmp(2). Must not own: what follows from it.
#![allow(unsafe_code)] // no library wraps kcmp

use crate::model::ids::Pid;

/// `KCMP_FILES` (Linux `include/uapi/linux/kcmp.h`).
const KCMP_FILES: libc::c_long = 2;

/// Whether two threads have one table of descriptors; `None` where it cannot be told (no such thread, or a kernel without
/// CONFIG_KCMP).
pub fn same_descriptors(one: Pid, other: Pid) -> Option<bool> {
    let none: libc::c_long = 0;
    // SAFETY: five numbers, no pointers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kcmp,
            libc::c_long::from(one.0),
            libc::c_long::from(other.0),
            KCMP_FILES,
            none,
            none,
        )
    };
    (result >= 0).then_some(result == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_and_processes_do_not() {
        let this = Pid(std::process::id());
        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let other = same_descriptors(this, Pid(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        // A kernel may have been built without it.
        if let Some(own) = same_descriptors(this, this) {
            assert!(own);
            assert_eq!(other, Some(false));
        }
        assert_eq!(same_descriptors(this, Pid(u32::MAX)), None);
    }
}

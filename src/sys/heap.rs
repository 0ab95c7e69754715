//! How the C library hands out memory.
//!
//! Owns: mallopt(3). Must not own: what is allocated.
#![allow(unsafe_code)] // no safe library wraps mallopt

/// All threads share one arena from now on; to be called before they start. Looks are allocated by one thread and freed by
/// another, and findings likewise: with an arena for each thread (glibc's default, up to eight times the processors) each
/// keeps its own most and its own gaps, and the whole grows for hours. A freed look goes back to its own arena in either
/// case, under that arena's lock, so there is no more to wait for than there was. Other C libraries have no such number, and
/// nothing is done there.
pub fn share_one_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no pointers; nobody else allocates yet in a way that this could disturb, glibc takes its own lock.
    let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

//! What a memory limit means for the system and the allocator.
//!
//! Huge pages make large hash tables faster, but every allocation may then occupy up to two megabytes more than it
//! asked for: under a small limit that alone breaks the promise about the process (measured: 64 MiB of batches take
//! 100 MB with them and 77 MB without; at 1 GB the difference no longer matters).

use std::sync::OnceLock;

/// Under this limit the program is better off without huge pages.
pub const HUGE_PAGES_FROM: u64 = 512 << 20;

static ON_LIMIT: OnceLock<fn(usize)> = OnceLock::new();

/// Has `tell` called with every limit that a budget gets, so that the program can tune its allocator: the less memory,
/// the sooner freed pages must go back to the system. Only the first call counts.
pub fn on_limit(tell: fn(usize)) {
    // A second caller is left out, as said.
    let _ = ON_LIMIT.set(tell);
}

pub(super) fn tell_limit(limit: usize) {
    if let Some(tell) = ON_LIMIT.get() {
        tell(limit);
    }
}

/// Asks the system not to use huge pages for this process, from the next page fault on. Does nothing where there are
/// none.
pub fn refuse_huge_pages() {
    #[cfg(target_os = "linux")]
    // SAFETY: this option takes plain integers and touches no memory of ours.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}

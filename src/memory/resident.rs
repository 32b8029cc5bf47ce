//! What the process really has resident, watched where it matters.
//!
//! The budget counts what is allocated. Between that and what is resident lie the pages that the allocator keeps for a
//! while after they were freed, in the hope that somebody asks for them; its own thread gives them back ten times a second, and
//! in a tenth of a second a query under a small limit may have freed half of it. So whenever memory is asked for, and a
//! few milliseconds have passed, the process is looked at, and where it is over the limit they are given back at once.
//!
//! # Known limitation
//! Only Linux says cheaply enough what is resident; elsewhere only the allocator's thread is at work.

use std::fs::File;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::allocator::is_counting;
use super::jemalloc::give_back_freed_pages;

/// Milliseconds between two looks.
const LOOK_EVERY: u64 = 5;
/// The process may have so many per cent of the limit resident before anything is done. (The promise is 125 and an idle
/// process.)
const TOLERATED_PERCENT: usize = 110;
/// Numbers in the file of the process's sizes come to no more bytes.
const LINE: usize = 160;

/// The process's own watch; none where it does not count its allocations, for then they are not ours to govern.
struct Watch {
    start: Instant,
    /// Milliseconds after `start` from which on somebody should look again.
    next: AtomicU64,
    sizes: File,
    page: usize,
}

static WATCH: OnceLock<Option<Watch>> = OnceLock::new();

/// Looks at the process if it is time, and gives freed pages back where it is over `limit` bytes. Called whenever memory
/// was taken.
pub(super) fn keep_under(limit: usize) {
    let Some(watch) = WATCH.get_or_init(Watch::open) else { return };
    let now = u64::try_from(watch.start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let due = watch.next.load(Ordering::Relaxed);
    if now < due || watch.next.compare_exchange(due, now + LOOK_EVERY, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return;
    }
    if watch.private_bytes().is_some_and(|bytes| bytes > limit / 100 * TOLERATED_PERCENT) {
        give_back_freed_pages();
    }
}

impl Watch {
    fn open() -> Option<Watch> {
        if !cfg!(target_os = "linux") || !is_counting() {
            return None;
        }
        // SAFETY: it takes and gives plain numbers.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
        let sizes = File::open("/proc/self/statm").ok()?;
        Some(Watch { start: Instant::now(), next: AtomicU64::new(0), sizes, page })
    }

    /// Resident bytes that are no part of any file.
    fn private_bytes(&self) -> Option<usize> {
        let mut line = [0; LINE];
        let read = read_at_start(&self.sizes, &mut line)?;
        let text = std::str::from_utf8(line.get(..read)?).ok()?;
        let mut pages = text.split_ascii_whitespace().skip(1).map(|number| number.parse::<usize>().ok());
        let (resident, of_files) = (pages.next()??, pages.next()??);
        resident.saturating_sub(of_files).checked_mul(self.page)
    }
}

/// Reads without a position of its own, which several threads would move.
fn read_at_start(file: &File, buffer: &mut [u8]) -> Option<usize> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_at(file, buffer, 0).ok();
    #[cfg(not(unix))]
    return None;
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_private_bytes_of_a_process_grow_as_it_touches_memory() {
        let sizes = File::open("/proc/self/statm").unwrap();
        let watch = Watch { start: Instant::now(), next: AtomicU64::new(0), sizes, page: 4096 };
        let before = watch.private_bytes().unwrap();
        let touched = std::hint::black_box(vec![1u8; 256 << 20]);
        let after = watch.private_bytes().unwrap();
        assert!(before > 0 && after > before + (128 << 20), "{before} {after}");
        drop(touched);
    }
}

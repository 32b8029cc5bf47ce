//! The allocator under a memory limit: how long it may keep pages that were freed.
//!
//! Keeping them is faster, giving them back keeps the promise about the process. Measured on an aggregation that spills
//! under 300 MB: 495 MB resident with the allocator's ten seconds, 400 MB with a fifth of a second, 377 MB with a
//! twentieth at twice the system time. (mimalloc, which was here first, took 536 MB at the same speed.)

use std::ptr;

use tikv_jemalloc_ctl::raw;
use tikv_jemalloc_sys::mallctl;

use super::allocator::is_counting;
use super::pages::{HUGE_PAGES_FROM, refuse_huge_pages};

/// From this limit on freed pages are no danger to it.
const ROOMY: usize = 4 << 30;
const ROOMY_MILLISECONDS: isize = 10_000;
/// Under it, so many milliseconds for each gigabyte, between these two.
const MILLISECONDS_PER_GIGABYTE: usize = 500;
const FEWEST_MILLISECONDS: usize = 10;
const MOST_MILLISECONDS: usize = 200;
/// The index by which jemalloc means all its arenas.
const MOST_ARENAS: usize = 4096;

/// Tunes jemalloc to a budget's limit. Does nothing where the process does not count its allocations: then it is not for
/// floe to tune them.
pub(super) fn follow_limit(limit: usize) {
    if !is_counting() {
        return;
    }
    let tight = (limit >> 10).saturating_mul(MILLISECONDS_PER_GIGABYTE) >> 20;
    let tight = tight.clamp(FEWEST_MILLISECONDS, MOST_MILLISECONDS) as isize;
    keep_freed_pages_for(if limit >= ROOMY { ROOMY_MILLISECONDS } else { tight });
    if (limit as u64) < HUGE_PAGES_FROM {
        refuse_huge_pages();
    }
}

/// Gives all pages that were freed back to the system, at once.
pub(super) fn give_back_freed_pages() {
    // Null pointers say that nothing is read or written: this name is a command.
    let name = c"arena.4096.purge".as_ptr();
    // SAFETY: the manual gives 4096 as the index by which all arenas are meant.
    unsafe {
        mallctl(name, ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0);
    }
}

fn keep_freed_pages_for(milliseconds: isize) {
    // Best effort: where the allocator refuses, it goes on as before. Without a thread of its own it gives pages back
    // only while somebody allocates in the same arena.
    // SAFETY: the setting is a bool, as the allocator's manual says.
    let _ = unsafe { raw::write(b"background_thread\0", true) };
    for setting in [b"arenas.dirty_decay_ms\0".as_slice(), b"arenas.muzzy_decay_ms\0"] {
        let value = if setting.starts_with(b"arenas.muzzy") { 0 } else { milliseconds };
        // SAFETY: both settings are of type ssize_t, as the allocator's manual says.
        let _ = unsafe { raw::write(setting, value) };
    }
    for arena in 0..MOST_ARENAS {
        let name = format!("arena.{arena}.dirty_decay_ms\0");
        // SAFETY: the setting is of type ssize_t; an arena that does not exist is an error and ends the loop.
        if unsafe { raw::write(name.as_bytes(), milliseconds) }.is_err() {
            break;
        }
    }
}

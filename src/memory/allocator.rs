//! An allocator that counts the live bytes of the process, so that memory nobody reserved can be seen.
//!
//! Invariant: the count differs from the truth by at most [`BATCH`] bytes per thread; a thread touches the shared
//! counter only once per that many bytes, so threads do not contend for it.
//!
//! What counts is not what was asked for but what the allocator gives: it has four sizes for each doubling, so that
//! on average a tenth is lost by rounding up, and that tenth is resident like the rest.
//!
//! # Known limitation
//! What a thread has not yet handed over when it ends (at most [`BATCH`] bytes either way) stays uncounted: handing
//! it over would need a thread-local destructor, which must not run inside an allocator. Workers live long.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

/// Bytes that a thread gathers before it touches the shared counter.
pub const BATCH: isize = 64 * 1024;

static LIVE: AtomicIsize = AtomicIsize::new(0);
static INSTALLED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static PENDING: Cell<isize> = const { Cell::new(0) };
}

/// Bytes that are allocated now in the whole process, or `None` when the counting allocator is not the global one
/// (or has not yet handed out [`BATCH`] bytes).
pub fn allocated() -> Option<usize> {
    INSTALLED.load(Ordering::Relaxed).then(|| usize::try_from(LIVE.load(Ordering::Relaxed)).unwrap_or(0))
}

/// Whether the process counts its allocations, also before it has made many.
pub(super) fn is_counting() -> bool {
    // Large enough to be handed over at once.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(2 * BATCH.unsigned_abs())));
    INSTALLED.load(Ordering::Relaxed)
}

/// Counts what `A` hands out.
///
/// ```
/// use std::alloc::System;
///
/// #[global_allocator]
/// static ALLOCATOR: floe::memory::CountingAllocator<System> = floe::memory::CountingAllocator::new(System);
/// ```
#[derive(Debug)]
pub struct CountingAllocator<A> {
    inner: A,
}

impl<A> CountingAllocator<A> {
    /// Counts what `inner` hands out.
    pub const fn new(inner: A) -> Self {
        CountingAllocator { inner }
    }
}

/// Adds `change` bytes to this thread's pending count, and hands it over when it has become large.
#[inline]
fn count(change: isize) {
    let handed = PENDING.try_with(|pending| {
        let sum = pending.get().wrapping_add(change);
        if sum.unsigned_abs() < BATCH.unsigned_abs() {
            pending.set(sum);
            return;
        }
        pending.set(0);
        hand_over(sum);
    });
    if handed.is_err() {
        hand_over(change);
    }
}

#[cold]
fn hand_over(change: isize) {
    LIVE.fetch_add(change, Ordering::Relaxed);
    if !INSTALLED.load(Ordering::Relaxed) {
        INSTALLED.store(true, Ordering::Relaxed);
    }
}

/// Bytes that an allocation of `size` bytes takes: the next of jemalloc's size classes.
#[inline]
pub fn allocation_bytes(size: usize) -> usize {
    let step = match size {
        0..=128 => 16,
        _ => 1 << ((size - 1).ilog2() - 2),
    };
    size.checked_next_multiple_of(step).unwrap_or(size)
}

/// The same, signed. (A layout's size never exceeds `isize::MAX`, and neither does its class where such an allocation
/// can succeed.)
#[inline]
fn taken(size: usize) -> isize {
    allocation_bytes(size) as isize
}

// SAFETY: every call goes unchanged to `inner`, which keeps the contract; counting neither allocates nor unwinds (a
// const-initialised thread-local `Cell` without a destructor needs no registration).
unsafe impl<A: GlobalAlloc> GlobalAlloc for CountingAllocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is passed on.
        let pointer = unsafe { self.inner.alloc(layout) };
        if !pointer.is_null() {
            count(taken(layout.size()));
        }
        pointer
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { self.inner.dealloc(pointer, layout) };
        count(-taken(layout.size()));
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is passed on.
        let pointer = unsafe { self.inner.alloc_zeroed(layout) };
        if !pointer.is_null() {
            count(taken(layout.size()));
        }
        pointer
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's contract is passed on.
        let moved = unsafe { self.inner.realloc(pointer, layout, new_size) };
        if !moved.is_null() {
            count(taken(new_size) - taken(layout.size()));
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_takes_its_size_class() {
        let classes = [(0, 0), (1, 16), (16, 16), (17, 32), (128, 128), (129, 160), (160, 160), (161, 192), (257, 320)];
        for (size, class) in classes {
            assert_eq!(allocation_bytes(size), class, "{size}");
        }
        assert_eq!([4096, 4097, 65_536, 65_537].map(allocation_bytes), [4096, 5120, 65_536, 81_920]);
        assert_eq!(allocation_bytes(usize::MAX), usize::MAX);
    }
}

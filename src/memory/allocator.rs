//! An allocator that counts the live bytes of the process, so that memory nobody reserved can be seen.
//!
//! Invariant: the count differs from the truth by at most [`BATCH`] bytes per thread; a thread touches the shared
//! counter only once per that many bytes, so threads do not contend for it.
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

/// A layout's size never exceeds `isize::MAX`.
#[inline]
fn signed(size: usize) -> isize {
    size as isize
}

// SAFETY: every call goes unchanged to `inner`, which keeps the contract; counting neither allocates nor unwinds (a
// const-initialised thread-local `Cell` without a destructor needs no registration).
unsafe impl<A: GlobalAlloc> GlobalAlloc for CountingAllocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is passed on.
        let pointer = unsafe { self.inner.alloc(layout) };
        if !pointer.is_null() {
            count(signed(layout.size()));
        }
        pointer
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { self.inner.dealloc(pointer, layout) };
        count(-signed(layout.size()));
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is passed on.
        let pointer = unsafe { self.inner.alloc_zeroed(layout) };
        if !pointer.is_null() {
            count(signed(layout.size()));
        }
        pointer
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's contract is passed on.
        let moved = unsafe { self.inner.realloc(pointer, layout, new_size) };
        if !moved.is_null() {
            count(signed(new_size) - signed(layout.size()));
        }
        moved
    }
}

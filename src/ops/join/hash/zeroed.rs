//! Large arrays of zeros that several threads write.
//!
//! The operating system hands out pages of zeros when they are first touched, so the threads that fill an array share
//! that work, too; a loop that writes the zeros would leave it all to one.

use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// `length` zeros.
pub(super) fn zeroed_u32(length: usize) -> Vec<AtomicU32> {
    let mut zeros = ManuallyDrop::new(vec![0u32; length]);
    // SAFETY: the parts are those of a vector that nobody drops, and an `AtomicU32` has the size, alignment and bit
    // validity of a `u32`.
    unsafe { Vec::from_raw_parts(zeros.as_mut_ptr().cast(), zeros.len(), zeros.capacity()) }
}

/// `length` zeros.
pub(super) fn zeroed_u64(length: usize) -> Vec<AtomicU64> {
    let mut zeros = ManuallyDrop::new(vec![0u64; length]);
    // SAFETY: as above; whoever calls is on a machine with atomics of 64 bits, which are aligned as their size, and so
    // is a `u64` there.
    unsafe { Vec::from_raw_parts(zeros.as_mut_ptr().cast(), zeros.len(), zeros.capacity()) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn zeros_can_be_written_and_given_back() {
        let (small, large) = (zeroed_u32(1000), zeroed_u64(1000));
        assert_eq!(align_of::<AtomicU64>(), align_of::<u64>());
        small[999].store(7, Ordering::Relaxed);
        large[999].store(7, Ordering::Relaxed);
        assert_eq!(small.iter().map(|zero| zero.load(Ordering::Relaxed)).sum::<u32>(), 7);
        assert_eq!(large.iter().map(|zero| zero.load(Ordering::Relaxed)).sum::<u64>(), 7);
    }
}

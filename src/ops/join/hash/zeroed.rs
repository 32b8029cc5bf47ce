//! Large arrays of zeros that several threads write.

use std::sync::atomic::{AtomicU32, AtomicU64};

/// `length` zeros.
pub(super) fn zeroed_u32(length: usize) -> Vec<AtomicU32> {
    let mut zeros = Vec::with_capacity(length);
    zeros.resize_with(length, AtomicU32::default);
    zeros
}

/// `length` zeros.
pub(super) fn zeroed_u64(length: usize) -> Vec<AtomicU64> {
    let mut zeros = Vec::with_capacity(length);
    zeros.resize_with(length, AtomicU64::default);
    zeros
}

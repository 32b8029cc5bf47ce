//! (to come)

pub mod format;

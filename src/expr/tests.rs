//! Tests across the expression layer: from SQL text through analyzer, [`fold_checked`] and optimizer to values.

pub(super) mod harness;
mod optimised;
mod predicates;

//! Aggregate calls: from the logical expression to grouped accumulators, or to what they gather.

mod adapter;
mod call;
mod gathering;
mod quantile;

#[cfg(test)]
mod tests;

pub use call::AggregateCall;
pub(super) use gathering::most_frequent;
pub use gathering::{GatherOrder, Gathering, in_views};
pub use quantile::Fraction;

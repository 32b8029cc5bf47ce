//! Aggregate calls: from the logical expression to grouped accumulators.

mod adapter;
mod call;
mod percentile;

#[cfg(test)]
mod tests;

pub use call::AggregateCall;

//! Every function by name: the library's, with floe's own where the library's would wrap or be slow.
//!
//! Own: `sum` (widens, exact or an error), `avg` of integers (exact sum).

mod average;
mod average_accumulators;
mod groups;
mod registry;
mod sum;
mod sum_accumulators;

pub use registry::{FunctionRegistry, functions};

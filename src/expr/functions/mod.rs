//! Every function by name: the library's, with floe's own where the library's would wrap or be slow.
//!
//! Own scalar functions lie in `library`, one file for each family.
//!
//! Own aggregates: `sum` (widens, exact or an error), `avg` of integers and decimals (exact sum), `min` and `max` of texts, `bit_and` and the like of BITs, and the aggregates of all values of a group
//! (`median`, quantiles, `mode`, `string_agg`).

mod average;
mod average_accumulators;
mod bitwise;
mod coalesce;
mod coercing;
mod concat;
mod contains;
mod count;
mod counting;
mod gatherers;
mod groups;
mod library;
mod moments;
mod named_cast;
mod nearest;
mod now;
mod registry;
mod series;
mod single_row;
mod sum;
mod sum_accumulators;
mod text_extreme;
mod totals;
mod wrapped;

pub(super) use average_accumulators::unit;
pub(super) use coercing::plain_call;
pub(super) use count::CountGroups;
pub use gatherers::first_row;
pub(super) use groups::counted;
pub use library::bit_operator;
pub(crate) use library::blob::from_base64;
pub use library::catalog::{Entry, entries, function_list};
pub use library::macros::{Macro, TABLE_MACROS, TableMacro, all as macros};
pub(super) use library::{BETWEEN, CONDITION, days_in_month, days_of, moment};
pub use named_cast::NAMED_CAST;
pub use registry::{FunctionRegistry, functions};
pub use single_row::single_row;
pub(super) use sum_accumulators::overflow;
pub(super) use text_extreme::TextExtreme;
pub(super) use totals::{Addend, Compensated, InputType, SumType};

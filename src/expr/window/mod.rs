//! Window functions: from the logical expression to what is computed over the sorted rows of a partition.
//!
//! * `call`: one call of a query, compiled.
//! * `frame`: the frame as data.
//! * `sliding`: aggregates over a frame that moves ([`SlidingAggregate`]): `totals` (sum, avg, count), `extreme`
//!   (min, max), `ordered` (first and last by an order) and `library` (everything else).
//!
//! Nothing here knows where the rows are; that is for `ops::window`.

mod call;
mod extreme;
mod frame;
mod library;
mod ordered;
mod sliding;
mod totals;

pub use call::{WindowCall, WindowFunction};
pub use frame::{Bound, Exclusion, Frame, FrameUnits, Offset};
pub(super) use ordered::ordered_functions;
pub use sliding::{Removal, SlidingAggregate, SlidingInputs, Step};

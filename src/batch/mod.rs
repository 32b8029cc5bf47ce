//! Record batches: what they weigh, where they come from, how their rows hash, how their values read as text.
//!
//! Everything between operators is an Arrow [`RecordBatch`] of a known schema. This module must not know plans or
//! operators.

mod conformed;
pub mod hash;
pub mod logical;
mod memory_source;
pub mod order;
pub mod runtime_filter;
mod series;
mod source;
pub mod text;
mod threshold;
pub mod value;

pub use arrow::record_batch::RecordBatch;
pub use conformed::conformed;
pub use memory_source::MemorySource;
pub use runtime_filter::{KeyFilter, RuntimeFilter};
pub use series::{Series, SeriesSource};
pub use source::{Source, SourceRef, Split, Statistics};
pub use threshold::Threshold;

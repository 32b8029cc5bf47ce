//! Window functions, out of core.
//!
//! One [`Window`] is one order of the rows: it serves every function whose PARTITION BY is the beginning of that order
//! and whose ORDER BY goes on from there.
//!
//! * `lane`: rows go to radix partitions by the keys that all functions partition by; without such keys into sorted
//!   runs, and without any order just into the store.
//! * `source`: each split sorts some radix partitions, in memory or by runs, and reads them out in order.
//! * `pages`: the sorted rows in pages, which wait in the store between the moment when the end of a frame comes to them
//!   and the moment when its start has passed. So neither a partition nor a frame has to fit into memory.
//! * `groups`, `bounds`: where partitions, peers and frames begin and end.
//! * `rank`, `shift`, `value`, `distance`, `slide`: the functions; `exclude` leaves rows out of frames.
//!
//! Positions count the rows of one split in order. For every function both ends of the frame only ever move forward, also
//! from one partition to the next; so each function is a few cursors that move forward over the pages.
//!
//! Invariant: ties are broken by where a row stood in the input, so the answer does not depend on threads, batches or
//! budget.
//!
//! # Known limitation
//! Functions without PARTITION BY are the work of one worker behind the sort.

mod bounds;
mod distance;
mod exclude;
mod groups;
mod lane;
mod layout;
mod pages;
mod range;
mod rank;
mod shift;
mod slide;
mod source;
#[cfg(test)]
mod tests;
mod value;
mod works;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::batch::SourceRef;
use crate::error::Result;
use crate::ops::Sink;
use crate::store::QueryContext;

pub use lane::{WindowPart, WindowWork};
pub use layout::{WindowColumn, WindowOrder, WindowSlot};

use layout::Layout;
use source::WindowSource;

/// Adds the values of window functions to rows.
pub struct Window {
    layout: Arc<Layout>,
}

impl Window {
    /// The functions `calls` over the order `order`; the output's columns are `columns`, of `schema`.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for a key of a type that has no order.
    pub fn new(
        order: WindowOrder,
        calls: Vec<WindowSlot>,
        columns: Vec<WindowColumn>,
        schema: SchemaRef,
    ) -> Result<Self> {
        Ok(Window { layout: Arc::new(Layout::new(order, calls, columns, schema)?) })
    }

    /// For tests: lanes spread their rows once there are more than so many.
    #[cfg(test)]
    fn with_few_rows(mut self, rows: usize) -> Self {
        if let Some(layout) = Arc::get_mut(&mut self.layout) {
            layout.few_rows = rows;
        }
        self
    }
}

impl Sink for Window {
    type Work = WindowWork;
    type Part = WindowPart;

    fn name(&self) -> &'static str {
        "Window"
    }

    fn describe(&self) -> String {
        self.layout.describe()
    }

    fn schema(&self) -> SchemaRef {
        self.layout.output().clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<WindowWork> {
        WindowWork::open(self.layout.clone(), context)
    }

    fn keeps_rows(&self) -> bool {
        true
    }

    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<WindowPart>) -> Result<SourceRef> {
        Ok(Arc::new(WindowSource::new(self.layout.clone(), context.clone(), parts)?))
    }
}

//! What every operator, source and sink of one query may use.

use std::sync::Arc;

use crate::cancel::CancelToken;
use crate::memory::Budget;
use crate::store::{SideTables, Store};

/// The surroundings of one running query.
#[derive(Debug, Clone)]
pub struct QueryContext {
    /// Read at each batch.
    pub cancel: CancelToken,
    /// The session's memory.
    pub budget: Budget,
    /// Where batches wait.
    pub store: Store,
    /// Rows per batch that operators aim at.
    pub batch_size: usize,
    /// Workers of the session: the greatest number of lanes.
    pub threads: usize,
    /// Tables that the query may fill beside its result. `None` where rows are read for estimates only.
    pub side: Option<Arc<SideTables>>,
}

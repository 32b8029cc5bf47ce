//! What every operator, source and sink of one query may use.

use crate::cancel::CancelToken;
use crate::memory::Budget;
use crate::store::Store;

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
}

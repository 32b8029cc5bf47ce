//! The rows with their functions' values: each split sorts its rows and reads them out in order.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use super::lane::{WindowPart, spread};
use super::layout::Layout;
use super::works::Evaluation;
use crate::batch::{Source, Split, Statistics};
use crate::error::{Error, Result};
use crate::ops::partition::Partitions;
use crate::ops::sort::{Run, SortWork, SortedRows};
use crate::store::{Handle, QueryContext};

/// Partitions are sorted together until they have so many rows: fewer are not worth a split.
const ROWS_PER_SPLIT: usize = 64 * 1024;
/// … or take this part of the memory of one worker.
const SPLIT_SHARE: usize = 8;

/// The output of a window operator.
pub(super) struct WindowSource {
    layout: Arc<Layout>,
    context: Arc<QueryContext>,
    /// Each is taken by the split that reads it; the lock is held for that exchange only.
    splits: Vec<Mutex<Option<Waiting>>>,
    rows: u64,
}

/// The rows of one split before they are read.
enum Waiting {
    /// Still to be sorted.
    Unsorted(Vec<Handle>),
    Runs(Vec<Run>),
    /// In the order in which they arrived, which is as good as any.
    AsTheyCame(VecDeque<Handle>),
}

/// Stored rows in their order.
pub(super) enum Ordered {
    Sorted(Box<SortedRows>),
    AsTheyCame(VecDeque<Handle>, Arc<QueryContext>),
}

impl Ordered {
    /// The next batch of stored rows.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        match self {
            Ordered::Sorted(rows) => rows.next(),
            Ordered::AsTheyCame(handles, context) => {
                let Some(handle) = handles.pop_front() else { return Ok(None) };
                context.store.prefetch(handles.front());
                Ok(Some(context.store.take(handle)?.into_batch()))
            }
        }
    }
}

impl WindowSource {
    pub(super) fn new(layout: Arc<Layout>, context: Arc<QueryContext>, parts: Vec<WindowPart>) -> Result<Self> {
        let (mut runs, mut came, mut few) = (Vec::new(), Vec::new(), Vec::new());
        let mut partitions: Option<Partitions> = None;
        for part in parts {
            match part {
                WindowPart::Few(handles) => few.extend(handles),
                WindowPart::Partitions(part) => partitions.get_or_insert_default().append(part),
                WindowPart::Runs(part) => runs.extend(part),
                WindowPart::AsTheyCame(part) => came.extend(part),
            }
        }
        let mut waiting = Vec::new();
        if !runs.is_empty() {
            waiting.push(Waiting::Runs(runs));
        }
        if !came.is_empty() {
            came.sort_by_key(|(sequence, _)| *sequence);
            waiting.push(Waiting::AsTheyCame(came.into_iter().map(|(_, handle)| handle).collect()));
        }
        match partitions {
            None if few.is_empty() => {}
            None => waiting.push(Waiting::Unsorted(few)),
            Some(mut partitions) => {
                partitions.append(spread(&layout, &context, few)?);
                waiting.extend(group(partitions, &context).into_iter().map(Waiting::Unsorted));
            }
        }
        let rows = waiting.iter().map(|waiting| waiting.rows() as u64).sum();
        let splits = waiting.into_iter().map(|waiting| Mutex::new(Some(waiting))).collect();
        Ok(WindowSource { layout, context, splits, rows })
    }
}

/// Partitions as splits: neighbours together while they are small.
fn group(partitions: Partitions, context: &QueryContext) -> Vec<Vec<Handle>> {
    let most_bytes = context.budget.limit() / context.threads.max(1) / SPLIT_SHARE;
    let mut splits: Vec<Vec<Handle>> = Vec::new();
    let (mut rows, mut bytes) = (usize::MAX, usize::MAX);
    for handles in partitions.handles {
        let more_rows: usize = handles.iter().map(Handle::rows).sum();
        let more_bytes: usize = handles.iter().map(Handle::bytes).sum();
        let fits = rows.saturating_add(more_rows) <= ROWS_PER_SPLIT && bytes.saturating_add(more_bytes) <= most_bytes;
        match splits.last_mut() {
            Some(split) if fits => {
                split.extend(handles);
                (rows, bytes) = (rows + more_rows, bytes + more_bytes);
            }
            _ if more_rows == 0 => {}
            _ => {
                splits.push(handles);
                (rows, bytes) = (more_rows, more_bytes);
            }
        }
    }
    splits
}

impl Waiting {
    fn rows(&self) -> usize {
        match self {
            Waiting::Unsorted(handles) => handles.iter().map(Handle::rows).sum(),
            Waiting::Runs(runs) => runs.iter().map(Run::rows).sum(),
            Waiting::AsTheyCame(handles) => handles.iter().map(Handle::rows).sum(),
        }
    }
}

impl Source for WindowSource {
    fn describe(&self) -> String {
        "rows with windows".to_string()
    }

    fn schema(&self) -> SchemaRef {
        self.layout.output().clone()
    }

    fn split_count(&self) -> usize {
        self.splits.len()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let waiting = self.splits.get(index).and_then(|split| split.lock().take());
        let waiting = waiting.ok_or_else(|| Error::internal(format!("split {index} of a window was read twice")))?;
        let (layout, context) = (self.layout.clone(), self.context.clone());
        Ok(Box::new(WindowSplit { layout, context, waiting: Some(waiting), evaluation: None }))
    }

    fn statistics(&self) -> Statistics {
        Statistics { rows: Some(self.rows), bytes: None }
    }
}

struct WindowSplit {
    layout: Arc<Layout>,
    context: Arc<QueryContext>,
    waiting: Option<Waiting>,
    evaluation: Option<Evaluation>,
}

impl WindowSplit {
    fn order(&self, waiting: Waiting) -> Result<Ordered> {
        let keys = match waiting {
            Waiting::AsTheyCame(handles) => return Ok(Ordered::AsTheyCame(handles, self.context.clone())),
            _ => self.layout.sort().ok_or_else(|| Error::internal("a window without keys that was sorted"))?,
        };
        let rows = match waiting {
            Waiting::Runs(runs) => SortedRows::merged(keys, &self.context, runs)?,
            Waiting::Unsorted(handles) => {
                let mut sort = SortWork::open(keys.clone(), usize::MAX, &self.context)?;
                self.context.store.prefetch(&handles);
                for handle in handles {
                    self.context.cancel.check()?;
                    sort.push_wide(self.context.store.take(handle)?.into_batch())?;
                }
                sort.into_rows()?
            }
            Waiting::AsTheyCame(_) => return Err(Error::internal("rows without an order were ordered")),
        };
        Ok(Ordered::Sorted(Box::new(rows)))
    }
}

impl Split for WindowSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(waiting) = self.waiting.take() {
            let rows = self.order(waiting)?;
            self.evaluation = Some(Evaluation::new(&self.layout, &self.context, rows)?);
        }
        let Some(evaluation) = &mut self.evaluation else { return Ok(None) };
        let batch = evaluation.next()?;
        if batch.is_none() {
            self.evaluation = None;
        }
        Ok(batch)
    }
}

//! The ends of the pipelines that write a query's rows into one Parquet file.
//!
//! Two pipelines: in the first every lane encodes row groups of its own, of rows of one split; rows of a split that are
//! too few for a row group wait in the store. The second one reads these, of neighbouring splits together.
//!
//! Invariant: the rows of the file are those of the splits, in the order of the splits.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use super::file::{ParquetFile, WrittenGroup};
use super::group::RowGroup;
use crate::batch::{Source, SourceRef, Split, Statistics, conformed};
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::ops::{Flow, Sink, SinkWork};
use crate::store::{Handle, QueryContext, Store, StoredRows, UseOrder};

/// Rows of a split that are a row group of their own, and bytes that are however few the rows.
const LEAST_ROWS: usize = 64 * 1024;
const LEAST_BYTES: usize = 32 << 20;
/// The bytes are at most this part of the limit.
const LEAST_PART: usize = 16;

/// A row group of rows that waited has at least about so many.
const ROWS_TOGETHER: usize = 128 * 1024;

/// Encodes rows as row groups of a file.
pub struct WriteGroups {
    file: Arc<ParquetFile>,
    // What the second pipeline has to know of the first; set once by `combine`.
    places: Arc<Mutex<Vec<usize>>>,
    last: bool,
}

impl WriteGroups {
    /// The ends of the two pipelines that write `file`.
    pub fn both(file: &Arc<ParquetFile>) -> [Self; 2] {
        let places = Arc::default();
        [false, true].map(|last| WriteGroups { file: file.clone(), places: Arc::clone(&places), last })
    }
}

/// Rows of one split, in their order.
pub enum Piece {
    Written(WrittenGroup),
    Waiting(Vec<Handle>),
}

/// The pieces of all splits that a lane saw, with the numbers of the splits.
type Pieces = Vec<(usize, Piece)>;

impl Sink for WriteGroups {
    type Work = WriteWork;
    type Part = Pieces;

    fn name(&self) -> &'static str {
        "Write"
    }

    fn describe(&self) -> String {
        if self.last { "Parquet, the rest".to_owned() } else { "Parquet".to_owned() }
    }

    fn schema(&self) -> SchemaRef {
        self.file.schema().clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<WriteWork> {
        Ok(WriteWork {
            file: self.file.clone(),
            context: context.clone(),
            last: self.last,
            split: 0,
            waiting: Vec::new(),
            waiting_rows: 0,
            waiting_bytes: 0,
            group: None,
            reservation: context.budget.reservation("Parquet writer"),
            pieces: Vec::new(),
        })
    }

    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<Pieces>) -> Result<SourceRef> {
        let mut pieces: Pieces = parts.into_iter().flatten().collect();
        // Stable: the pieces of one split come from one lane, in order.
        pieces.sort_by_key(|(split, _)| *split);
        if !self.last {
            return Ok(Arc::new(self.rest(context, pieces)));
        }
        let places = std::mem::take(&mut *self.places.lock());
        for (part, (split, piece)) in pieces.into_iter().enumerate() {
            let place = places.get(split).copied();
            match (piece, place) {
                (Piece::Written(group), Some(place)) => self.file.place(place, part, group),
                _ => return Err(Error::internal("rows for a Parquet file that have no place in it")),
            }
        }
        Ok(Arc::new(StoredRows::empty(self.schema())))
    }
}

impl WriteGroups {
    /// The rows that wait, as splits of neighbours; notes the places of these and of the row groups that are written.
    fn rest(&self, context: &QueryContext, pieces: Pieces) -> Rest {
        let waiting = pieces.iter().map(|(_, piece)| match piece {
            Piece::Waiting(handles) => handles.iter().map(Handle::rows).sum(),
            Piece::Written(_) => 0,
        });
        let waiting: usize = waiting.sum();
        let share = waiting / context.threads.max(1) / 2;
        let most = share.max(ROWS_TOGETHER).min(self.file.layout().rows);
        let mut shares: Vec<Vec<Handle>> = Vec::new();
        let (mut places, mut rows) = (Vec::new(), usize::MAX);
        for (place, (_, piece)) in pieces.into_iter().enumerate() {
            match piece {
                Piece::Written(group) => {
                    self.file.place(place, 0, group);
                    rows = usize::MAX;
                }
                Piece::Waiting(handles) => {
                    for handle in handles {
                        if rows >= most {
                            shares.push(Vec::new());
                            places.push(place);
                            rows = 0;
                        }
                        rows += handle.rows();
                        if let Some(share) = shares.last_mut() {
                            share.push(handle);
                        }
                    }
                }
            }
        }
        *self.places.lock() = places;
        let shares = shares.into_iter().map(|share| Mutex::new(share.into_iter())).collect();
        Rest { schema: self.schema(), store: context.store.clone(), shares, rows: waiting }
    }
}

/// Rows that were too few for row groups.
struct Rest {
    schema: SchemaRef,
    store: Store,
    // A split is opened through a shared reference and gives its rows away; locked once.
    shares: Vec<Mutex<std::vec::IntoIter<Handle>>>,
    rows: usize,
}

impl Source for Rest {
    fn describe(&self) -> String {
        format!("rows in small splits ({})", self.rows)
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn split_count(&self) -> usize {
        self.shares.len()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let share = self.shares.get(index).map(|share| std::mem::take(&mut *share.lock())).unwrap_or_default();
        Ok(Box::new(RestSplit { store: self.store.clone(), share }))
    }

    fn statistics(&self) -> Statistics {
        Statistics { rows: u64::try_from(self.rows).ok(), bytes: None }
    }
}

struct RestSplit {
    store: Store,
    share: std::vec::IntoIter<Handle>,
}

impl Split for RestSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(handle) = self.share.next() else { return Ok(None) };
        self.store.prefetch(self.share.as_slice().first());
        Ok(Some(self.store.take(handle)?.into_batch()))
    }
}

/// One lane that writes.
pub struct WriteWork {
    file: Arc<ParquetFile>,
    context: Arc<QueryContext>,
    last: bool,
    split: usize,
    /// Rows of the split that are not yet enough for a row group.
    waiting: Vec<Handle>,
    waiting_rows: usize,
    waiting_bytes: usize,
    group: Option<RowGroup>,
    /// Of the row group.
    reservation: Reservation,
    pieces: Pieces,
}

impl WriteWork {
    /// Whether the rows that wait, and `batch`, are to go on waiting.
    fn waits(&self, batch: &RecordBatch) -> bool {
        let rows = LEAST_ROWS.min(self.file.layout().rows);
        let bytes = LEAST_BYTES.min(self.context.budget.limit() / LEAST_PART);
        !self.last && self.group.is_none() && self.waiting_rows + batch.num_rows() < rows && self.waiting_bytes < bytes
    }

    fn wait(&mut self, batch: RecordBatch) -> Result<()> {
        let order = UseOrder(u32::try_from(self.split).unwrap_or(u32::MAX));
        let handle = self.context.store.put(batch, order)?;
        self.waiting_rows += handle.rows();
        self.waiting_bytes += handle.bytes();
        self.waiting.push(handle);
        Ok(())
    }

    fn take_waiting(&mut self) -> Vec<Handle> {
        (self.waiting_rows, self.waiting_bytes) = (0, 0);
        std::mem::take(&mut self.waiting)
    }

    /// Encodes `batch`, and ends row groups that are full.
    fn encode(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            let group = match &mut self.group {
                Some(group) => group,
                none => none.insert(RowGroup::new(self.file.layout())?),
            };
            let rows = group.room().min(batch.num_rows() - from);
            group.write(self.file.layout(), &batch.slice(from, rows))?;
            from += rows;
            let held = group.bytes();
            let largest = self.file.largest_group(&self.context);
            if group.room() == 0 || held > largest || !self.reservation.try_resize(held) {
                self.end_group()?;
            }
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        if let Some(group) = self.group.take() {
            let written = self.file.append(group)?;
            self.pieces.push((self.split, Piece::Written(written)));
            self.reservation.shrink(self.reservation.bytes());
        }
        Ok(())
    }

    fn end_split(&mut self) -> Result<()> {
        self.end_group()?;
        if !self.waiting.is_empty() {
            let waiting = self.take_waiting();
            self.pieces.push((self.split, Piece::Waiting(waiting)));
        }
        Ok(())
    }
}

impl SinkWork for WriteWork {
    type Part = Pieces;

    fn push(&mut self, split: usize, batch: RecordBatch) -> Result<Flow> {
        self.context.cancel.check()?;
        if split != self.split {
            self.end_split()?;
            self.split = split;
        }
        let batch = conformed(batch, self.file.schema())?;
        if self.waits(&batch) {
            self.wait(batch)?;
            return Ok(Flow::More);
        }
        for handle in self.take_waiting() {
            let waited = self.context.store.take(handle)?;
            self.encode(&waited)?;
        }
        self.encode(&batch)?;
        Ok(Flow::More)
    }

    fn finish(mut self) -> Result<Pieces> {
        self.end_split()?;
        Ok(self.pieces)
    }
}

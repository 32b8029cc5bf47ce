//! Both sides sorted by keys and values, merged: the way of an ASOF join whose right side does not fit in memory.
//!
//! The right side is read once, forward. Of what has been passed only the last row can still be a partner, so at any time
//! there is one right batch in hand, and that row before it.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, Rows, SortField};

use super::AsofJoin;
use super::nearest::{Direction, nearer};
use super::side::AsofSide;
use crate::batch::{Source, SourceRef, Split};
use crate::error::Result;
use crate::ops::join::range::keys::Keys;
use crate::store::{QueryContext, compact};

/// Both sorted sides as one split.
pub(super) struct MergeSource {
    join: Arc<AsofJoin>,
    context: Arc<QueryContext>,
    left: SourceRef,
    right: SourceRef,
}

impl MergeSource {
    pub(super) fn new(join: Arc<AsofJoin>, context: Arc<QueryContext>, left: SourceRef, right: SourceRef) -> Self {
        MergeSource { join, context, left, right }
    }
}

impl Source for MergeSource {
    fn describe(&self) -> String {
        "both sides of an ASOF join, sorted".to_owned()
    }

    fn schema(&self) -> SchemaRef {
        self.join.output.schema.clone()
    }

    fn split_count(&self) -> usize {
        1
    }

    fn open(&self, _index: usize) -> Result<Box<dyn Split>> {
        let fields = |side: &AsofSide, value: bool| {
            let columns = side.sort_columns();
            let columns = columns.start..columns.end - 1 - usize::from(!value);
            columns.map(|index| SortField::new(side.wide().field(index).data_type().clone())).collect()
        };
        let converters = Converters {
            keys: RowConverter::new(fields(&self.join.left, false))?,
            all: RowConverter::new(fields(&self.join.left, true))?,
        };
        Ok(Box::new(MergeSplit {
            left: Reader::new(self.left.clone()),
            right: Reader::new(self.right.clone()),
            join: self.join.clone(),
            context: self.context.clone(),
            converters,
            current: None,
            in_hand: None,
            right_ended: false,
        }))
    }
}

/// All splits of a source, one after the other.
struct Reader {
    source: SourceRef,
    split: Option<Box<dyn Split>>,
    next: usize,
}

impl Reader {
    fn new(source: SourceRef) -> Self {
        Reader { source, split: None, next: 0 }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(split) = &mut self.split {
                match split.next()? {
                    Some(batch) if batch.num_rows() == 0 => continue,
                    Some(batch) => return Ok(Some(batch)),
                    None => self.split = None,
                }
            }
            if self.next >= self.source.split_count() {
                return Ok(None);
            }
            self.split = Some(self.source.open(self.next)?);
            self.next += 1;
        }
    }
}

struct Converters {
    keys: RowConverter,
    /// Of keys and value.
    all: RowConverter,
}

/// A sorted wide batch that can be compared.
struct Sorted {
    wide: RecordBatch,
    keys: Option<Rows>,
    all: Rows,
    values: Keys,
    /// The row that comes next.
    at: usize,
}

impl Sorted {
    fn new(side: &AsofSide, converters: &Converters, wide: RecordBatch) -> Result<Self> {
        let keys = side.keys(&wide);
        let mut columns: Vec<ArrayRef> = keys.to_vec();
        columns.push(side.value(&wide)?.clone());
        let all = converters.all.convert_columns(&columns)?;
        let keys = if keys.is_empty() { None } else { Some(converters.keys.convert_columns(keys)?) };
        let values = Keys::new(side.value(&wide)?)?;
        Ok(Sorted { wide, keys, all, values, at: 0 })
    }

    fn same_key(&self, row: usize, other: &Sorted, other_row: usize) -> bool {
        match (&self.keys, &other.keys) {
            (Some(keys), Some(others)) => keys.row(row).data() == others.row(other_row).data(),
            _ => true,
        }
    }
}

struct MergeSplit {
    join: Arc<AsofJoin>,
    context: Arc<QueryContext>,
    converters: Converters,
    left: Reader,
    right: Reader,
    /// The left batch, from its next row on.
    current: Option<Sorted>,
    /// The right batch. Rows before its next one have been passed; its first may be the last of the batch before.
    in_hand: Option<Sorted>,
    right_ended: bool,
}

impl MergeSplit {
    /// Goes on to the next right batch, which is put behind the last row of the one in hand. False at the end.
    fn load_right(&mut self) -> Result<bool> {
        let Some(next) = self.right.next()? else { return Ok(false) };
        let side = &self.join.right;
        let (wide, at) = match self.in_hand.take() {
            Some(passed) => {
                let last = compact(passed.wide.slice(passed.wide.num_rows() - 1, 1));
                (concat_batches(side.wide(), [&last, &next])?, 1)
            }
            None => (next, 0),
        };
        let mut sorted = Sorted::new(side, &self.converters, wide)?;
        sorted.at = at;
        self.in_hand = Some(sorted);
        Ok(true)
    }

    /// Partners of left rows from the next one on, until the left batch ends or another right batch is needed; whether
    /// one is.
    fn advance(&mut self, partners: &mut Vec<Option<u32>>) -> Result<bool> {
        let Some(left) = &mut self.current else { return Ok(false) };
        let rows = left.wide.num_rows();
        let Some(right) = &mut self.in_hand else {
            partners.resize(rows - left.at, None);
            left.at = rows;
            return Ok(false);
        };
        let complete = self.join.left.complete(&left.wide)?;
        // Right rows that compare so are passed: the last of them is the partner backward, the next one forward.
        let stops_at_equal = Direction::Backward { strict: true } == self.join.direction
            || Direction::Forward { strict: false } == self.join.direction;
        while left.at < rows {
            let row = left.at;
            let wanted = left.all.row(row);
            while right.at < right.wide.num_rows() {
                let ordering = right.all.row(right.at).data().cmp(wanted.data());
                if ordering.is_gt() || (stops_at_equal && ordering.is_eq()) {
                    break;
                }
                right.at += 1;
            }
            if right.at == right.wide.num_rows() && !self.right_ended {
                return Ok(true);
            }
            let of_key = |candidate: &usize| right.same_key(*candidate, left, row);
            let before = right.at.checked_sub(1).filter(of_key);
            let behind = Some(right.at).filter(|&at| at < right.wide.num_rows()).filter(of_key);
            let partner = match self.join.direction {
                Direction::Backward { .. } => before,
                Direction::Forward { .. } => behind,
                Direction::Nearest => nearer(&left.values, row, &right.values, before, behind),
            };
            let is_complete = complete.as_ref().is_none_or(|complete| complete.is_valid(row));
            // A row of a batch, which has fewer than 2^32.
            partners.push(partner.filter(|_| is_complete).map(|partner| partner as u32));
            left.at += 1;
        }
        Ok(false)
    }
}

impl Split for MergeSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            self.context.cancel.check()?;
            if self.current.as_ref().is_none_or(|left| left.at == left.wide.num_rows()) {
                let Some(wide) = self.left.next()? else { return Ok(None) };
                self.current = Some(Sorted::new(&self.join.left, &self.converters, wide)?);
            }
            let start = self.current.as_ref().map_or(0, |left| left.at);
            let mut partners = Vec::new();
            let wants_more = (self.in_hand.is_none() && !self.right_ended) || self.advance(&mut partners)?;
            let output = self.output(start, partners)?;
            if wants_more && !self.load_right()? {
                self.right_ended = true;
            }
            if let Some(output) = output.filter(|output| output.num_rows() > 0) {
                return Ok(Some(output));
            }
        }
    }
}

impl MergeSplit {
    /// The output of left rows from `start` on with these partners in the right batch in hand.
    fn output(&self, start: usize, partners: Vec<Option<u32>>) -> Result<Option<RecordBatch>> {
        let Some(left) = self.current.as_ref().filter(|_| !partners.is_empty()) else { return Ok(None) };
        let rows = self.join.left.narrow(&left.wide.slice(start, partners.len()))?;
        let right = match &self.in_hand {
            Some(right) => self.join.right.narrow(&right.wide)?,
            None => RecordBatch::new_empty(self.join.right.schema().clone()),
        };
        self.join.with_partners(&rows, &right, UInt32Array::from(partners)).map(Some)
    }
}

//! Functions of where a row stands in its partition: they need no frame, only where groups begin and end.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array};

use super::bounds::{Current, Frames};
use super::groups::Span;
use super::layout::Slot;
use super::pages::Pages;
use super::works::FunctionWork;
use crate::error::{Error, Result};
use crate::expr::WindowFunction;

/// One rank function; all but `dense_rank` remember nothing.
pub(super) struct Rank {
    function: WindowFunction,
    partition: usize,
    peers: usize,
    /// The dense rank of the last row.
    dense: u64,
}

impl Rank {
    pub(super) fn new(slot: &Slot) -> Self {
        let function = slot.call.function().clone();
        Rank { function, partition: slot.partition, peers: slot.peers, dense: 0 }
    }

    fn row_numbers(&self, current: &Current) -> Result<ArrayRef> {
        let mut values = Vec::with_capacity(current.rows());
        for span in current.level(self.partition)?.spans() {
            let first = current.page.start + u64::from(span.from) - span.start + 1;
            values.extend(first..first + u64::from(span.to - span.from));
        }
        Ok(counts(values))
    }

    /// One value for each group of peers, from the group, its end and its partition with its end.
    fn by_peers<V: Copy>(
        &mut self,
        current: &Current,
        pages: &mut Pages,
        (partition_limit, peer_limit): (u64, u64),
        mut value: impl FnMut(&mut Self, (Span, u64), (Span, u64)) -> V,
    ) -> Result<Vec<V>> {
        let partitions = current.with_ends(self.partition, pages, partition_limit)?;
        let mut partitions = partitions.into_iter().peekable();
        let mut values = Vec::with_capacity(current.rows());
        for peers in current.with_ends(self.peers, pages, peer_limit)? {
            while partitions.peek().is_some_and(|(partition, _)| partition.to <= peers.0.from) {
                partitions.next();
            }
            let partition = *partitions.peek().ok_or_else(|| Error::internal("a group outside of its partition"))?;
            let value = value(self, peers, partition);
            values.extend(std::iter::repeat_n(value, (peers.0.to - peers.0.from) as usize));
        }
        Ok(values)
    }

    fn dense_rank(&mut self, peers: Span, partition: Span) -> u64 {
        if peers.start == partition.start {
            self.dense = 1;
        } else if peers.begins {
            self.dense += 1;
        }
        self.dense
    }

    fn ntiles(&self, buckets: u64, current: &Current, pages: &mut Pages) -> Result<ArrayRef> {
        let mut values = Vec::with_capacity(current.rows());
        for (span, end) in current.with_ends(self.partition, pages, u64::MAX)? {
            let rows = end - span.start;
            // The first buckets have one row more than the others.
            let (least, larger) = (rows / buckets, rows % buckets);
            let in_larger = larger * (least + 1);
            let first = current.page.start + u64::from(span.from) - span.start;
            values.extend((first..first + u64::from(span.to - span.from)).map(|row| match row < in_larger {
                true => row / (least + 1) + 1,
                false => larger + (row - in_larger) / least.max(1) + 1,
            }));
        }
        Ok(counts(values))
    }
}

/// Numbers of rows as BIGINTs.
fn counts(values: Vec<u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.into_iter().map(u64::cast_signed)))
}

impl FunctionWork for Rank {
    fn evaluate(&mut self, current: &Current, _frames: Option<&Frames>, pages: &mut Pages) -> Result<ArrayRef> {
        const NEITHER: (u64, u64) = (0, 0);
        Ok(match self.function {
            WindowFunction::RowNumber => self.row_numbers(current)?,
            WindowFunction::Rank => {
                let rank = |_: &mut Self, (peers, _): (Span, u64), (partition, _): (Span, u64)| {
                    peers.start - partition.start + 1
                };
                counts(self.by_peers(current, pages, NEITHER, rank)?)
            }
            WindowFunction::DenseRank => {
                let rank = |work: &mut Self, (peers, _): (Span, u64), (partition, _): (Span, u64)| {
                    work.dense_rank(peers, partition)
                };
                counts(self.by_peers(current, pages, NEITHER, rank)?)
            }
            WindowFunction::PercentRank => {
                let rank = |_: &mut Self, (peers, _): (Span, u64), (partition, end): (Span, u64)| {
                    let others = end - partition.start - 1;
                    if others == 0 { 0.0 } else { (peers.start - partition.start) as f64 / others as f64 }
                };
                Arc::new(Float64Array::from(self.by_peers(current, pages, (u64::MAX, 0), rank)?))
            }
            WindowFunction::CumeDist => {
                let part = |_: &mut Self, (_, peers_end): (Span, u64), (partition, end): (Span, u64)| {
                    (peers_end - partition.start) as f64 / (end - partition.start) as f64
                };
                Arc::new(Float64Array::from(self.by_peers(current, pages, (u64::MAX, u64::MAX), part)?))
            }
            WindowFunction::Ntile(buckets) => self.ntiles(buckets, current, pages)?,
            _ => return Err(Error::internal("a function that is no rank")),
        })
    }

    fn needs_from(&self) -> u64 {
        u64::MAX
    }
}

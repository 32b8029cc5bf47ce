//! The sorted rows of a split in pages, from the first that some function still needs to the last that one has asked for.
//!
//! A few pages are in memory; those beyond wait in the store, which writes the last ones to disk first.
//!
//! Invariant: pages are pulled in order, each once; a page that was released is never asked for again.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::buffer::BooleanBuffer;
use arrow::record_batch::RecordBatch;

use super::groups::Boundaries;
use super::layout::Layout;
use super::source::Ordered;
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::store::{Handle, Loaded, QueryContext, UseOrder, batch_bytes, compact};

/// Pages that stay in memory; the ones ahead of them wait in the store.
const RESIDENT: usize = 3;

/// Pages that are read ahead when one behind disk is loaded.
const READ_AHEAD: usize = 4;

/// The pages of a split.
pub(super) struct Pages {
    context: Arc<QueryContext>,
    layout: Arc<Layout>,
    rows: Ordered,
    boundaries: Boundaries,
    pages: VecDeque<Page>,
    resident: usize,
    /// The position behind the last page that was pulled.
    end: u64,
    is_complete: bool,
    reservation: Reservation,
}

struct Page {
    start: u64,
    rows: usize,
    place: Place,
    /// For each level the offset of the first group that begins here.
    firsts: Vec<Option<u32>>,
}

enum Place {
    Resident(RecordBatch, usize),
    Stored(Handle),
}

/// A page that somebody reads.
pub(super) struct PageView {
    pub(super) start: u64,
    batch: Held,
}

enum Held {
    Resident(RecordBatch),
    Stored(Loaded),
}

impl Deref for PageView {
    type Target = RecordBatch;

    fn deref(&self) -> &RecordBatch {
        match &self.batch {
            Held::Resident(batch) => batch,
            Held::Stored(loaded) => loaded,
        }
    }
}

impl PageView {
    /// The position behind its last row.
    pub(super) fn end(&self) -> u64 {
        self.start + self.num_rows() as u64
    }

    /// Where in the page `position` is; `None` when it is not in it.
    pub(super) fn offset(&self, position: u64) -> Option<usize> {
        let offset = usize::try_from(position.checked_sub(self.start)?).ok()?;
        (offset < self.num_rows()).then_some(offset)
    }
}

impl Pages {
    pub(super) fn new(layout: Arc<Layout>, context: Arc<QueryContext>, rows: Ordered) -> Self {
        let reservation = context.budget.reservation("Window");
        Pages {
            context,
            layout,
            rows,
            boundaries: Boundaries::default(),
            pages: VecDeque::new(),
            resident: 0,
            end: 0,
            is_complete: false,
            reservation,
        }
    }

    pub(super) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Pulls the next page; false when there is none.
    fn pull(&mut self) -> Result<bool> {
        if self.is_complete {
            return Ok(false);
        }
        self.context.cancel.check()?;
        let stored = loop {
            match self.rows.next()? {
                None => {
                    self.is_complete = true;
                    return Ok(false);
                }
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => break batch,
            }
        };
        let (batch, firsts) = self.layout.page(&stored, &mut self.boundaries)?;
        drop(stored);
        let rows = batch.num_rows();
        let place = self.place(batch)?;
        self.pages.push_back(Page { start: self.end, rows, place, firsts });
        self.end += rows as u64;
        Ok(true)
    }

    fn place(&mut self, batch: RecordBatch) -> Result<Place> {
        let bytes = batch_bytes(&batch);
        if self.resident < RESIDENT && self.reservation.try_grow(bytes) {
            self.resident += 1;
            return Ok(Place::Resident(batch, bytes));
        }
        let order = UseOrder(u32::try_from(self.pages.len()).unwrap_or(u32::MAX));
        Ok(Place::Stored(self.context.store.put(compact(batch), order)?))
    }

    /// The page of `position`; `None` when the rows end before it.
    pub(super) fn at(&mut self, position: u64) -> Result<Option<PageView>> {
        while position >= self.end {
            if !self.pull()? {
                return Ok(None);
            }
        }
        let index = self.pages.partition_point(|page| page.start <= position).checked_sub(1);
        let released = || Error::internal("a window's page was asked for after its release");
        let index = index.ok_or_else(released)?;
        let page = self.pages.get(index).ok_or_else(released)?;
        let batch = match &page.place {
            Place::Resident(batch, _) => Held::Resident(batch.clone()),
            Place::Stored(handle) => {
                let loaded = self.context.store.get(handle)?;
                let ahead = self.pages.range(index + 1..).take(READ_AHEAD);
                self.context.store.prefetch(ahead.filter_map(|page| match &page.place {
                    Place::Stored(handle) => Some(handle),
                    Place::Resident(..) => None,
                }));
                Held::Stored(loaded)
            }
        };
        Ok(Some(PageView { start: page.start, batch }))
    }

    /// Whether the rows go on at `position`.
    pub(super) fn has(&mut self, position: u64) -> Result<bool> {
        while position >= self.end {
            if !self.pull()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Forgets the pages that end at or before `position`.
    pub(super) fn release(&mut self, position: u64) {
        while let Some(page) = self.pages.front()
            && page.start + page.rows as u64 <= position
        {
            if let Some(Page { place: Place::Resident(_, bytes), .. }) = self.pages.pop_front() {
                self.reservation.shrink(bytes);
                self.resident -= 1;
            }
        }
    }

    /// Where the first group of `level` at or behind `from` begins, or `limit` if none does before it. The end of all
    /// rows counts as a beginning.
    pub(super) fn next_group(&mut self, level: usize, from: u64, limit: u64) -> Result<u64> {
        let mut position = from;
        while position < limit {
            if !self.has(position)? {
                return Ok(self.end);
            }
            let index = self.pages.partition_point(|page| page.start <= position).saturating_sub(1);
            let Some(page) = self.pages.get(index) else { break };
            let end = page.start + page.rows as u64;
            let first = match page.firsts.get(level).copied().flatten() {
                Some(first) if page.start + u64::from(first) >= position => Some(page.start + u64::from(first)),
                // Groups begin here, but maybe all of them before `position`.
                Some(_) => self.next_in_page(level, position)?,
                None => None,
            };
            match first {
                Some(first) => return Ok(first.min(limit)),
                None => position = end,
            }
        }
        Ok(limit)
    }

    fn next_in_page(&mut self, level: usize, position: u64) -> Result<Option<u64>> {
        let Some(page) = self.at(position)? else { return Ok(None) };
        let bits = level_bits(&page, self.layout.level_column(level))?;
        let from = page.offset(position).unwrap_or(0);
        let first = bits.slice(from, bits.len() - from).set_indices().next();
        Ok(first.map(|first| position + first as u64))
    }

    /// The bits of a page that say where groups of `level` begin.
    pub(super) fn bits(&self, page: &RecordBatch, level: usize) -> Result<BooleanBuffer> {
        level_bits(page, self.layout.level_column(level))
    }
}

fn level_bits(page: &RecordBatch, column: usize) -> Result<BooleanBuffer> {
    let bits = page.columns().get(column).and_then(|column| column.as_boolean_opt());
    bits.map(|bits| bits.values().clone()).ok_or_else(|| Error::internal("a page without its groups"))
}

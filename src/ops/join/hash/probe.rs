//! Probing a table with one batch, in pieces: however many rows match, an output batch has about `batch_size` rows.
//!
//! `begin` looks all keys up; then `next` gives batches until there is none. Where no pair has to be looked at one by
//! one (unique build keys, or only whether there is a match), one batch answers at once and columns pass uncopied where
//! they can; else pairs are enumerated, the residual condition is evaluated on them, and what matched is noted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::record_batch::RecordBatch;

use super::gather::RowList;
use super::keys::valid_keys;
use super::output::{BuildRows, ProbeRows, assemble, assemble_columns};
use super::spec::{Keep, Shape, Spec};
use super::table::Table;
use crate::error::Result;
use crate::expr::Selection;
use crate::store::QueryContext;

/// Whether a side has rows at all, and whether one of its keys is NULL; for null-aware joins.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SideFacts {
    pub(super) any: bool,
    pub(super) null: bool,
}

/// Which of the passes over a probe batch this is, where the build side comes in blocks.
#[derive(Debug, Clone, Default)]
pub(super) struct Pass {
    /// Probe rows that matched in an earlier pass; empty in the first.
    pub(super) matched: Vec<bool>,
    /// More passes follow: unmatched rows are not known yet.
    pub(super) more: bool,
}

/// The keys of a batch.
pub(super) struct ProbeBatch {
    /// As the probe side's layout arranges them.
    pub(super) columns: Vec<ArrayRef>,
    pub(super) rows: usize,
    /// Canonical.
    pub(super) keys: Vec<ArrayRef>,
    /// Rows without a NULL key; `None` for all.
    pub(super) valid: Option<NullBuffer>,
}

impl ProbeBatch {
    pub(super) fn new(spec: &Spec, columns: Vec<ArrayRef>, rows: usize) -> Result<Self> {
        let keys = spec.probe.keys(&columns)?;
        let valid = if spec.null_equal { None } else { valid_keys(&keys) };
        Ok(ProbeBatch { columns, rows, keys, valid })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Done,
    /// One batch answers.
    Whole,
    /// Pairs one after the other.
    Pairs,
    /// Probe rows by whether they matched.
    Rest,
}

/// One lane's state of probing.
pub(super) struct Prober {
    spec: Arc<Spec>,
    context: Arc<QueryContext>,
    build: SideFacts,
    batch: ProbeBatch,
    stage: Stage,
    more: bool,
    /// For each probe row, the first build row (plus one) of its key.
    heads: Vec<u32>,
    hashes: Vec<u64>,
    /// The probe row to go on with, and the build row of its chain (0: the first).
    cursor: usize,
    chain: u32,
    matched: Vec<bool>,
    pair_probe: Vec<u32>,
    pair_build: Vec<u32>,
}

impl Prober {
    pub(super) fn new(spec: Arc<Spec>, context: Arc<QueryContext>, build: SideFacts) -> Self {
        Prober {
            spec,
            context,
            build,
            batch: ProbeBatch { columns: Vec::new(), rows: 0, keys: Vec::new(), valid: None },
            stage: Stage::Done,
            more: false,
            heads: Vec::new(),
            hashes: Vec::new(),
            cursor: 0,
            chain: 0,
            matched: Vec::new(),
            pair_probe: Vec::new(),
            pair_build: Vec::new(),
        }
    }

    /// Looks the keys of `batch` up; `hashes` where the caller has them.
    pub(super) fn begin(
        &mut self,
        table: &Table,
        batch: ProbeBatch,
        hashes: Option<Vec<u64>>,
        pass: Pass,
    ) -> Result<()> {
        if table.rows() == 0 {
            self.heads.clear();
            self.heads.resize(batch.rows, 0);
        } else {
            match hashes {
                Some(hashes) => self.hashes = hashes,
                None if table.index().needs_hashes() => self.spec.hash(&batch.keys, batch.rows, &mut self.hashes)?,
                None => {}
            }
            let keys = self.spec.form.keys(&batch.keys, batch.rows)?;
            table.index().find(&keys, &self.hashes, &mut self.heads)?;
            if let Some(valid) = &batch.valid {
                let heads = self.heads.iter_mut().enumerate();
                heads.filter(|(row, _)| valid.is_null(*row)).for_each(|(_, head)| *head = 0);
            }
        }
        let one_pass = !pass.more && pass.matched.is_empty();
        let by_key = self.spec.residual.is_none()
            && match self.spec.shape {
                Shape::Pairs { .. } => one_pass && table.chains().is_unique(),
                Shape::Probe(_) => one_pass,
                Shape::Build(_) => true,
            };
        self.stage = if by_key { Stage::Whole } else { Stage::Pairs };
        self.more = pass.more;
        self.matched = pass.matched;
        if !by_key {
            self.matched.resize(batch.rows, false);
        }
        (self.cursor, self.chain) = (0, 0);
        self.batch = batch;
        Ok(())
    }

    /// Which rows of the batch have matched so far.
    pub(super) fn take_matched(&mut self) -> Vec<bool> {
        std::mem::take(&mut self.matched)
    }

    /// The next output batch; `None` when the batch has been answered.
    pub(super) fn next(&mut self, table: &Table) -> Result<Option<RecordBatch>> {
        loop {
            match self.stage {
                Stage::Done => return Ok(None),
                Stage::Whole => {
                    self.stage = Stage::Done;
                    return self.whole(table);
                }
                Stage::Pairs => {
                    self.context.cancel.check()?;
                    self.collect_pairs(table);
                    if self.pair_probe.is_empty() {
                        self.stage = if self.more { Stage::Done } else { Stage::Rest };
                        continue;
                    }
                    self.apply_residual(table)?;
                    self.note_matches(table);
                    if matches!(self.spec.shape, Shape::Pairs { .. }) && !self.pair_probe.is_empty() {
                        return self.emit_pairs(table).map(Some);
                    }
                }
                Stage::Rest => {
                    self.stage = Stage::Done;
                    return self.rest();
                }
            }
        }
    }

    /// Answers the batch by its heads alone.
    fn whole(&mut self, table: &Table) -> Result<Option<RecordBatch>> {
        match self.spec.shape {
            Shape::Build(_) => {
                self.mark_chains(table);
                Ok(None)
            }
            Shape::Probe(keep) => {
                let heads = &self.heads;
                let matched = BooleanBuffer::collect_bool(heads.len(), |row| heads[row] != 0);
                self.keep_probe(keep, matched)
            }
            Shape::Pairs { probe_outer, build_outer } => {
                if build_outer {
                    self.heads.iter().filter(|&&head| head != 0).for_each(|&head| {
                        table.mark(head);
                    });
                }
                self.unique_pairs(table, probe_outer)
            }
        }
    }

    fn unique_pairs(&mut self, table: &Table, probe_outer: bool) -> Result<Option<RecordBatch>> {
        let rows = self.heads.len();
        let found = self.heads.iter().filter(|&&head| head != 0).count();
        if found == rows || probe_outer {
            let list = RowList { rows: &self.heads, optional: found < rows };
            let probe = ProbeRows::All(&self.batch.columns);
            return assemble(&self.spec, rows, probe, BuildRows::Table(table, list), None).map(Some);
        }
        if found == 0 {
            return Ok(None);
        }
        self.pair_probe.clear();
        self.pair_build.clear();
        for (row, &head) in (0u32..).zip(&self.heads) {
            if head != 0 {
                self.pair_probe.push(row);
                self.pair_build.push(head);
            }
        }
        self.emit_pairs(table).map(Some)
    }

    /// Marks all build rows of every key that was found.
    fn mark_chains(&self, table: &Table) {
        let links = table.chains().links();
        for &head in self.heads.iter().filter(|&&head| head != 0) {
            let mut row = head;
            // All rows of a key are marked together, the first one first.
            while row != 0 && !table.mark(row) {
                row = links.get(row as usize - 1).map_or(0, |link| link.load(Ordering::Relaxed));
            }
        }
    }

    /// The next pairs of rows with equal keys, about a batch of them.
    fn collect_pairs(&mut self, table: &Table) {
        self.pair_probe.clear();
        self.pair_build.clear();
        let most = self.context.batch_size.max(1);
        let links = table.chains().links();
        let first_match_is_enough = matches!(self.spec.shape, Shape::Probe(_));
        let marked_is_enough = matches!(self.spec.shape, Shape::Build(_));
        while self.cursor < self.heads.len() && self.pair_probe.len() < most {
            let row = if self.chain == 0 { self.heads[self.cursor] } else { self.chain };
            if row == 0 || first_match_is_enough && self.matched[self.cursor] {
                (self.cursor, self.chain) = (self.cursor + 1, 0);
                continue;
            }
            if !(marked_is_enough && table.is_marked(row)) {
                self.pair_probe.push(self.cursor as u32);
                self.pair_build.push(row);
            }
            self.chain = links.get(row as usize - 1).map_or(0, |link| link.load(Ordering::Relaxed));
            if self.chain == 0 {
                self.cursor += 1;
            }
        }
    }

    /// Drops the pairs that the residual condition does not select.
    fn apply_residual(&mut self, table: &Table) -> Result<()> {
        let Some((condition, columns, schema)) = &self.spec.residual else { return Ok(()) };
        let chosen = UInt32Array::from(self.pair_probe.clone());
        let probe = ProbeRows::Some(&self.batch.columns, &chosen);
        let list = RowList { rows: &self.pair_build, optional: false };
        let rows = self.pair_probe.len();
        let batch = assemble_columns(columns, schema, rows, probe, BuildRows::Table(table, list), None)?;
        match condition.predicate(&batch)? {
            Selection::All => {}
            Selection::None => {
                self.pair_probe.clear();
                self.pair_build.clear();
            }
            Selection::Some(mask) => {
                keep_selected(&mut self.pair_probe, &mask);
                keep_selected(&mut self.pair_build, &mask);
            }
        }
        Ok(())
    }

    fn note_matches(&mut self, table: &Table) {
        match self.spec.shape {
            Shape::Pairs { probe_outer: false, .. } | Shape::Build(_) => {}
            _ => self.pair_probe.iter().for_each(|&row| self.matched[row as usize] = true),
        }
        if self.spec.shape.tracks_build() {
            self.pair_build.iter().for_each(|&row| {
                table.mark(row);
            });
        }
    }

    fn emit_pairs(&mut self, table: &Table) -> Result<RecordBatch> {
        let rows = self.pair_probe.len();
        let chosen = UInt32Array::from(std::mem::take(&mut self.pair_probe));
        let list = RowList { rows: &self.pair_build, optional: false };
        let probe = ProbeRows::Some(&self.batch.columns, &chosen);
        assemble(&self.spec, rows, probe, BuildRows::Table(table, list), None)
    }

    /// The probe rows that come out by whether they matched.
    fn rest(&mut self) -> Result<Option<RecordBatch>> {
        let matched = BooleanBuffer::collect_bool(self.matched.len(), |row| self.matched[row]);
        match self.spec.shape {
            Shape::Pairs { probe_outer: true, .. } => self.emit_probe(&!&matched),
            Shape::Probe(keep) => self.keep_probe(keep, matched),
            Shape::Pairs { .. } | Shape::Build(_) => Ok(None),
        }
    }

    fn keep_probe(&self, keep: Keep, matched: BooleanBuffer) -> Result<Option<RecordBatch>> {
        match keep {
            Keep::Matched => self.emit_probe(&matched),
            Keep::Unmatched if !self.spec.null_aware || !self.build.any => self.emit_probe(&!&matched),
            Keep::Unmatched if self.build.null => Ok(None),
            Keep::Unmatched => match &self.batch.valid {
                None => self.emit_probe(&!&matched),
                Some(valid) => self.emit_probe(&(&!&matched & valid.inner())),
            },
            Keep::Marked => {
                let rows = matched.len();
                let mark = marks(matched, self.batch.valid.as_ref(), self.spec.null_aware, self.build);
                let probe = ProbeRows::All(&self.batch.columns);
                assemble(&self.spec, rows, probe, BuildRows::None, Some(&mark)).map(Some)
            }
        }
    }

    fn emit_probe(&self, chosen: &BooleanBuffer) -> Result<Option<RecordBatch>> {
        let rows = chosen.count_set_bits();
        if rows == 0 {
            return Ok(None);
        }
        if rows == chosen.len() {
            let probe = ProbeRows::All(&self.batch.columns);
            return assemble(&self.spec, rows, probe, BuildRows::None, None).map(Some);
        }
        let chosen: UInt32Array = chosen.set_indices().map(|row| row as u32).collect();
        let probe = ProbeRows::Some(&self.batch.columns, &chosen);
        assemble(&self.spec, rows, probe, BuildRows::None, None).map(Some)
    }
}

/// The marks of rows: whether they matched, or NULL where a null-aware join cannot tell. `valid` are the rows without
/// a NULL key, `other` is what is known of the other side.
pub(super) fn marks(
    matched: BooleanBuffer,
    valid: Option<&NullBuffer>,
    null_aware: bool,
    other: SideFacts,
) -> BooleanArray {
    if !null_aware || !other.any {
        return BooleanArray::new(matched, None);
    }
    let known = match (other.null, valid) {
        (true, _) => matched.clone(),
        (false, Some(valid)) => &matched | valid.inner(),
        (false, None) => return BooleanArray::new(matched, None),
    };
    BooleanArray::new(matched, Some(NullBuffer::new(known)))
}

fn keep_selected(rows: &mut Vec<u32>, mask: &BooleanArray) {
    let mut kept = 0;
    for index in mask.values().set_indices() {
        rows[kept] = rows[index];
        kept += 1;
    }
    rows.truncate(kept);
}

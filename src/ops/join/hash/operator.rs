//! The probe side: a streaming operator over the table that the build side left.
//!
//! Rows of partitions that are not in memory are written to the store by partition and joined at the end, pair by pair.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::build::{BuildState, Slot};
use super::keys::valid_keys;
use super::probe::{Pass, ProbeBatch, Prober, SideFacts};
use super::rest::JoinRest;
use super::spec::{Keep, Shape, Spec};
use crate::batch::SourceRef;
use crate::error::{Error, Result};
use crate::ops::partition::{PartitionWriter, Partitions};
use crate::ops::{Emit, Flow, Operator, Work, WorkPart};
use crate::store::QueryContext;

/// Probes a table with the rows that pass.
pub struct HashJoinProbe {
    spec: Arc<Spec>,
    slot: Slot,
    facts: Arc<ProbeFacts>,
}

/// What null-aware joins ask about all probe rows.
#[derive(Debug, Default)]
struct ProbeFacts {
    any: AtomicBool,
    null: AtomicBool,
}

impl HashJoinProbe {
    pub(super) fn new(spec: Arc<Spec>, slot: Slot) -> Self {
        HashJoinProbe { spec, slot, facts: Arc::default() }
    }
}

impl Operator for HashJoinProbe {
    fn name(&self) -> &'static str {
        "HashJoin"
    }

    fn describe(&self) -> String {
        self.spec.description.clone()
    }

    fn schema(&self) -> SchemaRef {
        self.spec.schema.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<Box<dyn Work>> {
        let state = self.slot.lock().clone();
        let state = state.ok_or_else(|| Error::internal("a join that probes before its build side has finished"))?;
        let prober = Prober::new(self.spec.clone(), context.clone(), state.facts);
        Ok(Box::new(ProbeWork {
            spec: self.spec.clone(),
            context: context.clone(),
            facts: self.facts.clone(),
            prober,
            state,
            writer: None,
            hashes: Vec::new(),
        }))
    }

    fn holds_back(&self) -> bool {
        true
    }

    fn rest(&self, context: &Arc<QueryContext>, parts: Vec<WorkPart>) -> Result<SourceRef> {
        let state = self.slot.lock().take();
        let state = state.ok_or_else(|| Error::internal("a join whose build side is gone"))?;
        let mut away = Partitions::default();
        for part in parts {
            let part = part.downcast::<Partitions>();
            away.append(*part.map_err(|_| Error::internal("a part of another operator"))?);
        }
        let facts =
            SideFacts { any: self.facts.any.load(Ordering::Relaxed), null: self.facts.null.load(Ordering::Relaxed) };
        Ok(Arc::new(JoinRest::new(self.spec.clone(), context.clone(), state, facts, away.handles)))
    }
}

/// One lane of the probe side.
struct ProbeWork {
    spec: Arc<Spec>,
    context: Arc<QueryContext>,
    facts: Arc<ProbeFacts>,
    state: Arc<BuildState>,
    prober: Prober,
    writer: Option<PartitionWriter>,
    hashes: Vec<u64>,
}

impl ProbeWork {
    /// Whether no row that may come can change the answer.
    fn is_futile(&self) -> bool {
        match self.spec.shape {
            Shape::Probe(Keep::Unmatched) => self.spec.null_aware && self.state.facts.null,
            shape => !self.state.facts.any && !shape.keeps_unmatched_probe(),
        }
    }

    fn note_facts(&self, batch: &ProbeBatch) -> Result<()> {
        if self.spec.null_aware {
            self.facts.any.store(true, Ordering::Relaxed);
            if batch.valid.is_some() || valid_keys(&batch.keys).is_some() {
                self.facts.null.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Puts the rows of partitions that are not in memory aside; the others, with their hashes.
    fn part(&mut self, batch: ProbeBatch) -> Result<(ProbeBatch, Option<Vec<u64>>)> {
        let (resident, radix) = (self.state.resident, self.state.radix);
        if resident >= radix.count() {
            return Ok((batch, None));
        }
        self.spec.hash(&batch.keys, batch.rows, &mut self.hashes)?;
        let hashes = &self.hashes;
        let is_near = |row: usize| {
            radix.of(hashes[row]) < resident || batch.valid.as_ref().is_some_and(|valid| valid.is_null(row))
        };
        let near = BooleanBuffer::collect_bool(batch.rows, is_near);
        if near.count_set_bits() == batch.rows {
            return Ok((batch, Some(std::mem::take(&mut self.hashes))));
        }
        let chosen = |bits: &BooleanBuffer| bits.set_indices().map(|row| hashes[row]).collect::<Vec<u64>>();
        let far = !&near;
        let (near_hashes, far_hashes) = (chosen(&near), chosen(&far));
        let far = BooleanArray::new(far, None);
        let columns =
            batch.columns.iter().map(|column| Ok(filter(column, &far)?)).collect::<Result<Vec<ArrayRef>>>()?;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(PartitionWriter::new(&self.context, &self.spec.probe.stored, radix, 0)?),
        };
        writer.push(&columns, &far_hashes)?;
        let rows = near_hashes.len();
        let near = BooleanArray::new(near, None);
        let columns =
            batch.columns.iter().map(|column| Ok(filter(column, &near)?)).collect::<Result<Vec<ArrayRef>>>()?;
        Ok((ProbeBatch::new(&self.spec, columns, rows)?, Some(near_hashes)))
    }
}

impl Work for ProbeWork {
    fn push(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        if self.is_futile() {
            return Ok(Flow::Done);
        }
        let columns = self.spec.probe.arrange(&batch)?;
        let batch = ProbeBatch::new(&self.spec, columns, batch.num_rows())?;
        self.note_facts(&batch)?;
        let (batch, hashes) = self.part(batch)?;
        if batch.rows == 0 {
            return Ok(Flow::More);
        }
        self.prober.begin(&self.state.table, batch, hashes, Pass::default())?;
        while let Some(batch) = self.prober.next(&self.state.table)? {
            if out(batch)? == Flow::Done {
                return Ok(Flow::Done);
            }
        }
        Ok(Flow::More)
    }

    fn finish(self: Box<Self>) -> Result<WorkPart> {
        let partitions = self.writer.map_or(Ok(Partitions::default()), PartitionWriter::finish)?;
        Ok(Box::new(partitions))
    }
}

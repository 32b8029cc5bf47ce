//! SAMPLE: a random part of the rows.
//!
//! Whether a row stays depends on the seed, its split and its place in the split, so a sample is the same for a seed
//! whatever the threads and batches. [`Chosen`] cuts a source down while it is read; [`Sample`] does so in front of
//! another sink, for rows that come out of operators, and can add each row's random number, by which a sort takes
//! exactly n of them.
//!
//! # Known limitation
//! Rows of an aggregation, a join or a set operation come in no fixed order; a seed does not fix their sample.

mod choose;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::batch::{Source, SourceRef, Split, Statistics};
use crate::error::Result;
use crate::ops::{DynSink, DynSinkWork, Flow, Sink, SinkPart, SinkWork};
use crate::store::QueryContext;
use choose::Chooser;

/// How the rows of a sample are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Each row for itself, with this probability.
    Rows(f64),
    /// Whole runs of some thousand rows, with this probability.
    Blocks(f64),
    /// This share of every run of some thousand rows, exactly.
    Share(f64),
    /// All rows, each with its random number in a last column.
    Numbered,
}

/// The name of the column with the random numbers.
pub const NUMBER: &str = "random number";

/// A method and its seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleSpec {
    pub method: Method,
    pub seed: u64,
}

impl SampleSpec {
    /// The schema of the sample of rows of `schema`.
    pub fn schema(&self, schema: &SchemaRef) -> SchemaRef {
        if self.method != Method::Numbered {
            return schema.clone();
        }
        let number = Arc::new(Field::new(NUMBER, DataType::UInt64, false));
        Arc::new(Schema::new(schema.fields().iter().cloned().chain([number]).collect::<Vec<_>>()))
    }

    fn describe(&self) -> String {
        match self.method {
            Method::Rows(share) => format!("{}% of the rows", share * 100.0),
            Method::Blocks(share) => format!("{}% of the blocks", share * 100.0),
            Method::Share(share) => format!("{}%, exactly", share * 100.0),
            Method::Numbered => "numbered".to_string(),
        }
    }
}

/// `batch` with a last column of random numbers.
fn numbered(batch: &RecordBatch, schema: &SchemaRef, numbers: Vec<u64>) -> Result<RecordBatch> {
    let rows = numbers.len();
    let numbers: ArrayRef = Arc::new(UInt64Array::from(numbers));
    let columns = batch.columns().iter().cloned().chain([numbers]).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// A sample of a source.
pub struct Chosen {
    spec: SampleSpec,
    source: SourceRef,
    schema: SchemaRef,
}

impl Chosen {
    /// The sample of `source`.
    pub fn new(spec: SampleSpec, source: SourceRef) -> Self {
        let schema = spec.schema(&source.schema());
        Chosen { spec, source, schema }
    }
}

impl Source for Chosen {
    fn describe(&self) -> String {
        format!("{}, of it {}", self.source.describe(), self.spec.describe())
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn split_count(&self) -> usize {
        self.source.split_count()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let split = self.source.open(index)?;
        let chooser = Chooser::new(self.spec, self.schema.clone(), index);
        Ok(Box::new(ChosenSplit { split: Some(split), chooser, chosen: VecDeque::new() }))
    }

    fn statistics(&self) -> Statistics {
        Statistics::default()
    }
}

struct ChosenSplit {
    /// `None` at its end.
    split: Option<Box<dyn Split>>,
    chooser: Chooser,
    chosen: VecDeque<RecordBatch>,
}

impl Split for ChosenSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.chosen.is_empty()
            && let Some(split) = &mut self.split
        {
            match split.next()? {
                Some(batch) => self.chooser.push(batch, &mut self.chosen)?,
                None => {
                    self.split = None;
                    self.chooser.end(&mut self.chosen)?;
                }
            }
        }
        match self.chosen.pop_front() {
            // An empty batch lets the caller look whether it was cancelled.
            None if self.split.is_some() => Ok(Some(RecordBatch::new_empty(self.schema()))),
            batch => Ok(batch),
        }
    }
}

impl ChosenSplit {
    fn schema(&self) -> SchemaRef {
        self.chooser.schema()
    }
}

/// A sample in front of another sink.
pub struct Sample {
    spec: SampleSpec,
    inner: Arc<dyn DynSink>,
    schema: SchemaRef,
}

impl Sample {
    /// Gives `inner` the sample of rows of `input`.
    pub fn new(spec: SampleSpec, input: &SchemaRef, inner: Arc<dyn DynSink>) -> Self {
        Sample { spec, inner, schema: spec.schema(input) }
    }
}

impl Sink for Sample {
    type Work = SampleWork;
    type Part = SinkPart;

    fn name(&self) -> &'static str {
        "Sample"
    }

    fn describe(&self) -> String {
        format!("{} → {} {}", self.spec.describe(), self.inner.name(), self.inner.describe())
    }

    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<SampleWork> {
        let inner = self.inner.open(context)?;
        Ok(SampleWork { spec: self.spec, schema: self.schema.clone(), inner, current: None, chosen: VecDeque::new() })
    }

    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<SinkPart>) -> Result<SourceRef> {
        self.inner.combine(context, parts)
    }
}

/// One lane of a sample.
pub struct SampleWork {
    spec: SampleSpec,
    schema: SchemaRef,
    inner: Box<dyn DynSinkWork>,
    current: Option<(usize, Chooser)>,
    chosen: VecDeque<RecordBatch>,
}

impl SampleWork {
    fn hand_on(&mut self, split: usize) -> Result<()> {
        while let Some(batch) = self.chosen.pop_front() {
            self.inner.push(split, batch)?;
        }
        Ok(())
    }

    fn end_split(&mut self) -> Result<()> {
        if let Some((split, mut chooser)) = self.current.take() {
            chooser.end(&mut self.chosen)?;
            self.hand_on(split)?;
        }
        Ok(())
    }
}

impl SinkWork for SampleWork {
    type Part = SinkPart;

    fn push(&mut self, split: usize, batch: RecordBatch) -> Result<Flow> {
        if self.current.as_ref().is_none_or(|(current, _)| *current != split) {
            self.end_split()?;
        }
        let (spec, schema) = (self.spec, self.schema.clone());
        let (_, chooser) = self.current.get_or_insert_with(|| (split, Chooser::new(spec, schema, split)));
        chooser.push(batch, &mut self.chosen)?;
        self.hand_on(split)?;
        Ok(Flow::More)
    }

    fn finish(mut self) -> Result<SinkPart> {
        self.end_split()?;
        self.inner.finish()
    }
}

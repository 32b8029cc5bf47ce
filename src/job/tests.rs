//! Pipelines whose operators hold rows back, and what a stream says of a query that fails.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use super::Runner;
use crate::batch::{MemorySource, Source, SourceRef, Split};
use crate::error::{Code, Error, Result};
use crate::ops::testing::context;
use crate::ops::{Emit, Flow, Operator, Work, WorkPart};
use crate::plan::{Branch, Input, PhysicalPlan, Pipeline};
use crate::store::QueryContext;

fn numbers(values: Vec<i64>) -> RecordBatch {
    RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(values)) as ArrayRef)]).expect("a batch")
}

/// Passes odd numbers on and holds even ones back, with `add` added.
struct HoldEven {
    schema: SchemaRef,
    add: i64,
}

struct HoldEvenWork {
    add: i64,
    held: Vec<i64>,
}

impl Operator for HoldEven {
    fn name(&self) -> &'static str {
        "HoldEven"
    }

    fn describe(&self) -> String {
        String::new()
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn open(&self, _context: &Arc<QueryContext>) -> Result<Box<dyn Work>> {
        Ok(Box::new(HoldEvenWork { add: self.add, held: Vec::new() }))
    }

    fn holds_back(&self) -> bool {
        true
    }

    fn rest(&self, _context: &Arc<QueryContext>, parts: Vec<WorkPart>) -> Result<SourceRef> {
        let parts = parts.into_iter().map(|part| *part.downcast::<Vec<i64>>().expect("its own part"));
        let batches = parts.map(numbers).collect();
        Ok(Arc::new(MemorySource::new(self.schema.clone(), batches)))
    }
}

impl Work for HoldEvenWork {
    fn push(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        let values = batch.column(0).as_primitive::<Int64Type>().values();
        let (odd, even): (Vec<i64>, Vec<i64>) = values.iter().partition(|&value| value % 2 != 0);
        self.held.extend(even.iter().map(|value| value + self.add));
        if odd.is_empty() { Ok(Flow::More) } else { out(numbers(odd)) }
    }

    fn finish(self: Box<Self>) -> Result<WorkPart> {
        Ok(Box::new(self.held))
    }
}

fn run(plan: PhysicalPlan, threads: usize) -> Result<Vec<i64>> {
    let stream = Runner::new(threads)?.run(plan, context(1 << 24, 8, threads))?;
    let batches = stream.collect::<Result<Vec<_>>>()?;
    Ok(batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect())
}

#[test]
fn rows_held_back_pass_the_operators_behind_theirs_and_only_those() {
    for threads in [1, 3] {
        let schema = numbers(Vec::new()).schema();
        let hold = |add| Arc::new(HoldEven { schema: schema.clone(), add }) as Arc<dyn Operator>;
        // Two branches that share their last operator; the first one has another before it.
        let (first, shared) = (hold(1), hold(100));
        let branch = |values: Vec<i64>, operators: Vec<Arc<dyn Operator>>| {
            let source: SourceRef = Arc::new(MemorySource::new(schema.clone(), vec![numbers(values)]));
            Branch { input: Input::Source(source), operators }
        };
        let branches =
            vec![branch(vec![1, 2, 3], vec![first.clone(), shared.clone()]), branch(vec![4, 5], vec![shared.clone()])];
        let plan = PhysicalPlan {
            pipelines: vec![Pipeline { branches, sink: None, after: Vec::new() }],
            schema: schema.clone(),
            uncertain: Vec::new(),
        };
        // 2 + 1 is odd and passes the second; 4 + 100 is what the second holds to the end.
        assert_eq!(run(plan, threads).expect("runs"), [1, 3, 5, 3, 104]);
    }
}

/// Many splits, of which one fails.
struct Failing(SchemaRef, Mutex<usize>);

impl Source for Failing {
    fn describe(&self) -> String {
        "failing".into()
    }

    fn schema(&self) -> SchemaRef {
        self.0.clone()
    }

    fn split_count(&self) -> usize {
        5_000
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        *self.1.lock() += 1;
        match index {
            7 => Err(Error::new(Code::InvalidData, "split 7 is broken")),
            _ => MemorySource::new(self.0.clone(), vec![numbers(vec![1])]).open(0),
        }
    }
}

#[test]
fn a_query_that_fails_tells_why_and_not_that_it_was_cancelled() {
    for _ in 0..50 {
        let schema = numbers(Vec::new()).schema();
        let source: SourceRef = Arc::new(Failing(schema.clone(), Mutex::new(0)));
        let branches = vec![Branch { input: Input::Source(source), operators: Vec::new() }];
        let pipelines = vec![Pipeline { branches, sink: None, after: Vec::new() }];
        let error = run(PhysicalPlan { pipelines, schema, uncertain: Vec::new() }, 2).expect_err("split 7 fails");
        assert_eq!(error.code(), Code::InvalidData, "{error}");
    }
}

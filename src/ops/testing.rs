//! Drives operators and sinks in tests as a pipeline would: splits over lanes, then `finish`, then `combine`.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion_common::DFSchema;
use datafusion_expr::Expr;
use proptest::prelude::*;
use proptest::sample::select;

use crate::batch::SourceRef;
use crate::batch::hash::masked;
use crate::cancel::CancelToken;
use crate::error::Result;
use crate::expr::Evaluator;
use crate::memory::Budget;
use crate::ops::{Flow, Operator, Sink, SinkWork};
use crate::store::{QueryContext, Store};

/// A context of `limit` bytes of memory.
pub fn context(limit: usize, batch_size: usize, threads: usize) -> Arc<QueryContext> {
    let budget = Budget::new(limit);
    let store = Store::new(budget.clone());
    Arc::new(QueryContext { cancel: CancelToken::new(), budget, store, batch_size, threads, side: None })
}

/// What is still held of the budget once the store's background threads have let go of what they had in hand.
pub fn held(context: &QueryContext) -> usize {
    let deadline = Instant::now() + Duration::from_secs(5);
    while context.budget.used() > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    context.budget.used()
}

/// `expression` compiled against `schema`.
pub fn evaluator(expression: &Expr, schema: &SchemaRef) -> Evaluator {
    let schema = DFSchema::try_from(schema.as_ref().clone()).expect("a schema without duplicate names");
    Evaluator::compile(expression, &schema).expect("an expression that compiles")
}

/// Cuts `batch` into splits of batches: `cuts` gives, for each split, the rows of its batches. What the cuts leave over
/// becomes one more split.
pub fn splits(batch: &RecordBatch, cuts: &[Vec<usize>]) -> Vec<Vec<RecordBatch>> {
    let mut from = 0;
    let mut take = |rows: usize| {
        let rows = rows.min(batch.num_rows() - from);
        let slice = batch.slice(from, rows);
        from += rows;
        slice
    };
    let mut splits: Vec<Vec<RecordBatch>> =
        cuts.iter().map(|split| split.iter().map(|&rows| take(rows)).collect()).collect();
    let rest = take(usize::MAX);
    if rest.num_rows() > 0 {
        splits.push(vec![rest]);
    }
    splits
}

/// Feeds `splits` to `sink` over `lanes` lanes and reads what comes of it. The splits are taken up in the order of
/// `schedule` (wrapped to their number; what it leaves out follows in order), up to `lanes` of them in turns of one
/// batch each. A split that is done gets no more batches; one that the sink does not want gets none.
pub fn drive<S: Sink>(
    sink: &S,
    context: &Arc<QueryContext>,
    lanes: usize,
    splits: Vec<Vec<RecordBatch>>,
    schedule: &[usize],
) -> Result<Vec<RecordBatch>> {
    let source = collect(sink, context, lanes, splits, schedule)?;
    read(&source)
}

/// As `drive`, up to the source.
pub fn collect<S: Sink>(
    sink: &S,
    context: &Arc<QueryContext>,
    lanes: usize,
    splits: Vec<Vec<RecordBatch>>,
    schedule: &[usize],
) -> Result<SourceRef> {
    let mut order: Vec<usize> = schedule.iter().map(|&split| split % splits.len().max(1)).collect();
    order.extend(0..splits.len());
    let mut waiting: Vec<Option<Vec<RecordBatch>>> = splits.into_iter().map(Some).collect();
    let mut order = order.into_iter();
    let mut next_split = || {
        order
            .find_map(|split| waiting.get_mut(split).and_then(Option::take).map(|batches| (split, batches.into_iter())))
    };
    let mut works = (0..lanes.max(1)).map(|_| sink.open(context)).collect::<Result<Vec<_>>>()?;
    let mut running: Vec<_> = works.iter().map(|_| next_split()).collect();
    while running.iter().any(Option::is_some) {
        for (work, current) in works.iter_mut().zip(&mut running) {
            let Some((split, batches)) = current else { continue };
            let flow = match batches.next() {
                Some(batch) if sink.wants(*split) => work.push(*split, batch)?,
                _ => Flow::Done,
            };
            if flow == Flow::Done {
                *current = next_split();
            }
        }
    }
    let parts = works.into_iter().map(SinkWork::finish).collect::<Result<Vec<_>>>()?;
    sink.combine(context, parts)
}

/// All batches of all splits, in order.
pub fn read(source: &SourceRef) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for index in 0..source.split_count() {
        let mut split = source.open(index)?;
        while let Some(batch) = split.next()? {
            assert_eq!(batch.schema(), source.schema());
            batches.push(batch);
        }
    }
    Ok(batches)
}

/// What `operator` makes of `batches` on one lane, with what it holds back at the end.
pub fn run(
    operator: &dyn Operator,
    context: &Arc<QueryContext>,
    batches: Vec<RecordBatch>,
) -> Result<Vec<RecordBatch>> {
    run_lanes(operator, context, 1, batches)
}

/// As `run`, with the batches dealt to `lanes` lanes in turn.
pub fn run_lanes(
    operator: &dyn Operator,
    context: &Arc<QueryContext>,
    lanes: usize,
    batches: Vec<RecordBatch>,
) -> Result<Vec<RecordBatch>> {
    let mut works = (0..lanes.max(1)).map(|_| operator.open(context)).collect::<Result<Vec<_>>>()?;
    let mut outputs = Vec::new();
    for (index, batch) in batches.into_iter().enumerate() {
        let lane = index % works.len();
        let mut out = |batch| {
            outputs.push(batch);
            Ok(Flow::More)
        };
        if works[lane].push(batch, &mut out)? == Flow::Done {
            break;
        }
    }
    let parts = works.into_iter().map(|work| work.finish()).collect::<Result<Vec<_>>>()?;
    if operator.holds_back() {
        outputs.extend(read(&operator.rest(context, parts)?)?);
    }
    Ok(outputs)
}

/// The batches as one.
pub fn whole(schema: &SchemaRef, batches: &[RecordBatch]) -> RecordBatch {
    concat_batches(schema, batches).expect("batches of that schema")
}

/// What makes it hard for hash operators: how many partitions they spread rows over, and how much of a hash they see.
#[derive(Debug, Clone, Copy)]
pub struct Strain {
    /// `None`: as many as they choose.
    pub partitions: Option<usize>,
    pub hash_mask: u64,
}

impl Strain {
    pub const NONE: Strain = Strain { partitions: None, hash_mask: u64::MAX };

    /// Runs `work` under the strain, on this thread.
    pub fn during<T>(self, work: impl FnOnce() -> T) -> T {
        let _before =
            Before { partitions: PARTITIONS.replace(self.partitions), hash_mask: masked::set(self.hash_mask) };
        work()
    }

    /// The memory limit under it, where `limit` is asked for: even empty buffers of very many partitions take much.
    pub fn limit(self, limit: usize) -> usize {
        if self.partitions.is_some_and(|count| count > 17) { limit.max(1 << 30) } else { limit }
    }
}

thread_local! {
    static PARTITIONS: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Into how many partitions the first cut goes on this thread, where a test says so.
pub fn partitions() -> Option<usize> {
    PARTITIONS.get()
}

/// Sets back what was before, after a panic too.
struct Before {
    partitions: Option<usize>,
    hash_mask: u64,
}

impl Drop for Before {
    fn drop(&mut self) {
        PARTITIONS.set(self.partitions);
        masked::set(self.hash_mask);
    }
}

/// Every number of partitions worth a test, and hashes that collide: all of them, or in the bits that choose slots or
/// partitions.
pub fn strains() -> impl Strategy<Value = Strain> {
    let counts = prop_oneof![
        2 => Just(None),
        4 => (1..=17_usize).prop_map(Some),
        3 => select(vec![127_usize, 128, 129, 255, 256, 257, 1000]).prop_map(Some),
    ];
    let masks = select(vec![u64::MAX, u64::MAX, 0, 0xF000_0000_0000_000F, 0xFF]);
    (counts, masks).prop_map(|(partitions, hash_mask)| Strain { partitions, hash_mask })
}

/// Random relations with many ties and NULLs, and the rows of a column as cells that compare naively.
pub mod relation {
    use std::cmp::Ordering;
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int32Array,
        Int64Array, LargeStringArray, StringArray, StringViewArray, TimestampMicrosecondArray, UInt16Array,
        UInt64Array,
    };
    use arrow::record_batch::RecordBatch;
    use proptest::collection::vec;
    use proptest::option::weighted;
    use proptest::prelude::*;

    /// A value that compares as SQL does: NaN is one value, greater than all numbers; zero has no sign.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Cell {
        Integer(i128),
        Float(f64),
        Text(String),
    }

    impl Cell {
        /// The order of two cells of one column.
        pub fn compare(&self, other: &Cell) -> Ordering {
            match (self, other) {
                (Cell::Integer(left), Cell::Integer(right)) => left.cmp(right),
                (Cell::Text(left), Cell::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
                (Cell::Float(left), Cell::Float(right)) => match (left.is_nan(), right.is_nan()) {
                    (false, false) => left.partial_cmp(right).expect("numbers"),
                    (left, right) => left.cmp(&right),
                },
                _ => panic!("cells of different columns"),
            }
        }
    }

    /// How many kinds of columns there are.
    pub const KINDS: usize = 14;

    const FLOATS: [f64; 8] = [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5, -1.5];

    fn float(seed: u8) -> f64 {
        FLOATS[usize::from(seed) % FLOATS.len()]
    }

    fn integer(seed: u8) -> i64 {
        match seed % 4 {
            0 => i64::from(seed),
            1 => -i64::from(seed),
            2 => i64::MAX - i64::from(seed),
            _ => i64::MIN + i64::from(seed),
        }
    }

    fn string(seed: u8) -> String {
        match seed % 4 {
            0 => String::new(),
            1 => "a".repeat(usize::from(seed / 32)),
            2 => format!("one and the same beginning {seed}"),
            _ => format!("{}\u{0}ü", char::from(b'a' + seed % 26)),
        }
    }

    /// A column of kind `kind`, and what its rows are.
    fn column(kind: usize, seeds: &[Option<u8>]) -> (ArrayRef, Vec<Option<Cell>>) {
        macro_rules! numbers {
            ($array:ty, $of:expr) => {{
                let values: Vec<_> = seeds.iter().map(|seed| seed.map($of)).collect();
                let cells = values.iter().map(|value| value.map(|value| Cell::Integer(value.into()))).collect();
                (Arc::new(<$array>::from(values)) as ArrayRef, cells)
            }};
        }
        macro_rules! floats {
            ($array:ty, $native:ty) => {{
                let values: Vec<_> = seeds.iter().map(|seed| seed.map(|seed| float(seed) as $native)).collect();
                let cells = values.iter().map(|value| value.map(|value| Cell::Float(value.into()))).collect();
                (Arc::new(<$array>::from(values)) as ArrayRef, cells)
            }};
        }
        macro_rules! strings {
            ($array:ty) => {{
                let values: Vec<_> = seeds.iter().map(|seed| seed.map(string)).collect();
                let array = Arc::new(<$array>::from_iter(values.iter().map(Option::as_deref))) as ArrayRef;
                (array, values.into_iter().map(|value| value.map(Cell::Text)).collect())
            }};
        }
        match kind % KINDS {
            0 => numbers!(BooleanArray, |seed| seed % 2 == 0),
            1 => numbers!(Int8Array, |seed| seed as i8),
            2 => numbers!(Int32Array, |seed| integer(seed) as i32),
            3 => numbers!(Int64Array, integer),
            4 => numbers!(UInt16Array, |seed| u16::from(seed) * 257),
            5 => numbers!(UInt64Array, |seed| integer(seed) as u64),
            6 => floats!(Float32Array, f32),
            7 => floats!(Float64Array, f64),
            8 => strings!(StringArray),
            9 => strings!(LargeStringArray),
            10 => strings!(StringViewArray),
            11 => numbers!(Date32Array, |seed| integer(seed) as i32),
            12 => numbers!(TimestampMicrosecondArray, integer),
            _ => numbers!(Decimal128Array, |seed| i128::from(integer(seed)) * 1_000),
        }
    }

    /// A relation of columns `c0`, `c1`, … and a last one, `row`, that numbers the rows.
    #[derive(Debug, Clone)]
    pub struct Relation {
        pub batch: RecordBatch,
        pub cells: Vec<Vec<Option<Cell>>>,
    }

    /// Relations of up to `rows` rows and 1 to 4 columns of any kind.
    pub fn relations(rows: usize) -> impl Strategy<Value = Relation> {
        (vec(0..KINDS, 1..=4), 0..=rows).prop_flat_map(|(kinds, rows)| {
            let seeds = vec(vec(weighted(0.8, any::<u8>()), rows), kinds.len());
            seeds.prop_map(move |seeds| {
                let columns = kinds.iter().zip(&seeds).map(|(&kind, seeds)| column(kind, seeds));
                let (mut arrays, cells): (Vec<_>, Vec<_>) = columns.unzip();
                arrays.push(Arc::new(Int64Array::from_iter_values(0..rows as i64)));
                let named = arrays.iter().enumerate().map(|(index, array)| {
                    let name = if index + 1 == arrays.len() { "row".to_owned() } else { format!("c{index}") };
                    (name, array.clone(), true)
                });
                let batch = RecordBatch::try_from_iter_with_nullable(named).expect("columns of one length");
                Relation { batch, cells }
            })
        })
    }

    /// Cuts for [`splits`](super::splits): up to 8 splits of up to 5 batches.
    pub fn cuts() -> impl Strategy<Value = Vec<Vec<usize>>> {
        vec(vec(0..40usize, 0..5), 0..8)
    }
}

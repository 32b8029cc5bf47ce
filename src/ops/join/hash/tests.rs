//! The hash join against a nested loop: every type, either build side, keys of every form, NULLs, residual conditions,
//! tiny budgets, colliding hashes, any number of partitions.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
    StringViewArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion_common::JoinType;
use datafusion_expr::{Expr, col};
use proptest::prelude::*;

use super::spec::{IndexKind, Knobs};
use super::{HashJoin, HashJoinPlan, JoinShare, Residual, Side};
use crate::batch::RuntimeFilter;
use crate::ops::testing::{self, Strain, strains};

const TYPES: [JoinType; 10] = [
    JoinType::Inner,
    JoinType::Left,
    JoinType::Right,
    JoinType::Full,
    JoinType::LeftSemi,
    JoinType::RightSemi,
    JoinType::LeftAnti,
    JoinType::RightAnti,
    JoinType::LeftMark,
    JoinType::RightMark,
];
const KINDS: usize = 8;

#[derive(Debug, Clone)]
struct Case {
    seed: u64,
    join_type: JoinType,
    build: Side,
    kinds: Vec<usize>,
    null_equal: bool,
    null_aware: bool,
    residual: bool,
    rows: (usize, usize),
    distinct: u64,
    batch_size: usize,
    lanes: usize,
    limit: usize,
    knobs: Knobs,
    strain: Strain,
}

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 20) % below.max(1)
    }
}

fn column(kind: usize, rows: usize, distinct: u64, random: &mut Random) -> ArrayRef {
    let mut seeds: Vec<Option<u64>> =
        (0..rows).map(|_| (random.below(9) != 0).then(|| random.below(distinct))).collect();
    if random.below(2) == 0 {
        seeds.iter_mut().for_each(|seed| {
            seed.get_or_insert(1);
        });
    }
    let text = |seed: u64| if seed.is_multiple_of(3) { format!("{seed}") } else { format!("a longer text for {seed}") };
    let seeds = seeds.into_iter();
    match kind % KINDS {
        0 => Arc::new(Int64Array::from_iter(seeds.map(|seed| seed.map(|seed| seed as i64 - 3)))),
        1 => Arc::new(Int32Array::from_iter(seeds.map(|seed| seed.map(|seed| (seed as i32).wrapping_mul(1 << 24))))),
        2 => Arc::new(StringArray::from_iter(seeds.map(|seed| seed.map(text)))),
        3 => Arc::new(StringViewArray::from_iter(seeds.map(|seed| seed.map(text)))),
        4 => {
            let values = [0.0, -0.0, f64::NAN, -f64::NAN, 1.5];
            let value = |seed: u64| if seed < 5 { values[seed as usize] } else { seed as f64 };
            Arc::new(Float64Array::from_iter(seeds.map(|seed| seed.map(value))))
        }
        5 => Arc::new(Decimal128Array::from_iter(seeds.map(|seed| seed.map(|seed| i128::from(seed) - 2)))),
        6 => Arc::new(Date32Array::from_iter(seeds.map(|seed| seed.map(|seed| seed as i32)))),
        _ => Arc::new(BooleanArray::from_iter(seeds.map(|seed| seed.map(|seed| seed % 2 == 0)))),
    }
}

/// Keys `k0`, `k1`, …, a number `v` and a text `t`.
fn side(case: &Case, rows: usize, name: &str, random: &mut Random) -> RecordBatch {
    let mut columns: Vec<ArrayRef> = case.kinds.iter().map(|&kind| column(kind, rows, case.distinct, random)).collect();
    columns.push(column(0, rows, 100, random));
    columns.push(column(3, rows, 1000, random));
    let names = (0..case.kinds.len()).map(|key| format!("{name}k{key}"));
    let names = names.chain([format!("{name}v"), format!("{name}t")]);
    let fields = names.zip(&columns).map(|(name, column)| Field::new(name, column.data_type().clone(), true));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).unwrap()
}

/// Every row as texts.
fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let formatters: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    let text = |row: usize, formatter: &ArrayFormatter| formatter.value(row).to_string();
    (0..batch.num_rows()).map(|row| formatters.iter().map(|formatter| text(row, formatter)).collect()).collect()
}

/// Keys as texts that are equal where the keys are.
fn key_texts(row: &[String], keys: usize) -> Vec<String> {
    row[..keys].iter().map(|text| if text == "-0.0" { "0.0".to_owned() } else { text.clone() }).collect()
}

/// Whether the pair matches.
fn matches(case: &Case, left: &[String], right: &[String]) -> bool {
    let keys = case.kinds.len();
    let (left_keys, right_keys) = (key_texts(left, keys), key_texts(right, keys));
    let has_null = left_keys.iter().chain(&right_keys).any(|key| key == "NULL");
    if left_keys != right_keys || has_null && !case.null_equal {
        return false;
    }
    let number = |row: &[String]| row[keys].parse::<i64>().ok();
    !case.residual || matches!((number(left), number(right)), (Some(left), Some(right)) if left < right)
}

fn reference(case: &Case, left: &[Vec<String>], right: &[Vec<String>]) -> Vec<Vec<String>> {
    let nulls = vec!["NULL".to_owned(); case.kinds.len() + 2];
    let pair = |left: &[String], right: &[String]| [left, right].concat();
    let swapped = |left: &[String], right: &[String]| matches(case, right, left);
    let straight = |left: &[String], right: &[String]| matches(case, left, right);
    let mut out = Vec::new();
    match case.join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            for one in left {
                let others = right.iter().filter(|other| matches(case, one, other));
                out.extend(others.map(|other| pair(one, other)));
            }
            if matches!(case.join_type, JoinType::Left | JoinType::Full) {
                let lonely = left.iter().filter(|one| !right.iter().any(|other| matches(case, one, other)));
                out.extend(lonely.map(|one| pair(one, &nulls)));
            }
            if matches!(case.join_type, JoinType::Right | JoinType::Full) {
                let lonely = right.iter().filter(|other| !left.iter().any(|one| matches(case, one, other)));
                out.extend(lonely.map(|other| pair(&nulls, other)));
            }
        }
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => keep(case, left, right, &straight, &mut out),
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => keep(case, right, left, &swapped, &mut out),
    }
    out.sort();
    out
}

fn keep(
    case: &Case,
    kept: &[Vec<String>],
    others: &[Vec<String>],
    matches: &dyn Fn(&[String], &[String]) -> bool,
    out: &mut Vec<Vec<String>>,
) {
    for one in kept {
        let matched = others.iter().any(|other| matches(one, other));
        let unknown = case.null_aware
            && !matched
            && !others.is_empty()
            && (one[0] == "NULL" || others.iter().any(|other| other[0] == "NULL"));
        let is_semi = matches!(case.join_type, JoinType::LeftSemi | JoinType::RightSemi);
        let is_anti = matches!(case.join_type, JoinType::LeftAnti | JoinType::RightAnti);
        if is_semi && matched || is_anti && !matched && !unknown {
            out.push(one.clone());
        } else if !is_semi && !is_anti {
            let mark = if unknown { "NULL".to_owned() } else { matched.to_string() };
            out.push(one.iter().cloned().chain([mark]).collect());
        }
    }
}

fn plan(case: &Case, left: &SchemaRef, right: &SchemaRef) -> HashJoinPlan {
    let both: Vec<Field> = left.fields().iter().chain(right.fields()).map(|field| field.as_ref().clone()).collect();
    let mark = || Field::new("mark", DataType::Boolean, true);
    let of = |schema: &SchemaRef| schema.fields().iter().map(|field| field.as_ref().clone()).collect::<Vec<Field>>();
    let fields = match case.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti => of(left),
        JoinType::RightSemi | JoinType::RightAnti => of(right),
        JoinType::LeftMark => of(left).into_iter().chain([mark()]).collect(),
        JoinType::RightMark => of(right).into_iter().chain([mark()]).collect(),
        _ => both,
    };
    let key = |schema: &SchemaRef, name: String| testing::evaluator(&col(name), schema);
    let keys =
        (0..case.kinds.len()).map(|number| (key(left, format!("lk{number}")), key(right, format!("rk{number}"))));
    let residual = case.residual.then(|| {
        let number = case.kinds.len();
        let schema = Arc::new(Schema::new(vec![left.field(number).clone(), right.field(number).clone()]));
        let condition: Expr = col("lv").lt(col("rv"));
        Residual {
            condition: testing::evaluator(&condition, &schema),
            columns: vec![(Side::Left, number), (Side::Right, number)],
        }
    });
    HashJoinPlan {
        join_type: case.join_type,
        build: case.build,
        keys: keys.collect(),
        null_equal: case.null_equal,
        null_aware: case.null_aware,
        residual,
        left: left.clone(),
        right: right.clone(),
        output: (0..fields.len()).collect(),
        schema: Arc::new(Schema::new(fields)),
        filters: Vec::new(),
    }
}

fn pieces(batch: &RecordBatch, size: usize) -> Vec<RecordBatch> {
    let starts = (0..batch.num_rows()).step_by(size);
    starts.map(|start| batch.slice(start, size.min(batch.num_rows() - start))).collect()
}

fn run(case: &Case) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    case.strain.during(|| run_strained(case))
}

fn run_strained(case: &Case) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    let mut random = Random(case.seed);
    let left = side(case, case.rows.0, "l", &mut random);
    let right = side(case, case.rows.1, "r", &mut random);
    let expected = reference(case, &texts(&left), &texts(&right));
    let context = testing::context(case.limit, case.batch_size, case.lanes);
    let plan = plan(case, &left.schema(), &right.schema());
    let join = HashJoin::with_knobs(plan, Arc::new(JoinShare::default()), case.knobs.clone()).unwrap();
    let (built, probed) = if case.build == Side::Left { (left, right) } else { (right, left) };
    let splits: Vec<Vec<RecordBatch>> = pieces(&built, case.batch_size).chunks(3).map(<[_]>::to_vec).collect();
    let chunks = testing::collect(&join.build, &context, case.lanes, splits, &[]).unwrap();
    assert!(testing::read(&chunks).unwrap().is_empty());
    drop(chunks);
    let chunks = testing::collect(&join.fill, &context, 1, Vec::new(), &[]).unwrap();
    assert!(testing::read(&chunks).unwrap().is_empty());
    drop(chunks);
    testing::collect(&join.table, &context, 1, Vec::new(), &[]).unwrap();
    let batches = testing::run_lanes(&join.probe, &context, case.lanes, pieces(&probed, case.batch_size)).unwrap();
    let most = if case.knobs.partitioned || case.knobs.allowance.is_some() { usize::MAX } else { case.batch_size };
    assert!(batches.iter().all(|batch| batch.num_rows() > 0 && batch.num_rows() <= most));
    let mut rows: Vec<Vec<String>> = batches.iter().flat_map(texts).collect();
    rows.sort();
    drop((batches, join));
    assert_eq!(testing::held(&context), 0, "everything reserved is given back");
    (rows, expected)
}

fn knobs() -> impl Strategy<Value = Knobs> {
    let allowance = prop::sample::select(vec![None, None, Some(0), Some(2000), Some(20_000), Some(100_000)]);
    let indexes = prop::sample::select(vec![None, Some(IndexKind::Sparse), Some(IndexKind::Hash)]);
    (any::<bool>(), indexes, allowance).prop_map(|(partitioned, index, allowance)| Knobs {
        partitioned,
        index,
        allowance,
    })
}

fn case() -> impl Strategy<Value = Case> {
    let kinds = prop_oneof![
        Just(vec![0usize]),
        prop::collection::vec(0usize..KINDS, 1..=1),
        prop::collection::vec(0usize..KINDS, 1..=3),
    ];
    let what = (prop::sample::select(TYPES.to_vec()), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let sizes = (0usize..400, 0usize..400, prop::sample::select(vec![1u64, 3, 20, 300, 1 << 30]));
    let surroundings = (
        prop::sample::select(vec![1usize, 7, 64, 8192]),
        1usize..4,
        prop::sample::select(vec![4usize << 20, 8 << 20, 1 << 30]),
    );
    (1u64..u64::MAX, kinds, what, sizes, surroundings, knobs(), strains()).prop_map(
        |(seed, kinds, what, sizes, surroundings, knobs, strain)| {
            let (join_type, is_left, null_equal, residual, null_aware) = what;
            let can_be_aware = matches!(join_type, JoinType::LeftAnti | JoinType::LeftMark);
            Case {
                seed,
                join_type,
                build: if is_left { Side::Left } else { Side::Right },
                null_aware: null_aware && can_be_aware && kinds.len() == 1 && !residual && !null_equal,
                kinds,
                null_equal,
                residual,
                rows: (sizes.0, sizes.1),
                distinct: sizes.2,
                batch_size: surroundings.0,
                lanes: surroundings.1,
                limit: strain.limit(surroundings.2),
                knobs,
                strain,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_those_of_a_nested_loop(case in case()) {
        let (rows, expected) = run(&case);
        prop_assert_eq!(rows, expected);
    }
}

fn plain(join_type: JoinType, rows: (usize, usize), distinct: u64) -> Case {
    Case {
        seed: 42,
        join_type,
        build: Side::Right,
        kinds: vec![0],
        null_equal: false,
        null_aware: false,
        residual: false,
        rows,
        distinct,
        batch_size: 64,
        lanes: 2,
        limit: 1 << 30,
        knobs: Knobs::default(),
        strain: Strain::NONE,
    }
}

#[test]
fn any_number_of_partitions_in_memory_gives_the_same() {
    for count in (1..=17).chain([127, 128, 129, 255, 256, 257, 1000]) {
        for allowance in [Some(0), Some(1000), Some(8000), Some(30_000), None] {
            let knobs = Knobs { partitioned: true, allowance, ..Knobs::default() };
            let strain = Strain { partitions: Some(count), ..Strain::NONE };
            let (rows, expected) = run(&Case { knobs, strain, ..plain(JoinType::Full, (600, 700), 300) });
            assert!(rows == expected, "{count} partitions, {allowance:?} bytes");
        }
    }
}

#[test]
fn one_key_larger_than_memory_goes_block_by_block() {
    for join_type in TYPES {
        for build in [Side::Left, Side::Right] {
            let knobs = Knobs { partitioned: true, allowance: Some(4000), ..Knobs::default() };
            let strain = Strain { partitions: Some(4), ..Strain::NONE };
            let case = Case { build, knobs, strain, residual: true, ..plain(join_type, (500, 600), 1) };
            let (rows, expected) = run(&case);
            assert!(rows == expected, "{case:?}");
        }
    }
}

#[test]
fn many_pairs_of_one_key_come_out_in_batches() {
    let (rows, expected) = run(&Case { lanes: 1, ..plain(JoinType::Inner, (100, 1000), 1) });
    assert_eq!(rows.len(), expected.len());
    assert!(rows.len() > 30_000);
}

/// What the build side of `case` tells the scan of the probe side.
fn published(case: &Case) -> Arc<RuntimeFilter> {
    let mut random = Random(case.seed);
    let (left, right) = (side(case, case.rows.0, "l", &mut random), side(case, case.rows.1, "r", &mut random));
    let context = testing::context(case.limit, case.batch_size, case.lanes);
    let filter = RuntimeFilter::new();
    let plan = HashJoinPlan { filters: vec![Some(filter.clone())], ..plan(case, &left.schema(), &right.schema()) };
    let join = HashJoin::with_knobs(plan, Arc::new(JoinShare::default()), case.knobs.clone()).unwrap();
    let built = if case.build == Side::Left { left } else { right };
    let chunks = testing::collect(&join.build, &context, 1, vec![pieces(&built, 64)], &[]).unwrap();
    testing::read(&chunks).unwrap();
    testing::read(&testing::collect(&join.fill, &context, 1, Vec::new(), &[]).unwrap()).unwrap();
    testing::collect(&join.table, &context, 1, Vec::new(), &[]).unwrap();
    filter
}

#[test]
fn build_keys_are_told_to_the_probe_side_where_other_rows_cannot_matter() {
    for (partitioned, distinct) in [(false, 50), (false, 1 << 50), (true, 50)] {
        let case =
            Case { knobs: Knobs { partitioned, ..Knobs::default() }, ..plain(JoinType::Inner, (0, 500), distinct) };
        let filter = published(&case);
        let filter = filter.get().unwrap();
        let mut random = Random(case.seed);
        side(&case, 0, "l", &mut random);
        let keys = side(&case, 500, "r", &mut random).column(0).clone();
        let mask = filter.mask(&keys).unwrap().unwrap();
        assert!((0..keys.len()).all(|row| mask.value(row) == keys.is_valid(row)));
        let far: ArrayRef = Arc::new(Int64Array::from(vec![-1000]));
        assert!(!filter.mask(&far).unwrap().unwrap().value(0));
    }
    let outer = plain(JoinType::Left, (0, 500), 50);
    assert!(published(&outer).get().is_none());
    assert!(published(&Case { build: Side::Left, ..outer }).get().unwrap().is_empty());
}

//! ASOF joins against a search of all right rows for each left row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringViewArray};
use arrow::datatypes::{Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use datafusion_expr::{col, lit};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::ops::join::nested_loop::SideColumn;
use crate::ops::testing::{collect, context, evaluator, held, run_lanes, splits, strains};

type Row = (Option<u8>, Option<u8>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Integer,
    Float,
    Text,
}

const FLOATS: [f64; 8] = [f64::NEG_INFINITY, -1.5, -0.0, 0.0, 0.25, 1.0, f64::INFINITY, f64::NAN];

/// Values in the order of their seeds, but for the two zeros.
fn values(kind: Kind, seeds: impl Iterator<Item = Option<u8>>) -> ArrayRef {
    match kind {
        Kind::Integer => Arc::new(Int64Array::from_iter(seeds.map(|seed| seed.map(|seed| i64::from(seed) - 10)))),
        Kind::Float => {
            Arc::new(Float64Array::from_iter(seeds.map(|seed| seed.map(|seed| FLOATS[usize::from(seed) % 8]))))
        }
        Kind::Text => Arc::new(StringViewArray::from_iter(
            seeds.map(|seed| seed.map(|seed| format!("a long beginning of a text {seed:03}"))),
        )),
    }
}

fn side(name: &str, kind: Kind, rows: &[Row]) -> RecordBatch {
    let keys = rows.iter().map(|row| row.0.map(|key| format!("key {key}")));
    let columns: [(&str, ArrayRef); 3] = [
        ("number", Arc::new(Int64Array::from_iter_values(0..rows.len() as i64))),
        ("key", Arc::new(StringViewArray::from_iter(keys))),
        ("value", values(kind, rows.iter().map(|row| row.1))),
    ];
    let columns = columns.map(|(column, values)| (format!("{name}_{column}"), values, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

fn asof_side(batch: &RecordBatch, keyed: bool) -> AsofSide {
    let column = |index: usize| evaluator(&col(batch.schema().field(index).name()), &batch.schema());
    AsofSide::new(batch.schema(), if keyed { vec![column(1)] } else { Vec::new() }, column(2))
}

/// The number of a seed of which distances can be taken.
fn number(kind: Kind, seed: u8) -> f64 {
    match kind {
        Kind::Float => FLOATS[usize::from(seed) % 8],
        _ => f64::from(seed),
    }
}

fn compare(kind: Kind, left: u8, right: u8) -> std::cmp::Ordering {
    match kind {
        Kind::Float => {
            let (left, right) = (number(kind, left), number(kind, right));
            left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
        }
        _ => left.cmp(&right),
    }
}

fn partner(kind: Kind, direction: Direction, keyed: bool, left: Row, right: &[Row]) -> Option<usize> {
    let value = left.1?;
    let same = |row: &Row| !keyed || (left.0.is_some() && row.0 == left.0);
    let complete = |row: &&(usize, Row)| same(&row.1) && row.1.1.is_some();
    let numbered: Vec<(usize, Row)> = right.iter().copied().enumerate().collect();
    let mut candidates: Vec<(usize, u8)> =
        numbered.iter().filter(complete).filter_map(|row| Some((row.0, row.1.1?))).collect();
    candidates.sort_by(|one, other| compare(kind, one.1, other.1).then(one.0.cmp(&other.0)));
    let before = |strict: bool| {
        let fits = |seed: u8| {
            let o = compare(kind, seed, value);
            o.is_lt() || (!strict && o.is_eq())
        };
        candidates.iter().rev().find(|(_, seed)| fits(*seed)).copied()
    };
    let behind = |strict: bool| {
        let fits = |seed: u8| {
            let o = compare(kind, seed, value);
            o.is_gt() || (!strict && o.is_eq())
        };
        candidates.iter().find(|(_, seed)| fits(*seed)).copied()
    };
    let chosen = match direction {
        Direction::Backward { strict } => before(strict),
        Direction::Forward { strict } => behind(strict),
        Direction::Nearest => match (before(false), behind(true)) {
            (Some(before), Some(behind)) => {
                let distance = |seed: u8| match compare(kind, seed, value).is_eq() {
                    true => 0.0,
                    false => (number(kind, seed) - number(kind, value)).abs(),
                };
                let (one, other) = (distance(before.1), distance(behind.1));
                // Of nothing is anything nearer to NaN than of infinity.
                let nearer = other < one || (one.is_nan() && !other.is_nan());
                Some(if nearer { behind } else { before })
            }
            (before, behind) => before.or(behind),
        },
    };
    chosen.map(|(row, _)| row)
}

fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![
        any::<bool>().prop_map(|strict| Direction::Backward { strict }),
        any::<bool>().prop_map(|strict| Direction::Forward { strict }),
        Just(Direction::Nearest),
    ]
}

fn rows(rows: usize) -> impl Strategy<Value = Vec<Row>> {
    vec((proptest::option::weighted(0.95, 0..4u8), proptest::option::weighted(0.95, 0..40u8)), 0..=rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn asof_joins_agree_with_a_search(
        left_rows in rows(200),
        right_rows in rows(200),
        kind in proptest::sample::select(vec![Kind::Integer, Kind::Float, Kind::Text]),
        direction in directions(),
        (outer, keyed, has_residual) in any::<(bool, bool, bool)>(),
        batch_size in prop_oneof![Just(1usize), Just(7), Just(8192)],
        limit in prop_oneof![Just(96usize << 10), Just(1 << 30)],
        lanes in 1..4usize,
        (cut, strain) in (1..70usize, strains()),
    ) {
        let kind = if direction == Direction::Nearest && kind == Kind::Text { Kind::Integer } else { kind };
        let (left, right) = (side("left", kind, &left_rows), side("right", kind, &right_rows));
        let both: Vec<_> = [&left, &right].into_iter().flat_map(|batch| batch.schema().fields().to_vec()).collect();
        let schema = Arc::new(Schema::new(both));
        let residual = has_residual.then(|| {
            let expr = ((col("left_number") + col("right_number")) % lit(3i64)).not_eq(lit(0i64));
            let columns = [true, false].into_iter().flat_map(|of_probe| (0..3).map(move |index| SideColumn { of_probe, index }));
            Condition::new(evaluator(&expr, &schema), schema.clone(), columns.collect())
        });
        let sides = (asof_side(&left, keyed), asof_side(&right, keyed));
        let column = |side: &AsofSide, index: usize| Ok(evaluator(&col(format!("c{index}")), side.wide()));
        let join = Arc::new(AsofJoin::new(sides, schema, outer, direction, residual, column).expect("a join"));
        // A sort needs some room in each lane.
        let lanes = if limit < 1 << 20 { 1 } else { lanes };
        let context = context(limit, batch_size, lanes);
        let cuts = |batch: &RecordBatch| splits(batch, &vec![vec![cut]; batch.num_rows() / cut]);
        let sink = AsofBuild::new(join.clone());
        let batches = cuts(&left).into_iter().flatten().collect();
        let output = strain.during(|| {
            collect(&sink, &context, lanes, cuts(&right), &[]).expect("builds");
            run_lanes(&AsofProbe::new(join.clone()), &context, lanes, batches).expect("joins")
        });
        let mut actual = Vec::new();
        for batch in &output {
            let number = |column: usize| batch.column(column).as_primitive::<Int64Type>();
            let cell = |column: usize, row: usize| number(column).is_valid(row).then(|| number(column).value(row) as usize);
            actual.extend((0..batch.num_rows()).map(|row| (cell(0, row), cell(3, row))));
        }
        actual.sort();
        let mut expected = Vec::new();
        for (number, row) in left_rows.iter().enumerate() {
            let partner = partner(kind, direction, keyed, *row, &right_rows);
            let partner = partner.filter(|partner| !has_residual || (number + partner) % 3 != 0);
            if outer || partner.is_some() {
                expected.push((Some(number), partner));
            }
        }
        prop_assert_eq!(actual, expected);
        drop((output, join, sink));
        prop_assert_eq!(held(&context), 0);
    }
}

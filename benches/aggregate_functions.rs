//! floe's own grouped accumulators beside the library's, on the same batches of 8192 rows: TPC-H Q1 has 4 groups and
//! DECIMAL(15,2) arguments. `cargo bench --bench aggregate_functions`; criterion's throughput is rows per second.

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array};
use arrow::datatypes::{Field, Schema};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use datafusion_common::DFSchema;
use datafusion_expr::expr::AggregateFunction;
use datafusion_expr::{AggregateUDF, Expr, col};
use datafusion_functions_aggregate::{average, count, sum};
use floe::expr::{AggregateCall, Compiler, Evaluator, GroupsAccumulator, functions};

const ROWS: usize = 8192;

/// The library's accumulator for `function(x)`, without floe's own in between.
fn library(function: Arc<AggregateUDF>, values: &ArrayRef) -> Box<dyn GroupsAccumulator> {
    let schema = Arc::new(Schema::new(vec![Field::new("x", values.data_type().clone(), true)]));
    let column = Arc::new(datafusion_physical_expr::expressions::Column::new("x", 0));
    datafusion_physical_expr::aggregate::AggregateExprBuilder::new(function, vec![column])
        .schema(schema)
        .alias("result")
        .build()
        .and_then(|call| call.create_groups_accumulator())
        .expect("the library has this accumulator")
}

fn own(function: &str, values: &ArrayRef) -> Box<dyn GroupsAccumulator> {
    let schema = Schema::new(vec![Field::new("x", values.data_type().clone(), true)]);
    let schema = DFSchema::try_from(schema).expect("one column");
    let function = functions().aggregate[function].clone();
    let expr = Expr::AggregateFunction(AggregateFunction::new_udf(function, vec![col("x")], false, None, vec![], None));
    let call = AggregateCall::compile(&expr, &schema, &Compiler::starting_now()).expect("a valid call");
    call.accumulator().expect("an accumulator")
}

fn columns() -> [(&'static str, ArrayRef); 4] {
    let number = |row: usize| (row.wrapping_mul(2_654_435_761) % 10_000_000) as i64;
    let decimal = Decimal128Array::from_iter_values((0..ROWS).map(|row| i128::from(number(row))));
    let nulls = (0..ROWS).map(|row| (row % 10 != 3).then(|| number(row)));
    [
        ("decimal", Arc::new(decimal.with_precision_and_scale(15, 2).expect("15 digits")) as ArrayRef),
        ("bigint", Arc::new(Int64Array::from_iter_values((0..ROWS).map(number)))),
        ("double", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| number(row) as f64 / 100.0)))),
        ("bigint with nulls", Arc::new(Int64Array::from_iter(nulls))),
    ]
}

fn accumulators(criterion: &mut Criterion) {
    for (type_name, values) in columns() {
        for groups in [1, 4, 1000, 100_000] {
            let indices: Vec<usize> = (0..ROWS).map(|row| row.wrapping_mul(40_503) % groups).collect();
            for (name, function) in
                [("sum", sum::sum_udaf()), ("avg", average::avg_udaf()), ("count", count::count_udaf())]
            {
                let mut group = criterion.benchmark_group(format!("{name} {type_name}"));
                group.throughput(Throughput::Elements(ROWS as u64));
                group.sample_size(20).measurement_time(std::time::Duration::from_millis(300));
                group.warm_up_time(std::time::Duration::from_millis(100));
                let mut run = |side: &str, mut accumulator: Box<dyn GroupsAccumulator>| {
                    group.bench_function(BenchmarkId::new(side, groups), |bencher| {
                        bencher.iter(|| {
                            let values = std::slice::from_ref(black_box(&values));
                            accumulator.update_batch(values, &indices, None, groups).expect("an update")
                        });
                    });
                };
                run("own", own(name, &values));
                // The library averages integers as DOUBLE; the analyzer would have cast them.
                if name != "avg" || !values.data_type().is_integer() {
                    run("library", library(function, &values));
                }
                group.finish();
            }
        }
    }
}

fn expressions(criterion: &mut Criterion) {
    use datafusion_expr::{Operator, binary_expr, lit};
    let [(_, decimal), (_, bigint), ..] = columns();
    let batch = arrow::array::RecordBatch::try_from_iter([("d", decimal), ("b", bigint)]).expect("two columns");
    let schema = DFSchema::try_from(batch.schema()).expect("two columns");
    let one = lit(datafusion_common::ScalarValue::Decimal128(Some(1), 20, 0));
    let cases = [
        ("d * (1 - d)", binary_expr(col("d"), Operator::Multiply, binary_expr(one, Operator::Minus, col("d")))),
        ("b + b", col("b") + col("b")),
        ("b * 3", col("b") * lit(3_i64)),
    ];
    let mut group = criterion.benchmark_group("checked arithmetic");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.sample_size(20).measurement_time(std::time::Duration::from_millis(300));
    for (name, expr) in cases {
        let own = Evaluator::compile(&expr, &schema).expect("a valid expression");
        group.bench_function(BenchmarkId::new("own", name), |bencher| {
            bencher.iter(|| own.evaluate(black_box(&batch)).expect("no overflow"));
        });
        let library =
            datafusion_physical_expr::create_physical_expr(&expr, &schema, &Default::default(), &Default::default())
                .expect("a valid expression");
        group.bench_function(BenchmarkId::new("library, wrapping", name), |bencher| {
            bencher.iter(|| library.evaluate(black_box(&batch)).expect("a result"));
        });
    }
    group.finish();
}

criterion_group!(benches, accumulators, expressions);
criterion_main!(benches);

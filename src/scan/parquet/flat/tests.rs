//! Random files of every known encoding, read with and without conditions, beside what was written.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, col, lit};
use parquet::basic::Compression;
use parquet::file::properties::{WriterPropertiesBuilder, WriterVersion};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::scan::Options;
use crate::scan::parquet::tests::{Scanned, batch, ints, matching, write};

/// Columns of every type that is decoded here: some values often, some never again.
fn columns(rows: Vec<(Option<u16>, bool)>, long: usize) -> RecordBatch {
    let number = |row: &(Option<u16>, bool)| row.0.map(|value| if row.1 { value % 5 } else { value });
    let numbers: Vec<Option<u16>> = rows.iter().map(number).collect();
    let decimals = |precision, scale| {
        let values = numbers.iter().map(|value| value.map(|value| i128::from(value) - 300));
        Arc::new(Decimal128Array::from_iter(values).with_precision_and_scale(precision, scale).unwrap()) as ArrayRef
    };
    let text = |value: u16| format!("é{}{value}", "x".repeat(usize::from(value) % long));
    let texts: Vec<Option<String>> = numbers.iter().map(|value| value.map(text)).collect();
    let each = |value: &Option<u16>| value.map(i64::from);
    batch(vec![
        ("row", ints(0..rows.len() as i64)),
        ("i", Arc::new(Int64Array::from_iter(numbers.iter().map(each)))),
        ("s", Arc::new(Int32Array::from_iter(numbers.iter().map(|value| value.map(i32::from))))),
        ("d", Arc::new(Date32Array::from_iter(numbers.iter().map(|value| value.map(i32::from))))),
        ("m", Arc::new(TimestampMicrosecondArray::from_iter(numbers.iter().map(each)))),
        ("f", Arc::new(Float64Array::from_iter(numbers.iter().map(|value| value.map(f64::from))))),
        ("small", decimals(9, 2)),
        ("middle", decimals(18, 2)),
        ("large", decimals(30, 2)),
        ("t", Arc::new(StringArray::from_iter(texts.iter().map(Option::as_deref)))),
        ("b", Arc::new(BinaryArray::from_iter(texts.iter().map(|text| text.as_ref().map(String::as_bytes))))),
    ])
}

fn any_rows() -> impl Strategy<Value = Vec<(Option<u16>, bool)>> {
    let share = prop_oneof![Just(0.9999), Just(0.9), Just(0.1)];
    share.prop_flat_map(|share| vec((weighted(share, 0..2_000u16), any::<bool>()), 1..900))
}

fn any_writer() -> impl Strategy<Value = (bool, usize, usize, usize, bool, Compression)> {
    let compression = prop_oneof![Just(Compression::UNCOMPRESSED), Just(Compression::SNAPPY)];
    (any::<bool>(), 100..2_000usize, 10..300usize, 100..900usize, any::<bool>(), compression)
}

fn any_filter() -> impl Strategy<Value = Expr> {
    let decimal = |value: i128| lit(ScalarValue::Decimal128(Some(value), 18, 2));
    let conjunct = (0..8usize, 0..2_000i64).prop_map(move |(kind, value)| match kind {
        0 => col("i").lt(lit(value)),
        1 => col("i").gt_eq(lit(value % 5)).and(col("i").lt_eq(lit(value % 5 + 1))),
        2 => col("t").eq(lit(ScalarValue::Utf8View(Some(format!("é{}{}", "x".repeat(value as usize % 3), value % 7))))),
        3 => col("middle").gt(decimal(i128::from(value) - 300)),
        4 => col("f").is_null(),
        5 => col("d").is_not_null(),
        6 => col("row").eq(lit(value)),
        _ => col("row").gt(col("i")),
    });
    vec(conjunct, 1..4).prop_map(|conjuncts| conjuncts.into_iter().reduce(Expr::and).unwrap())
}

fn as_read(batch: &RecordBatch, read: &RecordBatch) -> RecordBatch {
    let types = read.schema().fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>();
    let columns = batch.columns().iter().zip(types).map(|(column, data_type)| cast(column, &data_type).unwrap());
    RecordBatch::try_new(read.schema(), columns.collect()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_was_written_comes_back(
        rows in any_rows(),
        (dictionary, page_bytes, page_rows, group_rows, second, compression) in any_writer(),
        filter in any_filter(),
        (batch_size, long) in (1..300usize, prop_oneof![Just(4usize), Just(40), Just(200)]),
    ) {
        let written = columns(rows, long);
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.parquet");
        let version = if second { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
        write(&path, &written, |properties: WriterPropertiesBuilder| {
            // The second version would choose encodings that are not read here.
            let properties = properties.set_writer_version(version).set_encoding(parquet::basic::Encoding::PLAIN);
            properties
                .set_dictionary_enabled(dictionary)
                .set_dictionary_page_size_limit(page_bytes)
                .set_data_page_row_count_limit(page_rows)
                .set_write_batch_size(10)
                .set_max_row_group_row_count(Some(group_rows))
                .set_compression(compression)
        });
        let mut scan = Scanned::new(std::slice::from_ref(&path), Options::new()).unwrap();
        scan.context = Arc::new(crate::store::QueryContext { batch_size, ..scan.context.as_ref().clone() });
        let read = scan.read().unwrap();
        prop_assert_eq!(&as_read(&written, &read), &read);
        let filtered = scan.filtered(filter.clone());
        let expected = matching(&read, &filter);
        let left = match filtered.read() {
            Ok(left) if left.num_columns() > 0 => matching(&left, &filter),
            _ => read.slice(0, 0),
        };
        prop_assert_eq!(expected, left);
    }
}

#[test]
fn rows_that_fail_are_left_out_by_the_scan() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    let rows = (0..5_000u16).map(|row| (Some(row % 50), false)).collect();
    write(&path, &columns(rows, 9), |properties| properties);
    let scan = Scanned::new(std::slice::from_ref(&path), Options::new()).unwrap();
    let read = scan.filtered(col("i").eq(lit(7_i64)).and(col("t").is_not_null())).read().unwrap();
    assert_eq!(read.num_rows(), 100);
    assert_eq!(read.column_by_name("t").unwrap().data_type(), &DataType::Utf8View);
}

#[test]
fn few_rows_of_many_pages_make_one_batch() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    let rows = (0..20_000u16).map(|row| (Some(row % 50), false)).collect();
    write(&path, &columns(rows, 9), |properties| properties.set_data_page_row_count_limit(500));
    let mut scan = Scanned::new(std::slice::from_ref(&path), Options::new()).unwrap();
    scan.context = Arc::new(crate::store::QueryContext { batch_size: 1_000, ..scan.context.as_ref().clone() });
    let batches = scan.filtered(col("i").eq(lit(7_i64))).batches().unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 400);
    assert_eq!(batches.len(), 1);
}

/// Indexes of more than sixteen bits, all of them, some and few asked about.
#[test]
fn a_dictionary_may_be_long() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    let values = 0..80_000i64;
    let mixed = |row: i64| row * 48_271 % 80_000;
    let written = batch(vec![
        ("row", ints(values.clone())),
        ("i", Arc::new(Int64Array::from_iter_values(values.clone().map(mixed)))),
        ("t", Arc::new(StringArray::from_iter_values(values.map(|row| format!("text number {}", mixed(row)))))),
    ]);
    write(&path, &written, |properties| {
        let properties = properties.set_compression(Compression::SNAPPY).set_dictionary_page_size_limit(8 << 20);
        properties.set_max_row_group_row_count(Some(80_000)).set_data_page_size_limit(8 << 20)
    });
    let scan = || Scanned::new(std::slice::from_ref(&path), Options::new()).unwrap();
    let read = scan().read().unwrap();
    assert_eq!(as_read(&written, &read), read);
    let text = |row: i64| lit(ScalarValue::Utf8View(Some(format!("text number {row}"))));
    let filters = [
        col("i").lt(lit(70_000_i64)),
        col("i").lt(lit(20_000_i64)).and(col("t").gt(text(5))),
        col("i").lt(lit(300_i64)).and(col("t").lt(text(5))),
        col("row").lt(lit(9_i64)).and(col("i").gt(lit(50_000_i64))),
        col("t").eq(text(77_777)),
    ];
    for filter in filters {
        let left = scan().filtered(filter.clone()).read().unwrap();
        assert!(left.num_rows() > 0, "{filter}");
        assert_eq!(matching(&read, &filter), left, "{filter}");
    }
}

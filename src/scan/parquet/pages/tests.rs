//! Whatever is ruled out, no row that a filter wants is missing: over types, their stored forms, and ways of writing.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array,
    ListArray, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray, UInt32Array, UInt64Array,
};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, col, lit};
use parquet::file::properties::{WriterPropertiesBuilder, WriterVersion};
use proptest::prelude::*;
use tempfile::TempDir;

use super::common;
use crate::batch::{KeyFilter, RuntimeFilter};
use crate::scan::format::FormatReader;
use crate::scan::parquet::ParquetReader;
use crate::scan::parquet::tests::{Scanned, batch, ints, matching, write};
use crate::scan::spec::Options;
use crate::scan::{ScanFilter, Told};

/// A value that every column has in its own type; `None` is NULL.
type Seed = Option<i16>;

const NAMES: [&str; 14] = ["i", "s", "tiny", "u", "v", "f", "g", "t", "y", "d5", "d15", "d30", "us", "ms"];

/// Text that is long, so that its bounds are cut short, also within a character.
fn text(seed: i16) -> String {
    format!("ä{}é{}", if seed < 0 { "\u{10ffff}" } else { "x" }, i32::from(seed) + 40)
}

fn double(seed: i16) -> f64 {
    match seed {
        7 => f64::NAN,
        -7 => -f64::NAN,
        0 => -0.0,
        8 => 0.0,
        seed => f64::from(seed) / 2.0,
    }
}

fn column(name: &str, rows: &[Seed]) -> ArrayRef {
    let wide = || rows.iter().map(|seed| seed.map(i64::from));
    let unsigned = |seed: &Seed| seed.map(|seed| u32::from(seed.cast_unsigned()) << 16);
    let decimal = |precision: u8| {
        let unscaled = rows.iter().map(|seed| seed.map(|seed| i128::from(seed) * 55));
        Arc::new(Decimal128Array::from_iter(unscaled).with_precision_and_scale(precision, 2).unwrap())
    };
    match name {
        "i" => Arc::new(Int64Array::from_iter(wide())),
        "s" => Arc::new(Int32Array::from_iter(rows.iter().map(|seed| seed.map(i32::from)))),
        "tiny" => Arc::new(Int8Array::from_iter(rows.iter().map(|seed| seed.and_then(|seed| i8::try_from(seed).ok())))),
        "u" => Arc::new(UInt32Array::from_iter(rows.iter().map(unsigned))),
        "v" => {
            Arc::new(UInt64Array::from_iter(rows.iter().map(|seed| unsigned(seed).map(|seed| u64::from(seed) << 32))))
        }
        "f" => Arc::new(Float64Array::from_iter(rows.iter().map(|seed| seed.map(double)))),
        "g" => Arc::new(Float32Array::from_iter(rows.iter().map(|seed| seed.map(|seed| double(seed) as f32)))),
        "t" => Arc::new(StringArray::from_iter(rows.iter().map(|seed| seed.map(text)))),
        "y" => Arc::new(BinaryArray::from_iter(rows.iter().map(|seed| seed.map(|seed| [0xff, 0xff, seed as u8])))),
        "d5" => decimal(5),
        "d15" => decimal(15),
        "d30" => decimal(30),
        "us" => Arc::new(TimestampMicrosecondArray::from_iter(wide())),
        "ms" => Arc::new(TimestampMillisecondArray::from_iter(wide())),
        _ => Arc::new(Date32Array::from_iter(rows.iter().map(|seed| seed.map(i32::from)))),
    }
}

/// The literal that `seed` is in column `name`, in the type in which the engine sees the column.
fn literal(name: &str, seed: Seed) -> Expr {
    let value = ScalarValue::try_from_array(&column(name, &[seed]), 0).unwrap();
    lit(match value {
        ScalarValue::Utf8(text) => ScalarValue::Utf8View(text),
        ScalarValue::Binary(bytes) => ScalarValue::BinaryView(bytes),
        other => other,
    })
}

fn any_seed() -> impl Strategy<Value = Seed> {
    prop_oneof![8 => (-9..10_i16).prop_map(Some), 1 => Just(None)]
}

/// Rows in some order, in runs, or by chance; NULLs in runs too.
fn any_rows() -> impl Strategy<Value = Vec<Seed>> {
    let run = (any_seed(), 1..6_usize).prop_map(|(seed, length)| vec![seed; length]);
    (prop::collection::vec(run, 1..16), 0..3_usize).prop_map(|(runs, order)| {
        let mut rows: Vec<Seed> = runs.into_iter().flatten().collect();
        match order {
            0 => rows.sort_unstable(),
            1 => rows.sort_unstable_by_key(|seed| std::cmp::Reverse(*seed)),
            _ => {}
        }
        rows
    })
}

fn any_filter() -> impl Strategy<Value = Expr> {
    let leaf = (0..NAMES.len(), any_seed(), any_seed(), 0..10_usize).prop_map(|(column, one, two, kind)| {
        let name = NAMES[column];
        let (left, one, two) = (col(name), literal(name, one), literal(name, two));
        match kind {
            0 => left.lt(one),
            1 => left.lt_eq(one),
            2 => left.gt(one),
            3 => one.lt_eq(left),
            4 | 5 => left.eq(one),
            6 => left.not_eq(one),
            7 => left.between(one, two),
            8 => left.in_list(vec![one, two], false),
            _ => left.is_null(),
        }
    });
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| left.and(right)),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| left.or(right)),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

/// A way of writing.
#[derive(Debug, Clone)]
struct Way {
    group_rows: usize,
    page_rows: usize,
    cut_bounds: Option<usize>,
    dictionary: bool,
    bloom: bool,
    second_version: bool,
    /// Whether a list is read too, so that no column is flat.
    nested: bool,
}

fn any_way() -> impl Strategy<Value = Way> {
    let flags = prop::array::uniform4(any::<bool>());
    let cut = prop_oneof![Just(None), (1..8_usize).prop_map(Some)];
    (1..60_usize, 1..6_usize, cut, flags).prop_map(|(group_rows, page_rows, cut_bounds, flags)| {
        let [dictionary, bloom, second_version, nested] = flags;
        Way { group_rows, page_rows, cut_bounds, dictionary, bloom, second_version, nested }
    })
}

impl Way {
    fn properties(&self, builder: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
        let version = if self.second_version { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
        builder
            .set_max_row_group_row_count(Some(self.group_rows))
            .set_data_page_row_count_limit(self.page_rows)
            .set_write_batch_size(1)
            .set_column_index_truncate_length(self.cut_bounds)
            .set_statistics_truncate_length(self.cut_bounds)
            .set_dictionary_enabled(self.dictionary)
            .set_bloom_filter_enabled(self.bloom)
            .set_writer_version(version)
    }
}

fn table(rows: &[Seed], nested: bool) -> RecordBatch {
    let mut columns: Vec<(&str, ArrayRef)> = NAMES.iter().map(|name| (*name, column(name, rows))).collect();
    if nested {
        let lists = rows.iter().map(|seed| seed.map(|seed| (0..seed.rem_euclid(3)).map(|item| Some(i32::from(item)))));
        columns.push(("l", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))));
    }
    batch(columns)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 150 } else { 600 }))]

    #[test]
    fn no_row_that_a_filter_wants_is_missing(
        rows in any_rows(),
        filters in prop::collection::vec(any_filter(), 1..3),
        way in any_way(),
    ) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.parquet");
        write(&path, &table(&rows, way.nested), |builder| way.properties(builder));
        let mut scanned = Scanned::new(&[path], Options::new()).unwrap();
        let whole = scanned.read().unwrap();
        prop_assert_eq!(whole.num_rows(), rows.len());
        let expected = filters.iter().fold(whole, |batch, filter| matching(&batch, filter));
        scanned.request.filters = filters.clone();
        let read = scanned.read().unwrap();
        let actual = if read.num_columns() == 0 {
            RecordBatch::new_empty(expected.schema())
        } else {
            filters.iter().fold(read, |batch, filter| matching(&batch, filter))
        };
        prop_assert_eq!(actual, expected);
    }

    #[test]
    fn what_two_lists_of_runs_have_in_common_is_what_rows_have(
        one in prop::collection::vec(any::<bool>(), 0..40),
        two in prop::collection::vec(any::<bool>(), 0..40),
    ) {
        let runs = |bits: &[bool]| {
            let mut runs: Vec<Range<u64>> = Vec::new();
            for (row, _) in bits.iter().enumerate().filter(|(_, bit)| **bit) {
                super::append(&mut runs, row as u64..row as u64 + 1);
            }
            runs
        };
        let both: Vec<bool> = one.iter().zip(&two).map(|(one, two)| *one && *two).collect();
        let rows = |runs: &[Range<u64>]| runs.iter().cloned().flatten().collect::<Vec<u64>>();
        prop_assert_eq!(rows(&common(&runs(&one), &runs(&two))), rows(&runs(&both)));
    }
}

/// Four row groups of a hundred rows in pages of ten.
fn sorted(folder: &TempDir, nested: bool) -> Scanned {
    let path = folder.path().join("sorted.parquet");
    let lists = (0..400).map(|row| Some([Some(row)]));
    let mut columns = vec![("a", ints(0..400)), ("odd", ints((0..400).map(|row| 2 * (row * 7 % 100) + 1)))];
    if nested {
        columns.push(("l", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))));
    }
    write(&path, &batch(columns), |builder| {
        let builder = builder.set_max_row_group_row_count(Some(100)).set_data_page_row_count_limit(10);
        builder.set_write_batch_size(5).set_bloom_filter_enabled(true)
    });
    Scanned::new(&[path], Options::new()).unwrap()
}

#[test]
fn pages_and_filters_rule_out_rows_and_say_so() {
    let folder = TempDir::new().unwrap();
    for nested in [false, true] {
        let planned = |filter: Expr| {
            let scanned = sorted(&folder, nested).filtered(filter);
            let splits = ParquetReader.splits(&scanned.request, &scanned.context).unwrap();
            let rows = splits.plans.iter().map(|split| split.rows().unwrap()).sum::<u64>();
            assert!(scanned.read().unwrap().num_rows() as u64 <= rows);
            (rows, splits.ruled_out)
        };
        let (rows, told) = planned(col("a").between(lit(115_i64), lit(121_i64)));
        assert_eq!((rows, told.as_str()), (20, "3 of 4 row groups and 8 of 10 pages"));
        let (rows, told) = planned(col("a").eq(lit(5_i64)).or(col("a").eq(lit(55_i64))));
        assert_eq!((rows, told.as_str()), (20, "3 of 4 row groups and 8 of 10 pages"));
        // All values lie within the bounds, but none is even.
        let (rows, told) = planned(col("odd").eq(lit(50_i64)));
        assert_eq!((rows, told.as_str()), (0, "4 of 4 row groups (4 by bloom filters)"));
        assert!(!planned(col("odd").in_list(vec![lit(50_i64), lit(51_i64)], false)).1.contains("bloom"));
    }
}

#[test]
fn keys_of_a_join_rule_out_pages() {
    let folder = TempDir::new().unwrap();
    for nested in [false, true] {
        let mut scanned = sorted(&folder, nested);
        let keys = Arc::new(RuntimeFilter::default());
        let ends = (ScalarValue::Int64(Some(215)), ScalarValue::Int64(Some(222)));
        keys.publish(KeyFilter::new(arrow::datatypes::DataType::Int64, 8, Some(ends)));
        scanned.request.runtime_filters = vec![ScanFilter { column: 0, filter: Told::Keys(keys) }];
        let read = scanned.read().unwrap();
        let rows = read.num_rows();
        assert!((8..=20).contains(&rows), "{rows}");
        assert_eq!(matching(&read, &col("a").between(lit(215_i64), lit(222_i64))).num_rows(), 8);
    }
}

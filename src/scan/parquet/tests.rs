//! Tests of the Parquet format over files made by the arrow writer.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int32Array,
    Int64Array, LargeStringArray, ListArray, StringArray, StructArray,
};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::{Expr, col, lit};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::{FileMetaData, ParquetMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use proptest::prelude::*;
use tempfile::TempDir;

use super::ParquetReader;
use crate::cancel::CancelToken;
use crate::error::{Code, Result};
use crate::expr::Evaluator;
use crate::memory::Budget;
use crate::scan::format::{FormatReader, ScanRequest};
use crate::scan::spec::{FileEntry, Format, OptionValue, Options, ScanSpec};
use crate::store::{QueryContext, Store};

fn context(batch_size: usize) -> Arc<QueryContext> {
    let budget = Budget::new(256 << 20);
    let store = Store::new(budget.clone());
    Arc::new(QueryContext { cancel: CancelToken::new(), budget, store, batch_size, threads: 2, side: None })
}

pub(super) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

pub(super) fn ints(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

pub(super) fn write(
    path: &Path,
    batch: &RecordBatch,
    change: impl FnOnce(WriterPropertiesBuilder) -> WriterPropertiesBuilder,
) {
    let properties = change(WriterProperties::builder()).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn entries(paths: &[std::path::PathBuf]) -> Vec<FileEntry> {
    let entry = |path: &std::path::PathBuf| FileEntry {
        path: path.to_str().unwrap().into(),
        size: std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
        modified: None,
        hive_values: Vec::new(),
    };
    paths.iter().map(entry).collect()
}

fn union_by_name() -> Options {
    Options::from([("union_by_name".to_owned(), OptionValue::Bool(true))])
}

pub(super) struct Scanned {
    pub(super) request: ScanRequest,
    pub(super) context: Arc<QueryContext>,
}

impl Scanned {
    pub(super) fn new(paths: &[std::path::PathBuf], options: Options) -> Result<Self> {
        let files = entries(paths);
        let inferred = ParquetReader.infer(&files, &options)?;
        let spec = ScanSpec {
            patterns: Vec::new(),
            format: Format::Parquet,
            options: inferred.options,
            files,
            schema: inferred.schema.clone(),
            hive_columns: 0,
            rows: inferred.rows,
        };
        let projection = (0..inferred.schema.fields().len()).collect();
        let request = ScanRequest {
            spec: Arc::new(spec),
            projection,
            filters: Vec::new(),
            limit: None,
            runtime_filters: Vec::new(),
            parts: Default::default(),
        };
        Ok(Scanned { request, context: context(100) })
    }

    pub(super) fn filtered(mut self, filter: Expr) -> Self {
        self.request.filters = vec![filter];
        self
    }

    fn planned_rows(&self) -> usize {
        let splits = ParquetReader.splits(&self.request, &self.context).unwrap().plans;
        splits.iter().map(|split| split.rows().unwrap() as usize).sum()
    }

    fn split_count(&self) -> usize {
        ParquetReader.splits(&self.request, &self.context).unwrap().plans.len()
    }

    pub(super) fn batches(&self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        for split in ParquetReader.splits(&self.request, &self.context)?.plans {
            let mut split = split.open()?;
            while let Some(batch) = split.next()? {
                assert!(batch.num_rows() <= self.context.batch_size);
                batches.push(batch);
            }
        }
        Ok(batches)
    }

    pub(super) fn read(&self) -> Result<RecordBatch> {
        let batches = self.batches()?;
        let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
        if schema.fields().is_empty() {
            let rows = batches.iter().map(RecordBatch::num_rows).sum();
            let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
            return Ok(RecordBatch::try_new_with_options(schema, Vec::new(), &options)?);
        }
        Ok(concat_batches(&schema, &batches)?)
    }
}

#[test]
fn all_kinds_of_columns_come_back_without_metadata() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(
        (0..250).map(|row| (row % 5 != 0).then(|| (0..row % 4).map(Some).collect::<Vec<_>>())),
    );
    let inner: ArrayRef =
        Arc::new(StringArray::from_iter((0..250).map(|row| (row % 3 != 0).then(|| format!("s{row}")))));
    let nested = StructArray::from(vec![(Arc::new(Field::new("t", DataType::Utf8, true)), inner)]);
    let dictionary: DictionaryArray<Int32Type> = (0..250).map(|row| ["x", "y", "z"][row % 3]).collect();
    let decimal = Decimal128Array::from_iter_values((0..250).map(i128::from)).with_precision_and_scale(15, 2).unwrap();
    let written = batch(vec![
        ("Id", ints(0..250)),
        (
            "name",
            Arc::new(LargeStringArray::from_iter(
                (0..250).map(|row| (row % 7 != 0).then(|| "long enough to leave the view ".repeat(row % 3))),
            )),
        ),
        ("list", Arc::new(list)),
        ("nested", Arc::new(nested)),
        ("kind", Arc::new(dictionary)),
        ("price", Arc::new(decimal)),
        ("day", Arc::new(Date32Array::from_iter_values(0..250))),
    ]);
    let schema = Schema::new_with_metadata(written.schema().fields().clone(), [("k".into(), "v".into())].into());
    let written = written.with_schema(Arc::new(schema)).unwrap();
    write(&path, &written, |properties| properties.set_max_row_group_row_count(Some(90)));

    let scanned = Scanned::new(&[path], Options::new()).unwrap();
    assert_eq!(scanned.request.spec.rows, Some(250));
    assert!(scanned.request.spec.schema.metadata().is_empty());
    let types: Vec<_> = scanned.request.spec.schema.fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types[1], DataType::Utf8View);
    assert_eq!(types[4], DataType::Utf8View);
    assert_eq!(types[5], DataType::Decimal128(15, 2));
    let read = scanned.read().unwrap();
    assert_eq!(read.schema(), scanned.request.spec.schema);
    for (index, data_type) in types.iter().enumerate() {
        let expected = arrow::compute::cast(written.column(index), data_type).unwrap();
        assert_eq!(read.column(index).to_data(), expected.to_data(), "column {index}");
    }
}

#[test]
fn columns_come_in_the_order_asked_for_and_more_than_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &batch(vec![("a", ints(0..10)), ("b", ints(10..20)), ("c", ints(20..30))]), |p| p);
    let mut scanned = Scanned::new(&[path], Options::new()).unwrap();
    scanned.request.projection = vec![2, 0, 2];
    let read = scanned.read().unwrap();
    assert_eq!(read.column(0).as_primitive::<Int64Type>().value(3), 23);
    assert_eq!(read.column(1).as_primitive::<Int64Type>().value(3), 3);
    assert_eq!(read.column(2).as_primitive::<Int64Type>().value(3), 23);
}

#[test]
fn no_columns_give_the_row_count_without_reading() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &batch(vec![("a", ints(0..1234))]), |p| p);
    let mut scanned = Scanned::new(std::slice::from_ref(&path), Options::new()).unwrap();
    scanned.request.projection = Vec::new();
    let splits = ParquetReader.splits(&scanned.request, &scanned.context).unwrap().plans;
    std::fs::remove_file(path).unwrap();
    let mut rows = 0;
    for split in splits {
        let mut split = split.open().unwrap();
        while let Some(batch) = split.next().unwrap() {
            rows += batch.num_rows();
        }
    }
    assert_eq!(rows, 1234);
}

#[test]
fn a_file_without_rows_has_columns_and_no_splits() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &batch(vec![("a", ints(0..0))]), |p| p);
    let scanned = Scanned::new(&[path], Options::new()).unwrap();
    assert_eq!(scanned.request.spec.rows, Some(0));
    assert_eq!(scanned.split_count(), 0);
}

#[test]
fn a_limit_without_filter_stops_planning_and_reading() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &batch(vec![("a", ints(0..200_000))]), |p| p.set_max_row_group_row_count(Some(20_000)));
    let mut scanned = Scanned::new(&[path], Options::new()).unwrap();
    assert!(scanned.split_count() > 4);
    scanned.request.limit = Some(30);
    assert_eq!(scanned.split_count(), 1);
    assert_eq!(scanned.read().unwrap().num_rows(), 30);
}

#[test]
fn a_large_row_group_is_cut_along_its_pages() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..300_000).map(|row| format!("{row}"))));
    write(&path, &batch(vec![("a", ints(0..300_000)), ("t", texts)]), |p| p.set_data_page_row_count_limit(7_000));
    let scanned = Scanned::new(&[path], Options::new()).unwrap();
    assert!(scanned.split_count() >= 4, "{} splits", scanned.split_count());
    let read = scanned.read().unwrap();
    assert_eq!(read.column(0).as_ref(), ints(0..300_000).as_ref());
    let texts = read.column(1).as_string_view();
    assert!((0..300_000).all(|row| texts.value(row) == row.to_string()));

    let mut sparse = scanned.filtered(col("a").gt(lit(299_990_i64)).and(col("a").lt(lit(299_995_i64))));
    sparse.request.projection = vec![1, 0];
    let read = sparse.read().unwrap();
    assert_eq!(read.column(1).as_ref(), ints(299_991..299_995).as_ref());
    assert_eq!(read.column(0).as_string_view().value(0), "299991");
}

#[test]
fn numbers_are_widened_and_missing_columns_filled_by_name() {
    let folder = TempDir::new().unwrap();
    let paths = [folder.path().join("a.parquet"), folder.path().join("b.parquet")];
    write(&paths[0], &batch(vec![("a", Arc::new(Int32Array::from(vec![1, 2]))), ("x", ints(0..2))]), |p| p);
    write(&paths[1], &batch(vec![("y", ints(5..7)), ("A", Arc::new(Float64Array::from(vec![2.5, 3.5])))]), |p| p);

    let error = Scanned::new(&paths, Options::new()).err().unwrap();
    assert_eq!(error.code(), Code::InvalidData);
    assert!(error.message().contains("a.parquet") && error.message().contains("b.parquet"), "{error}");
    assert!(error.hint_text().unwrap().contains("union_by_name"));

    let read = Scanned::new(&paths, union_by_name()).unwrap().read().unwrap();
    let names: Vec<_> = read.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["a", "x", "y"]);
    assert_eq!(read.column(0).as_primitive::<Float64Type>().values(), &[1.0, 2.0, 2.5, 3.5]);
    assert_eq!(read.column(1).null_count(), 2);
    assert_eq!(read.column(2).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [None, None, Some(5), Some(6)]);
}

#[test]
fn types_without_a_common_one_name_both_files() {
    let folder = TempDir::new().unwrap();
    let paths = [folder.path().join("a.parquet"), folder.path().join("b.parquet")];
    write(&paths[0], &batch(vec![("a", ints(0..2))]), |p| p);
    write(&paths[1], &batch(vec![("a", Arc::new(StringArray::from(vec!["x"])))]), |p| p);
    let error = Scanned::new(&paths, Options::new()).err().unwrap().to_string();
    assert!(error.contains("column 'a' is BIGINT in file") && error.contains("b.parquet"), "{error}");
}

#[test]
fn what_is_not_parquet_is_an_error_that_names_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bad.parquet");
    for garbage in [&b""[..], b"PAR1", b"this is no Parquet file at all", b"PAR1garbagegarbage\xff\xff\xff\x7fPAR1"] {
        std::fs::write(&path, garbage).unwrap();
        let error = Scanned::new(std::slice::from_ref(&path), Options::new()).err().unwrap();
        assert_eq!(error.code(), Code::InvalidData, "{error}");
        assert!(error.to_string().contains("bad.parquet"), "{error}");
    }
    let error = Scanned::new(&[folder.path().join("none.parquet")], Options::new()).err().unwrap();
    assert_eq!(error.code(), Code::FileNotFound);
}

#[test]
fn a_damaged_page_names_file_row_group_and_column() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("hurt.parquet");
    let written = batch(vec![("a", ints(0..1000)), ("b", ints((0..1000).map(|row| row * 7919)))]);
    write(&path, &written, |p| p.set_max_row_group_row_count(Some(500)).set_dictionary_enabled(false));
    let footer = super::footer::load(&path.to_str().unwrap().into()).unwrap();
    let (start, size) = footer.metadata().row_group(1).column(1).byte_range();
    let mut bytes = std::fs::read(&path).unwrap();
    let (start, size) = (usize::try_from(start).unwrap(), usize::try_from(size).unwrap());
    bytes[start..start + size.min(64)].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let error = Scanned::new(&[path], Options::new()).unwrap().read().err().unwrap();
    assert_eq!(error.code(), Code::InvalidData, "{error}");
    let text = error.to_string();
    assert!(text.contains("hurt.parquet") && text.contains("row group 1, column 'b'"), "{text}");
}

#[test]
fn row_groups_have_as_many_rows_as_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rows.parquet");
    write(&path, &batch(vec![("a", ints(0..10))]), |p| p);
    let footer = super::footer::load(&path.to_str().unwrap().into()).unwrap();
    let file = footer.metadata().file_metadata();
    for (rows, is_right) in [(10, true), (9, false)] {
        let file = FileMetaData::new(file.version(), rows, None, None, file.schema_descr_ptr(), None);
        let metadata = ParquetMetaData::new(file, footer.metadata().row_groups().to_vec());
        assert_eq!(super::footer::check_chunks(&metadata, 1 << 20).is_ok(), is_right);
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error_and_never_a_panic() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cut.parquet");
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|row| format!("text {row}"))));
    write(&path, &batch(vec![("a", ints(0..100)), ("t", texts)]), |p| p);
    let whole = std::fs::read(&path).unwrap();
    for size in (0..whole.len()).step_by(13) {
        std::fs::write(&path, &whole[..size]).unwrap();
        assert!(Scanned::new(std::slice::from_ref(&path), Options::new()).is_err(), "cut at {size}");
    }
    // Bytes turned over may go unnoticed, but must not take the process down.
    for place in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x5a;
        std::fs::write(&path, &bytes).unwrap();
        let _ = Scanned::new(std::slice::from_ref(&path), Options::new()).and_then(|scanned| scanned.read());
    }
}

#[test]
fn a_file_changed_after_planning_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &batch(vec![("a", ints(0..10))]), |p| p);
    let scanned = Scanned::new(std::slice::from_ref(&path), Options::new()).unwrap();
    let splits = ParquetReader.splits(&scanned.request, &scanned.context).unwrap().plans;
    write(&path, &batch(vec![("a", ints(0..5000))]), |p| p);
    let error = splits[0].open().err().unwrap();
    assert!(error.to_string().contains("was changed"), "{error}");
}

#[test]
fn cancelling_stops_a_split() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &batch(vec![("a", ints(0..1000))]), |p| p);
    let scanned = Scanned::new(&[path], Options::new()).unwrap();
    let mut split = ParquetReader.splits(&scanned.request, &scanned.context).unwrap().plans[0].open().unwrap();
    split.next().unwrap();
    scanned.context.cancel.cancel();
    assert_eq!(split.next().err().unwrap().code(), Code::Cancelled);
}

#[test]
fn reading_holds_a_reservation_and_gives_it_back() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &batch(vec![("a", ints(0..1000))]), |p| p);
    let scanned = Scanned::new(&[path], Options::new()).unwrap();
    let split = ParquetReader.splits(&scanned.request, &scanned.context).unwrap().plans[0].open().unwrap();
    assert!(scanned.context.budget.used() > 0);
    drop(split);
    assert_eq!(scanned.context.budget.used(), 0);
}

fn under(mut scanned: Scanned, limit: usize, batch_size: usize) -> Scanned {
    let budget = Budget::new(limit);
    let store = Store::new(budget.clone());
    scanned.context =
        Arc::new(QueryContext { cancel: CancelToken::new(), budget, store, batch_size, threads: 2, side: None });
    scanned
}

#[test]
fn no_room_for_a_page_is_no_damage_of_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..30_000).map(|row| format!("{row:0100}"))));
    write(&path, &batch(vec![("t", texts)]), |p| p.set_dictionary_enabled(false));
    let scanned = under(Scanned::new(&[path], Options::new()).unwrap(), 4 << 20, 100);
    let mut split = ParquetReader.splits(&scanned.request, &scanned.context).unwrap().plans[0].open().unwrap();
    let budget = &scanned.context.budget;
    let mut others = budget.reservation("others");
    while others.try_grow(1000) {}
    let error = split.next().err().unwrap();
    assert_eq!(error.code(), Code::OutOfMemory, "{error}");
    assert!(error.to_string().contains("a.parquet"), "{error}");
    assert!(error.hint_text().unwrap().contains("memory_limit"), "{error}");
}

#[test]
fn long_lists_come_in_batches_of_few_rows() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    let lists = (0..200).map(|row| Some((0..1000).map(|value| Some(row * 7919 + value)).collect::<Vec<_>>()));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
    write(&path, &batch(vec![("l", lists.clone())]), |p| p.set_dictionary_enabled(false));
    let scanned = under(Scanned::new(&[path], Options::new()).unwrap(), 16 << 20, 8192);
    let mut rows = Vec::new();
    for split in ParquetReader.splits(&scanned.request, &scanned.context).unwrap().plans {
        let mut split = split.open().unwrap();
        while let Some(batch) = split.next().unwrap() {
            rows.push(batch.num_rows());
        }
    }
    assert!(rows.iter().all(|rows| *rows <= 50) && rows.iter().sum::<usize>() == 200, "{rows:?}");
    assert_eq!(scanned.read().unwrap().column(0).as_list::<i32>().values().len(), 200_000);
}

/// A sorted column in ten row groups of a hundred rows.
fn sorted(folder: &TempDir) -> std::path::PathBuf {
    let path = folder.path().join("sorted.parquet");
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..1000).map(|row| format!("key {row:04}"))));
    let halves: ArrayRef = Arc::new(Float64Array::from_iter_values((0..1000).map(|row| f64::from(row) / 2.0)));
    let some: ArrayRef = Arc::new(Int64Array::from_iter((0..1000).map(|row| (row >= 100).then_some(row))));
    let flag: ArrayRef = Arc::new(BooleanArray::from_iter((0..1000).map(|row| Some(row < 100))));
    let written = batch(vec![("a", ints(0..1000)), ("t", texts), ("f", halves), ("n", some), ("b", flag)]);
    write(&path, &written, |p| p.set_max_row_group_row_count(Some(100)));
    path
}

#[test]
fn statistics_rule_out_row_groups() {
    let folder = TempDir::new().unwrap();
    let path = sorted(&folder);
    let text = |value: &str| lit(ScalarValue::Utf8View(Some(value.to_owned())));
    let cases: Vec<(Expr, usize)> = vec![
        (col("a").lt(lit(100_i64)), 100),
        (col("a").lt_eq(lit(100_i64)), 200),
        (lit(899_i64).lt(col("a")), 100),
        (col("a").eq(lit(450_i32)), 100),
        (col("a").between(lit(150_i64), lit(250_i64)), 200),
        (col("a").not_between(lit(0_i64), lit(899_i64)), 100),
        (col("a").in_list(vec![lit(5_i64), lit(995_i64)], false), 200),
        (col("a").lt(lit(100_i64)).or(col("a").gt(lit(899_i64))), 200),
        (Expr::Not(Box::new(col("a").gt_eq(lit(100_i64)))), 100),
        (col("a").gt(lit(300_i64)).and(col("t").lt(text("key 0400"))), 100),
        (col("t").eq(text("key 0777")), 100),
        (col("t").eq(lit("key 0777")), 100),
        (col("t").like(lit("key 07%")), 100),
        (col("f").between(lit(0.0), lit(10.0)), 100),
        (col("f").gt_eq(lit(1.0)).and(col("f").lt(lit(10.0))), 100),
        (col("n").is_null(), 100),
        (col("n").is_not_null(), 900),
        (col("n").gt(lit(0_i64)), 900),
        (col("b"), 100),
        (Expr::Not(Box::new(col("b"))), 900),
        (datafusion_expr::cast(col("a"), DataType::Float64).lt(lit(99.5)), 100),
        (col("a").lt(lit(ScalarValue::Int64(None))), 0),
        (col("a").gt(col("n")), 900),
        // Not understood: nothing is left out.
        ((col("a") + lit(1_i64)).lt(lit(0_i64)), 1000),
        (col("a").lt(lit(10.5)), 1000),
        (col("elsewhere").lt(lit(10.5)), 1000),
    ];
    for (filter, rows) in cases {
        let mut scanned = Scanned::new(std::slice::from_ref(&path), Options::new()).unwrap().filtered(filter.clone());
        // What the statistics leave to be read; of that only the rows that match come out.
        scanned.request.projection = vec![0];
        assert_eq!(scanned.planned_rows(), rows, "{filter}");
        assert!(scanned.read().unwrap().num_rows() <= scanned.planned_rows(), "{filter}");
    }
}

#[test]
fn a_column_that_a_file_lacks_is_null_to_the_filter() {
    let folder = TempDir::new().unwrap();
    let paths = [folder.path().join("a.parquet"), folder.path().join("b.parquet")];
    write(&paths[0], &batch(vec![("a", ints(0..10)), ("x", ints(0..10))]), |p| p);
    write(&paths[1], &batch(vec![("a", ints(0..10))]), |p| p);
    let scan = |filter| {
        let mut scanned = Scanned::new(&paths, union_by_name()).unwrap().filtered(filter);
        scanned.request.projection = vec![0];
        scanned.read().unwrap().num_rows()
    };
    assert_eq!(scan(col("x").eq(lit(5_i64))), 10);
    assert_eq!(scan(col("x").is_null()), 10);
}

/// The rows of `batch` for which `filter` is true, by the engine's own evaluator.
pub(super) fn matching(batch: &RecordBatch, filter: &Expr) -> RecordBatch {
    let schema = DFSchema::try_from(batch.schema().as_ref().clone()).unwrap();
    let selection = Evaluator::compile(filter, &schema).unwrap().predicate(batch).unwrap();
    filter_record_batch(batch, &selection.mask(batch.num_rows()).into()).unwrap()
}

fn any_double() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        6 => (-8..8_i32).prop_map(|value| Some(f64::from(value) / 2.0)),
        1 => Just(Some(f64::NAN)),
        1 => Just(Some(-f64::NAN)),
        1 => Just(Some(-0.0)),
        1 => Just(Some(f64::INFINITY)),
        2 => Just(None),
    ]
}

fn any_filter() -> impl Strategy<Value = Expr> {
    let literal = |column: usize, value: Option<f64>| match column {
        0 => lit(ScalarValue::Int64(value.map(|value| value as i64))),
        1 => lit(ScalarValue::Float64(value)),
        _ => lit(ScalarValue::Utf8View(value.map(|value| format!("t{value}")))),
    };
    let leaf = (0..3_usize, any_double(), any_double(), 0..9_usize).prop_map(move |(column, one, two, kind)| {
        let (left, one, two) = (col(["i", "f", "t"][column]), literal(column, one), literal(column, two));
        match kind {
            0 => left.lt(one),
            1 => left.lt_eq(one),
            2 => left.gt(one),
            3 => left.gt_eq(one),
            4 => left.eq(one),
            5 => left.not_eq(one),
            6 => left.between(one, two),
            7 => left.in_list(vec![one, two], column == 1),
            _ => left.is_null(),
        }
    });
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| left.and(right)),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| left.or(right)),
            inner.clone().prop_map(|inner| Expr::Not(Box::new(inner))),
            inner.clone().prop_map(|inner| Expr::IsTrue(Box::new(inner))),
            inner.prop_map(|inner| Expr::IsFalse(Box::new(inner))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn pruning_keeps_every_matching_row(
        rows in prop::collection::vec((any_double(), any_double(), any_double()), 1..40),
        filters in prop::collection::vec(any_filter(), 1..3),
        statistics in 0..3_usize,
    ) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.parquet");
        let written = batch(vec![
            ("i", Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.0.map(|value| value as i64))))),
            ("f", Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.1)))),
            ("t", Arc::new(StringArray::from_iter(rows.iter().map(|row| row.2.map(|value| format!("t{value}")))))),
        ]);
        let level = [EnabledStatistics::None, EnabledStatistics::Chunk, EnabledStatistics::Page][statistics];
        write(&path, &written, |p| {
            p.set_max_row_group_row_count(Some(4)).set_data_page_row_count_limit(2).set_write_batch_size(2)
                .set_statistics_enabled(level).set_statistics_truncate_length(Some(2))
        });
        let mut scanned = Scanned::new(&[path], Options::new()).unwrap();
        let whole = scanned.read().unwrap();
        let expected = filters.iter().fold(whole, |batch, filter| matching(&batch, filter));
        scanned.request.filters = filters.clone();
        let pruned = scanned.read().unwrap();
        let actual = if pruned.num_columns() == 0 {
            RecordBatch::new_empty(expected.schema())
        } else {
            filters.iter().fold(pruned, |batch, filter| matching(&batch, filter))
        };
        prop_assert_eq!(actual, expected);
    }
}

#[test]
fn a_negative_zero_is_not_less_than_zero() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    let zeros: ArrayRef = Arc::new(Float64Array::from(vec![-0.0]));
    write(&path, &batch(vec![("f", zeros), ("i", ints(0..1))]), |p| p.set_statistics_enabled(EnabledStatistics::None));
    let scanned = Scanned::new(&[path], Options::new()).unwrap().filtered(col("f").gt_eq(lit(0.0)));
    assert_eq!(scanned.read().unwrap().num_rows(), 1);
}

#[test]
fn columns_that_wait_come_in_step_with_the_predicate_columns() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    let rows = 60_000_i64;
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("a text of row {row}"))));
    let some: ArrayRef = Arc::new(Int64Array::from_iter((0..rows).map(|row| (row % 3 != 0).then_some(row * 7 % 100))));
    let written = batch(vec![("t", texts), ("n", some), ("a", ints(0..rows))]);
    write(&path, &written, |p| p.set_max_row_group_row_count(Some(20_000)).set_data_page_row_count_limit(3000));
    for filter in [
        col("n").lt(lit(5_i64)),
        lit(5_i32).gt(col("n")).and(col("a").gt(lit(31_000_i64))),
        col("n").between(lit(3_i64), lit(4_i64)),
        col("n").eq(lit(-1_i64)).or(col("a").lt(lit(10_i64))).and(col("n").gt(lit(1_000_i64))),
        col("n").gt_eq(lit(0_i64)),
    ] {
        let mut scanned = Scanned::new(std::slice::from_ref(&path), Options::new()).unwrap();
        let whole = scanned.read().unwrap();
        scanned.request.projection = vec![2, 0, 1];
        let expected = matching(&whole, &coerced(&filter)).project(&[2, 0, 1]).unwrap();
        let scanned = scanned.filtered(filter.clone());
        let read = scanned.read().unwrap();
        assert!(read.num_rows() < whole.num_rows(), "{filter}");
        if expected.num_rows() > 0 {
            assert_eq!(matching(&read, &coerced(&filter)), expected, "{filter}");
        }
        assert_eq!(scanned.context.budget.used(), 0);
    }
}

/// The filter with 32-bit literals as 64-bit ones, as the planner would write it.
fn coerced(filter: &Expr) -> Expr {
    use datafusion_common::tree_node::{Transformed, TreeNode};
    let widen = |expr: Expr| {
        Ok(match expr {
            Expr::Literal(ScalarValue::Int32(Some(value)), _) => Transformed::yes(lit(i64::from(value))),
            other => Transformed::no(other),
        })
    };
    filter.clone().transform(widen).unwrap().data
}

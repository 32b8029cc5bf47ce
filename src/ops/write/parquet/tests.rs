//! Files read back by the parquet crate, and what their footers say compared with what that crate's writer says.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Float64Array, Int32Array, Int64Array, StringArray, StringViewArray};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Encoding;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::properties::WriterProperties;
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{ParquetFile, WriteGroups};
use crate::batch::SourceRef;
use crate::io::Location;
use crate::ops::testing::relation::{cuts, relations};
use crate::ops::testing::{collect, context, held, splits};
use crate::ops::write::{FileWriter, WriteCompression, WriteFormat, WriteOptions};
use crate::store::QueryContext;

const COMPRESSIONS: [WriteCompression; 5] = [
    WriteCompression::None,
    WriteCompression::Snappy,
    WriteCompression::Gzip,
    WriteCompression::Zstd,
    WriteCompression::Lz4,
];

fn read_back(path: &Path) -> (RecordBatch, Arc<ParquetMetaData>) {
    let file = std::fs::File::open(path).expect("a file");
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).expect("parquet");
    let (schema, metadata) = (reader.schema().clone(), reader.metadata().clone());
    let batches: Vec<RecordBatch> = reader.build().expect("a reader").collect::<Result<_, _>>().expect("batches");
    (concat_batches(&schema, &batches).expect("one schema"), metadata)
}

fn write(folder: &TempDir, batch: &RecordBatch, options: &WriteOptions) -> (RecordBatch, Arc<ParquetMetaData>) {
    let path = folder.path().join("a.parquet");
    let location = Location::local(path.to_str().expect("UTF-8"));
    let context = context(1 << 30, 8192, 1);
    let mut writer = FileWriter::create(&location, WriteFormat::Parquet, options, batch.schema(), &context.budget)
        .expect("a writer");
    for from in (0..batch.num_rows()).step_by(5_000) {
        writer.write(&batch.slice(from, 5_000.min(batch.num_rows() - from))).expect("writes");
    }
    assert_eq!(writer.finish().expect("finishes"), batch.num_rows() as u64);
    assert_eq!(held(&context), 0);
    read_back(&path)
}

/// What the crate's own writer says of the same rows.
fn told_by_the_crate(batch: &RecordBatch) -> Arc<ParquetMetaData> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.parquet");
    let file = std::fs::File::create(&path).expect("a file");
    let properties = WriterProperties::builder().build();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a writer");
    writer.write(batch).expect("writes");
    writer.close().expect("closes");
    read_back(&path).1
}

/// Everything that is said of the values of each chunk.
fn statistics(metadata: &ParquetMetaData) -> Vec<String> {
    let chunks = metadata.row_groups().iter().flat_map(|group| group.columns());
    chunks.map(|chunk| format!("{:?} of {} values", chunk.statistics(), chunk.num_values())).collect()
}

proptest! {
    #[test]
    fn rows_and_statistics_are_those_of_the_crates_writer(relation in relations(300), compression in 0..5usize) {
        let folder = tempfile::tempdir().expect("a folder");
        let options = WriteOptions { compression: Some(COMPRESSIONS[compression]), ..WriteOptions::default() };
        let (read, metadata) = write(&folder, &relation.batch, &options);
        prop_assert_eq!(format!("{read:?}"), format!("{:?}", relation.batch));
        if relation.batch.num_rows() > 0 {
            let expected = told_by_the_crate(&relation.batch);
            prop_assert_eq!(statistics(&metadata), statistics(&expected));
            prop_assert_eq!(page_index(&metadata), page_index(&expected));
        }
    }

    #[test]
    fn rows_stand_in_the_order_of_the_splits(
        relation in relations(200),
        cuts in cuts(),
        schedule in vec(0..8usize, 0..8),
        lanes in 1..4usize,
        row_group_rows in 1..60usize,
    ) {
        let (folder, context) = (tempfile::tempdir().expect("a folder"), context(16 << 20, 64, lanes));
        let path = folder.path().join("a.parquet");
        let options = WriteOptions { row_group_rows, ..WriteOptions::default() };
        let rows = splits(&relation.batch, &cuts);
        let file = written(&path, &options, &relation.batch.schema(), &context, lanes, rows, &schedule);
        prop_assert_eq!(file.finish().expect("finishes"), relation.batch.num_rows() as u64);
        drop(file);
        prop_assert_eq!(held(&context), 0);
        let (read, metadata) = read_back(&path);
        prop_assert_eq!(format!("{read:?}"), format!("{:?}", relation.batch));
        prop_assert!(metadata.row_groups().iter().all(|group| group.num_rows() as usize <= row_group_rows));
    }
}

/// The page index without counts of levels, which are not written.
fn page_index(metadata: &ParquetMetaData) -> String {
    let text = format!("{:?}", metadata.column_index());
    let mut parts = text.split("definition_level_histograms: ");
    let mut without = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        without.push_str(part.split_once('}').map_or("", |(_, behind)| behind));
    }
    without
}

/// `rows`, written by both pipelines.
fn written(
    path: &Path,
    options: &WriteOptions,
    schema: &SchemaRef,
    context: &Arc<QueryContext>,
    lanes: usize,
    rows: Vec<Vec<RecordBatch>>,
    schedule: &[usize],
) -> Arc<ParquetFile> {
    let location = Location::local(path.to_str().expect("UTF-8"));
    let file = ParquetFile::create(&location, options, schema.clone(), &context.budget).expect("a file");
    let file = Arc::new(file);
    let [first, last] = WriteGroups::both(&file);
    let rest: SourceRef = collect(&first, context, lanes, rows, schedule).expect("writes");
    let waiting = (0..rest.split_count()).map(|index| {
        let mut split = rest.open(index).expect("opens");
        std::iter::from_fn(|| split.next().expect("reads")).collect()
    });
    let waiting = waiting.collect();
    collect(&last, context, lanes, waiting, schedule).expect("writes the rest");
    file
}

/// Columns that try a dictionary and keep it, drop it at once, or leave it later.
fn many_rows(rows: usize) -> RecordBatch {
    let whole = |value: &dyn Fn(i64) -> i64| Int64Array::from_iter_values((0..rows as i64).map(value));
    let texts = |value: &dyn Fn(usize) -> Option<String>| StringViewArray::from_iter((0..rows).map(value));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("one", Arc::new(whole(&|_| 7))),
        ("few", Arc::new(whole(&|row| row * 7_919 % 100))),
        ("all", Arc::new(whole(&|row| row * 7_919 % 1_000_003))),
        ("growing", Arc::new(whole(&|row| row * row / 60_000))),
        (
            "runs",
            Arc::new(Int32Array::from_iter((0..rows).map(|row| (row % 1_000 != 3).then_some((row / 500) as i32)))),
        ),
        ("fractions", Arc::new(Float64Array::from_iter_values((0..rows).map(|row| (row % 977) as f64 / 7.0)))),
        ("short", Arc::new(texts(&|row| (row % 11 != 0).then(|| format!("{}", row % 12_000))))),
        ("long", Arc::new(texts(&|row| (row % 5 != 0).then(|| format!("{row} ä{}", "x".repeat(row % 90)))))),
        ("kinds", Arc::new(StringArray::from_iter((0..rows).map(|row| Some(["", "DELIVER IN PERSON", "ä"][row % 3]))))),
        ("bytes", Arc::new(BinaryArray::from_iter_values((0..rows).map(|row| vec![0xff; row % 70])))),
        ("none", Arc::new(Int32Array::from(vec![None; rows]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, name != "one")))
        .expect("columns of one length")
}

#[test]
fn dictionaries_come_and_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let batch = many_rows(150_000);
    let (read, metadata) = write(&folder, &batch, &WriteOptions::default());
    assert!(read == batch);
    let pages = |name: &str| {
        let mut columns = metadata.row_group(0).columns().iter();
        let column = columns.find(|column| column.column_path().string() == name).expect("a column");
        let encodings = column.page_encoding_stats_mask().expect("encodings of data pages");
        (encodings.is_set(Encoding::RLE_DICTIONARY), encodings.is_set(Encoding::PLAIN))
    };
    let (by_dictionary, as_they_are) = ((true, false), (false, true));
    assert_eq!([pages("one"), pages("few"), pages("runs"), pages("kinds")], [by_dictionary; 4]);
    assert_eq!([pages("all"), pages("long")], [as_they_are; 2]);
    assert_eq!(pages("growing"), (true, true));
    let expected = told_by_the_crate(&batch);
    assert_eq!(statistics(&metadata), statistics(&expected));
}

#[test]
fn bounds_of_pages_hold_their_values() {
    let folder = tempfile::tempdir().expect("a folder");
    // Where there are nulls, that writer's pages end elsewhere.
    let batch = many_rows(50_000).project(&[0, 1, 2, 3, 5]).expect("these columns");
    let (_, metadata) = write(&folder, &batch, &WriteOptions::default());
    let expected = told_by_the_crate(&batch);
    assert_eq!(page_index(&metadata), page_index(&expected));
}

//! Files written and read back, and nothing left of those that failed.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::{ArrayRef, Int32Array, Int64Array, ListArray, StringArray};
use arrow::datatypes::Int32Type;
use tempfile::TempDir;

use super::*;

fn sample() -> RecordBatch {
    let numbers = Int32Array::from(vec![Some(1), None, Some(-3)]);
    let texts = StringArray::from(vec![Some("a,\"b\"\nc"), Some(""), None]);
    RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef), ("the text", Arc::new(texts) as ArrayRef)])
        .expect("a batch")
}

fn location(path: &std::path::Path) -> Location {
    Location::local(path.to_str().expect("UTF-8"))
}

struct Fixture {
    folder: TempDir,
    budget: Budget,
}

impl Fixture {
    fn new() -> Self {
        Fixture { folder: tempfile::tempdir().expect("a folder"), budget: Budget::new(16 << 20) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn create(
        &self,
        name: &str,
        format: WriteFormat,
        options: &WriteOptions,
        batch: &RecordBatch,
    ) -> Result<FileWriter> {
        FileWriter::create(&location(&self.path(name)), format, options, batch.schema(), &self.budget)
    }

    fn write(&self, name: &str, format: WriteFormat, options: &WriteOptions, batch: &RecordBatch) -> u64 {
        let mut writer = self.create(name, format, options, batch).expect("a writer");
        writer.write(batch).expect("writes");
        writer.finish().expect("finishes")
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }
}

#[test]
fn csv_quotes_what_must_be_and_tells_null_from_empty() {
    let fixture = Fixture::new();
    assert_eq!(fixture.write("a.csv", WriteFormat::Csv, &WriteOptions::default(), &sample()), 3);
    let text = std::fs::read_to_string(fixture.path("a.csv")).expect("a file");
    assert_eq!(text, "n,the text\n1,\"a,\"\"b\"\"\nc\"\n,\"\"\n-3,\n");
}

#[test]
fn csv_options_are_used() {
    let fixture = Fixture::new();
    let options = WriteOptions {
        header: false,
        delimiter: ";".to_owned(),
        quote: Some(b'\''),
        null: "NA".to_owned(),
        ..WriteOptions::default()
    };
    fixture.write("a.csv", WriteFormat::Csv, &options, &sample());
    let text = std::fs::read_to_string(fixture.path("a.csv")).expect("a file");
    assert_eq!(text, "1;'a,\"b\"\nc'\nNA;\n-3;NA\n");
    let same = WriteOptions { quote: Some(b','), ..WriteOptions::default() };
    assert!(fixture.create("b.csv", WriteFormat::Csv, &same, &sample()).is_err());
}

#[test]
fn json_lines_nest() {
    let fixture = Fixture::new();
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
    let batch = RecordBatch::try_from_iter([("l\"", Arc::new(lists) as ArrayRef), ("n", sample().column(0).clone())])
        .expect("a batch");
    fixture.write("a.json", WriteFormat::Json, &WriteOptions::default(), &batch);
    let text = std::fs::read_to_string(fixture.path("a.json")).expect("a file");
    assert_eq!(text, "{\"l\\\"\":[1, null],\"n\":1}\n{\"l\\\"\":null,\"n\":null}\n{\"l\\\"\":[],\"n\":-3}\n");
}

#[test]
fn the_name_says_how_text_is_compressed() {
    let fixture = Fixture::new();
    let plain = "n,the text\n1,\"a,\"\"b\"\"\nc\"\n,\"\"\n-3,\n";
    fixture.write("a.csv.gz", WriteFormat::Csv, &WriteOptions::default(), &sample());
    let file = std::fs::File::open(fixture.path("a.csv.gz")).expect("a file");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, plain);
    fixture.write("a.csv.zst", WriteFormat::Csv, &WriteOptions::default(), &sample());
    let file = std::fs::File::open(fixture.path("a.csv.zst")).expect("a file");
    let bytes = zstd::decode_all(file).expect("zstd");
    assert_eq!(String::from_utf8(bytes).expect("text"), plain);
    let snappy = WriteOptions { compression: Some(WriteCompression::Snappy), ..WriteOptions::default() };
    assert!(fixture.create("b.csv", WriteFormat::Csv, &snappy, &sample()).is_err());
}

#[test]
fn parquet_reads_back_and_small_memory_makes_small_row_groups() {
    let fixture = Fixture::new();
    assert_eq!(fixture.write("a.parquet", WriteFormat::Parquet, &WriteOptions::default(), &sample()), 3);
    let file = std::fs::File::open(fixture.path("a.parquet")).expect("a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("parquet");
    let read: Vec<_> = reader.build().expect("a reader").collect::<Result<_, _>>().expect("batches");
    assert_eq!(read, [sample()]);

    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..10_000).map(|n| n * 7_919 % 10_007)));
    let batch = RecordBatch::try_from_iter([("n", numbers)]).expect("a batch");
    let budget = Budget::new(256 << 10);
    let path = fixture.path("b.parquet");
    let mut writer =
        FileWriter::create(&location(&path), WriteFormat::Parquet, &WriteOptions::default(), batch.schema(), &budget)
            .expect("opens");
    for _ in 0..20 {
        writer.write(&batch).expect("writes");
        assert!(budget.used() <= 256 << 10);
    }
    assert_eq!(writer.finish().expect("finishes"), 200_000);
    assert_eq!(budget.used(), 0);
    let file = std::fs::File::open(path).expect("a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("parquet");
    assert!(reader.metadata().num_row_groups() > 1);
    let rows: usize = reader.build().expect("a reader").map(|batch| batch.expect("a batch").num_rows()).sum();
    assert_eq!(rows, 200_000);
}

#[test]
fn a_dropped_writer_leaves_the_old_file() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("a.csv"), "old").expect("writes");
    for format in [WriteFormat::Csv, WriteFormat::Json, WriteFormat::Parquet] {
        let mut writer = fixture.create("a.csv", format, &WriteOptions::default(), &sample()).expect("a writer");
        writer.write(&sample()).expect("writes");
        assert_eq!(fixture.names().len(), 2);
    }
    assert_eq!(fixture.names(), ["a.csv"]);
    assert_eq!(std::fs::read_to_string(fixture.path("a.csv")).expect("a file"), "old");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let fixture = Fixture::new();
    let error =
        fixture.create("none/a.csv", WriteFormat::Csv, &WriteOptions::default(), &sample()).err().expect("an error");
    assert!(error.full_message().contains("none/a.csv"), "{error}");
}

#[test]
fn arrow_files_and_streams_read_back() {
    let fixture = Fixture::new();
    for (name, format) in [("a.arrow", WriteFormat::Arrow), ("a.arrows", WriteFormat::ArrowStream)] {
        for compression in [None, Some(WriteCompression::Zstd), Some(WriteCompression::Lz4)] {
            let options = WriteOptions { compression, row_group_rows: 2, ..WriteOptions::default() };
            assert_eq!(fixture.write(name, format, &options, &sample()), 3);
            let file = std::fs::File::open(fixture.path(name)).expect("file");
            let batches: Vec<RecordBatch> = match format {
                WriteFormat::Arrow => arrow::ipc::reader::FileReader::try_new(file, None)
                    .expect("a file")
                    .map(|batch| batch.expect("a batch"))
                    .collect(),
                _ => arrow::ipc::reader::StreamReader::try_new(file, None)
                    .expect("a stream")
                    .map(|batch| batch.expect("a batch"))
                    .collect(),
            };
            assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [2, 1]);
        }
    }
}

#[test]
fn fields_are_quoted_and_escaped_as_asked_for() {
    let fixture = Fixture::new();
    let force_quote = vec!["N".to_string()];
    let options = WriteOptions { escape: Some(b'\\'), force_quote, ..WriteOptions::default() };
    fixture.write("rows.csv", WriteFormat::Csv, &options, &sample());
    let written = std::fs::read_to_string(fixture.path("rows.csv")).expect("a file");
    assert_eq!(written, "\"n\",the text\n\"1\",\"a,\\\"b\\\"\nc\"\n,\"\"\n\"-3\",\n");
}

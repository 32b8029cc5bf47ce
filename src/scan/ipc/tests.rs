//! Files and streams made by the arrow writer, whole and damaged.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Float64Array, Int32Array, Int64Array, LargeStringArray, ListArray,
    StringArray, StringViewArray, StructArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int32Type, Int64Type, Schema};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{DictionaryHandling, FileWriter, IpcWriteOptions, StreamWriter};
use arrow::record_batch::RecordBatch;
use proptest::prelude::*;
use tempfile::TempDir;

use super::IpcReader;
use crate::cancel::CancelToken;
use crate::error::{Code, Result};
use crate::memory::Budget;
use crate::scan::format::{FormatReader, ScanRequest};
use crate::scan::spec::{FileEntry, Format, Options, ScanSpec};
use crate::store::{QueryContext, Store};

fn batch(first: i64, rows: i64) -> RecordBatch {
    let range = || first..first + rows;
    let texts = || range().map(|row| (row % 5 != 0).then(|| format!("a text that is longer than a view: {row}")));
    let kinds: DictionaryArray<Int32Type> = range().map(|row| ["x", "yy", "zzz"][(row % 3) as usize]).collect();
    let lists = range().map(|row| Some((0..row % 4).map(Some)));
    let inner: ArrayRef = Arc::new(Float64Array::from_iter_values(range().map(|row| row as f64 / 4.0)));
    let structs = StructArray::try_from(vec![("h", inner)]).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i", Arc::new(Int64Array::from_iter(range().map(|row| (row % 7 != 0).then_some(row))))),
        ("t", Arc::new(StringArray::from_iter(texts()))),
        ("big", Arc::new(LargeStringArray::from_iter(texts()))),
        ("view", Arc::new(StringViewArray::from_iter(texts()))),
        ("kind", Arc::new(kinds)),
        ("l", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))),
        ("s", Arc::new(structs)),
        ("n", Arc::new(Int32Array::from_iter_values(range().map(|row| row as i32)))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn written(stream: bool, compression: Option<CompressionType>, batches: &[RecordBatch]) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let options = options.with_dictionary_handling(DictionaryHandling::Resend);
    let schema = batches[0].schema();
    let mut bytes = Vec::new();
    if stream {
        let mut writer = StreamWriter::try_new_with_options(&mut bytes, &schema, options).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
    } else {
        let mut writer = FileWriter::try_new_with_options(&mut bytes, &schema, options).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
    }
    bytes
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(TempDir::new().unwrap())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn read(path: &std::path::Path, columns: Option<&[&str]>, limit: usize) -> Result<RecordBatch> {
    let size = std::fs::metadata(path).unwrap().len();
    let files = vec![FileEntry { path: path.to_str().unwrap().into(), size, modified: None, hive_values: Vec::new() }];
    let inferred = IpcReader.infer(&files, &Options::new())?;
    let schema = inferred.schema.clone();
    let all = (0..schema.fields().len()).collect();
    let projection = columns.map_or(all, |columns| columns.iter().map(|name| schema.index_of(name).unwrap()).collect());
    let (patterns, options, rows) = (Vec::new(), inferred.options, inferred.rows);
    let spec = ScanSpec { patterns, format: Format::Arrow, options, files, schema, hive_columns: 0, rows };
    let (filters, runtime_filters, parts) = (Vec::new(), Vec::new(), Default::default());
    let request = ScanRequest { spec: Arc::new(spec), projection, parts, filters, limit: None, runtime_filters };
    let budget = Budget::new(limit);
    let store = Store::new(budget.clone());
    let cancel = CancelToken::new();
    let context = Arc::new(QueryContext { cancel, budget, store, batch_size: 10, threads: 2, side: None });
    let mut batches = Vec::new();
    for split in IpcReader.splits(&request, &context)?.plans {
        let mut split = split.open()?;
        while let Some(batch) = split.next()? {
            assert!(batch.num_rows() <= 10);
            batches.push(batch);
        }
    }
    let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
    if schema.fields().is_empty() {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        return Ok(RecordBatch::try_new_with_options(schema, Vec::new(), &options)?);
    }
    assert_eq!(context.budget.used(), 0);
    Ok(concat_batches(&schema, &batches)?)
}

const ROOMY: usize = 64 << 20;

#[test]
fn what_was_written_comes_back_whole_and_in_part() {
    let folder = Folder::new();
    // The second batch has other values in its dictionary.
    let mut batches = [batch(0, 33), batch(33, 0), batch(33, 25)];
    let other: DictionaryArray<Int32Type> = (0..25).map(|row| ["new", "zzz"][row % 2]).collect();
    let mut columns = batches[2].columns().to_vec();
    columns[4] = Arc::new(other);
    batches[2] = RecordBatch::try_new(batches[2].schema(), columns).unwrap();
    for compression in [None, Some(CompressionType::ZSTD), Some(CompressionType::LZ4_FRAME)] {
        for stream in [false, true] {
            // A file has one dictionary for each column.
            let halves = [batches[0].slice(0, 20), batches[0].slice(20, 13)];
            let kept = if stream { &batches[..] } else { &halves[..] };
            let path = folder.put("a.arrow", &written(stream, compression, kept));
            let all = read(&path, None, ROOMY).unwrap();
            assert_eq!(all.num_rows(), if stream { 58 } else { 33 });
            for name in ["t", "big", "view", "kind"] {
                assert_eq!(all.column_by_name(name).unwrap().data_type(), &DataType::Utf8View, "{name}");
            }
            let number = all.column_by_name("n").unwrap().as_primitive::<Int32Type>();
            assert!(number.values().iter().enumerate().all(|(row, value)| row as i32 == *value));
            let text = all.column_by_name("view").unwrap().as_string_view();
            assert!((0..all.num_rows()).all(|row| text.is_null(row) == (row % 5 == 0)));
            assert_eq!(text.value(7), "a text that is longer than a view: 7");
            let kind = all.column_by_name("kind").unwrap().as_string_view();
            assert_eq!(kind.value(32), "zzz");
            if stream {
                assert_eq!((kind.value(33), kind.value(34)), ("new", "zzz"));
            }
            for columns in [&["n", "i"][..], &["kind"], &["s", "t"], &["l"], &["view", "n", "view"], &[]] {
                let some = read(&path, Some(columns), ROOMY).unwrap();
                assert_eq!(some.num_rows(), all.num_rows());
                for (index, name) in columns.iter().enumerate() {
                    assert_eq!(some.column(index), all.column_by_name(name).unwrap(), "{name}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_arrow_file_says_so() {
    let folder = Folder::new();
    for (bytes, said) in [
        (&b"a,b\n1,2\n3,4\n5,6\n7,8\n"[..], "no Arrow data"),
        (b"", "no Arrow data"),
        (b"ARROW1\0\0", "too few"),
        (b"ARROW1\0\0and then something else", "does not end"),
        (b"FEA1 and what follows", "Feather V1"),
    ] {
        let error = read(&folder.put("odd.arrow", bytes), None, ROOMY).unwrap_err();
        assert!(error.to_string().contains(said) && error.to_string().contains("odd.arrow"), "{error}");
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error_or_ends_with_a_batch() {
    let folder = Folder::new();
    for stream in [false, true] {
        let bytes = written(stream, Some(CompressionType::LZ4_FRAME), &[batch(0, 9), batch(9, 9)]);
        for end in (0..bytes.len()).step_by(3) {
            match read(&folder.put("cut.arrow", &bytes[..end]), None, ROOMY) {
                // A stream may end without its mark, between messages.
                Ok(read) => assert!(stream && [0, 9, 18].contains(&read.num_rows()), "{end}"),
                Err(error) => assert!(error.to_string().contains("cut.arrow"), "{error}"),
            }
        }
    }
}

#[test]
fn what_does_not_fit_into_memory_is_refused_before_it_is_read() {
    let folder = Folder::new();
    let path = folder.put("large.arrow", &written(false, Some(CompressionType::ZSTD), &[batch(0, 40_000)]));
    assert_eq!(read(&path, None, 1 << 20).unwrap_err().code(), Code::OutOfMemory);
    assert_eq!(read(&path, Some(&["n"]), 1 << 20).unwrap().num_rows(), 40_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn changed_bytes_are_an_error_or_other_values_but_no_panic(
        stream in any::<bool>(),
        compressed in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let folder = Folder::new();
        let compression = compressed.then_some(CompressionType::LZ4_FRAME);
        let mut bytes = written(stream, compression, &[batch(0, 9), batch(9, 9)]);
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Err(error) = read(&folder.put("changed.arrow", &bytes), None, ROOMY) {
            prop_assert!(error.to_string().contains("changed.arrow"), "{}", error);
        }
    }
}

#[test]
fn rows_of_a_batch_are_as_many_as_its_values() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..777));
    let (batch, folder) = (RecordBatch::try_from_iter([("i", numbers)]).unwrap(), Folder::new());
    for stream in [false, true] {
        let bytes = written(stream, None, std::slice::from_ref(&batch));
        let rows = 777i64.to_le_bytes();
        let places = (0..bytes.len() - 8).filter(|at| bytes[*at..*at + 8] == rows && *at % 8 == 0).take(2);
        for at in places.collect::<Vec<_>>() {
            let mut damaged = bytes.clone();
            damaged[at + 5] = 1;
            let path = folder.put("a.arrow", &damaged);
            assert_eq!(read(&path, Some(&[]), ROOMY).unwrap_err().code(), Code::InvalidData, "{stream} {at}");
        }
    }
}

//! Tests of the JSON format.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, Schema, TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use proptest::prelude::*;
use tempfile::TempDir;

use super::JsonReader;
use crate::cancel::CancelToken;
use crate::error::{Code, Error, Result};
use crate::memory::Budget;
use crate::scan::Parts;
use crate::scan::format::{FormatReader, ScanRequest};
use crate::scan::spec::{FileEntry, Format, OptionValue, Options, ScanSpec};
use crate::store::{QueryContext, Store};

fn context(batch_size: usize) -> Arc<QueryContext> {
    let budget = Budget::new(256 << 20);
    let store = Store::new(budget.clone());
    Arc::new(QueryContext { cancel: CancelToken::new(), budget, store, batch_size, threads: 2, side: None })
}

fn request(paths: &[PathBuf], options: &Options) -> Result<ScanRequest> {
    let entry = |path: &PathBuf| FileEntry {
        path: path.to_str().unwrap().into(),
        size: std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
        modified: None,
        hive_values: Vec::new(),
    };
    let files: Vec<_> = paths.iter().map(entry).collect();
    let inferred = JsonReader.infer(&files, options)?;
    let projection = (0..inferred.schema.fields().len()).collect();
    let spec = ScanSpec {
        patterns: Vec::new(),
        format: Format::Json,
        options: inferred.options,
        files,
        schema: inferred.schema,
        hive_columns: 0,
        rows: inferred.rows,
    };
    Ok(ScanRequest {
        spec: Arc::new(spec),
        projection,
        filters: Vec::new(),
        limit: None,
        runtime_filters: Vec::new(),
        parts: Default::default(),
    })
}

fn read_request(request: &ScanRequest, context: &Arc<QueryContext>) -> Result<RecordBatch> {
    let fields = request.projection.iter().map(|index| request.spec.schema.fields()[*index].clone());
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mut batches = Vec::new();
    for split in JsonReader.splits(request, context)?.plans {
        let mut split = split.open()?;
        while let Some(batch) = split.next()? {
            assert!(batch.num_rows() <= context.batch_size);
            assert_eq!(batch.schema(), schema);
            batches.push(batch);
        }
    }
    assert_eq!(context.budget.used(), 0);
    if schema.fields().is_empty() {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        return Ok(RecordBatch::try_new_with_options(
            schema,
            Vec::new(),
            &RecordBatchOptions::new().with_row_count(Some(rows)),
        )?);
    }
    Ok(concat_batches(&schema, &batches)?)
}

fn read(paths: &[PathBuf], options: &Options) -> Result<RecordBatch> {
    read_request(&request(paths, options)?, &context(3))
}

/// What `text` in a file of that name reads as.
fn read_text(name: &str, text: impl AsRef<[u8]>, options: &Options) -> Result<RecordBatch> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    read(&[path], options)
}

fn rows_of(text: &str) -> RecordBatch {
    read_text("a.jsonl", text, &Options::new()).unwrap()
}

fn error_of(text: impl AsRef<[u8]>, options: &Options) -> Error {
    let error = read_text("a.jsonl", text, options).expect_err("an error");
    assert_eq!(error.code(), Code::InvalidData, "{error}");
    assert!(error.to_string().contains("a.jsonl"), "{error}");
    error
}

fn option(name: &str, value: OptionValue) -> Options {
    Options::from([(name.to_owned(), value)])
}

fn types(batch: &RecordBatch) -> Vec<(String, String)> {
    let fields = batch.schema();
    fields.fields().iter().map(|field| (field.name().clone(), field.data_type().to_string())).collect()
}

fn texts(batch: &RecordBatch, column: usize) -> Vec<Option<&str>> {
    batch.column(column).as_string_view().iter().collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_large_array_is_read_by_all_workers() {
    let elements =
        (0..50_000).map(|i| format!("{{\"i\": {i}, \"t\": \"a,]\\\"{}\", \"l\": [{i}, {{}}]}}", "x".repeat(i % 40)));
    let text = format!(" [{}\n]\n", elements.collect::<Vec<_>>().join(" ,\n"));
    let folder = TempDir::new().unwrap();
    for (name, bytes) in
        [("a.json", text.clone().into_bytes()), ("a.json.zst", zstd::encode_all(text.as_bytes(), 1).unwrap())]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let request = request(&[path], &Options::new()).unwrap();
        let splits = JsonReader.splits(&request, &context(1000)).unwrap().plans.len();
        assert_eq!(splits > 1, bytes.len() > 1 << 20, "{name}: {splits}");
        let batch = read_request(&request, &context(1000)).unwrap();
        let numbers = batch.column(0).as_primitive::<Int64Type>().values();
        assert!(numbers.iter().copied().eq(0..50_000), "{name}");
    }
    for (from, to) in
        [("\n]\n", ""), ("\n]\n", ",]"), ("\n]\n", "]]"), ("30000", "30\"000"), (" ,\n{\"i\": 40000", "{\"i\": 40000")]
    {
        let broken = text.replacen(from, to, 1);
        assert_eq!(
            read_text("a.json", broken, &Options::new()).unwrap_err().code(),
            Code::InvalidData,
            "{from:?} {to:?}"
        );
    }
    let columns = OptionValue::Struct(vec![("i".to_owned(), OptionValue::Text("BIGINT".to_owned()))]);
    for (end, words) in [(",", "an element of the array behind ','"), (",{\"t\": \"ä", "EOF while parsing a string")] {
        let broken = text.replacen("\n]\n", end, 1);
        let error = read_text("a.json", broken, &option("columns", columns.clone())).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn types_follow_the_values_and_keys_their_first_appearance() {
    let batch = rows_of(concat!(
        "{\"z\": 1, \"b\": true, \"d\": 1, \"day\": \"2013-01-05\", \"at\": \"2013-01-05T10:00:00Z\", \"n\": null}\n",
        "\n",
        "{\"a\": \"x\", \"z\": 2, \"d\": 1.5, \"day\": \"2013-01-06\", \"at\": \"2013-01-05\", \"big\": 18446744073709551615}\r\n",
    ));
    let columns = types(&batch);
    let names: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["z", "b", "d", "day", "at", "n", "a", "big"]);
    let schema = batch.schema();
    let found: Vec<_> = schema.fields().iter().map(|field| field.data_type()).collect();
    let micros = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None);
    let expected = [
        DataType::Int64,
        DataType::Boolean,
        DataType::Float64,
        DataType::Date32,
        micros,
        DataType::Utf8View,
        DataType::Utf8View,
        DataType::Decimal128(38, 0),
    ];
    assert_eq!(found, expected.iter().collect::<Vec<_>>());
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, 2]);
    assert_eq!(batch.column(1).as_boolean().iter().collect::<Vec<_>>(), [Some(true), None]);
    assert_eq!(batch.column(2).as_primitive::<Float64Type>().values(), &[1.0, 1.5]);
    assert_eq!(batch.column(3).as_primitive::<Date32Type>().values(), &[15710, 15711]);
    assert_eq!(batch.column(4).as_primitive::<TimestampMicrosecondType>().value(1), 15710 * 86_400_000_000);
    assert_eq!(batch.column(5).null_count(), 2);
    assert_eq!(texts(&batch, 6), [None, Some("x")]);
    assert_eq!(batch.column(7).as_primitive::<Decimal128Type>().value(1), i128::from(u64::MAX));
}

#[test]
fn mixed_values_become_text_with_strings_unquoted() {
    let batch = rows_of(concat!(
        "{\"a\": \"te\\\"xt\"}\n{\"a\": 7}\n{\"a\": {\"k\": [1, \"q\\\"\", null, true], \"e\": {}}}\n{\"a\": []}\n{\"a\": null}\n",
        "{\"a\": 1.5}\n{}\n{\"a\": false}",
    ));
    let expected = [
        Some("te\"xt"),
        Some("7"),
        Some("{\"k\":[1,\"q\\\"\",null,true],\"e\":{}}"),
        Some("[]"),
        None,
        Some("1.5"),
        None,
        Some("false"),
    ];
    assert_eq!(texts(&batch, 0), expected);
}

#[test]
fn objects_are_structs_and_arrays_are_lists() {
    let batch = rows_of(concat!(
        "{\"s\": {\"x\": 1, \"l\": [1, 2.5]}, \"o\": [{\"k\": \"a\"}, null, {\"m\": 1}]}\n",
        "{\"s\": null, \"o\": []}\n",
        "{\"s\": {\"y\": \"t\", \"x\": 3}}\n",
    ));
    let shown = pretty_format_batches(std::slice::from_ref(&batch)).unwrap().to_string();
    let DataType::Struct(fields) = batch.schema().field(0).data_type().clone() else { panic!("{shown}") };
    assert_eq!(fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["x", "l", "y"]);
    assert!(shown.contains("{x: 1, l: [1.0, 2.5], y: }"), "{shown}");
    assert!(shown.contains("[{k: a, m: }, , {k: , m: 1}]"), "{shown}");
    assert!(shown.contains("{x: 3, l: , y: t}"), "{shown}");
    let lists = batch.column(1).as_list::<i32>();
    assert_eq!((lists.value_length(0), lists.value_length(1), lists.is_null(2)), (3, 0, true));
    assert!(batch.column(0).is_null(1));
}

#[test]
fn of_equal_keys_the_last_counts() {
    let batch = rows_of(concat!(
        "{\"a\": 1, \"t\": \"first\", \"l\": [1, 2], \"s\": {\"x\": 1}, \"a\": 2, \"t\": \"second\", \"l\": [3], \"s\": {\"y\": 2}}\n",
        "{\"a\": 5, \"a\": null, \"s\": {\"x\": 3, \"x\": 4}}\n",
    ));
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(2), None]);
    assert_eq!(texts(&batch, 1), [Some("second"), None]);
    let shown = pretty_format_batches(&[batch]).unwrap().to_string();
    assert!(shown.contains("| [3] | {x: , y: 2} |"), "{shown}");
    assert!(shown.contains("{x: 4, y: }"), "{shown}");
}

#[test]
fn only_requested_columns_are_built_in_the_order_asked_for() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.ndjson");
    std::fs::write(&path, "{\"a\": 1, \"b\": {\"c\": [1]}, \"d\": \"x\"}\n{\"d\": \"y\", \"a\": 2}\n").unwrap();
    let mut request = request(&[path], &Options::new()).unwrap();
    request.projection = vec![2, 0];
    let batch = read_request(&request, &context(100)).unwrap();
    assert_eq!(texts(&batch, 0), [Some("x"), Some("y")]);
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().values(), &[1, 2]);
    request.projection = Vec::new();
    assert_eq!(read_request(&request, &context(100)).unwrap().num_rows(), 2);
}

#[test]
fn an_array_of_objects_is_rows_however_it_is_laid_out() {
    let texts = [
        "[{\"a\":1},{\"a\":2}]",
        "\n [\n  {\"a\": 1},\n\n  {\n\"a\"\n:\n2}\n]\n\n",
        "\u{feff}[{\"s\": \"],}{[\\\"\", \"a\": 1} , {\"a\": 2}]",
    ];
    for text in texts {
        let batch = read_text("a.json", text, &Options::new()).unwrap();
        let column = batch.schema().index_of("a").unwrap();
        assert_eq!(batch.column(column).as_primitive::<Int64Type>().values(), &[1, 2], "{text}");
        let zipped = read_text("a.json.gz", gzip(text.as_bytes()), &Options::new()).unwrap();
        assert_eq!(zipped, batch);
    }
    assert_eq!(read_text("a.json", "[]", &Options::new()).unwrap().num_rows(), 0);
}

#[test]
fn a_broken_array_says_where() {
    let cases = [
        (
            "[{\"a\": 1}\n {\"a\": 2}]",
            "expected ',' or ']' behind an element of the array, found '{\"a\": 2}]'",
            "line 2",
        ),
        ("[{\"a\": 1},\n]", "expected an element of the array behind ','", "line 2"),
        ("[{\"a\": 1}\n\n", "found the end of the file", "line 3"),
        ("[{\"a\": 1}] x", "expected nothing behind the end of the array, found 'x'", "line 1"),
        ("[{\"a\": 1},\n 5]", "expected an object", "line 2"),
        ("[{\"a\": 1},\n {\"a\": tru}]", "not JSON", "column 11; in line 2"),
    ];
    for (text, message, place) in cases {
        let error = error_of(text, &Options::new()).to_string();
        assert!(error.contains(message) && error.contains(place), "{error}");
    }
}

#[test]
fn what_is_not_json_names_line_and_column() {
    let cases: [(&[u8], &str, &str); 7] = [
        (b"{\"a\": 1}\n{\"a\": x}\n", "expected value, found 'x}'", "column 7; in line 2 of file"),
        ("{\"a\": 1}\n\n{\"ä\": x}\n".as_bytes(), "expected value, found 'x}'", "column 7; in line 3 of file"),
        (
            b"{\"a\":1}\n{\"a\": 1} {\"a\": 2}\n",
            "trailing characters, found '{\"a\": 2}'",
            "column 10; in line 2 of file",
        ),
        (b"{\"a\": 1", "EOF while parsing an object, found the end", "column 8; in line 1 of file"),
        (b"{'a': 1}", "key must be a string", "column 2; in line 1 of file"),
        (b"{\"a\": 1}\n[1]\n", "expected an object, found an array, in the line: [1]", "line 2 of file"),
        (b"{\"a\": 1}\n{\"a\": \"\xff\"}\n", "not UTF-8", "column 8; in line 2 of file"),
    ];
    for (text, message, place) in cases {
        let error = error_of(text, &Options::new());
        assert!(error.hint_text().is_some(), "{error}");
        let error = error.to_string();
        assert!(error.contains(message) && error.contains(place), "{error}");
    }
}

#[test]
fn a_value_that_the_sample_did_not_foresee_names_key_value_and_type() {
    let text = "{\"s\": {\"n\": 1}}\n{\"s\": {\"n\": [\"x\"]}}\n";
    let error = error_of(text, &option("sample_size", OptionValue::Int(1)));
    let text = error.to_string();
    assert!(text.contains("key 's.n' holds an array, but its type is BIGINT"), "{text}");
    assert!(text.contains("line 2 of file") && text.contains("sample_size => -1"), "{text}");

    let text = "{\"d\": [\"2013-01-01\"]}\n{\"d\": [\"2013-01-01\", \"soon\"]}\n";
    let error = error_of(text, &option("sample_size", OptionValue::Int(1))).to_string();
    assert!(error.contains("key 'd[1]' holds the text \"soon\", but its type is DATE"), "{error}");
}

#[test]
fn whole_numbers_written_as_doubles_fit_an_integer_column() {
    let text = "{\"a\": 1}\n{\"a\": 2.0}\n{\"a\": 1e3}\n";
    let batch = read_text("a.jsonl", text, &option("sample_size", OptionValue::Int(1))).unwrap();
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, 2, 1000]);
}

#[test]
fn broken_lines_are_left_out_when_asked() {
    let text = "{\"a\": 1, \"t\": \"x\"}\n{\"a\": 2, \"t\": \"y\", oops\nnull\n{\"a\": 3, \"l\": [1]}\n";
    let batch = read_text("a.jsonl", text, &option("ignore_errors", OptionValue::Bool(true))).unwrap();
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, 3]);
    assert_eq!(texts(&batch, 1), [Some("x"), None]);
}

#[test]
fn given_columns_need_no_sample() {
    let pair = |name: &str, sql: &str| (name.to_owned(), OptionValue::Text(sql.to_owned()));
    let columns = OptionValue::Struct(vec![pair("p", "DECIMAL(10,2)"), pair("i", "INTEGER"), pair("t", "VARCHAR")]);
    let text = "{\"p\": 12.34, \"i\": 7, \"t\": [1], \"other\": 1}\n{\"p\": \"0.1\", \"t\": \"x\"}\n";
    let batch = read_text("a.jsonl", text, &option("columns", columns)).unwrap();
    assert_eq!(batch.column(0).as_primitive::<Decimal128Type>().values(), &[1234, 10]);
    assert_eq!(batch.schema().field(1).data_type(), &DataType::Int32);
    assert_eq!(texts(&batch, 2), [Some("[1]"), Some("x")]);
    let columns = OptionValue::Struct(vec![pair("i", "TINYINT")]);
    let error = error_of("{\"i\": 300}", &option("columns", columns)).to_string();
    assert!(error.contains("key 'i'") && error.contains("TINYINT"), "{error}");
}

#[test]
fn options_take_only_their_values() {
    for (name, value) in [("format", "xml"), ("compression", "rar")] {
        let error = read_text("a.jsonl", "{}", &option(name, OptionValue::Text(value.into()))).err().unwrap();
        assert_eq!(error.code(), Code::InvalidSetting);
        assert!(error.message().contains(name) && error.message().contains(value), "{error}");
    }
    assert!(read_text("a.jsonl", "{}", &option("sample_size", OptionValue::Int(0))).is_err());
}

#[test]
fn a_value_larger_than_allowed_is_an_error() {
    let text = format!("{{\"a\": 1}}\n{{\"a\": \"{}\"}}\n", "x".repeat(5000));
    let error = error_of(&text, &option("maximum_object_size", OptionValue::Int(4000))).to_string();
    assert!(error.contains("more than 4000 bytes") && error.contains("line 2"), "{error}");
    assert_eq!(rows_of(&text).num_rows(), 2);
}

#[test]
fn files_are_read_as_one_table_and_compressed_ones_too() {
    let folder = TempDir::new().unwrap();
    let paths = ["a.jsonl", "b.jsonl.gz", "c.json.zst"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], "{\"a\": 1}\n").unwrap();
    std::fs::write(&paths[1], gzip(b"{\"b\": 2}\n{\"a\": 2.5}")).unwrap();
    std::fs::write(&paths[2], zstd::encode_all(&b"[{\"a\": 3}]"[..], 1).unwrap()).unwrap();
    let batch = read(&paths, &Options::new()).unwrap();
    let values: Vec<_> = batch.column(0).as_primitive::<Float64Type>().iter().collect();
    assert_eq!(values, [Some(1.0), None, Some(2.5), Some(3.0)]);
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().value(1), 2);

    let whole = gzip("{\"a\": 1}\n".repeat(1000).as_bytes());
    std::fs::write(&paths[1], &whole[..whole.len() - 10]).unwrap();
    let error = read(&paths[1..2], &Options::new()).err().unwrap();
    assert!(error.to_string().contains("b.jsonl.gz"), "{error}");
    assert_eq!(read(&[folder.path().join("none.json")], &Options::new()).err().unwrap().code(), Code::FileNotFound);
}

#[test]
fn an_empty_file_has_no_columns_and_no_rows() {
    for text in ["", "\n \n", "\u{feff}"] {
        let batch = rows_of(text);
        assert_eq!((batch.num_columns(), batch.num_rows()), (0, 0));
    }
}

/// Lines of uneven length, larger than several splits.
fn large(path: &Path) -> usize {
    let mut text = String::new();
    let mut rows = 0;
    while text.len() < 1_500_000 {
        text.push_str(&format!("{{\"i\": {rows}, \"t\": \"{}\"}}\n", "long ".repeat(rows * 31 % 97)));
        rows += 1;
    }
    std::fs::write(path, text).unwrap();
    rows
}

#[test]
fn splits_by_bytes_give_every_line_once_and_in_order() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.jsonl");
    let rows = large(&path);
    let request = request(&[path], &Options::new()).unwrap();
    let context = context(1000);
    assert!(JsonReader.splits(&request, &context).unwrap().plans.len() > 3);
    let batch = read_request(&request, &context).unwrap();
    let expected: Vec<_> = (0..rows as i64).collect();
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &expected);
}

#[test]
fn an_error_in_a_later_split_has_the_line_of_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.jsonl");
    let rows = large(&path);
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("{\"i\": \"no\"}\n");
    std::fs::write(&path, text).unwrap();
    let request = request(&[path], &option("sample_size", OptionValue::Int(10))).unwrap();
    let error = read_request(&request, &context(1000)).err().unwrap().to_string();
    assert!(error.contains(&format!("line {} of file", rows + 1)), "{error}");
}

/// Lines that hardly compress.
fn noisy_lines(rows: usize) -> String {
    let (mut text, mut state) = (String::from("\u{feff}"), 1_u64);
    for row in 0..rows {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (noise, more) = (state >> 3, state.wrapping_mul(31));
        text.push_str(&format!(
            "{{\"i\": {row}, \"t\": \"\\n{noise} \\\"{more}\", \"s\": {{\"u\": {noise}, \"v\": [{more}]}}}}\n"
        ));
    }
    text
}

#[test]
fn a_large_compressed_file_feeds_many_splits() {
    let folder = TempDir::new().unwrap();
    let rows = 40_000;
    let text = noisy_lines(rows);
    for (name, bytes) in
        [("a.json.gz", gzip(text.as_bytes())), ("a.json.zst", zstd::encode_all(text.as_bytes(), 1).unwrap())]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let mut request = request(std::slice::from_ref(&path), &Options::new()).unwrap();
        request.projection = vec![0];
        let context = context(1000);
        assert!(JsonReader.splits(&request, &context).unwrap().plans.len() > 3);
        let expected: Vec<_> = (0..rows as i64).collect();
        let batch = read_request(&request, &context).unwrap();
        assert!(batch.column(0).as_primitive::<Int64Type>().values() == expected.as_slice());

        std::fs::write(&path, &bytes[..bytes.len() * 3 / 4]).unwrap();
        let error = read_request(&request, &context).err().unwrap();
        assert_eq!(error.code(), Code::InvalidData);
        assert!(error.message().contains(name) && error.message().contains("cut off"), "{error}");
        request.limit = Some(5);
        let mut split = JsonReader.splits(&request, &context).unwrap().plans[0].open().unwrap();
        assert_eq!(split.next().unwrap().unwrap().num_rows(), 5);
        assert!(split.next().unwrap().is_none());
    }
    let path = folder.path().join("bad.json.gz");
    std::fs::write(&path, gzip(format!("{text}{{\"i\": 1,}}\n").as_bytes())).unwrap();
    let columns = OptionValue::Struct(vec![("i".to_owned(), OptionValue::Text("BIGINT".to_owned()))]);
    let error = read_request(&request(&[path], &option("columns", columns)).unwrap(), &context(1000)).err().unwrap();
    assert!(error.to_string().contains(&format!("line {} of file", rows + 1)), "{error}");
}

#[test]
fn fields_that_nobody_wants_are_null() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.jsonl");
    let text = "{\"s\": {\"a\": 1, \"b\": {\"c\": \"x\", \"d\": [2]}}, \"t\": 1}\n{\"s\": null}\n{\"s\": {}}\n";
    std::fs::write(&path, text).unwrap();
    let mut request = request(&[path], &Options::new()).unwrap();
    let mut parts = Parts::none();
    parts.add(&["b".to_owned(), "c".to_owned()]);
    request.parts.insert(0, parts);
    request.projection = vec![0];
    let batch = read_request(&request, &context(100)).unwrap();
    let shown = pretty_format_batches(&[batch]).unwrap().to_string();
    assert!(shown.contains("{a: , b: {c: x, d: }}") && shown.contains("{a: , b: }"), "{shown}");
}

#[test]
fn cancelling_stops_a_split() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.jsonl");
    large(&path);
    let request = request(&[path], &Options::new()).unwrap();
    let context = context(10);
    let mut split = JsonReader.splits(&request, &context).unwrap().plans[0].open().unwrap();
    split.next().unwrap();
    assert!(context.budget.used() > 0);
    context.cancel.cancel();
    assert_eq!(split.next().err().unwrap().code(), Code::Cancelled);
}

proptest! {
    #[test]
    fn any_cut_of_a_file_gives_the_same_rows(
        lengths in prop::collection::vec((0..40_usize, 0..3_usize), 1..60),
        cuts in prop::collection::vec(0.0..1.0_f64, 0..6),
    ) {
        use super::input::Portion;
        use super::records::Records;
        use crate::io::Compression;
        let mut text = String::new();
        for (length, kind) in &lengths {
            text.push_str(&match kind {
                0 => format!("{{\"k\":\"{}\"}}\n", "x".repeat(*length)),
                1 => format!("{}\r\n", "7".repeat(length + 1)),
                _ => "\n".to_owned(),
            });
        }
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, &text).unwrap();
        let size = text.len() as u64;
        let mut ends: Vec<u64> = cuts.iter().map(|cut| (cut * size as f64) as u64).chain([size]).collect();
        ends.sort_unstable();
        let mut found = Vec::new();
        let mut start = 0;
        for end in ends {
            let portion = Portion {
                path: path.to_str().unwrap().into(),
                compression: Compression::None,
                layout: Some(super::settings::Layout::Lines),
                range: Some(start..end),
            };
            let mut records = Records::open(&portion, 1 << 20, None).unwrap();
            while let Some(record) = records.next().unwrap() {
                found.push(String::from_utf8(record.bytes.to_vec()).unwrap());
            }
            start = end;
        }
        let expected: Vec<_> =
            text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        prop_assert_eq!(found, expected);
    }
}

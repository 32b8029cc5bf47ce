//! Claims checked against another JSON parser: what is taken, what is refused, and what it reads as.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::JsonReader;
use crate::cancel::CancelToken;
use crate::error::Result;
use crate::memory::Budget;
use crate::scan::format::{FormatReader, ScanRequest};
use crate::scan::spec::{FileEntry, Format, OptionValue, Options, ScanSpec};
use crate::store::{QueryContext, Store};

/// Reads `text` with the column `a` as VARCHAR, or with no column.
fn read(text: &str, format: &str, wanted: bool, ignore_errors: bool) -> Result<Vec<RecordBatch>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.json");
    std::fs::write(&path, text).unwrap();
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Utf8View, true)]));
    let columns = OptionValue::Struct(vec![("a".into(), OptionValue::Text("VARCHAR".into()))]);
    let options = Options::from([
        ("columns".to_string(), columns),
        ("format".to_string(), OptionValue::Text(format.into())),
        ("ignore_errors".to_string(), OptionValue::Bool(ignore_errors)),
    ]);
    let path = path.to_str().unwrap().to_string();
    let files = vec![FileEntry { path: path.into(), size: text.len() as u64, modified: None, hive_values: Vec::new() }];
    let (patterns, hive_columns, rows) = (Vec::new(), 0, None);
    let spec = ScanSpec { patterns, format: Format::Json, options, files, schema, hive_columns, rows };
    let projection = if wanted { vec![0] } else { Vec::new() };
    let (filters, runtime_filters, parts) = (Vec::new(), Vec::new(), Default::default());
    let request = ScanRequest { spec: Arc::new(spec), projection, filters, limit: None, runtime_filters, parts };
    let budget = Budget::new(256 << 20);
    let store = Store::new(budget.clone());
    let context =
        Arc::new(QueryContext { cancel: CancelToken::new(), budget, store, batch_size: 3, threads: 2, side: None });
    let mut batches = Vec::new();
    for split in JsonReader.splits(&request, &context)?.plans {
        let mut split = split.open()?;
        while let Some(batch) = split.next()? {
            batches.push(batch);
        }
    }
    Ok(batches)
}

fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

fn texts(batches: &[RecordBatch]) -> Vec<Option<String>> {
    let of_batch = |batch: &RecordBatch| {
        batch.column(0).as_string_view().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

/// Whether the other parser takes the line as an object.
fn is_object(line: &str) -> bool {
    serde_json::from_str::<HashMap<String, IgnoredAny>>(line).is_ok()
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1000i32..1000).prop_map(|number| Value::from(f64::from(number) / 8.0)),
        "[a-c{}\\[\\]:, \"\\\\\u{1}\n\täß日\u{1f600}]{0,9}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[abk\"\\\\ä]{0,3}", inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn objects() -> impl Strategy<Value = Vec<Value>> {
    let object = vec((prop_oneof![Just("a".to_string()), "[abk]{1,2}"], values()), 0..5);
    vec(object.prop_map(|pairs| Value::Object(pairs.into_iter().collect())), 0..12)
}

/// The value with white space between its tokens.
fn spaced(value: &Value, blanks: &[&str], next: &mut usize, out: &mut String) {
    let mut blank = |out: &mut String| {
        out.push_str(blanks[*next % blanks.len()]);
        *next += 1;
    };
    blank(out);
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                spaced(item, blanks, next, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (index, (key, item)) in fields.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                spaced(&Value::from(key.as_str()), blanks, next, out);
                out.push(':');
                spaced(item, blanks, next, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
    out.push_str(blanks[*next % blanks.len()]);
}

fn spaced_text(value: &Value, blanks: &[&str], seed: usize) -> String {
    let (mut out, mut next) = (String::new(), seed);
    spaced(value, blanks, &mut next, &mut out);
    out
}

/// What a VARCHAR column holds of a value.
fn expected(object: &Value) -> Option<String> {
    match &object["a"] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

const WITHIN_LINES: [&str; 6] = ["", "", " ", "\t ", "", "\r"];
const ANYWHERE: [&str; 5] = ["", " ", "\n", "", "\r\n\n"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn values_read_as_the_other_parser_reads_them(objects in objects(), seed in 0usize..50) {
        let expected: Vec<_> = objects.iter().map(expected).collect();
        let lines: Vec<_> = objects.iter().map(|object| spaced_text(object, &WITHIN_LINES, seed)).collect();
        prop_assert_eq!(texts(&read(&lines.join("\n"), "newline_delimited", true, false).unwrap()), expected.clone());
        let values: Vec<_> = objects.iter().map(|object| spaced_text(object, &ANYWHERE, seed)).collect();
        prop_assert_eq!(texts(&read(&values.concat(), "unstructured", true, false).unwrap()), expected.clone());
        let array = format!(" [{}]\n", values.join(","));
        prop_assert_eq!(texts(&read(&array, "array", true, false).unwrap()), expected.clone());
        prop_assert_eq!(rows(&read(&array, "array", false, false).unwrap()), expected.len());
        // Every cut of an array or of an object is noticed.
        for cut in [1, array.len() / 3, array.len() - 2] {
            let cut = (cut..).find(|cut| array.is_char_boundary(*cut)).unwrap();
            if !array[..cut].trim().is_empty() && !array[..cut].trim_end().ends_with(']') {
                prop_assert!(read(&array[..cut], "array", false, false).is_err(), "{}", &array[..cut]);
            }
        }
    }

    #[test]
    fn lines_are_refused_as_the_other_parser_refuses_them(
        objects in objects(),
        seed in 0usize..50,
        edits in vec((any::<prop::sample::Index>(), 0u8..3, "[{}\\[\\]:,\"\\\\ 0-9ntu.eE+-]|\n|\u{2}"), 0..4),
    ) {
        let lines: Vec<_> = objects.iter().map(|object| spaced_text(object, &WITHIN_LINES, seed)).collect();
        let mut characters: Vec<char> = lines.join("\n").chars().collect();
        for (at, kind, character) in edits {
            if characters.is_empty() {
                break;
            }
            let at = at.index(characters.len());
            let character = character.chars().next().unwrap();
            match kind {
                0 => drop(characters.remove(at)),
                1 => characters.insert(at, character),
                _ => characters[at] = character,
            }
        }
        let text: String = characters.into_iter().collect();
        let lines: Vec<&str> = text.split('\n').filter(|line| !line.trim_ascii().is_empty()).collect();
        let good = lines.iter().filter(|line| is_object(line)).count();
        let strict = read(&text, "newline_delimited", false, false);
        match good == lines.len() {
            true => prop_assert_eq!(rows(&strict.unwrap()), good),
            false => {
                let first = text.split('\n').position(|line| !line.trim_ascii().is_empty() && !is_object(line)).unwrap();
                let error = strict.err().map(|error| error.to_string());
                let place = format!("line {} of file", first + 1);
                prop_assert!(error.as_ref().is_some_and(|error| error.contains(&place)), "{:?} {}", error, place);
            }
        }
        let lenient = read(&text, "newline_delimited", false, true).unwrap();
        prop_assert_eq!(rows(&lenient), good, "{}", text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(text in "[{}\\[\\]:,\"\\\\ a0-9ntu.eE\n-]{0,200}", format in 0usize..3) {
        let format = ["newline_delimited", "array", "unstructured"][format];
        let _ = read(&text, format, true, false);
        let _ = read(&text, format, false, true);
    }
}

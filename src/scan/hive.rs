//! Columns from folders: `year=2013/month=1/flights.csv` has the columns `year` and `month`.
//!
//! Invariant: a folder gives a column only if every file of the scan lies in such a folder; a value that its column's
//! type would change (leading zeros) keeps the column text.

use arrow::datatypes::{DataType, Field};
use datafusion_common::ScalarValue;

use crate::scan::FileEntry;
use crate::scan::infer::{Kind, classify, number, time};

/// The folder name that stands for NULL.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// The `key=value` folders of a path, outermost first; a repeated key counts once, innermost.
pub fn folders(path: &str) -> Vec<(String, Option<String>)> {
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    let Some((folders, _file)) = path.rsplit_once('/') else { return found };
    for part in folders.split('/') {
        let Some((key, value)) = part.split_once('=') else { continue };
        if key.is_empty() {
            continue;
        }
        let key = url_decoded(key);
        let value = if value == NULL_FOLDER { None } else { Some(url_decoded(value)) };
        found.retain(|(other, _)| !other.eq_ignore_ascii_case(&key));
        found.push((key, value));
    }
    found
}

/// Sets every file's hive values and gives the columns; none when some file lies outside of such folders.
pub fn columns(files: &mut [FileEntry]) -> Vec<Field> {
    let mut found: Vec<_> = files.iter().map(|file| folders(&file.path)).collect();
    let Some(first) = found.first() else { return Vec::new() };
    let keys: Vec<String> = first.iter().map(|(key, _)| key.clone()).collect();
    let common: Vec<String> = keys
        .into_iter()
        .filter(|key| found.iter().all(|file| file.iter().any(|(other, _)| other.eq_ignore_ascii_case(key))))
        .collect();
    for (file, values) in files.iter_mut().zip(&mut found) {
        file.hive_values = common
            .iter()
            .map(|key| values.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(key)).and_then(|(_, v)| v.take()))
            .collect();
    }
    let field = |(index, key): (usize, &String)| {
        let values = files.iter().filter_map(|file| file.hive_values.get(index)?.as_deref());
        Field::new(key, column_type(values), true)
    };
    common.iter().enumerate().map(field).collect()
}

fn column_type<'a>(values: impl Iterator<Item = &'a str>) -> DataType {
    let kind = values.map(|value| classify(value.as_bytes())).fold(Kind::Null, Kind::join);
    match kind {
        Kind::BigInt | Kind::Date => kind.data_type(),
        _ => DataType::Utf8View,
    }
}

/// The value of one file's folder as the column's type.
pub fn scalar(value: Option<&str>, data_type: &DataType) -> ScalarValue {
    let text = value.unwrap_or_default().as_bytes();
    match data_type {
        DataType::Int64 => ScalarValue::Int64(value.and_then(|_| number::parse_integer_strict(text))),
        DataType::Date32 => ScalarValue::Date32(value.and_then(|_| time::parse_date(text))),
        _ => ScalarValue::Utf8View(value.map(str::to_string)),
    }
}

/// The text with `%20` and the like decoded; left alone where that gives no UTF-8.
fn url_decoded(text: &str) -> String {
    let hex = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(paths: &[&str]) -> Vec<FileEntry> {
        paths
            .iter()
            .map(|path| FileEntry { path: (*path).into(), size: 0, modified: None, hive_values: Vec::new() })
            .collect()
    }

    #[test]
    fn types_come_from_all_values() {
        let mut files = entries(&[
            "d/year=2013/code=01/day=2013-01-01/city=New%20York/x.csv",
            "d/year=__HIVE_DEFAULT_PARTITION__/code=1/day=2013-01-02/city=a%zz/x.csv",
        ]);
        let columns = columns(&mut files);
        let types: Vec<_> = columns.iter().map(|field| (field.name().as_str(), field.data_type().clone())).collect();
        let expected = [
            ("year", DataType::Int64),
            ("code", DataType::Utf8View),
            ("day", DataType::Date32),
            ("city", DataType::Utf8View),
        ];
        assert_eq!(types, expected);
        assert_eq!(files[0].hive_values[3].as_deref(), Some("New York"));
        assert_eq!(files[1].hive_values, [None, Some("1".into()), Some("2013-01-02".into()), Some("a%zz".into())]);
        assert_eq!(scalar(Some("2013"), &DataType::Int64), ScalarValue::Int64(Some(2013)));
        assert_eq!(scalar(None, &DataType::Int64), ScalarValue::Int64(None));
    }

    #[test]
    fn only_folders_common_to_all_files_count() {
        let mut files = entries(&["a=1/b=2/x.csv", "B=3/x.csv"]);
        let columns = columns(&mut files);
        assert_eq!(columns.len(), 1);
        assert_eq!(columns[0].name(), "b");
        assert_eq!(files[1].hive_values, [Some("3".to_string())]);
        assert!(folders("x=1.csv").is_empty());
    }
}

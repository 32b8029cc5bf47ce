//! Columns from folders: `year=2013/month=1/flights.csv` has the columns `year` and `month`.
//!
//! Invariant: a folder gives a column only if every file of the scan lies in such a folder; a value that its column's
//! type would change (leading zeros) keeps the column text.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewArray};
use arrow::datatypes::{DataType, Field};
use datafusion_common::ScalarValue;

use crate::error::{Code, Error, Result};
use crate::expr::try_cast_texts;
use crate::scan::infer::{Kind, classify, parse_any_type, sql_name};
use crate::scan::{FileEntry, Options, options};

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

/// What the options say of the types of these columns.
pub struct Types {
    /// By name.
    given: Vec<(String, DataType)>,
    /// Whether the others may be anything but text.
    autocast: bool,
}

impl Types {
    /// Reads `hive_types` and `hive_types_autocast`.
    ///
    /// # Errors
    /// `INVALID_SETTING` for values that they cannot take.
    pub fn new(options: &Options) -> Result<Self> {
        let given = options::pairs(options, "hive_types")?.unwrap_or_default();
        let given = given.into_iter().map(|(name, text)| Ok((name, parse_any_type(&text)?))).collect::<Result<_>>()?;
        Ok(Types { given, autocast: options::flag(options, "hive_types_autocast")?.unwrap_or(true) })
    }

    /// No columns.
    ///
    /// # Errors
    /// `INVALID_SETTING` where types were given all the same.
    pub fn refused(&self) -> Result<Vec<Field>> {
        let message = "the reader option hive_types needs hive_partitioning, which is false";
        if self.given.is_empty() { Ok(Vec::new()) } else { Err(Error::new(Code::InvalidSetting, message)) }
    }

    fn of(&self, name: &str) -> Option<&DataType> {
        self.given.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, data_type)| data_type)
    }
}

/// Sets every file's hive values and gives the columns; none when some file lies outside of such folders.
///
/// # Errors
/// `INVALID_SETTING` for a type of no such column, `INVALID_DATA` for a folder whose value is not of the given type.
pub fn columns(files: &mut [FileEntry], types: &Types) -> Result<Vec<Field>> {
    let mut found: Vec<_> = files.iter().map(|file| folders(&file.path)).collect();
    let Some(first) = found.first() else { return Ok(Vec::new()) };
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
    if let Some((name, _)) =
        types.given.iter().find(|(name, _)| !common.iter().any(|key| key.eq_ignore_ascii_case(name)))
    {
        let message = format!("the reader option hive_types names '{name}', but not all files lie in folders {name}=…");
        return Err(Error::new(Code::InvalidSetting, message));
    }
    let field = |(index, key): (usize, &String)| {
        let values = || files.iter().filter_map(|file| Some((file, file.hive_values.get(index)?.as_deref()?)));
        let data_type = match types.of(key) {
            None if types.autocast => column_type(values().map(|(_, value)| value)),
            None => DataType::Utf8View,
            Some(given) => {
                if let Some((file, value)) = values().find(|(_, value)| scalar(Some(value), given).is_null()) {
                    let (path, name) = (&file.path, sql_name(given));
                    let message = format!("'{path}': the folder {key}={value} is not a {name}");
                    return Err(Error::new(Code::InvalidData, message).hint("hive_types gives the types of folders"));
                }
                given.clone()
            }
        };
        Ok(Field::new(key, data_type, true))
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
    let cast = |text: &str| {
        let text: ArrayRef = Arc::new(StringViewArray::from_iter_values([text]));
        ScalarValue::try_from_array(&try_cast_texts(&text, data_type).ok()?, 0).ok()
    };
    match data_type {
        DataType::Utf8View => ScalarValue::Utf8View(value.map(str::to_string)),
        _ => value.and_then(cast).or_else(|| ScalarValue::try_new_null(data_type).ok()).unwrap_or(ScalarValue::Null),
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
        let columns = columns(&mut files, &Types::new(&Options::new()).unwrap()).unwrap();
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
        let columns = columns(&mut files, &Types::new(&Options::new()).unwrap()).unwrap();
        assert_eq!(columns.len(), 1);
        assert_eq!(columns[0].name(), "b");
        assert_eq!(files[1].hive_values, [Some("3".to_string())]);
        assert!(folders("x=1.csv").is_empty());
    }
}

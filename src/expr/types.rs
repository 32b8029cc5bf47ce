//! SQL names of Arrow types, both ways.
//!
//! Invariant: for every type that SQL can name, `sql_type_from_name(&sql_type_name(t))` gives `t` again, except that
//! types which differ only in layout (`Utf8`, `Utf8View`) come back as one of them.
//!
//! # Known limitation
//! Durations have no SQL type; they print as INTERVAL.

mod parse;

use std::collections::HashSet;

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

pub use parse::sql_type_from_name;

use crate::batch::logical::{MOST_LABELS, enum_labels, enum_type, is_enum};
use crate::error::{Code, Error, Result};

/// floe's 128-bit integer: a decimal of 38 digits without fraction.
pub const HUGEINT: DataType = DataType::Decimal128(38, 0);

/// floe's 128-bit integer without sign: a decimal of 39 digits without fraction, from 0 to 2^128 - 1.
pub const UHUGEINT: DataType = DataType::Decimal256(39, 0);

/// The SQL name of a type, e.g. `BIGINT`, `DECIMAL(15,2)`, `STRUCT(a INTEGER, b VARCHAR[])`.
///
/// ```
/// use arrow::datatypes::DataType;
/// use floe::expr::types::sql_type_name;
/// assert_eq!(sql_type_name(&DataType::Int64), "BIGINT");
/// assert_eq!(sql_type_name(&DataType::Decimal128(38, 0)), "HUGEINT");
/// assert_eq!(sql_type_name(&DataType::Decimal128(15, 2)), "DECIMAL(15,2)");
/// ```
pub fn sql_type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "NULL".into(),
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INTEGER".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::UInt8 => "UTINYINT".into(),
        DataType::UInt16 => "USMALLINT".into(),
        DataType::UInt32 => "UINTEGER".into(),
        DataType::UInt64 => "UBIGINT".into(),
        DataType::Float16 | DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Decimal128(38, 0) => "HUGEINT".into(),
        DataType::Decimal256(39, 0) => "UHUGEINT".into(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Utf8 | DataType::Utf8View => "VARCHAR".into(),
        DataType::LargeUtf8 => "JSON".into(),
        DataType::FixedSizeBinary(16) => "UUID".into(),
        DataType::LargeBinary => "BIT".into(),
        DataType::Binary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "BLOB".into(),
        DataType::Date32 | DataType::Date64 => "DATE".into(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".into(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE".into(),
        DataType::Timestamp(unit, None) => timestamp_name(*unit).into(),
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL".into(),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            format!("{}[]", sql_type_name(item.data_type()))
        }
        DataType::FixedSizeList(item, length) => format!("{}[{length}]", sql_type_name(item.data_type())),
        data_type if is_enum(data_type) => enum_name(data_type),
        DataType::Struct(fields) => {
            let fields: Vec<_> = fields.iter().map(|field| field_text(field)).collect();
            format!("STRUCT({})", fields.join(", "))
        }
        DataType::Union(members, _) => {
            let members: Vec<_> = members.iter().map(|(_, field)| field_text(field)).collect();
            format!("UNION({})", members.join(", "))
        }
        DataType::Map(entries, _) => map_name(entries),
        DataType::Dictionary(_, value) => sql_type_name(value),
        DataType::RunEndEncoded(_, value) => sql_type_name(value.data_type()),
    }
}

fn timestamp_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "TIMESTAMP_S",
        TimeUnit::Millisecond => "TIMESTAMP_MS",
        TimeUnit::Microsecond => "TIMESTAMP",
        TimeUnit::Nanosecond => "TIMESTAMP_NS",
    }
}

/// `name TYPE`, with the name quoted where it is no plain word.
fn field_text(field: &Field) -> String {
    let name = field.name();
    let mut characters = name.chars();
    let starts_plain = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    let is_plain = starts_plain && characters.all(|character| character.is_ascii_alphanumeric() || character == '_');
    let name = if is_plain { name.clone() } else { format!("\"{}\"", name.replace('"', "\"\"")) };
    format!("{name} {}", sql_type_name(field.data_type()))
}

/// The ENUM of these labels.
///
/// # Errors
/// `INVALID_QUERY` for a label that comes twice, `NOT_SUPPORTED` for too many of them.
pub fn enumeration(labels: Vec<String>) -> Result<DataType> {
    if labels.len() > MOST_LABELS {
        let error = Error::not_supported(format!("an ENUM of {} labels", labels.len()));
        return Err(error.hint(format!("it may have {MOST_LABELS}; VARCHAR takes any text")));
    }
    let mut seen = HashSet::new();
    if let Some(twice) = labels.iter().find(|label| !seen.insert(label.as_str())) {
        return Err(Error::new(Code::InvalidQuery, format!("the label '{twice}' comes twice in the ENUM")));
    }
    Ok(enum_type(&labels))
}

/// `ENUM('sad', 'ok')`.
fn enum_name(data_type: &DataType) -> String {
    let labels = enum_labels(data_type).into_iter().flat_map(|labels| labels.iter());
    let labels: Vec<String> = labels.map(|label| format!("'{}'", label.replace('\'', "''"))).collect();
    format!("ENUM({})", labels.join(", "))
}

fn map_name(entries: &Field) -> String {
    match entries.data_type() {
        DataType::Struct(fields) => {
            let types: Vec<_> = fields.iter().map(|field| sql_type_name(field.data_type())).collect();
            format!("MAP({})", types.join(", "))
        }
        other => format!("MAP({})", sql_type_name(other)),
    }
}

/// The type of an INTERVAL.
const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_the_same_type() {
        let names = [
            "BOOLEAN",
            "TINYINT",
            "SMALLINT",
            "INTEGER",
            "BIGINT",
            "HUGEINT",
            "UHUGEINT",
            "UTINYINT",
            "USMALLINT",
            "UINTEGER",
            "UBIGINT",
            "FLOAT",
            "DOUBLE",
            "DECIMAL(15,2)",
            "DECIMAL(38,10)",
            "DECIMAL(50,3)",
            "VARCHAR",
            "BLOB",
            "UUID",
            "BIT",
            "JSON",
            "ENUM('sad', 'it''s ok')[]",
            "DATE",
            "TIME",
            "TIMESTAMP",
            "TIMESTAMP_S",
            "TIMESTAMP_MS",
            "TIMESTAMP_NS",
            "TIMESTAMP WITH TIME ZONE",
            "INTERVAL",
            "NULL",
            "BIGINT[]",
            "VARCHAR[][]",
            "DOUBLE[3]",
            "STRUCT(a INTEGER, \"b c\" VARCHAR[])",
            "STRUCT(\"a\"\"b\" DECIMAL(9,1), d STRUCT(e DATE))",
            "MAP(VARCHAR, STRUCT(x DOUBLE))",
            "MAP(INTEGER, TIMESTAMP WITH TIME ZONE)[]",
        ];
        for name in names {
            assert_eq!(sql_type_name(&sql_type_from_name(name).unwrap()), name);
        }
    }

    #[test]
    fn aliases_and_spellings_are_known() {
        for (alias, name) in [
            ("int", "INTEGER"),
            (" Int8 ", "BIGINT"),
            ("string", "VARCHAR"),
            ("varchar(10)", "VARCHAR"),
            ("double precision", "DOUBLE"),
            ("decimal", "DECIMAL(18,3)"),
            ("numeric( 7 , 2 )", "DECIMAL(7,2)"),
            ("decimal(9)", "DECIMAL(9,0)"),
            ("timestamptz", "TIMESTAMP WITH TIME ZONE"),
            ("timestamp without time zone", "TIMESTAMP"),
            ("time", "TIME"),
            ("struct(A int,B text [])", "STRUCT(A INTEGER, B VARCHAR[])"),
        ] {
            assert_eq!(sql_type_name(&sql_type_from_name(alias).unwrap()), name, "{alias}");
        }
    }

    #[test]
    fn what_is_no_type_is_an_error_that_names_it() {
        for text in [
            "",
            "BIGNT",
            "DECIMAL(77,2)",
            "DECIMAL(5,6)",
            "STRUCT(a)",
            "MAP(INTEGER)",
            "BIGINT]",
            "INT INT",
            "BIGINT[",
            "\"a",
        ] {
            let error = sql_type_from_name(text).unwrap_err();
            assert_eq!(error.code(), Code::InvalidQuery, "{text}");
            assert!(error.message().contains(text), "{}", error.message());
        }
        assert_eq!(sql_type_from_name("BIGNT").unwrap_err().hint_text(), Some("did you mean BIGINT?"));
    }

    #[test]
    fn deep_nesting_is_an_error_not_a_crash() {
        let text = format!("{}INT{}", "STRUCT(a ".repeat(100_000), ")".repeat(100_000));
        assert!(sql_type_from_name(&text).is_err());
    }
}

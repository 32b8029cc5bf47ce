//! The types that text may have, and how two of them meet: shared by every format that stores values as text.
//!
//! Invariant: [`Kind::join`] is a least upper bound (associative, commutative, idempotent), so the type of a column
//! does not depend on the order in which its samples are seen; and a value whose [`classify`] is below a column's
//! kind converts into the column's type without loss (an integer into DOUBLE beyond 2^53 excepted).

pub mod number;
pub mod pattern;
pub mod time;
pub mod word;

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};

use crate::batch::logical::JSON;
use crate::error::{Code, Error, Result};
use crate::expr::types::{sql_type_from_name, sql_type_name};

/// What a text value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing seen but nulls.
    Null,
    Boolean,
    /// An integer that fits 64 bits.
    BigInt,
    /// An integer of at most 38 digits.
    Huge,
    Double,
    Date,
    Time,
    Timestamp,
    Text,
}

impl Kind {
    /// The narrowest kind that holds the values of both.
    #[must_use]
    pub fn join(self, other: Kind) -> Kind {
        use Kind::{BigInt, Date, Double, Huge, Null, Text, Timestamp};
        match (self, other) {
            (a, b) if a == b => a,
            (Null, other) | (other, Null) => other,
            (BigInt, Huge) | (Huge, BigInt) => Huge,
            (BigInt | Huge, Double) | (Double, BigInt | Huge) => Double,
            (Date, Timestamp) | (Timestamp, Date) => Timestamp,
            _ => Text,
        }
    }

    /// The column type; text for a column without any value.
    pub fn data_type(self) -> DataType {
        match self {
            Kind::Boolean => DataType::Boolean,
            Kind::BigInt => DataType::Int64,
            Kind::Huge => DataType::Decimal128(38, 0),
            Kind::Double => DataType::Float64,
            Kind::Date => DataType::Date32,
            Kind::Time => DataType::Time64(TimeUnit::Microsecond),
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::Null | Kind::Text => DataType::Utf8View,
        }
    }
}

/// What the text looks like. Numbers with leading zeros or a plus sign are codes, not numbers, and stay text.
pub fn classify(text: &[u8]) -> Kind {
    let text = trim(text);
    match text.first() {
        None => Kind::Text,
        Some(b'0'..=b'9') => match number::classify(text) {
            Kind::Text => time::classify(text),
            kind => kind,
        },
        Some(b'-' | b'.') => number::classify(text),
        Some(b't' | b'T' | b'f' | b'F') if number::parse_bool(text).is_some() => Kind::Boolean,
        Some(b'n' | b'N' | b'i' | b'I') if number::is_special(text) => Kind::Double,
        _ => Kind::Text,
    }
}

/// The text without spaces around it.
#[inline(always)]
pub fn trim(text: &[u8]) -> &[u8] {
    match (text.first(), text.last()) {
        (Some(b' '), _) | (_, Some(b' ')) => text.trim_ascii(),
        _ => text,
    }
}

/// The type that a reader option names, which may be any of SQL's.
///
/// # Errors
/// `INVALID_SETTING` naming the text.
pub fn parse_any_type(name: &str) -> Result<DataType> {
    let unknown = |error: Error| match error.hint_text() {
        Some(hint) => Error::new(Code::InvalidSetting, error.message()).hint(hint),
        None => unknown_type(name),
    };
    match sql_type_from_name(name).map_err(unknown)? {
        DataType::Null => Err(unknown_type(name)),
        data_type => Ok(data_type),
    }
}

/// The type that a reader option names, e.g. `DECIMAL(10,2)`, of those that have a parser here.
///
/// # Errors
/// `INVALID_SETTING` naming the text.
pub fn parse_type(name: &str) -> Result<DataType> {
    let upper = name.trim().to_ascii_uppercase();
    let (base, arguments) = match upper.split_once('(') {
        Some((base, rest)) => (base.trim(), rest.strip_suffix(')')),
        None => (upper.as_str(), None),
    };
    let micros = |zone: Option<Arc<str>>| DataType::Timestamp(TimeUnit::Microsecond, zone);
    Ok(match base {
        "BOOLEAN" | "BOOL" | "LOGICAL" => DataType::Boolean,
        "TINYINT" | "INT1" => DataType::Int8,
        "SMALLINT" | "INT2" | "SHORT" => DataType::Int16,
        "INTEGER" | "INT" | "INT4" | "SIGNED" => DataType::Int32,
        "BIGINT" | "INT8" | "LONG" => DataType::Int64,
        "HUGEINT" | "INT128" => DataType::Decimal128(38, 0),
        "UTINYINT" => DataType::UInt8,
        "USMALLINT" => DataType::UInt16,
        "UINTEGER" => DataType::UInt32,
        "UBIGINT" => DataType::UInt64,
        "FLOAT" | "REAL" | "FLOAT4" => DataType::Float32,
        "DOUBLE" | "FLOAT8" | "DOUBLE PRECISION" => DataType::Float64,
        "DATE" => DataType::Date32,
        "TIMESTAMP" | "DATETIME" | "TIMESTAMP WITHOUT TIME ZONE" => micros(None),
        "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" => micros(Some("UTC".into())),
        "VARCHAR" | "TEXT" | "STRING" | "CHAR" | "BPCHAR" | "CHARACTER VARYING" => DataType::Utf8View,
        "JSON" => JSON,
        "DECIMAL" | "NUMERIC" | "DEC" => return decimal(name, arguments),
        _ => return Err(unknown_type(name)),
    })
}

fn decimal(name: &str, arguments: Option<&str>) -> Result<DataType> {
    let Some(arguments) = arguments else { return Ok(DataType::Decimal128(18, 3)) };
    let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
    let precision: u8 = precision.trim().parse().map_err(|_| unknown_type(name))?;
    let scale: i8 = scale.trim().parse().map_err(|_| unknown_type(name))?;
    if !(1..=38).contains(&precision) || scale < 0 || scale.unsigned_abs() > precision {
        return Err(unknown_type(name).hint("DECIMAL(p, s) takes a precision of 1 to 38 and a scale of 0 to p"));
    }
    Ok(DataType::Decimal128(precision, scale))
}

/// A type's name in SQL, for messages.
pub fn sql_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_string(),
        DataType::Int8 => "TINYINT".to_string(),
        DataType::Int16 => "SMALLINT".to_string(),
        DataType::Int32 => "INTEGER".to_string(),
        DataType::Int64 => "BIGINT".to_string(),
        DataType::UInt8 => "UTINYINT".to_string(),
        DataType::UInt16 => "USMALLINT".to_string(),
        DataType::UInt32 => "UINTEGER".to_string(),
        DataType::UInt64 => "UBIGINT".to_string(),
        DataType::Float32 => "FLOAT".to_string(),
        DataType::Float64 => "DOUBLE".to_string(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Date32 => "DATE".to_string(),
        DataType::Timestamp(_, None) => "TIMESTAMP".to_string(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE".to_string(),
        DataType::Utf8 | DataType::Utf8View => "VARCHAR".to_string(),
        other => sql_type_name(other),
    }
}

fn unknown_type(name: &str) -> Error {
    Error::new(Code::InvalidSetting, format!("'{name}' is not a column type that a reader can give"))
        .hint("e.g. BOOLEAN, INTEGER, BIGINT, DOUBLE, DECIMAL(10,2), DATE, TIMESTAMP, VARCHAR, JSON")
}

#[cfg(test)]
mod tests;

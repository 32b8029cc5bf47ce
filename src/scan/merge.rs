//! One schema for many files: the engine's types for a footer's, names matched, numbers widened.
//!
//! Invariant: schemas carry no metadata, so that two readings of one file compare equal. Merging never loses a value:
//! the merged type holds every value of each file's type (64-bit integers beside doubles excepted, as in SQL).

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};

use crate::batch::logical::extension_type;
use crate::error::{Code, Error, Result};
use crate::scan::infer::sql_name;
use crate::scan::spec::{OptionValue, Options};

/// Largest precision of a 128-bit decimal.
const GREATEST_PRECISION: u8 = 38;

/// The option `union_by_name`; false when it is not given.
///
/// # Errors
/// `INVALID_SETTING` when it is not a boolean.
pub(in crate::scan) fn union_by_name(options: &Options) -> Result<bool> {
    match options.get("union_by_name") {
        None => Ok(false),
        Some(OptionValue::Bool(value)) => Ok(*value),
        Some(other) => {
            Err(Error::new(Code::InvalidSetting, format!("union_by_name takes true or false, not {other:?}")))
        }
    }
}

/// The columns of a footer in the engine's types: text and bytes as views, no dictionaries, no metadata. Columns are found
/// by their names: the second one called `a` is `a_1`.
pub(in crate::scan) fn logical_schema(schema: &Schema) -> Schema {
    let mut names = HashSet::new();
    let field = |field: &FieldRef| {
        let name = (0..).map(|number| numbered(field.name(), number)).find(|name| !names.contains(name));
        let name = name.unwrap_or_default();
        names.insert(name.clone());
        Field::new(name, logical_type_of(field), field.is_nullable())
    };
    Schema::new(schema.fields().iter().map(field).collect::<Fields>())
}

fn numbered(name: &str, number: usize) -> String {
    if number == 0 { name.to_owned() } else { format!("{name}_{number}") }
}

fn logical_field(field: &Field) -> FieldRef {
    Arc::new(Field::new(field.name(), logical_type_of(field), field.is_nullable()))
}

fn logical_item(field: &Field) -> FieldRef {
    Arc::new(Field::new(Field::LIST_FIELD_DEFAULT_NAME, logical_type_of(field), field.is_nullable()))
}

fn logical_type_of(field: &Field) -> DataType {
    extension_type(field).unwrap_or_else(|| logical_type(field.data_type()))
}

fn logical_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => DataType::BinaryView,
        // Only that of a field which says so is a UUID.
        DataType::FixedSizeBinary(16) => DataType::BinaryView,
        DataType::Dictionary(_, value) => logical_type(value),
        DataType::RunEndEncoded(_, value) => logical_type(value.data_type()),
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        // SQL has one TIME, whose values meet only those of its own unit.
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Nanosecond),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            DataType::List(logical_item(item))
        }
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(logical_item(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| logical_field(field)).collect()),
        DataType::Map(entries, sorted) => DataType::Map(logical_field(entries), *sorted),
        other => other.clone(),
    }
}

/// Where a column of name `name` stands: spelled the same, else the only one spelled alike without regard to case.
pub(in crate::scan) fn find_column(schema: &Schema, name: &str) -> Option<usize> {
    if let Some((index, _)) = schema.column_with_name(name) {
        return Some(index);
    }
    let lower = name.to_lowercase();
    let mut alike = schema.fields().iter().enumerate().filter(|(_, field)| field.name().to_lowercase() == lower);
    match (alike.next(), alike.next()) {
        (Some((index, _)), None) => Some(index),
        _ => None,
    }
}

/// The schema common to files, given as path and columns: the first file's columns in its order, then, when `union`,
/// those that only later files have.
///
/// # Errors
/// `INVALID_DATA`, naming two files, when a column is in one of them only (and not `union`), or when its types have no
/// common one.
pub(in crate::scan) fn merge<'a>(
    files: impl Iterator<Item = (&'a str, &'a Schema)>,
    union: bool,
    reader: &str,
) -> Result<Schema> {
    let mut merged: Vec<Merged> = Vec::new();
    let mut known = Schema::empty();
    for (number, (path, schema)) in files.enumerate() {
        if number > 0 && schema.fields() == known.fields() {
            continue;
        }
        let mut present = vec![false; merged.len()];
        for field in schema.fields() {
            match find_column(&known, field.name()).filter(|_| number > 0) {
                Some(index) => {
                    if let (Some(column), Some(seen)) = (merged.get_mut(index), present.get_mut(index)) {
                        column.widen(field, path, union)?;
                        *seen = true;
                    }
                }
                None if number == 0 || union => {
                    let nullable = field.is_nullable() || number > 0;
                    merged
                        .push(Merged { field: field.as_ref().clone().with_nullable(nullable), path: path.to_owned() });
                    present.push(true);
                }
                None => {
                    let first = merged.first().map_or("", |column| column.path.as_str());
                    return Err(missing(field.name(), path, first, reader));
                }
            }
        }
        for (column, _) in merged.iter_mut().zip(&present).filter(|(_, present)| !**present) {
            if !union {
                return Err(missing(column.field.name(), &column.path, path, reader));
            }
            column.field.set_nullable(true);
        }
        known = Schema::new(merged.iter().map(|column| column.field.clone()).collect::<Fields>());
    }
    Ok(known)
}

fn missing(column: &str, present: &str, absent: &str, reader: &str) -> Error {
    Error::new(Code::InvalidData, format!("column '{column}' is in file '{present}' but not in file '{absent}'"))
        .hint(format!("{reader}(…, union_by_name => true) fills missing columns with NULL"))
}

/// A column of the merged schema and the file that gave it its type.
struct Merged {
    field: Field,
    path: String,
}

impl Merged {
    fn widen(&mut self, other: &Field, path: &str, union: bool) -> Result<()> {
        if other.is_nullable() {
            self.field.set_nullable(true);
        }
        if self.field.data_type() == other.data_type() {
            return Ok(());
        }
        let Some(common) = common_type(self.field.data_type(), other.data_type(), union) else {
            return Err(Error::new(
                Code::InvalidData,
                format!(
                    "column '{}' is {} in file '{}' but {} in file '{path}'",
                    self.field.name(),
                    sql_name(self.field.data_type()),
                    self.path,
                    sql_name(other.data_type()),
                ),
            )
            .hint("read the files apart and CAST the column"));
        };
        if &common == other.data_type() {
            self.path = path.to_owned();
        }
        self.field.set_data_type(common);
        Ok(())
    }
}

/// The narrowest type that holds the values of both, or `None`. With `union` a struct gets the fields of both.
fn common_type(left: &DataType, right: &DataType, union: bool) -> Option<DataType> {
    if left == right {
        return Some(left.clone());
    }
    match (left, right) {
        (DataType::Null, other) | (other, DataType::Null) => Some(other.clone()),
        // Not every text is JSON.
        (left, right) if left.is_string() && right.is_string() => Some(DataType::Utf8View),
        (DataType::Date32, DataType::Timestamp(unit, zone)) | (DataType::Timestamp(unit, zone), DataType::Date32) => {
            Some(DataType::Timestamp(*unit, zone.clone()))
        }
        (DataType::Timestamp(one, zone), DataType::Timestamp(other, other_zone)) if zone == other_zone => {
            Some(DataType::Timestamp(finer(*one, *other), zone.clone()))
        }
        (DataType::List(one), DataType::List(other)) => Some(DataType::List(common_field(one, other, union)?)),
        (DataType::Struct(one), DataType::Struct(other)) => common_struct(one, other, union).map(DataType::Struct),
        (DataType::Map(one, sorted), DataType::Map(other, also)) => {
            Some(DataType::Map(common_entries(one, other, union)?, *sorted && *also))
        }
        _ => common_number(left, right),
    }
}

/// The fields of the first in their order, then those that only the second has.
fn common_struct(one: &Fields, other: &Fields, union: bool) -> Option<Fields> {
    let missing = |field: &Field| union.then(|| Arc::new(field.clone().with_nullable(true)));
    let shared = one.iter().map(|field| match other.find(field.name()) {
        Some((_, same)) => common_field(field, same, union),
        None => missing(field),
    });
    let added = other.iter().filter(|field| one.find(field.name()).is_none()).map(|field| missing(field));
    shared.chain(added).collect()
}

/// Keys and values, whatever the writers call them.
fn common_entries(one: &Field, other: &Field, union: bool) -> Option<FieldRef> {
    let (DataType::Struct(ours), DataType::Struct(others)) = (one.data_type(), other.data_type()) else { return None };
    let fields = ours.iter().zip(others).map(|(one, other)| common_field(one, other, union));
    let fields = DataType::Struct(fields.collect::<Option<Fields>>()?);
    Some(Arc::new(Field::new(one.name(), fields, one.is_nullable())))
}

fn common_field(one: &Field, other: &Field, union: bool) -> Option<FieldRef> {
    let data_type = common_type(one.data_type(), other.data_type(), union)?;
    Some(Arc::new(Field::new(one.name(), data_type, one.is_nullable() || other.is_nullable())))
}

fn finer(one: TimeUnit, other: TimeUnit) -> TimeUnit {
    let rank = |unit: TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    if rank(one) >= rank(other) { one } else { other }
}

fn common_number(left: &DataType, right: &DataType) -> Option<DataType> {
    if !left.is_numeric() || !right.is_numeric() {
        return None;
    }
    match (left, right) {
        (DataType::Float64, _) | (_, DataType::Float64) => return Some(DataType::Float64),
        (DataType::Float32, other) | (other, DataType::Float32) => {
            let exact = matches!(other, DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16);
            return Some(if exact { DataType::Float32 } else { DataType::Float64 });
        }
        _ => {}
    }
    if left.is_integer() && right.is_integer() {
        return Some(common_integer(left, right));
    }
    let (left_digits, left_scale) = decimal_parts(left)?;
    let (right_digits, right_scale) = decimal_parts(right)?;
    let scale = left_scale.max(right_scale);
    let precision = i16::from(scale) + left_digits.max(right_digits);
    let precision = u8::try_from(precision).ok()?;
    (precision <= GREATEST_PRECISION).then_some(DataType::Decimal128(precision.max(1), scale))
}

/// Digits before the point, and the scale.
fn decimal_parts(data_type: &DataType) -> Option<(i16, i8)> {
    match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => Some((i16::from(*precision) - i16::from(*scale), *scale)),
        DataType::Int8 | DataType::UInt8 => Some((3, 0)),
        DataType::Int16 | DataType::UInt16 => Some((5, 0)),
        DataType::Int32 | DataType::UInt32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        DataType::UInt64 => Some((20, 0)),
        _ => None,
    }
}

fn common_integer(left: &DataType, right: &DataType) -> DataType {
    let width = |data_type: &DataType| data_type.primitive_width().unwrap_or(8);
    let (signed, unsigned) = match (left.is_signed_integer(), right.is_signed_integer()) {
        (true, true) | (false, false) => {
            return if width(left) >= width(right) { left.clone() } else { right.clone() };
        }
        (true, false) => (width(left), width(right)),
        (false, true) => (width(right), width(left)),
    };
    match signed.max(unsigned * 2) {
        0..=2 => DataType::Int16,
        3..=4 => DataType::Int32,
        5..=8 => DataType::Int64,
        // HUGEINT.
        _ => DataType::Decimal128(GREATEST_PRECISION, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(fields: Vec<Field>) -> Schema {
        Schema::new(fields)
    }

    #[test]
    fn columns_of_one_name_are_told_apart() {
        let names = ["a", "a", "b", "a_1"].map(|name| Field::new(name, DataType::Date64, true));
        let schema = logical_schema(&schema(names.to_vec()));
        let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
        assert_eq!(names, ["a", "a_1", "b", "a_1_1"]);
        assert_eq!(schema.field(0).data_type(), &DataType::Date32);
        let time = Schema::new(vec![Field::new("t", DataType::Time32(TimeUnit::Millisecond), true)]);
        assert_eq!(logical_schema(&time).field(0).data_type(), &DataType::Time64(TimeUnit::Nanosecond));
    }

    #[test]
    fn structs_are_merged_by_the_names_of_their_fields() {
        let field = |name: &str, data_type: DataType| Field::new(name, data_type, false);
        let a = |fields: Vec<Field>| schema(vec![field("s", DataType::Struct(fields.into()))]);
        let one = a(vec![field("x", DataType::Int32), field("y", DataType::Utf8View)]);
        let other = a(vec![field("z", DataType::Int8), field("x", DataType::Int64)]);
        let files = || [("one", &one), ("other", &other)].into_iter();
        let merged = merge(files(), true, "read_parquet").unwrap();
        let expected = vec![
            field("x", DataType::Int64),
            Field::new("y", DataType::Utf8View, true),
            Field::new("z", DataType::Int8, true),
        ];
        assert_eq!(merged.field(0).data_type(), &DataType::Struct(expected.into()));
        assert_eq!(merge(files(), false, "read_parquet").unwrap_err().code(), Code::InvalidData);
    }
}

//! Types, errors, identifiers and what the engine is.

use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::{Array, ArrayRef, BooleanArray, StringViewArray};
use arrow::datatypes::DataType;
use std::sync::Arc;

use super::function::{Arguments, Bound, Function, Overload, cast_cost, function};
use super::typed::{Bool, Identifier, Moment, Text, Uuid, row0, row1, row2};
use crate::batch::logical::{parse_uuid, write_uuid};
use crate::error::{Code, Error, Result};
use crate::expr::types::sql_type_name;
use datafusion_common::Result as DataFusionResult;

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    let mut functions = identifiers();
    functions.extend([
        function(
            "#if_known",
            "value, other",
            "The value, or NULL where other is NULL",
            [Overload::generic(
                |types: &[DataType]| match types {
                    [value, _] => Some(Bound { arguments: types.to_vec(), result: value.clone() }),
                    _ => None,
                },
                |arguments| {
                    let unknown = arrow::compute::is_null(&arguments.array(1)?)?;
                    Ok(arrow::compute::nullif(&arguments.array(0)?, &unknown)?)
                },
            )],
        ),
        function(
            "can_cast_implicitly",
            "value, other",
            "Whether values of the one type are taken for values of the other without a cast",
            [Overload::generic(
                |types: &[DataType]| {
                    let takes = types.len() == 2;
                    takes.then(|| Bound { arguments: types.to_vec(), result: DataType::Boolean })
                },
                |arguments| {
                    let (from, to) = (arguments.array(0)?, arguments.array(1)?);
                    // Dearer are casts that a value may not survive.
                    let can = cast_cost(from.data_type(), to.data_type()).is_some_and(|cost| cost <= 20);
                    Ok(Arc::new(BooleanArray::from(vec![can; arguments.rows])))
                },
            )],
        ),
        function("typeof", "value", "The name of the value's type", [type_name(str::to_string)]),
        function("pg_typeof", "value", "The name of the value's type in small letters", [type_name(str::to_lowercase)]),
        function(
            "error",
            "message",
            "Ends the query with this message",
            [row1::<Text, _>(|message| -> Result<Option<String>> { Err(Error::new(Code::InvalidQuery, message)) })],
        )
        .volatile(),
        function(
            "#broken",
            "check, row",
            "Ends the query: the row does not satisfy the check",
            [row2::<Text, Text, _>(|check, row| -> Result<Option<bool>> {
                Err(Error::new(Code::InvalidData, format!("CHECK ({check}) does not hold for the row {row}")))
            })],
        )
        .volatile(),
        function(
            "assert_true",
            "condition[, message]",
            "NULL, or the end of the query where the condition does not hold",
            [row1::<Bool, _>(|holds| asserted(holds, "a condition does not hold")), row2::<Bool, Text, _>(asserted)],
        )
        .volatile(),
        function("version", "", "The version of floe", [row0(|| format!("v{}", env!("CARGO_PKG_VERSION")))]),
    ]);
    functions
}

fn identifiers() -> Vec<Function> {
    vec![
        function("uuid gen_random_uuid uuidv4", "", "A random identifier", [row0(|| uuid(fastrand::u128(..), 4))])
            .volatile(),
        function("uuidv7", "", "A random identifier that begins with the time", [row0(uuidv7)]).volatile(),
        function(
            "uuid_extract_version",
            "uuid",
            "The version of an identifier",
            [row1::<Uuid, _>(version), row1::<Text, _>(|text| known(text).map(version))],
        ),
        function(
            "uuid_extract_timestamp",
            "uuid",
            "The time that an identifier of version 7 begins with",
            [row1::<Uuid, _>(beginning), row1::<Text, _>(|text| known(text).and_then(beginning))],
        ),
    ]
}

fn type_name(written: fn(&str) -> String) -> Overload {
    let bind = |types: &[DataType]| {
        (types.len() == 1).then(|| Bound { arguments: types.to_vec(), result: DataType::Utf8View })
    };
    Overload::generic(bind, move |arguments: &Arguments| -> DataFusionResult<ArrayRef> {
        let data_type = arguments.array(0)?.data_type().clone();
        let name = written(&sql_type_name(&data_type));
        Ok(Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n(name, arguments.rows))))
    })
}

fn asserted(holds: bool, message: &str) -> Result<Option<bool>> {
    if holds { Ok(None) } else { Err(Error::new(Code::InvalidQuery, message)) }
}

/// The identifier of these bits but for its version and variant.
fn uuid(bits: u128, version: u128) -> Identifier {
    Identifier(bits & !(15 << 76) & !(3 << 62) | version << 76 | 2 << 62)
}

/// The identifier that a text is.
fn known(text: &str) -> Result<u128> {
    parse_uuid(text).ok_or_else(|| Error::new(Code::InvalidCast, format!("'{text}' cannot be read as a UUID")))
}

fn version(bits: u128) -> i32 {
    (bits >> 76 & 15) as i32
}

/// The time that an identifier begins with, where it is of version 7.
fn beginning(bits: u128) -> Result<Moment> {
    if version(bits) != 7 {
        let mut text = String::new();
        write_uuid(&mut text, &bits.to_be_bytes());
        return Err(Error::new(Code::InvalidQuery, format!("'{text}' is no identifier of version 7")));
    }
    // 48 bits of milliseconds.
    Ok(Moment((bits >> 80) as i64 * 1000))
}

fn uuidv7() -> Identifier {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    uuid(since << 80 | fastrand::u128(..) >> 48, 7)
}

//! Integers of Arrow's metadata that Arrow's own crates do not have: they are asked for before those would panic.

use arrow::ipc::{Field, Schema, Type};

/// Bits of the widest integers there are.
const WIDEST: i32 = 64;

/// The name of the first column that has, or holds, integers of more than 64 bits.
pub(in crate::scan) fn wide_integer(schema: Schema<'_>) -> Option<String> {
    let wide = schema.fields()?.iter().find(|field| has_wide_integer(*field))?;
    Some(wide.name().unwrap_or_default().to_string())
}

fn has_wide_integer(field: Field<'_>) -> bool {
    let is_wide = field.type_type() == Type::Int && field.type_as_int().is_some_and(|int| int.bitWidth() > WIDEST);
    is_wide || field.children().is_some_and(|children| children.iter().any(has_wide_integer))
}

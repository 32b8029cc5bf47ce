//! Values as JSON.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use datafusion_common::Result as DataFusionResult;

use crate::batch::logical::JSON;
use crate::batch::text::TextColumn;
use crate::error::{Code, Error, Result};
use crate::expr::functions::library::function::{Arguments, Bound, Function, Overload, function};
use crate::expr::json::{texts, write_value, written};

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    vec![
        function(
            "to_json array_to_json row_to_json json_quote",
            "value",
            "The value as JSON",
            [any(1, Some(1), to_json)],
        ),
        function("json_array", "values...", "A JSON array of the values", [any(0, None, json_array)]),
        function("json_object", "key, value...", "A JSON object of the keys and values", [any(0, None, json_object)]),
        function(
            "#json_entries",
            "keys, values",
            "A JSON object of a list of keys and one of values",
            [any(2, Some(2), json_entries)],
        ),
    ]
}

/// An overload of any arguments, so many of them.
fn any(least: usize, most: Option<usize>, run: fn(&Arguments) -> DataFusionResult<ArrayRef>) -> Overload {
    let bind = move |types: &[DataType]| {
        let fits = types.len() >= least && most.is_none_or(|most| types.len() <= most);
        fits.then(|| Bound { arguments: types.to_vec(), result: JSON })
    };
    Overload::generic(bind, run)
}

fn readers(arrays: &[ArrayRef]) -> Result<Vec<TextColumn<'_>>> {
    arrays.iter().map(|array| TextColumn::new(array.as_ref())).collect()
}

fn to_json(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    Ok(written(&arguments.array(0)?)?)
}

fn json_array(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let arrays = arguments.arrays()?;
    let readers = readers(&arrays)?;
    let objects = texts(arguments.rows, |row, out| {
        out.push('[');
        for (index, reader) in readers.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_value(reader, row, out)?;
        }
        out.push(']');
        Ok(true)
    });
    Ok(objects?)
}

fn json_object(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let arrays = arguments.arrays()?;
    if arrays.len() % 2 != 0 {
        return Err(Error::new(Code::InvalidQuery, "json_object takes keys and values in turn").into());
    }
    let readers = readers(&arrays)?;
    let objects = texts(arguments.rows, |row, out| {
        let mut object = Object::begin(out);
        for pair in readers.chunks_exact(2) {
            let [key, value] = pair else { continue };
            object.entry(key, row, value, row)?;
        }
        object.end();
        Ok(true)
    });
    Ok(objects?)
}

fn json_entries(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let (keys, values) = (arguments.array(0)?, arguments.array(1)?);
    let (Some(keys), Some(values)) = (keys.as_list_opt::<i32>(), values.as_list_opt::<i32>()) else {
        return datafusion_common::internal_err!("json_entries takes lists");
    };
    let (key_texts, value_texts) =
        (TextColumn::new(keys.values().as_ref())?, TextColumn::new(values.values().as_ref())?);
    let objects = texts(arguments.rows, |row, out| {
        if keys.is_null(row) || values.is_null(row) {
            return Ok(false);
        }
        let bounds = |offsets: &[i32]| -> Option<std::ops::Range<usize>> {
            Some(usize::try_from(*offsets.get(row)?).ok()?..usize::try_from(*offsets.get(row + 1)?).ok()?)
        };
        let (of_keys, of_values) = (bounds(keys.value_offsets()), bounds(values.value_offsets()));
        let mut object = Object::begin(out);
        for (key, value) in of_keys.into_iter().flatten().zip(of_values.into_iter().flatten()) {
            object.entry(&key_texts, key, &value_texts, value)?;
        }
        object.end();
        Ok(true)
    });
    Ok(objects?)
}

/// An object that is being written.
struct Object<'a> {
    out: &'a mut String,
    is_empty: bool,
}

impl<'a> Object<'a> {
    fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Object { out, is_empty: true }
    }

    /// A key, which is written as a string whatever it is, and its value.
    fn entry(&mut self, key: &TextColumn, key_row: usize, value: &TextColumn, row: usize) -> Result<()> {
        if key.is_null(key_row) {
            return Err(Error::new(Code::InvalidQuery, "a key of a JSON object is not NULL"));
        }
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(',');
        }
        let mut name = String::new();
        key.write_text(key_row, &mut name)?;
        self.out.push_str(&serde_json::Value::String(name).to_string());
        self.out.push(':');
        write_value(value, row, self.out)
    }

    fn end(self) {
        self.out.push('}');
    }
}

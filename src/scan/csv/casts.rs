//! Values that a cast of SQL reads: those of types without a parser here, and unusual spellings of declared types.
//!
//! Invariant: what is read is what `CAST(text AS type)` gives.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, StringViewArray, StringViewBuilder, new_empty_array};
use arrow::compute::concat;
use arrow::datatypes::DataType;

use crate::error::Result;
use crate::expr::try_cast_texts;
use crate::scan::csv::columns::Values;
use crate::scan::csv::tokenize::Field;

/// A column of a type that has no parser here.
pub(super) struct Casts {
    data_type: DataType,
    arrays: Vec<ArrayRef>,
}

impl Casts {
    /// An empty column.
    pub(super) fn new(data_type: &DataType) -> Self {
        Casts { data_type: data_type.clone(), arrays: Vec::new() }
    }

    /// Appends the values of fields; gives back the first that does not fit.
    pub(super) fn append_fields(
        &mut self,
        fields: impl Iterator<Item = Field>,
        values: &Values,
    ) -> std::result::Result<(), Field> {
        let (mut texts, mut seen) = (StringViewBuilder::new(), Vec::new());
        for field in fields {
            match values.plain(field) {
                None => texts.append_null(),
                Some(_) => {
                    let text = values.text(field, false).ok_or(field)?;
                    let plain = values.dialect.unescaped(text.as_bytes(), field.escaped());
                    texts.append_value(std::str::from_utf8(&plain).map_err(|_| field)?);
                }
            }
            seen.push(field);
        }
        let texts: ArrayRef = Arc::new(texts.finish());
        let fits = |array: &ArrayRef, texts: &ArrayRef| array.null_count() == texts.null_count();
        let array = try_cast_texts(&texts, &self.data_type).ok().filter(|array| fits(array, &texts));
        let Some(array) = array else {
            let is_misfit = |row: &usize| {
                let text = texts.slice(*row, 1);
                !try_cast_texts(&text, &self.data_type).is_ok_and(|array| fits(&array, &text))
            };
            let misfit = (0..texts.len()).find(is_misfit).and_then(|row| seen.get(row));
            return misfit.map_or(Ok(()), |field| Err(*field));
        };
        self.arrays.push(array);
        Ok(())
    }

    /// Appends what another column of this type has given.
    pub(super) fn append_array(&mut self, array: &ArrayRef) {
        self.arrays.push(array.clone());
    }

    /// Bytes of the values.
    pub(super) fn bytes(&self) -> usize {
        self.arrays.iter().map(|array| array.get_array_memory_size()).sum()
    }

    /// The column, and nothing left.
    pub(super) fn finish(&mut self) -> Result<ArrayRef> {
        let arrays = std::mem::take(&mut self.arrays);
        match arrays.as_slice() {
            [] => Ok(new_empty_array(&self.data_type)),
            [one] => Ok(one.clone()),
            several => Ok(concat(&several.iter().map(AsRef::as_ref).collect::<Vec<_>>())?),
        }
    }
}

/// One text as a value of `data_type`.
pub(super) fn cast_value<T: ArrowPrimitiveType>(text: &[u8], data_type: &DataType) -> Option<T::Native> {
    let array = cast_one(text, data_type)?;
    let values = array.as_primitive_opt::<T>()?;
    values.is_valid(0).then(|| values.value(0))
}

/// One text as a BOOLEAN.
pub(super) fn cast_boolean(text: &[u8]) -> Option<bool> {
    let array = cast_one(text, &DataType::Boolean)?;
    let values = array.as_boolean_opt()?;
    values.is_valid(0).then(|| values.value(0))
}

/// Whether the text is a value of `data_type`.
pub(super) fn is_value(text: &[u8], data_type: &DataType) -> bool {
    cast_one(text, data_type).is_some_and(|array| array.is_valid(0))
}

fn cast_one(text: &[u8], data_type: &DataType) -> Option<ArrayRef> {
    let text: ArrayRef = Arc::new(StringViewArray::from_iter_values([std::str::from_utf8(text).ok()?]));
    try_cast_texts(&text, data_type).ok()
}

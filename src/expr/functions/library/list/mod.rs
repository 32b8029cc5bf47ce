//! Lists. Places count from 1, and from the end where they are negative. A fixed array is taken as a list.

mod aggregate;
mod bins;
mod element;
pub(super) mod lambda;
mod ordered;
mod sort;
pub(super) mod statistics;
mod vector;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field};
use datafusion_common::{Result as DataFusionResult, internal_err};

use super::function::{Arguments, Bound, Function, Overload, item_type};
use super::typed::list_type;
use crate::error::{Code, Error};

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    let mut functions = element::functions();
    functions.extend(sort::functions());
    functions.extend(ordered::functions());
    functions.extend(aggregate::functions());
    functions.extend(statistics::functions());
    functions.extend(bins::functions());
    functions.extend(vector::functions());
    functions
}

/// An overload over a list of any type and arguments of certain types.
fn of_list(
    others: Vec<DataType>,
    result: impl Fn(&DataType) -> DataType + Send + Sync + 'static,
    run: impl Fn(&Arguments) -> DataFusionResult<ArrayRef> + Send + Sync + 'static,
) -> Overload {
    let bind = move |types: &[DataType]| {
        let (list, rest) = types.split_first()?;
        if rest.len() != others.len() {
            return None;
        }
        let item = if *list == DataType::Null { &DataType::Null } else { item_type(list)? };
        let arguments = std::iter::once(list_type(item.clone())).chain(others.iter().cloned()).collect();
        Some(Bound { arguments, result: result(item) })
    };
    Overload::generic(bind, run)
}

/// A column of lists with their values.
struct Lists {
    array: ArrayRef,
}

impl Lists {
    fn of(arguments: &Arguments, index: usize) -> DataFusionResult<Self> {
        let array = arguments.array(index)?;
        if array.as_list_opt::<i32>().is_none() {
            return internal_err!("argument {index} is {} and no list", array.data_type());
        }
        Ok(Lists { array })
    }

    fn list(&self) -> &ListArray {
        self.array.as_list::<i32>()
    }

    fn values(&self) -> &ArrayRef {
        self.list().values()
    }

    /// The list of a row as a range of the values; `None` for NULL.
    fn range(&self, row: usize) -> Option<std::ops::Range<usize>> {
        let list = self.list();
        let offsets = list.value_offsets();
        let bound = |row: usize| offsets.get(row).and_then(|offset| usize::try_from(*offset).ok());
        if list.is_null(row) { None } else { Some(bound(row)?..bound(row + 1)?) }
    }
}

/// A place that is counted from 1, or from the end, as an index.
fn index_of(place: i64, length: usize) -> Option<usize> {
    let size = usize::try_from(place.unsigned_abs()).ok()?;
    let index = if place < 0 { length.checked_sub(size)? } else { size.checked_sub(1)? };
    (index < length).then_some(index)
}

/// Lists of values that are taken from others: row by row the indexes into `values`, `None` for NULL.
struct Picker {
    indexes: Vec<Option<u32>>,
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

impl Picker {
    fn new(rows: usize) -> Self {
        Picker { indexes: Vec::new(), lengths: Vec::with_capacity(rows), valid: Vec::with_capacity(rows) }
    }

    /// Adds a row.
    fn push(&mut self, row: Option<impl IntoIterator<Item = Option<usize>>>) -> DataFusionResult<()> {
        let before = self.indexes.len();
        self.valid.push(row.is_some());
        for index in row.into_iter().flatten() {
            let index = index.map(u32::try_from).transpose();
            self.indexes.push(index.map_err(|_| too_long())?);
        }
        self.lengths.push(self.indexes.len() - before);
        Ok(())
    }

    fn finish(self, values: &ArrayRef) -> DataFusionResult<ArrayRef> {
        let items = take(values, &UInt32Array::from(self.indexes), None)?;
        lists_of(items, self.lengths, &self.valid)
    }
}

/// Lists of these lengths.
fn lists_of(items: ArrayRef, lengths: Vec<usize>, valid: &[bool]) -> DataFusionResult<ArrayRef> {
    if i32::try_from(items.len()).is_err() {
        return Err(too_long().into());
    }
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    let nulls = NullBuffer::from(valid.to_vec());
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), items, Some(nulls))?))
}

fn too_long() -> Error {
    Error::new(Code::OutOfMemory, "lists of more than 2^31 values in one batch")
}

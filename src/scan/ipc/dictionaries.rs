//! What dictionary-encoded columns point into.
//!
//! Invariant: a batch sees the dictionaries that are in force for it, also where later ones replace or extend them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::reader::read_dictionary;

use super::body;
use super::layout::{Layout, Place, message};
use crate::error::{Code, Error, Result};
use crate::io::InputFile;
use crate::memory::{Budget, Reservation};

/// Dictionaries by their number in the file.
pub(super) type ById = HashMap<i64, ArrayRef>;

/// The dictionaries of one file, read when first asked for and shared by its splits.
#[derive(Debug, Default)]
pub(super) struct Dictionaries(Mutex<Option<Arc<Loaded>>>);

/// The first so many dictionaries of a file.
#[derive(Debug)]
pub(super) struct Loaded {
    count: usize,
    pub(super) arrays: ById,
    _reservation: Reservation,
}

/// Whether any of the columns points into a dictionary.
pub(super) fn are_needed(schema: &Schema, columns: &[usize]) -> bool {
    columns.iter().filter_map(|column| schema.fields().get(*column)).any(|field| has_dictionary(field.data_type()))
}

fn has_dictionary(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(..) => true,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => has_dictionary(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_dictionary(field.data_type())),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| has_dictionary(field.data_type())),
        DataType::RunEndEncoded(_, values) => has_dictionary(values.data_type()),
        _ => false,
    }
}

impl Dictionaries {
    /// The first `count` dictionaries of the file.
    pub(super) fn first(
        &self,
        count: usize,
        file: &InputFile,
        layout: &Layout,
        budget: &Budget,
    ) -> Result<Arc<Loaded>> {
        // Whoever comes second waits, instead of reading the same.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.as_ref().filter(|loaded| loaded.count <= count);
        if let Some(loaded) = before.filter(|loaded| loaded.count == count) {
            return Ok(loaded.clone());
        }
        let (first, mut arrays) = before.map_or((0, ById::new()), |loaded| (loaded.count, loaded.arrays.clone()));
        let mut reservation = budget.reservation("Arrow scan");
        for place in layout.dictionaries.get(first..count).unwrap_or_default() {
            read(file, layout, place, &mut arrays, &mut reservation)?;
        }
        let held = arrays.values().map(|array| array.get_array_memory_size()).sum();
        if !reservation.try_resize(held) {
            return Err(Error::new(Code::OutOfMemory, "no room for the dictionaries of an Arrow file"));
        }
        let loaded = Arc::new(Loaded { count, arrays, _reservation: reservation });
        *known = Some(loaded.clone());
        Ok(loaded)
    }
}

fn read(
    file: &InputFile,
    layout: &Layout,
    place: &Place,
    arrays: &mut ById,
    reservation: &mut Reservation,
) -> Result<()> {
    let header = file.read_bytes(place.start, usize::try_from(place.header).unwrap_or(usize::MAX))?;
    let mut header = header.to_vec();
    let value_type = {
        let (_, message) = message(&header)?;
        let batch = message.header_as_dictionary_batch();
        let id = batch.ok_or_else(|| Error::new(Code::InvalidData, "a message is no dictionary"))?.id();
        #[allow(deprecated)]
        let field = layout.schema.fields_with_dict_id(id).first().map(|field| field.data_type().clone());
        match field {
            Some(DataType::Dictionary(_, values)) => *values,
            _ => return Err(Error::new(Code::InvalidData, format!("no column has the dictionary {id}"))),
        }
    };
    let values = Schema::new(vec![Field::new("", value_type, true)]);
    let body = body::fetch(file, place, (&values, &[0]), layout.version, &mut header, reservation)?;
    let (_, message) = message(&header)?;
    let batch = message.header_as_dictionary_batch();
    let batch = batch.ok_or_else(|| Error::new(Code::InvalidData, "a message is no dictionary"))?;
    read_dictionary(&body, batch, &layout.schema, arrays, &layout.version)
        .map_err(|error| Error::new(Code::InvalidData, format!("a dictionary is damaged: {error}")))
}

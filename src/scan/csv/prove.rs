//! The types of columns after all of their values have been looked at.

use arrow::datatypes::DataType;

use crate::cancel::CancelToken;
use crate::error::Result;
use crate::scan::ScanSpec;
use crate::scan::csv::dates::DateForms;
use crate::scan::csv::head::Head;
use crate::scan::csv::sample::{places_of, sampled};
use crate::scan::csv::settings::Settings;
use crate::scan::infer::Kind;
use rayon::prelude::*;

/// What `columns` (indexes into the spec's schema) are: at least as wide as the spec has them.
///
/// # Errors
/// What reading finds.
pub fn prove(spec: &ScanSpec, columns: &[usize], cancel: &CancelToken) -> Result<Vec<(String, DataType)>> {
    let mut settings = Settings::new(&spec.options)?;
    settings.sample_size = Some(-1);
    let asked: Vec<_> = columns.iter().filter_map(|&column| spec.schema.fields().get(column)).collect();
    let is_asked = |name: &String| asked.iter().any(|field| field.name() == name);
    // What has a type is not looked at.
    let types: Vec<Option<DataType>> =
        settings.file_columns.iter().map(|name| if is_asked(name) { None } else { Some(DataType::Utf8View) }).collect();
    let files: Vec<_> = spec.files.iter().collect();
    let heads: Vec<Head> = files.par_iter().map(|file| Head::open(&file.path, &settings)).collect::<Result<_>>()?;
    let first = spec.files.first().map_or("", |file| file.path.as_str());
    let places = places_of(&files, &heads, first, &settings)?;
    let of_all = sampled(&files, &heads, &places, &types, &settings, Some(cancel))?;
    let proven = asked.into_iter().map(|field| {
        let place = settings.file_columns.iter().position(|name| name == field.name());
        let seen = place.and_then(|place| of_all.kinds.get(place)).copied().unwrap_or(Kind::Null);
        let dates = place.and_then(|place| of_all.dates.get(place)).copied().unwrap_or(DateForms::NONE);
        if settings.form_of(field.name()).is_some_and(|form| dates.contains(form)) {
            return (field.name().clone(), field.data_type().clone());
        }
        let kind = settings.forms.join(kind_of(field.data_type()), seen);
        (field.name().clone(), settings.forms.settle(kind).data_type())
    });
    Ok(proven.collect())
}

/// The kind that has this type.
fn kind_of(data_type: &DataType) -> Kind {
    match data_type {
        DataType::Boolean => Kind::Boolean,
        DataType::Int64 => Kind::BigInt,
        DataType::Decimal128(38, 0) => Kind::Huge,
        DataType::Float64 => Kind::Double,
        DataType::Date32 => Kind::Date,
        DataType::Time64(_) => Kind::Time,
        DataType::Timestamp(..) => Kind::Timestamp,
        _ => Kind::Text,
    }
}

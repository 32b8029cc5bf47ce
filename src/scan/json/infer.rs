//! Types from samples: all of what is small, else the start, the middle and the end of every file.
//!
//! Invariant: every file is looked at, and the answer does not depend on the number of threads.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use rayon::prelude::*;
use serde::de::DeserializeSeed;

use crate::cancel::CancelToken;
use crate::error::Result;
use crate::expr::parsed_beyond_range;
use crate::scan::format::Inferred;
use crate::scan::json::VALUE_COLUMN;
use crate::scan::json::fault::{encoding_error, placed, record_error};
use crate::scan::json::input::Portion;
use crate::scan::json::records::{Broken, Record, Records};
use crate::scan::json::settings::{Layout, Sample, Settings};
use crate::scan::json::shape::{Keys, Limits, RowShape, ValueShape};
use crate::scan::prove::{MORE_COLUMNS, UNPROVEN};
use crate::scan::spec::{FileEntry, OptionValue, Options, ScanSpec};

/// Bytes that are looked at in all files together.
const SAMPLE_BYTES: u64 = 64 << 20;
/// Bytes that are looked at in each file at least.
const LEAST_FILE_BYTES: u64 = 256 << 10;
/// Bytes that are inflated of all compressed files together, and of one, when not all are.
const ALL_INFLATED_BYTES: u64 = 16 << 20;
const INFLATED_BYTES: u64 = 4 << 20;
/// Compressed files that are together smaller are inflated whole.
const SMALL_COMPRESSED_BYTES: u64 = 8 << 20;
/// Bytes that one thread looks at in one go.
const PIECE_BYTES: u64 = 4 << 20;

/// Infers the schema common to `files`.
pub(super) fn infer(files: &[FileEntry], options: &Options) -> Result<Inferred> {
    let settings = Settings::new(options)?;
    let layouts = files.par_iter().map(|file| settings.layout(&file.path)).collect::<Result<Vec<_>>>()?;
    let mut options = options.clone();
    if let Some(name) = common_layout(&layouts) {
        options.insert("format".to_owned(), OptionValue::Text(name.to_owned()));
    }
    let schema = match &settings.columns {
        Some(schema) => schema.clone(),
        None => {
            let (schema, is_whole) = sampled(files, &layouts, &settings, None)?;
            // A text takes any value.
            let rests = |field: &&Arc<Field>| !is_whole && *field.data_type() != DataType::Utf8View;
            let names = schema.fields().iter().filter(rests).map(|field| OptionValue::Text(field.name().clone()));
            options.insert(UNPROVEN.to_owned(), OptionValue::List(names.collect()));
            if !is_whole {
                options.insert(MORE_COLUMNS.to_owned(), OptionValue::Bool(true));
            }
            schema
        }
    };
    Ok(Inferred { schema, rows: None, options })
}

/// What the columns `columns` (indexes into the spec's schema) are after looking at all values, and those that the spec
/// does not have.
///
/// # Errors
/// What reading finds, `CANCELLED`.
pub(super) fn prove(spec: &ScanSpec, columns: &[usize], cancel: &CancelToken) -> Result<Vec<(String, DataType)>> {
    let mut settings = Settings::new(&spec.options)?;
    settings.sample = Sample::All;
    let layouts = spec.files.par_iter().map(|file| settings.layout(&file.path)).collect::<Result<Vec<_>>>()?;
    let (schema, _) = sampled(&spec.files, &layouts, &settings, Some(cancel))?;
    let proven = columns.iter().filter_map(|&column| spec.schema.fields().get(column)).map(|field| {
        // What is not there any more is what it was: reading says that the file changed.
        let found = schema.field_with_name(field.name()).unwrap_or(field);
        (field.name().clone(), found.data_type().clone())
    });
    let added = schema.fields().iter().filter(|field| spec.schema.field_with_name(field.name()).is_err());
    let added = added.map(|field| (field.name().clone(), field.data_type().clone()));
    Ok(proven.chain(added).collect())
}

fn common_layout(layouts: &[Option<Layout>]) -> Option<&'static str> {
    let first = layouts.first().copied().flatten()?;
    if layouts.iter().any(|layout| *layout != Some(first)) {
        return None;
    }
    Some(match first {
        Layout::Lines => "newline_delimited",
        Layout::Array => "array",
        Layout::Values => "unstructured",
    })
}

/// The schema, and whether it is that of everything.
fn sampled(
    files: &[FileEntry],
    layouts: &[Option<Layout>],
    settings: &Settings,
    cancel: Option<&CancelToken>,
) -> Result<(SchemaRef, bool)> {
    let (pieces, is_whole) = pieces(files, layouts, settings);
    let keys = |piece: &Piece| {
        cancel.map_or(Ok(()), CancelToken::check)?;
        piece.keys(settings)
    };
    let shapes = pieces.par_iter().map(keys).collect::<Result<Vec<_>>>()?;
    let mut keys = Keys::default();
    for shape in shapes {
        keys.join(shape);
    }
    Ok((Arc::new(Schema::new(keys.fields())), is_whole))
}

/// A sample: a portion, or so much of its start.
#[derive(Debug)]
struct Piece {
    portion: Portion,
    bytes: u64,
    rows: usize,
}

impl Piece {
    fn keys(&self, settings: &Settings) -> Result<Keys> {
        let failed = |Broken { error, lines }| placed(error, &self.portion, lines);
        let mut records = Records::open(&self.portion, settings.maximum_object_bytes, None)?;
        let mut keys = Keys::default();
        let mut rows = 0;
        while rows < self.rows && records.offset() < self.bytes {
            let Some(record) = records.next().map_err(failed)? else { break };
            rows += 1;
            match look_at(&record, &mut keys, settings) {
                Err(_) if settings.ignore_errors => {}
                Err((error, line)) => return Err(placed(error, &self.portion, Some(line))),
                Ok(()) => {}
            }
        }
        Ok(keys)
    }
}

fn look_at(record: &Record, keys: &mut Keys, settings: &Settings) -> Result<(), (crate::error::Error, u64)> {
    let text = std::str::from_utf8(record.bytes).map_err(|error| encoding_error(record, error))?;
    let limits = Limits { depth: settings.maximum_depth.saturating_sub(1), forms: &settings.forms };
    let look = |text: &str| {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let only = if settings.records { None } else { keys.only(VALUE_COLUMN) };
        match only {
            Some(shape) => ValueShape { shape, limits }.deserialize(&mut deserializer)?,
            None => RowShape { keys: &mut *keys, limits }.deserialize(&mut deserializer)?,
        }
        deserializer.end()
    };
    parsed_beyond_range(text, look).map_err(|error| record_error(record, &error))
}

/// What is looked at, and whether that is everything.
fn pieces(files: &[FileEntry], layouts: &[Option<Layout>], settings: &Settings) -> (Vec<Piece>, bool) {
    let all: u64 = files.iter().map(|file| file.size).sum();
    let is_stream = |file: &FileEntry| settings.is_stream(&file.path);
    let streamed: u64 = files.iter().filter(|file| is_stream(file)).map(|file| file.size).sum();
    let share = match settings.sample {
        Sample::Bounded if all > SAMPLE_BYTES => {
            let count = u64::try_from(files.len().max(1)).unwrap_or(u64::MAX);
            (SAMPLE_BYTES / count).max(LEAST_FILE_BYTES)
        }
        _ => u64::MAX,
    };
    let inflated = match settings.sample {
        Sample::Bounded if streamed > SMALL_COMPRESSED_BYTES => {
            let count = files.iter().filter(|file| is_stream(file)).count().max(1);
            let each = ALL_INFLATED_BYTES / u64::try_from(count).unwrap_or(u64::MAX);
            share.min(each.clamp(LEAST_FILE_BYTES, INFLATED_BYTES))
        }
        _ => u64::MAX,
    };
    let rows = match settings.sample {
        Sample::Rows(rows) => rows,
        _ => usize::MAX,
    };
    let (mut pieces, mut is_whole) = (Vec::new(), rows == usize::MAX);
    for (file, layout) in files.iter().zip(layouts) {
        let compression = settings.compression(&file.path);
        let portion = |range| Portion { path: file.path.clone(), compression, layout: *layout, range };
        if is_stream(file) || *layout != Some(Layout::Lines) || rows < usize::MAX {
            let (bytes, has) = if is_stream(file) { (inflated, u64::MAX) } else { (share, file.size) };
            is_whole &= has <= bytes;
            pieces.push(Piece { portion: portion(None), bytes, rows });
            continue;
        }
        is_whole &= file.size <= share;
        for (start, end) in ranges(file.size, share) {
            let mut at = start;
            while at < end {
                let next = at.saturating_add(PIECE_BYTES).min(end);
                pieces.push(Piece { portion: portion(Some(at..next)), bytes: u64::MAX, rows });
                at = next;
            }
        }
    }
    (pieces, is_whole)
}

/// All of a file of `size` bytes, or its start, middle and end.
fn ranges(size: u64, share: u64) -> Vec<(u64, u64)> {
    if size <= share {
        return vec![(0, size)];
    }
    let third = (share / 3).max(1);
    let middle = (size / 2).saturating_sub(third / 2);
    vec![(0, third), (middle, middle + third), (size - third, size)]
}

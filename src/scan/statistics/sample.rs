//! Statistics from samples: the first rows of a few splits, spread over a table.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::kernels::{aggregate, cast::cast};
use arrow::datatypes::{DataType, Float64Type};
use arrow::record_batch::RecordBatch;
use datafusion_common::ScalarValue;

use crate::batch::Source;
use crate::batch::hash::hash_rows;
use crate::error::Result;
use crate::io::{Compression, open_stream};
use crate::scan::statistics::{ColumnStatistics, Piece, TableStatistics, distinct_values, number, step};
use crate::scan::{self, FileEntry, ScanRequest, ScanSpec};
use crate::store::QueryContext;

/// Rows of one split that are looked at.
const ROWS: usize = 4096;
/// Splits that are looked at.
const SPLITS: usize = 3;
/// Bytes at the start of a file that say how long its records are.
const RECORD_BYTES: u64 = 64 << 10;
/// How many bytes a compressed byte stands for.
const INFLATION: f64 = 5.0;

/// What samples of the files show.
pub fn of_files(spec: &Arc<ScanSpec>, columns: &[usize], context: &Arc<QueryContext>) -> TableStatistics {
    // What is looked at twice is written down once.
    let context = &Arc::new(QueryContext { side: None, ..QueryContext::clone(context) });
    let rows = spec.rows.map(|rows| rows as f64).or_else(|| estimated_rows(spec));
    let request = ScanRequest {
        spec: spec.clone(),
        projection: columns.to_vec(),
        filters: Vec::new(),
        limit: None,
        runtime_filters: Vec::new(),
        parts: Default::default(),
    };
    // Splits that share a stream would inflate all of it for a look at its end.
    let is_compressed = |file: &FileEntry| file.path.compression() != Compression::None;
    let may_share = spec.options.contains_key("compression") || spec.files.iter().any(is_compressed);
    let threads = if may_share { 1 } else { context.threads };
    let context = Arc::new(QueryContext { threads, ..QueryContext::clone(context) });
    let comes_once = spec.files.iter().any(|file| file.path.comes_once());
    let samples = match columns.is_empty() || comes_once {
        true => None,
        false => scan::source(request, &context).and_then(|source| samples(source.as_ref())).ok(),
    };
    from_samples(rows, &samples.unwrap_or_default(), columns.len())
}

/// What samples of the columns `columns` of a source show.
pub fn of_source(source: &dyn Source, columns: &[usize]) -> TableStatistics {
    let rows = source.statistics().rows.map(|rows| rows as f64);
    let samples = if columns.is_empty() { Vec::new() } else { samples(source).unwrap_or_default() };
    let projected = samples.iter().map(|batch| batch.project(columns)).collect::<std::result::Result<Vec<_>, _>>();
    from_samples(rows, &projected.unwrap_or_default(), columns.len())
}

fn from_samples(rows: Option<f64>, samples: &[RecordBatch], columns: usize) -> TableStatistics {
    let seen: usize = samples.iter().map(RecordBatch::num_rows).sum();
    let all = rows.unwrap_or(seen as f64);
    let of_column = |index: usize| {
        let arrays: Vec<&ArrayRef> = samples.iter().filter_map(|batch| batch.columns().get(index)).collect();
        if seen == 0 { ColumnStatistics::default() } else { column(&arrays, all, seen as f64) }
    };
    TableStatistics { rows, columns: (0..columns).map(of_column).collect() }
}

/// The statistics of a column of `rows` rows of which `arrays` are parts with `seen` rows.
fn column(arrays: &[&ArrayRef], rows: f64, seen: f64) -> ColumnStatistics {
    let pieces: Vec<Piece> = arrays.iter().filter_map(|array| piece(array)).collect();
    let nulls = arrays.iter().map(|array| array.null_count()).sum::<usize>() as f64 / seen;
    let range = pieces.iter().filter_map(|piece| piece.range).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let step = arrays.first().map_or(0.0, |array| step(array.data_type()));
    // A sample's range bounds nothing: only where it saw everything may the step count the values.
    let step = if seen >= rows { step } else { 0.0 };
    ColumnStatistics {
        range,
        nulls: Some(nulls),
        distinct: distinct_values(&pieces, rows * (1.0 - nulls), range, step),
    }
}

/// One part of a column as a piece; `None` when its values cannot be hashed.
pub fn piece(array: &ArrayRef) -> Option<Piece> {
    let mut hashes = Vec::new();
    hash_rows(std::slice::from_ref(array), array.len(), &mut hashes).ok()?;
    let valid = (0..array.len()).filter(|row| array.is_valid(*row)).filter_map(|row| hashes.get(row));
    let distinct = valid.collect::<HashSet<_>>().len();
    Some(Piece { rows: (array.len() - array.null_count()) as f64, distinct: distinct as f64, range: range(array) })
}

/// The smallest and the largest value, where the type has an order of numbers.
fn range(array: &ArrayRef) -> Option<(f64, f64)> {
    let least = ScalarValue::try_new_null(array.data_type()).ok()?;
    // Only types that `number` knows.
    let known = matches!(
        array.data_type(),
        DataType::Boolean | DataType::Date32 | DataType::Timestamp(..) | DataType::Decimal128(..)
    ) || array.data_type().is_numeric();
    if !known || !least.is_null() {
        return None;
    }
    if array.data_type().is_floating() {
        let doubles = cast(array, &DataType::Float64).ok()?;
        let doubles = arrow::array::AsArray::as_primitive::<Float64Type>(doubles.as_ref());
        return Some((aggregate::min(doubles)?, aggregate::max(doubles)?)).filter(|(_, high)| !high.is_nan());
    }
    let values = (0..array.len()).filter(|row| array.is_valid(*row));
    let numbers = values.filter_map(|row| number(&ScalarValue::try_from_array(array, row).ok()?));
    numbers.fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((f64::min(low, value), f64::max(high, value)))
    })
}

/// The first rows of the first, the middle and the last split.
fn samples(source: &dyn Source) -> Result<Vec<RecordBatch>> {
    let count = source.split_count();
    let mut indexes: Vec<usize> = (0..SPLITS).map(|part| part * count.saturating_sub(1) / (SPLITS - 1)).collect();
    indexes.dedup();
    let mut samples = Vec::new();
    for index in indexes.into_iter().take(count) {
        let mut split = source.open(index)?;
        let (mut batches, mut rows) = (Vec::new(), 0);
        while rows < ROWS {
            let Some(batch) = split.next()? else { break };
            let batch = batch.slice(0, batch.num_rows().min(ROWS - rows));
            rows += batch.num_rows();
            batches.push(batch);
        }
        if let Some(first) = batches.first() {
            samples.push(arrow::compute::concat_batches(&first.schema(), &batches)?);
        }
    }
    Ok(samples)
}

/// Rows in files of lines: their bytes by the length of the lines at the start of the first file with any.
fn estimated_rows(spec: &ScanSpec) -> Option<f64> {
    let file = spec.files.iter().find(|file| file.size > 0)?;
    let mut head = Vec::new();
    open_stream(&file.path, file.path.compression()).ok()?.take(RECORD_BYTES).read_to_end(&mut head).ok()?;
    let lines = head.iter().filter(|byte| **byte == b'\n').count().max(1);
    let inflated = |file: &FileEntry| match file.path.compression() {
        Compression::None => file.size as f64,
        _ => file.size as f64 * INFLATION,
    };
    let bytes: f64 = spec.files.iter().map(inflated).sum();
    let whole = (head.len() as u64) < RECORD_BYTES && spec.files.len() == 1;
    Some(if whole { lines as f64 } else { bytes / (head.len() as f64 / lines as f64) })
}

//! A series of integers with a fixed step, as a source: `range` and `generate_series` in FROM.

use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::batch::{Source, Split, Statistics};
use crate::error::Result;

/// Fewest numbers of a split, and most splits of a series.
const ROWS_PER_SPLIT: u64 = 1 << 20;
const MOST_SPLITS: u64 = 1 << 12;

/// `count` integers from `start` on, each `step` from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Series {
    start: i64,
    step: i64,
    count: u64,
}

impl Series {
    /// From `start` to `stop`, which is a number of the series only if `inclusive`. `step` is not zero.
    pub fn new(start: i64, stop: i64, step: i64, inclusive: bool) -> Self {
        let (distance, step_wide) = (i128::from(stop) - i128::from(start), i128::from(step));
        let count = match step_wide.signum() {
            0 => 0,
            sign => {
                let (distance, width) = (distance * sign, step_wide * sign);
                match (distance < 0, inclusive) {
                    (true, _) => 0,
                    (false, true) => distance / width + 1,
                    (false, false) => (distance + width - 1) / width,
                }
            }
        };
        Series { start, step, count: u64::try_from(count).unwrap_or(u64::MAX) }
    }

    /// No numbers.
    pub fn empty() -> Self {
        Series { start: 0, step: 1, count: 0 }
    }

    /// How many numbers it has.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The first and the last number; `None` of none.
    pub fn ends(&self) -> Option<(i64, i64)> {
        self.count.checked_sub(1).map(|last| (self.start, self.number(last)))
    }

    fn number(&self, index: u64) -> i64 {
        // Within the series this is between start and stop, so it fits.
        self.start.wrapping_add(self.step.wrapping_mul(index as i64))
    }
}

/// The numbers of a series in one column.
#[derive(Debug)]
pub struct SeriesSource {
    series: Series,
    schema: SchemaRef,
    batch_size: u64,
    rows_per_split: u64,
}

impl SeriesSource {
    /// A source of `series` in batches of `batch_size` rows; `schema` has one BIGINT column.
    pub fn new(series: Series, schema: SchemaRef, batch_size: usize) -> Self {
        let rows_per_split = (series.count / MOST_SPLITS).max(ROWS_PER_SPLIT);
        SeriesSource { series, schema, batch_size: batch_size.max(1) as u64, rows_per_split }
    }
}

impl Source for SeriesSource {
    fn describe(&self) -> String {
        format!("series ({} rows)", self.series.count)
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn split_count(&self) -> usize {
        usize::try_from(self.series.count.div_ceil(self.rows_per_split)).unwrap_or(usize::MAX)
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let next = (index as u64).saturating_mul(self.rows_per_split).min(self.series.count);
        let end = next.saturating_add(self.rows_per_split).min(self.series.count);
        Ok(Box::new(SeriesSplit {
            series: self.series,
            schema: self.schema.clone(),
            batch_size: self.batch_size,
            next,
            end,
        }))
    }

    fn statistics(&self) -> Statistics {
        Statistics { rows: Some(self.series.count), bytes: self.series.count.checked_mul(8) }
    }
}

struct SeriesSplit {
    series: Series,
    schema: SchemaRef,
    batch_size: u64,
    next: u64,
    end: u64,
}

impl Split for SeriesSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.next >= self.end {
            return Ok(None);
        }
        let until = self.next.saturating_add(self.batch_size).min(self.end);
        let numbers = Int64Array::from_iter_values((self.next..until).map(|index| self.series.number(index)));
        self.next = until;
        Ok(Some(RecordBatch::try_new(self.schema.clone(), vec![Arc::new(numbers)])?))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};

    use super::*;

    fn numbers(series: Series) -> Vec<i64> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let source = SeriesSource::new(series, schema, 3);
        let mut numbers = Vec::new();
        for index in 0..source.split_count() {
            let mut split = source.open(index).expect("opens");
            while let Some(batch) = split.next().expect("reads") {
                numbers.extend(batch.column(0).as_primitive::<Int64Type>().values());
            }
        }
        numbers
    }

    #[test]
    fn a_series_ends_before_or_at_its_stop() {
        assert_eq!(numbers(Series::new(0, 5, 2, false)), [0, 2, 4]);
        assert_eq!(numbers(Series::new(0, 4, 2, false)), [0, 2]);
        assert_eq!(numbers(Series::new(0, 4, 2, true)), [0, 2, 4]);
        assert_eq!(numbers(Series::new(5, 1, -2, false)), [5, 3]);
        assert_eq!(numbers(Series::new(5, 1, -2, true)), [5, 3, 1]);
        assert!(numbers(Series::new(5, 1, 1, true)).is_empty());
        assert!(numbers(Series::empty()).is_empty());
    }

    #[test]
    fn the_ends_of_the_type_are_no_trap() {
        let whole = Series::new(i64::MIN, i64::MAX, i64::MAX, true);
        assert_eq!(numbers(whole), [i64::MIN, -1, i64::MAX - 1]);
        assert_eq!(Series::new(i64::MIN, i64::MAX, 1, true).count, u64::MAX);
        assert_eq!(numbers(Series::new(i64::MAX, i64::MIN, i64::MIN, true)), [i64::MAX, -1]);
    }
}

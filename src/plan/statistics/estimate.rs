//! What is expected of a relation.

/// A relation's rows and columns.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::plan) struct Estimate {
    /// How many rows.
    pub(in crate::plan) rows: f64,
    /// How many rows there were before conditions on them: what bounds the distinct values of all columns together.
    pub(in crate::plan) base: f64,
    /// By position in the schema.
    pub(in crate::plan) columns: Vec<ColumnEstimate>,
}

/// A column's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::plan) struct ColumnEstimate {
    /// Distinct values in the table that it comes from; may be more than there are rows.
    pub(in crate::plan) distinct: f64,
    /// Smallest and largest, see [`number`](crate::scan::statistics::number).
    pub(in crate::plan) range: Option<(f64, f64)>,
    /// Share of NULLs.
    pub(in crate::plan) nulls: f64,
    /// Mean and standard deviation, where the values are sums over groups of rows.
    pub(in crate::plan) normal: Option<(f64, f64)>,
}

/// Without statistics so many rows are taken to share a value.
const ROWS_PER_VALUE: f64 = 10.0;

impl ColumnEstimate {
    /// A column of a relation of `rows` rows of which nothing is known.
    pub(in crate::plan) fn unknown(rows: f64) -> Self {
        ColumnEstimate { distinct: (rows / ROWS_PER_VALUE).max(1.0), range: None, nulls: 0.0, normal: None }
    }
}

impl Estimate {
    /// A relation of `rows` rows with `columns` columns of which nothing is known.
    pub(in crate::plan) fn unknown(rows: f64, columns: usize) -> Self {
        Estimate { rows, base: rows, columns: vec![ColumnEstimate::unknown(rows); columns] }
    }

    /// The rows as a user reads them.
    pub(in crate::plan) fn shown_rows(&self) -> u64 {
        self.rows.round().clamp(0.0, 1e18) as u64
    }
}

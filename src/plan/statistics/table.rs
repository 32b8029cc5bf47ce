//! Estimates of scans.

use std::sync::Arc;

use datafusion_expr::logical_plan::TableScan;
use datafusion_expr::utils::split_conjunction;

use super::{ColumnEstimate, Columns, Estimate, Estimator};
use crate::batch::Series;
use crate::plan::shared::SharedTable;
use crate::plan::table::{FileTable, SeriesTable, StoredTable};
use crate::scan::statistics::{self, ColumnStatistics, TableStatistics};

/// Rows of a table of which nothing is known.
const UNKNOWN_ROWS: f64 = 100_000.0;

impl Estimator {
    pub(super) fn scan(&self, scan: &TableScan) -> Estimate {
        let names = scan.source.schema();
        let all: Vec<usize> = (0..names.fields().len()).collect();
        let projection = scan.projection.as_ref().unwrap_or(&all);
        // A condition may be about a column that does not come out.
        let of_filters: Vec<usize> = scan
            .filters
            .iter()
            .flat_map(|filter| filter.column_refs())
            .filter_map(|column| names.index_of(&column.name).ok())
            .collect();
        let mut wanted: Vec<usize> = projection.iter().copied().filter(|index| self.matters(&names, *index)).collect();
        wanted.extend(of_filters);
        wanted.sort_unstable();
        wanted.dedup();
        let mut estimate = match scan.source.downcast_ref::<SharedTable>() {
            Some(shared) => self.estimate(shared.plan()),
            None => self.stored(scan, &wanted, all.len()),
        };
        let conjuncts: Vec<_> = scan.filters.iter().flat_map(split_conjunction).collect();
        let find = |name: &datafusion_common::Column| names.index_of(&name.name).ok();
        estimate.apply(&conjuncts, &Columns::new(&find, scan.source.schema().as_ref()));
        estimate.columns = projection.iter().filter_map(|index| estimate.columns.get(*index).copied()).collect();
        if let Some(fetch) = scan.fetch {
            estimate.rows = estimate.rows.min(fetch as f64);
        }
        estimate
    }

    /// Files or stored rows: all columns, the `wanted` ones as the data shows them.
    fn stored(&self, scan: &TableScan, wanted: &[usize], width: usize) -> Estimate {
        let table = self.table(scan, wanted);
        let rows = table.rows.unwrap_or(UNKNOWN_ROWS);
        let column = |index: usize| match wanted.binary_search(&index).ok().and_then(|at| table.columns.get(at)) {
            Some(known) => of_statistics(known, rows),
            None => ColumnEstimate::unknown(rows),
        };
        Estimate { rows, base: rows, columns: (0..width).map(column).collect() }
    }

    fn matters(&self, schema: &arrow::datatypes::Schema, index: usize) -> bool {
        schema.fields().get(index).is_some_and(|field| self.names.contains(field.name()))
    }

    fn table(&self, scan: &TableScan, columns: &[usize]) -> Arc<TableStatistics> {
        if let Some(table) = scan.source.downcast_ref::<SeriesTable>() {
            return Arc::new(of_series(&table.series, columns.len()));
        }
        let file = scan.source.downcast_ref::<FileTable>();
        let stored = scan.source.downcast_ref::<StoredTable>();
        let address = match (file, stored) {
            (Some(table), _) => Arc::as_ptr(&table.spec) as usize,
            (_, Some(table)) => Arc::as_ptr(&table.source).cast::<()>() as usize,
            _ => return Arc::default(),
        };
        let key = (address, columns.to_vec());
        if let Some(known) = self.tables.borrow().get(&key) {
            return known.clone();
        }
        let found = match (file, stored) {
            (Some(table), _) => statistics::statistics(&table.spec, columns, &self.context),
            (_, Some(table)) => statistics::of_source(table.source.as_ref(), columns),
            _ => TableStatistics::default(),
        };
        let found = Arc::new(found);
        self.tables.borrow_mut().insert(key, found.clone());
        found
    }
}

/// The numbers of a series, in one column or none that is asked for.
fn of_series(series: &Series, columns: usize) -> TableStatistics {
    let rows = series.count() as f64;
    let range = series.ends().map(|(first, last)| (first.min(last) as f64, first.max(last) as f64));
    let column = ColumnStatistics { range, nulls: Some(0.0), distinct: Some(rows) };
    TableStatistics { rows: Some(rows), columns: vec![column; columns] }
}

fn of_statistics(known: &ColumnStatistics, rows: f64) -> ColumnEstimate {
    let unknown = ColumnEstimate::unknown(rows);
    ColumnEstimate {
        distinct: known.distinct.unwrap_or(unknown.distinct).max(1.0),
        range: known.range,
        nulls: known.nulls.unwrap_or(0.0),
        normal: None,
    }
}

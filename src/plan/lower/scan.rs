//! Tables: file scans and rows in the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, DFSchema};
use datafusion_expr::Expr;
use datafusion_expr::logical_plan::TableScan;

use super::{Branches, Lowering, with_operator};
use crate::batch::SeriesSource;
use crate::error::{Error, Result};
use crate::ops;
use crate::plan::physical::Input;
use crate::plan::shared::SharedTable;
use crate::plan::table::{FileTable, SeriesTable, StoredTable, WorkTable};
use crate::scan::{self, ScanFilter, ScanRequest};
use crate::store::QueryContext;

/// For how many threads files that are sampled are cut.
const SAMPLED_THREADS: usize = 8;

impl Lowering<'_> {
    pub(super) fn table_scan(&mut self, scan: &TableScan) -> Result<Branches> {
        if let Some(table) = scan.source.downcast_ref::<FileTable>() {
            self.file_scan(scan, table)
        } else if let Some(table) = scan.source.downcast_ref::<StoredTable>() {
            self.project_scan(Branches::over(Input::Source(table.source.clone())), scan)
        } else if let Some(table) = scan.source.downcast_ref::<SharedTable>() {
            self.shared_scan(scan, table)
        } else if let Some(table) = scan.source.downcast_ref::<WorkTable>() {
            self.working_table(scan, table)
        } else if let Some(table) = scan.source.downcast_ref::<SeriesTable>() {
            let source = SeriesSource::new(table.series, scan.source.schema(), self.context.batch_size);
            self.project_scan(Branches::over(Input::Source(Arc::new(source))), scan)
        } else {
            Err(Error::internal(format!("{} is a table of an unknown kind", scan.table_name)))
        }
    }

    fn file_scan(&mut self, scan: &TableScan, table: &FileTable) -> Result<Branches> {
        let mut request = file_request(scan, table)?;
        request.parts = self.parts.of_scan(scan);
        let mut after = Vec::new();
        for told in self.runtime_filters.take(scan) {
            let Some(&column) = request.projection.get(told.column) else { continue };
            request.runtime_filters.push(ScanFilter { column, filter: told.filter });
            after.extend(told.after);
        }
        let unproven = request.spec.unproven(&request.projection);
        let is_certain = unproven.is_empty() && !request.spec.may_have_more(&request.projection);
        if !is_certain && !request.spec.comes_once() {
            self.uncertain.push((request.spec.clone(), unproven));
        }
        let source = scan::source(request, &self.scan_context())?;
        Ok(Branches { after, ..Branches::over(Input::Source(source)) })
    }

    /// The context in which files are cut into splits: below a sample, which goes by them, the same for any number of
    /// threads.
    fn scan_context(&self) -> Arc<QueryContext> {
        match self.samples {
            true => Arc::new(QueryContext { threads: SAMPLED_THREADS, ..QueryContext::clone(self.context) }),
            false => self.context.clone(),
        }
    }

    /// The columns that a scan asks of rows which have all of the table's.
    pub(super) fn project_scan(&self, branches: Branches, scan: &TableScan) -> Result<Branches> {
        let Some(projection) = &scan.projection else { return Ok(branches) };
        let schema = DFSchema::try_from(scan.source.schema())?;
        let columns = projection.iter().map(|&index| {
            let (qualifier, field) = schema.qualified_field(index);
            self.compile(&Expr::Column(Column::from((qualifier, field))), &schema)
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let project = ops::project::Project::new(columns, scan.projected_schema.inner().clone());
        Ok(with_operator(branches, Arc::new(project)))
    }
}

/// What a scan node asks of the files: its columns and filters in the spec's own spelling.
fn file_request(scan: &TableScan, table: &FileTable) -> Result<ScanRequest> {
    let spec = &table.spec;
    let projection = match &scan.projection {
        Some(projection) => projection.clone(),
        None => (0..spec.schema.fields().len()).collect(),
    };
    let names = scan.source.schema();
    let own_name = |expr: Expr| {
        Ok(match &expr {
            Expr::Column(column) => match names.index_of(&column.name) {
                Ok(index) => Transformed::yes(Expr::Column(Column::from_name(spec.schema.field(index).name()))),
                Err(_) => Transformed::no(expr),
            },
            _ => Transformed::no(expr),
        })
    };
    let filters = scan.filters.iter().map(|filter| Ok(filter.clone().transform(own_name)?.data));
    let (spec, filters, runtime_filters) = (spec.clone(), filters.collect::<Result<_>>()?, Vec::new());
    Ok(ScanRequest { spec, projection, filters, limit: scan.fetch, runtime_filters, parts: BTreeMap::new() })
}

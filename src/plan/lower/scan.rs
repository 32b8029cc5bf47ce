//! Tables: file scans and rows in the store.

use std::sync::Arc;

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, DFSchema};
use datafusion_expr::Expr;
use datafusion_expr::logical_plan::TableScan;

use super::{Branches, Lowering, with_operator};
use crate::batch::SourceRef;
use crate::error::{Error, Result};
use crate::ops;
use crate::plan::physical::Input;
use crate::plan::shared::SharedTable;
use crate::plan::table::{FileTable, StoredTable};
use crate::scan::{self, ScanRequest};

impl Lowering<'_> {
    pub(super) fn table_scan(&mut self, scan: &TableScan) -> Result<Branches> {
        let source: SourceRef = if let Some(table) = scan.source.downcast_ref::<FileTable>() {
            scan::source(file_request(scan, table)?, self.context)?
        } else if let Some(table) = scan.source.downcast_ref::<StoredTable>() {
            return self.project_scan(Branches::over(Input::Source(table.source.clone())), scan);
        } else if let Some(table) = scan.source.downcast_ref::<SharedTable>() {
            return self.shared_scan(scan, table);
        } else {
            return Err(Error::internal(format!("{} is a table of an unknown kind", scan.table_name)));
        };
        Ok(Branches::over(Input::Source(source)))
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
    Ok(ScanRequest { spec: spec.clone(), projection, filters: filters.collect::<Result<_>>()?, limit: scan.fetch })
}

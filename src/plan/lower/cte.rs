//! Relations that are computed once and read several times: a pipeline whose rows are kept.

use std::sync::Arc;

use datafusion_expr::logical_plan::TableScan;

use super::{Branches, Lowering};
use crate::error::Result;
use crate::ops::keep::Keep;
use crate::plan::physical::Input;
use crate::plan::shared::SharedTable;

impl Lowering<'_> {
    pub(super) fn shared_scan(&mut self, scan: &TableScan, table: &SharedTable) -> Result<Branches> {
        let input = match self.bound.shared(table.number()) {
            Some(source) => Input::Source(source.clone()),
            None => Input::Pipeline(self.shared_pipeline(table)?),
        };
        self.project_scan(Branches::over(input), scan)
    }

    /// The pipeline that computes a shared table: the same for all its readers.
    pub(super) fn shared_pipeline(&mut self, table: &SharedTable) -> Result<usize> {
        if let Some(&pipeline) = self.shared.get(&table.number()) {
            return Ok(pipeline);
        }
        let branches = self.node(table.plan())?;
        let keep = Keep::new(table.plan().schema().inner().clone(), table.name());
        let pipeline = self.add_pipeline(branches, Some(Arc::new(keep)));
        self.shared.insert(table.number(), pipeline);
        Ok(pipeline)
    }
}

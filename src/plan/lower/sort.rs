//! ORDER BY and LIMIT.

use std::sync::Arc;

use datafusion_common::DFSchema;
use datafusion_expr::logical_plan::{Limit, Sort};
use datafusion_expr::{FetchType, LogicalPlan, SkipType, SortExpr};

use super::{Branches, Lowering};
use crate::error::{Code, Error, Result};
use crate::ops;
use crate::ops::DynSink;
use crate::ops::sort::SortKey;

/// Up to so many rows, ORDER BY … LIMIT keeps only the best rows.
pub(super) const TOP_N_ROWS: usize = 100_000;

impl Lowering<'_> {
    pub(super) fn sort(&mut self, sort: &Sort, skip: usize, fetch: Option<usize>) -> Result<Branches> {
        // The optimizer's fetch of a sort under a limit counts the skipped rows.
        let inner = sort.fetch.map(|fetch| fetch.saturating_sub(skip));
        let fetch = fetch.into_iter().chain(inner).min();
        let is_top_n = fetch.is_some_and(|fetch| skip.saturating_add(fetch) <= TOP_N_ROWS);
        let threshold = if is_top_n { self.threshold_of(sort) } else { None };
        let branches = self.rows_for(&sort.input, sort.expr.iter().map(|key| &key.expr))?;
        let keys = sort.expr.iter().map(|key| self.sort_key(key, sort.input.schema())).collect::<Result<Vec<_>>>()?;
        let schema = sort.input.schema().inner().clone();
        let sink: Arc<dyn DynSink> = match fetch {
            Some(fetch) if is_top_n => Arc::new(ops::top_n::TopN::new(keys, schema, skip, fetch)?.telling(threshold)),
            _ => Arc::new(ops::sort::Sort::new(keys, schema, skip, fetch)?),
        };
        Ok(self.end_pipeline(branches, sink))
    }

    pub(super) fn sort_key(&self, key: &SortExpr, schema: &DFSchema) -> Result<SortKey> {
        let evaluator = self.compile(&key.expr, schema)?;
        Ok(SortKey { evaluator, descending: !key.asc, nulls_first: key.nulls_first })
    }

    pub(super) fn limit(&mut self, limit: &Limit) -> Result<Branches> {
        let constant = || {
            Error::new(Code::NotSupported, "LIMIT and OFFSET take constants").hint("write the number of rows itself")
        };
        let SkipType::Literal(skip) = limit.get_skip_type()? else { return Err(constant()) };
        let FetchType::Literal(fetch) = limit.get_fetch_type()? else { return Err(constant()) };
        if let LogicalPlan::Sort(sort) = limit.input.as_ref() {
            return self.sort(sort, skip, fetch);
        }
        let branches = self.node(&limit.input)?;
        let schema = limit.input.schema().inner().clone();
        Ok(self.end_pipeline(branches, Arc::new(ops::limit::Limit::new(skip, fetch, schema))))
    }
}

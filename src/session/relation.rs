//! What a name in FROM can stand for, and how the planner sees it.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion_common::{Column, DFSchema};
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableSource, TableType};

use crate::error::Result;
use crate::plan::{FileTable, StoredTable};

/// Files, rows in the store, or a query.
#[derive(Debug, Clone)]
pub(crate) enum Relation {
    Files(FileTable),
    Stored(StoredTable),
    /// A view or a registered frame.
    Query(Arc<LogicalPlan>),
}

impl Relation {
    /// The columns in their own spelling.
    pub(crate) fn schema(&self) -> SchemaRef {
        match self {
            Relation::Files(table) => table.schema(),
            Relation::Stored(table) => table.schema(),
            Relation::Query(plan) => arrow_schema(plan.schema()),
        }
    }

    /// The relation for the planner, with the names of `schema` for its columns.
    pub(crate) fn source(&self, schema: &SchemaRef) -> Result<Arc<dyn TableSource>> {
        Ok(match self {
            Relation::Files(table) => Arc::new(table.renamed(schema.clone())),
            Relation::Stored(table) => Arc::new(table.renamed(schema.clone())),
            Relation::Query(plan) => {
                let names = schema.fields().iter().map(|field| field.name().as_str());
                let plan = with_column_names(plan.as_ref().clone(), names)?;
                Arc::new(QueryTable { schema: arrow_schema(plan.schema()), plan })
            }
        })
    }
}

/// The plan with its columns called `names`, by position; unchanged when they are called so already.
pub(crate) fn with_column_names<'a>(
    plan: LogicalPlan,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<LogicalPlan> {
    let schema = plan.schema().clone();
    if schema.fields().iter().map(|field| field.name().as_str()).eq(names.clone()) {
        return Ok(plan);
    }
    let columns: Vec<Expr> = schema
        .iter()
        .zip(names)
        .map(|((qualifier, field), name)| {
            let column = Expr::Column(Column::from((qualifier, field)));
            if field.name() == name { column } else { column.alias(name) }
        })
        .collect();
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}

/// A plan's schema without the qualifiers.
pub(crate) fn arrow_schema(schema: &DFSchema) -> SchemaRef {
    Arc::clone(schema.inner())
}

/// A query under a name: the planner puts its plan in place of the scan.
#[derive(Debug)]
struct QueryTable {
    plan: LogicalPlan,
    schema: SchemaRef,
}

impl TableSource for QueryTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        Some(Cow::Borrowed(&self.plan))
    }
}

//! A lazy query that grows by verbs.
//!
//! Invariant: every verb gives a plan that is analysed already, so that a wrong name or type is an error of the verb.
//! Column names match without regard to case and come out as their source spells them.

mod asof;
mod functions;
mod names;
mod run;
mod verbs;

pub use asof::nearest;
pub use functions::{avg, sum};
pub use verbs::{GroupedFrame, IntoExpr};

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion_common::Column;
use datafusion_expr::{Expr, LogicalPlan};

use super::Session;
use super::relation::arrow_schema;
use super::sql::planning_error;
use crate::error::Result;

/// A query that has not run yet. Clones are cheap; running it changes nothing.
///
/// ```
/// use floe::prelude::*;
///
/// let session = Session::new()?;
/// let frame = session.sql("SELECT * FROM (VALUES ('a', 1), ('a', 2), ('b', 3)) AS t(k, x)")?;
/// let sums = frame.filter(col("x").gt(lit(1)))?.group_by([col("K")])?.agg([sum(col("x")).alias("total")])?;
/// assert_eq!(sums.schema().field(0).name(), "k");
/// assert_eq!(sums.schema().field(1).name(), "total");
/// # Ok::<(), floe::Error>(())
/// ```
#[derive(Clone)]
pub struct DataFrame {
    session: Session,
    plan: LogicalPlan,
    /// The query that the plan is of, where it is one: it can be planned anew.
    sql: Option<Arc<str>>,
}

/// The column of that name, whatever its case; `table.column` where the name alone is in more than one table.
pub fn col(name: impl Into<String>) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

impl DataFrame {
    pub(crate) fn new(session: Session, plan: LogicalPlan) -> Self {
        DataFrame { session, plan, sql: None }
    }

    /// The frame of the query `sql`.
    pub(crate) fn with_sql(self, sql: &str) -> Self {
        DataFrame { sql: Some(sql.into()), ..self }
    }

    pub(crate) fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// The names and types of the result's columns.
    pub fn schema(&self) -> SchemaRef {
        arrow_schema(self.plan.schema())
    }

    /// The session that runs it.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The frame of another plan of the same session.
    fn with(&self, plan: LogicalPlan) -> Result<DataFrame> {
        let plan = crate::plan::analyze(plan).map_err(planning_error)?;
        Ok(DataFrame::new(self.session.clone(), plan))
    }
}

impl std::fmt::Debug for DataFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.plan.display_indent())
    }
}

//! Subqueries in expressions and LATERAL to joins: afterwards no plan depends on the rows of another one.
//!
//! `node` finds the subqueries of a plan node; `predicate` makes semi, anti and mark joins of those that answer yes or
//! no, `scalar` outer joins of those that give a value, `lateral` joins of those in FROM. What a subquery needs of the
//! outer row is taken out of it by `pull` (see [`correlated`] for the idea). The optimizer's own rules for this
//! are not used: they cover equalities over a few nodes only, treat IN as two-valued inside of expressions, and let a
//! scalar subquery with several rows multiply the outer row.
//!
//! Invariant: the plan keeps its schema, but for what may be NULL.
//!
//! # Known limitation
//! Recursive queries and nodes of our own cannot be correlated inside. The domain of a subquery (see [`correlated`]) reads the outer
//! plan again, so that a volatile function in it may give other values the second time.

mod aggregate;
mod build;
mod correlated;
mod joins;
mod lateral;
mod node;
mod outer;
mod predicate;
mod pull;
mod quantified;
mod ranked;
mod scalar;

use datafusion_expr::LogicalPlan;

use crate::error::{Code, Error, Result};
use build::Names;

/// `plan` (analysed) without subqueries in expressions and without lateral ones.
///
/// # Errors
/// `INVALID_QUERY` for a column of an outer query that is not there (any more) where the subquery stands;
/// `NOT_SUPPORTED` for the nodes above.
pub(crate) fn unnest(plan: LogicalPlan) -> Result<LogicalPlan> {
    let unnested = node::rewrite(&plan, &mut Names::default())?;
    match outer::first_outer_reference(&unnested)? {
        None => Ok(unnested),
        Some(column) => Err(Error::new(
            Code::InvalidQuery,
            format!("the subquery names the column {}, which is not there in the query around it", column.flat_name()),
        )
        .hint("with GROUP BY, only grouped columns are")),
    }
}

//! POSITIONAL JOIN: the rows of two relations side by side, each with the one in the same place.
//!
//! The rows of both sides are numbered, joined by their numbers, and put in the order of the numbers: all of it by operators
//! that need no more memory than there is. The shorter side has NULLs where it has ended.

use std::sync::Arc;

use datafusion_common::{Column, JoinType, Result as PlanResult};
use datafusion_expr::expr::WindowFunction;
use datafusion_expr::logical_plan::Window;
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder, WindowFunctionDefinition, when};

use crate::error::Error;
use crate::expr::functions;

/// The positional join of the sides of a cross join.
///
/// # Errors
/// A defect where `cross` is no join.
pub fn positional_join(cross: LogicalPlan) -> PlanResult<LogicalPlan> {
    let LogicalPlan::Join(join) = cross else {
        return Err(Error::internal("a positional join without its sides").into());
    };
    let columns: Vec<Expr> =
        [&join.left, &join.right].iter().flat_map(|side| side.schema().iter()).map(Expr::from).collect();
    let (left, first) = numbered(join.left, "left")?;
    let (right, second) = numbered(join.right, "right")?;
    let number = when(first.clone().is_null(), second.clone()).otherwise(first.clone())?;
    LogicalPlanBuilder::from(left)
        .join_on(right, JoinType::Full, [first.eq(second)])?
        .sort([number.sort(true, false)])?
        .project(columns)?
        .build()
}

/// `plan` with the number of each row, from 1, in a column behind the others; and that column.
fn numbered(plan: Arc<LogicalPlan>, side: &str) -> PlanResult<(LogicalPlan, Expr)> {
    let function = functions().window.get("row_number").cloned();
    let function = function.ok_or_else(|| Error::internal("there is no function row_number"))?;
    let call = WindowFunction::new(WindowFunctionDefinition::WindowUDF(function), Vec::new());
    let mut columns: Vec<Expr> = plan.schema().iter().map(Expr::from).collect();
    let windowed = LogicalPlan::Window(Window::try_new(vec![Expr::from(call)], plan)?);
    // Nobody can write such a name without quotes.
    let name = format!("place on the {side}");
    if let Some(number) = windowed.schema().columns().into_iter().nth(columns.len()) {
        columns.push(Expr::Column(number).alias(&name));
    }
    let plan = LogicalPlanBuilder::from(windowed).project(columns)?.build()?;
    Ok((plan, Expr::Column(Column::new_unqualified(name))))
}

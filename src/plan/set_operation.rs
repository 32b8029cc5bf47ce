//! INTERSECT and EXCEPT as aggregations: every row of both sides in one GROUP BY of all columns, with a count of each
//! side. So NULL equals NULL, duplicates cost nothing, the ALL forms know how often a row comes, and what does not fit
//! in memory spills as any aggregation does.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use datafusion_common::{
    Column, DFSchemaRef, DataFusionError, FunctionalDependencies, Result as PlanResult, ScalarValue,
};
use datafusion_expr::logical_plan::{Extension, Union};
use datafusion_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, UserDefinedLogicalNodeCore, cast, lit, when,
};

use crate::error::Error;
use crate::expr::functions;

/// Which rows of the left side stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetOperation {
    /// Those that the right side has, too.
    Intersect,
    /// Those that the right side does not have.
    Except,
}

/// Column names of the counts; those of the relation are numbers here.
const LEFT: &str = "left rows";
const RIGHT: &str = "right rows";

/// The set operation over the two inputs of `union`, whose types are made to agree. Without `all` each row comes once;
/// with it as often as the lesser count (INTERSECT) or the difference of the counts (EXCEPT) says.
///
/// # Errors
/// Where the sides have no common types.
pub fn set_operation(union: LogicalPlan, operation: SetOperation, all: bool) -> PlanResult<LogicalPlan> {
    let LogicalPlan::Union(union) = super::analyze(union)? else { return Err(not_two_sides()) };
    let [left, right] = union.inputs.as_slice() else { return Err(not_two_sides()) };
    let both = flagged(left, &union, true)?.union(flagged(right, &union, false)?.build()?)?;
    let names: Vec<String> = (0..union.schema.fields().len()).map(|index| index.to_string()).collect();
    let keys: Vec<Expr> = names.iter().map(|name| Expr::Column(Column::from_name(name))).collect();
    let count = functions().aggregate.get("count").cloned();
    let count = count.ok_or_else(|| DataFusionError::from(Error::internal("there is no count")))?;
    let counts = [LEFT, RIGHT].map(|side| count.call(vec![Expr::Column(Column::from_name(side))]));
    let grouped = both.aggregate(keys.clone(), counts)?;
    let made = grouped.schema().columns();
    let counts = made.iter().skip(keys.len()).zip([LEFT, RIGHT]);
    let counts = counts.map(|(column, side)| Expr::Column(column.clone()).alias(side));
    let counted = grouped.clone().project(keys.iter().cloned().chain(counts))?;
    let (left, right) = (Expr::Column(Column::from_name(LEFT)), Expr::Column(Column::from_name(RIGHT)));
    let stays = match (operation, all) {
        (SetOperation::Intersect, _) => left.clone().gt(lit(0_i64)).and(right.clone().gt(lit(0_i64))),
        (SetOperation::Except, false) => left.clone().gt(lit(0_i64)).and(right.clone().eq(lit(0_i64))),
        (SetOperation::Except, true) => left.clone().gt(right.clone()),
    };
    let mut builder = counted.filter(stays)?;
    if all {
        let times = match operation {
            SetOperation::Intersect => when(left.clone().lt(right.clone()), left).otherwise(right)?,
            SetOperation::Except => left - right,
        };
        builder = LogicalPlanBuilder::from(Repeat::plan(builder.build()?, times)?);
    }
    let columns = keys.into_iter().zip(union.schema.fields()).map(|(key, field)| key.alias(field.name()));
    builder.project(columns)?.build()
}

fn not_two_sides() -> DataFusionError {
    Error::internal("a set operation whose sides were lost").into()
}

/// One side with numbers for names, in the union's types, and a column for each side that is NULL on the other.
fn flagged(input: &Arc<LogicalPlan>, union: &Union, left: bool) -> PlanResult<LogicalPlanBuilder> {
    let schema = input.schema();
    let columns = schema.columns().into_iter().zip(union.schema.fields()).enumerate();
    let columns = columns.map(|(index, (column, field))| {
        let column = Expr::Column(column);
        let column = match column.get_type(schema)? == *field.data_type() {
            true => column,
            false => cast(column, field.data_type().clone()),
        };
        Ok(column.alias(index.to_string()))
    });
    let flag = |set: bool, name: &str| {
        let value = if set { ScalarValue::Boolean(Some(true)) } else { ScalarValue::Boolean(None) };
        Expr::Literal(value, None).alias(name)
    };
    let flags = [flag(left, LEFT), flag(!left, RIGHT)];
    let columns = columns.collect::<PlanResult<Vec<_>>>()?;
    LogicalPlanBuilder::from(input.clone()).project(columns.into_iter().chain(flags))
}

/// Each row of the input as often as `times` says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repeat {
    /// The rows.
    pub input: LogicalPlan,
    /// A BIGINT.
    pub times: Expr,
    /// That of the input, whose keys are no keys any more.
    schema: DFSchemaRef,
}

impl Repeat {
    /// The plan of this node over `input`.
    pub(super) fn plan(input: LogicalPlan, times: Expr) -> PlanResult<LogicalPlan> {
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(Repeat::new(input, times)?) }))
    }

    fn new(input: LogicalPlan, times: Expr) -> PlanResult<Self> {
        let schema = input.schema().as_ref().clone();
        let schema = schema.with_functional_dependencies(FunctionalDependencies::empty())?;
        Ok(Repeat { input, times, schema: Arc::new(schema) })
    }
}

impl PartialOrd for Repeat {
    fn partial_cmp(&self, _other: &Self) -> Option<Ordering> {
        None
    }
}

impl UserDefinedLogicalNodeCore for Repeat {
    fn name(&self) -> &str {
        "Repeat"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.times.clone()]
    }

    /// A condition on a row holds for all its copies.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        HashSet::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Repeat: {} times", self.times)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> PlanResult<Self> {
        match (<[Expr; 1]>::try_from(exprs), <[LogicalPlan; 1]>::try_from(inputs)) {
            (Ok([times]), Ok([input])) => Repeat::new(input, times),
            _ => Err(Error::internal("Repeat takes one input and one count").into()),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}

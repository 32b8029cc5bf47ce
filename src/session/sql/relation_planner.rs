//! How relations are planned that the planner does not know or would plan otherwise: those with a [mark](super::marks),
//! UNNEST, and subqueries whose columns are the fields of a struct.

use std::sync::{Arc, OnceLock};

use datafusion_common::{DFSchema, Result as PlanResult};
use datafusion_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion_expr::{Expr, LogicalPlan};
use datafusion_sql::sqlparser::ast::{Expr as SqlExpr, Ident, TableAlias, TableAliasColumnDef, TableFactor};

use super::marks::Mark;
use super::spelling::distinct_names;
use crate::error::{Code, Error, Result};
use crate::expr::functions;
use crate::plan::asof::{asof_joins, asof_right};
use crate::plan::{positional_join, sample, series_scan, set_operation, share, struct_field_names, unnest_lists};
use crate::session::relation::with_column_names;

/// The planners of relations, in the order in which they are asked.
pub(crate) fn relation_planners() -> &'static [Arc<dyn RelationPlanner>] {
    static PLANNERS: OnceLock<Vec<Arc<dyn RelationPlanner>>> = OnceLock::new();
    PLANNERS.get_or_init(|| vec![Arc::new(Relations)])
}

/// The plan with the columns that a struct became called as the struct's fields.
pub(super) fn with_struct_fields(plan: LogicalPlan) -> Result<LogicalPlan> {
    match struct_field_names(&plan) {
        Some(names) => with_column_names(plan, names.iter().map(String::as_str)),
        None => Ok(plan),
    }
}

/// The plan of a subquery, where columns of several tables may have one name: all but the first get a number.
fn with_names_once(plan: LogicalPlan) -> Result<LogicalPlan> {
    let names = distinct_names(plan.schema().fields().iter().map(|field| field.name().as_str()));
    with_column_names(plan, names.iter().map(String::as_str))
}

#[derive(Debug)]
struct Relations;

impl RelationPlanner for Relations {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> PlanResult<RelationPlanning> {
        let planned = match &mut relation {
            TableFactor::Derived { alias, .. } => match alias.as_ref().and_then(Mark::of) {
                Some(Mark::Seen) => {
                    *alias = None;
                    return Ok(RelationPlanning::Original(Box::new(relation)));
                }
                Some(mark) => {
                    *alias = None;
                    PlannedRelation::new(marked(&mark, context.plan(relation)?)?, None)
                }
                None => {
                    let alias = alias.replace(Mark::Seen.alias());
                    let plan = with_names_once(with_struct_fields(context.plan(relation)?)?)?;
                    let alias = alias.map(|alias| with_all_columns(alias, &plan));
                    PlannedRelation::new(plan, alias)
                }
            },
            TableFactor::Table { alias, .. } if alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) => {
                let alias = alias.take();
                let plan = context.plan(relation)?;
                let alias = alias.map(|alias| with_all_columns(alias, &plan));
                PlannedRelation::new(plan, alias)
            }
            TableFactor::NestedJoin { alias, .. } => match alias.as_ref().and_then(Mark::of) {
                Some(mark) => {
                    *alias = None;
                    PlannedRelation::new(marked(&mark, context.plan(relation)?)?, None)
                }
                None => return Ok(RelationPlanning::Original(Box::new(relation))),
            },
            TableFactor::UNNEST { alias, array_exprs, with_offset_alias, with_ordinality, .. } => {
                let function = with_offset_alias.take();
                let unnest = Unnest { function, alias: alias.take(), ordinality: *with_ordinality };
                unnest.plan(std::mem::take(array_exprs), context)?
            }
            _ => return Ok(RelationPlanning::Original(Box::new(relation))),
        };
        Ok(RelationPlanning::Planned(Box::new(planned)))
    }
}

/// `t AS r(x, y)` renames the first columns only: the others keep their names.
fn with_all_columns(mut alias: TableAlias, plan: &LogicalPlan) -> TableAlias {
    let named = alias.columns.len();
    if named > 0 {
        let kept = plan.schema().fields().iter().skip(named);
        let column = |name: &String| TableAliasColumnDef { name: Ident::with_quote('"', name), data_type: None };
        alias.columns.extend(kept.map(|field| column(field.name())));
    }
    alias
}

fn marked(mark: &Mark, plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    match mark {
        // Its joins are not to be seen from the query.
        Mark::Shared { name, always } => share(asof_joins(plan)?, name, *always),
        Mark::SetOperation { operation, all } => set_operation(plan, *operation, *all),
        Mark::Asof => Ok(asof_right(plan)),
        Mark::Positional => positional_join(plan),
        Mark::Sample(clause) => Ok(sample(plan, *clause)),
        Mark::Seen => Ok(plan),
    }
}

/// `UNNEST(…) [WITH ORDINALITY] [AS alias (columns)]`, or a function that makes a list in its place.
struct Unnest {
    function: Option<Ident>,
    alias: Option<TableAlias>,
    ordinality: bool,
}

impl Unnest {
    fn plan(
        mut self,
        arguments: Vec<SqlExpr>,
        context: &mut dyn RelationPlannerContext,
    ) -> PlanResult<PlannedRelation> {
        let none = DFSchema::empty();
        let arguments = arguments.into_iter().map(|argument| context.sql_expr_to_logical_expr(argument, &none));
        let arguments = arguments.collect::<PlanResult<Vec<Expr>>>()?;
        let function = self.function.take().map_or_else(|| "unnest".to_string(), |name| name.value);
        let count = if function == "unnest" { arguments.len() } else { 1 };
        let written = self.alias.as_mut().map(|alias| std::mem::take(&mut alias.columns)).unwrap_or_default();
        if written.len() > count + usize::from(self.ordinality) {
            let message = format!("{} names for the {count} columns of {function}", written.len());
            return Err(Error::new(Code::InvalidQuery, message).into());
        }
        let written: Vec<String> = written.into_iter().map(|column| context.normalize_ident(column.name)).collect();
        let name = |index: usize| match (written.get(index), index) {
            (Some(name), _) => name.clone(),
            (None, 0) => function.clone(),
            (None, index) if index == count => "ordinality".to_string(),
            (None, index) => format!("{function}_{index}"),
        };
        let names: Vec<String> = (0..count).map(name).collect();
        let ordinality = self.ordinality.then(|| name(count));
        let plan = rows(&function, arguments, &names, ordinality.as_deref())?;
        let alias = self.alias.unwrap_or_else(|| TableAlias {
            explicit: true,
            name: Ident::with_quote('"', function),
            columns: Vec::new(),
            at: None,
        });
        Ok(PlannedRelation::new(plan, Some(alias)))
    }
}

fn rows(function: &str, arguments: Vec<Expr>, names: &[String], ordinality: Option<&str>) -> PlanResult<LogicalPlan> {
    if function == "unnest" {
        return unnest_lists(arguments, names, ordinality);
    }
    let first = names.first().map_or(function, String::as_str);
    if ordinality.is_none()
        && let Some(scan) = series_scan(&arguments, function == "generate_series", first)?
    {
        return Ok(scan);
    }
    let Some(list) = functions().scalar.get(function) else {
        return Err(Error::internal(format!("there is no function {function}")).into());
    };
    unnest_lists(vec![list.call(arguments)], names, ordinality)
}

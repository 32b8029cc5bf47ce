//! Subqueries that answer yes or no: EXISTS and IN; and where in an expression any subquery may stand.
//!
//! As a condition that rows must meet they are semi and anti joins. Elsewhere they are mark joins: the row gets a column
//! that says whether there was a match, from which the three-valued answer of IN is made.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DFSchema, DataFusionError, JoinType};
use datafusion_expr::expr::{Exists, InSubquery, ScalarFunction};
use datafusion_expr::logical_plan::{Distinct, FetchType, Limit, SkipType, SubqueryAlias};
use datafusion_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, lit, when};

use super::build::{self, Names};
use super::outer::{Outer, has_outer_references};
use super::pull::pull;
use super::{aggregate, node, quantified, scalar};
use crate::error::Result;

/// The rows of `input` that meet all of `conditions`; columns may be added.
pub(super) fn keep(input: LogicalPlan, conditions: Vec<Expr>, names: &mut Names) -> Result<LogicalPlan> {
    let mut kept = input;
    let mut questions = Vec::new();
    let mut dependent = Vec::new();
    for condition in conditions {
        match Question::of(condition) {
            Ok(question) => questions.push(question),
            Err(other) if is_constant(&other)? => kept = keep_true(kept, other, names)?,
            Err(other) => dependent.push(other),
        }
    }
    for question in questions {
        kept = question.keep(kept, names)?;
    }
    for condition in dependent {
        kept = keep_true(kept, condition, names)?;
    }
    Ok(kept)
}

fn keep_true(mut input: LogicalPlan, condition: Expr, names: &mut Names) -> Result<LogicalPlan> {
    let condition = part(&mut input, condition, true, names)?;
    build::filter(input, vec![condition])
}

/// Whether the subqueries of `condition` are scalar ones that are the same for every row: the cheapest to compare with.
fn is_constant(condition: &Expr) -> Result<bool> {
    let asks = |part: &Expr| Ok(matches!(part, Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)));
    if condition.exists(asks)? {
        return Ok(false);
    }
    for subquery in subqueries_of(condition) {
        if has_outer_references(&subquery)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `expr` with its subqueries replaced by columns that `input` is given.
pub(super) fn value(input: &mut LogicalPlan, expr: Expr, names: &mut Names) -> Result<Expr> {
    if node::has_subquery(&expr) { part(input, expr, false, names) } else { Ok(expr) }
}

/// As [`value`]; with `two_valued`, NULL may become false.
fn part(input: &mut LogicalPlan, expr: Expr, two_valued: bool, names: &mut Names) -> Result<Expr> {
    match expr {
        Expr::ScalarSubquery(subquery) => scalar::attach(input, &subquery.subquery, names),
        Expr::Exists(Exists { subquery, negated }) => {
            let found = exists_mark(input, &subquery.subquery, names)?;
            Ok(negated_if(negated, found))
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            let tested = value(input, *expr, names)?;
            let found = in_value(input, tested, &subquery.subquery, two_valued && !negated, names)?;
            Ok(negated_if(negated, found))
        }
        Expr::SetComparison(comparison) => {
            let tested = value(input, *comparison.expr.clone(), names)?;
            quantified::value(input, tested, &comparison, two_valued, names)
        }
        other => {
            let logic = matches!(&other, Expr::BinaryExpr(BinaryExpr { op: Operator::And | Operator::Or, .. }));
            let replaced = other.map_children(|child| {
                if !node::has_subquery(&child) {
                    return Ok(Transformed::no(child));
                }
                part(input, child, two_valued && logic, names).map(Transformed::yes).map_err(DataFusionError::from)
            })?;
            Ok(replaced.data)
        }
    }
}

fn negated_if(negated: bool, expr: Expr) -> Expr {
    if negated { datafusion_expr::not(expr) } else { expr }
}

/// A whole condition that is one question to a subquery.
enum Question {
    Exists { subquery: Arc<LogicalPlan>, negated: bool },
    In { tested: Expr, subquery: Arc<LogicalPlan>, negated: bool },
}

impl Question {
    fn of(condition: Expr) -> Result<Self, Expr> {
        match condition {
            Expr::Exists(Exists { subquery, negated }) => Ok(Question::Exists { subquery: subquery.subquery, negated }),
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                Ok(Question::In { tested: *expr, subquery: subquery.subquery, negated })
            }
            Expr::Not(inner) => match Question::of(*inner) {
                Ok(Question::Exists { subquery, negated }) => Ok(Question::Exists { subquery, negated: !negated }),
                Ok(Question::In { tested, subquery, negated }) => {
                    Ok(Question::In { tested, subquery, negated: !negated })
                }
                Err(other) => Err(datafusion_expr::not(other)),
            },
            other => quantified::as_membership(other).map(|(tested, subquery, negated)| Question::In {
                tested,
                subquery,
                negated,
            }),
        }
    }

    fn keep(self, mut input: LogicalPlan, names: &mut Names) -> Result<LogicalPlan> {
        match self {
            Question::Exists { subquery, negated } => keep_existing(input, &subquery, negated, names),
            Question::In { tested, subquery, negated } => {
                let tested = value(&mut input, tested, names)?;
                keep_members(input, tested, &subquery, negated, names)
            }
        }
    }
}

fn keep_existing(input: LogicalPlan, subquery: &LogicalPlan, negated: bool, names: &mut Names) -> Result<LogicalPlan> {
    let outer = Outer::new(&input);
    let Some((right, conditions)) = existence(subquery, &outer, names)? else {
        return if negated { build::filter(input, vec![lit(false)]) } else { Ok(input) };
    };
    let join_type = if negated { JoinType::LeftAnti } else { JoinType::LeftSemi };
    build::join(input, right, join_type, conditions)
}

fn exists_mark(input: &mut LogicalPlan, subquery: &LogicalPlan, names: &mut Names) -> Result<Expr> {
    let outer = Outer::new(input);
    let Some((right, conditions)) = existence(subquery, &outer, names)? else { return Ok(lit(true)) };
    mark(input, right, conditions, names)
}

/// The rows that decide whether a subquery has any, and what they have to meet; `None` where there always is one.
fn existence(subquery: &LogicalPlan, outer: &Outer, names: &mut Names) -> Result<Option<(LogicalPlan, Vec<Expr>)>> {
    let Some(rows) = deciding_rows(subquery)? else { return Ok(None) };
    let mut pulled = pull(rows, outer, names)?;
    if pulled.on_empty.is_some() {
        return Ok(None);
    }
    if pulled.conditions().is_empty() && !has_outer_references(&pulled.plan)? {
        pulled.plan = LogicalPlanBuilder::from(pulled.plan).limit(0, Some(1))?.build()?;
    }
    pulled.reduce(Vec::new(), outer, names)?;
    let conditions = pulled.join_conditions(outer)?;
    Ok(Some((pulled.plan, conditions)))
}

/// `plan` without the nodes that change rows but not whether there are any; `None` where there always is one.
fn deciding_rows(plan: &LogicalPlan) -> Result<Option<&LogicalPlan>> {
    match plan {
        LogicalPlan::Projection(node) => deciding_rows(&node.input),
        LogicalPlan::SubqueryAlias(node) => deciding_rows(&node.input),
        LogicalPlan::Sort(node) if node.fetch != Some(0) => deciding_rows(&node.input),
        LogicalPlan::Window(node) => deciding_rows(&node.input),
        LogicalPlan::Distinct(Distinct::All(input)) => deciding_rows(input),
        LogicalPlan::Limit(limit) if keeps_a_row(limit)? => deciding_rows(&limit.input),
        LogicalPlan::Aggregate(node) if aggregate::has_empty_set(node) => Ok(None),
        LogicalPlan::Aggregate(node) if !node.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_))) => {
            deciding_rows(&node.input)
        }
        other => Ok(Some(other)),
    }
}

fn keeps_a_row(limit: &Limit) -> Result<bool> {
    let skips_none = matches!(limit.get_skip_type()?, SkipType::Literal(0));
    let fetches = matches!(limit.get_fetch_type()?, FetchType::Literal(None | Some(1..)));
    Ok(skips_none && fetches)
}

/// Adds the column that says whether `right` has a row that meets the conditions.
fn mark(input: &mut LogicalPlan, right: LogicalPlan, conditions: Vec<Expr>, names: &mut Names) -> Result<Expr> {
    let left = std::mem::take(input);
    let alias = names.next("exists");
    let right = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(right), alias.as_str())?);
    let conditions = conditions
        .into_iter()
        .map(|condition| qualified(condition, right.schema(), left.schema()))
        .collect::<Result<Vec<_>>>()?;
    *input = build::join(left, right, JoinType::LeftMark, conditions)?;
    Ok(Expr::Column(Column::new(Some(alias), "mark")))
}

/// `condition` with the columns of `aliased` under its qualifier.
fn qualified(condition: Expr, aliased: &DFSchema, left: &DFSchema) -> Result<Expr> {
    let columns = aliased.columns();
    let replaced = condition.transform(|part| {
        Ok(match &part {
            Expr::Column(Column { relation: None, name, .. })
                if !left.columns().contains(&Column::new_unqualified(name)) =>
            {
                match columns.iter().find(|column| column.name == *name) {
                    Some(column) => Transformed::yes(Expr::Column(column.clone())),
                    None => Transformed::no(part),
                }
            }
            _ => Transformed::no(part),
        })
    })?;
    Ok(replaced.data)
}

/// The two sides of `tested IN (subquery)`, column by column: several where both are rows.
struct Membership {
    right: LogicalPlan,
    conditions: Vec<Expr>,
    pairs: Vec<(Expr, Expr)>,
    /// Whether a NULL may be on either side.
    nullable: bool,
    /// Whether the rows depend on any outer row.
    correlated: bool,
}

impl Membership {
    fn of(tested: &Expr, subquery: &LogicalPlan, outer: &Outer, names: &mut Names) -> Result<Self> {
        let (tested, subquery) = columns_of_rows(tested, unordered(subquery))?;
        let correlated = has_outer_references(&subquery)?;
        let outputs = subquery.schema().columns();
        let mut pulled = pull(&subquery, outer, names)?;
        pulled.fill(outer, names)?;
        let mut nullable = false;
        for (tested, output) in tested.iter().zip(&outputs) {
            nullable |= tested.nullable(outer.plan.schema())?;
            nullable |= Expr::Column(output.clone()).nullable(pulled.plan.schema())?;
        }
        let outputs = pulled.reduce(outputs.into_iter().map(Expr::Column).collect(), outer, names)?;
        let pairs = tested.into_iter().zip(outputs).collect();
        let conditions = pulled.join_conditions(outer)?;
        let right = pulled.plan;
        Ok(Membership { right, conditions, pairs, nullable, correlated })
    }

    fn equalities(&self) -> impl Iterator<Item = Expr> {
        self.pairs.iter().map(|(tested, value)| tested.clone().eq(value.clone()))
    }

    /// Conditions for a row that makes the answer true.
    fn matching(&self) -> Vec<Expr> {
        self.equalities().chain(self.conditions.iter().cloned()).collect()
    }

    /// Conditions for a row that makes the answer true or NULL.
    fn undecided(&self) -> Vec<Expr> {
        self.conditions
            .iter()
            .cloned()
            .chain(self.equalities().map(|equal| Expr::IsNotFalse(Box::new(equal))))
            .collect()
    }
}

/// Without what makes no difference to whether a value is among the rows.
fn unordered(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => unordered(&sort.input),
        LogicalPlan::Distinct(Distinct::All(input)) => unordered(input),
        other => other,
    }
}

/// Rows compared column by column: `(a, b) IN (SELECT x, y …)` comes as two structs.
fn columns_of_rows(tested: &Expr, subquery: &LogicalPlan) -> Result<(Vec<Expr>, LogicalPlan)> {
    let whole = || Ok((vec![tested.clone()], subquery.clone()));
    let LogicalPlan::Projection(projection) = subquery else { return whole() };
    let [output] = projection.expr.as_slice() else { return whole() };
    match (members(tested), members(output)) {
        (Some(tested), Some(outputs)) if tested.len() == outputs.len() => {
            let named = outputs.into_iter().enumerate().map(|(index, expr)| expr.alias(format!("c{index}"))).collect();
            Ok((tested, build::project(projection.input.as_ref().clone(), named)?))
        }
        _ => whole(),
    }
}

/// The values of `struct(a, b, …)`, casts of the whole pushed into them.
fn members(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Alias(alias) => members(&alias.expr),
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "struct" => Some(args.clone()),
        Expr::Cast(cast) => {
            let arrow::datatypes::DataType::Struct(fields) = cast.field.data_type() else { return None };
            let values = members(&cast.expr)?;
            let same = fields.len() == values.len();
            let each = values.into_iter().zip(fields);
            same.then(|| each.map(|(value, field)| datafusion_expr::cast(value, field.data_type().clone())).collect())
        }
        _ => None,
    }
}

fn keep_members(
    mut input: LogicalPlan,
    tested: Expr,
    subquery: &LogicalPlan,
    negated: bool,
    names: &mut Names,
) -> Result<LogicalPlan> {
    if scalar::is_one_row(subquery) {
        let only = scalar::attach(&mut input, subquery, names)?;
        let condition = if negated { tested.not_eq(only) } else { tested.eq(only) };
        return build::filter(input, vec![condition]);
    }
    let outer = Outer::new(&input);
    let membership = Membership::of(&tested, subquery, &outer, names)?;
    if !negated {
        let conditions = membership.matching();
        return build::join(input, membership.right, JoinType::LeftSemi, conditions);
    }
    if !membership.nullable {
        let conditions = membership.matching();
        return build::join(input, membership.right, JoinType::LeftAnti, conditions);
    }
    match membership.matching().as_slice() {
        [only] if !membership.correlated && tested.any_column_refs() => {
            build::null_aware_anti_join(input, membership.right, only.clone())
        }
        _ => {
            let conditions = membership.undecided();
            build::join(input, membership.right, JoinType::LeftAnti, conditions)
        }
    }
}

/// The answer of IN as a value: NULL where no value is equal and one is unknown.
pub(super) fn in_value(
    input: &mut LogicalPlan,
    tested: Expr,
    subquery: &LogicalPlan,
    two_valued: bool,
    names: &mut Names,
) -> Result<Expr> {
    // Rows are compared value by value: a NULL among them may leave open whether they are equal.
    let is_row = subquery.schema().fields().iter().any(|field| matches!(field.data_type(), DataType::Struct(_)));
    if scalar::is_one_row(subquery) && !is_row {
        return Ok(tested.eq(scalar::attach(input, subquery, names)?));
    }
    let membership = Membership::of(&tested, subquery, &Outer::new(input), names)?;
    let conditions = membership.matching();
    let found = mark(input, membership.right.clone(), conditions, names)?;
    if two_valued || !membership.nullable {
        return Ok(found);
    }
    let unknown = lit(datafusion_common::ScalarValue::Boolean(None));
    let otherwise = if membership.pairs.len() == 1 {
        quantified::unmatched(input, tested, subquery, names)?
    } else {
        let membership = Membership::of(&tested, subquery, &Outer::new(input), names)?;
        let conditions = membership.undecided();
        let undecided = mark(input, membership.right, conditions, names)?;
        when(undecided, unknown).otherwise(lit(false))?
    };
    Ok(when(found, lit(true)).otherwise(otherwise)?)
}

/// Every subquery of `expr`, not those inside of them.
pub(super) fn subqueries_of(expr: &Expr) -> Vec<Arc<LogicalPlan>> {
    let mut found = Vec::new();
    // The closure cannot fail.
    let _ = expr.apply(|part| {
        match part {
            Expr::ScalarSubquery(subquery) => found.push(subquery.subquery.clone()),
            Expr::Exists(exists) => found.push(exists.subquery.subquery.clone()),
            Expr::InSubquery(member) => found.push(member.subquery.subquery.clone()),
            Expr::SetComparison(comparison) => found.push(comparison.subquery.subquery.clone()),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// What the subqueries of `expr` are compared with.
pub(super) fn tested_of(expr: &Expr) -> Vec<Expr> {
    let mut found = Vec::new();
    let _ = expr.apply(|part| {
        match part {
            Expr::InSubquery(member) => found.push(member.expr.as_ref().clone()),
            Expr::SetComparison(comparison) => found.push(comparison.expr.as_ref().clone()),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

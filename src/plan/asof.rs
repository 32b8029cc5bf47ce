//! ASOF JOIN as a logical node, and how it comes out of what the SQL planner makes.
//!
//! The SQL planner knows no ASOF joins: it plans an ordinary join whose right side has a [mark](AsofMark), and when the
//! whole statement is planned [`asof_joins`] takes the marked joins apart: equalities between the sides are the keys, the one
//! comparison between them says what is nearest, and the rest decides whether the nearest row is a partner (a tolerance).
//! `nearest(a, b)` in place of the comparison takes the nearest row on either side.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use datafusion_common::tree_node::Transformed;
use datafusion_common::{Column, DFSchema, DFSchemaRef, DataFusionError, JoinType, Result as PlanResult};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::expr_fn::cast;
use datafusion_expr::logical_plan::builder::build_join_schema;
use datafusion_expr::logical_plan::{Extension, Filter, Join, JoinConstraint};
use datafusion_expr::type_coercion::binary::comparison_coercion;
use datafusion_expr::utils::{conjunction, split_conjunction_owned};
use datafusion_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, UserDefinedLogicalNodeCore};

use crate::error::{Code, Error};

/// The condition for the nearest row on either side.
pub const NEAREST: &str = "nearest";

/// Where the partner of a row is looked for: `left ? right`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Nearest {
    AtOrBefore,
    Before,
    AtOrBehind,
    Behind,
    Either,
}

impl Nearest {
    fn of(operator: Operator) -> Option<Self> {
        Some(match operator {
            Operator::GtEq => Nearest::AtOrBefore,
            Operator::Gt => Nearest::Before,
            Operator::LtEq => Nearest::AtOrBehind,
            Operator::Lt => Nearest::Behind,
            _ => return None,
        })
    }

    fn flipped(self) -> Self {
        match self {
            Nearest::AtOrBefore => Nearest::AtOrBehind,
            Nearest::Before => Nearest::Behind,
            Nearest::AtOrBehind => Nearest::AtOrBefore,
            Nearest::Behind => Nearest::Before,
            Nearest::Either => Nearest::Either,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Nearest::AtOrBefore => ">=",
            Nearest::Before => ">",
            Nearest::AtOrBehind => "<=",
            Nearest::Behind => "<",
            Nearest::Either => NEAREST,
        }
    }
}

/// Marks the right side of an ASOF join.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct AsofMark {
    input: LogicalPlan,
}

/// `plan` as the right side of an ASOF join, until [`asof_joins`] has seen the join.
pub fn asof_right(plan: LogicalPlan) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(AsofMark { input: plan }) })
}

/// Each row of the left side with its one partner of the right.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AsofJoin {
    pub left: LogicalPlan,
    pub right: LogicalPlan,
    /// Expressions over the left and over the right side, of one type each, that have to be equal.
    pub keys: Vec<(Expr, Expr)>,
    /// The values that are compared, of one type.
    pub values: (Expr, Expr),
    pub nearest: Nearest,
    /// What else the partner has to satisfy.
    pub residual: Option<Expr>,
    /// Whether left rows without a partner come out with NULLs.
    pub outer: bool,
    schema: DFSchemaRef,
}

/// Whether `expr` reads columns of `schema` alone, at least one.
fn reads_only(expr: &Expr, schema: &DFSchema) -> bool {
    let columns = expr.column_refs();
    !columns.is_empty() && columns.iter().all(|column| schema.has_column(column))
}

fn invalid(message: &str) -> DataFusionError {
    Error::new(Code::InvalidQuery, message)
        .hint("… ASOF JOIN … ON a.key = b.key AND a.time >= b.time; a tolerance may follow: AND a.time - b.time <= …")
        .into()
}

impl AsofJoin {
    /// The join of these sides by `condition`.
    ///
    /// # Errors
    /// `INVALID_QUERY` when the condition has no comparison between the sides or several, or their types have nothing in common.
    pub fn new(left: LogicalPlan, right: LogicalPlan, condition: Vec<Expr>, outer: bool) -> PlanResult<Self> {
        let (mut keys, mut values, mut residual) = (Vec::new(), None, Vec::new());
        for conjunct in condition.into_iter().flat_map(split_conjunction_owned) {
            match sides(&conjunct, left.schema(), right.schema()) {
                Some((pair, None)) => keys.push(of_one_type(pair, left.schema(), right.schema())?),
                Some((pair, Some(nearest))) if values.is_none() => {
                    values = Some((of_one_type(pair, left.schema(), right.schema())?, nearest));
                }
                Some((_, Some(_))) => {
                    return Err(invalid("an ASOF JOIN has two comparisons (>=, >, <=, <) between its sides"));
                }
                None => residual.push(conjunct),
            }
        }
        let Some((values, nearest)) = values else {
            return Err(invalid("an ASOF JOIN needs a comparison (>=, >, <=, <) between its sides"));
        };
        let schema = join_schema(&left, &right, outer)?;
        Ok(AsofJoin { left, right, keys, values, nearest, residual: conjunction(residual), outer, schema })
    }

    /// The same join as a plan.
    pub fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }
}

fn join_schema(left: &LogicalPlan, right: &LogicalPlan, outer: bool) -> PlanResult<DFSchemaRef> {
    let join_type = if outer { JoinType::Left } else { JoinType::Inner };
    Ok(Arc::new(build_join_schema(left.schema(), right.schema(), &join_type)?))
}

/// What a condition says of an expression of the left side and one of the right: `None` for equality.
fn sides(expr: &Expr, left: &DFSchema, right: &DFSchema) -> Option<((Expr, Expr), Option<Nearest>)> {
    let (one, other, nearest) = match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => (left.as_ref(), right.as_ref(), None),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => (left.as_ref(), right.as_ref(), Some(Nearest::of(*op)?)),
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == NEAREST => match args.as_slice() {
            [one, other] => (one, other, Some(Nearest::Either)),
            _ => return None,
        },
        _ => return None,
    };
    if reads_only(one, left) && reads_only(other, right) {
        Some(((one.clone(), other.clone()), nearest))
    } else if reads_only(one, right) && reads_only(other, left) {
        Some(((other.clone(), one.clone()), nearest.map(Nearest::flipped)))
    } else {
        None
    }
}

/// Both expressions in the type in which they compare.
fn of_one_type(pair: (Expr, Expr), left: &DFSchema, right: &DFSchema) -> PlanResult<(Expr, Expr)> {
    let types = (pair.0.get_type(left)?, pair.1.get_type(right)?);
    if types.0 == types.1 {
        return Ok(pair);
    }
    let Some(common) = comparison_coercion(&types.0, &types.1) else {
        return Err(invalid(&format!("the sides of an ASOF JOIN compare {} with {}", types.0, types.1)));
    };
    let as_common = |expr: Expr, data_type| if data_type == common { expr } else { cast(expr, common.clone()) };
    Ok((as_common(pair.0, types.0), as_common(pair.1, types.1)))
}

/// The plan with every join whose right side is marked as an ASOF join.
///
/// # Errors
/// As [`AsofJoin::new`]; `NOT_SUPPORTED` for RIGHT and FULL.
pub fn asof_joins(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let replaced = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) => match unmarked(&join.right) {
            Some(right) => Ok(Transformed::yes(asof_join(&join, right)?)),
            None => Ok(Transformed::no(LogicalPlan::Join(join))),
        },
        node => Ok(Transformed::no(node)),
    })?;
    Ok(replaced.data)
}

/// The plan behind a mark.
fn unmarked(plan: &LogicalPlan) -> Option<LogicalPlan> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    extension.node.as_any().downcast_ref::<AsofMark>().map(|mark| mark.input.clone())
}

fn asof_join(join: &Join, right: LogicalPlan) -> PlanResult<LogicalPlan> {
    let outer = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left => true,
        other => return Err(Error::not_supported(format!("ASOF {other} JOIN")).into()),
    };
    // The last column of USING is the one that is compared.
    let compared = if join.join_constraint == JoinConstraint::Using { join.on.len().checked_sub(1) } else { None };
    let keys = join.on.iter().enumerate().map(|(index, (left, right))| match Some(index) == compared {
        true => left.clone().gt_eq(right.clone()),
        false => left.clone().eq(right.clone()),
    });
    let condition = keys.chain(join.filter.clone()).collect();
    Ok(AsofJoin::new(join.left.as_ref().clone(), right, condition, outer)?.into_plan())
}

/// A filter above an ASOF join with its conditions on the left side alone below the join; `None` when there are none. Those
/// on the right side stay: without a row another one would be the nearest.
pub fn push_into_asof(filter: &Filter) -> PlanResult<Option<LogicalPlan>> {
    let LogicalPlan::Extension(extension) = filter.input.as_ref() else { return Ok(None) };
    let Some(join) = extension.node.as_any().downcast_ref::<AsofJoin>() else { return Ok(None) };
    let conjuncts = split_conjunction_owned(filter.predicate.clone());
    let of_left = |conjunct: &Expr| reads_only(conjunct, join.left.schema()) && !conjunct.is_volatile();
    let (pushed, kept): (Vec<_>, Vec<_>) = conjuncts.into_iter().partition(of_left);
    let Some(pushed) = conjunction(pushed) else { return Ok(None) };
    let left = LogicalPlan::Filter(Filter::try_new(pushed, Arc::new(join.left.clone()))?);
    let plan = AsofJoin { left, ..join.clone() }.into_plan();
    Ok(Some(match conjunction(kept) {
        Some(kept) => LogicalPlan::Filter(Filter::try_new(kept, Arc::new(plan))?),
        None => plan,
    }))
}

impl PartialOrd for AsofMark {
    fn partial_cmp(&self, _other: &Self) -> Option<Ordering> {
        None
    }
}

impl UserDefinedLogicalNodeCore for AsofMark {
    fn name(&self) -> &str {
        "AsofMark"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("AsofMark")
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> PlanResult<Self> {
        match <[LogicalPlan; 1]>::try_from(inputs) {
            Ok([input]) => Ok(AsofMark { input }),
            Err(_) => Err(Error::internal("AsofMark takes one input").into()),
        }
    }
}

impl PartialOrd for AsofJoin {
    fn partial_cmp(&self, _other: &Self) -> Option<Ordering> {
        None
    }
}

impl UserDefinedLogicalNodeCore for AsofJoin {
    fn name(&self) -> &str {
        "AsofJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    /// Keys and values of the left side and of the right in turn, then the rest.
    fn expressions(&self) -> Vec<Expr> {
        let pairs = self.keys.iter().chain([&self.values]);
        let sides = pairs.flat_map(|(left, right)| [left.clone(), right.clone()]);
        sides.chain(self.residual.clone()).collect()
    }

    /// A condition on the left side alone may be pushed, but only there, which a [rule](super::rules) does.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}AsofJoin: ", if self.outer { "Left " } else { "" })?;
        for (left, right) in &self.keys {
            write!(f, "{left} = {right}, ")?;
        }
        write!(f, "{} {} {}", self.values.0, self.nearest.describe(), self.values.1)?;
        match &self.residual {
            Some(residual) => write!(f, " if {residual}"),
            None => Ok(()),
        }
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> PlanResult<Self> {
        let wrong = || DataFusionError::from(Error::internal("AsofJoin: inputs or expressions of another node"));
        let [left, right] = <[LogicalPlan; 2]>::try_from(inputs).map_err(|_| wrong())?;
        let mut exprs = exprs.into_iter();
        let mut pair = || exprs.next().zip(exprs.next()).ok_or_else(wrong);
        let keys = self.keys.iter().map(|_| pair()).collect::<PlanResult<Vec<_>>>()?;
        let values = pair()?;
        let schema = join_schema(&left, &right, self.outer)?;
        let (nearest, outer) = (self.nearest, self.outer);
        Ok(AsofJoin { left, right, keys, values, nearest, residual: exprs.next(), outer, schema })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let own = self.expressions();
        let left_count = self.left.schema().fields().len();
        let read = |schema: &DFSchema, outputs: Vec<usize>| {
            let columns: HashSet<&Column> = own.iter().flat_map(Expr::column_refs).collect();
            let read = columns.into_iter().filter_map(|column| schema.maybe_index_of_column(column));
            let mut all: Vec<usize> = outputs.into_iter().chain(read).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let left = output_columns.iter().copied().filter(|&index| index < left_count).collect();
        let right = output_columns.iter().filter_map(|&index| index.checked_sub(left_count)).collect();
        Some(vec![read(self.left.schema(), left), read(self.right.schema(), right)])
    }
}

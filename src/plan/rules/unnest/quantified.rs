//! Comparisons with ANY and ALL rows of a subquery.
//!
//! `= ANY` is IN and `<> ALL` is NOT IN. The others need only the least or the greatest of the rows, how many there are,
//! and how many are not NULL: one scalar subquery.

use std::sync::Arc;

use datafusion_common::ScalarValue;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_expr::expr::{SetComparison, SetQuantifier};
use datafusion_expr::logical_plan::Aggregate;
use datafusion_expr::{Expr, LogicalPlan, Operator, binary_expr, lit, not, when};

use super::build::{self, Names};
use super::outer::Outer;
use super::{predicate, scalar};
use crate::error::{Error, Result};
use crate::expr::functions;

/// `= ANY` and `<> ALL` as tested value, subquery and whether negated; anything else comes back.
pub(super) fn as_membership(expr: Expr) -> Result<(Expr, Arc<LogicalPlan>, bool), Expr> {
    match expr {
        Expr::SetComparison(comparison) => match (comparison.op, &comparison.quantifier) {
            (Operator::Eq, SetQuantifier::Any) => Ok((*comparison.expr, comparison.subquery.subquery, false)),
            (Operator::NotEq, SetQuantifier::All) => Ok((*comparison.expr, comparison.subquery.subquery, true)),
            _ => Err(Expr::SetComparison(comparison)),
        },
        other => Err(other),
    }
}

/// The comparison as a value; with `two_valued`, NULL may become false.
pub(super) fn value(
    input: &mut LogicalPlan,
    tested: Expr,
    comparison: &SetComparison,
    two_valued: bool,
    names: &mut Names,
) -> Result<Expr> {
    let subquery = comparison.subquery.subquery.as_ref();
    match (comparison.op, &comparison.quantifier) {
        (Operator::Eq, SetQuantifier::Any) => predicate::in_value(input, tested, subquery, two_valued, names),
        (Operator::NotEq, SetQuantifier::All) => Ok(not(predicate::in_value(input, tested, subquery, false, names)?)),
        (operator, quantifier) => {
            let summary = Summary::of(subquery)?;
            let tested = as_reference(tested, input)?;
            let holds = summary.comparison(&tested, operator, quantifier)?;
            let answer = match quantifier {
                SetQuantifier::Any if two_valued => holds,
                SetQuantifier::Any => when(summary.is_empty(), lit(false))
                    .when(holds, lit(true))
                    .when(summary.is_unknown(&tested), unknown())
                    .otherwise(lit(false))?,
                SetQuantifier::All => when(summary.is_empty(), lit(true))
                    .when(not(holds), lit(false))
                    .when(summary.is_unknown(&tested), unknown())
                    .otherwise(lit(true))?,
            };
            summary.attach(input, answer, names)
        }
    }
}

/// What IN answers where nothing is equal: NULL if something is unknown, else false.
pub(super) fn unmatched(
    input: &mut LogicalPlan,
    tested: Expr,
    subquery: &LogicalPlan,
    names: &mut Names,
) -> Result<Expr> {
    let summary = Summary::of(subquery)?;
    let tested = as_reference(tested, input)?;
    let answer =
        when(summary.is_empty(), lit(false)).when(summary.is_unknown(&tested), unknown()).otherwise(lit(false))?;
    summary.attach(input, answer, names)
}

fn unknown() -> Expr {
    lit(ScalarValue::Boolean(None))
}

/// `expr` as the subquery names it.
fn as_reference(expr: Expr, input: &LogicalPlan) -> Result<Expr> {
    let outer = Outer::new(input);
    let replaced = expr.transform(|part| {
        Ok(match &part {
            Expr::Column(column) => Transformed::yes(outer.reference(column)?),
            _ => Transformed::no(part),
        })
    })?;
    Ok(replaced.data)
}

/// The least and greatest value, how many rows, how many not NULL.
struct Summary {
    rows: LogicalPlan,
    value: Expr,
}

const ROWS: &str = "rows";
const KNOWN: &str = "known";
const LEAST: &str = "least";
const GREATEST: &str = "greatest";

impl Summary {
    fn of(subquery: &LogicalPlan) -> Result<Self> {
        let columns = subquery.schema().columns();
        let [value] = columns.as_slice() else {
            return Err(Error::internal("a compared subquery without a single column"));
        };
        Ok(Summary { rows: subquery.clone(), value: Expr::Column(value.clone()) })
    }

    fn is_empty(&self) -> Expr {
        build::bare(ROWS).eq(lit(0_i64))
    }

    /// Whether a comparison with some row is NULL.
    fn is_unknown(&self, tested: &Expr) -> Expr {
        tested.clone().is_null().or(build::bare(KNOWN).lt(build::bare(ROWS)))
    }

    /// Whether the comparison holds for the row that decides.
    fn comparison(&self, tested: &Expr, operator: Operator, quantifier: &SetQuantifier) -> Result<Expr> {
        let with = |extreme: &str| binary_expr(tested.clone(), operator, build::bare(extreme));
        Ok(match (operator, quantifier) {
            (Operator::Lt | Operator::LtEq, SetQuantifier::Any)
            | (Operator::Gt | Operator::GtEq, SetQuantifier::All) => with(GREATEST),
            (Operator::Lt | Operator::LtEq, SetQuantifier::All)
            | (Operator::Gt | Operator::GtEq, SetQuantifier::Any) => with(LEAST),
            (Operator::NotEq, SetQuantifier::Any) => with(LEAST).or(with(GREATEST)),
            (Operator::Eq, SetQuantifier::All) => with(LEAST).and(with(GREATEST)),
            _ => return Err(Error::not_supported(format!("{operator} with ANY or ALL rows of a subquery"))),
        })
    }

    /// The scalar subquery that gives `answer` over the summary.
    fn attach(self, input: &mut LogicalPlan, answer: Expr, names: &mut Names) -> Result<Expr> {
        let call = |name: &str, argument: Expr| -> Result<Expr> {
            let function = functions().aggregate.get(name);
            let function = function.ok_or_else(|| Error::internal(format!("there is no function {name}")))?;
            Ok(function.call(vec![argument]))
        };
        let calls = vec![
            call("count", lit(1_i64))?.alias(ROWS),
            call("count", self.value.clone())?.alias(KNOWN),
            call("min", self.value.clone())?.alias(LEAST),
            call("max", self.value)?.alias(GREATEST),
        ];
        let used = |name: &str| answer.column_refs().iter().any(|column| column.name == name);
        let calls: Vec<Expr> =
            calls.into_iter().filter(|call| matches!(call, Expr::Alias(alias) if used(&alias.name))).collect();
        let summary = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(self.rows), Vec::new(), calls)?);
        let plan = build::project(summary, vec![answer.alias("answer")])?;
        scalar::attach(input, &plan, names)
    }
}

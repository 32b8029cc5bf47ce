//! Which conditions of a join compare its sides by order, and the range join by them.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion_common::{Column, DFSchema};
use datafusion_expr::utils::{conjunction, split_conjunction_owned};
use datafusion_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};

use super::Lowering;
use crate::error::Result;
use crate::expr::Evaluator;
use crate::ops::join::nested_loop::NestedLoop;
use crate::ops::join::range::{Comparison, KeyedSide, RangeJoin, is_ordered};

/// `probe ? build`.
struct Term {
    probe: Expr,
    build: Expr,
    comparison: Comparison,
}

/// A condition taken apart.
pub(super) struct RangeCondition {
    first: Term,
    second: Option<Term>,
    residual: Option<Expr>,
}

impl RangeCondition {
    /// The comparisons between the sides that `condition` holds, if there are any.
    pub(super) fn of(condition: &Expr, probe: &LogicalPlan, build: &LogicalPlan) -> Option<Self> {
        let conjuncts = split_conjunction_owned(condition.clone()).into_iter().flat_map(without_between);
        let (mut terms, mut residual) = (Vec::new(), Vec::new());
        for conjunct in conjuncts {
            match term(&conjunct, probe.schema(), build.schema()) {
                Some(term) => terms.push((term, conjunct)),
                None => residual.push(conjunct),
            }
        }
        let mut terms = terms.into_iter();
        let (first, _) = terms.next()?;
        let mut others: Vec<(Term, Expr)> = terms.collect();
        // Two comparisons in opposite directions, as of intervals that overlap, select the most.
        let is_opposite = |(term, _): &(Term, Expr)| is_less(term.comparison) != is_less(first.comparison);
        let second = match others.iter().position(is_opposite) {
            Some(position) => Some(others.remove(position).0),
            None if others.is_empty() => None,
            None => Some(others.remove(0).0),
        };
        residual.extend(others.into_iter().map(|(_, conjunct)| conjunct));
        Some(RangeCondition { first, second, residual: conjunction(residual) })
    }
}

fn is_less(comparison: Comparison) -> bool {
    matches!(comparison, Comparison::Less | Comparison::LessOrEqual)
}

/// `a BETWEEN b AND c` as two comparisons.
fn without_between(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::Between(between) if !between.negated && !between.expr.is_volatile() => {
            vec![between.expr.clone().gt_eq(*between.low), between.expr.lt_eq(*between.high)]
        }
        other => vec![other],
    }
}

fn term(expr: &Expr, probe: &DFSchema, build: &DFSchema) -> Option<Term> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    let comparison = match op {
        Operator::Lt => Comparison::Less,
        Operator::LtEq => Comparison::LessOrEqual,
        Operator::Gt => Comparison::Greater,
        Operator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    };
    let (left, right) = (left.as_ref(), right.as_ref());
    let term = match (reads_only(left, probe), reads_only(right, build)) {
        (true, true) => Term { probe: left.clone(), build: right.clone(), comparison },
        _ if reads_only(left, build) && reads_only(right, probe) => {
            Term { probe: right.clone(), build: left.clone(), comparison: comparison.flipped() }
        }
        _ => return None,
    };
    let data_type = term.probe.get_type(probe).ok()?;
    let same = term.build.get_type(build).is_ok_and(|other| other == data_type);
    (same && is_ordered(&data_type)).then_some(term)
}

/// Whether `expr` is computed from columns of `schema` alone, of which it reads at least one.
fn reads_only(expr: &Expr, schema: &DFSchema) -> bool {
    let columns = expr.column_refs();
    !columns.is_empty() && !expr.is_volatile() && columns.iter().all(|column| schema.has_column(column))
}

impl Lowering<'_> {
    /// The range join of the sides of `nested`.
    pub(super) fn range_join(
        &self,
        nested: Arc<NestedLoop>,
        condition: RangeCondition,
        probe: &LogicalPlan,
        build: &LogicalPlan,
    ) -> Result<RangeJoin> {
        let RangeCondition { first, second, residual } = condition;
        let keys = |of: fn(&Term) -> &Expr| (of(&first), second.as_ref().map(of));
        let (probe_side, probe_key) = self.keyed_side(keys(|term| &term.probe), probe)?;
        let (build_side, build_key) = self.keyed_side(keys(|term| &term.build), build)?;
        let residual = residual.map(|residual| self.condition(&residual, probe, build)).transpose()?;
        let comparisons = (first.comparison, second.as_ref().map(|second| second.comparison));
        RangeJoin::new(nested, (probe_side, build_side), (probe_key, build_key), comparisons, residual)
    }

    /// One side with its keys, and the first key over its batches.
    fn keyed_side(&self, keys: (&Expr, Option<&Expr>), plan: &LogicalPlan) -> Result<(KeyedSide, Evaluator)> {
        let schema = plan.schema();
        let mut types: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
        let mut computed = Vec::new();
        let mut column = |key: &Expr| -> Result<usize> {
            if let Expr::Column(column) = key {
                return Ok(schema.index_of_column(column)?);
            }
            let evaluator = self.compile(key, schema)?;
            types.push(evaluator.data_type().clone());
            computed.push(evaluator);
            Ok(types.len() - 1)
        };
        let first = column(keys.0)?;
        let second = keys.1.map(&mut column).transpose()?;
        // Names of columns may be there twice.
        let field = |(index, data_type)| Field::new(format!("c{index}"), data_type, true);
        let keyed = Schema::new(types.into_iter().enumerate().map(field).collect::<Vec<_>>());
        let names = DFSchema::try_from(keyed.clone())?;
        let key = self.compile(&Expr::Column(Column::from_name(format!("c{first}"))), &names)?;
        Ok((KeyedSide::new(Arc::new(keyed), computed, first, second), key))
    }
}

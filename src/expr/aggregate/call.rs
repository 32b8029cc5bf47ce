//! One aggregate call of a query, compiled.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::expr::{AggregateFunction, NullTreatment};
use datafusion_expr::{Expr, ExprSchemable, GroupsAccumulator};
use datafusion_physical_expr::PhysicalSortExpr;
use datafusion_physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};

use super::adapter::PerGroup;
use super::percentile::PercentileGroups;
use crate::error::{Code, Error, Result};
use crate::expr::compiler::Compiler;
use crate::expr::evaluator::Evaluator;
use crate::expr::fold::unchecked;
use crate::expr::functions::CountGroups;

/// An aggregate function with its arguments, e.g. `sum(DISTINCT a + 1) FILTER (WHERE b > 0)`. Immutable, shared.
#[derive(Debug, Clone)]
pub struct AggregateCall {
    function: Arc<AggregateFunctionExpr>,
    arguments: Vec<Evaluator>,
    filter: Option<Evaluator>,
    field: FieldRef,
    text: String,
}

impl AggregateCall {
    /// Compiles `expr`, an aggregate function that may have an alias, over rows of `schema`.
    ///
    /// # Errors
    /// As [`Compiler::compile`]; `NOT_SUPPORTED` for an ORDER BY that the function would not keep.
    pub fn compile(expr: &Expr, schema: &DFSchema, compiler: &Compiler) -> Result<Self> {
        let (_, field) = expr.to_field(schema)?;
        let Expr::AggregateFunction(AggregateFunction { func, params }) = without_alias(expr) else {
            return Err(Error::internal(format!("{expr} is not an aggregate")));
        };
        let input = schema.as_arrow();
        let trees =
            params.args.iter().map(|argument| compiler.physical(argument, schema)).collect::<Result<Vec<_>>>()?;
        let mut order = Vec::new();
        for sort in &params.order_by {
            let options = SortOptions { descending: !sort.asc, nulls_first: sort.nulls_first };
            order.push(PhysicalSortExpr { expr: compiler.physical(&sort.expr, schema)?, options });
        }
        let filter = params.filter.as_ref().map(|filter| compiler.compile(filter, schema)).transpose()?;
        let function = AggregateExprBuilder::new(func.clone(), trees)
            .order_by(order)
            .schema(Arc::new(input.clone()))
            .alias(field.name())
            .with_ignore_nulls(params.null_treatment == Some(NullTreatment::IgnoreNulls))
            .with_distinct(params.distinct)
            .build()?;
        let text = unchecked(without_alias(expr).clone())?.to_string();
        if !keeps_order(&function) {
            return Err(Error::new(Code::NotSupported, format!("ORDER BY in {text} is not supported yet")));
        }
        let inputs = function.all_expressions();
        let arguments = inputs
            .args
            .into_iter()
            .chain(inputs.order_by_exprs)
            .map(|tree| Evaluator::new(tree, input))
            .collect::<Result<_>>()?;
        Ok(AggregateCall { function: Arc::new(function), arguments, filter, field, text })
    }

    /// What is evaluated for each row and given to the accumulator: the arguments, then the keys of its ORDER BY.
    /// There is always at least one.
    pub fn arguments(&self) -> &[Evaluator] {
        &self.arguments
    }

    /// The condition of FILTER; give its result (a boolean array, NULLs allowed) to the accumulator.
    pub fn filter(&self) -> Option<&Evaluator> {
        self.filter.as_ref()
    }

    /// Whether it is over distinct arguments. The accumulators see to that themselves.
    pub fn is_distinct(&self) -> bool {
        self.function.is_distinct()
    }

    /// Whether the order of the rows matters, and the call says which.
    pub fn is_ordered(&self) -> bool {
        !self.function.order_bys().is_empty()
    }

    /// Whether this is `count(*)` or a count of some other constant: the number of rows.
    pub fn counts_rows(&self) -> bool {
        self.function.fun().name() == "count"
            && !self.is_distinct()
            && self.arguments.iter().all(Evaluator::is_constant_not_null)
    }

    /// Whether the state has a fixed size, as that of `sum` has and that of `array_agg` has not.
    pub fn has_small_state(&self) -> Result<bool> {
        Ok(self.function.groups_accumulator_supported()
            && self
                .state_fields()?
                .iter()
                .all(|field| field.data_type().is_primitive() || matches!(field.data_type(), DataType::Boolean)))
    }

    /// A new, empty accumulator.
    ///
    /// Every group must occur in the batch that introduces it (raises `total_num_groups`); a group that no batch
    /// reaches has [`empty_value`](Self::empty_value).
    pub fn accumulator(&self) -> Result<Box<dyn GroupsAccumulator>> {
        if self.function.fun().name() == "count" && !self.is_distinct() && self.arguments.len() == 1 {
            return Ok(Box::new(CountGroups::default()));
        }
        if self.function.groups_accumulator_supported() {
            let accumulator = self.function.create_groups_accumulator()?;
            return Ok(match self.function.fun().name() {
                "percentile_cont" => Box::new(PercentileGroups(accumulator)),
                _ => accumulator,
            });
        }
        Ok(Box::new(PerGroup::new(self.function.clone(), self.state_fields()?)))
    }

    /// The library's function, for accumulators that are not grouped.
    pub(in crate::expr) fn function(&self) -> &Arc<AggregateFunctionExpr> {
        &self.function
    }

    /// The columns of the state that the accumulator's `state` gives and `merge_batch` takes.
    pub fn state_fields(&self) -> Result<Vec<FieldRef>> {
        Ok(self.function.state_fields()?)
    }

    /// The output column: name, type and nullability as in the logical plan.
    pub fn field(&self) -> FieldRef {
        self.field.clone()
    }

    /// The value over no rows at all: zero for counts, NULL for nearly everything else.
    pub fn empty_value(&self) -> Result<ScalarValue> {
        Ok(self.function.create_accumulator()?.evaluate()?)
    }

    /// The call as SQL-like text, for EXPLAIN and messages.
    pub fn describe(&self) -> String {
        self.text.clone()
    }
}

fn without_alias(mut expr: &Expr) -> &Expr {
    while let Expr::Alias(alias) = expr {
        expr = &alias.expr;
    }
    expr
}

/// Whether the function, fed rows in any order, gives what its ORDER BY asks for.
fn keeps_order(function: &AggregateFunctionExpr) -> bool {
    // These sort what they collect (nth_value does not); percentiles take the ORDER BY of WITHIN GROUP as their argument.
    const SORTING: [&str; 7] = [
        "array_agg",
        "string_agg",
        "first_value",
        "last_value",
        "percentile_cont",
        "approx_percentile_cont",
        "approx_percentile_cont_with_weight",
    ];
    function.order_bys().is_empty() || SORTING.contains(&function.fun().name())
}

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
use super::gathering::{GatherOrder, Gathering};
use crate::error::{Code, Error, Result};
use crate::expr::compiler::Compiler;
use crate::expr::evaluator::Evaluator;
use crate::expr::floats;
use crate::expr::fold::unchecked;
use crate::expr::functions::{CountGroups, TextExtreme};

/// An aggregate function with its arguments, e.g. `sum(DISTINCT a + 1) FILTER (WHERE b > 0)`. Immutable, shared.
#[derive(Debug, Clone)]
pub struct AggregateCall {
    function: Arc<AggregateFunctionExpr>,
    /// For a call over distinct arguments: the function that takes them once they are distinct.
    undistinguished: Option<Arc<AggregateFunctionExpr>>,
    arguments: Vec<Evaluator>,
    filter: Option<Evaluator>,
    /// For a call whose state would grow: what it makes of all values. Its arguments are then the value and the keys of its
    /// ORDER BY, for which these are the directions.
    gathering: Option<Gathering>,
    directions: Vec<SortOptions>,
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
        let distinct = params.distinct && !IGNORES_DUPLICATES.contains(&func.name());
        let builder = AggregateExprBuilder::new(func.clone(), trees)
            .order_by(order)
            .schema(Arc::new(input.clone()))
            .alias(field.name())
            .with_ignore_nulls(params.null_treatment == Some(NullTreatment::IgnoreNulls));
        let function = builder.clone().with_distinct(distinct).build()?;
        let undistinguished = if distinct { Some(Arc::new(builder.build()?)) } else { None };
        let text = unchecked(without_alias(expr).clone())?.to_string();
        let gathering = Gathering::of(&function)?;
        let inputs = function.all_expressions();
        let (mut values, mut keys) = (inputs.args, inputs.order_by_exprs);
        let mut directions: Vec<SortOptions> = function.order_bys().iter().map(|key| key.options).collect();
        if let Some(gathering) = &gathering {
            values.truncate(1);
            if matches!(gathering, Gathering::Quantiles { .. } | Gathering::Mode) {
                // WITHIN GROUP (ORDER BY …) names the value; its direction is in the fractions.
                (keys, directions) = (Vec::new(), Vec::new());
            }
            if distinct && !keys.iter().all(|key| values.contains(key)) {
                let message = "in an aggregate with DISTINCT, ORDER BY takes the argument itself";
                return Err(Error::new(Code::InvalidQuery, message));
            }
        } else if !keeps_order(&function) {
            return Err(Error::new(Code::NotSupported, format!("ORDER BY in {text} is not supported yet")));
        }
        let arguments =
            values.into_iter().chain(keys).map(|tree| Evaluator::new(tree, input)).collect::<Result<_>>()?;
        let function = Arc::new(function);
        Ok(AggregateCall { function, undistinguished, arguments, filter, gathering, directions, field, text })
    }

    /// The same call over other rows: `place` says where each input (arguments, then the filter) is found in them.
    #[must_use = "the call itself stays as it is"]
    pub fn over(&self, mut place: impl FnMut(&Evaluator) -> Result<Evaluator>) -> Result<Self> {
        let arguments = self.arguments.iter().map(&mut place).collect::<Result<_>>()?;
        let filter = self.filter.as_ref().map(place).transpose()?;
        Ok(AggregateCall { arguments, filter, ..self.clone() })
    }

    /// The same call with another filter.
    #[must_use]
    pub fn with_filter(mut self, filter: Option<Evaluator>) -> Self {
        self.filter = filter;
        self
    }

    /// The call for rows whose arguments are distinct already.
    #[must_use]
    pub fn without_distinct(mut self) -> Self {
        if let Some(function) = self.undistinguished.take() {
            self.function = function;
        }
        self
    }

    /// What is evaluated for each row and given to the accumulator: the arguments, then the keys of its ORDER BY.
    /// There is always at least one.
    pub fn arguments(&self) -> &[Evaluator] {
        &self.arguments
    }

    /// All that is evaluated for each row: the arguments, then the filter.
    pub fn inputs(&self) -> impl Iterator<Item = &Evaluator> {
        self.arguments.iter().chain(&self.filter)
    }

    /// The condition of FILTER; give its result (a boolean array, NULLs allowed) to the accumulator.
    pub fn filter(&self) -> Option<&Evaluator> {
        self.filter.as_ref()
    }

    /// What it makes of all values of a group, where its state would grow with them.
    pub fn gathering(&self) -> Option<&Gathering> {
        self.gathering.as_ref()
    }

    /// The order in which it wants the values, of those that it gathers.
    pub fn order(&self) -> GatherOrder {
        match &self.gathering {
            Some(_) if !self.directions.is_empty() => GatherOrder::Given,
            _ if self.is_distinct() => GatherOrder::Value,
            Some(gathering) => gathering.order(),
            None => GatherOrder::Free,
        }
    }

    /// The directions of its ORDER BY, whose keys are the last arguments.
    pub fn directions(&self) -> &[SortOptions] {
        &self.directions
    }

    /// Whether it is over distinct arguments. The accumulators see to that themselves.
    pub fn is_distinct(&self) -> bool {
        self.function.is_distinct()
    }

    /// Whether this is `count(*)` or a count of some other constant: the number of rows.
    pub fn counts_rows(&self) -> bool {
        self.function.fun().name() == "count"
            && !self.is_distinct()
            && self.arguments.iter().all(Evaluator::is_constant_not_null)
    }

    /// A new, empty accumulator.
    ///
    /// Every group must occur in the batch that introduces it (raises `total_num_groups`); a group that no batch
    /// reaches has [`empty_value`](Self::empty_value).
    pub fn accumulator(&self) -> Result<Box<dyn GroupsAccumulator>> {
        if self.function.fun().name() == "count" && !self.is_distinct() && self.arguments.len() == 1 {
            return Ok(Box::new(CountGroups::default()));
        }
        if let [argument] = self.arguments.as_slice()
            && let Some(extreme) = floats::extreme(self.function.fun().name(), argument.data_type())
        {
            return Ok(extreme);
        }
        if let ("min" | "max", [argument]) = (self.function.fun().name(), self.arguments.as_slice())
            && argument.data_type() == &DataType::Utf8View
        {
            return Ok(Box::new(TextExtreme::new(self.function.fun().name() == "max")));
        }
        if self.function.groups_accumulator_supported() {
            let accumulator = self.function.create_groups_accumulator()?;
            return Ok(accumulator);
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

/// Functions that give the same over distinct arguments as over all.
const IGNORES_DUPLICATES: [&str; 10] = [
    "min",
    "max",
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "any_value",
    "first_value",
    "last_value",
    "approx_distinct",
];

fn without_alias(mut expr: &Expr) -> &Expr {
    while let Expr::Alias(alias) = expr {
        expr = &alias.expr;
    }
    expr
}

/// Whether the function, fed rows in any order, gives what its ORDER BY asks for.
fn keeps_order(function: &AggregateFunctionExpr) -> bool {
    // Percentiles take the ORDER BY of WITHIN GROUP as their argument.
    const SORTING: [&str; 2] = ["approx_percentile_cont", "approx_percentile_cont_with_weight"];
    function.order_bys().is_empty() || SORTING.contains(&function.fun().name())
}

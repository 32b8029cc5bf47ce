//! Logical expressions to evaluators.
//!
//! A [`Compiler`] lives as long as one query: it holds the query's start time, so that `now()` is one value
//! everywhere, and the settings that functions read (time zone).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, Result as DataFusionResult};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion_expr::{Expr, Volatility};
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};

use crate::error::Result;
use crate::expr::casts::own_casts_of;
use crate::expr::evaluator::Evaluator;
use crate::expr::rewrite::checked;

/// What all expressions of one query are compiled with.
#[derive(Debug, Clone)]
pub struct Compiler {
    start: DateTime<Utc>,
    properties: ExecutionProps,
}

impl Compiler {
    /// A compiler for a query that started at `start`, with the settings `options` (time zone and the like). Give the
    /// optimizer the same two, so that both see the same `now()`.
    pub fn new(start: DateTime<Utc>, options: Arc<ConfigOptions>) -> Self {
        let mut properties = ExecutionProps::new().with_query_execution_start_time(start);
        properties.config_options = Some(options);
        Compiler { start, properties }
    }

    /// A compiler for a query that starts now, with default settings.
    pub fn starting_now() -> Self {
        Compiler::new(Utc::now(), Arc::new(ConfigOptions::default()))
    }

    /// When the query started: the value of `now()`.
    pub fn start(&self) -> DateTime<Utc> {
        self.start
    }

    /// Compiles `expr` over batches with the columns of `schema`. Operand types must have been coerced, as the
    /// analyzer does; an alias is dropped.
    ///
    /// # Errors
    /// `UNKNOWN_COLUMN`, `INVALID_QUERY` for types that do not fit, `NOT_SUPPORTED` for subqueries and windows.
    pub fn compile(&self, expr: &Expr, schema: &DFSchema) -> Result<Evaluator> {
        let compiled = self.physical(expr, schema)?;
        Evaluator::new(compiled, schema.as_arrow())
    }

    /// Compiles every one of `exprs`.
    pub fn compile_all<'a>(
        &self,
        exprs: impl IntoIterator<Item = &'a Expr>,
        schema: &DFSchema,
    ) -> Result<Vec<Evaluator>> {
        exprs.into_iter().map(|expr| self.compile(expr, schema)).collect()
    }

    /// The library's tree for `expr`, with floe's own nodes where the library would wrap.
    pub(super) fn physical(&self, expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
        let expr = own_casts_of(self.with_start_time(expr.clone(), schema)?, schema)?;
        let context = PhysicalPlanningContext::default();
        let tree = create_physical_expr(&expr, schema, &self.properties, &context)?;
        Ok(checked(tree, schema.as_arrow())?)
    }

    /// Functions of the query's start time (`now()`, `current_date`) as the value that they have in this query.
    pub(super) fn with_start_time(&self, expr: Expr, schema: &DFSchema) -> DataFusionResult<Expr> {
        let is_stable = |expr: &Expr| matches!(expr, Expr::ScalarFunction(call) if call.func.signature().volatility == Volatility::Stable);
        if !expr.exists(|expr| Ok(is_stable(expr)))? {
            return Ok(expr);
        }
        let mut context = SimplifyContext::builder()
            .with_schema(Arc::new(schema.clone()))
            .with_query_execution_start_time(Some(self.start));
        if let Some(options) = &self.properties.config_options {
            context = context.with_config_options(options.clone());
        }
        let context = context.build();
        let replaced = expr.transform_up(|expr| match expr {
            Expr::ScalarFunction(ScalarFunction { func, args })
                if func.signature().volatility == Volatility::Stable =>
            {
                Ok(match func.simplify(args, &context)? {
                    ExprSimplifyResult::Simplified(value) => Transformed::yes(value),
                    ExprSimplifyResult::Original(args) => {
                        Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args }))
                    }
                })
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(replaced.data)
    }
}

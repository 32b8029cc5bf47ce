//! From the optimised logical plan to pipelines.
//!
//! One function per plan node, one file per family. A streaming node adds its operator to every branch of its input; a
//! node that has to see all its input ends the pipeline in a sink, whose output the next pipeline reads.

mod aggregate;
mod asof;
mod cte;
mod extension;
mod join;
mod nested_join;
mod parts;
mod portions;
mod project;
mod range_join;
mod recursive;
mod runtime_filters;
mod sample;
mod scan;
mod sort;
mod union;
mod unnest;
mod values;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion_common::DFSchema;
use datafusion_expr::{Expr, LogicalPlan};

use self::parts::WantedParts;
use self::runtime_filters::RuntimeFilters;
use super::physical::{Branch, Input, PhysicalPlan, Pipeline, UncertainScan};
use super::statistics::Estimator;
use crate::error::{Error, Result};
use crate::expr::{Compiler, Evaluator};
use crate::ops::join::hash::JoinShare;
use crate::ops::{DynSink, Operator};
use crate::store::QueryContext;
use recursive::Bound;

/// Lowers an optimised plan to pipelines.
///
/// # Errors
/// `NOT_SUPPORTED` for a node or expression that floe does not run yet.
pub fn lower(plan: &LogicalPlan, context: &Arc<QueryContext>, compiler: &Compiler) -> Result<PhysicalPlan> {
    let mut lowering = Lowering::new(plan, context, compiler);
    lowering.parts = WantedParts::of(plan);
    let branches = lowering.node(plan)?;
    lowering.add_pipeline(branches, None);
    let (pipelines, uncertain) = (lowering.pipelines, lowering.uncertain);
    Ok(PhysicalPlan { pipelines, schema: plan.schema().inner().clone(), uncertain })
}

struct Lowering<'a> {
    context: &'a Arc<QueryContext>,
    compiler: &'a Compiler,
    estimator: Estimator,
    pipelines: Vec<Pipeline>,
    /// The pipelines of shared tables, by the table's number.
    shared: HashMap<u64, usize>,
    join_share: Arc<JoinShare>,
    runtime_filters: RuntimeFilters,
    parts: WantedParts,
    /// Below a sample: files are cut into the same splits whatever the threads.
    samples: bool,
    /// Scans of columns whose types rest on samples.
    uncertain: Vec<UncertainScan>,
    /// Within a recursive term: what its rounds read.
    bound: Bound,
}

/// The open end of a pipeline.
struct Branches {
    /// Their rows follow one another.
    branches: Vec<Branch>,
    /// Pipelines that have to finish first, beyond those the branches read.
    after: Vec<usize>,
}

impl Branches {
    /// The beginning of a pipeline.
    fn over(input: Input) -> Self {
        Branches { branches: vec![Branch { input, operators: Vec::new() }], after: Vec::new() }
    }
}

impl<'a> Lowering<'a> {
    fn new(plan: &LogicalPlan, context: &'a Arc<QueryContext>, compiler: &'a Compiler) -> Self {
        Lowering {
            context,
            compiler,
            estimator: Estimator::new(plan, context.clone()),
            pipelines: Vec::new(),
            shared: HashMap::new(),
            join_share: Arc::default(),
            runtime_filters: RuntimeFilters::default(),
            parts: WantedParts::default(),
            samples: false,
            uncertain: Vec::new(),
            bound: Bound::default(),
        }
    }

    fn node(&mut self, plan: &LogicalPlan) -> Result<Branches> {
        if let Some(source) = self.bound.part(plan) {
            return Ok(Branches::over(Input::Source(source.clone())));
        }
        match plan {
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Sort(sort) => self.sort(sort, 0, None),
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::TableScan(scan) => self.table_scan(scan),
            LogicalPlan::EmptyRelation(empty) => self.empty_relation(empty),
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::SubqueryAlias(alias) => self.node(&alias.input),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            LogicalPlan::RecursiveQuery(recursive) => self.recursive(recursive),
            LogicalPlan::Extension(extension) => self.extension(extension),
            LogicalPlan::Subquery(_) => Err(Error::not_supported("a subquery in an expression")),
            other => Err(Error::not_supported(format!("the plan node {}", other.display()))),
        }
    }

    /// About how many rows `plan`, a part of the plan that is lowered, gives.
    fn estimated_rows(&self, plan: &LogicalPlan) -> f64 {
        self.estimator.estimate(plan).rows
    }

    fn compile(&self, expr: &Expr, schema: &DFSchema) -> Result<Evaluator> {
        self.compiler.compile(expr, schema)
    }

    /// Ends the open pipeline in `sink`; the new one reads its output.
    fn end_pipeline(&mut self, branches: Branches, sink: Arc<dyn DynSink>) -> Branches {
        Branches::over(Input::Pipeline(self.add_pipeline(branches, Some(sink))))
    }

    /// Adds a whole pipeline; gives its index.
    fn add_pipeline(&mut self, branches: Branches, sink: Option<Arc<dyn DynSink>>) -> usize {
        let Branches { branches, after } = branches;
        self.pipelines.push(Pipeline { branches, sink, after });
        self.pipelines.len() - 1
    }
}

fn with_operator(mut branches: Branches, operator: Arc<dyn Operator>) -> Branches {
    for branch in &mut branches.branches {
        branch.operators.push(operator.clone());
    }
    branches
}

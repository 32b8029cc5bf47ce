//! SAMPLE in a plan.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion_common::{DFSchemaRef, Result as PlanResult};
use datafusion_expr::logical_plan::Extension;
use datafusion_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use crate::error::Error;

/// How rows are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SampleMethod {
    /// Each row for itself.
    Bernoulli,
    /// Runs of rows.
    System,
    /// As many rows as asked.
    Reservoir,
}

/// How much is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SampleSize {
    /// 0 to 100.
    Percent(f64),
    Rows(u64),
}

/// A sample as it is written; without a seed every planning takes another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleClause {
    pub method: SampleMethod,
    pub size: SampleSize,
    pub seed: Option<u64>,
}

/// The sample of `plan`.
pub fn sample(plan: LogicalPlan, clause: SampleClause) -> LogicalPlan {
    let seed = clause.seed.unwrap_or_else(|| {
        use std::hash::BuildHasher;
        std::hash::RandomState::new().hash_one(0)
    });
    LogicalPlan::Extension(Extension { node: Arc::new(Sample { input: plan, clause, seed }) })
}

/// Some rows of the input. Conditions on the rows and limits stay above it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub input: LogicalPlan,
    pub clause: SampleClause,
    pub seed: u64,
}

impl Eq for Sample {}

impl Hash for Sample {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.seed.hash(state);
        self.clause.method.hash(state);
    }
}

impl PartialOrd for Sample {
    fn partial_cmp(&self, _other: &Self) -> Option<Ordering> {
        None
    }
}

impl UserDefinedLogicalNodeCore for Sample {
    fn name(&self) -> &str {
        "Sample"
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
        match self.clause.size {
            SampleSize::Percent(percent) => write!(f, "Sample: {percent}%")?,
            SampleSize::Rows(rows) => write!(f, "Sample: {rows} rows")?,
        }
        write!(f, " {:?}", self.clause.method)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> PlanResult<Self> {
        match <[LogicalPlan; 1]>::try_from(inputs) {
            Ok([input]) => Ok(Sample { input, ..*self }),
            _ => Err(Error::internal("a sample has one input").into()),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}

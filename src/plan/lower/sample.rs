//! SAMPLE: over a scan while it reads, over anything else in front of a sink.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion_common::{Column, DFSchema};
use datafusion_expr::Expr;

use super::sort::TOP_N_ROWS;
use super::{Branches, Lowering, with_operator};
use crate::error::Result;
use crate::ops;
use crate::ops::DynSink;
use crate::ops::keep::Keep;
use crate::ops::sample::{Chosen, Method, NUMBER, SampleSpec};
use crate::ops::sort::SortKey;
use crate::plan::physical::Input;
use crate::plan::sample::{Sample, SampleMethod, SampleSize};

impl Lowering<'_> {
    pub(super) fn sample(&mut self, sample: &Sample) -> Result<Branches> {
        let outer = std::mem::replace(&mut self.samples, true);
        let branches = self.node(&sample.input);
        self.samples = outer;
        let branches = branches?;
        let schema = sample.input.schema().inner().clone();
        let method = match (sample.clause.method, sample.clause.size) {
            (_, SampleSize::Rows(rows)) => return self.reservoir(sample.seed, branches, &schema, rows),
            (SampleMethod::Bernoulli, SampleSize::Percent(percent)) => Method::Rows(percent / 100.0),
            (SampleMethod::System, SampleSize::Percent(percent)) => Method::Blocks(percent / 100.0),
            (SampleMethod::Reservoir, SampleSize::Percent(percent)) => Method::Share(percent / 100.0),
        };
        let spec = SampleSpec { method, seed: sample.seed };
        match chosen(spec, branches) {
            Ok(branches) => Ok(branches),
            Err(branches) => {
                let keep: Arc<dyn DynSink> = Arc::new(Keep::new(schema.clone(), "a sample"));
                Ok(self.end_pipeline(branches, Arc::new(ops::sample::Sample::new(spec, &schema, keep))))
            }
        }
    }

    /// Exactly `rows` rows: those with the least random numbers.
    fn reservoir(&mut self, seed: u64, branches: Branches, schema: &SchemaRef, rows: u64) -> Result<Branches> {
        let spec = SampleSpec { method: Method::Numbered, seed };
        let numbered = spec.schema(schema);
        let evaluators = |indices: std::ops::Range<usize>| {
            let named = DFSchema::from_unqualified_fields(
                (0..numbered.fields().len())
                    .zip(numbered.fields())
                    .map(|(index, field)| field.as_ref().clone().with_name(index.to_string()))
                    .collect(),
                Default::default(),
            )?;
            let column = |index: usize| self.compile(&Expr::Column(Column::from_name(index.to_string())), &named);
            indices.map(column).collect::<Result<Vec<_>>>()
        };
        let last = schema.fields().len();
        let keys: Vec<SortKey> = evaluators(last..last + 1)?
            .into_iter()
            .map(|evaluator| SortKey { evaluator, descending: false, nulls_first: false })
            .collect();
        let columns = evaluators(0..last)?;
        let fetch = usize::try_from(rows).unwrap_or(usize::MAX);
        let sort: Arc<dyn DynSink> = match fetch <= TOP_N_ROWS {
            true => Arc::new(ops::top_n::TopN::new(keys, numbered.clone(), 0, fetch)?),
            false => Arc::new(ops::sort::Sort::new(keys, numbered.clone(), 0, Some(fetch))?),
        };
        debug_assert_eq!(numbered.field(last).name(), NUMBER);
        let sorted = match chosen(spec, branches) {
            Ok(branches) => self.end_pipeline(branches, sort),
            Err(branches) => self.end_pipeline(branches, Arc::new(ops::sample::Sample::new(spec, schema, sort))),
        };
        Ok(with_operator(sorted, Arc::new(ops::project::Project::new(columns, schema.clone()))))
    }
}

/// The sample of a scan to which nothing has been done; anything else as it was.
fn chosen(spec: SampleSpec, branches: Branches) -> std::result::Result<Branches, Branches> {
    match branches.branches.as_slice() {
        [branch] if branch.operators.is_empty() => match &branch.input {
            Input::Source(source) => {
                let after = branches.after.clone();
                let sampled = Branches::over(Input::Source(Arc::new(Chosen::new(spec, source.clone()))));
                Ok(Branches { after, ..sampled })
            }
            _ => Err(branches),
        },
        _ => Err(branches),
    }
}

//! WITH RECURSIVE: the static term is a pipeline whose rows are kept; each round lowers the recursive term anew over the
//! rows of the round before.
//!
//! What a round reads that no round changes is computed once, before the first: shared tables, and the parts of the
//! recursive term that do not read the working table.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_expr::LogicalPlan;
use datafusion_expr::logical_plan::{RecursiveQuery, TableScan};

use super::union::conformed;
use super::{Branches, Lowering};
use crate::batch::SourceRef;
use crate::error::{Error, Result};
use crate::expr::Compiler;
use crate::ops::keep::Keep;
use crate::ops::recursive::{Seen, Unseen};
use crate::plan::physical::{Input, Pipeline, RecursiveTerm, Rounds};
use crate::plan::shared::{is_free, reads_working_table, shared_of};
use crate::plan::table::WorkTable;
use crate::store::QueryContext;

/// What a recursive term reads that is known when it is lowered.
#[derive(Default, Clone)]
pub(super) struct Bound {
    /// The working tables of the recursive queries around, outermost first.
    working: Vec<(String, SourceRef)>,
    /// Shared tables by number.
    shared: HashMap<u64, SourceRef>,
    /// Parts of the term by address; the term outlives its lowering.
    parts: HashMap<usize, SourceRef>,
}

impl Bound {
    pub(super) fn shared(&self, number: u64) -> Option<&SourceRef> {
        self.shared.get(&number)
    }

    pub(super) fn part(&self, plan: &LogicalPlan) -> Option<&SourceRef> {
        self.parts.get(&address(plan))
    }
}

fn address(plan: &LogicalPlan) -> usize {
    std::ptr::from_ref(plan) as usize
}

/// What [`Rounds::reads`] are.
#[derive(Clone, Copy)]
enum Read {
    Shared(u64),
    Part(usize),
}

impl Lowering<'_> {
    pub(super) fn recursive(&mut self, recursive: &RecursiveQuery) -> Result<Branches> {
        let schema = recursive.schema.inner().clone();
        let seen = recursive.is_distinct.then(|| Arc::new(Seen::new(schema.clone())));
        let mut reads = Vec::new();
        self.read_once(&recursive.recursive_term, &mut reads)?;
        let branches = self.node(&recursive.static_term)?;
        let branches = conformed(self, branches, recursive.static_term.schema(), &schema)?;
        let first = self.end_round(branches, &schema, seen.as_ref(), &recursive.name);
        let term = Term {
            name: recursive.name.clone(),
            plan: recursive.recursive_term.clone(),
            schema,
            seen,
            reads: reads.iter().map(|(read, _)| *read).collect(),
            bound: self.bound.clone(),
            context: self.context.clone(),
            compiler: self.compiler.clone(),
        };
        let reads = reads.into_iter().map(|(_, pipeline)| pipeline).collect();
        Ok(Branches::over(Input::Rounds(Rounds { first, reads, term: Arc::new(term) })))
    }

    /// Ends a round in pipelines that keep its rows; with `seen`, those that are new.
    fn end_round(&mut self, branches: Branches, schema: &SchemaRef, seen: Option<&Arc<Seen>>, name: &str) -> usize {
        let branches = match seen {
            Some(seen) => self.end_pipeline(branches, Arc::new(Unseen::new(seen.clone()))),
            None => branches,
        };
        self.add_pipeline(branches, Some(Arc::new(Keep::new(schema.clone(), name))))
    }

    /// Adds pipelines for what is the same in each round.
    fn read_once(&mut self, plan: &LogicalPlan, reads: &mut Vec<(Read, usize)>) -> Result<()> {
        if self.bound.part(plan).is_some() {
            return Ok(());
        }
        if let Some((_, table)) = shared_of(plan) {
            let known = |read: &Read| matches!(read, Read::Shared(number) if *number == table.number());
            if self.bound.shared(table.number()).is_none() && !reads.iter().any(|(read, _)| known(read)) {
                let pipeline = self.shared_pipeline(table)?;
                reads.push((Read::Shared(table.number()), pipeline));
            }
            return Ok(());
        }
        if !reads_working_table(plan)? && !is_volatile(plan)? && !is_free(plan)? {
            let branches = self.node(plan)?;
            let keep = Keep::new(plan.schema().inner().clone(), "the same in every round");
            let pipeline = self.add_pipeline(branches, Some(Arc::new(keep)));
            reads.push((Read::Part(address(plan)), pipeline));
            return Ok(());
        }
        plan.inputs().into_iter().try_for_each(|input| self.read_once(input, reads))
    }

    pub(super) fn working_table(&mut self, scan: &TableScan, table: &WorkTable) -> Result<Branches> {
        let working = self.bound.working.iter().rev().find(|(name, _)| *name == table.name);
        let Some((_, source)) = working else {
            return Err(Error::internal(format!("{} is read outside of its rounds", table.name)));
        };
        self.project_scan(Branches::over(Input::Source(source.clone())), scan)
    }
}

fn is_volatile(plan: &LogicalPlan) -> Result<bool> {
    let mut volatile = false;
    plan.apply_with_subqueries(|node| {
        volatile |= node.expressions().iter().any(|expr| expr.is_volatile());
        Ok(if volatile { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(volatile)
}

/// The recursive term of one recursive query.
struct Term {
    name: String,
    plan: Arc<LogicalPlan>,
    schema: SchemaRef,
    /// UNION: what all rounds have given so far.
    seen: Option<Arc<Seen>>,
    reads: Vec<Read>,
    bound: Bound,
    context: Arc<QueryContext>,
    compiler: Compiler,
}

impl RecursiveTerm for Term {
    fn name(&self) -> &str {
        &self.name
    }

    fn pipelines(&self, working: &SourceRef, read: &[SourceRef]) -> Result<Vec<Pipeline>> {
        let mut lowering = Lowering::new(&self.plan, &self.context, &self.compiler);
        lowering.bound = self.bound.clone();
        lowering.bound.working.push((self.name.clone(), working.clone()));
        for (read, source) in self.reads.iter().zip(read) {
            match read {
                Read::Shared(number) => lowering.bound.shared.insert(*number, source.clone()),
                Read::Part(address) => lowering.bound.parts.insert(*address, source.clone()),
            };
        }
        let branches = lowering.node(&self.plan)?;
        let branches = conformed(&lowering, branches, self.plan.schema(), &self.schema)?;
        lowering.end_round(branches, &self.schema, self.seen.as_ref(), &self.name);
        Ok(lowering.pipelines)
    }
}

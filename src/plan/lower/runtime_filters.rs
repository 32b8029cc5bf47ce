//! Runtime filters: which scans of a join's probe side can be told the keys of its build side.
//!
//! A key that is a plain column of the probe side is followed down to the scans that it comes from. A row without a
//! partner may be left out at every node on the way where rows of other keys do not depend on it: groups of the key are
//! left out whole, a LIMIT or a window stops the descent.
//!
//! Invariant: a scan that is told starts after the pipeline that publishes the keys.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion_common::{DFSchema, JoinType};
use datafusion_expr::logical_plan::{Aggregate, Distinct, Join, Sort, TableScan};
use datafusion_expr::{Expr, LogicalPlan};

use super::Lowering;
use crate::batch::{RuntimeFilter, Threshold};
use crate::ops::join::hash::Side;
use crate::plan::table::FileTable;
use crate::scan;

/// A join that is expected to leave more of its probe side than this tells nobody.
const WORTH_TELLING: f64 = 0.95;

/// The filters that scans will be opened with, by the address of the scan's node.
#[derive(Default)]
pub(super) struct RuntimeFilters(HashMap<usize, Vec<Told>>);

/// A filter for one scan.
pub(super) struct Told {
    /// The scan's table, which must be that of the node found at the address.
    table: usize,
    /// Index into the columns that come out of the scan.
    pub(super) column: usize,
    pub(super) filter: scan::Told,
    /// The pipeline that publishes it, where that has to come first.
    pub(super) after: Option<usize>,
}

/// A column of a scan.
type Place<'a> = (&'a TableScan, usize);

impl RuntimeFilters {
    /// The filters of a scan, once.
    pub(super) fn take(&mut self, scan: &TableScan) -> Vec<Told> {
        let mut told = self.0.remove(&address(scan)).unwrap_or_default();
        told.retain(|told| told.table == table_of(scan));
        told
    }

    fn tell(&mut self, (scan, column): Place, filter: scan::Told, after: Option<usize>) {
        let told = Told { table: table_of(scan), column, filter, after };
        self.0.entry(address(scan)).or_default().push(told);
    }
}

fn address(scan: &TableScan) -> usize {
    std::ptr::from_ref(scan) as usize
}

fn table_of(scan: &TableScan) -> usize {
    Arc::as_ptr(&scan.source).cast::<()>() as usize
}

/// A filter of a join and where it applies.
pub(super) type Telling<'a> = Option<(Arc<RuntimeFilter>, Vec<Place<'a>>)>;

impl Lowering<'_> {
    /// For each key of `join`, a filter and the scans of the probe side that can use it.
    pub(super) fn filters_of<'a>(&self, join: &'a Join, build: Side) -> Vec<Telling<'a>> {
        let (probe, build_plan) = match build {
            Side::Left => (&join.right, &join.left),
            Side::Right => (&join.left, &join.right),
        };
        let leaves = match join.join_type {
            JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi => {
                self.share_left(join, probe, build_plan) < WORTH_TELLING
            }
            _ => true,
        };
        let telling = |(left, right): &(Expr, Expr)| {
            let key = if build == Side::Left { right } else { left };
            let other = if build == Side::Left { left } else { right };
            let Expr::Column(column) = key else { return None };
            let index = probe.schema().maybe_index_of_column(column)?;
            if !has_type_of(other, build_plan.schema(), probe.schema(), index) {
                return None;
            }
            let mut places = Vec::new();
            follow(probe, index, &mut places);
            (!places.is_empty()).then(|| (RuntimeFilter::new(), places))
        };
        let tells = leaves && !join.null_aware && !keeps_unmatched(join.join_type, build);
        join.on.iter().map(|key| if tells { telling(key) } else { None }).collect()
    }

    /// Hands the filters to their scans; the pipeline `after` publishes them.
    pub(super) fn tell(&mut self, filters: Vec<Telling>, after: usize) {
        for (filter, places) in filters.into_iter().flatten() {
            for place in places {
                self.runtime_filters.tell(place, scan::Told::Keys(filter.clone()), Some(after));
            }
        }
    }

    /// A threshold for the first key of a top-n, when that is a column of scans.
    pub(super) fn threshold_of(&mut self, sort: &Sort) -> Option<Arc<Threshold>> {
        let key = sort.expr.first()?;
        let column = plain(&key.expr, sort.input.schema())?;
        if !Threshold::takes(sort.input.schema().field(column).data_type()) {
            return None;
        }
        let mut places = Vec::new();
        follow(&sort.input, column, &mut places);
        let threshold = Arc::new(Threshold::new(!key.asc, key.nulls_first));
        for place in &places {
            self.runtime_filters.tell(*place, scan::Told::Threshold(threshold.clone()), None);
        }
        (!places.is_empty()).then_some(threshold)
    }

    /// About which share of the probe side's rows has a partner.
    fn share_left(&self, join: &Join, probe: &LogicalPlan, build: &LogicalPlan) -> f64 {
        let probe = self.estimator.estimate(probe);
        let build = self.estimator.estimate(build);
        let whole_build = build.rows >= build.base * WORTH_TELLING;
        let joined = self.estimator.estimate(&LogicalPlan::Join(join.clone())).rows;
        if whole_build { joined / probe.rows.max(1.0) } else { 0.0 }
    }
}

fn has_type_of(key: &Expr, schema: &DFSchema, other: &DFSchema, index: usize) -> bool {
    use datafusion_expr::ExprSchemable;
    key.get_type(schema).is_ok_and(|data_type| other.field(index).data_type() == &data_type)
}

/// Whether rows of the probe side come out although they match nothing.
fn keeps_unmatched(join_type: JoinType, build: Side) -> bool {
    use JoinType::{Full, Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
    match join_type {
        Inner | LeftSemi | RightSemi => false,
        Full => true,
        Left | LeftAnti | LeftMark => build == Side::Right,
        Right | RightAnti | RightMark => build == Side::Left,
    }
}

/// Finds the scans that column `column` of `plan` comes from, as long as rows with other values in it can be left out
/// there.
fn follow<'a>(plan: &'a LogicalPlan, column: usize, found: &mut Vec<Place<'a>>) {
    match plan {
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() && scan.source.downcast_ref::<FileTable>().is_some() => {
            found.push((scan, column));
        }
        LogicalPlan::Projection(projection) => {
            let inner = projection.expr.get(column).and_then(|expr| plain(expr, projection.input.schema()));
            inner.into_iter().for_each(|column| follow(&projection.input, column, found));
        }
        LogicalPlan::Filter(filter) => follow(&filter.input, column, found),
        LogicalPlan::SubqueryAlias(alias) => follow(&alias.input, column, found),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => follow(&sort.input, column, found),
        LogicalPlan::Distinct(Distinct::All(input)) => follow(input, column, found),
        LogicalPlan::Aggregate(aggregate) => {
            group_column(aggregate, column).into_iter().for_each(|column| follow(&aggregate.input, column, found));
        }
        LogicalPlan::Union(union) => {
            let wanted = union.schema.field(column).data_type();
            let inputs = union.inputs.iter().filter(|input| input.schema().field(column).data_type() == wanted);
            inputs.for_each(|input| follow(input, column, found));
        }
        LogicalPlan::Join(join) => follow_join(join, column, found),
        _ => {}
    }
}

fn plain(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        Expr::Alias(alias) => plain(&alias.expr, schema),
        _ => None,
    }
}

/// The input column that output column `column` groups by.
fn group_column(aggregate: &Aggregate, column: usize) -> Option<usize> {
    let is_set = |expr: &Expr| matches!(expr, Expr::GroupingSet(_));
    if aggregate.group_expr.iter().any(is_set) {
        return None;
    }
    plain(aggregate.group_expr.get(column)?, aggregate.input.schema())
}

fn follow_join<'a>(join: &'a Join, column: usize, found: &mut Vec<Place<'a>>) {
    use JoinType::{Full, Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
    let left_width = match join.join_type {
        RightSemi | RightAnti | RightMark => 0,
        _ => join.left.schema().fields().len(),
    };
    let (side, other, index, is_left) = match column.checked_sub(left_width) {
        None => (&join.left, &join.right, column, true),
        Some(index) => (&join.right, &join.left, index, false),
    };
    let keeps_side = match join.join_type {
        Inner => true,
        Full => false,
        // What the other side lacks is NULL, and a mark is a column of no side.
        Left | LeftSemi | LeftAnti | LeftMark => is_left,
        Right | RightSemi | RightAnti | RightMark => !is_left,
    };
    if !keeps_side || index >= side.schema().fields().len() {
        return;
    }
    follow(side, index, found);
    if join.null_aware {
        return;
    }
    // Rows of the other side with another key meet only rows that are left out.
    for (left, right) in &join.on {
        let (key, partner) = if is_left { (left, right) } else { (right, left) };
        if plain(key, side.schema()) == Some(index)
            && let Some(column) = plain(partner, other.schema())
            && other.schema().field(column).data_type() == side.schema().field(index).data_type()
        {
            follow(other, column, found);
        }
    }
}

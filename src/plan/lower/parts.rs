//! Which fields of nested columns a plan looks at, for scans that can do without the others.
//!
//! What is wanted of a node's columns is followed down from the node that computes something of them: `a.b` wants one
//! field, `a` all of it. Below nodes that are not known here everything is wanted.
//!
//! Invariant: a field is only left out when no expression above its scan reads it.

use std::collections::{BTreeMap, HashMap};

use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DFSchema, JoinType, ScalarValue};
use datafusion_expr::logical_plan::{Join, TableScan};
use datafusion_expr::{Expr, LogicalPlan};

use crate::scan::Parts;

/// The function that `a.b` is.
const FIELD_ACCESS: &str = "get_field";

/// What is wanted of each scan's columns, by the address of its node in the plan that is lowered.
#[derive(Default)]
pub(super) struct WantedParts(HashMap<usize, BTreeMap<usize, Parts>>);

/// What is wanted of each column of a node's output; `None`: of all of them all.
type Demand = Option<Vec<Parts>>;

impl WantedParts {
    /// What `plan` wants of its scans.
    pub(super) fn of(plan: &LogicalPlan) -> Self {
        let mut wanted = WantedParts::default();
        wanted.visit(plan, None);
        wanted
    }

    /// What is wanted of the table's columns of which not all is.
    pub(super) fn of_scan(&self, scan: &TableScan) -> BTreeMap<usize, Parts> {
        self.0.get(&address(scan)).cloned().unwrap_or_default()
    }

    fn visit(&mut self, plan: &LogicalPlan, demand: Demand) {
        match plan {
            LogicalPlan::Projection(node) => self.visit_computing(&node.input, &node.expr, &[]),
            LogicalPlan::Aggregate(node) => self.visit_computing(&node.input, &node.group_expr, &node.aggr_expr),
            LogicalPlan::Filter(node) => {
                self.visit(&node.input, with(demand, [&node.predicate], node.input.schema()));
            }
            LogicalPlan::Sort(node) => {
                let keys = node.expr.iter().map(|key| &key.expr);
                self.visit(&node.input, with(demand, keys, node.input.schema()));
            }
            LogicalPlan::Limit(node) => self.visit(&node.input, demand),
            LogicalPlan::SubqueryAlias(node) => self.visit(&node.input, demand),
            LogicalPlan::Join(join) => self.visit_join(join, demand),
            LogicalPlan::TableScan(scan) => self.note(scan, demand),
            other => other.inputs().into_iter().for_each(|input| self.visit(input, None)),
        }
    }

    /// A node whose output holds nothing of its input but what its expressions take of it.
    fn visit_computing(&mut self, input: &LogicalPlan, some: &[Expr], others: &[Expr]) {
        let nothing = Some(vec![Parts::none(); input.schema().fields().len()]);
        self.visit(input, with(nothing, some.iter().chain(others), input.schema()));
    }

    fn visit_join(&mut self, join: &Join, demand: Demand) {
        let (left, right) = (join.left.schema(), join.right.schema());
        let (left_count, right_count) = (left.fields().len(), right.fields().len());
        let none = |count| vec![Parts::none(); count];
        let sides = demand.and_then(|mut demand| match join.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full
                if demand.len() == left_count + right_count =>
            {
                let right = demand.split_off(left_count);
                Some((demand, right))
            }
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark if demand.len() >= left_count => {
                demand.truncate(left_count);
                Some((demand, none(right_count)))
            }
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark if demand.len() >= right_count => {
                demand.truncate(right_count);
                Some((none(left_count), demand))
            }
            _ => None,
        });
        let Some((mut left_demand, mut right_demand)) = sides else {
            self.visit(&join.left, None);
            return self.visit(&join.right, None);
        };
        let mut is_known = true;
        for (left_key, right_key) in &join.on {
            is_known &= add(left_key, &mut [(left, &mut left_demand)]);
            is_known &= add(right_key, &mut [(right, &mut right_demand)]);
        }
        if let Some(condition) = &join.filter {
            is_known &= add(condition, &mut [(left, &mut left_demand), (right, &mut right_demand)]);
        }
        self.visit(&join.left, is_known.then_some(left_demand));
        self.visit(&join.right, is_known.then_some(right_demand));
    }

    fn note(&mut self, scan: &TableScan, demand: Demand) {
        let Some(demand) = with(demand, &scan.filters, &scan.projected_schema) else { return };
        let column = |index: usize| scan.projection.as_ref().map_or(Some(index), |columns| columns.get(index).copied());
        // A column of which nothing is wanted may still be counted by its rows: its own values are cheap to keep.
        let parts = demand.into_iter().enumerate().filter(|(_, parts)| *parts != Parts::All && !parts.is_none());
        let wanted: BTreeMap<usize, Parts> = parts.filter_map(|(index, parts)| Some((column(index)?, parts))).collect();
        if !wanted.is_empty() {
            self.0.insert(address(scan), wanted);
        }
    }
}

fn address(scan: &TableScan) -> usize {
    std::ptr::from_ref(scan) as usize
}

/// The demand on an input by its node's own expressions, too.
fn with<'a>(demand: Demand, exprs: impl IntoIterator<Item = &'a Expr>, schema: &DFSchema) -> Demand {
    let mut demand = demand?;
    exprs.into_iter().all(|expr| add(expr, &mut [(schema, &mut demand)])).then_some(demand)
}

/// Adds what `expr` reads of the columns of `inputs`; false where that is not known.
fn add(expr: &Expr, inputs: &mut [(&DFSchema, &mut Vec<Parts>)]) -> bool {
    if let Some((column, mut path)) = path_of(expr) {
        path.reverse();
        return inputs.iter_mut().any(|(schema, demand)| {
            let index = schema.maybe_index_of_column(column);
            index.and_then(|index| demand.get_mut(index)).map(|parts| parts.add(&path)).is_some()
        });
    }
    match expr {
        Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => false,
        _ => {
            let mut is_known = true;
            let walked = expr.apply_children(|child| {
                is_known &= add(child, inputs);
                Ok(TreeNodeRecursion::Continue)
            });
            is_known && walked.is_ok()
        }
    }
}

/// The column and the field of it, innermost name first, that `expr` is.
fn path_of(expr: &Expr) -> Option<(&Column, Vec<String>)> {
    match expr {
        Expr::Column(column) => Some((column, Vec::new())),
        Expr::ScalarFunction(call) if call.func.name() == FIELD_ACCESS => {
            let (base, names) = call.args.split_first()?;
            let (column, inner) = path_of(base)?;
            let mut path = Vec::new();
            for name in names.iter().rev() {
                let Expr::Literal(name, _) = name else { return None };
                match name {
                    ScalarValue::Utf8(Some(name)) | ScalarValue::Utf8View(Some(name)) => path.push(name.clone()),
                    _ => return None,
                }
            }
            path.extend(inner);
            Some((column, path))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Fields, Schema};
    use datafusion_expr::{LogicalPlanBuilder, col, lit, table_scan};
    use datafusion_functions::expr_fn::get_field;
    use datafusion_functions_aggregate::count::count;

    use super::*;

    fn events() -> LogicalPlanBuilder {
        let user =
            Fields::from(vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)]);
        let nested = Fields::from(vec![
            Field::new("user", DataType::Struct(user), true),
            Field::new("size", DataType::Int64, true),
        ]);
        let schema = Schema::new(vec![
            Field::new("kind", DataType::Utf8, true),
            Field::new("payload", DataType::Struct(nested), true),
        ]);
        table_scan(Some("events"), &schema, None).unwrap()
    }

    fn wanted(plan: &LogicalPlan) -> Vec<BTreeMap<usize, Parts>> {
        let wanted = WantedParts::of(plan);
        let mut found = Vec::new();
        plan.apply(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                found.push(wanted.of_scan(scan));
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        found
    }

    fn fields(paths: &[&[&str]]) -> BTreeMap<usize, Parts> {
        let mut parts = Parts::none();
        for path in paths {
            parts.add(&path.iter().map(|name| (*name).to_string()).collect::<Vec<_>>());
        }
        BTreeMap::from([(1, parts)])
    }

    #[test]
    fn only_fields_that_are_read_are_wanted() {
        let id = || get_field(get_field(col("payload"), "user"), "id");
        let filtered = events().filter(get_field(col("payload"), "size").gt(lit(1_i64))).unwrap();
        let plan = filtered.aggregate(vec![id()], vec![count(col("kind"))]).unwrap().build().unwrap();
        assert_eq!(wanted(&plan), [fields(&[&["size"], &["user", "id"]])]);
        let plan = events().alias("e").unwrap().project(vec![id()]).unwrap().build().unwrap();
        assert_eq!(wanted(&plan), [fields(&[&["user", "id"]])]);
    }

    #[test]
    fn a_whole_column_is_wanted_whole() {
        let size = get_field(col("payload"), "size");
        let plan = events().project(vec![size.clone(), col("payload")]).unwrap().build().unwrap();
        assert_eq!(wanted(&plan), [BTreeMap::new()]);
        let plan = events().filter(size.clone().gt(lit(1_i64))).unwrap().build().unwrap();
        assert_eq!(wanted(&plan), [BTreeMap::new()]);
        let plan = events().filter(size.gt(lit(1_i64))).unwrap().project(vec![col("kind")]).unwrap().build().unwrap();
        assert_eq!(wanted(&plan), [fields(&[&["size"]])]);
        let plan = events().distinct().unwrap().project(vec![col("kind")]).unwrap().build().unwrap();
        assert_eq!(wanted(&plan), [BTreeMap::new()]);
    }

    #[test]
    fn a_join_asks_either_side_for_its_own() {
        let (left, right) = (events().alias("a").unwrap(), events().alias("b").unwrap().build().unwrap());
        let of = |table: &str, name: &str| get_field(col(format!("{table}.payload")), name);
        let joined = left.join_on(right, JoinType::Inner, vec![of("a", "size").lt(of("b", "size"))]).unwrap();
        let plan = joined.project(vec![get_field(of("b", "user"), "name"), col("a.kind")]).unwrap().build().unwrap();
        assert_eq!(wanted(&plan), [fields(&[&["size"]]), fields(&[&["size"], &["user", "name"]])]);
    }

    #[test]
    fn what_is_no_literal_name_wants_all() {
        let dynamic = datafusion_functions::core::get_field().call(vec![col("payload"), col("kind")]);
        let access = get_field(col("a"), "b");
        let (column, path) = path_of(&access).unwrap();
        assert_eq!((column.name.as_str(), path), ("a", vec!["b".to_string()]));
        assert!(path_of(&dynamic).is_none());
    }
}

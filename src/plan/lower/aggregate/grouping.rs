//! GROUPING SETS, ROLLUP and CUBE.
//!
//! Where all calls have mergeable states of fixed size, the rows are aggregated by all keys first, and only those groups are
//! spread over the sets; otherwise the rows are.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::{DataType, Fields, SchemaRef};
use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, GroupingSet};

use super::{Groups, InputColumns, columns_schema};
use crate::error::{Error, Result};
use crate::expr::{AggregateCall, Evaluator};
use crate::ops::DynSink;
use crate::ops::aggregate::{CallInput, HashAggregate};
use crate::ops::expand::{Expand, ExpandSet, Slot};
use crate::plan::lower::{Branches, Lowering, with_operator};

/// One grouping set.
pub(super) struct KeySet {
    /// For each key whether the set has it.
    has: Vec<bool>,
    /// The set's number as the plan defines it: from the right a bit for each key that is left out; above them the how-manieth
    /// of equal sets it is.
    number: u64,
}

/// The sets of `group_expr`, whose different expressions are `keys`; `None` for a plain GROUP BY.
pub(super) fn key_sets(group_expr: &[Expr], keys: &[&Expr]) -> Result<Option<Vec<KeySet>>> {
    let [Expr::GroupingSet(sets)] = group_expr else { return Ok(None) };
    let sets: Vec<Vec<&Expr>> = match sets {
        GroupingSet::GroupingSets(sets) => sets.iter().map(|set| set.iter().collect()).collect(),
        GroupingSet::Rollup(exprs) => {
            (0..=exprs.len()).rev().map(|length| exprs.iter().take(length).collect()).collect()
        }
        GroupingSet::Cube(exprs) => subsets(exprs)?,
    };
    let mut seen: HashMap<u64, u64> = HashMap::new();
    let set = |set: Vec<&Expr>| {
        let has: Vec<bool> = keys.iter().map(|key| set.contains(key)).collect();
        let mask = has.iter().fold(0_u64, |mask, &has| mask << 1 | u64::from(!has));
        let before = seen.entry(mask).or_default();
        let number = mask | before.checked_shl(u32::try_from(keys.len()).unwrap_or(u32::MAX)).unwrap_or(0);
        *before += 1;
        KeySet { has, number }
    };
    if keys.len() > MOST_KEYS {
        return Err(Error::not_supported(format!("GROUPING SETS over more than {MOST_KEYS} expressions")));
    }
    Ok(Some(sets.into_iter().map(set).collect()))
}

/// Set numbers have 64 bits, some of which tell equal sets apart.
const MOST_KEYS: usize = 48;
/// CUBE over n expressions has 2^n sets.
const MOST_CUBE_KEYS: usize = 12;

fn subsets(exprs: &[Expr]) -> Result<Vec<Vec<&Expr>>> {
    if exprs.len() > MOST_CUBE_KEYS {
        return Err(Error::not_supported(format!("CUBE over more than {MOST_CUBE_KEYS} expressions")));
    }
    let chosen = |subset: usize| {
        let is_in = |&(index, _): &(usize, &Expr)| subset >> index & 1 == 0;
        exprs.iter().enumerate().filter(is_in).map(|(_, expr)| expr).collect()
    };
    Ok((0..1_usize << exprs.len()).map(chosen).collect())
}

impl Lowering<'_> {
    pub(super) fn grouping_sets(&mut self, mut groups: Groups, sets: &[KeySet]) -> Result<Branches> {
        groups.of_nothing = groups_of_nothing(&groups, sets)?;
        let whole = |call: &AggregateCall| call.is_distinct() || call.gathering().is_some();
        if groups.keys.is_empty() || groups.calls.iter().any(whole) {
            self.spread_rows(groups, sets)
        } else {
            self.spread_groups(groups, sets)
        }
    }

    /// Rows with keys and inputs as columns, once for each set; then an aggregation as any other.
    fn spread_rows(&mut self, groups: Groups, sets: &[KeySet]) -> Result<Branches> {
        let inputs = InputColumns::new(&groups.keys, &groups.calls);
        let keys = inputs.keys;
        let schema = with_set_number(inputs.schema.fields(), keys, number_type(&groups)?);
        let expand = expand(sets, keys, &schema)?;
        let calls = inputs.calls_over(&groups.calls, |index| Evaluator::of_column(&schema, index + 1))?;
        let branches = with_operator(inputs.project(groups.branches), Arc::new(expand));
        let keys = (0..=keys).map(|key| Evaluator::of_column(&schema, key)).collect::<Result<_>>()?;
        self.groups(Groups { branches, keys, calls, ..groups })
    }

    /// Groups by all keys with their states, once for each set; then these are merged.
    fn spread_groups(&mut self, groups: Groups, sets: &[KeySet]) -> Result<Branches> {
        let number_type = number_type(&groups)?.clone();
        let keys = groups.keys.len();
        let calls: Vec<CallInput> = groups.calls.iter().cloned().map(CallInput::Rows).collect();
        let finest = HashAggregate::staged(groups.keys, calls, None)?;
        let schema = with_set_number(finest.schema().fields(), keys, &number_type);
        let branches = self.end_pipeline(groups.branches, Arc::new(finest));
        let branches = with_operator(branches, Arc::new(expand(sets, keys, &schema)?));
        let mut state = keys + 1;
        let calls = groups.calls.into_iter().map(|call| {
            let states = state..state + call.state_fields()?.len();
            state = states.end;
            let columns = states.map(|state| Evaluator::of_column(&schema, state)).collect::<Result<_>>()?;
            Ok(CallInput::States { call, columns })
        });
        let calls = calls.collect::<Result<_>>()?;
        let keys = (0..=keys).map(|key| Evaluator::of_column(&schema, key)).collect::<Result<_>>()?;
        let sink = HashAggregate::staged(keys, calls, Some(groups.output))?;
        self.end_in_groups(branches, sink, groups.of_nothing)
    }
}

/// The columns with the set's number behind the keys; named `c0`, `c1`, ….
fn with_set_number(fields: &Fields, keys: usize, number_type: &DataType) -> SchemaRef {
    let types: Vec<&DataType> = fields.iter().map(|field| field.data_type()).collect();
    let (keys, others) = types.split_at(keys);
    columns_schema(keys.iter().copied().chain([number_type]).chain(others.iter().copied()))
}

/// Spreads rows of keys and other columns over the sets. `schema` has the set's number behind the keys.
fn expand(sets: &[KeySet], keys: usize, schema: &SchemaRef) -> Result<Expand> {
    let number_type = schema.field(keys).data_type();
    let set = |set: &KeySet| {
        let mut slots: Vec<Slot> =
            set.has.iter().enumerate().map(|(key, &has)| if has { Slot::Column(key) } else { Slot::Null }).collect();
        slots.push(Slot::Constant(set_number(set, number_type)?));
        slots.extend((keys..schema.fields().len() - 1).map(Slot::Column));
        Ok(ExpandSet { slots, filter: None })
    };
    Ok(Expand::new(sets.iter().map(set).collect::<Result<_>>()?, schema.clone()))
}

fn set_number(set: &KeySet, number_type: &DataType) -> Result<ScalarValue> {
    let number = ScalarValue::from(set.number).cast_to(number_type);
    number.map_err(|_| Error::not_supported("so many equal sets in GROUPING SETS"))
}

/// The type of the column of set numbers, which stands behind the keys.
fn number_type(groups: &Groups) -> Result<&DataType> {
    let field = groups.output.fields().get(groups.keys.len());
    Ok(field.ok_or_else(|| Error::internal("grouping sets without the column of their numbers"))?.data_type())
}

/// The sets without any key have their one group even where there are no rows.
fn groups_of_nothing(groups: &Groups, sets: &[KeySet]) -> Result<Option<(Vec<ArrayRef>, usize)>> {
    let number_type = number_type(groups)?;
    let empty = sets.iter().filter(|set| !set.has.contains(&true));
    let numbers = empty.map(|set| set_number(set, number_type)).collect::<Result<Vec<_>>>()?;
    if numbers.is_empty() {
        return Ok(None);
    }
    let count = numbers.len();
    let keys = groups.keys.iter().map(|key| new_null_array(key.data_type(), count));
    let keys = keys.chain([ScalarValue::iter_to_array(numbers)?]).collect();
    Ok(Some((keys, count)))
}

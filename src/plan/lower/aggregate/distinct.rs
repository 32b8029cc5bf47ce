//! DISTINCT inside calls, in two aggregations.
//!
//! The first groups by the keys and the distinct arguments, and computes the states of the calls without DISTINCT; the second
//! groups by the keys alone, merges those states and applies the others to arguments that are distinct now. Where calls
//! have different arguments or filters, the rows are spread over sets first, one for each of them; the set's number is a key
//! of the first aggregation.
//!
//! The form of the rewriting is that of Gupta, Harinarayan and Quass, "Aggregate-query processing in data warehousing
//! environments", VLDB 1995, with sets in place of joins.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::{col, lit};

use super::{Groups, InputColumns, column_as, columns_schema};
use crate::error::{Error, Result};
use crate::expr::{AggregateCall, Evaluator};
use crate::ops::DynSink;
use crate::ops::aggregate::{CallInput, HashAggregate};
use crate::ops::expand::{Expand, ExpandSet, Slot};
use crate::plan::lower::{Branches, Lowering, with_operator};

/// Rows for calls over the same distinct arguments: columns of the projected input.
#[derive(Debug, PartialEq, Eq)]
struct DistinctSet {
    arguments: Vec<usize>,
    filter: Option<usize>,
}

/// How the rows are spread.
struct Spread {
    sets: Vec<DistinctSet>,
    /// For each call its set.
    set_of: Vec<usize>,
    /// The set whose rows the calls without DISTINCT see. It has no filter, so that every group is in it.
    plain: usize,
}

impl Spread {
    fn new(calls: &[AggregateCall], inputs: &InputColumns) -> Self {
        let mut sets: Vec<DistinctSet> = Vec::new();
        let mut set_of = Vec::new();
        for (call, places) in calls.iter().zip(&inputs.places) {
            if !call.is_distinct() {
                set_of.push(usize::MAX);
                continue;
            }
            let (arguments, filter) = places.split_at(call.arguments().len());
            let arguments = arguments.iter().copied().flatten().collect();
            let set = DistinctSet { arguments, filter: filter.first().copied().flatten() };
            let known = sets.iter().position(|known| *known == set);
            set_of.push(known.unwrap_or(sets.len()));
            if known.is_none() {
                sets.push(set);
            }
        }
        let plain = sets.iter().position(|set| set.filter.is_none()).unwrap_or(sets.len());
        if plain == sets.len() {
            sets.push(DistinctSet { arguments: Vec::new(), filter: None });
        }
        set_of.iter_mut().filter(|set| **set == usize::MAX).for_each(|set| *set = plain);
        Spread { sets, set_of, plain }
    }

    /// The columns of all sets' arguments, each once.
    fn arguments(&self) -> Vec<usize> {
        let mut arguments: Vec<usize> = self.sets.iter().flat_map(|set| set.arguments.iter().copied()).collect();
        arguments.sort_unstable();
        arguments.dedup();
        arguments
    }
}

impl Lowering<'_> {
    pub(super) fn distinct_groups(&mut self, groups: Groups) -> Result<Branches> {
        let inputs = InputColumns::new(&groups.keys, &groups.calls);
        let spread = Spread::new(&groups.calls, &inputs);
        let arguments = spread.arguments();
        let finer = Finer::new(&groups, &inputs, &spread, &arguments)?;
        let mut branches = inputs.project(groups.branches);
        if let Some(expand) = finer.expand {
            branches = with_operator(branches, Arc::new(expand));
        }
        let schema = finer.sink.schema();
        let branches = self.end_pipeline(branches, Arc::new(finer.sink));
        // The columns are now: keys, the set's number where there are several, arguments, states.
        let keys = groups.keys.len();
        let first_argument = keys + usize::from(spread.sets.len() > 1);
        let mut state = first_argument + arguments.len();
        let mut calls = Vec::with_capacity(groups.calls.len());
        for (call, &set) in groups.calls.iter().zip(&spread.set_of) {
            if !call.is_distinct() {
                let states = state..state + call.state_fields()?.len();
                state = states.end;
                let columns = states.map(|state| Evaluator::of_column(&schema, state)).collect::<Result<_>>()?;
                calls.push(CallInput::States { call: call.clone(), columns });
                continue;
            }
            let mut places = finer.places[calls.len()].iter();
            let call = call.clone().with_filter(None).without_distinct().over(|input| match places.next() {
                Some(Some(place)) => column_as(&schema, first_argument + place, input.data_type()),
                _ => Ok(input.clone()),
            })?;
            let filter = (spread.sets.len() > 1).then(|| self.is_of_set(&schema, keys, set)).transpose()?;
            calls.push(CallInput::Rows(call.with_filter(filter)));
        }
        let keys = (0..keys).map(|key| Evaluator::of_column(&schema, key)).collect::<Result<_>>()?;
        let sink = HashAggregate::staged(keys, calls, Some(groups.output))?;
        self.end_in_groups(branches, sink, groups.of_nothing)
    }

    /// Whether a row is one of set `set`; column `column` has the number.
    fn is_of_set(&self, schema: &SchemaRef, column: usize, set: usize) -> Result<Evaluator> {
        let logical = DFSchema::try_from(schema.as_ref().clone())?;
        let number = set_number(set)?;
        self.compile(&col(schema.field(column).name()).eq(lit(number)), &logical)
    }
}

/// The first of the two aggregations.
struct Finer {
    expand: Option<Expand>,
    sink: HashAggregate,
    /// For each call where its arguments are among the arguments of all sets.
    places: Vec<Vec<Option<usize>>>,
}

impl Finer {
    fn new(groups: &Groups, inputs: &InputColumns, spread: &Spread, arguments: &[usize]) -> Result<Self> {
        let place = |column: &usize| arguments.binary_search(column).ok();
        let places = inputs.places.iter().map(|places| places.iter().map(|at| at.as_ref().and_then(place)).collect());
        let places = places.collect();
        let keys = inputs.keys;
        if spread.sets.len() == 1 {
            let key = |index: usize| Evaluator::of_column(&inputs.schema, index);
            let keys = (0..keys).chain(arguments.iter().copied()).map(key).collect::<Result<_>>()?;
            let calls = plain_calls(inputs.calls_over(&groups.calls, key)?);
            return Ok(Finer { expand: None, sink: HashAggregate::staged(keys, calls, None)?, places });
        }
        // Keys, the set's number, arguments, whether the row is for the calls without DISTINCT, their inputs.
        let types =
            |columns: &[usize]| columns.iter().map(|&index| inputs.columns[index].data_type()).collect::<Vec<_>>();
        let key_columns: Vec<usize> = (0..keys).collect();
        let input_columns: Vec<usize> = (keys..inputs.columns.len()).collect();
        let schema = columns_schema(
            types(&key_columns)
                .into_iter()
                .chain([&DataType::Int32])
                .chain(types(arguments))
                .chain([&DataType::Boolean])
                .chain(types(&input_columns)),
        );
        let expand = spread_rows(spread, arguments, keys, inputs.columns.len(), &schema)?;
        let plain = keys + 1 + arguments.len();
        let column = |index: usize| Evaluator::of_column(&schema, index);
        let calls = inputs.calls_over(&groups.calls, |index| column(plain + 1 + index - keys))?;
        let calls = calls.into_iter().map(|call| match call.filter() {
            Some(_) => Ok(call),
            None => Ok(call.with_filter(Some(column(plain)?))),
        });
        let calls = plain_calls(calls.collect::<Result<_>>()?);
        let keys = (0..plain).map(column).collect::<Result<_>>()?;
        Ok(Finer { expand: Some(expand), sink: HashAggregate::staged(keys, calls, None)?, places })
    }
}

fn plain_calls(calls: Vec<AggregateCall>) -> Vec<CallInput> {
    calls.into_iter().filter(|call| !call.is_distinct()).map(CallInput::Rows).collect()
}

/// The rows of all sets. In those that the calls without DISTINCT do not see, their filters are false and their arguments NULL.
fn spread_rows(
    spread: &Spread,
    arguments: &[usize],
    keys: usize,
    columns: usize,
    schema: &SchemaRef,
) -> Result<Expand> {
    let set = |(number, set): (usize, &DistinctSet)| {
        let mut slots: Vec<Slot> = (0..keys).map(Slot::Column).collect();
        slots.push(Slot::Constant(ScalarValue::from(set_number(number)?)));
        let own = |&index: &usize| if set.arguments.contains(&index) { Slot::Column(index) } else { Slot::Null };
        slots.extend(arguments.iter().map(own));
        let is_plain = number == spread.plain;
        slots.push(Slot::Constant(ScalarValue::from(is_plain)));
        slots.extend((keys..columns).map(|index| if is_plain { Slot::Column(index) } else { Slot::Null }));
        Ok(ExpandSet { slots, filter: set.filter })
    };
    let sets = spread.sets.iter().enumerate().map(set).collect::<Result<_>>()?;
    Ok(Expand::new(sets, schema.clone()))
}

fn set_number(set: usize) -> Result<i32> {
    i32::try_from(set).map_err(|_| Error::internal("more than 2^31 different DISTINCT arguments"))
}

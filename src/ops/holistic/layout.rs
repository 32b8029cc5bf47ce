//! What a holistic aggregation computes, and in what columns its rows wait.
//!
//! A row has the keys, then every input of the calls once, then, where some call asks in which order the rows came, its
//! sequence.

use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, UInt64Array};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::error::{Error, Result};
use crate::expr::{AggregateCall, Evaluator, GatherOrder, Gathering};
use crate::ops::aggregate::{table_key, table_type};
use crate::ops::partition::Radix;

/// A holistic aggregation as data.
pub(super) struct Layout {
    pub(super) keys: Vec<Evaluator>,
    /// Key types as a hash table sees them.
    key_types: Vec<DataType>,
    inputs: Vec<Evaluator>,
    pub(super) calls: Vec<CallSlot>,
    /// The different orders in which calls want their rows.
    pub(super) orders: Vec<Order>,
    pub(super) output: SchemaRef,
    /// Keys, inputs, sequence.
    pub(super) rows: Schema,
    pub(super) sequenced: bool,
    /// How rows are spread, the same for every lane.
    pub(super) radix: OnceLock<Radix>,
    /// Bytes that a worker may use for a partition; by default a part of the budget.
    pub(super) share: Option<usize>,
}

/// One call and where its columns are in a row.
pub(super) struct CallSlot {
    /// Without DISTINCT: what it sees is distinct already.
    pub(super) call: AggregateCall,
    pub(super) arguments: Vec<usize>,
    /// The type of the first argument in the plan.
    pub(super) item: DataType,
    pub(super) filter: Option<usize>,
    pub(super) distinct: bool,
    /// The order that it must have, if any.
    pub(super) order: Option<usize>,
    /// The order in which a group that does not fit is read: that of the values where any will do.
    pub(super) stream_order: Option<usize>,
}

/// Columns of a row that order the rows of a group; what is equal keeps the order in which it came.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    pub(super) columns: Vec<(usize, SortOptions)>,
}

const ASCENDING: SortOptions = SortOptions { descending: false, nulls_first: false };

impl CallSlot {
    pub(super) fn gathering(&self) -> Option<&Gathering> {
        self.call.gathering()
    }

    /// Whether it gives the value in the first row of its order, whatever that is.
    pub(super) fn takes_first_row(&self) -> bool {
        let first = Gathering::Nth { number: 1, ignores_nulls: false };
        !self.distinct && self.filter.is_none() && self.gathering() == Some(&first)
    }

    /// Whether rows without a first argument do not count.
    pub(super) fn ignores_nulls(&self) -> bool {
        self.gathering().is_some_and(Gathering::ignores_nulls)
    }
}

impl Layout {
    pub(super) fn new(keys: Vec<Evaluator>, calls: Vec<AggregateCall>, output: SchemaRef) -> Self {
        let key_types: Vec<DataType> = keys.iter().map(|key| table_type(key.data_type())).collect();
        let mut inputs: Vec<Evaluator> = Vec::new();
        let mut place = |input: &Evaluator| {
            let known = inputs.iter().position(|known| known == input && !input.is_volatile());
            keys.len()
                + known.unwrap_or_else(|| {
                    inputs.push(input.clone());
                    inputs.len() - 1
                })
        };
        let mut orders: Vec<Order> = Vec::new();
        let mut sequenced = false;
        let mut slots = Vec::with_capacity(calls.len());
        for call in calls {
            let arguments: Vec<usize> = call.arguments().iter().map(&mut place).collect();
            let filter = call.filter().map(&mut place);
            let (wanted, streamed) = orders_of(&call, &arguments);
            let mut number = |order: Order| {
                orders.iter().position(|known| *known == order).unwrap_or_else(|| {
                    orders.push(order);
                    orders.len() - 1
                })
            };
            let order = wanted.map(&mut number);
            let stream_order = streamed.map(&mut number);
            let free = matches!(call.gathering(), None | Some(Gathering::Quantiles { .. }));
            sequenced |= !free || call.order() == GatherOrder::Given;
            let item = call.arguments().first().map_or(DataType::Null, |value| value.data_type().clone());
            let distinct = call.is_distinct();
            let call = call.without_distinct();
            slots.push(CallSlot { call, arguments, item, filter, distinct, order, stream_order });
        }
        let types = key_types.iter().chain(inputs.iter().map(Evaluator::data_type));
        let sequence = sequenced.then_some(&DataType::UInt64);
        let fields = types.chain(sequence).enumerate();
        let fields = fields.map(|(index, data_type)| Field::new(format!("c{index}"), data_type.clone(), true));
        let rows = Schema::new(fields.collect::<Vec<_>>());
        Layout {
            keys,
            key_types,
            inputs,
            calls: slots,
            orders,
            output,
            rows,
            sequenced,
            radix: OnceLock::new(),
            share: None,
        }
    }

    pub(super) fn key_types(&self) -> &[DataType] {
        &self.key_types
    }

    /// The keys of a batch of the input, as a hash table wants them.
    pub(super) fn evaluate_keys(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let keys = self.keys.iter().zip(&self.key_types);
        keys.map(|(key, data_type)| table_key(key.evaluate(batch)?, data_type)).collect()
    }

    /// What stands behind the keys in a row; `first` is the sequence of the batch's first row.
    pub(super) fn evaluate_inputs(&self, batch: &RecordBatch, first: u64) -> Result<Vec<ArrayRef>> {
        let mut columns = self.inputs.iter().map(|input| input.evaluate(batch)).collect::<Result<Vec<_>>>()?;
        if self.sequenced {
            columns.push(Arc::new(UInt64Array::from_iter_values(first..first + batch.num_rows() as u64)));
        }
        Ok(columns)
    }

    /// The keys of a batch from the store, in the types of a hash table.
    pub(super) fn stored_keys(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let keys = batch.columns().iter().zip(&self.key_types);
        keys.map(
            |(key, data_type)| {
                if key.data_type() == data_type { Ok(key.clone()) } else { Ok(cast(key, data_type)?) }
            },
        )
        .collect()
    }

    /// Values of column `index` of a row in the type that calls know, where they waited in another one.
    pub(super) fn in_own_type(&self, index: usize, values: &ArrayRef) -> Result<ArrayRef> {
        let missing = || Error::internal(format!("rows without column {index}"));
        let own = self.rows.fields().get(index).ok_or_else(missing)?.data_type();
        Ok(if values.data_type() == own { values.clone() } else { cast(values, own)? })
    }

    /// A batch of the output schema from its columns.
    pub(super) fn output_batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let columns = columns.into_iter().zip(self.output.fields()).map(|(column, field)| {
            if column.data_type() == field.data_type() { Ok(column) } else { Ok(cast(&column, field.data_type())?) }
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.output.clone(), columns, &options)?)
    }

    /// Groups that exist although there were no rows.
    pub(super) fn groups_of_nothing(&self, keys: &[ArrayRef], groups: usize) -> Result<RecordBatch> {
        let mut columns = keys.to_vec();
        for slot in &self.calls {
            columns.push(slot.call.empty_value()?.to_array_of_size(groups)?);
        }
        self.output_batch(columns, groups)
    }

    /// Whether one row of each group says everything, the first in one order; gives that order (none: the order in which they
    /// came).
    pub(super) fn first_row_order(&self) -> Option<Option<&Order>> {
        let first = self.calls.first()?;
        let alike = |slot: &CallSlot| slot.takes_first_row() && slot.order == first.order;
        if self.keys.is_empty() || !self.calls.iter().all(alike) {
            return None;
        }
        Some(first.order.and_then(|order| self.orders.get(order)))
    }

    /// The column of a row's sequence.
    pub(super) fn sequence_column(&self) -> Result<usize> {
        self.rows.fields().len().checked_sub(1).ok_or_else(|| Error::internal("rows without columns"))
    }
}

/// The order that a call needs, and the one in which it reads a group that is larger than the memory.
fn orders_of(call: &AggregateCall, arguments: &[usize]) -> (Option<Order>, Option<Order>) {
    let by_value = || match call.gathering() {
        Some(_) => Order { columns: arguments.iter().take(1).map(|&column| (column, ASCENDING)).collect() },
        None => Order { columns: arguments.iter().map(|&column| (column, ASCENDING)).collect() },
    };
    let order = match call.order() {
        GatherOrder::Given => {
            let keys = arguments.iter().skip(arguments.len() - call.directions().len());
            Some(Order { columns: keys.copied().zip(call.directions().iter().copied()).collect() })
        }
        GatherOrder::Value => Some(by_value()),
        GatherOrder::Arrival | GatherOrder::Free => None,
    };
    let streamed = match call.order() {
        GatherOrder::Arrival => Some(Order { columns: Vec::new() }),
        GatherOrder::Free if call.gathering().is_some() => Some(by_value()),
        _ => order.clone(),
    };
    (order, streamed)
}

//! What an aggregation computes, and in what columns its rows travel.

use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::batch::hash::{canonical_f32, canonical_f64};
use crate::error::Result;
use crate::expr::{AggregateCall, Evaluator};
use crate::memory::Reservation;
use crate::ops::partition::{PartitionWriter, Radix};
use crate::store::QueryContext;

/// An aggregation as data: keys, distinct inputs, calls.
///
/// Two kinds of rows travel: *raw* ones (keys, then [`Layout::inputs`]) and *partial* ones (keys, then all states).
pub(super) struct Layout {
    pub(super) keys: Vec<Evaluator>,
    /// Key types as the table sees them: texts are views.
    key_types: Vec<DataType>,
    /// Arguments and filters of all calls, each expression once.
    pub(super) inputs: Vec<Evaluator>,
    pub(super) calls: Vec<CallSlot>,
    pub(super) output: SchemaRef,
    /// The output has states, not values.
    pub(super) gives_states: bool,
    /// The schema of raw rows.
    pub(super) raw: Schema,
    /// The schema of partial rows.
    pub(super) partial: Schema,
    /// How rows are spread, the same for every lane: the memory limit may change under a query.
    radix: OnceLock<Radix>,
}

/// What a call finds in the rows of the input.
pub enum CallInput {
    /// Its arguments.
    Rows(AggregateCall),
    /// Its own partial states, made by an aggregation by finer keys, in these columns.
    States { call: AggregateCall, columns: Vec<Evaluator> },
}

/// One call and where its columns are.
pub(super) struct CallSlot {
    pub(super) call: AggregateCall,
    /// Indexes into the inputs.
    pub(super) arguments: Vec<usize>,
    pub(super) filter: Option<usize>,
    /// The arguments are partial states.
    pub(super) merges: bool,
    pub(super) state_fields: Vec<FieldRef>,
}

impl Layout {
    /// Without an `output`, the groups come with their calls' states instead of their values ([`Layout::partial`]).
    pub(super) fn new(keys: Vec<Evaluator>, calls: Vec<CallInput>, output: Option<SchemaRef>) -> Result<Self> {
        let key_types: Vec<DataType> = keys.iter().map(|key| table_type(key.data_type())).collect();
        let mut inputs: Vec<Evaluator> = Vec::new();
        let mut position = |evaluator: &Evaluator| match inputs
            .iter()
            .position(|input| input == evaluator && !evaluator.is_volatile())
        {
            Some(position) => position,
            None => {
                inputs.push(evaluator.clone());
                inputs.len() - 1
            }
        };
        let mut slots = Vec::with_capacity(calls.len());
        for input in calls {
            let (call, columns) = match input {
                CallInput::Rows(call) => (call, None),
                CallInput::States { call, columns } => (call, Some(columns)),
            };
            let merges = columns.is_some();
            let arguments = columns.as_deref().unwrap_or(call.arguments()).iter().map(&mut position).collect();
            let filter = if merges { None } else { call.filter().map(&mut position) };
            let state_fields = call.state_fields()?;
            slots.push(CallSlot { call, arguments, filter, merges, state_fields });
        }
        let key_fields = || named("key", key_types.iter());
        let raw = key_fields().chain(named("input", inputs.iter().map(Evaluator::data_type)));
        let raw = Schema::new(raw.collect::<Vec<_>>());
        let states = slots.iter().flat_map(|slot| &slot.state_fields).map(|field| field.data_type());
        let partial = Schema::new(key_fields().chain(named("state", states)).collect::<Vec<_>>());
        let gives_states = output.is_none();
        let output = output.unwrap_or_else(|| Arc::new(partial.clone()));
        Ok(Layout { keys, key_types, inputs, calls: slots, output, gives_states, raw, partial, radix: OnceLock::new() })
    }

    /// Groups that exist although there were no rows, by their keys: each call has its value over nothing.
    pub(super) fn groups_of_nothing(&self, keys: &[ArrayRef], groups: usize) -> Result<RecordBatch> {
        let mut columns = keys.to_vec();
        for slot in &self.calls {
            columns.push(slot.call.empty_value()?.to_array_of_size(groups)?);
        }
        self.output_batch(columns, groups)
    }

    /// So many partitions that the table of one is a small part of the budget.
    pub(super) fn radix(&self, context: &QueryContext) -> Radix {
        *self.radix.get_or_init(|| match context.budget.limit() >> 20 {
            0..=31 => Radix::first(16),
            32..=127 => Radix::first(32),
            128..=255 => Radix::first(64),
            _ => Radix::first(256),
        })
    }

    /// What is put aside for spreading raw and partial rows over `partitions` once the memory is full.
    pub(super) fn headroom(&self, context: &QueryContext, partitions: usize) -> Reservation {
        let mut headroom = context.budget.reservation("HashAggregate");
        let bytes = PartitionWriter::least_bytes(&self.raw, partitions)
            + PartitionWriter::least_bytes(&self.partial, partitions);
        // Where there is not even so little, spreading will say so.
        headroom.try_grow(bytes.min(context.budget.limit() / 16));
        headroom
    }

    /// Types of the keys in the table.
    pub(super) fn key_types(&self) -> &[DataType] {
        &self.key_types
    }

    /// The keys of a batch, as the table wants them.
    pub(super) fn evaluate_keys(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let keys = self.keys.iter().zip(&self.key_types);
        keys.map(|(key, data_type)| table_key(key.evaluate(batch)?, data_type)).collect()
    }

    /// The inputs of a batch.
    pub(super) fn evaluate_inputs(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.inputs.iter().map(|input| input.evaluate(batch)).collect()
    }

    /// Keys and the columns behind them of a batch from the store, in the types of `schema` (raw or partial).
    pub(super) fn restore(&self, batch: &RecordBatch, schema: &Schema) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>)> {
        let columns = batch.columns().iter().zip(schema.fields());
        let mut columns = columns.map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(column.clone())
            } else {
                Ok(cast(column, field.data_type())?)
            }
        });
        let keys = columns.by_ref().take(self.key_types.len()).collect::<Result<_>>()?;
        Ok((keys, columns.collect::<Result<_>>()?))
    }
}

/// Nullable fields of these types, numbered.
fn named<'a>(name: &'a str, types: impl Iterator<Item = &'a DataType>) -> impl Iterator<Item = Field> {
    types.enumerate().map(move |(index, data_type)| Field::new(format!("{name}{index}"), data_type.clone(), true))
}

/// The type in which a key lies in the table.
pub(in crate::ops) fn table_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Dictionary(_, value) => table_type(value),
        other => other.clone(),
    }
}

/// The key in its table type; equal floats become equal bits.
pub(in crate::ops) fn table_key(key: ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    let key = if key.data_type() == data_type { key } else { cast(&key, data_type)? };
    Ok(match data_type {
        DataType::Float64 => Arc::new(key.as_primitive::<Float64Type>().unary::<_, Float64Type>(canonical_f64)),
        DataType::Float32 => Arc::new(key.as_primitive::<Float32Type>().unary::<_, Float32Type>(canonical_f32)),
        _ => key,
    })
}

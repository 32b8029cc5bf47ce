//! What an aggregation computes, and in what columns its rows travel.

use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::batch::hash::{canonical_f32, canonical_f64};
use crate::error::Result;
use crate::expr::{AggregateCall, Evaluator};
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
    /// The schema of raw rows.
    pub(super) raw: Schema,
    /// The schema of partial rows.
    pub(super) partial: Schema,
    /// Bits of the hash that choose a partition, the same for every lane: the memory limit may change under a query.
    bits: OnceLock<u32>,
}

/// One call and where its columns are.
pub(super) struct CallSlot {
    pub(super) call: AggregateCall,
    /// Indexes into the inputs.
    pub(super) arguments: Vec<usize>,
    pub(super) filter: Option<usize>,
    pub(super) state_fields: Vec<FieldRef>,
}

impl Layout {
    pub(super) fn new(keys: Vec<Evaluator>, calls: Vec<AggregateCall>, output: SchemaRef) -> Result<Self> {
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
        for call in calls {
            let arguments = call.arguments().iter().map(&mut position).collect();
            let filter = call.filter().map(&mut position);
            let state_fields = call.state_fields()?;
            slots.push(CallSlot { call, arguments, filter, state_fields });
        }
        let key_fields: Vec<Field> = key_types.iter().map(|key| Field::new("key", key.clone(), true)).collect();
        let input_fields = inputs.iter().map(|input| Field::new("input", input.data_type().clone(), true));
        let raw = Schema::new(key_fields.iter().cloned().chain(input_fields).collect::<Vec<_>>());
        let states = slots.iter().flat_map(|slot| &slot.state_fields);
        let states = states.map(|field| Field::new("state", field.data_type().clone(), true));
        let partial = Schema::new(key_fields.iter().cloned().chain(states).collect::<Vec<_>>());
        Ok(Layout { keys, key_types, inputs, calls: slots, output, raw, partial, bits: OnceLock::new() })
    }

    /// The one group of an aggregation without keys over no rows.
    pub(super) fn empty_group(&self) -> Result<RecordBatch> {
        let values = self.calls.iter().map(|slot| Ok(slot.call.empty_value()?.to_array()?));
        self.output_batch(values.collect::<Result<_>>()?, 1)
    }

    /// Bits of the hash that choose a partition: enough that a partition's table is a small part of the budget.
    pub(super) fn partition_bits(&self, context: &QueryContext) -> u32 {
        *self.bits.get_or_init(|| match context.budget.limit() >> 20 {
            0..=31 => 4,
            32..=127 => 5,
            128..=255 => 6,
            _ => 8,
        })
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

/// The type in which a key lies in the table.
fn table_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Dictionary(_, value) => table_type(value),
        other => other.clone(),
    }
}

/// The key in its table type; equal floats become equal bits.
fn table_key(key: ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    let key = if key.data_type() == data_type { key } else { cast(&key, data_type)? };
    Ok(match data_type {
        DataType::Float64 => Arc::new(key.as_primitive::<Float64Type>().unary::<_, Float64Type>(canonical_f64)),
        DataType::Float32 => Arc::new(key.as_primitive::<Float32Type>().unary::<_, Float32Type>(canonical_f32)),
        _ => key,
    })
}

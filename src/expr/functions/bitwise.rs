//! `bit_and`, `bit_or` and `bit_xor`: of integers as the library has them, and of BITs of one length.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result as DataFusionResult, ScalarValue, internal_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::type_coercion::functions::fields_with_udf;
use datafusion_expr::utils::format_state_name;
use datafusion_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature};
use datafusion_functions_aggregate::bit_and_or_xor::{bit_and_udaf, bit_or_udaf, bit_xor_udaf};

use super::library::bits_of_two;
use super::wrapped::as_wrapped;
use crate::batch::logical::{BIT, bits_at};

/// The three functions.
pub(super) fn bitwise() -> impl Iterator<Item = Arc<AggregateUDF>> {
    [bit_and_udaf(), bit_or_udaf(), bit_xor_udaf()].into_iter().map(|function| {
        let signature = Signature::user_defined(function.signature().volatility);
        Arc::new(AggregateUDF::new_from_impl(Bitwise { function, signature }))
    })
}

/// The library's function, and BITs.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bitwise {
    function: Arc<AggregateUDF>,
    signature: Signature,
}

impl Bitwise {
    /// What becomes of two bits.
    fn rule(&self) -> fn(bool, bool) -> bool {
        match self.name() {
            "bit_and" => |a, b| a & b,
            "bit_or" => |a, b| a | b,
            _ => |a, b| a ^ b,
        }
    }
}

impl AggregateUDFImpl for Bitwise {
    as_wrapped!(function);

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        if types == [BIT] {
            return Ok(types.to_vec());
        }
        let field = |data_type: &DataType| Arc::new(Field::new("argument", data_type.clone(), true));
        let fields: Vec<FieldRef> = types.iter().map(field).collect();
        let fields = fields_with_udf(&fields, self.function.as_ref())?;
        Ok(fields.iter().map(|field| field.data_type().clone()).collect())
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        self.function.return_type(types)
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> DataFusionResult<Vec<FieldRef>> {
        if *arguments.return_field.data_type() == BIT {
            return Ok(vec![Arc::new(Field::new(format_state_name(arguments.name, self.name()), BIT, true))]);
        }
        self.function.state_fields(arguments)
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> DataFusionResult<Box<dyn Accumulator>> {
        if *arguments.return_field.data_type() == BIT {
            return Ok(Box::new(BitsTogether { rule: self.rule(), bits: None }));
        }
        self.function.accumulator(arguments)
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs) -> bool {
        *arguments.return_field.data_type() != BIT && self.function.groups_accumulator_supported(arguments)
    }

    fn create_groups_accumulator(&self, arguments: AccumulatorArgs) -> DataFusionResult<Box<dyn GroupsAccumulator>> {
        self.function.create_groups_accumulator(arguments)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// The bits of the values so far; `None` before the first.
#[derive(Debug)]
struct BitsTogether {
    rule: fn(bool, bool) -> bool,
    bits: Option<Vec<u8>>,
}

impl Accumulator for BitsTogether {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        let [values] = values else { return internal_err!("bits of {} columns", values.len()) };
        let Some(values) = bits_at(values) else {
            return internal_err!("bits of {}", values.data_type());
        };
        for value in values.iter().flatten() {
            self.bits = Some(match &self.bits {
                Some(bits) => bits_of_two(bits, value, self.rule)?,
                None => value.to_vec(),
            });
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        self.update_batch(states)
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        Ok(ScalarValue::LargeBinary(self.bits.clone()))
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.bits.as_ref().map_or(0, Vec::capacity)
    }
}

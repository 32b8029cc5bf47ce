//! Any aggregate of the library over a moving frame.
//!
//! Rows leave where the function's own state can give them up exactly. States of floats (variance, correlation) drift
//! away from the values in the frame while rows are subtracted, so they are filled anew now and then ([`Removal`]), and
//! all other functions every time.
//!
//! # Known limitation
//! A frame that loses rows costs as much as its rows for functions that cannot give any up (`approx_distinct`,
//! `string_agg`).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array, new_empty_array};
use arrow::compute::{filter, take};
use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::Accumulator;
use datafusion_physical_expr::aggregate::AggregateFunctionExpr;

use super::sliding::{Removal, SlidingAggregate, SlidingInputs, Step};
use crate::error::Result;
use crate::expr::aggregate::AggregateCall;
use crate::expr::from_library;

/// Functions whose states give up a row as if it had never been there.
const EXACT: [&str; 9] = ["sum", "avg", "count", "min", "max", "array_agg", "median", "percentile_cont", "bit_xor"];

/// Functions whose states give up a row but for rounding.
const ROUNDED: [&str; 16] = [
    "var",
    "var_pop",
    "stddev",
    "stddev_pop",
    "covar_samp",
    "covar_pop",
    "corr",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
];

/// Functions that forget what they have seen when they are asked for their value.
const FORGETFUL: [&str; 1] = ["string_agg"];

/// One of the library's accumulators.
pub(super) struct LibraryAggregate {
    function: Arc<AggregateFunctionExpr>,
    accumulator: Box<dyn Accumulator>,
    removes: bool,
    /// Whether removing rounds.
    rounds: bool,
    remembers: bool,
    /// The value, until the frame changes.
    current: Option<ScalarValue>,
    values: Vec<ScalarValue>,
    /// How often each of `values` stands in the output.
    repeats: Vec<u32>,
    result_type: DataType,
}

impl LibraryAggregate {
    pub(super) fn new(call: &AggregateCall, moving: bool) -> Result<Self> {
        let function = call.function().clone();
        let name = function.fun().name();
        let rounds = ROUNDED.contains(&name);
        let removes = moving && (rounds || EXACT.contains(&name)) && function.create_sliding_accumulator().is_ok();
        let accumulator = new_accumulator(&function, removes)?;
        let remembers = !FORGETFUL.contains(&name);
        let result_type = call.field().data_type().clone();
        Ok(LibraryAggregate {
            function,
            accumulator,
            removes,
            rounds,
            remembers,
            current: None,
            values: Vec::new(),
            repeats: Vec::new(),
            result_type,
        })
    }

    fn value(&mut self) -> Result<ScalarValue> {
        if let Some(value) = &self.current {
            return Ok(value.clone());
        }
        let value = self.accumulator.evaluate().map_err(from_library)?;
        self.current = Some(value.clone());
        Ok(value)
    }
}

fn new_accumulator(function: &AggregateFunctionExpr, removes: bool) -> Result<Box<dyn Accumulator>> {
    Ok(if removes { function.create_sliding_accumulator()? } else { function.create_accumulator()? })
}

/// The rows `from .. to` that the filter lets through.
fn slice(inputs: &SlidingInputs, from: u32, to: u32) -> Result<Vec<ArrayRef>> {
    let (from, rows) = (from as usize, (to - from) as usize);
    let slices = inputs.arguments.iter().map(|argument| argument.slice(from, rows));
    let Some(condition) = &inputs.filter else { return Ok(slices.collect()) };
    let condition: BooleanArray = condition.slice(from, rows);
    Ok(slices.map(|argument| filter(&argument, &condition)).collect::<std::result::Result<_, _>>()?)
}

impl SlidingAggregate for LibraryAggregate {
    fn apply(&mut self, entering: &SlidingInputs, leaving: &SlidingInputs, steps: &[Step]) -> Result<()> {
        for step in steps {
            match *step {
                Step::Reset => {
                    self.accumulator = new_accumulator(&self.function, self.removes)?;
                    self.current = None;
                }
                Step::Add { from, to } => {
                    self.accumulator.update_batch(&slice(entering, from, to)?).map_err(from_library)?;
                    self.current = None;
                }
                Step::Remove { from, to } => {
                    self.accumulator.retract_batch(&slice(leaving, from, to)?).map_err(from_library)?;
                    self.current = None;
                }
                Step::Emit { rows } => {
                    let value = self.value()?;
                    self.values.push(value);
                    self.repeats.push(rows);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Result<ArrayRef> {
        let (values, repeats) = (std::mem::take(&mut self.values), std::mem::take(&mut self.repeats));
        if values.is_empty() {
            return Ok(new_empty_array(&self.result_type));
        }
        let values = ScalarValue::iter_to_array(values)?;
        if repeats.iter().all(|&rows| rows == 1) {
            return Ok(values);
        }
        let rows = (0u32..).zip(&repeats).flat_map(|(value, &rows)| std::iter::repeat_n(value, rows as usize));
        Ok(take(&values, &UInt32Array::from_iter_values(rows), None)?)
    }

    fn removal(&self) -> Removal {
        match self.removes {
            false => Removal::Never,
            true if self.rounds => Removal::Rounded,
            true => Removal::Exact,
        }
    }

    fn remembers(&self) -> bool {
        self.remembers
    }

    fn bytes(&self) -> usize {
        self.accumulator.size() + self.values.capacity() * size_of::<ScalarValue>()
    }
}

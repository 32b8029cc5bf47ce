//! The value of a frame's first row by an order of the call: `first(value ORDER BY key) OVER (…)`.
//!
//! As for [extremes](super::extreme), a queue holds the rows that can still become the answer; they are compared by their keys in
//! arrow's row format. Of rows with equal keys the first of the frame is taken, and for `last` the last.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result as DataFusionResult, ScalarValue, internal_err, not_impl_err};
use datafusion_expr::function::AccumulatorArgs;
use datafusion_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::sliding::{Removal, SlidingAggregate, SlidingInputs, Step};
use crate::batch::order::OrderConverter;
use crate::error::{Error, Result};
use crate::expr::aggregate::AggregateCall;

/// The names of the two functions: nobody writes them.
const NAMES: [&str; 2] = ["#first_by", "#last_by"];

/// `#first_by(value, order, keys…)`: `order` has two letters for each key, `a` or `d` and `f` or `l`, for what comes first.
pub(crate) fn ordered_functions() -> Vec<Arc<AggregateUDF>> {
    let function = |name| {
        let signature = Signature::variadic_any(Volatility::Immutable);
        Arc::new(AggregateUDF::new_from_impl(OrderedFunction { name, signature }))
    };
    NAMES.into_iter().map(function).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OrderedFunction {
    name: &'static str,
    signature: Signature,
}

impl AggregateUDFImpl for OrderedFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match types {
            [value, _, _, ..] => Ok(value.clone()),
            _ => internal_err!("{} needs a value, an order and keys", self.name),
        }
    }

    fn accumulator(&self, _arguments: AccumulatorArgs) -> DataFusionResult<Box<dyn Accumulator>> {
        not_impl_err!("{} stands for a window function", self.name)
    }

    fn state_fields(&self, _arguments: datafusion_expr::function::StateFieldsArgs) -> DataFusionResult<Vec<FieldRef>> {
        Ok(Vec::new())
    }
}

/// The aggregate of `call`, where it is one of these functions.
pub(super) fn own(call: &AggregateCall, moving: bool) -> Result<Option<Box<dyn SlidingAggregate>>> {
    let name = call.function().fun().name();
    let Some(last) = NAMES.iter().position(|known| *known == name).map(|place| place == 1) else { return Ok(None) };
    let [_, order, keys @ ..] = call.arguments() else { return Err(Error::internal("an order without keys")) };
    let order = letters(order)?;
    if order.len() != 2 * keys.len() {
        return Err(Error::internal("an order of other keys"));
    }
    let field = |(key, letters): (&crate::expr::Evaluator, &[u8])| {
        let descending = letters.first() == Some(&b'd');
        let nulls_first = letters.get(1) == Some(&b'f');
        (key.data_type().clone(), SortOptions { descending, nulls_first })
    };
    Ok(Some(Box::new(Ordered {
        converter: OrderConverter::try_new(keys.iter().zip(order.chunks(2)).map(field))?,
        last,
        moving,
        queue: VecDeque::new(),
        queued: 0,
        entered: 0,
        left: 0,
        values: Vec::new(),
        result_type: call.field().data_type().clone(),
    })))
}

/// The text of the order, which is a constant.
fn letters(order: &crate::expr::Evaluator) -> Result<Vec<u8>> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(1));
    let schema = Arc::new(arrow::datatypes::Schema::empty());
    let row = arrow::array::RecordBatch::try_new_with_options(schema, vec![], &options)?;
    match ScalarValue::try_from_array(&order.evaluate(&row)?, 0)? {
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => {
            Ok(text.into_bytes())
        }
        _ => Err(Error::internal("an order that is no text")),
    }
}

struct Ordered {
    converter: OrderConverter,
    /// The last row by the order is wanted.
    last: bool,
    moving: bool,
    /// Rows that can still be the answer: their numbers since the last reset, keys and values.
    queue: VecDeque<(u64, Box<[u8]>, ScalarValue)>,
    /// Bytes of the keys and values in the queue, about.
    queued: usize,
    entered: u64,
    left: u64,
    values: Vec<ScalarValue>,
    result_type: DataType,
}

impl Ordered {
    /// Whether a row that comes with `key` makes one with `old` useless.
    fn replaces(&self, key: &[u8], old: &[u8]) -> bool {
        if self.last { key >= old } else { key < old }
    }

    fn enter(&mut self, key: &[u8], value: &ArrayRef, row: usize) -> Result<()> {
        let number = self.entered;
        self.entered += 1;
        // Where nothing leaves, only the best counts.
        if !self.moving && self.queue.front().is_some_and(|(_, best, _)| !self.replaces(key, best)) {
            return Ok(());
        }
        while self.queue.back().is_some_and(|(_, old, _)| self.replaces(key, old)) {
            if let Some((_, old, value)) = self.queue.pop_back() {
                self.queued = self.queued.saturating_sub(old.len() + value.size());
            }
        }
        let mut value = ScalarValue::try_from_array(value, row)?;
        value.compact();
        self.queued += key.len() + value.size();
        self.queue.push_back((number, key.into(), value));
        Ok(())
    }

    fn add(&mut self, entering: &SlidingInputs, from: usize, to: usize) -> Result<()> {
        let [value, _, keys @ ..] = entering.arguments.as_slice() else {
            return Err(Error::internal("an order without keys"));
        };
        let keys: Vec<ArrayRef> = keys.iter().map(|key| key.slice(from, to - from)).collect();
        let rows = self.converter.keys(&keys)?;
        for (row, key) in (from..to).zip(rows.iter()) {
            let counts = entering.filter.as_ref().is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            match counts {
                true => self.enter(key.as_ref(), value, row)?,
                false => self.entered += 1,
            }
        }
        Ok(())
    }
}

impl SlidingAggregate for Ordered {
    fn apply(&mut self, entering: &SlidingInputs, _leaving: &SlidingInputs, steps: &[Step]) -> Result<()> {
        for step in steps {
            match *step {
                Step::Reset => {
                    self.queue.clear();
                    (self.queued, self.entered, self.left) = (0, 0, 0);
                }
                Step::Add { from, to } => self.add(entering, from as usize, to as usize)?,
                Step::Remove { from, to } => {
                    self.left += u64::from(to - from);
                    while self.queue.front().is_some_and(|(number, ..)| *number < self.left) {
                        if let Some((_, key, value)) = self.queue.pop_front() {
                            self.queued = self.queued.saturating_sub(key.len() + value.size());
                        }
                    }
                }
                Step::Emit { rows } => {
                    let value = match self.queue.front() {
                        Some((_, _, value)) => value.clone(),
                        None => ScalarValue::try_from(&self.result_type)?,
                    };
                    self.values.extend(std::iter::repeat_n(value, rows as usize));
                }
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Result<ArrayRef> {
        let values = std::mem::take(&mut self.values);
        if values.is_empty() {
            return Ok(arrow::array::new_empty_array(&self.result_type));
        }
        Ok(ScalarValue::iter_to_array(values)?)
    }

    fn removal(&self) -> Removal {
        if self.moving { Removal::Exact } else { Removal::Never }
    }

    fn bytes(&self) -> usize {
        self.queued
            + self.queue.capacity() * size_of::<(u64, Box<[u8]>, ScalarValue)>()
            + self.values.capacity() * size_of::<ScalarValue>()
    }
}

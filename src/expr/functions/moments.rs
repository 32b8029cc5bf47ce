//! `skewness`, `kurtosis`, `kurtosis_pop` and `product`: aggregates of numbers whose state is a few sums.

use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion_common::{Result as DataFusionResult, ScalarValue, internal_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::library::Moments;

/// The functions.
pub(super) fn moments() -> Vec<Arc<AggregateUDF>> {
    let kinds = [
        (Kind::Skewness, "skewness"),
        (Kind::Kurtosis, "kurtosis"),
        (Kind::KurtosisPop, "kurtosis_pop"),
        (Kind::Product, "product"),
    ];
    let function = |(kind, name)| {
        let signature = Signature::exact(vec![DataType::Float64], Volatility::Immutable);
        Arc::new(AggregateUDF::new_from_impl(MomentsOf { kind, name, signature }))
    };
    kinds.map(function).to_vec()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Skewness,
    Kurtosis,
    KurtosisPop,
    Product,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct MomentsOf {
    kind: Kind,
    name: &'static str,
    signature: Signature,
}

impl AggregateUDFImpl for MomentsOf {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, _arguments: AccumulatorArgs) -> DataFusionResult<Box<dyn Accumulator>> {
        Ok(Box::new(Sums { kind: self.kind, moments: Moments::default(), product: 1.0 }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> DataFusionResult<Vec<FieldRef>> {
        let field = |part| Arc::new(Field::new(format!("{}[{part}]", arguments.name), DataType::Float64, true));
        Ok(["count", "mean", "second", "third", "fourth", "product"].map(field).to_vec())
    }
}

/// The state of one group.
#[derive(Debug)]
struct Sums {
    kind: Kind,
    moments: Moments,
    product: f64,
}

impl Accumulator for Sums {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        let [values] = values else { return internal_err!("an aggregate of {} columns", values.len()) };
        for value in values.as_primitive::<Float64Type>().iter().flatten() {
            self.moments.add(value);
            self.product *= value;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        Ok(ScalarValue::Float64(match self.kind {
            Kind::Skewness => self.moments.skewness(),
            Kind::Kurtosis => self.moments.kurtosis(true),
            Kind::KurtosisPop => self.moments.kurtosis(false),
            Kind::Product => (self.moments.count > 0.0).then_some(self.product),
        }))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        let Moments { count, mean, second, third, fourth } = self.moments;
        Ok([count, mean, second, third, fourth, self.product].map(ScalarValue::from).to_vec())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        let columns: Vec<_> = states.iter().map(|state| state.as_primitive::<Float64Type>().values()).collect();
        let [count, mean, second, third, fourth, product] = columns.as_slice() else {
            return internal_err!("a state of {} columns", states.len());
        };
        for row in 0..count.len() {
            let other = Moments {
                count: count[row],
                mean: mean[row],
                second: second[row],
                third: third[row],
                fourth: fourth[row],
            };
            self.moments = self.moments.merged(&other);
            self.product *= product[row];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Float64Array;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn sums(values: &[f64]) -> Sums {
        let mut sums = Sums { kind: Kind::Skewness, moments: Moments::default(), product: 1.0 };
        sums.update_batch(&[Arc::new(Float64Array::from(values.to_vec()))]).unwrap();
        sums
    }

    proptest! {
        #[test]
        fn parts_make_the_whole(values in vec(-100.0..100.0_f64, 4..40), cut in 0..40_usize) {
            let (a, b) = values.split_at(cut.min(values.len()));
            let mut merged = sums(a);
            let state: Vec<ArrayRef> = sums(b).state().unwrap().iter().map(|value| value.to_array().unwrap()).collect();
            merged.merge_batch(&state).unwrap();
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let power = |power: i32| values.iter().map(|value| (value - mean).powi(power)).sum::<f64>();
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-7 * (1.0 + a.abs().max(b.abs()));
            prop_assert!(close(merged.moments.mean, mean) && close(merged.moments.second, power(2)));
            prop_assert!(close(merged.moments.third, power(3)) && close(merged.moments.fourth, power(4)));
            prop_assert!(close(merged.product, values.iter().product()));
        }
    }
}

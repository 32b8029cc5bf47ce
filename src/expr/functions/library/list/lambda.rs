//! Functions that call a lambda for the values of lists: `list_transform`, `list_filter`, `list_reduce`.
//!
//! A lambda may take the value's place (from 1) as one parameter more. It never sees values behind a NULL list.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, UInt32Array, new_null_array};
use arrow::compute::{cast, filter, interleave, take, take_arrays};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result as DataFusionResult, plan_err};
use datafusion_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature, HigherOrderUDF,
    HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda, Volatility,
};

use super::{Picker, lists_of};
use crate::error::{Code, Error};
use crate::expr::functions::library::function::item_type;
use crate::expr::functions::library::typed::list_type;

/// The functions, and what is said of them: parameters and one sentence.
pub(in crate::expr::functions) fn higher_order() -> Vec<(Arc<HigherOrderUDF>, &'static str, &'static str)> {
    let function = |kind, names: [&str; 5], parameters, what| {
        let [name, aliases @ ..] = names;
        let aliases = aliases.iter().filter(|alias| !alias.is_empty()).map(|alias| alias.to_string()).collect();
        let signature = HigherOrderSignature::user_defined(Volatility::Immutable);
        let function = HigherOrderUDF::new_from_impl(ListLambda { kind, name: name.to_string(), aliases, signature });
        (Arc::new(function), parameters, what)
    };
    vec![
        function(
            Kind::Transform,
            ["list_transform", "array_transform", "list_apply", "array_apply", "apply"],
            "list, lambda value[, place]: result",
            "What the lambda makes of every value",
        ),
        function(
            Kind::Filter,
            ["list_filter", "array_filter", "filter", "", ""],
            "list, lambda value[, place]: condition",
            "The values for which the lambda is true",
        ),
        function(
            Kind::Reduce,
            ["list_reduce", "array_reduce", "reduce", "", ""],
            "list, lambda result, value[, place]: result[, start]",
            "What the lambda makes of the first value (or start) and the next, of that and the next, and so on",
        ),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Transform,
    Filter,
    Reduce,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ListLambda {
    kind: Kind,
    name: String,
    aliases: Vec<String>,
    signature: HigherOrderSignature,
}

/// A list, a lambda, and for `list_reduce` maybe where it starts.
fn parts<'a, V, L>(
    name: &str,
    arguments: &'a [ValueOrLambda<V, L>],
) -> DataFusionResult<(&'a V, &'a L, Option<&'a V>)> {
    match arguments {
        [ValueOrLambda::Value(list), ValueOrLambda::Lambda(lambda)] => Ok((list, lambda, None)),
        [ValueOrLambda::Value(list), ValueOrLambda::Lambda(lambda), ValueOrLambda::Value(start)] => {
            Ok((list, lambda, Some(start)))
        }
        _ => plan_err!("{name} does not take these arguments: it takes a list and a lambda (lambda x: x + 1)"),
    }
}

impl HigherOrderUDFImpl for ListLambda {
    fn name(&self) -> &str {
        &self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn coerce_value_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        let most = if self.kind == Kind::Reduce { 2 } else { 1 };
        let item = match types.first() {
            Some(DataType::Null) => Some(&DataType::Null),
            Some(list) => item_type(list),
            None => None,
        };
        match item {
            Some(item) if types.len() <= most => {
                Ok(std::iter::once(list_type(item.clone())).chain(types.iter().skip(1).cloned()).collect())
            }
            _ => {
                plan_err!("{} does not take these arguments: it takes a list and a lambda (lambda x: x + 1)", self.name)
            }
        }
    }

    fn lambda_parameters(
        &self,
        _step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> DataFusionResult<LambdaParametersProgress> {
        let (list, lambda, start) = parts(&self.name, fields)?;
        let Some(item) = item_type(list.data_type()) else { return plan_err!("{} takes a list", self.name) };
        let field = |data_type: &DataType| Arc::new(Field::new("", data_type.clone(), true));
        let (value, place) = (field(item), field(&DataType::Int64));
        if self.kind != Kind::Reduce {
            return Ok(LambdaParametersProgress::Complete(vec![vec![value, place]]));
        }
        // What comes in has the type of what comes out, which is known once the lambda was planned.
        match lambda {
            Some(result) => Ok(LambdaParametersProgress::Complete(vec![vec![field(result.data_type()), value, place]])),
            None => {
                let first = field(start.map_or(item, |start| start.data_type()));
                Ok(LambdaParametersProgress::Partial(vec![Some(vec![first, value, place])]))
            }
        }
    }

    fn return_field_from_args(&self, arguments: HigherOrderReturnFieldArgs) -> DataFusionResult<FieldRef> {
        let (list, lambda, _) = parts(&self.name, arguments.arg_fields)?;
        let result = match self.kind {
            Kind::Transform => list_type(lambda.data_type().clone()),
            Kind::Filter if !matches!(lambda.data_type(), DataType::Boolean | DataType::Null) => {
                return plan_err!("the lambda of {} does not support the argument: it gives true or false", self.name);
            }
            Kind::Filter => list.data_type().clone(),
            Kind::Reduce => lambda.data_type().clone(),
        };
        Ok(Arc::new(Field::new("", result, true)))
    }

    fn invoke_with_args(&self, arguments: HigherOrderFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let (list, lambda, start) = parts(&self.name, &arguments.args)?;
        let lists = Dense::of(&list.to_array(arguments.number_rows)?)?;
        let result = arguments.return_type().clone();
        let found = match self.kind {
            Kind::Transform => lists.transformed(lambda, &result)?,
            Kind::Filter => lists.filtered(lambda)?,
            Kind::Reduce => {
                let start = start.map(|start| start.to_array(arguments.number_rows)).transpose()?;
                lists.reduced(lambda, start.as_ref(), &result)?
            }
        };
        Ok(ColumnarValue::Array(found))
    }
}

/// Lists without values that belong to none.
struct Dense {
    lists: ListArray,
    /// The row of every value, and its place in it.
    rows: UInt32Array,
    places: ArrayRef,
}

impl Dense {
    fn of(array: &ArrayRef) -> DataFusionResult<Self> {
        let source = array.as_list::<i32>();
        let mut picker = Picker::new(source.len());
        let (mut rows, mut places) = (Vec::new(), Vec::new());
        let offsets = source.value_offsets();
        for (row, bounds) in offsets.windows(2).enumerate() {
            let bound = |index: usize| bounds.get(index).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
            let range = bound(0)..bound(1);
            if source.is_null(row) {
                picker.push(None::<Vec<_>>)?;
                continue;
            }
            let row = u32::try_from(row).unwrap_or(u32::MAX);
            rows.extend(range.clone().map(|_| row));
            places.extend((1..).take(range.len()).map(|place: i64| place));
            picker.push(Some(range.map(Some)))?;
        }
        let lists = picker.finish(source.values())?.as_list::<i32>().clone();
        Ok(Dense { lists, rows: UInt32Array::from(rows), places: Arc::new(Int64Array::from(places)) })
    }

    fn lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.lists.offsets().lengths()
    }

    fn valid(&self) -> Vec<bool> {
        (0..self.lists.len()).map(|row| self.lists.is_valid(row)).collect()
    }

    /// What the lambda makes of every value.
    fn evaluated(&self, lambda: &LambdaArgument) -> DataFusionResult<ArrayRef> {
        let value = || Ok(self.lists.values().clone());
        let place = || Ok(self.places.clone());
        let evaluated = lambda.evaluate(&[&value, &place], |captured| Ok(take_arrays(captured, &self.rows, None)?))?;
        evaluated.into_array(self.rows.len())
    }

    fn transformed(&self, lambda: &LambdaArgument, result: &DataType) -> DataFusionResult<ArrayRef> {
        let items = self.evaluated(lambda)?;
        let item = item_type(result).cloned().unwrap_or(DataType::Null);
        lists_of(cast(&items, &item)?, self.lengths().collect(), &self.valid())
    }

    fn filtered(&self, lambda: &LambdaArgument) -> DataFusionResult<ArrayRef> {
        let conditions = cast(&self.evaluated(lambda)?, &DataType::Boolean)?;
        let conditions = conditions.as_boolean();
        let mut start = 0;
        let kept = self.lengths().map(|length| {
            let of_list = conditions.slice(start, length);
            start += length;
            of_list.true_count()
        });
        lists_of(filter(self.lists.values(), conditions)?, kept.collect(), &self.valid())
    }

    /// All lists go forward by one value at a time, those that are not at their end.
    fn reduced(
        &self,
        lambda: &LambdaArgument,
        start: Option<&ArrayRef>,
        result: &DataType,
    ) -> DataFusionResult<ArrayRef> {
        let offsets: Vec<usize> =
            self.lists.value_offsets().iter().filter_map(|offset| usize::try_from(*offset).ok()).collect();
        let lengths: Vec<usize> = self.lengths().collect();
        let index = |row: usize, step: usize| offsets.get(row).and_then(|start| u32::try_from(start + step).ok());
        let mut reached = match start {
            Some(start) => cast(start, result)?,
            None => {
                let is_empty = |(row, length): (usize, &usize)| *length == 0 && self.lists.is_valid(row);
                if lengths.iter().enumerate().any(is_empty) {
                    let error = Error::new(Code::InvalidQuery, "an empty list has no first value to begin with");
                    return Err(error.hint("give a start as the third argument").into());
                }
                let first = |(row, length): (usize, &usize)| index(row, 0).filter(|_| *length > 0);
                cast(
                    &take(self.lists.values(), &UInt32Array::from_iter(lengths.iter().enumerate().map(first)), None)?,
                    result,
                )?
            }
        };
        let begin = usize::from(start.is_none());
        for step in begin..lengths.iter().copied().max().unwrap_or(0) {
            let rows: Vec<usize> =
                (0..lengths.len()).filter(|row| lengths.get(*row).is_some_and(|length| *length > step)).collect();
            let active = UInt32Array::from_iter_values(rows.iter().filter_map(|row| u32::try_from(*row).ok()));
            let values = UInt32Array::from_iter(rows.iter().map(|row| index(*row, step)));
            let so_far = || Ok(take(&reached, &active, None)?);
            let value = || Ok(take(self.lists.values(), &values, None)?);
            let place = || Ok(Arc::new(Int64Array::from_value(step as i64 + 1, rows.len())) as ArrayRef);
            let next =
                lambda.evaluate(&[&so_far, &value, &place], |captured| Ok(take_arrays(captured, &active, None)?))?;
            let next = cast(&next.into_array(rows.len())?, result)?;
            let mut sources: Vec<(usize, usize)> = (0..lengths.len()).map(|row| (0, row)).collect();
            for (place, row) in rows.iter().enumerate() {
                if let Some(source) = sources.get_mut(*row) {
                    *source = (1, place);
                }
            }
            reached = interleave(&[reached.as_ref(), next.as_ref()], &sources)?;
        }
        // A NULL list gives NULL, whatever it would start with.
        let nothing = new_null_array(result, 1);
        let sources: Vec<(usize, usize)> =
            (0..lengths.len()).map(|row| if self.lists.is_valid(row) { (0, row) } else { (1, 0) }).collect();
        Ok(interleave(&[reached.as_ref(), nothing.as_ref()], &sources)?)
    }
}

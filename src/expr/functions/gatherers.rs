//! Aggregates of all values of a group: `median`, `quantile_cont`, `quantile_disc`, `mode`, `string_agg`.
//!
//! What they compute is [`Gathering`]; GROUP BY evaluates it out of core. The accumulators here serve windows, whose frames
//! are in memory.

use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion_common::{DataFusionError, Result as DataFusionResult, ScalarValue, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::format_state_name;
use datafusion_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use datafusion_physical_expr::aggregate::AggregateExprBuilder;

use crate::batch::logical::is_logical;
use crate::expr::aggregate::Gathering;

/// The functions with the other names by which they are known.
pub(super) fn gatherers() -> impl Iterator<Item = Arc<AggregateUDF>> {
    let function = |kind: Kind| Arc::new(AggregateUDF::new_from_impl(Gatherer::new(kind)));
    [Kind::Median, Kind::Continuous, Kind::Discrete, Kind::Mode, Kind::Text].into_iter().map(function)
}

/// The value in the first row of a group, NULL or not: what DISTINCT ON is made of. SQL cannot call it.
pub fn first_row() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(Gatherer::new(Kind::FirstRow)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Median,
    Continuous,
    Discrete,
    Mode,
    Text,
    FirstRow,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Gatherer {
    kind: Kind,
    signature: Signature,
    aliases: Vec<String>,
}

impl Gatherer {
    fn new(kind: Kind) -> Self {
        let aliases: &[&str] = match kind {
            Kind::Median | Kind::Mode | Kind::FirstRow => &[],
            Kind::Continuous => &["quantile_cont"],
            Kind::Discrete => &["percentile_disc", "quantile"],
            Kind::Text => &["listagg", "group_concat"],
        };
        let aliases = aliases.iter().map(|alias| (*alias).to_string()).collect();
        Gatherer { kind, signature: Signature::user_defined(Volatility::Immutable), aliases }
    }
}

/// The type in which values are interpolated.
fn with_middle(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Null => DataType::Float64,
        DataType::Float16 => DataType::Float32,
        DataType::Date32 | DataType::Date64 => DataType::Timestamp(TimeUnit::Microsecond, None),
        integer if integer.is_integer() => DataType::Float64,
        other => other.clone(),
    }
}

fn fraction_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)))
        }
        _ => DataType::Float64,
    }
}

impl AggregateUDFImpl for Gatherer {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Median => "median",
            Kind::Continuous => "percentile_cont",
            Kind::Discrete => "quantile_disc",
            Kind::Mode => "mode",
            Kind::Text => "string_agg",
            Kind::FirstRow => "first_row",
        }
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        match (self.kind, arguments) {
            (Kind::Median, [value]) => Ok(vec![with_middle(value)]),
            (Kind::Mode | Kind::FirstRow, [value]) => Ok(vec![value.clone()]),
            (Kind::Continuous, [value, fraction]) => Ok(vec![with_middle(value), fraction_type(fraction)]),
            (Kind::Discrete, [value, fraction]) => Ok(vec![value.clone(), fraction_type(fraction)]),
            (Kind::Text, [value]) => Ok(vec![text_type(value)]),
            (Kind::Text, [value, separator]) => Ok(vec![text_type(value), separator.clone()]),
            _ => plan_err!("{} does not take {} arguments", self.name(), arguments.len()),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> DataFusionResult<DataType> {
        match (self.kind, arguments) {
            (Kind::Text, _) => Ok(DataType::Utf8View),
            (_, [value, DataType::List(_)]) => Ok(DataType::List(Arc::new(Field::new_list_field(value.clone(), true)))),
            (_, [value, ..]) => Ok(value.clone()),
            _ => plan_err!("{} needs an argument", self.name()),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> DataFusionResult<Vec<FieldRef>> {
        let item = args.input_fields.first().map_or(DataType::Null, |field| field.data_type().clone());
        let list = Field::new_list(format_state_name(args.name, "values"), Field::new_list_field(item, true), true);
        Ok(vec![Arc::new(list)])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> DataFusionResult<Box<dyn Accumulator>> {
        let function = AggregateExprBuilder::new(
            Arc::new(AggregateUDF::new_from_impl(Gatherer::new(self.kind))),
            args.exprs.to_vec(),
        )
        .schema(Arc::new(args.schema.clone()))
        .order_by(args.order_bys.to_vec())
        .alias(args.name)
        .build()?;
        let gathering = Gathering::of(&function).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let Some(gathering) = gathering else { return plan_err!("{} gathers nothing", args.name) };
        if args.is_distinct {
            return plan_err!("DISTINCT in {} is not supported here", self.name());
        }
        let item = args.expr_fields.first().map_or(DataType::Null, |field| field.data_type().clone());
        Ok(Box::new(Collected { gathering, item, result: args.return_field.data_type().clone(), values: Vec::new() }))
    }

    fn supports_within_group_clause(&self) -> bool {
        matches!(self.kind, Kind::Continuous | Kind::Discrete)
    }
}

/// Texts stay as they are; other values are read as text. Those of floe's own types are cast by [`coerce`].
///
/// [`coerce`]: crate::expr::coercion::coerce
fn text_type(data_type: &DataType) -> DataType {
    if data_type.is_string() || is_logical(data_type) { data_type.clone() } else { DataType::Utf8View }
}

/// All values of one group, in memory.
#[derive(Debug)]
struct Collected {
    gathering: Gathering,
    item: DataType,
    result: DataType,
    values: Vec<ArrayRef>,
}

impl Collected {
    fn all(&self) -> DataFusionResult<Option<ArrayRef>> {
        let arrays: Vec<&dyn Array> = self.values.iter().map(AsRef::as_ref).collect();
        if arrays.is_empty() { Ok(None) } else { Ok(Some(concat(&arrays)?)) }
    }
}

impl Accumulator for Collected {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        let Some(values) = values.first() else { return Ok(()) };
        let values = match values.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
            Some(nulls) => arrow::compute::filter(values, &nulls.into_inner().into())?,
            None => values.clone(),
        };
        if !values.is_empty() {
            self.values.push(values);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let Some(values) = self.all()? else { return ScalarValue::try_from(&self.result) };
        let external = |error: crate::Error| DataFusionError::External(Box::new(error));
        if self.gathering == Gathering::Mode {
            let row = crate::expr::aggregate::most_frequent(&values).map_err(external)?;
            return ScalarValue::try_from_array(&values, row);
        }
        let found = self.gathering.evaluate(&values, &[0, values.len()], &self.item).map_err(external)?;
        ScalarValue::try_from_array(&found, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.iter().map(|values| values.get_array_memory_size()).sum::<usize>()
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        let values = self.all()?.unwrap_or_else(|| arrow::array::new_empty_array(&self.item));
        let starts = [0, values.len()];
        let list = Gathering::List { ignores_nulls: true }.evaluate(&values, &starts, &self.item);
        let list = list.map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(vec![ScalarValue::try_from_array(&list, 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        let Some(lists) = states.first().and_then(|state| state.as_list_opt::<i32>()) else { return Ok(()) };
        for list in lists.iter().flatten() {
            self.update_batch(&[list])?;
        }
        Ok(())
    }
}

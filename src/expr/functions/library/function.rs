//! A function of floe's own: a name, what is said about it, and its overloads.
//!
//! Invariant: the overload is chosen by the types of the arguments alone, the same when the query is planned and when it
//! runs: one that takes them as they are, else the one that has to cast least.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use datafusion_common::{Result as DataFusionResult, ScalarValue, internal_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::batch::logical::{is_blob, is_logical, reads_as_text};
use crate::error::{Code, Error};
use crate::expr::from_library;
use crate::expr::types::sql_type_name;

/// One argument of a call: an array, of one row where it is a constant.
#[derive(Debug)]
pub(super) struct Column {
    pub array: ArrayRef,
    pub constant: bool,
}

/// The arguments of a call over some rows.
#[derive(Debug)]
pub(super) struct Arguments {
    pub columns: Vec<Column>,
    pub rows: usize,
    /// The type of the result.
    pub result: DataType,
}

impl Arguments {
    /// The argument as an array with a value for every row.
    pub(super) fn array(&self, index: usize) -> DataFusionResult<ArrayRef> {
        match self.columns.get(index) {
            Some(column) if column.constant => {
                ScalarValue::try_from_array(&column.array, 0)?.to_array_of_size(self.rows)
            }
            Some(column) => Ok(column.array.clone()),
            None => internal_err!("argument {index} is missing"),
        }
    }

    /// A text argument that is the same for all rows: its value, which may be NULL.
    pub(super) fn constant_text(&self, index: usize) -> Option<Option<&str>> {
        let column = self.columns.get(index).filter(|column| column.constant)?;
        let texts = column.array.as_string_view_opt()?;
        Some(texts.is_valid(0).then(|| texts.value(0)))
    }

    /// All arguments as such arrays.
    pub(super) fn arrays(&self) -> DataFusionResult<Vec<ArrayRef>> {
        (0..self.columns.len()).map(|index| self.array(index)).collect()
    }
}

/// The types that an overload takes and gives.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bound {
    pub arguments: Vec<DataType>,
    pub result: DataType,
}

type Bind = dyn Fn(&[DataType]) -> Option<Bound> + Send + Sync;
type Run = dyn Fn(&Arguments) -> DataFusionResult<ArrayRef> + Send + Sync;

/// One way to call a function.
pub(super) struct Overload {
    /// What it makes of arguments of these types; `None` where it does not take them.
    bind: Box<Bind>,
    run: Box<Run>,
}

impl Overload {
    /// One that takes and gives certain types.
    pub(super) fn exact(
        arguments: Vec<DataType>,
        result: DataType,
        run: impl Fn(&Arguments) -> DataFusionResult<ArrayRef> + Send + Sync + 'static,
    ) -> Self {
        let bound = Bound { arguments, result };
        Overload {
            bind: Box::new(move |types| (types.len() == bound.arguments.len()).then(|| bound.clone())),
            run: Box::new(run),
        }
    }

    /// One whose types depend on those that it is given.
    pub(super) fn generic(
        bind: impl Fn(&[DataType]) -> Option<Bound> + Send + Sync + 'static,
        run: impl Fn(&Arguments) -> DataFusionResult<ArrayRef> + Send + Sync + 'static,
    ) -> Self {
        Overload { bind: Box::new(bind), run: Box::new(run) }
    }
}

/// A function with all that is said about it.
pub(in crate::expr::functions) struct Function {
    pub name: &'static str,
    pub aliases: Vec<String>,
    /// The parameters as they are shown: `text, pattern[, group]`.
    pub parameters: &'static str,
    /// One sentence without a full stop.
    pub description: &'static str,
    overloads: Vec<Overload>,
    signature: Signature,
}

/// A function that always gives the same for the same arguments.
pub(super) fn function(
    names: &'static str,
    parameters: &'static str,
    description: &'static str,
    overloads: impl Into<Vec<Overload>>,
) -> Function {
    let mut names = names.split(' ');
    let name = names.next().unwrap_or_default();
    Function {
        name,
        aliases: names.map(str::to_string).collect(),
        parameters,
        description,
        overloads: overloads.into(),
        signature: Signature::user_defined(Volatility::Immutable),
    }
}

impl Function {
    /// The same, but called anew for every row.
    pub(super) fn volatile(mut self) -> Self {
        self.signature.volatility = Volatility::Volatile;
        self
    }

    /// As the planner takes it.
    pub(super) fn scalar(self) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(self))
    }

    /// What arguments of these types become.
    pub(in crate::expr::functions) fn wanted(&self, types: &[DataType]) -> Option<Vec<DataType>> {
        self.choose(types).ok().map(|(_, bound)| bound.arguments)
    }

    /// The overload for arguments of these types, and what it makes of them.
    fn choose(&self, types: &[DataType]) -> DataFusionResult<(&Overload, Bound)> {
        let mut best: Option<(u32, &Overload, Bound)> = None;
        for overload in &self.overloads {
            let Some(bound) = (overload.bind)(types) else { continue };
            let costs = types.iter().zip(&bound.arguments).map(|(from, to)| cast_cost(from, to));
            let Some(cost) = costs.sum::<Option<u32>>() else { continue };
            if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                best = Some((cost, overload, bound));
            }
        }
        match best {
            Some((_, overload, bound)) => Ok((overload, bound)),
            None => {
                let types: Vec<String> = types.iter().map(sql_type_name).collect();
                let message = format!("{} does not take ({})", self.name, types.join(", "));
                let hint = format!("it is called as {}({})", self.name, self.parameters);
                Err(Error::new(Code::UnknownFunction, message).hint(hint).into())
            }
        }
    }
}

/// What it costs to cast an argument; `None` where that is not done without being asked for.
pub(super) fn cast_cost(from: &DataType, to: &DataType) -> Option<u32> {
    if from == to {
        return Some(0);
    }
    if reads_as_text(from) {
        return to.is_string().then_some(4);
    }
    if to.equals_datatype(from) || (from.is_string() && to.is_string()) || (is_blob(from) && is_blob(to)) {
        return Some(1);
    }
    match (from, to) {
        (DataType::Null, _) => Some(1),
        (DataType::Dictionary(_, value), to) => Some(1 + cast_cost(value, to)?),
        (from, DataType::Float64) if from.is_numeric() => Some(if from.is_integer() { 20 } else { 8 }),
        (DataType::Float64, DataType::Float32) => None,
        (from, DataType::Float32) if from.is_numeric() => Some(30),
        (DataType::Decimal128(_, 0), DataType::Int64) => Some(15),
        (from, DataType::Decimal128(38, 0)) if from.is_integer() => Some(6),
        (from, to) if from.is_integer() && to.is_integer() => Some(integer_cost(from, to)),
        (DataType::Date32, DataType::Timestamp(_, None)) => Some(5),
        (DataType::Date32 | DataType::Timestamp(_, None), DataType::Timestamp(_, Some(_))) => Some(12),
        (DataType::Timestamp(_, None), DataType::Timestamp(_, None)) => Some(3),
        (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, Some(_))) => Some(3),
        (DataType::Time32(_) | DataType::Time64(_), DataType::Time64(_)) => Some(3),
        (DataType::Interval(_) | DataType::Duration(_), DataType::Interval(_)) => Some(3),
        // A text in quotes is also how dates and times are written.
        (from, DataType::Timestamp(_, None)) if from.is_string() => Some(40),
        (from, DataType::Date32 | DataType::Interval(_) | DataType::Time64(_)) if from.is_string() => Some(60),
        (from, to) if from.is_string() && is_blob(to) => Some(50),
        (from, to) => match (item_type(from), item_type(to)) {
            (Some(from), Some(to)) => Some(1 + cast_cost(from, to)?),
            _ => None,
        },
    }
}

fn integer_cost(from: &DataType, to: &DataType) -> u32 {
    let width = |data_type: &DataType| data_type.primitive_width().unwrap_or(0);
    let fits = match (from.is_unsigned_integer(), to.is_unsigned_integer()) {
        (true, false) => width(from) < width(to),
        (false, true) => false,
        _ => width(from) <= width(to),
    };
    if fits { 2 } else { 25 }
}

/// The type of a list's items.
pub(super) fn item_type(list: &DataType) -> Option<&DataType> {
    match list {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => Some(item.data_type()),
        _ => None,
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Function").field("name", &self.name).finish_non_exhaustive()
    }
}

/// There is one function of a name.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.choose(types)?.1.result)
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        let wanted = self.choose(types)?.1.arguments.into_iter().zip(types);
        // The libraries have no casts of these types: `coerce` puts floe's in.
        Ok(wanted.map(|(to, from)| if is_logical(from) { from.clone() } else { to }).collect())
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let types: Vec<DataType> = call.args.iter().map(ColumnarValue::data_type).collect();
        let (overload, bound) = self.choose(&types)?;
        let is_volatile = self.signature.volatility == Volatility::Volatile;
        let constant = !is_volatile && call.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let columns = call.args.into_iter().zip(&bound.arguments).map(|(value, wanted)| {
            let (array, constant) = match value {
                ColumnarValue::Array(array) => (array, false),
                ColumnarValue::Scalar(value) => (value.to_array()?, true),
            };
            let array = if array.data_type() == wanted { array } else { arrow::compute::cast(&array, wanted)? };
            Ok(Column { array, constant })
        });
        let rows = if constant { 1 } else { call.number_rows };
        let arguments = Arguments { columns: columns.collect::<DataFusionResult<_>>()?, rows, result: bound.result };
        let failed = |error| from_library(error).of_function(self.name);
        let array = (overload.run)(&arguments).map_err(failed)?;
        if constant {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
        } else {
            Ok(ColumnarValue::Array(array))
        }
    }
}

//! One window function call of a query, compiled.

use arrow::array::{Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema};
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::expr::{AggregateFunction, NullTreatment, WindowFunction as LogicalWindow};
use datafusion_expr::{Expr, WindowFunctionDefinition, WindowUDF};

use super::frame::{Exclusion, Frame};
use super::sliding::{SlidingAggregate, sliding};
use crate::error::{Code, Error, Result};
use crate::expr::aggregate::AggregateCall;
use crate::expr::compiler::Compiler;
use crate::expr::evaluator::Evaluator;
use crate::expr::fold::unchecked;

/// What a window function computes.
#[derive(Debug, Clone)]
pub enum WindowFunction {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    /// Into so many buckets, at least one.
    Ntile(u64),
    /// `lag` and `lead`: the value so many rows before the current one (after it if negative).
    Shift {
        back: i64,
    },
    /// `lag` and `lead` by a distance of its own for each row: the last of the arguments.
    ShiftBy {
        ahead: bool,
    },
    /// `nth_value` with a place of its own for each row: the last of the arguments.
    NthBy,
    /// `first_value`, `last_value` and `nth_value`: the n-th value of the frame from 1, or from its end from -1.
    Nth(i64),
    /// An aggregate over the frame.
    Aggregate(AggregateCall),
}

/// A window function with its arguments, frame and filter. Immutable, shared.
#[derive(Debug, Clone)]
pub struct WindowCall {
    function: WindowFunction,
    arguments: Vec<Evaluator>,
    filter: Option<Evaluator>,
    ignore_nulls: bool,
    frame: Frame,
    text: String,
}

impl WindowCall {
    /// Compiles `window` over rows of `schema`. PARTITION BY and ORDER BY are for the
    /// caller to see to.
    ///
    /// # Errors
    /// As [`Compiler::compile`]; `INVALID_QUERY` for arguments that the function does not take.
    pub fn compile(window: &LogicalWindow, schema: &DFSchema, compiler: &Compiler) -> Result<Self> {
        let LogicalWindow { fun, params } = window;
        let exclusion = Exclusion::among(&params.partition_by);
        let frame = Frame::new(&params.window_frame, exclusion)?;
        let ignore_nulls = params.null_treatment == Some(NullTreatment::IgnoreNulls);
        let text = unchecked(Expr::from(window.clone()))?.to_string();
        let (function, arguments, filter) = match fun {
            WindowFunctionDefinition::AggregateUDF(function) => {
                let filter = params.filter.clone();
                let (arguments, distinct) = (params.args.clone(), params.distinct);
                let call = AggregateFunction::new_udf(
                    function.clone(),
                    arguments,
                    distinct,
                    filter,
                    Vec::new(),
                    params.null_treatment,
                );
                let call = AggregateCall::compile(&Expr::AggregateFunction(call), schema, compiler)?;
                let (arguments, filter) = (call.arguments().to_vec(), call.filter().cloned());
                (WindowFunction::Aggregate(call), arguments, filter)
            }
            WindowFunctionDefinition::WindowUDF(function) => {
                if params.distinct {
                    return Err(Error::new(Code::InvalidQuery, format!("{} takes no DISTINCT", function.name())));
                }
                let arguments = compiler.compile_all(&params.args, schema)?;
                let (function, used) = own_function(function, &arguments, ignore_nulls)?;
                (function, used.into_iter().filter_map(|index| arguments.get(index).cloned()).collect(), None)
            }
        };
        Ok(WindowCall { function, arguments, filter, ignore_nulls, frame, text })
    }

    /// What is computed.
    pub fn function(&self) -> &WindowFunction {
        &self.function
    }

    /// What is evaluated for each row: an aggregate's arguments; the value, and for `lag` and `lead` the default where
    /// there is one.
    pub fn arguments(&self) -> &[Evaluator] {
        &self.arguments
    }

    /// The condition of FILTER, for aggregates only.
    pub fn filter(&self) -> Option<&Evaluator> {
        self.filter.as_ref()
    }

    /// Whether `lag`, `lead` and the value functions pass over NULLs.
    pub fn ignores_nulls(&self) -> bool {
        self.ignore_nulls
    }

    /// The frame; of no meaning to ranks, `lag` and `lead`.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The call as SQL-like text, for EXPLAIN and messages.
    pub fn describe(&self) -> &str {
        &self.text
    }

    /// A new aggregate over frames; an internal error where the function is none.
    ///
    /// # Errors
    /// What the library raises for a function it does not know.
    pub fn sliding(&self) -> Result<Box<dyn SlidingAggregate>> {
        match &self.function {
            WindowFunction::Aggregate(call) => {
                sliding(call, self.frame.start_moves() || self.frame.exclusion != Exclusion::NoOthers)
            }
            _ => Err(Error::internal(format!("{} is no aggregate", self.text))),
        }
    }
}

/// The library's function as floe's own, and the positions of the arguments that have a value for each row.
fn own_function(
    function: &WindowUDF,
    arguments: &[Evaluator],
    ignore_nulls: bool,
) -> Result<(WindowFunction, Vec<usize>)> {
    let name = function.name();
    let value_function = matches!(name, "lag" | "lead" | "first_value" | "last_value" | "nth_value");
    if ignore_nulls && !value_function {
        return Err(Error::new(Code::InvalidQuery, format!("IGNORE NULLS means nothing to {name}")));
    }
    if value_function && arguments.is_empty() {
        return Err(Error::new(Code::InvalidQuery, format!("{name} needs an argument")));
    }
    Ok(match name {
        "row_number" => (WindowFunction::RowNumber, vec![]),
        "rank" => (WindowFunction::Rank, vec![]),
        "dense_rank" => (WindowFunction::DenseRank, vec![]),
        "percent_rank" => (WindowFunction::PercentRank, vec![]),
        "cume_dist" => (WindowFunction::CumeDist, vec![]),
        "ntile" => {
            let buckets = constant(name, arguments, 0)?.unwrap_or(0);
            let buckets = u64::try_from(buckets).ok().filter(|&buckets| buckets > 0);
            let buckets = buckets.ok_or_else(|| Error::new(Code::InvalidQuery, "ntile needs a positive number"))?;
            (WindowFunction::Ntile(buckets), vec![])
        }
        "lag" | "lead" => {
            if let Some(distance) = arguments.get(1)
                && is_number_of_a_row(distance)
                && !ignore_nulls
            {
                let used = if arguments.len() > 2 { vec![0, 2, 1] } else { vec![0, 1] };
                return Ok((WindowFunction::ShiftBy { ahead: name == "lead" }, used));
            }
            let rows = if arguments.len() > 1 { constant(name, arguments, 1)? } else { Some(1) };
            // So many rows away as nobody knows: NULL, as the value that is nowhere in the frame.
            let Some(rows) = rows else { return Ok((WindowFunction::Nth(0), vec![0])) };
            let back = if name == "lag" { rows } else { rows.checked_neg().unwrap_or(i64::MAX) };
            (WindowFunction::Shift { back }, vec![0, 2])
        }
        "first_value" => (WindowFunction::Nth(1), vec![0]),
        "last_value" => (WindowFunction::Nth(-1), vec![0]),
        "nth_value" if !ignore_nulls && arguments.get(1).is_some_and(is_number_of_a_row) => {
            (WindowFunction::NthBy, vec![0, 1])
        }
        "nth_value" => {
            let count = constant(name, arguments, 1)?.unwrap_or(0);
            (WindowFunction::Nth(count), vec![0])
        }
        other => return Err(Error::not_supported(format!("the window function {other}"))),
    })
}

/// Whether it is an integer that may be another one for each row.
fn is_number_of_a_row(argument: &Evaluator) -> bool {
    let constant = constant("", std::slice::from_ref(argument), 0).is_ok();
    !constant && argument.data_type().is_integer() && !argument.is_volatile()
}

/// The value of an integer argument that is the same for all rows; `None` for NULL.
fn constant(function: &str, arguments: &[Evaluator], index: usize) -> Result<Option<i64>> {
    let no_constant = || {
        let position = ["first", "second", "third"].get(index).copied().unwrap_or("last");
        Error::new(Code::NotSupported, format!("the {position} argument of {function} must be a constant integer"))
    };
    let argument = arguments.get(index).ok_or_else(no_constant)?;
    // A row without columns: whatever has a value there has it everywhere.
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Schema::empty().into(), vec![], &options)?;
    let value = argument.evaluate(&row).map_err(|_| no_constant())?;
    if argument.is_volatile() || !(value.data_type().is_integer() || value.data_type().is_null()) {
        return Err(no_constant());
    }
    match ScalarValue::try_from_array(&value, 0)?.cast_to(&DataType::Int64)? {
        ScalarValue::Int64(value) => Ok(value),
        _ => Err(no_constant()),
    }
}

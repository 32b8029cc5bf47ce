//! Logical expression to evaluator over a batch; the only module that uses the physical-expr crates.
//!
//! * [`Compiler`] and [`Evaluator`]: scalar expressions and conditions ([`Selection`]).
//! * [`AggregateCall`]: aggregates as [`GroupsAccumulator`]s, or as a [`Gathering`] of all values.
//! * [`WindowCall`]: window functions, and aggregates over frames as [`SlidingAggregate`]s.
//! * [`functions`]: every function by name, with floe's own where the library's would be wrong or slow.
//! * [`fold_checked`]: what makes arithmetic safe from the optimizer.
//! * [`own_numbers`], [`settle`] and [`quotient`]: what numbers of different kinds are together.
//! * [`own_casts`] and [`own_comparisons`]: what means something else in SQL than in Arrow.
//! * [`coercion`]: what types of floe's own become beside others.
//! * `json`: JSON as values, and values as JSON.
//! * [`types`]: SQL type names.
//!
//! Invariant: integer and decimal results are exact or an error, here and in the aggregates.

mod aggregate;
mod arithmetic;
mod attempt;
mod casts;
pub mod coercion;
mod compiler;
mod evaluator;
mod floats;
mod fold;
mod functions;
mod growth;
mod json;
mod logic;
mod nested_order;
mod numbers;
mod predicate;
mod rewrite;
mod temporal;
pub mod types;
mod window;

#[cfg(test)]
mod tests;

pub use aggregate::{AggregateCall, Fraction, GatherOrder, Gathering, in_views};
pub use casts::{check_casts, own_casts, plain_interval, try_cast_texts};
pub use compiler::Compiler;
pub use datafusion_expr::{EmitTo, GroupsAccumulator};
pub use evaluator::Evaluator;
pub use fold::fold_checked;
pub(crate) use functions::from_base64;
pub use functions::{
    Entry, FunctionRegistry, Macro, NAMED_CAST, TABLE_MACROS, TableMacro, bit_operator, entries, first_row,
    function_list, functions, macros, single_row,
};
pub use growth::{SMALL_GROWTH, grown_bytes};
pub use json::parsed_beyond_range;
pub use numbers::{own_numbers, quotient, settle, written_integer};
pub use predicate::Selection;
pub use temporal::own_comparisons;
pub use window::{
    Bound, Exclusion, Frame, FrameUnits, Offset, Removal, SlidingAggregate, SlidingInputs, Step, WindowCall,
    WindowFunction,
};

use arrow::error::ArrowError;
use datafusion_common::DataFusionError;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr_common::physical_expr::fmt_sql;

use crate::error::{Code, Error, known_sentence};

/// An error that evaluation raised. The library's functions (`abs`, `power`, `factorial`) have no kind of error for
/// overflow, only the word.
fn from_library(error: DataFusionError) -> Error {
    let text = match &error {
        DataFusionError::Execution(text) => Some(text),
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::ComputeError(text) => Some(text),
            _ => None,
        },
        _ => None,
    };
    match text {
        Some(text) if text.to_lowercase().contains("overflow") => {
            known_sentence(text).unwrap_or_else(|| Error::new(Code::Overflow, text.clone())).hint(arithmetic::WIDER)
        }
        _ => error.into(),
    }
}

/// A compiled expression as SQL-like text: columns by name, without indexes.
fn describe_physical(expr: &dyn PhysicalExpr) -> String {
    fmt_sql(expr).to_string()
}

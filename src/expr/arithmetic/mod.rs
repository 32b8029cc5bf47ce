//! Integer and decimal arithmetic that is exact or an error: as functions of the logical plan, as nodes of compiled
//! expressions, and the loops under both.

mod function;
mod kernels;
mod operator;
mod physical;

pub(crate) use function::{as_operators, checked_call, checked_operator, step_types};
pub(crate) use kernels::DECIMAL128_LIMIT;
pub(crate) use operator::CheckedOperator;
pub(crate) use physical::CheckedArithmetic;

/// What to try where a number does not fit its type.
pub(in crate::expr) const WIDER: &str = "cast an operand to a wider type, e.g. HUGEINT or DOUBLE";

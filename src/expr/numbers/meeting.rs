//! The types in which numbers meet, and literals in these types.

use arrow::datatypes::DataType;
use datafusion_common::tree_node::Transformed;
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast};

use super::written::written;

/// A DECIMAL of so many digits is what a DOUBLE can tell apart.
const DIGITS_OF_DOUBLE: u8 = 15;

/// The float that decimals and floats meet in; `None` where there are not both, or something else.
pub(super) fn meeting(types: &[DataType]) -> Option<DataType> {
    let all_numbers = types.iter().all(|found| found.is_numeric() || found.is_null());
    (all_numbers && types.iter().any(DataType::is_decimal)).then(|| widest_float(types)).flatten()
}

/// The wider of the floats among the types.
fn widest_float(types: &[DataType]) -> Option<DataType> {
    if types.contains(&DataType::Float64) {
        return Some(DataType::Float64);
    }
    types.iter().any(DataType::is_floating).then_some(DataType::Float32)
}

/// The numbers of one node of a plan.
pub(super) struct Numbers<'a> {
    pub schema: &'a DFSchema,
    /// Whether expressions have to be called as they are, so that literals stay.
    pub keep_names: bool,
}

impl Numbers<'_> {
    fn types_of(&self, exprs: &[Expr]) -> Option<Vec<DataType>> {
        exprs.iter().map(|expr| expr.get_type(self.schema).ok()).collect()
    }

    /// `left / right`, of numbers as floats.
    pub(super) fn quotient(&self, left: Expr, right: Expr) -> Transformed<Expr> {
        let divided =
            |left, right| Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::Divide, Box::new(right)));
        let types = [left.get_type(self.schema), right.get_type(self.schema)];
        let [Ok(a), Ok(b)] = &types else { return Transformed::no(divided(left, right)) };
        let is_number = |found: &DataType| found.is_numeric() || found.is_null();
        if !is_number(a) || !is_number(b) {
            return Transformed::no(divided(left, right));
        }
        let float = widest_float(&[a.clone(), b.clone()]).unwrap_or(DataType::Float64);
        if *a == float && *b == float {
            return Transformed::no(divided(left, right));
        }
        Transformed::yes(divided(self.in_type(left, a, &float), self.in_type(right, b, &float)))
    }

    /// The expressions as floats, where there is one among them.
    pub(super) fn as_floats(&self, exprs: Vec<Expr>) -> Transformed<Vec<Expr>> {
        let Some(types) = self.types_of(&exprs) else { return Transformed::no(exprs) };
        let all_numbers = types.iter().all(DataType::is_numeric);
        let Some(float) = widest_float(&types).filter(|_| all_numbers) else { return Transformed::no(exprs) };
        let changed = types.iter().any(|found| *found != float);
        let floats = exprs.into_iter().zip(types).map(|(expr, found)| self.in_type(expr, &found, &float)).collect();
        if changed { Transformed::yes(floats) } else { Transformed::no(floats) }
    }

    /// The expressions, decimals beside a float made floats and integers beside a decimal made decimals.
    pub(super) fn align(&self, exprs: Vec<Expr>) -> Transformed<Vec<Expr>> {
        let Some(types) = self.types_of(&exprs) else { return Transformed::no(exprs) };
        if meeting(&types).is_some() {
            return self.align_floats(exprs);
        }
        let all_numbers = types.iter().all(|found| found.is_numeric() || found.is_null());
        if !all_numbers || !types.iter().any(DataType::is_decimal) || !types.iter().any(DataType::is_integer) {
            return Transformed::no(exprs);
        }
        let in_digits = |(expr, found): (Expr, DataType)| match in_digits(&expr, &found) {
            Some(decimal) => self.in_type(expr, &found, &decimal),
            None => expr,
        };
        Transformed::yes(exprs.into_iter().zip(types).map(in_digits).collect())
    }

    /// The expressions, decimals made floats where there is a float among them.
    pub(super) fn align_floats(&self, exprs: Vec<Expr>) -> Transformed<Vec<Expr>> {
        let Some(types) = self.types_of(&exprs) else { return Transformed::no(exprs) };
        let Some(float) = meeting(&types) else { return Transformed::no(exprs) };
        let in_float = |(expr, found): (Expr, DataType)| {
            if found.is_decimal() { self.in_type(expr, &found, &float) } else { expr }
        };
        Transformed::yes(exprs.into_iter().zip(types).map(in_float).collect())
    }

    /// What is compared as decimals where only literals are floats, and decimals of few digits can say what they say: the
    /// column is compared as it lies in its file.
    pub(super) fn as_decimals(&self, exprs: &[Expr]) -> Option<Vec<Expr>> {
        let is_literal = |expr: &Expr| matches!(expr, Expr::Literal(ScalarValue::Float64(Some(_)), _));
        if self.keep_names || !exprs.iter().any(is_literal) {
            return None;
        }
        let types = self.types_of(exprs)?;
        let few = |found: &DataType| match found {
            DataType::Decimal128(precision, scale) if *precision <= DIGITS_OF_DOUBLE => Some(*scale),
            _ => None,
        };
        let scale = types.iter().filter_map(few).max()?;
        let in_decimal = |(expr, found): (&Expr, &DataType)| match expr {
            Expr::Literal(ScalarValue::Float64(Some(value)), _) => decimal_of(*value, DIGITS_OF_DOUBLE, scale),
            _ => few(found).map(|_| expr.clone()),
        };
        exprs.iter().zip(&types).map(in_decimal).collect()
    }

    pub(super) fn in_type(&self, expr: Expr, from: &DataType, to: &DataType) -> Expr {
        if from == to {
            return expr;
        }
        self.literal(&expr, to).unwrap_or_else(|| cast(expr, to.clone()))
    }

    /// A decimal that is written, in the type that a cast makes of it; `None` for other expressions, or where digits are lost.
    pub(super) fn literal(&self, expr: &Expr, to: &DataType) -> Option<Expr> {
        if self.keep_names { None } else { literal_in(expr, to) }
    }
}

/// The decimal with the fewest digits that name the number, if it has no more than these.
fn decimal_of(value: f64, precision: u8, scale: i8) -> Option<Expr> {
    let text = value.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((text.as_str(), ""));
    let width = usize::try_from(scale).ok().filter(|width| fraction.len() <= *width)?;
    let unscaled: i128 = format!("{whole}{fraction:0<width$}").parse().ok()?;
    let fits = unscaled.unsigned_abs() < 10_u128.checked_pow(u32::from(precision))?;
    fits.then(|| Expr::Literal(ScalarValue::Decimal128(Some(unscaled), precision, scale), None))
}

/// The decimal of all digits of an integer; of those of an INTEGER for a literal that is one.
fn in_digits(expr: &Expr, found: &DataType) -> Option<DataType> {
    match expr {
        Expr::Negative(inner) => in_digits(inner, found),
        _ if found.is_integer() && written(expr).is_some_and(|value| i32::try_from(value).is_ok()) => {
            digits_of_integer(&DataType::Int32)
        }
        _ => digits_of_integer(found),
    }
}

/// The decimal of all digits of an integer.
pub(super) fn digits_of_integer(data_type: &DataType) -> Option<DataType> {
    let digits = match data_type {
        DataType::Int8 | DataType::UInt8 => 3,
        DataType::Int16 | DataType::UInt16 => 5,
        DataType::Int32 | DataType::UInt32 => 10,
        DataType::Int64 => 19,
        DataType::UInt64 => 20,
        _ => return None,
    };
    Some(DataType::Decimal128(digits, 0))
}

/// A decimal that is written, in another type.
fn literal_in(expr: &Expr, to: &DataType) -> Option<Expr> {
    let Expr::Literal(value @ ScalarValue::Decimal128(Some(unscaled), _, scale), metadata) = expr else {
        return None;
    };
    let value = match to {
        // The number nearest to the digits, which dividing two floats would not always give.
        DataType::Float64 => ScalarValue::from(digits_of(*unscaled, *scale)?.parse::<f64>().ok()?),
        DataType::Float32 => ScalarValue::from(digits_of(*unscaled, *scale)?.parse::<f32>().ok()?),
        DataType::Decimal128(_, width) if width >= scale => value.cast_to(to).ok().filter(|cast| !cast.is_null())?,
        _ => return None,
    };
    Some(Expr::Literal(value, metadata.clone()))
}

fn digits_of(unscaled: i128, scale: i8) -> Option<String> {
    Some(format!("{unscaled}e{}", i32::from(scale).checked_neg()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_win_over_decimals() {
        let (decimal, double, float) = (DataType::Decimal128(4, 2), DataType::Float64, DataType::Float32);
        assert_eq!(meeting(&[decimal.clone(), double.clone(), float.clone()]), Some(double.clone()));
        assert_eq!(meeting(&[decimal.clone(), float.clone(), DataType::Int64]), Some(float));
        assert_eq!(meeting(&[decimal.clone(), DataType::Int64]), None);
        assert_eq!(meeting(&[decimal, double, DataType::Utf8]), None);
    }

    #[test]
    fn written_decimals_become_the_nearest_float() {
        let literal = Expr::Literal(ScalarValue::Decimal128(Some(17_690), 5, 3), None);
        assert_eq!(literal_in(&literal, &DataType::Float64), Some(Expr::Literal(ScalarValue::from(17.69_f64), None)));
        assert_eq!(literal_in(&literal, &DataType::Decimal128(5, 2)), None);
        assert_eq!(decimal_of(17.69, 15, 2), Some(Expr::Literal(ScalarValue::Decimal128(Some(1769), 15, 2), None)));
        assert_eq!(decimal_of(17.695, 15, 2), None);
    }
}

//! Which files a filter rules out by their folders' values alone.
//!
//! Invariant: a file is ruled out only if some conjunct is certainly false or NULL for all of its rows; whatever is
//! not understood keeps the file.

use std::cmp::Ordering;

use datafusion_common::ScalarValue;
use datafusion_expr::{BinaryExpr, Expr, Operator};

/// What is known of a condition for all rows of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    True,
    False,
    Null,
    /// It may differ from row to row.
    Open,
}

/// The values of one file's folder columns by name.
pub struct Constants<'a> {
    pub names: &'a [String],
    pub values: &'a [ScalarValue],
}

/// Whether rows of a file with these folder values can pass all of `filters`.
pub fn can_match(filters: &[Expr], constants: &Constants) -> bool {
    filters.iter().all(|filter| matches!(constants.truth(filter), Truth::True | Truth::Open))
}

impl Constants<'_> {
    fn truth(&self, expr: &Expr) -> Truth {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => self.truth(left).and(self.truth(right)),
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                self.truth(left).not().and(self.truth(right).not()).not()
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => self.comparison(left, *op, right),
            Expr::Not(inner) => self.truth(inner).not(),
            Expr::IsNull(inner) => self.value(inner).map_or(Truth::Open, |value| Truth::from(value.is_null())),
            Expr::IsNotNull(inner) => self.value(inner).map_or(Truth::Open, |value| Truth::from(!value.is_null())),
            Expr::InList(list) => {
                let any = list.list.iter().map(|item| self.comparison(&list.expr, Operator::Eq, item).not());
                let none = any.fold(Truth::True, Truth::and);
                if list.negated { none } else { none.not() }
            }
            Expr::Between(between) => {
                let low = self.comparison(&between.expr, Operator::GtEq, &between.low);
                let inside = low.and(self.comparison(&between.expr, Operator::LtEq, &between.high));
                if between.negated { inside.not() } else { inside }
            }
            other => match self.value(other) {
                Some(ScalarValue::Boolean(Some(value))) => Truth::from(value),
                Some(value) if value.is_null() => Truth::Null,
                _ => Truth::Open,
            },
        }
    }

    fn comparison(&self, left: &Expr, operator: Operator, right: &Expr) -> Truth {
        let (Some(left), Some(right)) = (self.value(left), self.value(right)) else { return Truth::Open };
        if left.is_null() || right.is_null() {
            return if is_comparison(operator) { Truth::Null } else { Truth::Open };
        }
        let Some(order) = compare(&left, &right) else { return Truth::Open };
        match operator {
            Operator::Eq => Truth::from(order == Ordering::Equal),
            Operator::NotEq => Truth::from(order != Ordering::Equal),
            Operator::Lt => Truth::from(order == Ordering::Less),
            Operator::LtEq => Truth::from(order != Ordering::Greater),
            Operator::Gt => Truth::from(order == Ordering::Greater),
            Operator::GtEq => Truth::from(order != Ordering::Less),
            _ => Truth::Open,
        }
    }

    /// The expression's value when it is the same for all rows of the file.
    fn value(&self, expr: &Expr) -> Option<ScalarValue> {
        match expr {
            Expr::Literal(value, _) => Some(value.clone()),
            Expr::Column(column) => {
                let index = self.names.iter().position(|name| *name == column.name)?;
                self.values.get(index).cloned()
            }
            Expr::Alias(alias) => self.value(&alias.expr),
            Expr::Cast(cast) => self.value(&cast.expr)?.cast_to(cast.field.data_type()).ok(),
            _ => None,
        }
    }
}

fn is_comparison(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// Values of two types are compared only where the conversion loses nothing either way.
fn compare(left: &ScalarValue, right: &ScalarValue) -> Option<Ordering> {
    if left.data_type() == right.data_type() {
        return left.partial_cmp(right);
    }
    let converted = right.cast_to(&left.data_type()).ok()?;
    let back = converted.cast_to(&right.data_type()).ok()?;
    if converted.is_null() || back != *right {
        return None;
    }
    left.partial_cmp(&converted)
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Truth::True } else { Truth::False }
    }
}

impl Truth {
    fn and(self, other: Truth) -> Truth {
        match (self, other) {
            (Truth::False, _) | (_, Truth::False) => Truth::False,
            (Truth::Open, _) | (_, Truth::Open) => Truth::Open,
            (Truth::Null, _) | (_, Truth::Null) => Truth::Null,
            _ => Truth::True,
        }
    }

    fn not(self) -> Truth {
        match self {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion_expr::{col, in_list, lit};

    use super::*;

    #[test]
    fn only_certain_falsehood_rules_a_file_out() {
        let names = ["year".to_string(), "code".to_string(), "gone".to_string()];
        let values =
            [ScalarValue::Int64(Some(2013)), ScalarValue::Utf8View(Some("01".into())), ScalarValue::Utf8View(None)];
        let constants = Constants { names: &names, values: &values };
        let cases = [
            (col("year").eq(lit(2013i64)), true),
            (col("year").eq(lit(2014i64)), false),
            (col("year").eq(lit(2014i32)), false),
            (lit(2013i64).lt(col("year")), false),
            (col("year").gt(lit(2012.5f64)), true),
            (col("code").eq(lit("01")), true),
            (col("code").eq(lit("1")), false),
            (col("other").eq(lit("1")), true),
            (col("year").eq(lit(2014i64)).or(col("other").eq(lit(1))), true),
            (col("year").eq(lit(2014i64)).and(col("other").eq(lit(1))), false),
            (in_list(col("year"), vec![lit(2012i64), lit(2014i64)], false), false),
            (in_list(col("year"), vec![lit(2012i64), lit(2014i64)], true), true),
            (in_list(col("year"), vec![lit(2013i64)], true), false),
            (col("year").between(lit(2010i64), lit(2012i64)), false),
            (col("gone").eq(lit("x")), false),
            (col("gone").is_null(), true),
            (col("gone").is_not_null(), false),
            (Expr::Not(Box::new(col("year").eq(lit(2013i64)))), false),
        ];
        for (filter, expected) in cases {
            assert_eq!(can_match(std::slice::from_ref(&filter), &constants), expected, "{filter}");
        }
    }
}

//! Intervals of values and sets of truth values: what a predicate can come to over a part of a file.
//!
//! Invariant: both over-approximate. A value or truth value that occurs is always in the range or set; one in it need
//! not occur.

use std::cmp::Ordering;

use datafusion_common::ScalarValue;
use datafusion_expr::Operator;

/// What an expression can give over some rows. A missing bound is open.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Range {
    pub(super) smallest: Option<ScalarValue>,
    pub(super) largest: Option<ScalarValue>,
    pub(super) may_be_null: bool,
    pub(super) may_be_value: bool,
}

impl Range {
    /// Nothing is known.
    pub(super) fn unknown() -> Self {
        Range { smallest: None, largest: None, may_be_null: true, may_be_value: true }
    }

    /// Only NULL.
    pub(super) fn null() -> Self {
        Range { smallest: None, largest: None, may_be_null: true, may_be_value: false }
    }

    /// One value (or NULL).
    pub(super) fn point(value: ScalarValue) -> Self {
        if value.is_null() {
            return Range::null();
        }
        Range { smallest: Some(value.clone()), largest: Some(value), may_be_null: false, may_be_value: true }
    }

    /// Writers do not agree on the sign of zero: a zero bound stands for both.
    pub(super) fn round_zeros(&mut self) {
        match &mut self.smallest {
            Some(ScalarValue::Float64(Some(value))) if *value == 0.0 => *value = -0.0,
            Some(ScalarValue::Float32(Some(value))) if *value == 0.0 => *value = -0.0,
            _ => {}
        }
        match &mut self.largest {
            Some(ScalarValue::Float64(Some(value))) if *value == 0.0 => *value = 0.0,
            Some(ScalarValue::Float32(Some(value))) if *value == 0.0 => *value = 0.0,
            _ => {}
        }
    }

    /// What `self operator other` can come to; everything for an operator that is no comparison.
    pub(super) fn compare(&self, operator: Operator, other: &Range) -> Truth {
        let (may_be_true, may_be_false) = match operator {
            Operator::Lt => (below(self, other, false), below(other, self, true)),
            Operator::LtEq => (below(self, other, true), below(other, self, false)),
            Operator::Gt => (below(other, self, false), below(self, other, true)),
            Operator::GtEq => (below(other, self, true), below(self, other, false)),
            Operator::Eq => (self.meets(other), !self.is_same_point(other)),
            Operator::NotEq => (!self.is_same_point(other), self.meets(other)),
            _ => return Truth::ANY,
        };
        let both = self.may_be_value && other.may_be_value;
        Truth {
            may_be_true: both && may_be_true,
            may_be_false: both && may_be_false,
            may_be_null: self.may_be_null || other.may_be_null,
        }
    }

    /// `self IS NULL`.
    pub(super) fn is_null(&self) -> Truth {
        Truth { may_be_true: self.may_be_null, may_be_false: self.may_be_value, may_be_null: false }
    }

    fn meets(&self, other: &Range) -> bool {
        below(self, other, true) && below(other, self, true)
    }

    fn is_same_point(&self, other: &Range) -> bool {
        let ends = [&self.smallest, &self.largest, &other.smallest, &other.largest];
        let [Some(first), rest @ ..] = ends else { return false };
        rest.iter().all(|end| end.as_ref().and_then(|end| first.partial_cmp(end)) == Some(Ordering::Equal))
    }
}

/// Whether some value of `low` can be below (or, when `equal`, at) some value of `high`.
fn below(low: &Range, high: &Range, equal: bool) -> bool {
    match (&low.smallest, &high.largest) {
        (Some(low), Some(high)) => match low.partial_cmp(high) {
            Some(Ordering::Less) | None => true,
            Some(Ordering::Equal) => equal,
            Some(Ordering::Greater) => false,
        },
        _ => true,
    }
}

/// The truth values that a predicate can have over some rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Truth {
    pub(super) may_be_true: bool,
    pub(super) may_be_false: bool,
    pub(super) may_be_null: bool,
}

impl Truth {
    /// Nothing is ruled out.
    pub(super) const ANY: Truth = Truth { may_be_true: true, may_be_false: true, may_be_null: true };

    /// SQL's AND.
    pub(super) fn and(self, other: Truth) -> Truth {
        Truth {
            may_be_true: self.may_be_true && other.may_be_true,
            may_be_false: self.may_be_false || other.may_be_false,
            may_be_null: (self.may_be_null && (other.may_be_null || other.may_be_true))
                || (other.may_be_null && self.may_be_true),
        }
    }

    /// SQL's OR.
    pub(super) fn or(self, other: Truth) -> Truth {
        self.negate().and(other.negate()).negate()
    }

    /// SQL's NOT.
    pub(super) fn negate(self) -> Truth {
        Truth { may_be_true: self.may_be_false, may_be_false: self.may_be_true, may_be_null: self.may_be_null }
    }

    /// As a two-valued predicate that is true exactly where this has the value that `pick` selects.
    pub(super) fn picked(is: bool, is_not: bool) -> Truth {
        Truth { may_be_true: is, may_be_false: is_not, may_be_null: false }
    }
}

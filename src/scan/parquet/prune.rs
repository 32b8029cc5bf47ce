//! Which parts of a file a predicate rules out.
//!
//! Invariant: a part that holds a row for which every conjunct is true is kept. Whatever is not understood here
//! (functions, casts that are not monotone, columns of unknown order) rules out nothing.
//!
//! Doubles need care: writers leave NaN out of the bounds, while the engine's comparisons order it (below or above all
//! numbers, by its sign). So conjuncts over one floating-point column are tried on its numbers and on each NaN apart,
//! and where such a column meets others in one conjunct it has no bounds.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::utils::split_conjunction;
use datafusion_expr::{Between, BinaryExpr, Expr, Operator};

use crate::scan::parquet::range::{Range, Truth};

/// A range and the type of its values, where it is known.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) range: Range,
    pub(super) data_type: Option<DataType>,
}

impl Typed {
    /// Nothing is known.
    pub(super) fn unknown() -> Self {
        Typed { range: Range::unknown(), data_type: None }
    }

    fn is_float(&self) -> bool {
        matches!(self.data_type, Some(DataType::Float16 | DataType::Float32 | DataType::Float64))
    }
}

/// Conjuncts that share one set of columns.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// The columns' names, sorted.
    pub(super) columns: Vec<String>,
    pub(super) conjuncts: Vec<&'a Expr>,
}

/// The conjuncts of `filters` by the columns that they name.
pub(super) fn groups(filters: &[Expr]) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<Vec<String>, Vec<&Expr>> = BTreeMap::new();
    for conjunct in filters.iter().flat_map(split_conjunction) {
        let mut columns: Vec<String> = conjunct.column_refs().into_iter().map(|column| column.name.clone()).collect();
        columns.sort_unstable();
        columns.dedup();
        groups.entry(columns).or_default().push(conjunct);
    }
    groups.into_iter().map(|(columns, conjuncts)| Group { columns, conjuncts }).collect()
}

/// Whether some row can make every conjunct of `group` true, given what `column` says of each column.
pub(super) fn may_match(group: &Group, column: &dyn Fn(&str) -> Typed) -> bool {
    let all_true =
        |column: &dyn Fn(&str) -> Typed| group.conjuncts.iter().all(|conjunct| truth(conjunct, column).may_be_true);
    let [name] = group.columns.as_slice() else {
        let open = |name: &str| {
            let mut typed = column(name);
            if typed.is_float() {
                typed.range.smallest = None;
                typed.range.largest = None;
            }
            typed
        };
        return all_true(&open);
    };
    let known = column(name);
    if all_true(&|_| known.clone()) {
        return true;
    }
    if !known.is_float() || !known.range.may_be_value {
        return false;
    }
    nans(known.data_type.as_ref()).into_iter().any(|nan| {
        let known = Typed { range: Range::point(nan), data_type: known.data_type.clone() };
        all_true(&|_| known.clone())
    })
}

/// Whether every row makes every conjunct of `group` true, NaN aside.
pub(super) fn must_match(group: &Group, column: &dyn Fn(&str) -> Typed) -> bool {
    group.conjuncts.iter().all(|conjunct| {
        let truth = truth(conjunct, column);
        truth.may_be_true && !truth.may_be_false && !truth.may_be_null
    })
}

fn nans(data_type: Option<&DataType>) -> [ScalarValue; 2] {
    match data_type {
        Some(DataType::Float32) => [f32::NAN, -f32::NAN].map(|nan| ScalarValue::Float32(Some(nan))),
        _ => [f64::NAN, -f64::NAN].map(|nan| ScalarValue::Float64(Some(nan))),
    }
}

/// The truth values that `expr` can have.
fn truth(expr: &Expr, column: &dyn Fn(&str) -> Typed) -> Truth {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => truth(left, column).and(truth(right, column)),
            Operator::Or => truth(left, column).or(truth(right, column)),
            _ => compare(&value(left, column), *op, &value(right, column)),
        },
        Expr::Not(inner) => truth(inner, column).negate(),
        Expr::IsNull(inner) => value(inner, column).range.is_null(),
        Expr::IsNotNull(inner) => value(inner, column).range.is_null().negate(),
        Expr::IsTrue(inner) => is(truth(inner, column), |truth| truth.may_be_true),
        Expr::IsFalse(inner) => is(truth(inner, column).negate(), |truth| truth.may_be_true),
        Expr::Between(Between { expr, negated, low, high }) => {
            let subject = value(expr, column);
            let above = compare(&subject, Operator::GtEq, &value(low, column));
            let below = compare(&subject, Operator::LtEq, &value(high, column));
            negated_if(above.and(below), *negated)
        }
        Expr::InList(list) => {
            let subject = value(&list.expr, column);
            let none = Truth { may_be_true: false, may_be_false: true, may_be_null: false };
            let any = list
                .list
                .iter()
                .map(|item| compare(&subject, Operator::Eq, &value(item, column)))
                .fold(none, Truth::or);
            negated_if(any, list.negated)
        }
        Expr::Like(like) if !like.case_insensitive && like.escape_char.is_none() => {
            negated_if(starts_with(&value(&like.expr, column), &value(&like.pattern, column)), like.negated)
        }
        Expr::Column(_) | Expr::Literal(..) => {
            let boolean = value(expr, column);
            if boolean.data_type == Some(DataType::Boolean) {
                let yes = Range::point(ScalarValue::Boolean(Some(true)));
                boolean.range.compare(Operator::Eq, &yes)
            } else {
                Truth::ANY
            }
        }
        _ => Truth::ANY,
    }
}

fn is(truth: Truth, picked: impl Fn(Truth) -> bool) -> Truth {
    Truth::picked(picked(truth), truth.may_be_false || truth.may_be_null)
}

fn negated_if(truth: Truth, negated: bool) -> Truth {
    if negated { truth.negate() } else { truth }
}

/// `text LIKE pattern`, judged by what stands before the pattern's first wildcard.
fn starts_with(text: &Typed, pattern: &Typed) -> Truth {
    let (Some(ScalarValue::Utf8(Some(pattern))), Some(DataType::Utf8)) = (&pattern.range.smallest, &text.data_type)
    else {
        return Truth::ANY;
    };
    let Some(end) = pattern.find(['%', '_', '\\']).filter(|end| *end > 0) else { return Truth::ANY };
    let Some(prefix) = pattern.get(..end) else { return Truth::ANY };
    let below_all = match &text.range.largest {
        Some(ScalarValue::Utf8(Some(largest))) => largest.as_str() < prefix,
        _ => false,
    };
    let above_all = match &text.range.smallest {
        Some(ScalarValue::Utf8(Some(smallest))) => smallest.as_str() > prefix && !smallest.starts_with(prefix),
        _ => false,
    };
    Truth { may_be_true: text.range.may_be_value && !below_all && !above_all, ..Truth::ANY }
}

fn compare(left: &Typed, operator: Operator, right: &Typed) -> Truth {
    let Some((left, right)) = aligned(left, right) else { return Truth::ANY };
    left.compare(operator, &right)
}

/// Both ranges in one type; `None` when there is none in which comparing means the same.
fn aligned(left: &Typed, right: &Typed) -> Option<(Range, Range)> {
    let only_null = |typed: &Typed| !typed.range.may_be_value;
    if left.data_type == right.data_type || only_null(left) || only_null(right) {
        return Some((left.range.clone(), right.range.clone()));
    }
    let (left_type, right_type) = (left.data_type.as_ref()?, right.data_type.as_ref()?);
    if let Some(range) = exactly_as(&right.range, left_type) {
        return Some((left.range.clone(), range));
    }
    exactly_as(&left.range, right_type).map(|range| (range, right.range.clone()))
}

/// A single number in another numeric type, when nothing of it is lost.
fn exactly_as(range: &Range, target: &DataType) -> Option<Range> {
    let value = range.smallest.as_ref().filter(|_| range.smallest == range.largest)?;
    let cast = exact_literal(value, target)?;
    Some(Range { may_be_null: range.may_be_null, ..Range::point(cast) })
}

/// A number in another numeric type, when nothing of it is lost.
pub(super) fn exact_literal(value: &ScalarValue, target: &DataType) -> Option<ScalarValue> {
    if !value.data_type().is_numeric() || !target.is_numeric() {
        return None;
    }
    let cast = value.cast_to(target).ok()?;
    let back = cast.cast_to(&value.data_type()).ok()?;
    (!cast.is_null() && back == *value).then_some(cast)
}

/// What the value of `expr` can be.
fn value(expr: &Expr, column: &dyn Fn(&str) -> Typed) -> Typed {
    match expr {
        Expr::Column(name) => plain(column(&name.name)),
        // Every NaN is one value to the filter, and the greatest; here they would be ordered by sign.
        Expr::Literal(ScalarValue::Float64(Some(value)), _) if value.is_nan() => Typed::unknown(),
        Expr::Literal(ScalarValue::Float32(Some(value)), _) if value.is_nan() => Typed::unknown(),
        Expr::Literal(value, _) => {
            plain(Typed { range: Range::point(value.clone()), data_type: Some(value.data_type()) })
        }
        Expr::Alias(alias) => value(&alias.expr, column),
        Expr::Cast(cast) => cast_range(value(&cast.expr, column), cast.field.data_type()),
        _ => Typed::unknown(),
    }
}

/// Text and bytes without their physical form, which comparisons do not see.
fn plain(mut typed: Typed) -> Typed {
    let same = |value: &mut Option<ScalarValue>| {
        *value = value.take().map(|value| match value {
            ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => ScalarValue::Utf8(text),
            ScalarValue::BinaryView(bytes) | ScalarValue::LargeBinary(bytes) => ScalarValue::Binary(bytes),
            other => other,
        });
    };
    same(&mut typed.range.smallest);
    same(&mut typed.range.largest);
    typed.data_type = typed.data_type.map(|data_type| match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        other => other,
    });
    typed
}

/// A range through a cast that keeps order; otherwise nothing is known.
fn cast_range(inner: Typed, target: &DataType) -> Typed {
    let Some(from) = &inner.data_type else { return Typed::unknown() };
    let plain_target = plain(Typed { range: Range::unknown(), data_type: Some(target.clone()) }).data_type;
    if inner.data_type == plain_target {
        return inner;
    }
    let exact = from.is_integer() || matches!(from, DataType::Decimal128(..));
    let monotone = match target {
        DataType::Float64 => exact || *from == DataType::Float32,
        DataType::Decimal128(..) => exact,
        DataType::Timestamp(_, None) => *from == DataType::Date32,
        _ => exact && target.is_integer(),
    };
    if !monotone {
        return Typed::unknown();
    }
    let through = |value: Option<ScalarValue>| match value {
        None => Some(None),
        Some(value) => value.cast_to(target).ok().filter(|value| !value.is_null()).map(Some),
    };
    match (through(inner.range.smallest), through(inner.range.largest)) {
        (Some(smallest), Some(largest)) => {
            Typed { range: Range { smallest, largest, ..inner.range }, data_type: Some(target.clone()) }
        }
        _ => Typed { range: Range::unknown(), data_type: Some(target.clone()) },
    }
}

//! Intervals as they are written: `INTERVAL 5 QUARTERS`, `INTERVAL (n + 1) HOURS`, `INTERVAL '1 day 01:02:03'`.
//!
//! The parser takes a unit that it does not know for an alias, and the planner reads fewer texts than a cast does. So the units are read
//! here; a number or text becomes a cast, any other value a call: `CAST('5 quarters' AS INTERVAL)`, `to_hours(n + 1)`. The offsets of frames
//! stay intervals, which the planner wants there.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    CastKind, DataType, DateTimeField, ExactNumberInfo, Expr, Function, Ident, Interval, NamedWindowDefinition,
    NamedWindowExpr, Select, Statement, Value, ValueWithSpan, VisitMut, VisitorMut, WindowFrameBound, WindowSpec,
    WindowType,
};
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::Token;

use super::calls::call_of;
use crate::error::{Code, Error, Result};
use crate::expr::plain_interval;

/// The units, and what makes an interval of so many of one.
const UNITS: [(&str, &str); 26] = [
    ("year", "to_years"),
    ("years", "to_years"),
    ("quarter", "to_quarters"),
    ("quarters", "to_quarters"),
    ("month", "to_months"),
    ("months", "to_months"),
    ("week", "to_weeks"),
    ("weeks", "to_weeks"),
    ("day", "to_days"),
    ("days", "to_days"),
    ("hour", "to_hours"),
    ("hours", "to_hours"),
    ("minute", "to_minutes"),
    ("minutes", "to_minutes"),
    ("second", "to_seconds"),
    ("seconds", "to_seconds"),
    ("millisecond", "to_milliseconds"),
    ("milliseconds", "to_milliseconds"),
    ("microsecond", "to_microseconds"),
    ("microseconds", "to_microseconds"),
    ("decade", "to_decades"),
    ("decades", "to_decades"),
    ("century", "to_centuries"),
    ("centuries", "to_centuries"),
    ("millennium", "to_millennia"),
    ("millennia", "to_millennia"),
];

fn maker(unit: &str) -> Option<&'static str> {
    UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, function)| *function)
}

/// An interval of a number, a text or a value in parentheses, with its unit; a text may do without. All others are the parser's.
pub(super) fn literal(parser: &mut Parser) -> Option<std::result::Result<Expr, ParserError>> {
    let is_interval = matches!(&parser.peek_token_ref().token, Token::Word(word) if word.keyword == Keyword::INTERVAL && word.quote_style.is_none());
    let needs_unit = match parser.peek_nth_token_ref(1).token {
        Token::Number(..) | Token::LParen => true,
        Token::SingleQuotedString(_) => false,
        _ => return None,
    };
    if !is_interval {
        return None;
    }
    let parsed = parser.maybe_parse(|parser| {
        parser.advance_token();
        let value = Box::new(parser.parse_prefix()?);
        let unit = match &parser.peek_token_ref().token {
            Token::Word(word) if word.quote_style.is_none() && maker(&word.value).is_some() => {
                Some(DateTimeField::Custom(Ident::new(word.value.clone())))
            }
            _ => None,
        };
        if unit.is_some() {
            parser.advance_token();
        }
        if matches!(&parser.peek_token_ref().token, Token::Word(word) if word.keyword == Keyword::TO) {
            return parser.expected_ref("one unit", parser.peek_token_ref());
        }
        Ok(Interval {
            value,
            leading_field: unit,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        })
    });
    match parsed {
        Ok(Some(interval)) if needs_unit && interval.leading_field.is_none() => {
            Some(parser.expected_ref("a unit of the INTERVAL, such as DAYS", parser.peek_token_ref()))
        }
        Ok(Some(interval)) => Some(Ok(Expr::Interval(interval))),
        Ok(None) => None,
        Err(error) => Some(Err(error)),
    }
}

/// Puts casts and calls in the places of intervals.
///
/// # Errors
/// `INVALID_QUERY` for a value without a unit.
pub(super) fn spell_out(statement: &mut Statement) -> Result<()> {
    match VisitMut::visit(statement, &mut Intervals) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Intervals;

impl VisitorMut for Intervals {
    type Break = Error;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        match expr {
            Expr::Interval(interval) => match spelled(interval) {
                Ok(Some(spelled)) => *expr = spelled,
                Ok(None) => {}
                Err(error) => return ControlFlow::Break(error),
            },
            Expr::Function(Function { over: Some(WindowType::WindowSpec(window)), .. }) => keep_offsets(window),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        for NamedWindowDefinition(_, window) in &mut select.named_window {
            if let NamedWindowExpr::WindowSpec(window) = window {
                keep_offsets(window);
            }
        }
        ControlFlow::Continue(())
    }
}

fn spelled(interval: &Interval) -> Result<Option<Expr>> {
    if interval.leading_precision.is_some() || interval.last_field.is_some() {
        return Ok(None);
    }
    let unit = interval.leading_field.as_ref().map(ToString::to_string);
    let written = match interval.value.as_ref() {
        Expr::Value(ValueWithSpan {
            value: Value::Number(written, _) | Value::SingleQuotedString(written), ..
        }) => Some(written),
        _ => None,
    };
    Ok(match (written, unit) {
        (Some(text), None) => Some(cast(text.clone())),
        (Some(number), Some(unit)) => {
            let number = whole(number, &unit).unwrap_or_else(|| number.clone());
            Some(cast(format!("{number} {}", unit.to_lowercase())))
        }
        (None, Some(unit)) => maker(&unit).map(|function| {
            let value = double(interval.value.as_ref().clone());
            let value = match has_fractions(&unit) {
                true => value,
                false => cast_to(call_of("trunc", vec![value]), DataType::BigInt(None)),
            };
            call_of(function, vec![value])
        }),
        (None, None) => {
            let message = format!("INTERVAL {} has no unit", interval.value);
            return Err(Error::new(Code::InvalidQuery, message).hint("put one behind it, such as DAYS"));
        }
    })
}

/// Whether an interval has fractions of the unit: of all others the whole ones count.
fn has_fractions(unit: &str) -> bool {
    ["second", "millisecond"].contains(&unit.to_lowercase().trim_end_matches('s'))
}

/// The whole units of a number with a fraction; `None` for what is no such number, or has fractions of the unit.
fn whole(number: &str, unit: &str) -> Option<String> {
    let (whole, fraction) = number.trim().split_once('.').filter(|_| !has_fractions(unit))?;
    let digits = whole.trim_start_matches(['-', '+']).chars().chain(fraction.chars());
    if !digits.clone().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(if whole.chars().any(|digit| digit.is_ascii_digit()) { whole.to_string() } else { "0".to_string() })
}

fn double(value: Expr) -> Expr {
    cast_to(value, DataType::Double(ExactNumberInfo::None))
}

fn cast(text: String) -> Expr {
    let interval = DataType::Interval { fields: None, precision: None };
    cast_to(Expr::value(Value::SingleQuotedString(text)), interval)
}

fn cast_to(value: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(value), data_type, array: false, format: None }
}

/// The offsets of a frame as intervals again.
fn keep_offsets(window: &mut WindowSpec) {
    let Some(frame) = &mut window.window_frame else { return };
    for bound in std::iter::once(&mut frame.start_bound).chain(&mut frame.end_bound) {
        let (WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset))) = bound else {
            continue;
        };
        if let Expr::Cast { expr: text, data_type: DataType::Interval { .. }, .. } = offset.as_mut() {
            let text = std::mem::replace(text, Box::new(Expr::value(Value::Null)));
            let plain = match text.as_ref() {
                Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => plain_interval(text),
                _ => None,
            };
            let value = plain.map_or(text, |plain| Box::new(Expr::value(Value::SingleQuotedString(plain))));
            **offset = Expr::Interval(Interval {
                value,
                leading_field: None,
                leading_precision: None,
                last_field: None,
                fractional_seconds_precision: None,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::parse;

    fn spelled(sql: &str) -> String {
        let mut statement = parse::statement(&parse::tokens(sql).unwrap()).unwrap();
        spell_out(&mut statement).unwrap();
        statement.to_string()
    }

    #[test]
    fn intervals_become_casts_and_calls() {
        assert_eq!(
            spelled("select interval 1.5 day, interval '2' Quarters, interval '1 day' x"),
            "SELECT CAST('1 day' AS INTERVAL), CAST('2 quarters' AS INTERVAL), CAST('1 day' AS INTERVAL) AS x"
        );
        assert_eq!(spelled("select interval (n) second"), "SELECT to_seconds(CAST((n) AS DOUBLE))");
    }

    #[test]
    fn offsets_of_frames_stay_intervals() {
        let written =
            "SELECT sum(a) OVER (ORDER BY b RANGE BETWEEN INTERVAL 1 QUARTER PRECEDING AND CURRENT ROW) FROM t";
        let spelled = spelled(written);
        assert!(spelled.contains("INTERVAL '3 months' PRECEDING"), "{spelled}");
    }

    #[test]
    fn a_number_has_a_unit() {
        for sql in ["select interval 5", "select interval 3 dayz", "select interval (a) dayz from t"] {
            let error = parse::statement(&parse::tokens(sql).unwrap()).unwrap_err();
            assert!(error.message().contains("a unit of the INTERVAL"), "{error}");
        }
    }
}

//! `format('{:>5} of {}', …)` and `printf('%05d', …)`.
//!
//! Both become the same pieces: literal text, and places with a number of an argument and how it is written.
//!
//! # Known limitation
//! Widths and precisions are numbers in the format, not arguments.

use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type};
use datafusion_common::Result as DataFusionResult;
use std::sync::Arc;

use super::function::{Arguments, Bound, Function, Overload, function};
use crate::batch::logical::is_logical;
use crate::error::{Code, Error, Result};

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    vec![
        function(
            "format",
            "format, values...",
            "The format with {} places filled in by the values",
            [overload(braces)],
        ),
        function(
            "printf",
            "format, values...",
            "The format with % places filled in by the values",
            [overload(percents)],
        ),
    ]
}

fn overload(parse: fn(&str) -> Result<Vec<Piece>>) -> Overload {
    let bind = |types: &[DataType]| {
        let (_, values) = types.split_first()?;
        let written = values.iter().map(|data_type| match data_type {
            other if other.is_integer() => DataType::Decimal128(38, 0),
            DataType::Decimal128(38, 0) => DataType::Decimal128(38, 0),
            other if other.is_numeric() => DataType::Float64,
            DataType::Boolean => DataType::Boolean,
            other if other.is_nested() && !is_logical(other) => other.clone(),
            _ => DataType::Utf8View,
        });
        let arguments = std::iter::once(DataType::Utf8View).chain(written).collect();
        Some(Bound { arguments, result: DataType::Utf8View })
    };
    Overload::generic(bind, move |arguments| run(arguments, parse))
}

fn run(arguments: &Arguments, parse: fn(&str) -> Result<Vec<Piece>>) -> DataFusionResult<ArrayRef> {
    let columns = arguments.arrays()?;
    let Some((formats, values)) = columns.split_first() else { return Err(too_few().into()) };
    let formats = formats.as_string_view();
    let mut known: Option<(&str, Vec<Piece>)> = None;
    let mut texts = StringViewBuilder::with_capacity(arguments.rows);
    for row in 0..arguments.rows {
        if formats.is_null(row) || values.iter().any(|column| column.is_null(row)) {
            texts.append_null();
            continue;
        }
        let format = formats.value(row);
        let pieces = match &mut known {
            Some((text, pieces)) if *text == format => &*pieces,
            known => &known.insert((format, parse(format)?)).1,
        };
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Place { argument, spec } => {
                    let column = values.get(*argument).ok_or_else(too_few)?;
                    spec.write(&mut text, &value_at(column, row)?)?;
                }
            }
        }
        texts.append_value(text);
    }
    Ok(Arc::new(texts.finish()))
}

fn too_few() -> Error {
    Error::new(Code::InvalidQuery, "a format has more places than there are values")
}

fn wrong(what: impl std::fmt::Display) -> Error {
    Error::new(Code::InvalidQuery, format!("{what} in a format"))
}

/// A value to be written.
enum Value<'a> {
    Integer(i128),
    Double(f64),
    Boolean(bool),
    Text(&'a str),
}

fn value_at(column: &ArrayRef, row: usize) -> Result<Value<'_>> {
    Ok(match column.data_type() {
        DataType::Decimal128(..) => Value::Integer(column.as_primitive::<Decimal128Type>().value(row)),
        DataType::Float64 => Value::Double(column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => Value::Boolean(column.as_boolean().value(row)),
        DataType::Utf8View => Value::Text(column.as_string_view().value(row)),
        other => return Err(Error::not_supported(format_args!("{other} in a format"))),
    })
}

#[derive(Debug, PartialEq)]
enum Piece {
    Literal(String),
    Place { argument: usize, spec: Spec },
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
enum Align {
    /// Numbers to the right, all else to the left.
    #[default]
    Usual,
    Left,
    Right,
    Centre,
}

/// How a value is written.
#[derive(Debug, Clone, PartialEq, Default)]
struct Spec {
    fill: Option<char>,
    align: Align,
    plus: bool,
    space: bool,
    alternate: bool,
    zeros: bool,
    thousands: Option<char>,
    width: usize,
    precision: Option<usize>,
    kind: Option<char>,
    /// Digits of base 2, 8 and 16 are those of 64 bits.
    unsigned: bool,
}

/// Wider than this is a slip.
const WIDEST: usize = 1 << 20;

impl Spec {
    fn write(&self, out: &mut String, value: &Value) -> Result<()> {
        let (sign, body, numeric) = self.parts(value)?;
        let length = sign.chars().count() + body.chars().count();
        let missing = self.width.saturating_sub(length);
        let fill = |count: usize| std::iter::repeat_n(self.fill.unwrap_or(' '), count);
        if self.zeros && numeric && self.align == Align::Usual {
            out.push_str(&sign);
            out.extend(std::iter::repeat_n('0', missing));
            out.push_str(&body);
            return Ok(());
        }
        let before = match (self.align, numeric) {
            (Align::Left, _) | (Align::Usual, false) => 0,
            (Align::Right, _) | (Align::Usual, true) => missing,
            (Align::Centre, _) => missing / 2,
        };
        out.extend(fill(before));
        out.push_str(&sign);
        out.push_str(&body);
        out.extend(fill(missing - before));
        Ok(())
    }

    /// Sign and prefix, the rest, and whether it is a number.
    fn parts(&self, value: &Value) -> Result<(String, String, bool)> {
        match (value, self.kind) {
            (Value::Text(text), None | Some('s')) => Ok((String::new(), self.cut(text), false)),
            (Value::Boolean(value), None | Some('s')) => Ok((String::new(), value.to_string(), false)),
            (Value::Boolean(value), _) => self.integer(i128::from(*value)),
            (Value::Integer(value), Some('c')) => {
                let character = u32::try_from(*value).ok().and_then(char::from_u32);
                Ok((String::new(), character.ok_or_else(|| wrong("a number that is no character"))?.to_string(), false))
            }
            (Value::Integer(value), None | Some('s' | 'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'b' | 'B')) => {
                self.integer(*value)
            }
            (Value::Integer(value), Some(_)) => self.double(*value as f64),
            (Value::Double(value), None | Some('s' | 'f' | 'F' | 'e' | 'E' | 'g' | 'G')) => self.double(*value),
            (Value::Double(_), Some(kind)) => Err(wrong(format_args!("'{kind}' for a number with a fraction"))),
            (Value::Text(_), Some(kind)) => Err(wrong(format_args!("'{kind}' for a text"))),
        }
    }

    fn cut(&self, text: &str) -> String {
        match self.precision {
            Some(count) => text.chars().take(count).collect(),
            None => text.to_string(),
        }
    }

    fn sign(&self, negative: bool) -> String {
        match negative {
            true => "-".to_string(),
            false if self.plus => "+".to_string(),
            false if self.space => " ".to_string(),
            false => String::new(),
        }
    }

    fn integer(&self, value: i128) -> Result<(String, String, bool)> {
        let value = match i64::try_from(value) {
            Ok(value) if self.unsigned => i128::from(value.cast_unsigned()),
            _ => value,
        };
        let size = value.unsigned_abs();
        let (prefix, digits) = match self.kind {
            Some('x') => ("0x", format!("{size:x}")),
            Some('X') => ("0X", format!("{size:X}")),
            Some('o') => ("0", format!("{size:o}")),
            Some('b') => ("0b", format!("{size:b}")),
            Some('B') => ("0B", format!("{size:b}")),
            _ => ("", size.to_string()),
        };
        let prefix = if self.alternate { prefix } else { "" };
        Ok((self.sign(value < 0) + prefix, self.grouped(&digits), true))
    }

    fn double(&self, value: f64) -> Result<(String, String, bool)> {
        let sign = self.sign(value.is_sign_negative() && !value.is_nan());
        let size = value.abs();
        if !size.is_finite() {
            return Ok((sign, if size.is_nan() { "nan" } else { "inf" }.to_string(), false));
        }
        let body = match self.kind {
            Some('f' | 'F') => format!("{size:.*}", self.precision.unwrap_or(6)),
            Some(kind @ ('e' | 'E')) => exponent(size, self.precision.unwrap_or(6), kind),
            Some(kind @ ('g' | 'G')) => general(size, self.precision.unwrap_or(6), kind),
            _ => match self.precision {
                Some(precision) => general(size, precision, 'g'),
                None if size != 0.0 && !(1e-4..1e16).contains(&size) => shortest_exponent(size),
                None => format!("{size:?}"),
            },
        };
        Ok((sign, self.grouped(&body), true))
    }

    /// With a separator between every three digits before the point.
    fn grouped(&self, digits: &str) -> String {
        let Some(separator) = self.thousands else { return digits.to_string() };
        let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
        let mut grouped = String::new();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index) % 3 == 0 {
                grouped.push(separator);
            }
            grouped.push(digit);
        }
        grouped + rest
    }
}

fn exponent(size: f64, precision: usize, kind: char) -> String {
    let text = format!("{size:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}{kind}{sign}{digits:0>2}")
}

fn shortest_exponent(size: f64) -> String {
    let text = format!("{size:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// As C's `%g`: so many digits, with an exponent where it is far from zero, without zeros at the end.
fn general(size: f64, precision: usize, kind: char) -> String {
    let precision = precision.max(1);
    let scientific = exponent(size, precision - 1, if kind == 'G' { 'E' } else { 'e' });
    let power: i64 = scientific.rsplit(['e', 'E']).next().and_then(|power| power.parse().ok()).unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text.to_string(),
    };
    let digits = i64::try_from(precision).unwrap_or(i64::MAX);
    if (-4..digits).contains(&power) {
        let decimals = usize::try_from(digits - 1 - power).unwrap_or(0);
        return trimmed(&format!("{size:.decimals$}"));
    }
    let at = scientific.find(['e', 'E']).unwrap_or(scientific.len());
    let (mantissa, rest) = scientific.split_at(at);
    trimmed(mantissa) + rest
}

/// Characters that are read from the front.
struct Reader<'a>(std::iter::Peekable<std::str::Chars<'a>>);

impl Reader<'_> {
    fn number(&mut self) -> Result<Option<usize>> {
        let mut number = None;
        while let Some(digit) = self.0.peek().and_then(|next| next.to_digit(10)) {
            self.0.next();
            let grown = number.unwrap_or(0) * 10 + digit as usize;
            if grown > WIDEST {
                return Err(wrong("a number that is too large"));
            }
            number = Some(grown);
        }
        Ok(number)
    }

    fn takes(&mut self, wanted: char) -> bool {
        self.0.next_if_eq(&wanted).is_some()
    }
}

fn push(pieces: &mut Vec<Piece>, character: char) {
    match pieces.last_mut() {
        Some(Piece::Literal(text)) => text.push(character),
        _ => pieces.push(Piece::Literal(character.to_string())),
    }
}

/// `{}`, `{0}`, `{:>8.2f}`; `{{` and `}}` are braces.
fn braces(format: &str) -> Result<Vec<Piece>> {
    let mut reader = Reader(format.chars().peekable());
    let (mut pieces, mut next) = (Vec::new(), 0);
    while let Some(character) = reader.0.next() {
        match character {
            '{' if !reader.takes('{') => {
                let argument = match reader.number()? {
                    Some(argument) => argument,
                    None => {
                        next += 1;
                        next - 1
                    }
                };
                let spec = if reader.takes(':') { brace_spec(&mut reader)? } else { Spec::default() };
                if !reader.takes('}') {
                    return Err(wrong("'{' without '}'"));
                }
                pieces.push(Piece::Place { argument, spec });
            }
            '}' if !reader.takes('}') => return Err(wrong("'}' without '{'")),
            other => push(&mut pieces, other),
        }
    }
    Ok(pieces)
}

fn brace_spec(reader: &mut Reader) -> Result<Spec> {
    let align = |character: char| match character {
        '<' => Some(Align::Left),
        '>' => Some(Align::Right),
        '^' => Some(Align::Centre),
        _ => None,
    };
    let mut spec = Spec::default();
    let mut ahead = reader.0.clone();
    let (first, second) = (ahead.next(), ahead.next());
    if let (Some(fill), Some(align)) = (first, second.and_then(align)) {
        (spec.fill, spec.align) = (Some(fill), align);
        reader.0 = ahead;
    } else if let Some(align) = first.and_then(align) {
        spec.align = align;
        reader.0.next();
    }
    spec.plus = reader.takes('+');
    if !spec.plus && !reader.takes('-') {
        spec.space = reader.takes(' ');
    }
    spec.alternate = reader.takes('#');
    spec.zeros = reader.takes('0');
    spec.width = reader.number()?.unwrap_or(0);
    if let Some(separator) = reader.0.next_if(|next| matches!(next, ',' | '_' | '\'')) {
        spec.thousands = Some(separator);
    } else if reader.takes('t') {
        spec.thousands = reader.0.next();
    }
    if reader.takes('.') {
        spec.precision = Some(reader.number()?.unwrap_or(0));
    }
    spec.kind = reader.0.next_if(char::is_ascii_alphabetic);
    Ok(spec)
}

/// `%s`, `%-8.2f`, `%05d`; `%%` is a percent sign.
fn percents(format: &str) -> Result<Vec<Piece>> {
    let mut reader = Reader(format.chars().peekable());
    let (mut pieces, mut next) = (Vec::new(), 0);
    while let Some(character) = reader.0.next() {
        if character != '%' || reader.takes('%') {
            push(&mut pieces, character);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = reader.0.next_if(|next| matches!(next, '-' | '+' | ' ' | '#' | '0' | ',')) {
            match flag {
                '-' => spec.align = Align::Left,
                '+' => spec.plus = true,
                ' ' => spec.space = true,
                '#' => spec.alternate = true,
                ',' => spec.thousands = Some(','),
                _ => spec.zeros = true,
            }
        }
        spec.width = reader.number()?.unwrap_or(0);
        if reader.takes('.') {
            spec.precision = Some(reader.number()?.unwrap_or(0));
        }
        while reader.0.next_if(|next| matches!(next, 'l' | 'h' | 'j' | 'z')).is_some() {}
        spec.kind = reader.0.next();
        if spec.kind.is_none() {
            return Err(wrong("'%' without a type"));
        }
        spec.unsigned = spec.kind.is_some_and(|kind| "xXob".contains(kind));
        if spec.kind == Some('s') && spec.align == Align::Usual {
            spec.align = Align::Right;
        }
        pieces.push(Piece::Place { argument: next, spec });
        next += 1;
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(spec: &str, value: &Value) -> String {
        let pieces = if spec.starts_with('%') { percents(spec) } else { braces(spec) }.unwrap();
        let Some(Piece::Place { spec, .. }) = pieces.first() else { panic!("no place in {spec}") };
        let mut out = String::new();
        spec.write(&mut out, value).unwrap();
        out
    }

    #[test]
    fn numbers_are_written_as_asked() {
        assert_eq!(written("%05d", &Value::Integer(-42)), "-0042");
        assert_eq!(written("%.3e", &Value::Double(12345.678)), "1.235e+04");
        assert_eq!(written("%g", &Value::Double(0.0001)), "0.0001");
        assert_eq!(written("%g", &Value::Double(1e10)), "1e+10");
        assert_eq!(written("{:^7}", &Value::Integer(12)), "  12   ");
        assert_eq!(written("{:*<5}", &Value::Text("ab")), "ab***");
        assert_eq!(written("{:#x}", &Value::Integer(255)), "0xff");
        assert_eq!(written("{:,}", &Value::Integer(-1_234_567)), "-1,234,567");
    }
}

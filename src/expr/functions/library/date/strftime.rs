//! Times as texts by a format.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};
use arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType};
use datafusion_common::{Result as DataFusionResult, internal_err};

use super::calendar::{DAY, civil, day_of_year, iso_week, iso_weekday, month_name, weekday_name};
use super::out_of_range;
use crate::error::{Code, Error, Result};
use crate::expr::functions::library::function::{Arguments, Function, Overload, function};

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    let types = [
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(TimeUnit::Nanosecond, None),
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    ];
    let overloads: Vec<Overload> = types
        .iter()
        .flat_map(|time| [[time.clone(), DataType::Utf8View], [DataType::Utf8View, time.clone()]])
        .map(|types| Overload::exact(types.to_vec(), DataType::Utf8View, run))
        .collect();
    vec![function("strftime", "time, format", "The time as a text by the format", overloads)]
}

fn run(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let columns = arguments.arrays()?;
    let [first, second] = columns.as_slice() else { return internal_err!("strftime of {} arguments", columns.len()) };
    let (times, formats) = if first.data_type() == &DataType::Utf8View { (second, first) } else { (first, second) };
    let formats = formats.as_string_view();
    let mut known: Option<(&str, Vec<Piece>)> = None;
    let mut texts = StringViewBuilder::with_capacity(arguments.rows);
    let mut text = String::new();
    for row in 0..times.len() {
        if times.is_null(row) || formats.is_null(row) {
            texts.append_null();
            continue;
        }
        let format = formats.value(row);
        let pieces = match &mut known {
            Some((text, pieces)) if *text == format => &*pieces,
            known => &known.insert((format, pieces(format)?)).1,
        };
        text.clear();
        let time = time_at(times, row)?;
        pieces.iter().for_each(|piece| piece.write(&time, &mut text));
        texts.append_value(&text);
    }
    Ok(Arc::new(texts.finish()))
}

/// A time taken apart as far as every piece needs it.
struct TimeOfDay {
    days: i64,
    nanos: i64,
    has_zone: bool,
}

fn time_at(times: &ArrayRef, row: usize) -> Result<TimeOfDay> {
    let of_micros = |micros: i64, has_zone: bool| TimeOfDay {
        days: micros.div_euclid(DAY),
        nanos: micros.rem_euclid(DAY) * 1000,
        has_zone,
    };
    Ok(match times.data_type() {
        DataType::Date32 => {
            TimeOfDay { days: times.as_primitive::<Date32Type>().value(row).into(), nanos: 0, has_zone: false }
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            of_micros(times.as_primitive::<TimestampMicrosecondType>().value(row), zone.is_some())
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            let nanos = times.as_primitive::<TimestampNanosecondType>().value(row);
            let mut time = of_micros(nanos.div_euclid(1000), zone.is_some());
            time.nanos += nanos.rem_euclid(1000);
            time
        }
        _ => return Err(out_of_range()),
    })
}

/// A piece of a format.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Literal(String),
    /// A specifier, and whether its number has no zeros before it (`%-d`).
    Field(char, bool),
}

/// The specifiers.
const KNOWN: &str = "aAwudbhBmyYGHIpMSfgnzZjUWV";

/// A format's pieces; `%c`, `%x` and `%X` are spelled out.
pub(super) fn pieces(format: &str) -> Result<Vec<Piece>> {
    let format = format.replace("%c", "%Y-%m-%d %H:%M:%S").replace("%x", "%Y-%m-%d").replace("%X", "%H:%M:%S");
    let mut pieces: Vec<Piece> = Vec::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        let mut literal = character;
        if character == '%' {
            let mut next = characters.next();
            let bare = next == Some('-');
            if bare {
                next = characters.next();
            }
            match next {
                Some('%') if !bare => literal = '%',
                Some(field) if KNOWN.contains(field) && (!bare || "dmyHIMSj".contains(field)) => {
                    pieces.push(Piece::Field(field, bare));
                    continue;
                }
                _ => {
                    let shown: String = ['%'].into_iter().chain(bare.then_some('-')).chain(next).collect();
                    let message = format!("a format for times has no '{shown}'");
                    return Err(Error::new(Code::InvalidQuery, message).hint("%% is a percent sign"));
                }
            }
        }
        match pieces.last_mut() {
            Some(Piece::Literal(text)) => text.push(literal),
            _ => pieces.push(Piece::Literal(literal.to_string())),
        }
    }
    Ok(pieces)
}

impl Piece {
    fn write(&self, time: &TimeOfDay, out: &mut String) {
        let (field, bare) = match self {
            Piece::Literal(text) => return out.push_str(text),
            Piece::Field(field, bare) => (*field, *bare),
        };
        let date = civil(time.days);
        let hour = time.nanos / 3_600_000_000_000;
        let mut number = |number: i64, width: usize| {
            // Writing to a String cannot fail.
            let _ = if bare { write!(out, "{number}") } else { write!(out, "{number:0width$}") };
        };
        match field {
            'w' => number(iso_weekday(time.days) % 7, 1),
            'u' => number(iso_weekday(time.days), 1),
            'd' => number(date.day, 2),
            'm' => number(date.month, 2),
            'y' => number(date.year.rem_euclid(100), 2),
            'Y' => number(date.year, 4),
            'G' => number(iso_week(time.days).0, 4),
            'H' => number(hour, 2),
            'I' => number((hour + 11) % 12 + 1, 2),
            'M' => number(time.nanos / 60_000_000_000 % 60, 2),
            'S' => number(time.nanos / 1_000_000_000 % 60, 2),
            'f' => number(time.nanos / 1000 % 1_000_000, 6),
            'g' => number(time.nanos / 1_000_000 % 1000, 3),
            'n' => number(time.nanos % 1_000_000_000, 9),
            'j' => number(day_of_year(time.days), 3),
            'U' => number((day_of_year(time.days) + 6 - iso_weekday(time.days) % 7) / 7, 2),
            'W' => number((day_of_year(time.days) + 7 - iso_weekday(time.days)) / 7, 2),
            'V' => number(iso_week(time.days).1, 2),
            'a' => out.extend(weekday_name(time.days).chars().take(3)),
            'A' => out.push_str(weekday_name(time.days)),
            'b' | 'h' => out.extend(month_name(time.days).chars().take(3)),
            'B' => out.push_str(month_name(time.days)),
            'p' => out.push_str(if hour < 12 { "AM" } else { "PM" }),
            'z' => out.push_str("+00"),
            'Z' if time.has_zone => out.push_str("UTC"),
            _ => {}
        }
    }
}

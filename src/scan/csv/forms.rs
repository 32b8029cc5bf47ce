//! How values are written in this scan: date and timestamp forms, the decimal separator, and which types may be
//! inferred.
//!
//! Invariant: `join` is a least upper bound, as [`Kind::join`] is; and what `classify` says of a text, the parsers here
//! read.

use arrow::datatypes::DataType;

use crate::error::Result;
use crate::scan::infer::number::{
    is_short_integer, parse_decimal, parse_double, parse_double_strict, parse_integer_strict,
};
use crate::scan::infer::pattern::Pattern;
use crate::scan::infer::time::{parse_date, parse_time, parse_timestamp};
use crate::scan::infer::{self, Kind, trim};

/// Texts of numbers that are longer than this are copied to be read with another decimal separator.
const SHORT: usize = 64;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Forms {
    pub date: Option<Pattern>,
    pub timestamp: Option<Pattern>,
    /// The decimal separator is a comma.
    pub comma: bool,
    /// Stands between groups of three digits.
    pub thousands: Option<u8>,
    /// The kinds that may be inferred; text always may.
    pub candidates: Option<Vec<Kind>>,
}

impl Forms {
    /// The kinds that types by these names stand for. Narrower integers stand for BIGINT, as FLOAT and DECIMAL for
    /// DOUBLE.
    ///
    /// # Errors
    /// `INVALID_SETTING` for a name of no type.
    pub fn kinds(names: &[String]) -> Result<Vec<Kind>> {
        let kind = |name: &String| {
            if name.eq_ignore_ascii_case("null") {
                return Ok(Kind::Null);
            }
            Ok(match infer::parse_any_type(name)? {
                DataType::Boolean => Kind::Boolean,
                DataType::Decimal128(38, 0) => Kind::Huge,
                DataType::Date32 => Kind::Date,
                DataType::Time64(_) => Kind::Time,
                DataType::Timestamp(..) => Kind::Timestamp,
                text if text.is_string() => Kind::Text,
                integer if integer.is_integer() => Kind::BigInt,
                _ => Kind::Double,
            })
        };
        names.iter().map(kind).collect()
    }

    /// Whether values are written as everywhere.
    fn is_plain(&self) -> bool {
        self.date.is_none() && self.timestamp.is_none() && self.has_plain_numbers()
    }

    /// Whether numbers are written as everywhere.
    pub fn has_plain_numbers(&self) -> bool {
        !self.comma && self.thousands.is_none()
    }

    /// What the text looks like.
    pub fn classify(&self, text: &[u8]) -> Kind {
        let text = trim(text);
        match self.classify_untimed(text) {
            Kind::Text if parse_time(text).is_some() => Kind::Time,
            kind => kind,
        }
    }

    fn classify_untimed(&self, text: &[u8]) -> Kind {
        if self.is_plain() {
            return infer::classify(text);
        }
        let of = |form: &Option<Pattern>| form.as_ref().is_some_and(|form| form.timestamp(text).is_some());
        if self.date.as_ref().is_some_and(|form| form.date(text).is_some()) {
            return Kind::Date;
        }
        if of(&self.timestamp) {
            return Kind::Timestamp;
        }
        match infer::classify(text) {
            Kind::Date if self.date.is_some() => match self.timestamp {
                // The usual timestamps hold dates, too.
                None => Kind::Timestamp,
                Some(_) => Kind::Text,
            },
            Kind::Timestamp if self.timestamp.is_some() => Kind::Text,
            Kind::Double if text.contains(&b'.') && self.strict_double(text).is_none() => Kind::Text,
            Kind::Double if self.strict_integer(text).is_some() => Kind::BigInt,
            Kind::Text if self.strict_integer(text).is_some() => Kind::BigInt,
            Kind::Text if self.strict_double(text).is_some() => Kind::Double,
            kind => kind,
        }
    }

    /// The narrowest kind that holds the values of both, as this scan writes them.
    pub fn join(&self, one: Kind, other: Kind) -> Kind {
        match (one, other) {
            (Kind::Date, Kind::Timestamp) | (Kind::Timestamp, Kind::Date)
                if self.date.is_some() || self.timestamp.is_some() =>
            {
                Kind::Text
            }
            _ => one.join(other),
        }
    }

    /// `kind` joined with what `text` looks like.
    pub fn widen(&self, kind: Kind, text: &[u8]) -> Kind {
        match kind {
            Kind::Text => Kind::Text,
            Kind::BigInt if self.is_plain() && is_short_integer(text) => Kind::BigInt,
            _ => self.join(kind, self.classify(text)),
        }
    }

    /// The narrowest kind that may be inferred for values of `kind`.
    pub fn settle(&self, kind: Kind) -> Kind {
        let Some(candidates) = &self.candidates else { return kind };
        let wider: &[Kind] = match kind {
            Kind::BigInt => &[Kind::BigInt, Kind::Huge, Kind::Double],
            Kind::Huge => &[Kind::Huge, Kind::Double],
            Kind::Date if self.date.is_none() && self.timestamp.is_none() => &[Kind::Date, Kind::Timestamp],
            Kind::Boolean | Kind::Double | Kind::Date | Kind::Time | Kind::Timestamp => &[kind],
            Kind::Null | Kind::Text => return kind,
        };
        wider.iter().find(|wider| candidates.contains(wider)).copied().unwrap_or(Kind::Text)
    }

    /// What a value of the type looks like, behind its article, for errors.
    pub fn described(&self, data_type: &DataType) -> String {
        let form = match data_type {
            DataType::Date32 => &self.date,
            DataType::Timestamp(..) => &self.timestamp,
            _ => &None,
        };
        let name = infer::sql_name(data_type);
        let article = if name.starts_with(['A', 'E', 'I', 'O']) { "an" } else { "a" };
        let name = format!("{article} {name}");
        match form {
            Some(form) => format!("{name} in the form '{}'", form.text()),
            None if self.comma && (data_type.is_floating() || data_type.is_decimal()) => {
                format!("{name} with a decimal comma")
            }
            None => name,
        }
    }

    /// Days since 1970-01-01.
    pub fn date(&self, text: &[u8]) -> Option<i32> {
        match &self.date {
            None => parse_date(text),
            Some(form) => form.date(text),
        }
    }

    /// Microseconds since 1970-01-01 00:00 UTC.
    pub fn timestamp(&self, text: &[u8]) -> Option<i64> {
        match &self.timestamp {
            None => parse_timestamp(text),
            Some(form) => form.timestamp(text),
        }
    }

    /// An integer of an inferred column.
    pub fn strict_integer(&self, text: &[u8]) -> Option<i64> {
        self.with_point(text, parse_integer_strict)
    }

    /// A double of a declared column.
    pub fn double(&self, text: &[u8]) -> Option<f64> {
        self.with_point(text, parse_double)
    }

    /// A double of an inferred column.
    pub fn strict_double(&self, text: &[u8]) -> Option<f64> {
        self.with_point(text, parse_double_strict)
    }

    /// A decimal, scaled to an integer.
    pub fn decimal(&self, text: &[u8], precision: u8, scale: u8) -> Option<i128> {
        self.with_point(text, |text| parse_decimal(text, precision, scale))
    }

    /// Reads a number whose decimal separator has become a point, and whose groups of digits have been joined.
    #[inline(always)]
    pub fn with_point<T>(&self, text: &[u8], parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        if self.has_plain_numbers() { parse(text) } else { self.with_other_marks(text, parse) }
    }

    fn with_other_marks<T>(&self, text: &[u8], parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let point = if self.comma { b',' } else { b'.' };
        let is_grouped = self.thousands.is_some_and(|mark| text.contains(&mark));
        if let Some(mark) = self.thousands.filter(|_| is_grouped)
            && !has_groups(text, mark, point)
        {
            return None;
        }
        if self.comma && self.thousands != Some(b'.') && text.contains(&b'.') {
            return None;
        }
        let mut short = [0; SHORT];
        let mut long = Vec::new();
        let copy = match short.get_mut(..text.len()) {
            Some(copy) => copy,
            None => {
                long.resize(text.len(), 0);
                &mut long[..]
            }
        };
        let kept = text.iter().filter(|byte| !(is_grouped && self.thousands == Some(**byte)));
        let mut length = 0;
        for (to, &from) in copy.iter_mut().zip(kept) {
            *to = if self.comma && from == b',' { b'.' } else { from };
            length += 1;
        }
        parse(copy.get(..length)?)
    }
}

/// Whether the digits before `point` stand in groups of three between which there is `mark`, and no other is.
fn has_groups(text: &[u8], mark: u8, point: u8) -> bool {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let end = digits.iter().position(|byte| *byte == point).unwrap_or(digits.len());
    let (whole, rest) = digits.split_at(end);
    let mut groups = whole.split(|byte| *byte == mark);
    let first = groups.next().is_some_and(|group| (1..=3).contains(&group.len()));
    first && groups.all(|group| group.len() == 3 && group.iter().all(u8::is_ascii_digit)) && !rest.contains(&mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(date: &str, timestamp: &str, comma: bool) -> Forms {
        let form = |text: &str| (!text.is_empty()).then(|| Pattern::new("dateformat", text).unwrap());
        Forms { date: form(date), timestamp: form(timestamp), comma, ..Forms::default() }
    }

    #[test]
    fn a_date_form_makes_dates_and_leaves_the_usual_ones_to_timestamps() {
        let of = forms("%d/%m/%Y", "", false);
        assert_eq!(of.classify(b"31/01/2020"), Kind::Date);
        assert_eq!(of.classify(b"2020-01-31"), Kind::Timestamp);
        assert_eq!(of.join(Kind::Date, Kind::Timestamp), Kind::Text);
        let of = forms("%d/%m/%Y", "%d/%m/%Y %H:%M", false);
        assert_eq!((of.classify(b"1/1/2020 1:00"), of.classify(b"2020-01-31")), (Kind::Timestamp, Kind::Text));
        assert_eq!(of.classify(b"12"), Kind::BigInt);
    }

    #[test]
    fn a_comma_is_a_point() {
        let of = forms("", "", true);
        assert_eq!(
            (of.classify(b"1,5"), of.classify(b"1.5"), of.classify(b"15")),
            (Kind::Double, Kind::Text, Kind::BigInt)
        );
        assert_eq!((of.classify(b"1,5,5"), of.classify(b"01,5")), (Kind::Text, Kind::Text));
        assert_eq!((of.double(b"-1,25"), of.decimal(b"1,5", 4, 2)), (Some(-1.25), Some(150)));
        assert_eq!(of.double("1,".repeat(60).as_bytes()), None);
    }

    #[test]
    fn groups_of_digits_are_joined() {
        let of = Forms { thousands: Some(b','), ..Forms::default() };
        let kinds = ["1,234", "-1,234,567.5", "12", "1.5", "12,34", "1234,567", ",123", "1.234,567", "1,2345"];
        let expected = [
            Kind::BigInt,
            Kind::Double,
            Kind::BigInt,
            Kind::Double,
            Kind::Text,
            Kind::Text,
            Kind::Text,
            Kind::Text,
            Kind::Text,
        ];
        assert_eq!(kinds.map(|text| of.classify(text.as_bytes())), expected);
        assert_eq!((of.strict_integer(b"1,234"), of.double(b"1,234.5")), (Some(1234), Some(1234.5)));
        let of = Forms { thousands: Some(b'.'), comma: true, ..Forms::default() };
        assert_eq!(
            (of.double(b"1.234,5"), of.classify(b"1.234"), of.double(b"1.5")),
            (Some(1234.5), Kind::BigInt, None)
        );
    }

    #[test]
    fn only_candidates_are_inferred() {
        let names = ["SMALLINT", "DATE"].map(str::to_string);
        let of = Forms { candidates: Some(Forms::kinds(&names).unwrap()), ..Forms::default() };
        let settled =
            [Kind::BigInt, Kind::Double, Kind::Boolean, Kind::Date, Kind::Timestamp].map(|kind| of.settle(kind));
        assert_eq!(settled, [Kind::BigInt, Kind::Text, Kind::Text, Kind::Date, Kind::Text]);
        let of = Forms { candidates: Some(vec![Kind::Double]), ..Forms::default() };
        assert_eq!(of.settle(Kind::BigInt), Kind::Double);
        assert!(Forms::kinds(&["NUMBER?".to_string()]).is_err());
    }
}

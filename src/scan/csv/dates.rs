//! Dates and timestamps that are not in the usual form, where the values of a column leave no doubt which it is.
//!
//! Invariant: a form is taken only if every value that was looked at is written in it, and in no other: `01/02/2020` may
//! be a day of January or of February until a value beside it tells.

use std::sync::LazyLock;

use crate::scan::infer::Kind;
use crate::scan::infer::pattern::Pattern;

/// How dates are written.
const DATES: [&str; 9] =
    ["%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d.%m.%Y", "%m.%d.%Y", "%Y.%m.%d", "%d-%m-%Y", "%m-%d-%Y", "%Y-%m-%d"];

/// What may follow them; nothing in a date.
const TIMES: [&str; 5] = ["", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M:%S %p"];

/// No text in any of the forms is longer.
const LONGEST: usize = 32;

/// All forms, in the order of their numbers.
static FORMS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let texts = TIMES.iter().flat_map(|time| DATES.iter().map(move |date| format!("{date}{time}")));
    texts.filter_map(|text| Pattern::new("dateformat", &text).ok()).collect()
});

/// A set of forms: those in which all values of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateForms(u64);

impl DateForms {
    /// Before any value.
    pub const ALL: DateForms = DateForms(u64::MAX);
    pub const NONE: DateForms = DateForms(0);

    pub fn is_empty(self) -> bool {
        self == DateForms::NONE
    }

    /// Those of both.
    #[must_use]
    pub fn both(self, other: DateForms) -> DateForms {
        DateForms(self.0 & other.0)
    }

    /// Those in which `text` is written, too.
    #[must_use]
    pub fn of_text(self, text: &[u8]) -> DateForms {
        if text.len() > LONGEST || !text.first().is_some_and(u8::is_ascii_digit) {
            return DateForms::NONE;
        }
        let fits = |(number, form): (usize, &Pattern)| {
            (self.has(number) && form.timestamp(text).is_some()).then_some(1 << number)
        };
        DateForms(FORMS.iter().enumerate().filter_map(fits).sum())
    }

    fn has(self, number: usize) -> bool {
        self.0 & 1 << number != 0
    }

    /// Whether the form is among them.
    pub fn contains(self, form: &Pattern) -> bool {
        FORMS.iter().position(|other| other == form).is_some_and(|number| self.has(number))
    }

    /// The only one, and what is written in it.
    pub fn only(self) -> Option<(Kind, &'static Pattern)> {
        if self.0.count_ones() != 1 {
            return None;
        }
        let number = self.0.trailing_zeros() as usize;
        let kind = if number < DATES.len() { Kind::Date } else { Kind::Timestamp };
        Some((kind, FORMS.get(number)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_told_by_all_values_together() {
        let told = |texts: &[&str]| {
            let forms = texts.iter().fold(DateForms::ALL, |forms, text| forms.of_text(text.as_bytes()));
            forms.only().map(|(kind, form)| (kind, form.text()))
        };
        assert_eq!(told(&["25/12/2020"]), Some((Kind::Date, "%d/%m/%Y")));
        assert_eq!(told(&["01/02/2020"]), None);
        assert_eq!(told(&["01/02/2020", "1/13/2020"]), Some((Kind::Date, "%m/%d/%Y")));
        assert_eq!(told(&["25/12/2020", "12/25/2020"]), None);
        assert_eq!(told(&["2020/12/30", "2020/1/2"]), Some((Kind::Date, "%Y/%m/%d")));
        assert_eq!(told(&["25.12.2020 10:00:00"]), Some((Kind::Timestamp, "%d.%m.%Y %H:%M:%S")));
        assert_eq!(told(&["12/25/2020 10:00:00 PM"]), Some((Kind::Timestamp, "%m/%d/%Y %I:%M:%S %p")));
        assert_eq!(told(&["25.12.2020", "soon"]), None);
        assert_eq!(told(&[]), None);
    }
}

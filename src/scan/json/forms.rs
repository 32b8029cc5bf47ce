//! How dates and timestamps are written in the strings of this scan.

use std::sync::Arc;

use crate::error::{Code, Error, Result};
use crate::scan::infer::pattern::Pattern;
use crate::scan::infer::{Kind, time};
use crate::scan::options;
use crate::scan::spec::Options;

const DAY_MICROS: i64 = 86_400_000_000;

/// The forms of the options `dateformat` and `timestampformat`; ISO 8601 without them.
#[derive(Debug, Clone, Default)]
pub(super) struct Forms {
    date: Option<Arc<Pattern>>,
    timestamp: Option<Arc<Pattern>>,
}

impl Forms {
    /// The forms that the options give.
    ///
    /// # Errors
    /// `INVALID_SETTING` for what is no form.
    pub(super) fn new(given: &Options) -> Result<Self> {
        let form = |option: &str, other: &str| -> Result<Option<Arc<Pattern>>> {
            let text = options::text(given, option)?;
            if text.is_some() && given.contains_key(other) {
                let message = format!("the reader options {other} and {option} are two names of one option");
                return Err(Error::new(Code::InvalidSetting, message).hint(format!("give {option} alone")));
            }
            match text.map_or_else(|| options::text(given, other), |text| Ok(Some(text)))? {
                None => Ok(None),
                Some(text) if text.eq_ignore_ascii_case("auto") || text.eq_ignore_ascii_case("iso") => Ok(None),
                Some(text) => Ok(Some(Arc::new(Pattern::new(option, text)?))),
            }
        };
        let (date, timestamp) = (form("dateformat", "date_format")?, form("timestampformat", "timestamp_format")?);
        Ok(Forms { date, timestamp })
    }

    /// Days since 1970-01-01.
    pub(super) fn date(&self, text: &[u8]) -> Option<i32> {
        match &self.date {
            None => time::parse_date(text),
            Some(form) => form.date(text),
        }
    }

    /// Microseconds since 1970-01-01; of a date its midnight.
    pub(super) fn timestamp(&self, text: &[u8]) -> Option<i64> {
        let found = match &self.timestamp {
            None => time::parse_timestamp(text),
            Some(form) => form.timestamp(text),
        };
        let date = || self.date(text).map(|days| i64::from(days) * DAY_MICROS);
        found.or_else(date)
    }

    /// What a string looks like.
    pub(super) fn classify(&self, text: &[u8]) -> Kind {
        if self.date.is_none() && self.timestamp.is_none() {
            return time::classify(text);
        }
        if self.date(text).is_some() {
            return Kind::Date;
        }
        let is_timestamp = match &self.timestamp {
            None => time::classify(text) == Kind::Timestamp,
            Some(form) => form.timestamp(text).is_some(),
        };
        if is_timestamp { Kind::Timestamp } else { Kind::Text }
    }
}

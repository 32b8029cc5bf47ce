//! Time zones by name, from the IANA database.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

use super::out_of_range;
use crate::error::{Code, Error, Result};
use crate::expr::functions::library::function::{Function, function};
use crate::expr::functions::library::typed::{Instant, Micros, Moment, Text, Timestamp, row2};

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    vec![function(
        "timezone",
        "zone, time",
        "The moment of a local time of the zone, or the zone's local time of a moment",
        [
            row2::<Text, Timestamp, _>(|zone, local| moment(zone, local).map(Moment)),
            row2::<Text, Instant, _>(|zone, micros| local(zone, micros).map(Micros)),
        ],
    )]
}

fn zone(name: &str) -> Result<Tz> {
    name.parse().or_else(|_| {
        // Names match without regard to case.
        let known = chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(name));
        known.copied().ok_or_else(|| {
            let error = Error::new(Code::InvalidQuery, format!("there is no time zone named '{name}'"));
            let lower = name.to_lowercase();
            let near = chrono_tz::TZ_VARIANTS
                .iter()
                .min_by_key(|zone| strsim::levenshtein(&zone.name().to_lowercase(), &lower));
            match near {
                Some(near) => error.hint(format!("did you mean '{}'?", near.name())),
                None => error,
            }
        })
    })
}

fn naive(micros: i64) -> Result<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|time| time.naive_utc()).ok_or_else(out_of_range)
}

/// The moment at which it is `local` in the zone. Of two it is the later, and where the clock jumped over it, as if it had not yet.
pub(in crate::expr) fn moment(name: &str, local: i64) -> Result<i64> {
    let (zone, time) = (zone(name)?, naive(local)?);
    let offset = match zone.offset_from_local_datetime(&time) {
        MappedLocalTime::Single(offset) => offset,
        MappedLocalTime::Ambiguous(_, later) => later,
        MappedLocalTime::None => {
            let before = time.checked_sub_signed(chrono::Duration::hours(24)).ok_or_else(out_of_range)?;
            zone.offset_from_local_datetime(&before).earliest().ok_or_else(out_of_range)?
        }
    };
    local.checked_sub(i64::from(offset.fix().local_minus_utc()) * 1_000_000).ok_or_else(out_of_range)
}

/// What clocks of the zone show at the moment.
pub(super) fn local(name: &str, micros: i64) -> Result<i64> {
    let offset = zone(name)?.offset_from_utc_datetime(&naive(micros)?);
    micros.checked_add(i64::from(offset.fix().local_minus_utc()) * 1_000_000).ok_or_else(out_of_range)
}

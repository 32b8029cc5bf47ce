//! Claims about the lattice and the text forms.

use chrono::{Datelike, NaiveDate};

use super::number::{parse_decimal, parse_double, parse_double_strict, parse_integer_strict};
use super::time::{parse_date, parse_timestamp};
use super::*;

const KINDS: [Kind; 8] =
    [Kind::Null, Kind::Boolean, Kind::BigInt, Kind::Huge, Kind::Double, Kind::Date, Kind::Timestamp, Kind::Text];

#[test]
fn join_is_a_least_upper_bound() {
    for a in KINDS {
        assert_eq!(a.join(a), a);
        assert_eq!(a.join(Kind::Null), a);
        for b in KINDS {
            assert_eq!(a.join(b), b.join(a));
            for c in KINDS {
                assert_eq!(a.join(b).join(c), a.join(b.join(c)), "{a:?} {b:?} {c:?}");
            }
        }
    }
}

#[test]
fn texts_are_what_they_look_like() {
    let cases: &[(&str, Kind)] = &[
        ("0", Kind::BigInt),
        ("-17", Kind::BigInt),
        (" 17 ", Kind::BigInt),
        ("9223372036854775807", Kind::BigInt),
        ("9223372036854775808", Kind::Huge),
        ("-9223372036854775808", Kind::BigInt),
        ("12345678901234567890123456789012345678", Kind::Huge),
        ("123456789012345678901234567890123456789", Kind::Text),
        ("007", Kind::Text),
        ("-07", Kind::Text),
        ("00.5", Kind::Text),
        ("+49", Kind::Text),
        ("-0", Kind::Double),
        ("0.5", Kind::Double),
        ("1.", Kind::Double),
        (".5", Kind::Double),
        ("-1.5e-3", Kind::Double),
        ("1e400", Kind::Text),
        ("NaN", Kind::Double),
        ("-inf", Kind::Double),
        ("-", Kind::Text),
        (".", Kind::Text),
        ("1e", Kind::Text),
        ("1,5", Kind::Text),
        ("12a", Kind::Text),
        ("True", Kind::Boolean),
        ("FALSE", Kind::Boolean),
        ("t", Kind::Text),
        ("Nancy", Kind::Text),
        ("2013-01-31", Kind::Date),
        ("2013-02-29", Kind::Text),
        ("2012-02-29", Kind::Date),
        ("2013-13-01", Kind::Text),
        ("0000-01-01", Kind::Text),
        ("2013-1-1", Kind::Text),
        ("2013-01-01T10:00:00Z", Kind::Timestamp),
        ("2013-01-01 10:00", Kind::Timestamp),
        ("2013-01-01 10:00:00.123456", Kind::Timestamp),
        ("2013-01-01 10:00:00.123456000", Kind::Timestamp),
        ("2013-01-01 10:00:00.123456789", Kind::Text),
        ("2013-01-01 24:00:00", Kind::Text),
        ("2013-01-01 10:00:00 Uhr", Kind::Text),
        ("2013-01-01T10:00:00+02:00", Kind::Timestamp),
        ("", Kind::Text),
        ("   ", Kind::Text),
    ];
    for (text, kind) in cases {
        assert_eq!(classify(text.as_bytes()), *kind, "{text:?}");
    }
}

#[test]
fn strict_reading_loses_nothing_and_lenient_reading_accepts_more() {
    assert_eq!(parse_integer_strict(b"007"), None);
    assert_eq!(parse_integer_strict(b"-12"), Some(-12));
    assert_eq!(parse_double_strict(b"007"), None);
    assert_eq!(parse_double_strict(b"0.5"), Some(0.5));
    assert_eq!(parse_double(b"007"), Some(7.0));
    assert_eq!(parse_double(b"1e999"), None);
    assert!(parse_double(b"nan").unwrap().is_nan());
}

#[test]
fn decimals_are_exact_or_refused() {
    assert_eq!(parse_decimal(b"-1.5", 10, 2), Some(-150));
    assert_eq!(parse_decimal(b"1.50000", 10, 2), Some(150));
    assert_eq!(parse_decimal(b"1.505", 10, 2), None);
    assert_eq!(parse_decimal(b"99999999.99", 10, 2), Some(9_999_999_999));
    assert_eq!(parse_decimal(b"100000000", 10, 2), None);
    assert_eq!(parse_decimal(b".", 10, 2), None);
    assert_eq!(parse_decimal(b"1x", 10, 2), None);
    let nines = "9".repeat(38);
    assert_eq!(parse_decimal(nines.as_bytes(), 38, 0), nines.parse().ok());
}

#[test]
fn every_date_agrees_with_the_calendar() {
    let mut day = NaiveDate::from_ymd_opt(1, 1, 1).unwrap();
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap().num_days_from_ce();
    while day.year() < 10_000 {
        let text = format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day());
        assert_eq!(parse_date(text.as_bytes()), Some(day.num_days_from_ce() - epoch), "{text}");
        day = day + chrono::Days::new(37);
    }
}

#[test]
fn timestamps_are_moments_in_utc() {
    assert_eq!(parse_timestamp(b"1970-01-01 00:00:01.5"), Some(1_500_000));
    assert_eq!(parse_timestamp(b"1970-01-01T02:00:00+02:00"), Some(0));
    assert_eq!(parse_timestamp(b"1969-12-31T19:00-0500"), Some(0));
    assert_eq!(parse_timestamp(b"1970-01-02"), Some(DAY));
    assert_eq!(parse_timestamp(b"1970-01-02x"), None);
    const DAY: i64 = 86_400_000_000;
}

#[test]
fn type_names_are_understood_or_named() {
    assert_eq!(parse_type("decimal(10, 2)").unwrap(), DataType::Decimal128(10, 2));
    assert_eq!(parse_type("varchar(20)").unwrap(), DataType::Utf8View);
    assert!(parse_type("DECIMAL(50,2)").is_err());
    assert!(parse_type("GEOMETRY").unwrap_err().message().contains("GEOMETRY"));
}

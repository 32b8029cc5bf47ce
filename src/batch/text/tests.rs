//! Every type as SQL text and as JSON.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, Decimal128Array, DictionaryArray, Float64Array, Int32Array, Int32Builder, Int64Array,
    IntervalMonthDayNanoArray, ListArray, MapBuilder, StringArray, StringBuilder, StructArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, IntervalMonthDayNano};

use super::*;

fn text(array: &dyn Array, row: usize) -> String {
    let mut out = String::new();
    TextColumn::new(array).expect("a column").write_text(row, &mut out).expect("text");
    out
}

fn json(array: &dyn Array, row: usize, style: JsonStyle) -> String {
    let mut out = String::new();
    TextColumn::new(array).expect("a column").write_json(row, style, &mut out).expect("json");
    out
}

#[test]
fn integers_beyond_2_to_53_are_strings_only_where_digits_matter() {
    let numbers = Int64Array::from(vec![(1 << 53), (1 << 53) + 1, i64::MIN]);
    assert_eq!(json(&numbers, 0, JsonStyle::Exact), "9007199254740992");
    assert_eq!(json(&numbers, 1, JsonStyle::Exact), "\"9007199254740993\"");
    assert_eq!(json(&numbers, 2, JsonStyle::Exact), "\"-9223372036854775808\"");
    assert_eq!(json(&numbers, 1, JsonStyle::Lines), "9007199254740993");
}

#[test]
fn floats_that_json_has_not_are_strings() {
    let numbers = Float64Array::from(vec![1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300]);
    assert_eq!(json(&numbers, 0, JsonStyle::Lines), "1.0");
    assert_eq!(json(&numbers, 1, JsonStyle::Lines), "\"nan\"");
    assert_eq!(json(&numbers, 2, JsonStyle::Exact), "\"inf\"");
    assert_eq!(json(&numbers, 3, JsonStyle::Exact), "\"-inf\"");
    assert_eq!(json(&numbers, 4, JsonStyle::Exact), "1e300");
    assert_eq!(text(&numbers, 1), "nan");
}

#[test]
fn decimals_keep_their_scale() {
    let numbers = Decimal128Array::from(vec![12_300]).with_precision_and_scale(10, 2).expect("a decimal");
    assert_eq!(text(&numbers, 0), "123.00");
    assert_eq!(json(&numbers, 0, JsonStyle::Exact), "\"123.00\"");
    assert_eq!(json(&numbers, 0, JsonStyle::Lines), "123.00");
}

#[test]
fn timestamps_have_a_blank_and_no_needless_zeros() {
    let times = TimestampMicrosecondArray::from(vec![0, 1_500_000]);
    assert_eq!(text(&times, 0), "1970-01-01 00:00:00");
    assert_eq!(json(&times, 1, JsonStyle::Exact), "\"1970-01-01 00:00:01.5\"");
}

#[test]
fn nested_values_are_text_or_json() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    assert_eq!(text(&list, 0), "[1, NULL]");
    assert_eq!(json(&list, 0, JsonStyle::Lines), "[1, null]");
    assert_eq!(json(&list, 0, JsonStyle::Exact), "\"[1, NULL]\"");
    assert_eq!(json(&list, 1, JsonStyle::Lines), "null");

    let names: ArrayRef = Arc::new(StringArray::from(vec!["it\"s"]));
    let record = StructArray::from(vec![(Arc::new(Field::new("a'b", DataType::Utf8, true)), names)]);
    assert_eq!(text(&record, 0), "{'a\\'b': 'it\"s'}");
    assert_eq!(json(&record, 0, JsonStyle::Lines), "{\"a'b\": \"it\\\"s\"}");

    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("k");
    map.values().append_value(1);
    map.append(true).expect("a map");
    let map = map.finish();
    assert_eq!(text(&map, 0), "{k=1}");
    assert_eq!(json(&map, 0, JsonStyle::Lines), "{\"k\": 1}");
}

#[test]
fn a_null_inside_a_dictionary_is_null() {
    let values: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    let keys = Int32Array::from(vec![Some(0), Some(1), None]);
    let array = DictionaryArray::<Int32Type>::new(keys, values);
    let column = TextColumn::new(&array).expect("a column");
    assert_eq!((0..3).map(|row| column.as_str(row)).collect::<Vec<_>>(), [Some("a"), None, None]);
    assert_eq!(json(&array, 1, JsonStyle::Lines), "null");
}

#[test]
fn intervals_and_bytes_have_a_text() {
    let value = |months, days, nanos| IntervalMonthDayNano::new(months, days, nanos);
    let array = IntervalMonthDayNanoArray::from(vec![
        value(14, 1, 3_661_500_000_000),
        value(0, 0, 0),
        value(0, -3, 0),
        value(0, 0, -1),
    ]);
    assert_eq!(text(&array, 0), "1 year 2 months 1 day 01:01:01.5");
    assert_eq!(text(&array, 1), "00:00:00");
    assert_eq!(text(&array, 2), "-3 days");
    assert_eq!(text(&array, 3), "-00:00:00.000000001");
    assert_eq!(text(&BinaryArray::from(vec![&[0u8, 255][..]]), 0), "\\x00\\xFF");
}

#[test]
fn control_characters_are_escaped() {
    let mut out = String::new();
    write_json_string("a\u{1}b\nç\\", &mut out);
    assert_eq!(out, "\"a\\u0001b\\nç\\\\\"");
    assert_eq!(serde_json::from_str::<String>(&out).expect("valid JSON"), "a\u{1}b\nç\\");
}

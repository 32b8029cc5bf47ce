//! Every value form and every output format, on made-up batches.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, DurationMillisecondArray,
    Float32Array, Float64Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, MapBuilder, NullArray,
    RecordBatch, StringArray, StringBuilder, StringViewArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, IntervalMonthDayNano, Schema};

use super::{Format, Limits, is_null, write_error, write_value, writer};
use crate::error::{Code, Error};

fn texts(array: &ArrayRef) -> Vec<String> {
    let text = |row| {
        let mut out = String::new();
        write_value(&mut out, array, row).unwrap();
        out
    };
    (0..array.len()).map(|row| if is_null(array, row) { "NULL".to_owned() } else { text(row) }).collect()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn printed_with(format: Format, limits: Limits, batches: &[RecordBatch]) -> String {
    let mut out = Vec::new();
    let mut writer = writer(format, limits, &mut out);
    writer.begin(&batches[0].schema()).unwrap();
    for batch in batches {
        writer.batch(batch).unwrap();
    }
    writer.end().unwrap();
    drop(writer);
    String::from_utf8(out).unwrap()
}

fn printed(format: Format, batch: &RecordBatch) -> String {
    printed_with(format, Limits::default(), std::slice::from_ref(batch))
}

fn strings(values: &[&str]) -> ArrayRef {
    Arc::new(StringViewArray::from(values.to_vec()))
}

fn integers(values: Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(values))
}

#[test]
fn doubles_are_the_shortest_text_that_reads_back() {
    let values = vec![1.0, 0.1, -0.0, 1e15, 1e16, 1.2345678901234568e17, 0.0001, 0.00001, 1.5e-7, f64::MAX, 2.5e100];
    let array: ArrayRef = Arc::new(Float64Array::from(values));
    let expected = [
        "1.0",
        "0.1",
        "-0.0",
        "1000000000000000.0",
        "1e+16",
        "1.2345678901234568e+17",
        "0.0001",
        "1e-05",
        "1.5e-07",
        "1.7976931348623157e+308",
        "2.5e+100",
    ];
    assert_eq!(texts(&array), expected);
    let array: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]));
    assert_eq!(texts(&array), ["nan", "inf", "-inf"]);
    let array: ArrayRef = Arc::new(Float32Array::from(vec![0.1, 1e10, 1.6777216e17]));
    assert_eq!(texts(&array), ["0.1", "10000000000.0", "1.6777216e+17"]);
}

#[test]
fn decimals_keep_their_scale() {
    let array = Decimal128Array::from(vec![Some(110), Some(-5), None]).with_precision_and_scale(5, 2).unwrap();
    let array: ArrayRef = Arc::new(array);
    assert_eq!(texts(&array), ["1.10", "-0.05", "NULL"]);
    let huge = Decimal128Array::from(vec![i128::from(i64::MAX) * 2]).with_precision_and_scale(38, 0).unwrap();
    let huge: ArrayRef = Arc::new(huge);
    assert_eq!(texts(&huge), ["18446744073709551614"]);
}

#[test]
fn dates_have_a_text_over_their_whole_range() {
    let array: ArrayRef =
        Arc::new(Date32Array::from(vec![0, 15706, 11016, 3789391, -719529, -735160, i32::MIN, i32::MAX]));
    let expected = [
        "1970-01-01",
        "2013-01-01",
        "2000-02-29",
        "12345-01-01",
        "0002-12-31 (BC)",
        "0044-03-15 (BC)",
        "5877642-06-23 (BC)",
        "5881580-07-11",
    ];
    assert_eq!(texts(&array), expected);
}

#[test]
fn times_and_timestamps_drop_trailing_zeros() {
    let array: ArrayRef = Arc::new(Time64MicrosecondArray::from(vec![36_000_500_000, 0]));
    assert_eq!(texts(&array), ["10:00:00.5", "00:00:00"]);
    let values = vec![1_577_836_800_120_000, -1];
    let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(values.clone()));
    assert_eq!(texts(&array), ["2020-01-01 00:00:00.12", "1969-12-31 23:59:59.999999"]);
    let array: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_577_836_800_123_456_789]));
    assert_eq!(texts(&array), ["2020-01-01 00:00:00.123456789"]);
    let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![i64::MIN, i64::MAX]));
    assert_eq!(texts(&array), ["290309-12-21 (BC) 19:59:05.224192", "294247-01-10 04:00:54.775807"]);
}

#[test]
fn timestamps_with_a_zone_show_its_offset() {
    let at = |zone: &str| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(vec![1_577_836_800_000_000]).with_timezone(zone))
    };
    assert_eq!(texts(&at("UTC")), ["2020-01-01 00:00:00+00"]);
    assert_eq!(texts(&at("+05:30")), ["2020-01-01 05:30:00+05:30"]);
    assert_eq!(texts(&at("America/New_York")), ["2019-12-31 19:00:00-05"]);
}

#[test]
fn intervals_name_their_parts() {
    let interval = |months, days, nanoseconds| IntervalMonthDayNano::new(months, days, nanoseconds);
    let array: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![
        interval(14, 3, 14_706_123_000_000),
        interval(-14, 0, 0),
        interval(0, -1, 0),
        interval(0, 0, -14_400_000_000_000),
        interval(0, 0, 0),
    ]));
    let expected = ["1 year 2 months 3 days 04:05:06.123", "-1 year -2 months", "-1 day", "-04:00:00", "00:00:00"];
    assert_eq!(texts(&array), expected);
    let array: ArrayRef = Arc::new(DurationMillisecondArray::from(vec![360_000_500]));
    assert_eq!(texts(&array), ["100:00:00.5"]);
}

#[test]
fn blobs_escape_what_is_not_plain() {
    let array: ArrayRef = Arc::new(BinaryArray::from(vec![&b"A\xAA\x00 x"[..], b"'\"\\"]));
    assert_eq!(texts(&array), ["A\\xAA\\x00 x", "\\x27\\x22\\x5C"]);
}

#[test]
fn lists_quote_only_what_could_be_structure() {
    let items = vec![Some("a"), Some("b c"), Some(""), None, Some("it's"), Some("x,y"), Some("null"), Some(" lead")];
    let field = Arc::new(Field::new("item", DataType::Utf8, true));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([items.len(), 0]);
    let array: ArrayRef = Arc::new(ListArray::new(field, offsets, Arc::new(StringArray::from(items)), None));
    assert_eq!(texts(&array), ["[a, b c, '', NULL, 'it\\'s', 'x,y', 'null', ' lead']", "[]"]);
    let numbers: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]));
    assert_eq!(texts(&numbers), ["[1, NULL]", "NULL"]);
}

fn structs() -> ArrayRef {
    let fields = Fields::from(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8View, true)]);
    Arc::new(StructArray::new(fields, vec![integers(vec![1]), strings(&["x:y"])], None))
}

fn maps() -> ArrayRef {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    builder.keys().append_value("k");
    builder.values().append_value("v w");
    builder.keys().append_value("l");
    builder.values().append_null();
    builder.append(true).unwrap();
    Arc::new(builder.finish())
}

#[test]
fn structs_and_maps_name_their_entries() {
    assert_eq!(texts(&structs()), ["{'a': 1, 'b': 'x:y'}"]);
    assert_eq!(texts(&maps()), ["{k=v w, l=NULL}"]);
}

#[test]
fn dictionaries_and_typeless_nulls_show_their_values() {
    let values: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None]));
    let keys = Int32Array::from(vec![Some(0), None, Some(1)]);
    let array: ArrayRef = Arc::new(DictionaryArray::new(keys, values));
    assert_eq!(texts(&array), ["x", "NULL", "NULL"]);
    let nulls: ArrayRef = Arc::new(NullArray::new(1));
    assert_eq!(texts(&nulls), ["NULL"]);
}

#[test]
fn csv_keeps_null_and_empty_apart_and_quotes_what_must_be() {
    let text: ArrayRef = Arc::new(StringArray::from(vec![Some("a,b"), Some(""), None, Some("say \"hi\"\n")]));
    let number: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), None, Some(2.0), Some(3.0)]));
    let batch = batch(vec![("t", text), ("n,m", number)]);
    assert_eq!(printed(Format::Csv, &batch), "t,\"n,m\"\n\"a,b\",1.5\n\"\",\n,2.0\n\"say \"\"hi\"\"\n\",3.0\n");
    let tabs = printed(Format::Tsv, &batch);
    assert!(tabs.starts_with("t\tn,m\na,b\t1.5\n"), "{tabs}");
}

fn mixed() -> RecordBatch {
    let decimal = Decimal128Array::from(vec![150]).with_precision_and_scale(5, 2).unwrap();
    let huge = Decimal128Array::from(vec![7]).with_precision_and_scale(38, 0).unwrap();
    batch(vec![
        ("small", integers(vec![1])),
        ("edge", integers(vec![1 << 53])),
        ("large", integers(vec![(1 << 53) + 1])),
        ("unsigned", Arc::new(UInt64Array::from(vec![u64::MAX]))),
        ("double", Arc::new(Float64Array::from(vec![1.0]))),
        ("nan", Arc::new(Float64Array::from(vec![f64::NAN]))),
        ("flag", Arc::new(BooleanArray::from(vec![true]))),
        ("money", Arc::new(decimal)),
        ("sum", Arc::new(huge)),
        ("text", strings(&["a\"\\\n\u{1}é"])),
        ("day", Arc::new(Date32Array::from(vec![0]))),
        ("fields", structs()),
        ("pairs", maps()),
        ("nothing", Arc::new(NullArray::new(1))),
    ])
}

#[test]
fn json_compact_follows_the_protocol_to_the_letter() {
    let line = printed(Format::JsonCompact, &mixed());
    let expected = concat!(
        r#"{"columns":[{"name":"small","type":"BIGINT"},{"name":"edge","type":"BIGINT"},"#,
        r#"{"name":"large","type":"BIGINT"},{"name":"unsigned","type":"UBIGINT"},{"name":"double","type":"DOUBLE"},"#,
        r#"{"name":"nan","type":"DOUBLE"},{"name":"flag","type":"BOOLEAN"},{"name":"money","type":"DECIMAL(5,2)"},"#,
        r#"{"name":"sum","type":"HUGEINT"},{"name":"text","type":"VARCHAR"},{"name":"day","type":"DATE"},"#,
        r#"{"name":"fields","type":"STRUCT(a BIGINT, b VARCHAR)"},{"name":"pairs","type":"MAP(VARCHAR, VARCHAR)"},"#,
        r#"{"name":"nothing","type":"NULL"}],"#,
        r#""rows":[[1,9007199254740992,"9007199254740993","18446744073709551615",1.0,"nan",true,"1.50","7","#,
        r#""a\"\\\n\u0001é","1970-01-01","{'a': 1, 'b': 'x:y'}","{k=v w, l=NULL}",null]],"row_count":1}"#,
        "\n"
    );
    assert_eq!(line, expected);
    assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
}

#[test]
fn json_compact_answers_statements_without_a_result_set() {
    let empty = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let mut out = Vec::new();
    let mut writer = writer(Format::JsonCompact, Limits::default(), &mut out);
    writer.begin(&empty.schema()).unwrap();
    writer.end().unwrap();
    drop(writer);
    assert_eq!(out, b"{\"columns\":[],\"rows\":[],\"row_count\":0}\n");
}

#[test]
fn json_compact_prints_nothing_of_a_statement_that_failed_midway() {
    let batch = batch(vec![("n", integers((0..1_000_000).collect()))]);
    let mut out = Vec::new();
    let mut writer = writer(Format::JsonCompact, Limits::default(), &mut out);
    writer.begin(&batch.schema()).unwrap();
    writer.batch(&batch).unwrap();
    writer.abandon();
    writer.begin(&batch.schema()).unwrap();
    writer.batch(&batch.slice(5, 1)).unwrap();
    writer.end().unwrap();
    drop(writer);
    assert_eq!(out, b"{\"columns\":[{\"name\":\"n\",\"type\":\"BIGINT\"}],\"rows\":[[5]],\"row_count\":1}\n");
}

#[test]
fn json_compact_passes_answers_larger_than_it_keeps_in_memory() {
    let batch = batch(vec![("n", integers((0..1_000_000).collect()))]);
    let line = printed(Format::JsonCompact, &batch);
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["row_count"], 1_000_000);
    assert_eq!(value["rows"][999_999][0], 999_999);
}

#[test]
fn errors_are_one_line_with_code_and_message() {
    let error = Error::new(Code::UnknownColumn, "no column \"a\"").context("statement 2").hint("try b");
    let mut out = Vec::new();
    write_error(&mut out, &error).unwrap();
    let line = String::from_utf8(out).unwrap();
    let expected = concat!(
        r#"{"error":{"code":"UNKNOWN_COLUMN","message":"no column \"a\"; in statement 2\nhint: try b"}}"#,
        "\n"
    );
    assert_eq!(line, expected);
}

#[test]
fn json_nests_and_keeps_numbers_exact() {
    let text = printed(Format::Json, &mixed());
    let expected = concat!(
        r#"[{"small":1,"edge":9007199254740992,"large":9007199254740993,"unsigned":18446744073709551615,"#,
        r#""double":1.0,"nan":"nan","flag":true,"money":1.50,"sum":7,"text":"a\"\\\n\u0001é","day":"1970-01-01","#,
        r#""fields":{"a":1,"b":"x:y"},"pairs":{"k":"v w","l":null},"nothing":null}]"#,
        "\n"
    );
    assert_eq!(text, expected);
    let two = printed(Format::Json, &batch(vec![("n", integers(vec![1, 2]))]));
    assert_eq!(two, "[{\"n\":1},\n{\"n\":2}]\n");
    let none = printed(Format::Json, &batch(vec![("n", integers(vec![]))]));
    assert_eq!(none, "[]\n");
}

#[test]
fn markdown_aligns_numbers_and_escapes_bars() {
    let batch = batch(vec![("name", strings(&["a|b", "c\nd"])), ("n", integers(vec![1, 22]))]);
    assert_eq!(printed(Format::Markdown, &batch), "| name | n |\n| --- | --: |\n| a\\|b | 1 |\n| c\\nd | 22 |\n");
}

#[test]
fn the_table_aligns_by_screen_width() {
    let batch = batch(vec![("name", strings(&["日本", "é", "plain"])), ("n", integers(vec![1, 22, 333]))]);
    let expected = "\
┌─────────┬────────┐
│ name    │      n │
│ VARCHAR │ BIGINT │
├─────────┼────────┤
│ 日本    │      1 │
│ é       │     22 │
│ plain   │    333 │
└─────────┴────────┘
3 rows
";
    assert_eq!(printed(Format::Table, &batch), expected);
}

#[test]
fn the_table_shows_the_first_and_the_last_rows_whatever_the_batches() {
    let all = batch(vec![("n", integers((0..1000).collect()))]);
    let limits = Limits { rows: 5, width: None };
    let whole = printed_with(Format::Table, limits, std::slice::from_ref(&all));
    let rows: Vec<&str> = whole.lines().skip(4).map(|line| line.trim_matches(['│', ' '])).collect();
    assert_eq!(rows[..6], ["0", "1", "2", "…", "998", "999"]);
    assert!(whole.ends_with("1000 rows (5 shown)\n"), "{whole}");
    for size in [1, 2, 3, 7, 999] {
        let slices: Vec<_> = (0..1000).step_by(size).map(|at| all.slice(at, size.min(1000 - at))).collect();
        assert_eq!(printed_with(Format::Table, limits, &slices), whole, "batches of {size}");
    }
    let exact = printed_with(Format::Table, limits, &[all.slice(0, 5)]);
    assert!(!exact.contains('…') && exact.ends_with("5 rows\n"), "{exact}");
}

#[test]
fn the_table_leaves_out_middle_columns_on_a_narrow_screen() {
    let names: Vec<String> = (0..10).map(|index| format!("column_{index}")).collect();
    let columns = names.iter().map(|name| (name.as_str(), integers(vec![1]))).collect();
    let text = printed_with(Format::Table, Limits { rows: 40, width: Some(60) }, &[batch(columns)]);
    assert!(text.lines().all(|line| super::layout::width(line) <= 60), "{text}");
    assert!(text.contains("column_0") && text.contains("column_9") && !text.contains("column_5"), "{text}");
    assert!(text.ends_with("1 row, 10 columns (5 shown)\n"), "{text}");
}

#[test]
fn the_table_cuts_long_cells_only_on_a_screen() {
    let long = "x".repeat(200);
    let batch = batch(vec![("t", strings(&[&long]))]);
    assert!(printed(Format::Table, &batch).contains(&long));
    let cut = printed_with(Format::Table, Limits { rows: 40, width: Some(80) }, &[batch]);
    assert!(cut.contains("x…") && cut.lines().all(|line| super::layout::width(line) <= 80), "{cut}");
}

#[test]
fn format_names_are_known_and_others_are_refused() {
    for name in Format::NAMES {
        assert!(name.parse::<Format>().is_ok(), "{name}");
    }
    assert_eq!("xml".parse::<Format>().unwrap_err().code(), Code::InvalidSetting);
}

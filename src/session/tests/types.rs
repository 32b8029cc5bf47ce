//! Types that rest on samples: a value that no sample promised widens its column before any row is given out.

use arrow::datatypes::DataType;

use super::*;

/// Reads the file with a sample that misses the values which do not fit.
const LATE: &str = "read_csv('testdata/csv/late.csv', sample_size => 30)";

fn small() -> Session {
    Session::builder().threads(2).memory_limit("64MB").build().unwrap()
}

fn rows(stream: ResultStream) -> usize {
    stream.map(|batch| batch.unwrap().num_rows()).sum()
}

/// More bytes than may wait for their consumer.
fn long_answer(session: &Session, column: &str) -> DataFrame {
    session.sql(&format!("SELECT {column}, repeat('x', 5000) AS long FROM {LATE}")).unwrap()
}

#[test]
fn a_long_answer_is_planned_anew_before_its_first_row() {
    let session = small();
    let frame = long_answer(&session, "v");
    assert_eq!(frame.schema().field(0).data_type(), &DataType::Int64);
    let stream = frame.stream().unwrap();
    assert_eq!(stream.schema().field(0).data_type(), &DataType::Utf8View);
    assert_eq!(rows(stream), 2000);
    assert_eq!(long_answer(&session, "v").schema().field(0).data_type(), &DataType::Utf8View);
}

#[test]
fn a_long_answer_whose_types_hold_comes_as_it_was_planned() {
    let stream = long_answer(&small(), "n").stream().unwrap();
    assert_eq!(stream.schema().field(0).data_type(), &DataType::Int64);
    assert_eq!(rows(stream), 2000);
}

#[test]
fn a_frame_of_verbs_is_right_when_it_is_made_again() {
    let session = small();
    let frame = || {
        let options = ReadOptions::new().with("sample_size", 30);
        session.read_csv_with("testdata/csv/late.csv", options).unwrap().select([col("x")]).unwrap()
    };
    let error = frame().collect().unwrap_err();
    assert!(error.message().contains("'1700.5' is not a BIGINT"), "{error}");
    let again = frame();
    assert_eq!(again.schema().field(0).data_type(), &DataType::Float64);
    assert_eq!(rows(again.stream().unwrap()), 2000);
}

#[test]
fn explain_analyze_and_writing_plan_anew_too() {
    let session = small();
    let frame = session
        .sql(&format!("SELECT sum(length(d)) AS s, min(x) AS m FROM (SELECT CAST(d AS VARCHAR) AS d, x FROM {LATE})"))
        .unwrap();
    assert!(frame.explain_analyze().unwrap().contains("late.csv"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    session.sql(&format!("COPY (SELECT n, d, x FROM {}) TO '{}'", LATE.replace("30", "31"), path.display())).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("900,soon,900") && text.contains("1700,2020-01-21,1700.5"));
}

//! Types that Arrow does not have, through files.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::ArrowWriter;

use super::*;

/// The texts in the only row of a query's answer.
fn row(session: &Session, sql: &str) -> Vec<String> {
    let batches = session.sql(sql).and_then(|frame| frame.collect()).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let text = |column: &ArrayRef| cast(column, &DataType::Utf8View).unwrap().as_string_view().value(0).to_string();
    batches[0].columns().iter().map(text).collect()
}

#[test]
fn uuids_are_uuids_again_when_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let session = session();
    let make = "CREATE TABLE t AS SELECT md5(n::VARCHAR)::UUID AS i, [i, NULL] AS l, {'i': i} AS s, MAP {i: i} AS m \
                FROM range(1000) r(n)";
    session.sql(make).unwrap();
    let rows = "SELECT typeof(any_value(i)), typeof(any_value(l)), typeof(any_value(s)), typeof(any_value(m)), \
                string_agg(i || l::VARCHAR || s::VARCHAR || m::VARCHAR, ';' ORDER BY i) FROM";
    let kept = row(&session, &format!("{rows} t"));
    assert_eq!(kept[..4], ["UUID", "UUID[]", "STRUCT(i UUID)", "MAP(UUID, UUID)"]);
    for ending in ["parquet", "arrow", "arrows"] {
        let file = folder.path().join(format!("t.{ending}"));
        session.sql(&format!("COPY t TO '{}'", file.display())).unwrap();
        assert_eq!(row(&session, &format!("{rows} '{}'", file.display())), kept, "{ending}");
        let one = format!("SELECT i::VARCHAR FROM '{}' WHERE i = md5('17')::UUID", file.display());
        assert_eq!(row(&session, &one), row(&session, "SELECT md5('17')::UUID::VARCHAR"));
    }
    for ending in ["csv", "json"] {
        let file = folder.path().join(format!("t.{ending}"));
        session.sql(&format!("COPY t TO '{}'", file.display())).unwrap();
        let texts = "SELECT string_agg(i::VARCHAR, ';' ORDER BY i) FROM";
        assert_eq!(row(&session, &format!("{texts} '{}'", file.display())), row(&session, &format!("{texts} t")));
        session.sql(&format!("CREATE TABLE {ending} (i UUID)")).unwrap();
        session.sql(&format!("COPY (SELECT i FROM t) TO '{}'", file.display())).unwrap();
        session.sql(&format!("COPY {ending} FROM '{}'", file.display())).unwrap();
        assert_eq!(row(&session, &format!("{texts} {ending}")), row(&session, &format!("{texts} t")));
    }
    let file = folder.path().join("t.parquet");
    let schema =
        format!("SELECT duckdb_type, logical_type FROM parquet_schema('{}') WHERE name = 'i' LIMIT 1", file.display());
    assert_eq!(row(&session, &schema), ["UUID", "UUIDType()"]);
}

#[test]
fn sixteen_bytes_that_are_no_uuid_are_a_blob() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bytes.parquet");
    let bytes = FixedSizeBinaryArray::try_from_iter([b"0123456789abcdef", b"fedcba9876543210"].into_iter()).unwrap();
    let batch = RecordBatch::try_from_iter([("b", Arc::new(bytes) as ArrayRef)]).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let session = session();
    let file = path.display();
    assert_eq!(
        row(&session, &format!("SELECT min(b)::VARCHAR, typeof(min(b)) FROM '{file}'")),
        ["0123456789abcdef", "BLOB"]
    );
    let one = format!("SELECT b::VARCHAR FROM '{file}' WHERE b > '1'::BLOB");
    assert_eq!(row(&session, &one), ["fedcba9876543210"]);
}

#[test]
fn enums_are_texts_in_files() {
    let folder = tempfile::tempdir().unwrap();
    let session = session();
    session.sql("CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')").unwrap();
    let make = "CREATE TABLE t AS SELECT n, enum_range(NULL::mood)[n % 4 + 1]::mood AS m, [m] AS l, {'m': m} AS s \
                FROM range(1000) r(n)";
    session.sql(make).unwrap();
    let rows = "SELECT string_agg(n || coalesce(m::VARCHAR, '-') || l::VARCHAR || s::VARCHAR, ';' ORDER BY n) FROM";
    let kept = row(&session, &format!("{rows} t"));
    for ending in ["parquet", "arrow", "arrows", "json"] {
        let file = folder.path().join(format!("t.{ending}"));
        session.sql(&format!("COPY t TO '{}'", file.display())).unwrap();
        assert_eq!(row(&session, &format!("{rows} '{}'", file.display())), kept, "{ending}");
        session.sql(&format!("CREATE TABLE {ending} AS FROM t LIMIT 0")).unwrap();
        session.sql(&format!("COPY {ending} FROM '{}'", file.display())).unwrap();
        assert_eq!(row(&session, &format!("{rows} {ending}")), kept, "{ending}");
        let types = format!("SELECT typeof(any_value(l)) FROM {ending}");
        assert_eq!(row(&session, &types), ["ENUM('sad', 'ok', 'happy')[]"]);
    }
    let file = folder.path().join("t.csv");
    session.sql(&format!("COPY (SELECT n, m FROM t) TO '{}'", file.display())).unwrap();
    session.sql("CREATE TABLE csv (n BIGINT, m mood)").unwrap();
    session.sql(&format!("COPY csv FROM '{}'", file.display())).unwrap();
    let least = "SELECT string_agg(n || coalesce(m::VARCHAR, '-'), ';' ORDER BY n), max(m)::VARCHAR FROM";
    assert_eq!(row(&session, &format!("{least} csv")), row(&session, &format!("{least} t")));
    let parts = folder.path().join("parts");
    let copy = format!("COPY (SELECT n, m FROM t) TO '{}' (FORMAT parquet, PARTITION_BY (m))", parts.display());
    session.sql(&copy).unwrap();
    let texts = format!("SELECT count(*)::VARCHAR, max(m) FROM '{}/**/*.parquet'", parts.display());
    assert_eq!(row(&session, &texts), ["1000", "sad"]);
}

#[test]
fn keys_of_these_types_are_spilled() {
    let answers = |limit: &str| {
        let session = Session::builder().threads(2).memory_limit(limit).build().unwrap();
        session.sql("CREATE TYPE digit AS ENUM ('b', 'a', 'd', 'c')").unwrap();
        let make = "CREATE TABLE t AS SELECT n, md5((n % 150000)::VARCHAR)::UUID AS i, \
                    enum_range(NULL::digit)[n % 4 + 1]::digit AS e, {'number': n % 150000}::JSON AS j FROM range(300000) r(n)";
        session.sql(make).unwrap();
        [
            "SELECT count(*)::VARCHAR, max(e)::VARCHAR FROM (SELECT i, e, count(*) FROM t GROUP BY i, e)",
            "SELECT md5(string_agg(i::VARCHAR || e::VARCHAR, '')) FROM (SELECT i, e FROM t ORDER BY e, i LIMIT 100000)",
            "SELECT md5(string_agg(i::VARCHAR, '')) FROM (SELECT i FROM t ORDER BY e DESC, i, n OFFSET 299000)",
            "SELECT count(*)::VARCHAR FROM t a JOIN t b ON a.i = b.i AND a.e = b.e",
            "SELECT count(*)::VARCHAR, min(j)::VARCHAR, any_value(typeof(j)) FROM (SELECT j, count(*) FROM t GROUP BY j)",
            "SELECT md5(string_agg(j, '')), any_value(typeof(j)) FROM (SELECT j FROM t ORDER BY j, n LIMIT 100000)",
            "SELECT count(*)::VARCHAR, any_value(typeof(a.j)) FROM t a JOIN t b ON a.j = b.j AND a.n <> b.n",
            "SELECT sum(r)::VARCHAR FROM (SELECT row_number() OVER (PARTITION BY e ORDER BY i, n) % 97 AS r FROM t)",
        ]
        .map(|sql| row(&session, sql))
    };
    assert_eq!(answers("24MB"), answers("1GB"));
}

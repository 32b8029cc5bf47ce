//! COPY into folders of files, and from files into tables.

use std::fs;
use std::path::Path;

use arrow::array::{Array, AsArray};

use super::*;

/// Names of the files below `folder`, from there on, and of folders that begin with a dot.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let name = entry.path().strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            if entry.path().is_dir() && !name.starts_with('.') {
                folders.push(entry.path());
            } else {
                found.push(name);
            }
        }
    }
    found.sort_unstable();
    found
}

fn number(session: &Session, sql: &str) -> i64 {
    let batches = session.sql(sql).and_then(|frame| frame.collect()).unwrap_or_else(|error| panic!("{sql}: {error}"));
    batches[0].column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0)
}

fn refusal(session: &Session, sql: &str) -> Code {
    match session.sql(sql).and_then(|frame| frame.collect()) {
        Ok(_) => panic!("{sql} is not refused"),
        Err(error) => error.code(),
    }
}

#[test]
fn partitions_read_back_as_they_were() {
    for (threads, limit) in [(1, "60MB"), (4, "1GB")] {
        let folder = tempfile::tempdir().unwrap();
        let session = Session::builder().threads(threads).memory_limit(limit).build().unwrap();
        let make = "CREATE TABLE t AS SELECT i, CASE WHEN i % 1500 > 3 THEN 'k/' || (i % 1500) || '=%' \
                    WHEN i % 1500 = 3 THEN '' END AS k, i % 3 AS p FROM range(60000) r(i)";
        session.sql(make).unwrap();
        let to = folder.path().join("out");
        let copy = format!("COPY t TO '{}' (FORMAT parquet, PARTITION_BY (p, k))", to.display());
        assert_eq!(number(&session, &copy), 60_000);
        let read = format!("'{}/*/*/*.parquet'", to.display());
        let same = format!(
            "SELECT count(*) FROM (SELECT i, k, p FROM t EXCEPT ALL SELECT i, k, p FROM {read}) UNION ALL \
             SELECT count(*) FROM {read}"
        );
        let counts = session.sql(&same).unwrap().collect().unwrap();
        let counts: Vec<i64> = counts
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec())
            .collect();
        assert_eq!(counts.iter().sum::<i64>(), 60_000, "{counts:?}");
        assert_eq!(files(folder.path()).len(), files(&to).len(), "nothing lies beside the folder");
        assert!(files(&to).contains(&"p=0/k=/data_0.parquet".to_string()));
    }
}

#[test]
fn what_is_there_is_refused_replaced_or_added_to() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::new().unwrap();
    let to = folder.path().join("out");
    let copy = |rows: &str, options: &str| {
        format!("COPY ({rows}) TO '{}' (FORMAT csv, PARTITION_BY (k){options})", to.display())
    };
    let count = || number(&session, &format!("SELECT count(*) FROM '{}/*/*.csv'", to.display()));
    let (two, one) = ("SELECT i AS n, i AS k FROM range(2) r(i)", "SELECT 7 AS n, 1 AS k");
    assert_eq!(number(&session, &copy(two, "")), 2);
    assert_eq!(refusal(&session, &copy(one, "")), Code::AlreadyExists);
    assert_eq!(number(&session, &copy(one, ", APPEND")), 1);
    assert_eq!(count(), 3);
    assert_eq!(number(&session, &copy(one, ", OVERWRITE_OR_IGNORE")), 1);
    assert_eq!(count(), 3);
    // A failure in the midst leaves all of it as it was.
    let before = files(folder.path());
    let bad =
        "SELECT CAST(CASE WHEN i = 90000 THEN 'x' ELSE '1' END AS INTEGER) AS n, i % 50 AS k FROM range(100000) r(i)";
    for options in ["", ", OVERWRITE", ", OVERWRITE_OR_IGNORE", ", APPEND"] {
        refusal(&session, &copy(bad, options));
        assert_eq!(files(folder.path()), before, "{options}");
    }
    let itself = format!("SELECT n, k + 1 AS k FROM '{}/*/*.csv'", to.display());
    assert_eq!(refusal(&session, &copy(&itself, ", OVERWRITE")), Code::InvalidQuery);
    assert_eq!(files(folder.path()), before);
    assert_eq!(number(&session, &copy(one, ", OVERWRITE")), 1);
    assert_eq!(files(folder.path()), ["out/k=1/data_0.csv"]);
}

#[test]
fn files_have_the_size_and_the_names_that_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::builder().threads(2).build().unwrap();
    let to = folder.path().join("sized");
    let copy = format!(
        "COPY (SELECT i, i * 7919 % 100003 AS r FROM range(200000) r(i)) TO '{}' \
         (FORMAT csv, FILE_SIZE_BYTES '300kB', FILENAME_PATTERN 'rows_{{i}}', RETURN_FILES)",
        to.display()
    );
    let answer = session.sql(&copy).unwrap().collect().unwrap();
    let names = files(&to);
    assert!(
        names.len() > 4 && names.iter().all(|name| name.starts_with("rows_") && name.ends_with(".csv")),
        "{names:?}"
    );
    let listed = answer[0].column(1).as_list::<i32>().value(0);
    assert_eq!(listed.len(), names.len());
    for name in &names {
        assert!(fs::metadata(to.join(name)).unwrap().len() < 1_000_000);
    }
    assert_eq!(number(&session, &format!("SELECT sum(i)::BIGINT FROM '{}/*.csv'", to.display())), 19_999_900_000);
    // Nothing to write is a file of names.
    let empty = folder.path().join("empty");
    let none = format!("COPY (SELECT 1 AS a WHERE false) TO '{}' (FORMAT csv, PER_THREAD_OUTPUT)", empty.display());
    assert_eq!(number(&session, &none), 0);
    assert_eq!(fs::read_to_string(empty.join("data_0.csv")).unwrap(), "a\n");
}

#[test]
fn copy_from_takes_the_types_of_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::new().unwrap();
    let path = folder.path().join("rows.csv");
    fs::write(&path, "a|b\n1|007\n2|x\n").unwrap();
    session.sql("CREATE TABLE t (a INTEGER, b VARCHAR)").unwrap();
    let copy = format!("COPY t FROM '{}' (DELIMITER '|', HEADER)", path.display());
    session.sql(&copy).unwrap().collect().unwrap();
    assert_eq!(number(&session, "SELECT count(*) FROM t WHERE b = '007' AND a = 1"), 1);
    fs::write(&path, "5\n6\n").unwrap();
    session.sql(&format!("COPY t (a) FROM '{}' (HEADER false)", path.display())).unwrap().collect().unwrap();
    assert_eq!(number(&session, "SELECT count(*) FROM t WHERE b IS NULL"), 2);
    assert_eq!(refusal(&session, &format!("COPY t FROM '{}' (NONSENSE 1)", path.display())), Code::UnknownSetting);
}

#[test]
fn csv_is_written_as_its_options_say() {
    let folder = tempfile::tempdir().unwrap();
    let session = session();
    let path = folder.path().join("x.csv");
    let rows = "(SELECT DATE '2020-01-02' AS d, TIMESTAMP '2020-01-02 03:04:05' AS ts, 'a,b' AS s, NULL AS n)";
    let written = |options: &str| {
        session.sql(&format!("COPY {rows} TO '{}' {options}", path.display())).unwrap().collect().unwrap();
        std::fs::read_to_string(&path).unwrap()
    };
    assert_eq!(written("(DATEFORMAT '%d/%m/%Y', TIMESTAMPFORMAT '%H:%M')"), "d,ts,s,n\n02/01/2020,03:04,\"a,b\",\n");
    assert_eq!(written("(DELIM '||')"), "d||ts||s||n\n2020-01-02||2020-01-02 03:04:05||a,b||\n");
    assert_eq!(written("(QUOTE '')"), "d,ts,s,n\n2020-01-02,2020-01-02 03:04:05,a,b,\n");
    assert_eq!(
        written("(FORCE_QUOTE *)"),
        "\"d\",\"ts\",\"s\",\"n\"\n\"2020-01-02\",\"2020-01-02 03:04:05\",\"a,b\",\n"
    );
    assert_eq!(
        written("(FORMAT json, DATEFORMAT '%d')"),
        "{\"d\":\"02\",\"ts\":\"2020-01-02 03:04:05\",\"s\":\"a,b\",\"n\":null}\n"
    );
}

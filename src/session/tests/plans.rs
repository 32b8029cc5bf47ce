//! Printed plans: `plans/*.txt` have statements over the test data, each with what EXPLAIN says of it: the logical plan
//! with its estimates, and the pipelines. `FLOE_WRITE_PLANS=1` writes down what it says now.

use std::fs;
use std::path::Path;

use arrow::array::AsArray;

use super::session;
use crate::session::Session;

/// What a statement answers, line by line.
fn lines(session: &Session, sql: &str) -> Vec<String> {
    let batches = session.sql(sql).and_then(|frame| frame.collect());
    let batches = batches.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let text = |batch: &arrow::record_batch::RecordBatch| {
        let column = batch.column(0).as_string::<i32>().clone();
        column.iter().map(|line| line.unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(text).collect()
}

/// The statements of a file, each of them with the plan behind it.
fn cases(text: &str) -> Vec<(String, String)> {
    let cases = text.split("-- ").map(str::trim).filter(|case| !case.is_empty());
    cases.map(|case| case.split_once(";\n").unwrap_or((case.trim_end_matches(';'), ""))).map(owned).collect()
}

fn owned((sql, plan): (&str, &str)) -> (String, String) {
    (sql.trim().to_owned(), plan.trim_end().to_owned())
}

fn check(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let (mut written, mut differing) = (String::new(), String::new());
    for (sql, expected) in cases(&text) {
        let plan = lines(&session(), &format!("EXPLAIN {sql}")).join("\n");
        written += &format!("-- {sql};\n{}\n\n", plan.trim_end());
        if plan.trim_end() != expected {
            differing += &format!("{}: {sql}\n{}\n\n", path.display(), plan.trim_end());
        }
    }
    if std::env::var_os("FLOE_WRITE_PLANS").is_some() {
        fs::write(path, written.trim_end().to_owned() + "\n").unwrap();
        return String::new();
    }
    differing
}

#[test]
fn plans_are_those_that_are_written_down() {
    let folder = fs::read_dir("src/session/tests/plans").unwrap();
    let mut paths: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 5);
    let differing: String = paths.iter().map(|path| check(path)).collect();
    assert!(differing.is_empty(), "plans that differ now:\n\n{differing}");
}

/// A line of EXPLAIN ANALYZE that starts with `what`: what is in its brackets, part by part.
fn usage(lines: &[String], what: &str) -> Vec<String> {
    let line = lines.iter().find(|line| line.trim_start().starts_with(what));
    let line = line.unwrap_or_else(|| panic!("no {what} in\n{}", lines.join("\n")));
    let (_, inside) = line.rsplit_once('[').unwrap();
    inside.trim_end_matches(']').split(", ").map(str::to_owned).collect()
}

/// Whether some part is a number of bytes behind `what`.
fn has_bytes(usage: &[String], what: &str) -> bool {
    usage.iter().filter_map(|part| part.strip_prefix(what)).any(|bytes| bytes.ends_with('B'))
}

#[test]
fn what_operators_did_is_all_there_and_rows_are_exact() {
    let flights = "'testdata/flights/parquet/**/*.parquet'";
    let sql = format!(
        "EXPLAIN ANALYZE SELECT a.name, f.origin, count(*) AS n FROM {flights} AS f JOIN 'testdata/airlines.csv' AS a \
         ON f.carrier = a.carrier WHERE f.distance > 4000 GROUP BY a.name, f.origin ORDER BY n DESC"
    );
    let lines = lines(&session(), &sql);
    assert!(lines[0].starts_with("total ") && lines[0].contains(" ms, of it planning "), "{}", lines[0]);
    // The 47 flights all go to Honolulu.
    let (scan, result) = (usage(&lines, "Scan: parquet"), usage(&lines, "Result"));
    assert!(scan[0].ends_with(" rows") && scan[1].ends_with(" ms") && has_bytes(&scan, "read "), "{scan:?}");
    assert!(scan.iter().any(|part| part.ends_with(" rows ruled out before the other columns")), "{scan:?}");
    assert!(lines.iter().any(|line| line.contains(" of 21954 rows")), "row groups ruled out: {lines:?}");
    assert_eq!(usage(&lines, "Scan: csv")[0], "16 rows");
    assert_eq!(usage(&lines, "Filter")[1], "47 out");
    assert_eq!(usage(&lines, "HashJoin:")[..2], ["47 rows in", "47 out"]);
    assert_eq!(usage(&lines, "Sort")[0], "2 rows in");
    assert_eq!(result[0], "2 rows in");
    assert!(has_bytes(&usage(&lines, "HashAggregate"), "peak "), "{lines:?}");
    for node in ["HashJoinBuild", "HashJoin:", "HashAggregate", "Sort", "Result"] {
        assert!(usage(&lines, node).iter().any(|part| part.ends_with(" ms")), "{lines:?}");
    }
}

#[test]
fn what_an_operator_spilled_is_told() {
    let session = Session::builder().threads(1).memory_limit("40MB").build().unwrap();
    let sql =
        "EXPLAIN ANALYZE SELECT count(*) FROM (SELECT n, md5(n::VARCHAR) AS t FROM range(600000) AS r(n) ORDER BY t)";
    let lines = lines(&session, sql);
    let sort = usage(&lines, "Sort");
    assert_eq!(sort[0], "600000 rows in");
    assert!(has_bytes(&sort, "spilled "), "{lines:?}");
}

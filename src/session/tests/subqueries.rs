//! Printed plans of subqueries, before the optimizer takes them over: `subqueries.txt` has them over `t(k, x)` and
//! `u(k, v)`, each behind a line with its statement.

use super::session;
use crate::plan::unnest;

#[test]
fn subqueries_become_the_joins_that_are_written_down() {
    let session = session();
    for table in ["CREATE TABLE t(k INTEGER, x INTEGER)", "CREATE TABLE u(k INTEGER, v INTEGER)"] {
        session.sql(table).unwrap();
    }
    let mut differing = String::new();
    for case in include_str!("subqueries.txt").split("\n\n").filter(|case| !case.trim().is_empty()) {
        let (sql, expected) = case.trim().split_once('\n').unwrap_or((case.trim(), ""));
        let frame = session.sql(sql.trim_start_matches("-- ")).unwrap();
        let plan = unnest(frame.plan().clone()).unwrap().display_indent().to_string();
        if plan.trim_end() != expected.trim_end() {
            differing += &format!("{sql}\n{}\n\n", plan.trim_end());
        }
    }
    assert!(differing.is_empty(), "plans that differ now:\n\n{differing}");
}

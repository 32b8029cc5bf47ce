//! UPDATE and DELETE against a list that is changed row by row.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use crate::error::Code;
use crate::session::catalog::Entry;
use crate::session::names::Name;
use crate::session::prelude::*;

/// Numbers that look random, the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % limit
    }
}

fn table(session: &Session) -> Vec<(i64, i64)> {
    let mut rows = Vec::new();
    for batch in session.sql("SELECT k, x FROM t").unwrap().collect().unwrap() {
        let column = |index: usize| batch.column(index).as_primitive::<Int64Type>().values().to_vec();
        rows.extend(column(0).into_iter().zip(column(1)));
    }
    rows
}

fn count(session: &Session, sql: &str) -> usize {
    let batches = session.sql(sql).unwrap().collect().unwrap();
    usize::try_from(batches[0].column(0).as_primitive::<Int64Type>().value(0)).unwrap()
}

#[test]
fn changes_are_those_of_a_list() {
    for (seed, batch_size) in [(1, "5"), (2, "64"), (3, "8192")] {
        let session = Session::builder().threads(2).set("batch_size", batch_size).build().unwrap();
        let mut numbers = Numbers(seed);
        session.sql("CREATE TABLE t AS SELECT range AS k, range * 7 % 31 AS x FROM range(300)").unwrap();
        let mut list: Vec<(i64, i64)> = (0..300).map(|k| (k, k * 7 % 31)).collect();
        for step in 0..60 {
            let (low, length, modulus) = (numbers.below(320), numbers.below(60), 1 + numbers.below(5));
            let is_met = |row: &(i64, i64)| row.0 >= low && row.0 < low + length && row.1 % modulus == 0;
            let condition = format!("k >= {low} AND k < {} AND x % {modulus} = 0", low + length);
            let met = list.iter().filter(|row| is_met(row)).count();
            match step % 4 {
                0 => {
                    assert_eq!(count(&session, &format!("UPDATE t SET x = x + k WHERE {condition}")), met);
                    list.iter_mut().filter(|row| is_met(row)).for_each(|row| row.1 += row.0);
                }
                1 => {
                    assert_eq!(count(&session, &format!("DELETE FROM t WHERE {condition}")), met);
                    list.retain(|row| !is_met(row));
                }
                2 => {
                    let sql = format!(
                        "UPDATE t SET x = u.y FROM (SELECT k AS z, x + 1 AS y FROM t WHERE {condition}) AS u WHERE k = u.z"
                    );
                    assert_eq!(count(&session, &sql), met);
                    list.iter_mut().filter(|row| is_met(row)).for_each(|row| row.1 += 1);
                }
                _ => {
                    let sql = format!("INSERT INTO t SELECT k + 1, x FROM t WHERE {condition}");
                    assert_eq!(count(&session, &sql), met);
                    let more: Vec<(i64, i64)> =
                        list.iter().filter(|row| is_met(row)).map(|row| (row.0 + 1, row.1)).collect();
                    list.extend(more);
                }
            }
            // Keys that come twice would be met twice by the UPDATE of another table.
            session.sql("CREATE OR REPLACE TABLE t AS SELECT DISTINCT ON (k) k, x FROM t ORDER BY k, x").unwrap();
            list.sort_unstable();
            list.dedup_by_key(|row| row.0);
            assert_eq!(table(&session), list, "seed {seed}, step {step}");
        }
    }
}

#[test]
fn parameters_are_values() {
    let session = Session::new().unwrap();
    session.sql("CREATE TABLE t (k BIGINT, x BIGINT)").unwrap();
    assert_eq!(count(&session, "SELECT count(*) FROM t"), 0);
    let frame = session.sql_with("INSERT INTO t VALUES ($2, $1), (?, NULL)", &[lit(1_i64), lit(2_i64)]).unwrap();
    assert_eq!(frame.schema().field(0).name(), "Count");
    assert_eq!(count(&session, "SELECT count(*) FROM t WHERE k = 2 AND x = 1"), 1);
    assert_eq!(session.sql_with("SELECT ?", &[]).unwrap_err().code(), Code::InvalidQuery);
    assert_eq!(session.sql_with("SELECT 1", &[lit(1)]).unwrap_err().code(), Code::InvalidQuery);
    assert_eq!(session.sql_with("SELECT ?", &[col("k")]).unwrap_err().code(), Code::NotSupported);
    let text = session.sql_with("SELECT '?' || ? || $1 AS t, \"k\" FROM t", &[lit("it's ?")]).unwrap();
    assert_eq!(text.collect().unwrap()[0].column(0).as_string_view().value(0), "?it's ?it's ?");
}

/// A statement that was planned before an ALTER must not change what nobody sees any more.
#[test]
fn what_waits_while_the_table_is_altered_is_refused() {
    let session = Session::builder().build().unwrap();
    session.sql("CREATE TABLE t AS SELECT 1 AS k").unwrap();
    let Some(Entry::Table(planned)) = session.engine().catalog.get(&Name::plain("t")) else { panic!("no table") };
    session.sql("ALTER TABLE t ADD COLUMN x INTEGER").unwrap();
    assert_eq!(planned.append(&planned.rows()).unwrap_err().code(), Code::InvalidQuery);
    assert!(planned.changing().is_err());
    session.sql("INSERT INTO t VALUES (2, 3)").unwrap();
    assert_eq!(count(&session, "SELECT count(*) FROM t"), 2);
}

//! Statements and frames that run: rows in, rows out.

use std::fs;

use super::{code, session};
use crate::session::format::{Format, Limits, writer};
use crate::session::prelude::*;

/// The rows of a frame as CSV lines without the header.
fn rows(frame: &DataFrame) -> Vec<String> {
    let mut out = Vec::new();
    let mut csv = writer(Format::Csv, Limits::default(), &mut out);
    csv.begin(&frame.schema()).unwrap();
    for batch in frame.stream().unwrap() {
        csv.batch(&batch.unwrap()).unwrap();
    }
    csv.end().unwrap();
    drop(csv);
    String::from_utf8(out).unwrap().lines().skip(1).map(str::to_string).collect()
}

fn query(session: &Session, sql: &str) -> Vec<String> {
    match session.sql(sql) {
        Ok(frame) => rows(&frame),
        Err(error) => panic!("{sql}: {error}"),
    }
}

/// Runs a statement that answers nothing but how many rows it changed.
fn done(session: &Session, sql: &str) {
    let frame = session.sql(sql).unwrap();
    let names: Vec<String> = frame.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert!(names.is_empty() || names == ["Count"], "{sql}");
}

/// What running gives, as an error.
fn failure(session: &Session, sql: &str) -> Error {
    match session.sql(sql).and_then(|frame| frame.collect()) {
        Ok(batches) => panic!("{sql} gave {batches:?}"),
        Err(error) => error,
    }
}

#[test]
fn tables_are_made_filled_and_read() {
    let session = session();
    done(&session, "create table T as select * from (values (1, 'a'), (2, 'b')) v(Id, Name)");
    done(&session, "insert into t values (3, 'c'), (4, null)");
    done(&session, "insert into T (NAME) values ('x')");
    done(&session, "insert into t select id + 10, upper(name) from t where id < 3");
    let expected = ["1,a", "2,b", "3,c", "4,", "11,A", "12,B", ",x"];
    assert_eq!(query(&session, "select * from t order by id"), expected);
    assert_eq!(query(&session, "select count(*), count(id) from t"), ["7,6"]);
    assert_eq!(query(&session, "show tables"), ["T"]);
    done(&session, "drop table t");
    assert_eq!(code(session.sql("from t")), Code::UnknownTable);
}

#[test]
fn a_statement_that_fails_adds_no_rows() {
    let session = session();
    done(&session, "create table t (a int not null, b smallint)");
    done(&session, "insert into t values (1, 1)");
    assert_eq!(code(session.sql("insert into t values (2, 2), (null, 3)")), Code::InvalidData);
    let overflow = code(session.sql("insert into t values (2, 2), (3, 70000)"));
    assert!(matches!(overflow, Code::InvalidCast | Code::Overflow), "{overflow:?}");
    assert_eq!(query(&session, "from t"), ["1,1"]);
    assert_eq!(code(session.sql("create table u as select 1 // 0")), Code::DivisionByZero);
    assert_eq!(code(session.sql("from u")), Code::UnknownTable);
}

#[test]
fn a_frame_sees_the_table_as_it_was_planned() {
    let session = session();
    done(&session, "create table t as select 1 as x");
    let before = session.sql("from t").unwrap();
    done(&session, "insert into t values (2)");
    done(&session, "create or replace view v as select x + 1 as y from t");
    assert_eq!(rows(&before), ["1"]);
    assert_eq!(query(&session, "from v order by y"), ["2", "3"]);
    done(&session, "create or replace table t as select 7 as x");
    assert_eq!(query(&session, "from v"), ["8"]);
}

#[test]
fn names_of_a_file_match_without_regard_to_case() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.csv");
    fs::write(&path, "UserId,Name\n2,b\n1,a\n2,c\n").unwrap();
    let session = session();
    let sql = format!(
        "select userid, USERID as Foo, count(*) as N from '{}' where users.NAME <> 'c' group by uSeRiD order by foo",
        path.display()
    );
    let frame = session.sql(&sql).unwrap();
    let names: Vec<_> = frame.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["UserId", "Foo", "N"]);
    assert_eq!(rows(&frame), ["1,1,1", "2,2,1"]);
    assert_eq!(frame.collect().unwrap()[0].schema().field(0).name(), "UserId");
    let described = query(&session, &format!("select column_name, column_type from (describe '{}')", path.display()));
    assert_eq!(described, ["UserId,BIGINT", "Name,VARCHAR"]);
}

#[test]
fn the_fluent_chain_gives_what_sql_gives() {
    let folder = tempfile::tempdir().unwrap();
    for (month, lines) in [("01", "K,v,x\na,1,1\nb,2,0\n"), ("02", "K,v,x\na,3,5\nb,8,9\n")] {
        fs::write(folder.path().join(format!("2013-{month}.csv")), lines).unwrap();
    }
    let glob = folder.path().join("2013-*.csv");
    let session = session();
    let frame = session.read_csv(&glob).unwrap();
    let fluent = frame
        .filter(col("X").gt(lit(0)))
        .and_then(|frame| frame.group_by([col("k")]))
        .and_then(|grouped| grouped.agg([avg(col("v")).alias("Mean"), (max(col("v")) - min(col("v"))).alias("spread")]))
        .and_then(|frame| frame.sort([col("k").sort(true, false)]))
        .unwrap();
    assert_eq!(rows(&fluent), ["a,2.0,2", "b,8.0,0"]);
    session.register("months", &frame).unwrap();
    let sql = "select k, avg(v) as Mean, max(v) - min(v) as spread from months where x > 0 group by k order by k";
    assert_eq!(query(&session, sql), rows(&fluent));
    assert_eq!(frame.count().unwrap(), 4);
    assert_eq!(rows(&frame.select(["v"]).unwrap().distinct().unwrap().limit(0, Some(9)).unwrap()).len(), 4);
    assert_eq!(frame.union(&frame).unwrap().count().unwrap(), 8);
    let options = ReadOptions::new().with("header", false).with("delim", ";");
    assert_eq!(session.read_csv_with(&glob, options).unwrap().schema().fields().len(), 1);
}

#[test]
fn what_is_written_reads_back_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let session = session();
    let frame = session.sql("select * from (values (1, 'a', 1.5), (2, null, 2.5)) v(Id, Name, x)").unwrap();
    let path = |name: &str| folder.path().join(name);
    assert_eq!(frame.write_csv(path("t.csv")).unwrap(), 2);
    assert_eq!(frame.write_parquet(path("t.parquet")).unwrap(), 2);
    assert_eq!(frame.write_json(path("t.jsonl")).unwrap(), 2);
    for read in [
        session.read_csv(path("t.csv")).unwrap(),
        session.read_parquet(path("t.parquet")).unwrap(),
        session.read_json(path("t.jsonl")).unwrap(),
    ] {
        assert_eq!(rows(&read), rows(&frame));
        assert_eq!(read.schema().field(1).name(), "Name");
    }
    let broken = session.sql("select 1 // (column1 - 1) from (values (2), (1)) v").unwrap();
    assert!(broken.write_csv(path("broken.csv")).is_err());
    assert!(!path("broken.csv").exists());
}

#[test]
fn all_workers_write_one_parquet_file_in_the_order_of_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let session = session();
    session.sql("set threads = 3").unwrap();
    let path = folder.path().join("t.parquet");
    let rows =
        "select i * 7919 % 300007 as k, 'row ' || i as t, [i, null] as l from generate_series(1, 300000) as s(i)";
    let copy = |query: &str| session.sql(&format!("copy ({query}) to '{}' (row_group_size 70000)", path.display()));
    for order in ["", "order by k"] {
        let query_text = format!("{rows} {order}");
        copy(&query_text).unwrap();
        let read = query(&session, &format!("select k, t, l from '{}'", path.display()));
        assert!(read == query(&session, &query_text), "{order}");
    }
    assert!(copy("select 1 // (i - 299999) from generate_series(1, 300000) as s(i)").is_err());
    assert_eq!(query(&session, &format!("select count(*) from '{}'", path.display())), ["300000"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn integers_never_wrap_around_not_even_in_constants() {
    let session = session();
    for sql in [
        "select 9223372036854775807 + 1",
        "select x + 1 from (select 9223372036854775807 as x)",
        "select -9223372036854775807 - 2",
        "select 3037000500 * 3037000500",
    ] {
        assert_eq!(failure(&session, sql).code(), Code::Overflow, "{sql}");
    }
    assert_eq!(query(&session, "select 9223372036854775806 + 1"), ["9223372036854775807"]);
}

#[test]
fn answers_of_the_session_are_rows() {
    let session = session();
    assert_eq!(query(&session, "set batch_size = 7; "), Vec::<String>::new());
    assert_eq!(query(&session, "show BATCH_SIZE"), ["batch_size,7"]);
    assert!(query(&session, "show all").iter().any(|row| row.starts_with("threads,2,")));
    let plan = query(&session, "explain select 1 as x");
    assert!(plan.len() > 2 && plan[0].contains("logical plan"), "{plan:?}");
    done(&session, "create table t (x int)");
    assert!(query(&session, "explain insert into t select 1").len() > 2);
    assert!(query(&session, "from t").is_empty());
    assert_eq!(
        query(&session, "select column_name, column_type from (describe select 1::int as a, 'x' as b)"),
        ["a,INTEGER", "b,VARCHAR"]
    );
}

#[test]
fn subqueries_in_from_views_and_ctes_run() {
    let session = session();
    done(&session, "create table t as select * from (values (1, 'a'), (2, 'b'), (3, 'a')) v(n, k)");
    done(&session, "create view sums(key, total) as select k, sum(n) from t group by k");
    let sql =
        "with big as (select * from SUMS where Total > 2) select upper(KEY) as K, total from big order by total desc";
    assert_eq!(query(&session, sql), ["A,4"]);
    assert_eq!(query(&session, "select * from (from t where n > 1 limit 9) x order by all desc"), ["3,a", "2,b"]);
    assert_eq!(query(&session, "select distinct K from t order by 1"), ["a", "b"]);
    assert_eq!(query(&session, "select n from t union all select 9 order by n desc limit 2 offset 1"), ["3", "2"]);
    assert_eq!(query(&session, "select n from t where false union select n from t where n = 1"), ["1"]);
}

#[test]
fn sessions_run_several_queries_at_once() {
    let session = session();
    done(&session, "create table t as select * from (values (1), (2), (3)) v(n)");
    std::thread::scope(|scope| {
        let sums: Vec<_> = (0..4)
            .map(|extra| {
                let session = session.clone();
                scope.spawn(move || query(&session, &format!("select sum(n) + {extra} from t")))
            })
            .collect();
        for (extra, sum) in sums.into_iter().enumerate() {
            assert_eq!(sum.join().unwrap(), [(6 + extra).to_string()]);
        }
    });
}

#[test]
fn a_dropped_stream_and_a_cancelled_one_leave_the_session_usable() {
    let session = session();
    done(&session, "create table t as select * from (values (1), (2), (3)) v(n)");
    drop(session.sql("select * from t").unwrap().stream().unwrap());
    let mut stream = session.sql("select * from t").unwrap().stream().unwrap();
    stream.cancel_token().cancel();
    let _ = stream.by_ref().collect::<Vec<_>>();
    drop(stream);
    assert_eq!(query(&session, "select sum(n) from t"), ["6"]);
}

#[test]
fn explain_analyze_counts_the_rows_of_every_operator() {
    let session = session();
    done(&session, "create table t as select * from (values (1), (2), (3), (4)) v(n)");
    let text = session.sql("select n % 2 as k, count(*) from t where n > 1 group by k order by k").unwrap();
    let text = text.explain_analyze().unwrap();
    assert!(text.starts_with("total "), "{text}");
    let line = |what: &str| text.lines().find(|line| line.trim_start().starts_with(what)).unwrap_or_default();
    assert!(line("Scan").contains("[4 rows, "), "{text}");
    assert!(line("Filter").contains("[4 rows in, 3 out, "), "{text}");
    assert!(line("HashAggregate").contains("[3 rows in, "), "{text}");
    assert!(line("HashAggregate").contains(", peak "), "{text}");
    assert!(line("Sort").contains("[2 rows in, "), "{text}");
    assert!(line("Result").contains("[2 rows in, "), "{text}");
    // By SQL, too; and what is analysed is not kept from failing.
    assert!(query(&session, "explain analyze select 1").iter().any(|line| line.contains("Result")));
    assert!(session.sql("explain analyze select 1 % (n - n) from t").is_err());
}

#[test]
fn explain_has_a_line_for_each_node_whatever_constants_hold() {
    let lines = query(&session(), "explain select 'a\nb' as x, i from range(2) r(i)");
    assert!(lines.iter().all(|line| !line.starts_with('b')), "{lines:?}");
}

#[test]
fn a_query_says_how_far_it_is_and_never_goes_back() {
    let session = Session::builder().threads(2).build().unwrap();
    assert_eq!(session.progress(), None);
    session.sql("CREATE TABLE t AS SELECT i, i % 1000 AS k FROM range(200000) r(i)").unwrap();
    let query = "SELECT t.k, count(*), sum(u.i) FROM t JOIN t AS u ON t.i = u.k GROUP BY t.k ORDER BY 3 DESC, 1";
    let mut stream = session.sql(query).unwrap().stream().unwrap();
    let handle = stream.progress_handle();
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut seen = vec![handle.progress()];
            while seen.last().is_some_and(|last| last.fraction < 1.0) {
                std::thread::yield_now();
                seen.push(handle.progress());
            }
            seen
        });
        assert_eq!(stream.by_ref().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 1000);
        let seen = looking.join().unwrap();
        assert!(seen.is_sorted_by(|a, b| a.fraction <= b.fraction && a.rows <= b.rows && a.elapsed <= b.elapsed));
        assert!(seen.iter().all(|progress| (0.0..=1.0).contains(&progress.fraction)));
        assert_eq!(seen.last().map(|last| (last.fraction, last.rows)), Some((1.0, 400_000)));
    });
    assert_eq!(session.progress(), None, "it has ended");
    // Of rows that a LIMIT leaves out nobody waits for the rest.
    let mut stream = session.sql("FROM t LIMIT 3").unwrap().stream().unwrap();
    let handle = stream.progress_handle();
    assert!(stream.all(|batch| batch.is_ok()));
    assert_eq!(handle.progress().fraction, 1.0);
}

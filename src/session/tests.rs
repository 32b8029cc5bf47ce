//! Sessions: statements other than queries, scripts, frames.

mod changes;
mod folders;
mod logical;
mod plans;
mod running;
mod subqueries;
mod types;

use super::*;
use crate::session::prelude::*;

fn session() -> Session {
    Session::builder().threads(2).build().unwrap()
}

fn fields(frame: &DataFrame) -> Vec<String> {
    frame.schema().fields().iter().map(|field| field.name().clone()).collect()
}

fn code(result: Result<DataFrame>) -> Code {
    match result {
        Ok(frame) => panic!("no error but {frame:?}"),
        Err(error) => error.code(),
    }
}

#[test]
fn sessions_and_frames_may_cross_threads() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Session>();
    shared::<DataFrame>();
    shared::<GroupedFrame>();
    sent::<ResultStream>();
}

#[test]
fn the_chain_of_the_manual_compiles() {
    fn chain(session: &Session) -> Result<DataFrame> {
        session.read_csv("2013-*.csv")?.filter(col("x").gt(lit(0)))?.group_by([col("k")])?.agg([avg(col("v"))])
    }
    assert!(chain(&session()).is_err());
}

#[test]
fn views_are_planned_where_they_are_named() {
    let session = session();
    session.sql("create view V as select 1 as One, 2 as Two").unwrap();
    assert_eq!(fields(&session.sql("select TWO, v.one from v").unwrap()), ["Two", "One"]);
    session.sql("create or replace view v(a, B) as select 'x', one from (select 3 as one)").unwrap();
    assert_eq!(fields(&session.sql("from V").unwrap()), ["a", "B"]);
    assert_eq!(code(session.sql("create view v as select 1")), Code::AlreadyExists);
    session.sql("create view if not exists v as select 1 as z").unwrap();
    assert_eq!(fields(&session.sql("from v").unwrap()), ["a", "B"]);
    assert_eq!(code(session.sql("create or replace view w(a, b, c) as select 1, 2")), Code::InvalidQuery);
    session.sql("create view w(a) as select 1, 2 as two").unwrap();
    assert_eq!(fields(&session.sql("from w").unwrap()), ["a", "two"]);
    assert_eq!(code(session.sql("create view bad as select nothing")), Code::UnknownColumn);
}

#[test]
fn a_view_cannot_read_itself() {
    let session = session();
    session.sql("create view a as select 1 as x").unwrap();
    session.sql("create view b as select * from a").unwrap();
    assert_eq!(code(session.sql("create or replace view a as select * from b")), Code::InvalidQuery);
    assert_eq!(code(session.sql("create or replace view a as select * from a")), Code::InvalidQuery);
    assert_eq!(fields(&session.sql("from b").unwrap()), ["x"]);
}

#[test]
fn drop_takes_only_what_it_names() {
    let session = session();
    session.sql("create view v as select 1 as x").unwrap();
    session.sql("create table t (a int)").unwrap();
    assert_eq!(code(session.sql("drop table v")), Code::UnknownTable);
    assert_eq!(code(session.sql("drop view t")), Code::UnknownTable);
    assert_eq!(code(session.sql("drop table u")), Code::UnknownTable);
    session.sql("drop table if exists u").unwrap();
    session.sql("drop view V").unwrap();
    assert_eq!(code(session.sql("from v")), Code::UnknownTable);
    assert_eq!(code(session.sql("create or replace view t as select 1 as x")), Code::AlreadyExists);
}

#[test]
fn declared_columns_keep_their_spelling_and_types() {
    let session = session();
    session.sql("create temp table T (Id bigint not null, Name varchar(10), \"two words\" decimal(10, 2))").unwrap();
    let frame = session.sql("select ID, name, \"Two Words\" from t").unwrap();
    assert_eq!(fields(&frame), ["Id", "Name", "two words"]);
    assert_eq!(frame.schema().field(2).data_type().to_string(), "Decimal128(10, 2)");
    assert_eq!(code(session.sql("create table t (x int)")), Code::AlreadyExists);
    session.sql("create table if not exists t (x int)").unwrap();
    session.sql("create or replace table t (x int)").unwrap();
    assert_eq!(fields(&session.sql("from t").unwrap()), ["x"]);
    assert_eq!(code(session.sql("create table u (x int, X int)")), Code::InvalidQuery);
}

#[test]
fn what_a_create_statement_would_ignore_is_refused() {
    let session = session();
    for sql in [
        "create table t (x int primary key)",
        "create table t (x int, unique (x))",
        "create table t (x int) with (a = 1)",
        "create external table t (x int) stored as parquet location 'x'",
        "create materialized view v as select 1",
        "create table t like u",
        "create table t as select 1 as x with no data",
        "insert or replace into t values (1)",
        "insert into t values (1) on conflict do nothing",
        "insert into t set x = 1",
    ] {
        let code = code(session.sql(sql));
        assert!(matches!(code, Code::NotSupported | Code::Syntax), "{sql}: {code:?}");
    }
}

#[test]
fn insert_checks_its_columns_before_it_runs() {
    let session = session();
    session.sql("create table t (a int, B text)").unwrap();
    assert_eq!(code(session.sql("insert into t values (1)")), Code::InvalidQuery);
    assert_eq!(code(session.sql("insert into t (a, c) values (1, 2)")), Code::UnknownColumn);
    assert_eq!(code(session.sql("insert into t (a, A) values (1, 2)")), Code::InvalidQuery);
    assert_eq!(code(session.sql("insert into nowhere values (1)")), Code::UnknownTable);
    session.sql("create view v as select 1 as x").unwrap();
    assert_eq!(code(session.sql("insert into v values (1)")), Code::NotSupported);
}

#[test]
fn other_statements_are_named_in_the_error() {
    let session = session();
    for (sql, name) in
        [("create index i on t (a)", "CREATE INDEX"), ("begin transaction", "BEGIN"), ("vacuum", "VACUUM")]
    {
        let error = session.sql(sql).unwrap_err();
        assert_eq!(error.code(), Code::NotSupported, "{sql}: {error}");
        assert!(error.message().contains(name), "{sql}: {error}");
    }
}

#[test]
fn settings_are_set_shown_and_reset() {
    let session = session();
    session.sql("set THREADS = 3").unwrap();
    assert_eq!(session.setting("threads").unwrap(), "3");
    session.sql("set memory_limit to '1GB'").unwrap();
    assert_eq!(fields(&session.sql("show memory_limit").unwrap()), ["name", "value"]);
    assert_eq!(fields(&session.sql("show all").unwrap()), ["name", "value", "description"]);
    let default = Session::new().unwrap().setting("threads").unwrap();
    session.sql("reset threads").unwrap();
    assert_eq!(session.setting("threads").unwrap(), default);
    session.sql("set batch_size = 7; ").unwrap();
    session.sql("reset all").unwrap();
    assert_ne!(session.setting("batch_size").unwrap(), "7");
    assert_eq!(code(session.sql("set thread = 1")), Code::UnknownSetting);
    assert_eq!(code(session.sql("set threads = 'many'")), Code::InvalidSetting);
    assert_eq!(code(session.sql("show nothing")), Code::UnknownSetting);
}

#[test]
fn describe_and_explain_have_their_columns() {
    let session = session();
    session.sql("create table T (Id bigint not null)").unwrap();
    for sql in ["describe t", "desc T", "describe select * from t", "show columns from t", "describe from t"] {
        let names = ["column_name", "column_type", "null", "key", "default", "extra"];
        assert_eq!(fields(&session.sql(sql).unwrap()), names, "{sql}");
    }
    assert_eq!(fields(&session.sql("show tables").unwrap()), ["name"]);
    let error = session.sql("describe  tt").unwrap_err();
    assert_eq!(error.code(), Code::UnknownTable);
    assert_eq!(error.excerpt_text(), Some("  1 | describe  tt\n    |           ^^"));
    assert!(session.sql("explain analyze select 1").is_ok());
}

#[test]
fn a_script_goes_on_behind_an_error_and_places_are_places_in_the_script() {
    let session = session();
    let script = "create view v as select 1 as x;\nselect y\n  from v; select x,\n z from v; select 'abc";
    let results: Vec<_> = session.execute(script).collect();
    assert_eq!(results.len(), 4);
    assert!(results[0].1.is_ok());
    let places: Vec<_> =
        results[1..].iter().map(|(_, result)| result.as_ref().unwrap_err().sql_span().unwrap()).collect();
    assert_eq!((places[0].line, places[0].column), (2, 8));
    assert_eq!((places[1].line, places[1].column), (4, 2));
    assert_eq!((places[2].line, places[2].column), (4, 19));
    assert_eq!(results[3].1.as_ref().unwrap_err().code(), Code::Syntax);
}

#[test]
fn the_verbs_of_a_frame_name_columns_without_regard_to_case() {
    let session = session();
    let frame = session.sql("select * from (values (1, 'a', 2.5)) as t(Id, Name, \"a.b\")").unwrap();
    assert_eq!(fields(&frame.select([col("ID"), col("t.name"), col("a.B")]).unwrap()), ["Id", "Name", "a.b"]);
    assert_eq!(fields(&frame.select(["ID", "name"]).unwrap()), ["Id", "Name"]);
    assert_eq!(
        fields(&frame.with_columns([(col("id") + lit(1)).alias("ID"), lit(1).alias("x")]).unwrap()),
        ["ID", "Name", "a.b", "x"]
    );
    assert_eq!(fields(&frame.select([col("id") + lit(1)]).unwrap()), ["id + Int32(1)"]);
    let sorted = frame.sort([col("NAME").sort(true, false)]).unwrap().limit(1, Some(2)).unwrap().distinct().unwrap();
    assert_eq!(fields(&sorted.union(&frame).unwrap()), ["Id", "Name", "a.b"]);
    let error = frame.filter(col("idd").gt(lit(1))).unwrap_err();
    assert_eq!((error.code(), error.hint_text()), (Code::UnknownColumn, Some("did you mean \"Id\"?")));
    assert!(frame.select([sum(col("id"))]).is_err());
    assert!(frame.union(&frame.select(["id"]).unwrap()).is_err());
}

#[test]
fn aggregates_of_a_frame_may_be_parts_of_expressions() {
    let session = session();
    let frame = session.sql("select * from (values (1, 'a')) as t(Id, Name)").unwrap();
    let grouped = frame
        .group_by([col("NAME")])
        .unwrap()
        .agg([sum(col("id")) / count(col("id")), avg(col("ID")).alias("Mean"), max(col("id")) - min(col("id"))])
        .unwrap();
    let names = fields(&grouped);
    assert_eq!((names[0].as_str(), names[2].as_str()), ("Name", "Mean"));
    let error = frame.group_by(["name"]).unwrap().agg([sum(col("id")) + col("id")]).unwrap_err();
    assert!(error.message().contains("neither a key"), "{error}");
    assert_eq!(fields(&frame.group_by(Vec::<Expr>::new()).unwrap().agg([count(lit(1)).alias("n")]).unwrap()), ["n"]);
}

#[test]
fn a_registered_frame_is_a_table_of_sql_and_back() {
    let session = session();
    let frame = session.sql("select 1 as Id, 'a' as Name").unwrap();
    session.register("People", &frame).unwrap();
    let query = session.sql("select NAME, p.id from people p").unwrap();
    assert_eq!(fields(&query.filter(col("p.Name").eq(lit("a"))).unwrap()), ["Name", "Id"]);
    session.register("people", &query).unwrap();
    assert_eq!(fields(&session.table("PEOPLE").unwrap()), ["Name", "Id"]);
    session.sql("create table t (x int)").unwrap();
    assert_eq!(session.register("t", &frame).unwrap_err().code(), Code::AlreadyExists);
    assert_eq!(code(session.table("nobody")), Code::UnknownTable);
}

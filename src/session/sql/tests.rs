//! Statements against tables that are only schemas.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};

use super::*;
use crate::error::{Code, Error};
use crate::plan::FileTable;
use crate::scan::{Format, ScanSpec};
use crate::session::relation::Relation;

/// Tables by lower-case name, files by pattern.
struct Fake(BTreeMap<String, (String, Arc<Schema>)>);

fn spec(pattern: &str, schema: &Arc<Schema>) -> ScanSpec {
    ScanSpec {
        patterns: vec![pattern.to_string()],
        format: Format::Csv,
        options: Default::default(),
        files: Vec::new(),
        schema: schema.clone(),
        hive_columns: 0,
        rows: None,
    }
}

impl Tables for Fake {
    fn table(&self, name: &crate::session::names::Name) -> Option<Result<Relation>> {
        let (_, schema) = self.0.get(&name.key())?;
        Some(Ok(Relation::Files(FileTable::new(Arc::new(spec(&name.name, schema))))))
    }

    fn names(&self) -> Vec<String> {
        self.0.values().map(|(name, _)| name.clone()).collect()
    }

    fn facts(&self, call: &FileCall) -> Result<arrow::record_batch::RecordBatch> {
        Err(Error::not_supported(format!("sniffing {:?}", call.patterns)))
    }

    fn rows(&self, plan: &LogicalPlan) -> Result<Vec<arrow::record_batch::RecordBatch>> {
        Err(Error::not_supported(format!("running {plan}")))
    }

    fn files(&self, call: &FileCall) -> Result<ScanSpec> {
        let pattern = call.patterns.first().map_or("", String::as_str);
        match self.0.get(pattern) {
            Some((_, schema)) => Ok(spec(pattern, schema)),
            None => Err(Error::new(Code::FileNotFound, format!("no file matches '{pattern}'"))),
        }
    }
}

fn fake() -> Fake {
    let field = |name: &str, data_type: DataType| Field::new(name, data_type, true);
    let address = Fields::from(vec![field("Zip", DataType::Utf8View), field("city", DataType::Utf8View)]);
    let users = Schema::new(vec![
        field("UserId", DataType::Int64),
        field("name", DataType::Utf8View),
        field("Address", DataType::Struct(address)),
    ]);
    let flights = Schema::new(vec![field("Carrier", DataType::Utf8View), field("dep_delay", DataType::Float64)]);
    let twins = Schema::new(vec![field("Id", DataType::Int64), field("id", DataType::Int64)]);
    let tables = [("Users", users), ("data/flights.csv", flights.clone()), ("2013-*.csv", flights), ("Twins", twins)];
    Fake(tables.into_iter().map(|(name, schema)| (name.to_lowercase(), (name.to_string(), Arc::new(schema)))).collect())
}

fn plan(sql: &str) -> Result<LogicalPlan> {
    let prepared = Prepared::new(sql, &fake())?;
    let Statement::Query(query) = &prepared.statement else { panic!("{sql} is no query") };
    prepared.plan(query)
}

fn names(sql: &str) -> Vec<String> {
    match plan(sql) {
        Ok(plan) => plan.schema().fields().iter().map(|field| field.name().clone()).collect(),
        Err(error) => panic!("{sql}: {}", with_excerpt(error, sql)),
    }
}

fn error(sql: &str) -> Error {
    match plan(sql) {
        Ok(plan) => panic!("{sql} gave {}", plan.display_indent()),
        Err(error) => with_excerpt(error, sql),
    }
}

#[test]
fn names_match_without_regard_to_case_and_keep_their_spelling() {
    assert_eq!(
        names("select userid, USERID as Foo, \"USERID\" from users group by uSeRiD order by userid"),
        ["UserId", "Foo", "UserId_1"]
    );
    assert_eq!(names("select * from USERS u where U.name = 'x' and u.\"NAME\" > ''"), ["UserId", "name", "Address"]);
    assert_eq!(names("select foo from (select userid as Foo from users) where FOO > 1"), ["Foo"]);
    assert_eq!(names("with T(a, B) as (select userid, NAME from users) select A, b from t"), ["a", "B"]);
}

#[test]
fn an_alias_comes_out_as_written_also_where_a_column_is_spelled_otherwise() {
    assert_eq!(names("select name as userid from users"), ["userid"]);
    assert_eq!(
        names("select *, name as USERNAME, userid + 1 as NAME2 from users"),
        ["UserId", "name", "Address", "USERNAME", "NAME2"]
    );
    assert_eq!(names("select name as NAME from users union all select 'x' order by Name"), ["NAME"]);
}

#[test]
fn columns_that_differ_by_case_only_get_numbers() {
    assert_eq!(names("select * from twins"), ["Id", "id_1"]);
    assert_eq!(names("select ID_1 from twins where id = 3"), ["id_1"]);
}

#[test]
fn expressions_are_called_as_written() {
    assert_eq!(names("select count(*), sum(userid) + 1, 'x' from users"), ["count(*)", "sum(UserId) + 1", "'x'"]);
    assert_eq!(names("select 1, 1, name, name from users"), ["1", "1_1", "name", "name_1"]);
    assert_eq!(names("select \"count(*)\" from (select count(*) from users)"), ["count(*)"]);
    assert_eq!(
        names("select name, count(*) from users group by 1 having count(*) > 1 order by count(*) desc"),
        ["name", "count(*)"]
    );
}

#[test]
fn fields_of_structs_match_without_regard_to_case() {
    assert_eq!(names("select address.zip, users.ADDRESS.CITY from users"), ["Zip", "city"]);
    assert_eq!(names("select address['ZIP'] as z from users"), ["z"]);
    assert_eq!(names("select zip from (select address.zip from users) where ZIP > ''"), ["Zip"]);
    assert!(plan("select address.street from users").is_err());
}

#[test]
fn files_are_tables_by_their_stem() {
    assert_eq!(names("select Flights.carrier, DEP_DELAY from 'data/flights.csv'"), ["Carrier", "dep_delay"]);
    assert_eq!(names("select f.carrier from 'data/flights.csv' as f"), ["Carrier"]);
    assert_eq!(names("select \"2013-*\".carrier from read_csv('2013-*.csv', header => true)"), ["Carrier"]);
    assert_eq!(names("from '2013-*.csv'"), ["Carrier", "dep_delay"]);
    assert_eq!(names("from 'data/flights.csv' select carrier"), ["Carrier"]);
    assert_eq!(names("from 'data/flights.csv' f where f.carrier = 'AA' limit 3"), ["Carrier", "dep_delay"]);
    assert_eq!(names("with flights as (select * from 'data/flights.csv') select carrier from flights"), ["Carrier"]);
    let both = "select * from '2013-*.csv' union all select * from read_csv('2013-*.csv', skip => 1)";
    let text = plan(both).unwrap().display_indent().to_string();
    assert!(text.contains("files 2013-*.csv #2"), "{text}");
}

#[test]
fn a_cte_hides_a_table() {
    assert_eq!(names("with users as (select 1 as x) select * from Users"), ["x"]);
}

#[test]
fn what_is_not_there_is_named_with_a_place_and_a_guess() {
    let unknown = error("select usrid,\n  name from users");
    assert_eq!(unknown.code(), Code::UnknownColumn);
    assert_eq!(unknown.message(), "there is no column named \"usrid\"");
    assert_eq!(unknown.hint_text(), Some("did you mean \"UserId\"?"));
    assert_eq!(unknown.excerpt_text(), Some("  1 | select usrid,\n    |        ^^^^^"));

    let unknown = error("select 1\nfrom user");
    assert_eq!((unknown.code(), unknown.hint_text()), (Code::UnknownTable, Some("did you mean \"Users\"?")));
    assert_eq!(unknown.excerpt_text(), Some("  2 | from user\n    |      ^^^^"));

    let unknown = error("select uper(name) from users");
    assert_eq!((unknown.code(), unknown.hint_text()), (Code::UnknownFunction, Some("did you mean \"upper\"?")));
    assert_eq!(unknown.excerpt_text(), Some("  1 | select uper(name) from users\n    |        ^^^^"));

    let unknown = error("select * from read_cvs('x')");
    assert_eq!((unknown.code(), unknown.hint_text()), (Code::UnknownFunction, Some("did you mean \"read_csv\"?")));

    let unknown = error("select x.name from users");
    assert_eq!(unknown.code(), Code::UnknownColumn);
    assert!(unknown.sql_span().is_some(), "{unknown}");
}

#[test]
fn a_file_that_is_not_there_is_marked_in_the_text() {
    let missing = error("select * from 'nothing*.csv'");
    assert_eq!(missing.code(), Code::FileNotFound);
    assert_eq!(missing.excerpt_text(), Some("  1 | select * from 'nothing*.csv'\n    |               ^^^^^^^^^^^^^^"));
    assert!(error("select * from flights.csv").hint_text().unwrap().contains("FROM 'flights.csv'"));
}

#[test]
fn a_name_in_two_tables_is_ambiguous() {
    let ambiguous = error("select userid from users a cross join users b");
    assert_eq!(ambiguous.code(), Code::UnknownColumn);
    assert!(ambiguous.message().contains("more than one table"), "{ambiguous}");
}

#[test]
fn types_that_do_not_fit_are_errors_when_the_statement_is_planned() {
    for sql in
        ["select userid + [1] from users", "select sum(address) from users", "select name from users group by userid"]
    {
        let code = error(sql).code();
        assert!(matches!(code, Code::InvalidQuery | Code::UnknownFunction), "{sql}: {code:?}");
    }
}

#[test]
fn literals_of_lists_and_structs_and_types_of_other_engines_plan() {
    names("select [1, 2, 3], {'a': 1, 'b': [2]}, [1, 2][1], {'a': 1}['a']");
    names("select cast(1 as hugeint), cast('2013-01-01' as timestamp), 1::ubigint, 'x'::string, 1::double");
    names("select date_trunc('month', timestamp '2013-01-01 00:00:00'), extract(year from date '2013-01-01')");
    names("select interval '1 day' + date '2013-01-01', current_date, now()");
    names("select array_agg(name order by userid), count(distinct name) filter (where userid > 1) from users");
    assert!(error("select 1::intger").hint_text().unwrap().contains("INTEGER"));
}

#[test]
fn the_statements_of_tpch_style_plan() {
    names(
        "select carrier, sum(dep_delay * (1 - dep_delay)) as x, avg(dep_delay), count(*) as n from 'data/flights.csv'
           where dep_delay <= 3 and carrier like 'A%' group by carrier order by carrier",
    );
    names(
        "select count(*), sum(q), max(c) from (select carrier, sum(dep_delay) q, count(*) c
           from 'data/flights.csv' group by 1)",
    );
    names("select distinct carrier from 'data/flights.csv' order by 1 limit 10 offset 2");
    names("values (1, 'a'), (2, 'b')");
    names("select carrier from 'data/flights.csv' where carrier in (select name from users) and exists (select 1)");
    names("select carrier, count(*) from 'data/flights.csv' group by all order by all");
}

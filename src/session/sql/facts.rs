//! DESCRIBE, SUMMARIZE and SHOW as queries, also in the place of a table or of a query: `FROM (DESCRIBE t)`, `CREATE TABLE s AS SUMMARIZE t`.
//!
//! # Known limitation
//! SUMMARIZE leaves out the least and the greatest of
//! lists, structs and blobs; its quantiles and its number of different values are estimates.

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_sql::sqlparser::tokenizer::{Span as Place, Token, TokenWithSpan};

use super::Prepared;
use super::relations::Tables;
use super::visible::Visible;
use super::words::{Tokens, Words, made, quoted, text_literal};
use crate::error::{Error, Result};
use crate::expr::types::sql_type_name;
use crate::session::names::Name;

/// Puts queries in the places of DESCRIBE, SUMMARIZE and SHOW behind a parenthesis, behind the AS of a CREATE, and at the beginning.
pub(super) fn put(tokens: Tokens, tables: &dyn Tables) -> Result<Tokens> {
    let is_verb = |token: &TokenWithSpan| verb(&Words::new(std::slice::from_ref(token))).is_some();
    if !tokens.iter().any(is_verb) {
        return Ok(tokens);
    }
    let tokens = super::words::solid(tokens);
    let mut words = Words::new(&tokens);
    let creates = words.peek() == "CREATE";
    let mut put = Tokens::with_capacity(tokens.len());
    let mut visible = Visible::default();
    if let Some(verb) = verb(&words).filter(|verb| *verb != "SHOW") {
        let place = words.place();
        words.accept(verb);
        return query(verb, words.rest(), &visible, place, tables);
    }
    while let Some(token) = words.rest().first() {
        visible.read(&put, words.rest());
        let is_as = creates && visible.is_outermost() && words.peek() == "AS";
        let opens = token.token == Token::LParen || is_as;
        put.push(token.clone());
        words = Words::new(words.rest().get(1..).unwrap_or_default());
        // A call such as `f(describe)` is followed by a parenthesis or a comma, and a column by an operator.
        if let (true, Some(verb)) = (opens, verb(&words))
            && words.rest().get(1).is_some_and(begins)
        {
            let place = words.place();
            words.accept(verb);
            let body = if is_as { words.take_rest() } else { words.until_sign(&Token::RParen) };
            put.extend(self::query(verb, body, &visible, place, tables)?);
        }
    }
    Ok(put)
}

fn verb(words: &Words) -> Option<&'static str> {
    ["DESCRIBE", "DESC", "SUMMARIZE", "SHOW"].into_iter().find(|verb| words.peek() == *verb)
}

/// Whether a table or a query may begin so.
fn begins(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Word(_) | Token::SingleQuotedString(_) | Token::LParen)
}

/// The query that DESCRIBE, SUMMARIZE or SHOW of `body`, a table or a query, stands for.
///
/// # Errors
/// Those of planning `body`.
pub(crate) fn query(
    verb: &str,
    body: &[TokenWithSpan],
    visible: &Visible,
    place: Place,
    tables: &dyn Tables,
) -> Result<Tokens> {
    if body.is_empty() {
        return Err(Words::new(body).unexpected("a table or a query"));
    }
    let mut words = Words::new(body);
    if verb == "SHOW" && (words.accept("TABLES") || words.accept("ALL TABLES")) && words.is_empty() {
        return made(if body.len() == 1 { TABLES } else { ALL_TABLES }, place);
    }
    let rows = rows(body, place)?;
    let plan = Prepared::of_tokens(visible.before(&rows, place)?, tables)?.query_plan()?;
    let fields: Vec<FieldRef> = plan.schema().fields().iter().cloned().collect();
    if fields.is_empty() {
        return Err(Error::not_supported(format_args!("{verb} of what has no columns")));
    }
    match verb {
        "SUMMARIZE" => summarized(&fields, rows, place),
        _ => described(&fields, table_of(body).filter(|table| !visible.has(table)).as_ref(), place, tables),
    }
}

/// The names that SHOW TABLES gives.
const TABLES: &str =
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY name";

/// What SHOW ALL TABLES gives.
pub(crate) const ALL_TABLES: &str = "SELECT table_catalog AS database, table_schema AS schema, table_name AS name, \
    list(column_name ORDER BY ordinal_position) AS column_names, list(data_type ORDER BY ordinal_position) AS column_types, \
    false AS temporary FROM information_schema.columns GROUP BY ALL ORDER BY schema, name";

/// The table that the words name, where they are no query.
fn table_of(body: &[TokenWithSpan]) -> Option<Name> {
    let mut words = Words::new(body);
    let name = words.name("a table").ok()?;
    words.is_empty().then_some(name)
}

/// A query of the rows of a table or query.
fn rows(body: &[TokenWithSpan], place: Place) -> Result<Tokens> {
    const QUERIES: [&str; 7] = ["SELECT", "FROM", "WITH", "VALUES", "PIVOT", "UNPIVOT", "TABLE"];
    let words = Words::new(body);
    let is_query = QUERIES.contains(&words.peek().as_str()) && body.len() > 1
        || body.first().is_some_and(|token| token.token == Token::LParen);
    let mut rows = if is_query { Tokens::new() } else { made("SELECT * FROM", place)? };
    rows.extend(body.iter().cloned());
    Ok(rows)
}

/// One row for each column. What may be NULL is known of tables, and said of nothing else.
fn described(fields: &[FieldRef], table: Option<&Name>, place: Place, tables: &dyn Tables) -> Result<Tokens> {
    let columns = table.and_then(|table| tables.columns(table)).unwrap_or_default();
    let null = || "CAST(NULL AS VARCHAR)".to_string();
    let row = |(index, field): (usize, &FieldRef)| {
        let (nullable, default) = match columns.get(index) {
            Some((column, default)) => (column.is_nullable(), default.as_deref().map_or_else(null, text_literal)),
            None => (true, null()),
        };
        let name = text_literal(field.name());
        let data_type = text_literal(&sql_type_name(field.data_type()));
        let nullable = if nullable { "YES" } else { "NO" };
        format!("({name}, {data_type}, '{nullable}', {}, {default}, {})", null(), null())
    };
    let rows: Vec<String> = fields.iter().enumerate().map(row).collect();
    let columns = "column_name, column_type, \"null\", \"key\", \"default\", extra";
    made(&format!("SELECT * FROM (VALUES {}) AS described ({columns})", rows.join(", ")), place)
}

/// What SUMMARIZE says of each column, as an aggregate, and the type that it has.
const FACTS: [(&str, &str); 10] = [
    ("min", "VARCHAR"),
    ("max", "VARCHAR"),
    ("approx_unique", "BIGINT"),
    ("avg", "VARCHAR"),
    ("std", "VARCHAR"),
    ("q25", "VARCHAR"),
    ("q50", "VARCHAR"),
    ("q75", "VARCHAR"),
    ("count", "BIGINT"),
    ("null_percentage", "DECIMAL(9,2)"),
];

/// All facts in one row of aggregates, which is then taken apart.
fn summarized(fields: &[FieldRef], rows: Tokens, place: Place) -> Result<Tokens> {
    let mut aggregates = Vec::new();
    let mut parts = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let data_type = text_literal(&sql_type_name(field.data_type()));
        let mut part = format!("SELECT {} AS column_name, {data_type} AS column_type", text_literal(field.name()));
        for (fact, as_type) in FACTS {
            let name = quoted(&format!("#{fact} {index}"));
            let value = fact_of(fact, field, &quoted(&format!("#{index}")));
            aggregates.push(format!("CAST({} AS {as_type}) AS {name}", value.as_deref().unwrap_or("NULL")));
            part.push_str(&format!(", {name} AS {}", quoted(fact)));
        }
        parts.push(format!("{part} FROM \"#facts\""));
    }
    let columns: Vec<String> = fields.iter().enumerate().map(|(index, _)| quoted(&format!("#{index}"))).collect();
    let mut query = made(&format!("WITH \"#facts\" AS (SELECT {} FROM (", aggregates.join(", ")), place)?;
    query.extend(rows);
    query.extend(made(&format!(") AS \"#rows\" ({})) {}", columns.join(", "), parts.join(" UNION ALL ")), place)?);
    Ok(query)
}

/// The aggregate of a fact; `None` where a type has none.
fn fact_of(fact: &str, field: &Field, column: &str) -> Option<String> {
    let data_type = field.data_type();
    let moment = matches!(data_type, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..));
    let text = matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let number = data_type.is_numeric();
    let ordered =
        number || moment || text || matches!(data_type, DataType::Boolean | DataType::Time64(_) | DataType::Time32(_));
    Some(match fact {
        "min" | "max" if ordered => format!("{fact}({column})"),
        "approx_unique" if text || data_type.is_integer() => format!("approx_count_distinct({column})"),
        // The estimate is made of the values' hashes, which not every type has.
        "approx_unique" if ordered => format!("approx_count_distinct(CAST({column} AS VARCHAR))"),
        "avg" if number => format!("avg(CAST({column} AS DOUBLE))"),
        "avg" if moment => format!("make_timestamp(CAST(avg(epoch_us(CAST({column} AS TIMESTAMP))) AS BIGINT))"),
        "std" if number => format!("stddev(CAST({column} AS DOUBLE))"),
        "q25" | "q50" | "q75" if number || moment => {
            let fraction = format!("0.{}", fact.trim_start_matches('q'));
            let name = sql_type_name(data_type);
            match moment {
                true => {
                    let quantile =
                        format!("approx_quantile(CAST(epoch_us(CAST({column} AS TIMESTAMP)) AS DOUBLE), {fraction})");
                    format!("CAST(make_timestamp(CAST({quantile} AS BIGINT)) AS {name})")
                }
                false if data_type.is_integer() => {
                    format!("CAST(round_even(approx_quantile(CAST({column} AS DOUBLE), {fraction}), 0) AS {name})")
                }
                false => format!("CAST(approx_quantile(CAST({column} AS DOUBLE), {fraction}) AS {name})"),
            }
        }
        "count" => "count(*)".to_string(),
        "null_percentage" => format!("round(100.0 * (count(*) - count({column})) / nullif(count(*), 0), 2)"),
        _ => return None,
    })
}

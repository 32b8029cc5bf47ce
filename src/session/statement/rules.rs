//! What holds of every row of a table, and what is computed of it: CHECK and generated columns.
//!
//! Invariant: every way into a table leads through [`ruled`]: a generated column holds what its expression gives of the other columns
//! of its row, and a row for which a check is false comes to no table. (A check that is NULL holds, as SQL has it.)
//!
//! # Known limitation
//! Generated columns are computed when a row is written and take room as others do.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion_sql::sqlparser::tokenizer::{Span as Place, Token, TokenWithSpan};

use super::change::cast_to;
use crate::error::{Code, Error, Result, Span};
use crate::plan::StoredTable;
use crate::session::Session;
use crate::session::catalog::{Rules, Table};
use crate::session::relation::{Relation, arrow_schema, with_column_names};
use crate::session::scope::Scope;
use crate::session::sql::words::{Tokens, Words, made, parts, quoted, text_literal, written};
use crate::session::sql::{Prepared, planning_error, tokens};
use crate::store::StoredRows;

/// What the rows are called in the queries of this file.
const ROW: &str = "\"#row\"";

/// A column that CREATE TABLE declares as computed of the others.
pub(super) struct Generated {
    /// Its index among all columns.
    place: usize,
    name: String,
    has_type: bool,
    /// The expression.
    text: String,
    span: Span,
}

/// The generated columns of the list of a CREATE TABLE, and the list without what makes them that. A column without a type has some
/// type in it, until [`with_generated`] knows the right one.
///
/// # Errors
/// `SYNTAX_ERROR`; `NOT_SUPPORTED` for an identity.
pub(super) fn take_generated(list: &[TokenWithSpan]) -> Result<(Tokens, Vec<Generated>)> {
    let (mut plain, mut generated): (Tokens, Vec<Generated>) = (Vec::new(), Vec::new());
    for (place, part) in parts(list).into_iter().enumerate() {
        let mut words = Words::new(part);
        let at = words.place();
        if place > 0 {
            plain.extend(made(",", at)?);
        }
        let before = words.until(&["AS", "GENERATED"]);
        plain.extend(before.iter().cloned());
        if words.is_empty() {
            continue;
        }
        let span = words.span();
        if words.accept("GENERATED") && !words.accept("ALWAYS") {
            return Err(words.unexpected("ALWAYS AS (…)"));
        }
        words.expect("AS")?;
        let text = words
            .parenthesised()
            .map_err(|_| Error::not_supported("a generated column that is no expression").span(span))?;
        let text = written(text);
        if !words.accept("VIRTUAL") {
            words.accept("STORED");
        }
        words.end()?;
        let name = Words::new(before).word("the name of a column")?;
        let has_type = before.len() > 1;
        if !has_type {
            plain.extend(made("INTEGER", at)?);
        }
        generated.push(Generated { place, name, has_type, text, span });
    }
    Ok((plain, generated))
}

/// The columns with the types of the generated ones among them, and the rules of their table.
///
/// # Errors
/// Those of the expressions, which are planned here once.
pub(super) fn with_generated(
    session: &Session,
    schema: &Schema,
    generated: &[Generated],
    checks: Vec<String>,
) -> Result<(Arc<Schema>, Rules)> {
    let mut fields: Vec<FieldRef> = schema.fields().iter().cloned().collect();
    let mut rules = Rules { checks, generated: vec![None; fields.len()] };
    let plain = fields.iter().enumerate().filter(|(index, _)| generated.iter().all(|column| column.place != *index));
    let plain = plain.map(|(_, field)| field.clone());
    for column in generated {
        if let Some(rule) = rules.generated.get_mut(column.place) {
            *rule = Some(column.text.clone());
        }
    }
    let mut known: Vec<FieldRef> = plain.collect();
    let steps = steps(&fields, &rules).map_err(|error| match generated.first() {
        Some(column) => error.span(column.span),
        None => error,
    })?;
    for column in steps.iter().flatten().filter_map(|place| generated.iter().find(|column| column.place == *place)) {
        let query = format!("SELECT ({}) AS {} FROM {ROW}", column.text, quoted(&column.name));
        let plan = over(session, empty(&Arc::new(Schema::new(known.clone()))), &query)
            .and_then(|plan| crate::plan::analyze(plan).map_err(planning_error));
        let plan = plan.map_err(|error| error.span(column.span).context(format!("the column \"{}\"", column.name)))?;
        let data_type = arrow_schema(plan.schema()).field(0).data_type().clone();
        let Some(field) = fields.get_mut(column.place) else {
            return Err(Error::internal("a generated column without a place"));
        };
        if !column.has_type {
            *field = Arc::new(field.as_ref().clone().with_data_type(data_type));
        }
        known.push(field.clone());
    }
    let schema = Arc::new(Schema::new(fields));
    for check in &rules.checks {
        let plan = over(session, empty(&schema), &checking(&schema, check));
        plan.and_then(|plan| crate::plan::analyze(plan).map_err(planning_error))
            .map_err(|error| error.context(format!("CHECK ({check})")))?;
    }
    Ok((schema, rules))
}

fn empty(schema: &Arc<Schema>) -> Relation {
    Relation::Stored(StoredTable::new(Arc::new(StoredRows::empty(schema.clone()))))
}

/// A query over rows.
fn over(session: &Session, rows: Relation, query: &str) -> Result<LogicalPlan> {
    let scope = Scope::new(session.engine()).with(ROW.trim_matches('"'), rows);
    Prepared::of_tokens(made(query, Place::empty())?, &scope)?.query_plan()
}

/// The query that ends with an error where a row does not satisfy `check`.
fn checking(schema: &Schema, check: &str) -> String {
    let value = |field: &FieldRef| {
        let (name, column) = (text_literal(&format!("{} = ", field.name())), quoted(field.name()));
        format!("concat({name}, coalesce(CAST({column} AS VARCHAR), 'NULL'))")
    };
    let row = schema.fields().iter().map(value).collect::<Vec<_>>().join(", ");
    let broken = format!("\"#broken\"({}, concat_ws(', ', {row}))", text_literal(check));
    format!("SELECT * FROM {ROW} WHERE CASE WHEN CAST(({check}) AS BOOLEAN) IS FALSE THEN {broken} ELSE true END")
}

/// The rows of `plan` as they come into `table`: with its generated columns, and checked. The last columns of the plan are
/// those of the table.
///
/// # Errors
/// Those of planning.
pub(super) fn ruled(session: &Session, table: &Table, plan: LogicalPlan) -> Result<LogicalPlan> {
    let rules = &table.rules;
    if rules.is_empty() {
        return Ok(plan);
    }
    let own = table.schema.fields();
    let leading = plan.schema().fields().len().saturating_sub(own.len());
    let before: Vec<FieldRef> = plan.schema().fields().iter().take(leading).cloned().collect();
    let fields: Vec<&FieldRef> = before.iter().chain(own.iter()).collect();
    let mut plan = with_column_names(plan, fields.iter().map(|field| field.name().as_str()))?;
    for step in steps(own, rules)? {
        let value = |(index, field): (usize, &&FieldRef)| {
            let name = quoted(field.name());
            let column = index.checked_sub(leading).filter(|column| step.contains(column));
            match column.and_then(|column| rules.generated_as(column)) {
                Some(text) => format!("({text}) AS {name}"),
                None => name,
            }
        };
        let list = fields.iter().enumerate().map(value).collect::<Vec<_>>().join(", ");
        let types: Vec<DataType> = fields.iter().map(|field| field.data_type().clone()).collect();
        plan = cast_to(over(session, Relation::Query(Arc::new(plan)), &format!("SELECT {list} FROM {ROW}"))?, &types)?;
    }
    for check in &rules.checks {
        plan = over(session, Relation::Query(Arc::new(plan)), &checking(&table.schema, check))?;
    }
    Ok(LogicalPlanBuilder::from(plan).build()?)
}

/// An error where a statement gives a value for a generated column.
pub(super) fn refuse_generated(table: &Table, column: usize, span: Span) -> Result<()> {
    match table.rules.generated_as(column) {
        Some(text) => {
            let message = format!("column \"{}\" is computed: {text}", table.schema.field(column).name());
            Err(Error::new(Code::InvalidQuery, message).span(span).hint("leave it out of the statement"))
        }
        None => Ok(()),
    }
}

/// The generated columns in the order in which they are computed: those of a step need only what is there before it.
///
/// # Errors
/// `INVALID_QUERY` where they need each other.
fn steps(fields: &[FieldRef], rules: &Rules) -> Result<Vec<Vec<usize>>> {
    let mut pending: Vec<usize> = (0..fields.len()).filter(|column| rules.generated_as(*column).is_some()).collect();
    let mut steps = Vec::new();
    while !pending.is_empty() {
        let needs = |column: &usize, other: &usize| match (rules.generated_as(*column), fields.get(*other)) {
            (Some(text), Some(field)) => names(text, field.name()),
            _ => false,
        };
        let (later, step): (Vec<usize>, Vec<usize>) =
            pending.iter().partition(|column| pending.iter().any(|other| needs(column, other)));
        if step.is_empty() {
            return Err(Error::new(Code::InvalidQuery, "the generated columns are computed of each other in a circle"));
        }
        steps.push(step);
        pending = later;
    }
    Ok(steps)
}

/// Whether the expression names the column.
pub(super) fn names(expression: &str, column: &str) -> bool {
    places(expression, column).is_some_and(|(_, places)| !places.is_empty())
}

/// The expression with another name for a column.
pub(super) fn renamed(expression: &str, column: &str, new: &str) -> String {
    let Some((mut tokens, places)) = places(expression, column) else { return expression.to_string() };
    for place in places {
        if let Some(TokenWithSpan { token: Token::Word(word), .. }) = tokens.get_mut(place) {
            (word.value, word.quote_style) = (new.to_string(), Some('"'));
        }
    }
    tokens.iter().map(|token| token.token.to_string()).collect()
}

/// The tokens of an expression, and which of them name the column: not what is a field, a function, a type or an argument's name.
fn places(expression: &str, column: &str) -> Option<(Tokens, Vec<usize>)> {
    let tokens = tokens(expression).ok()?;
    let column = column.to_lowercase();
    let solid = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_) | Token::EOF);
    let places = (0..tokens.len()).filter(|place| {
        let before = tokens.iter().take(*place).rfind(|token| solid(token));
        let behind = tokens.iter().skip(place + 1).find(|token| solid(token));
        let is_other = |token: &TokenWithSpan| match &token.token {
            Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case("AS"),
            token => matches!(token, Token::Period | Token::DoubleColon),
        };
        let is_call = |token: &TokenWithSpan| matches!(token.token, Token::LParen | Token::Assignment);
        let is_column = matches!(tokens.get(*place).map(|token| &token.token),
            Some(Token::Word(word)) if word.value.to_lowercase() == column);
        is_column && !before.is_some_and(is_other) && !behind.is_some_and(is_call)
    });
    let places = places.collect();
    Some((tokens, places))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_in_expressions_are_told_from_other_names() {
        assert_eq!(renamed("A + s.a + a(1)::a", "a", "z"), "\"z\" + s.a + a(1)::a");
        assert_eq!(renamed("\"a\" || 'a' || CAST(a AS a)", "a", "it's"), "\"it's\" || 'a' || CAST(\"it's\" AS a)");
        assert!(names("list_sum([x, y])", "Y") && !names("s.y > 0", "y"));
    }
}

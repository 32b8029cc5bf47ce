//! UPDATE and DELETE as queries: which rows of the table are met, by number, and what stands in them then.
//!
//! `UPDATE t SET a = x FROM u WHERE c` is `SELECT t."#0", (x), t."b" … FROM "#target" AS t, u WHERE (c)`, where "#target" is the
//! table with the numbers of its rows. The words of the statement keep their places, so that errors point at them.

use datafusion_sql::sqlparser::tokenizer::{Location, Span as Place, Token, TokenWithSpan};

use super::words::{Tokens, Words, made, parts, place_of, quoted, refuse_clauses};
use crate::error::{Code, Error, Result, Span};
use crate::session::names::Name;

/// The relation of a table with the numbers of its rows.
pub(crate) const TARGET: &str = "#target";
/// The column of the numbers.
pub(crate) const NUMBER: &str = "#0";
/// The relation of the rows that RETURNING reads.
pub(crate) const ROWS: &str = "#rows";

/// What a column gets.
pub(crate) struct Assignment {
    pub column: String,
    pub span: Span,
    /// An expression, or DEFAULT.
    pub value: Tokens,
}

/// `[WITH …] UPDATE table …` or `[WITH …] DELETE FROM table …`.
pub(crate) struct Change {
    /// The common table expressions.
    pub with: Tokens,
    pub table: Name,
    pub span: Span,
    pub place: Place,
    /// How the statement calls the table.
    pub alias: String,
    /// `None` for DELETE.
    pub assignments: Option<Vec<Assignment>>,
    /// The other tables.
    pub from: Tokens,
    pub condition: Option<Tokens>,
    pub returning: Option<Returning>,
}

/// The select list of a RETURNING.
pub(crate) struct Returning {
    list: Tokens,
    place: Place,
    alias: String,
}

/// Where the statement behind the common table expressions begins.
pub(crate) fn split_with<'a>(words: &mut Words<'a>) -> &'a [TokenWithSpan] {
    if words.peek() != "WITH" {
        return &[];
    }
    words.until(&["SELECT", "FROM", "VALUES", "TABLE", "UPDATE", "DELETE", "INSERT", "MERGE", "PIVOT", "UNPIVOT"])
}

impl Change {
    /// Reads the statement; `None` for another.
    pub(crate) fn read(tokens: &[TokenWithSpan]) -> Result<Option<Self>> {
        let mut words = Words::new(tokens);
        let with = split_with(&mut words).to_vec();
        let place = words.place();
        match words.peek().as_str() {
            "UPDATE" => {
                words.expect("UPDATE")?;
                Change::update(words, with, place).map(Some)
            }
            "DELETE" => {
                words.expect("DELETE")?;
                words.expect("FROM")?;
                Change::delete(words, with, place).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn update(mut words: Words, with: Tokens, place: Place) -> Result<Self> {
        if words.accept("OR") {
            return Err(Error::not_supported("UPDATE OR …").span(words.span()));
        }
        let (table, span, alias) = target(&mut words, &["SET"])?;
        words.expect("SET")?;
        let assignments = assignments(words.until(&["FROM", "WHERE", "RETURNING"]), &words)?;
        let from = if words.accept("FROM") { words.until(&["WHERE", "RETURNING"]) } else { &[] };
        Change { with, table, span, place, alias, assignments: Some(assignments), from: from.to_vec(), ..NOTHING }
            .rest(words)
    }

    fn delete(mut words: Words, with: Tokens, place: Place) -> Result<Self> {
        let (table, span, alias) = target(&mut words, &["USING", "WHERE", "RETURNING"])?;
        let from = if words.accept("USING") { words.until(&["WHERE", "RETURNING"]) } else { &[] };
        Change { with, table, span, place, alias, from: from.to_vec(), ..NOTHING }.rest(words)
    }

    /// Reads what both end in.
    fn rest(self, mut words: Words) -> Result<Self> {
        refuse_clauses(&self.from, &["RETURNING"])?;
        let condition = match words.accept("WHERE") {
            true => Some(some(words.until(&["RETURNING"]), &words)?),
            false => None,
        };
        let returning = Returning::read(&mut words, &self.alias)?;
        words.end()?;
        Ok(Change { condition, returning, ..self })
    }

    /// The query of the rows that are met: their numbers, and what `columns` are then. `default` gives the DEFAULT of a column.
    pub(crate) fn query(&self, columns: &[String], default: impl Fn(usize) -> String) -> Result<Tokens> {
        let alias = quoted(&self.alias);
        let mut query = self.with.clone();
        query.extend(made(&format!("SELECT {alias}.{0} AS {0}", quoted(NUMBER)), self.place)?);
        for (index, column) in columns.iter().enumerate() {
            let end = format!("AS {}", quoted(&format!("#{}", index + 1)));
            match self.assigned(column) {
                Some(value) => {
                    query.extend(made(", (", self.place)?);
                    query.extend(with_default(value, &default(index))?);
                    query.extend(made(&format!(") {end}"), self.place)?);
                }
                None => query.extend(made(&format!(", {alias}.{} {end}", quoted(column)), self.place)?),
            }
        }
        query.extend(made(&format!("FROM {} AS {alias}", quoted(TARGET)), self.place)?);
        if !self.from.is_empty() {
            query.extend(made(",", self.place)?);
            query.extend(self.from.iter().cloned());
        }
        if let Some(condition) = &self.condition {
            query.extend(made("WHERE (", self.place)?);
            query.extend(condition.iter().cloned());
            query.extend(made(")", self.place)?);
        }
        Ok(query)
    }

    fn assigned(&self, column: &str) -> Option<&Tokens> {
        let column = column.to_lowercase();
        let assignments = self.assignments.as_ref()?;
        assignments.iter().find(|assignment| assignment.column.to_lowercase() == column).map(|found| &found.value)
    }
}

/// What a change has before it is read.
const NOTHING: Change = Change {
    with: Vec::new(),
    table: Name { schema: None, name: String::new() },
    span: Span { line: 1, column: 1, length: 1 },
    place: Place { start: Location { line: 0, column: 0 }, end: Location { line: 0, column: 0 } },
    alias: String::new(),
    assignments: None,
    from: Vec::new(),
    condition: None,
    returning: None,
};

impl Returning {
    /// Reads `RETURNING list` to the end of the statement, if it comes next.
    pub(crate) fn read(words: &mut Words, alias: &str) -> Result<Option<Self>> {
        let place = words.place();
        if !words.accept("RETURNING") {
            return Ok(None);
        }
        let list = some(words.take_rest(), words)?;
        refuse_clauses(&list, &["FROM", "WHERE", "INTO"])?;
        Ok(Some(Returning { list, place, alias: alias.to_string() }))
    }

    /// The same with a column of the rows that no star stands for.
    pub(crate) fn without(&self, hidden: &str) -> Result<Self> {
        let mut list = Tokens::new();
        for (index, item) in parts(&self.list).into_iter().enumerate() {
            if index > 0 {
                list.extend(made(",", self.place)?);
            }
            let star = match item {
                [star, ..] if star.token == Token::Mul => 1,
                [_, dot, star, ..] if dot.token == Token::Period && star.token == Token::Mul => 3,
                _ => 0,
            };
            let (star, mut rest) =
                (item.get(..star).unwrap_or_default(), Words::new(item.get(star..).unwrap_or_default()));
            list.extend(star.iter().cloned());
            if !star.is_empty() {
                let more = match rest.accept("EXCLUDE") {
                    false => Tokens::new(),
                    true if rest.rest().first().is_some_and(|token| token.token == Token::LParen) => {
                        rest.parenthesised()?.to_vec()
                    }
                    true => made(&quoted(&rest.word("the name of a column")?), self.place)?,
                };
                let comma = if more.is_empty() { "" } else { "," };
                list.extend(made(&format!("EXCLUDE ({}{comma}", quoted(hidden)), self.place)?);
                list.extend(more);
                list.extend(made(")", self.place)?);
            }
            list.extend(rest.take_rest().iter().cloned());
        }
        Ok(Returning { list, place: self.place, alias: self.alias.clone() })
    }

    /// The query of what it gives, over the rows that were changed.
    pub(crate) fn query(&self) -> Result<Tokens> {
        let mut query = made("SELECT", self.place)?;
        query.extend(self.list.iter().cloned());
        query.extend(made(&format!("FROM {} AS {}", quoted(ROWS), quoted(&self.alias)), self.place)?);
        Ok(query)
    }
}

/// `expression`, or the default in its place.
pub(crate) fn with_default(expression: &[TokenWithSpan], default: &str) -> Result<Tokens> {
    let mut words = Words::new(expression);
    if words.accept("DEFAULT") && words.is_empty() {
        return made(default, place_of(expression));
    }
    Ok(expression.to_vec())
}

/// Reads `name [[AS] alias]`.
pub(super) fn target(words: &mut Words, next: &[&str]) -> Result<(Name, Span, String)> {
    let span = words.span();
    let table = words.name("the name of a table")?;
    let named = words.accept("AS");
    let alias = match named || !(words.is_empty() || next.contains(&words.peek().as_str())) {
        true => words.word("an alias")?,
        false => table.name.clone(),
    };
    Ok((table, span, alias))
}

/// At least one word.
fn some(tokens: &[TokenWithSpan], words: &Words) -> Result<Tokens> {
    if tokens.is_empty() { Err(words.unexpected("an expression")) } else { Ok(tokens.to_vec()) }
}

/// `a = 1, (b, c) = (2, 3)`.
pub(super) fn assignments(list: &[TokenWithSpan], behind: &Words) -> Result<Vec<Assignment>> {
    let mut assignments: Vec<Assignment> = Vec::new();
    for part in parts(&some(list, behind)?) {
        let mut words = Words::new(part);
        let (targets, values) = match words.accept_sign(&Token::LParen) {
            false => (vec![column(&mut words)?], Vec::new()),
            true => {
                let mut targets = vec![column(&mut words)?];
                while words.accept_sign(&Token::Comma) {
                    targets.push(column(&mut words)?);
                }
                words.expect_sign(&Token::RParen)?;
                (targets, several(&words)?)
            }
        };
        words.expect_sign(&Token::Eq)?;
        let values = if values.is_empty() { vec![some(words.rest(), &words)?] } else { values };
        if targets.len() != values.len() {
            let message = format!("{} values for {} columns", values.len(), targets.len());
            return Err(Error::new(Code::InvalidQuery, message).span(words.span()));
        }
        for ((column, span), value) in targets.into_iter().zip(values) {
            if assignments.iter().any(|other| other.column.to_lowercase() == column.to_lowercase()) {
                let message = format!("column \"{column}\" is set twice");
                return Err(Error::new(Code::InvalidQuery, message).span(span));
            }
            assignments.push(Assignment { column, span, value });
        }
    }
    Ok(assignments)
}

fn column(words: &mut Words) -> Result<(String, Span)> {
    let span = words.span();
    let column = words.word("the name of a column")?;
    match words.rest().first().map(|token| &token.token) {
        Some(Token::Period) => Err(Error::not_supported("SET of a part of a column")
            .span(span)
            .hint("write the column's name alone; a struct is set as a whole: SET s = struct_update(s, a := 1)")),
        Some(Token::LBracket) => Err(Error::not_supported("SET of an element of a list").span(span)),
        _ => Ok((column, span)),
    }
}

/// The values behind `(a, b)`.
fn several(words: &Words) -> Result<Vec<Tokens>> {
    let mut words = words.clone();
    words.expect_sign(&Token::Eq)?;
    words.accept("ROW");
    let span = words.span();
    let inner = words.parenthesised()?;
    words.end()?;
    if ["SELECT", "WITH", "FROM", "VALUES"].contains(&Words::new(inner).peek().as_str()) {
        return Err(Error::not_supported("SET of several columns by one subquery")
            .span(span)
            .hint("write UPDATE … SET a = u.a, b = u.b FROM (subquery) AS u WHERE …"));
    }
    Ok(parts(inner).into_iter().map(<[TokenWithSpan]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::{parse, words};

    fn change(sql: &str) -> Result<Change> {
        let tokens = words::solid(parse::tokens(sql)?);
        Change::read(&tokens).map(|change| change.unwrap())
    }

    fn query(sql: &str) -> String {
        let columns = ["a".to_string(), "b".to_string()];
        let tokens = change(sql).and_then(|change| change.query(&columns, |_| "7".to_string())).unwrap();
        tokens.iter().map(|token| token.token.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_update_is_a_query_of_numbered_rows() {
        assert_eq!(
            query("update t set A = b + 1 where a is distinct from b"),
            "SELECT \"t\" . \"#0\" AS \"#0\" , ( b + 1 ) AS \"#1\" , \"t\" . \"b\" AS \"#2\" FROM \"#target\" AS \"t\" \
             WHERE ( a is distinct from b )"
        );
        assert!(
            query("update t as x set (a, b) = (default, x.a) from u").contains("( 7 ) AS \"#1\" , ( x . a ) AS \"#2\"")
        );
        assert!(query("with w as (select 1 as z) delete from t using w where a = z").starts_with("with w as ( select"));
    }

    #[test]
    fn what_is_no_update_is_an_error() {
        for sql in [
            "update t set a = 1, A = 2",
            "update t set a = 1 from u order by 1",
            "update t set a = 1 where a = 1 returning a limit 1",
            "update t set (a, b) = (1)",
            "update t set (a, b) = (select 1, 2)",
            "update t set s.a = 1",
            "update t set a = ",
            "delete from t where",
            "delete from t returning",
        ] {
            assert!(change(sql).is_err(), "{sql}");
        }
    }
}

//! INSERT in its parts: the table, its columns, and the query of the rows.

use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Span as Place, Token, TokenWithSpan};

use super::changes::{Returning, split_with, with_default};
use super::words::{Tokens, Words, made, parts, place_of};
use crate::error::{Error, Result, Span};
use crate::session::names::Name;

/// `[WITH …] INSERT INTO table [(columns)] [BY NAME] query [RETURNING …]`.
pub(crate) struct InsertInto {
    pub table: Name,
    pub span: Span,
    /// Empty: all of them, in their order.
    pub columns: Vec<(String, Span)>,
    /// Whether the query's columns go to those of their names.
    pub by_name: bool,
    /// `None` for DEFAULT VALUES.
    pub rows: Option<Tokens>,
    pub returning: Option<Returning>,
}

/// A column that values go to.
pub(crate) struct Target {
    /// What stands for DEFAULT.
    pub default: String,
    /// Its type, to which values of different kinds are cast before VALUES makes one type of them.
    pub data_type: String,
    /// Whether it holds values of all types as texts.
    pub is_text: bool,
}

impl InsertInto {
    /// Reads the statement; `None` for another.
    pub(crate) fn read(tokens: &[TokenWithSpan]) -> Result<Option<Self>> {
        let mut words = Words::new(tokens);
        let mut rows = split_with(&mut words).to_vec();
        if !words.accept("INSERT") {
            return Ok(None);
        }
        if words.accept("OR") {
            return Err(no_keys("INSERT OR …", &words));
        }
        words.expect("INTO")?;
        let span = words.span();
        let table = words.name("the name of a table")?;
        let alias = if words.accept("AS") { words.word("an alias")? } else { table.name.clone() };
        let columns = columns(&mut words)?;
        let by_name = words.accept("BY NAME");
        if by_name && !columns.is_empty() {
            return Err(words.unexpected("the columns either in parentheses or BY NAME"));
        }
        if !by_name {
            words.accept("BY POSITION");
        }
        let rows = match words.accept("DEFAULT VALUES") {
            true => None,
            false => {
                rows.extend(query(&mut words)?.iter().cloned());
                Some(rows)
            }
        };
        if words.peek() == "ON" {
            return Err(no_keys("INSERT … ON CONFLICT", &words));
        }
        let returning = Returning::read(&mut words, &alias)?;
        words.end()?;
        Ok(Some(InsertInto { table, span, columns, by_name, rows, returning }))
    }

    /// The query with what `targets`, by the query's columns, make of values in VALUES.
    pub(crate) fn query(&self, targets: &[Target]) -> Result<Option<Tokens>> {
        let Some(rows) = &self.rows else { return Ok(None) };
        let mut words = Words::new(rows);
        if words.peek() != "VALUES" {
            return Ok(Some(rows.clone()));
        }
        let mut query: Tokens = words.rest().iter().take(1).cloned().collect();
        words.expect("VALUES")?;
        let rows: Vec<Row> = parts(words.rest()).into_iter().map(Row::of).collect();
        let casts = targets.iter().enumerate().map(|(index, target)| target.cast(&rows, index));
        let casts = casts.collect::<Result<Vec<_>>>()?;
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                query.push(TokenWithSpan::new(Token::Comma, place_of(row.tokens)));
            }
            query.extend(row.with(targets, &casts)?);
        }
        Ok(Some(query))
    }
}

/// The words of the query: up to what may follow it.
fn query<'a>(words: &mut Words<'a>) -> Result<&'a [TokenWithSpan]> {
    let whole = words.clone();
    let mut query = words.until(&["RETURNING", "ON"]);
    // ON also belongs to joins.
    while words.peek() == "ON" && words.peek_at(1) != "CONFLICT" {
        words.accept("ON");
        words.until(&["RETURNING", "ON"]);
        query = whole.rest().get(..whole.rest().len() - words.rest().len()).unwrap_or_default();
    }
    if query.is_empty() || Words::new(query).peek() == "SET" {
        Err(words.unexpected("VALUES or a query"))
    } else {
        Ok(query)
    }
}

fn no_keys(what: &str, words: &Words) -> Error {
    Error::not_supported(what)
        .span(words.span())
        .hint("tables have no keys: delete the rows that are there first, or insert those only that are not")
}

/// `(a, b)` before the query.
fn columns(words: &mut Words) -> Result<Vec<(String, Span)>> {
    let mut columns = Vec::new();
    let is_list = words.rest().first().is_some_and(|token| token.token == Token::LParen);
    let begins_query = ["SELECT", "WITH", "FROM", "VALUES"].contains(&words.peek_at(1).as_str())
        || words.rest().get(1).is_some_and(|token| token.token == Token::LParen);
    if !is_list || begins_query {
        return Ok(columns);
    }
    for part in parts(words.parenthesised()?) {
        let mut column = Words::new(part);
        let span = column.span();
        columns.push((column.word("the name of a column")?, span));
        column.end()?;
    }
    Ok(columns)
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Null,
    Text,
    Integer,
    Fraction,
    Other,
}

impl Kind {
    fn of(value: &[TokenWithSpan]) -> Self {
        let value = match value {
            [TokenWithSpan { token: Token::Minus, .. }, number @ ..] => number,
            value => value,
        };
        match value {
            [TokenWithSpan { token: Token::SingleQuotedString(_), .. }] => Kind::Text,
            [TokenWithSpan { token: Token::Word(word), .. }] if word.keyword == Keyword::NULL => Kind::Null,
            [TokenWithSpan { token: Token::Number(digits, _), .. }]
                if digits.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                Kind::Integer
            }
            [TokenWithSpan { token: Token::Number(..), .. }] => Kind::Fraction,
            _ => Kind::Other,
        }
    }
}

impl Target {
    /// `AS type)`, the end of the casts of the values in a column; `None` where these are of one kind, so that none is needed.
    fn cast(&self, rows: &[Row], index: usize) -> Result<Option<Tokens>> {
        let kinds = rows.iter().filter_map(|row| row.values.get(index).map(|value| Kind::of(value)));
        let mut kinds = kinds.filter(|kind| *kind != Kind::Null);
        let Some(first) = kinds.next() else { return Ok(None) };
        let is_plain = if self.is_text { first == Kind::Text } else { rows.len() == 1 || first != Kind::Other };
        if is_plain && kinds.all(|kind| kind == first) {
            return Ok(None);
        }
        made(&format!("AS {})", self.data_type), rows.first().map_or_else(Place::empty, |row| place_of(row.tokens)))
            .map(Some)
    }
}

/// A row of VALUES.
struct Row<'a> {
    tokens: &'a [TokenWithSpan],
    /// Empty where it is not one in parentheses.
    values: Vec<&'a [TokenWithSpan]>,
}

impl<'a> Row<'a> {
    fn of(tokens: &'a [TokenWithSpan]) -> Self {
        let values = match tokens {
            [open, inner @ .., close] if open.token == Token::LParen && close.token == Token::RParen => parts(inner),
            _ => Vec::new(),
        };
        Row { tokens, values }
    }

    /// `(1, DEFAULT)` with the default of the second column, and with the casts that columns need.
    fn with(&self, targets: &[Target], casts: &[Option<Tokens>]) -> Result<Tokens> {
        let ([open, .., close], [_, ..]) = (self.tokens, self.values.as_slice()) else {
            return Ok(self.tokens.to_vec());
        };
        let mut row = vec![open.clone()];
        for (index, value) in self.values.iter().enumerate() {
            if index > 0 {
                row.push(TokenWithSpan::new(Token::Comma, open.span));
            }
            let (target, kind) = (targets.get(index), Kind::of(value));
            let value = with_default(value, target.map_or("NULL", |target| &target.default))?;
            let is_there = kind == Kind::Null || kind == Kind::Text && target.is_some_and(|target| target.is_text);
            match casts.get(index).and_then(Option::as_ref).filter(|_| !is_there) {
                Some(end) => {
                    let place = place_of(&value);
                    row.extend(made("CAST(", place)?);
                    row.extend(value);
                    row.extend(end.iter().map(|token| TokenWithSpan::new(token.token.clone(), place)));
                }
                None => row.extend(value),
            }
        }
        row.push(close.clone());
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::{parse, words};

    fn read(sql: &str) -> Result<InsertInto> {
        InsertInto::read(&words::solid(parse::tokens(sql)?)).map(|insert| insert.unwrap())
    }

    fn query(sql: &str) -> String {
        let target = |default: &str, data_type: &str, is_text| Target {
            default: default.to_string(),
            data_type: data_type.to_string(),
            is_text,
        };
        let targets = [target("7", "INTEGER", false), target("x", "BIT", false), target("y", "JSON", true)];
        let tokens = read(sql).and_then(|insert| insert.query(&targets)).unwrap().unwrap();
        tokens.iter().map(|token| token.token.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_parts_of_an_insert_are_found() {
        assert_eq!(
            query("insert into t values (1, default), (default, (2, 3))"),
            "values ( CAST ( 1 AS INTEGER ) , CAST ( x AS BIT ) ) , ( CAST ( 7 AS INTEGER ) , CAST ( ( 2 , 3 ) AS BIT ) )"
        );
        assert_eq!(
            query("insert into t values (1, 2, 3), (1, 2, '3'), (1, 2, null)"),
            "values ( 1 , 2 , CAST ( 3 AS JSON ) ) , ( 1 , 2 , '3' ) , ( 1 , 2 , null )"
        );
        assert_eq!(query("insert into t (b, a) (select 1, 2) returning a"), "( select 1 , 2 )");
        assert_eq!(query("with w as (select 1) insert into s.t from w"), "with w as ( select 1 ) from w");
        assert_eq!(
            query("insert into t select 1 from a join b on a.x = b.x join c on true"),
            "select 1 from a join b on a . x = b . x join c on true"
        );
        assert!(read("insert into t by name select 1 as b").unwrap().by_name);
    }

    #[test]
    fn what_needs_keys_is_refused() {
        assert!(read("insert into t values (1) on conflict do nothing").is_err());
        assert!(read("insert or replace into t values (1)").is_err());
        assert!(read("insert into t (a) by name select 1 as a").is_err());
        assert!(read("insert into t").is_err());
    }
}

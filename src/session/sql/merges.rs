//! MERGE INTO as a change of the rows that match, and an INSERT of those that have no match.

use datafusion_sql::sqlparser::tokenizer::{Span as Place, Token, TokenWithSpan};

use super::changes::{Assignment, Change, assignments, split_with, target};
use super::inserts::InsertInto;
use super::words::{Tokens, Words, made, parts, quoted};
use crate::error::{Error, Result, Span};
use crate::session::names::Name;

/// `[WITH …] MERGE INTO table USING source ON condition WHEN …`.
pub(crate) struct Merge {
    pub table: Name,
    pub span: Span,
    /// `None` where nothing becomes of rows that match.
    pub change: Option<Change>,
    /// `None` where nothing becomes of rows without a match.
    pub insert: Option<InsertInto>,
}

/// What both parts of the statement share.
struct Parts {
    with: Tokens,
    place: Place,
    table: Name,
    span: Span,
    alias: String,
    source: Tokens,
    condition: Tokens,
}

impl Merge {
    /// Reads the statement; `None` for another.
    pub(crate) fn read(tokens: &[TokenWithSpan]) -> Result<Option<Self>> {
        let mut words = Words::new(tokens);
        let with = split_with(&mut words).to_vec();
        let place = words.place();
        if !words.accept("MERGE") {
            return Ok(None);
        }
        words.expect("INTO")?;
        let (table, span, alias) = target(&mut words, &["USING"])?;
        words.expect("USING")?;
        let source = words.until(&["ON", "USING", "WHEN"]).to_vec();
        if words.peek() == "USING" {
            return Err(refused("MERGE … USING (columns)", &words, "write ON t.key = source.key"));
        }
        words.expect("ON")?;
        let condition = words.until(&["WHEN"]).to_vec();
        if source.is_empty() || condition.is_empty() {
            return Err(words.unexpected("USING source ON condition WHEN …"));
        }
        let parts = Parts { with, place, table: table.clone(), span, alias, source, condition };
        let mut merge = Merge { table, span, change: None, insert: None };
        let (mut has_match, mut has_none) = (false, false);
        while words.accept("WHEN") {
            let matched = !words.accept("NOT");
            words.expect("MATCHED")?;
            let again = std::mem::replace(if matched { &mut has_match } else { &mut has_none }, true);
            if again || words.peek() == "BY" && !words.accept("BY TARGET") {
                let hint = "one WHEN MATCHED and one WHEN NOT MATCHED; CASE in SET for more";
                return Err(refused("this WHEN of MERGE", &words, hint));
            }
            let more = if words.accept("AND") { words.until(&["THEN"]).to_vec() } else { Tokens::new() };
            words.expect("THEN")?;
            let mut action = Words::new(words.until(&["WHEN", "RETURNING"]));
            match matched {
                true => merge.change = parts.change(&mut action, more)?,
                false => merge.insert = parts.insert(&mut action, more)?,
            }
            action.end()?;
        }
        if words.peek() == "RETURNING" {
            return Err(refused("MERGE … RETURNING", &words, "ask for the rows with a query"));
        }
        words.end()?;
        Ok(Some(merge))
    }
}

fn refused(what: &str, words: &Words, hint: &str) -> Error {
    Error::not_supported(what).span(words.span()).hint(hint)
}

impl Parts {
    /// `UPDATE SET …`, `DELETE` or `DO NOTHING`.
    fn change(&self, action: &mut Words, more: Tokens) -> Result<Option<Change>> {
        let assignments: Option<Vec<Assignment>> = if action.accept("DO NOTHING") {
            return Ok(None);
        } else if action.accept("DELETE") {
            None
        } else if action.accept("UPDATE SET") {
            Some(assignments(action.take_rest(), action)?)
        } else {
            return Err(refused("this THEN of MERGE", action, "THEN UPDATE SET …, DELETE or DO NOTHING"));
        };
        Ok(Some(Change {
            with: self.with.clone(),
            table: self.table.clone(),
            span: self.span,
            place: self.place,
            alias: self.alias.clone(),
            assignments,
            from: self.source.clone(),
            condition: Some(self.both(self.condition.clone(), more)?),
            returning: None,
        }))
    }

    /// `INSERT [(columns)] VALUES (…)` or `DO NOTHING`.
    fn insert(&self, action: &mut Words, more: Tokens) -> Result<Option<InsertInto>> {
        if action.accept("DO NOTHING") {
            return Ok(None);
        }
        action.expect("INSERT")?;
        let mut columns = Vec::new();
        if action.rest().first().is_some_and(|token| token.token == Token::LParen) {
            for part in parts(action.parenthesised()?) {
                let mut column = Words::new(part);
                let span = column.span();
                columns.push((column.word("the name of a column")?, span));
                column.end()?;
            }
        }
        if !action.accept("VALUES") {
            return Err(refused("this INSERT of MERGE", action, "THEN INSERT (columns) VALUES (…)"));
        }
        let values = action.parenthesised()?;
        let mut rows = self.with.clone();
        rows.extend(self.made("SELECT")?);
        rows.extend(values.iter().cloned());
        rows.extend(self.made("FROM")?);
        rows.extend(self.source.iter().cloned());
        let schema = self.table.schema.as_ref().map(|schema| format!("{}.", quoted(schema))).unwrap_or_default();
        let table = format!("{schema}{} AS {}", quoted(&self.table.name), quoted(&self.alias));
        let mut no_match = self.made(&format!("NOT EXISTS (SELECT 1 FROM {table} WHERE ("))?;
        no_match.extend(self.condition.iter().cloned());
        no_match.extend(self.made("))")?);
        rows.extend(self.made("WHERE")?);
        rows.extend(self.both(no_match, more)?);
        let (table, span) = (self.table.clone(), self.span);
        Ok(Some(InsertInto { table, span, columns, by_name: false, rows: Some(rows), returning: None }))
    }

    fn made(&self, text: &str) -> Result<Tokens> {
        made(text, self.place)
    }

    /// `(condition) AND (more)`.
    fn both(&self, condition: Tokens, more: Tokens) -> Result<Tokens> {
        if more.is_empty() {
            return Ok(condition);
        }
        let mut both = self.made("(")?;
        both.extend(condition);
        both.extend(self.made(") AND (")?);
        both.extend(more);
        both.extend(self.made(")")?);
        Ok(both)
    }
}

//! MERGE in its parts: the rows that match, those of either side that do not, and what becomes of each.
//!
//! Every part is a query: `WHEN MATCHED AND c THEN UPDATE SET a = x` is `SELECT t."#0", CASE WHEN c THEN (x) ELSE t.a END … FROM
//! "#target" AS t, source WHERE (condition) AND …`, so that the first clause that fits decides.
//!
//! # Known limitation
//! The source is read once for each of the three kinds of rows, and a condition is asked again for each column: neither may be random.

use datafusion_sql::sqlparser::tokenizer::{Span as Place, Token, TokenWithSpan};

use super::changes::{Assignment, NUMBER, Returning, TARGET, assignments, split_with, target, with_default};
use super::words::{Tokens, Words, made, parts, quoted, text_literal};
use crate::error::{Code, Error, Result, Span};
use crate::session::names::Name;

/// The column of what became of a row, for RETURNING.
pub(crate) const ACTION: &str = "merge_action";

/// `[WITH …] MERGE INTO table USING source ON condition WHEN …`.
pub(crate) struct Merge {
    pub table: Name,
    pub span: Span,
    pub clauses: Vec<Clause>,
    pub returning: Option<Returning>,
    with: Tokens,
    place: Place,
    alias: String,
    source: Tokens,
    /// What the source is called.
    source_alias: String,
    condition: Tokens,
}

/// Which rows a clause is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Those of both sides that match.
    Matched,
    /// Those of the source that match none of the table.
    NotInTable,
    /// Those of the table that match none of the source.
    NotInSource,
}

/// `WHEN [NOT] MATCHED [BY …] [AND condition] THEN action`.
pub(crate) struct Clause {
    pub rows: Rows,
    condition: Option<Tokens>,
    pub action: Action,
    /// The words before THEN, for an error.
    text: String,
}

pub(crate) enum Action {
    Update(Vec<Assignment>),
    Delete,
    /// Without values the defaults.
    Insert {
        columns: Vec<(String, Span)>,
        values: Option<Vec<Tokens>>,
    },
    /// UPDATE or INSERT of what the source has.
    All(All),
    Error(Option<Tokens>),
    Nothing,
}

/// UPDATE or INSERT of the columns that the source has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct All {
    pub inserts: bool,
    pub by_name: bool,
    pub span: Span,
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
        let mut source = words.until(&["ON", "USING", "WHEN"]).to_vec();
        let source_alias = match alias_of(&source) {
            Some(alias) => alias,
            None => {
                source.extend(made("AS \"#source\"", place)?);
                "#source".to_string()
            }
        };
        let condition = match words.accept("USING") {
            true => alike(words.parenthesised()?, &alias, &source_alias)?,
            false => {
                words.expect("ON")?;
                words.until(&["WHEN"]).to_vec()
            }
        };
        if source.is_empty() || condition.is_empty() || words.peek() != "WHEN" {
            return Err(words.unexpected("USING source ON condition WHEN …"));
        }
        let mut clauses: Vec<Clause> = Vec::new();
        while words.accept("WHEN") {
            let clause = Clause::read(&mut words)?;
            if clauses.iter().any(|before| before.rows == clause.rows && before.condition.is_none()) {
                let error = Error::new(Code::InvalidQuery, "no row is left for this WHEN").span(words.span());
                return Err(
                    error.hint("the one before takes all rows of its kind: write it last, or with AND condition")
                );
            }
            clauses.push(clause);
        }
        let returning = Returning::read(&mut words, &alias)?;
        words.end()?;
        Ok(Some(Merge { table, span, clauses, returning, with, place, alias, source, source_alias, condition }))
    }

    /// The query of the source, for its columns.
    pub(crate) fn source(&self) -> Result<Tokens> {
        let mut query = self.with.clone();
        query.extend(self.made("SELECT * FROM")?);
        query.extend(self.source.iter().cloned());
        Ok(query)
    }

    /// What UPDATE or INSERT of the source's columns does, column by column; `columns` are those of the table.
    pub(crate) fn all(&self, all: All, columns: &[String], source: &[String]) -> Result<Action> {
        let targets = if all.by_name { source } else { columns };
        if targets.len() != source.len() {
            let message = format!("{} columns of the source for {} of the table", source.len(), columns.len());
            let error = Error::new(Code::InvalidQuery, message).span(all.span);
            return Err(error.hint("BY NAME takes those that the source has"));
        }
        let mut set = Vec::new();
        for (column, name) in targets.iter().zip(source) {
            let value = self.made(&format!("{}.{}", quoted(&self.source_alias), quoted(name)))?;
            set.push(Assignment { column: column.clone(), span: all.span, value });
        }
        Ok(match all.inserts {
            false => Action::Update(set),
            true => {
                let (columns, values) = set.into_iter().map(|one| ((one.column, one.span), one.value)).unzip();
                Action::Insert { columns, values: Some(values) }
            }
        })
    }

    /// The query of the rows of the table that change or go, by number: whether they go, and what `columns` are then.
    /// `None` where there are none. A column is a name, a type and a default.
    pub(crate) fn changes(&self, rows: Rows, columns: &[[String; 3]]) -> Result<Option<Tokens>> {
        let alias = quoted(&self.alias);
        let clauses = || self.clauses.iter().filter(|clause| clause.rows == rows);
        if rows == Rows::NotInTable || !clauses().any(|clause| clause.action.changes()) {
            return Ok(None);
        }
        let mut query = self.with.clone();
        query.extend(self.made(&format!("SELECT {alias}.{0} AS {0}, (", quoted(NUMBER)))?);
        let goes = |clause: &Clause| match &clause.action {
            Action::Delete => self.made("true").map(Some),
            Action::Error(said) => self.failure(clause, said.as_deref(), "BOOLEAN").map(Some),
            _ => Ok(None),
        };
        query.extend(self.first(rows, goes, "false")?);
        query.extend(self.made(") AS \"#goes\"")?);
        for (index, [column, data_type, default]) in columns.iter().enumerate() {
            let old = format!("{alias}.{}", quoted(column));
            let value = |clause: &Clause| {
                let Action::Update(set) = &clause.action else { return Ok(None) };
                let own = |set: &&Assignment| set.column.to_lowercase() == column.to_lowercase();
                let Some(set) = set.iter().find(own) else { return Ok(None) };
                self.cast(&with_default(&set.value, default)?, data_type).map(Some)
            };
            query.extend(self.made(", (")?);
            query.extend(self.first(rows, value, &old)?);
            query.extend(self.made(&format!(") AS {}", quoted(&format!("#{}", index + 1))))?);
        }
        query.extend(self.taken(rows, |action| action.changes())?);
        Ok(Some(query))
    }

    /// The query of the rows that come, their `columns` as those of the table.
    pub(crate) fn inserts(&self, rows: Rows, columns: &[[String; 3]]) -> Result<Option<Tokens>> {
        let clauses = || self.clauses.iter().filter(|clause| clause.rows == rows);
        let fails = |action: &Action| rows == Rows::NotInTable && matches!(action, Action::Error(_));
        let comes = |action: &Action| matches!(action, Action::Insert { .. }) || fails(action);
        if !clauses().any(|clause| comes(&clause.action)) {
            return Ok(None);
        }
        let mut query = self.with.clone();
        query.extend(self.made("SELECT")?);
        for (index, [column, data_type, default]) in columns.iter().enumerate() {
            let value = |clause: &Clause| {
                let (targets, values) = match &clause.action {
                    Action::Insert { columns, values } => (columns, values),
                    Action::Error(said) if index == 0 => {
                        return self.failure(clause, said.as_deref(), data_type).map(Some);
                    }
                    _ => return Ok(None),
                };
                let own = |(name, _): &(String, Span)| name.to_lowercase() == column.to_lowercase();
                let given = values.as_ref().and_then(|values| values.get(targets.iter().position(own)?));
                let value = match given {
                    Some(value) => with_default(value, default)?,
                    None => self.made(default)?,
                };
                self.cast(&value, data_type).map(Some)
            };
            query.extend(self.made(if index > 0 { ", (" } else { "(" })?);
            query.extend(self.first(rows, value, "NULL")?);
            query.extend(self.made(&format!(") AS {}", quoted(&format!("#{}", index + 1))))?);
        }
        query.extend(self.taken(rows, comes)?);
        Ok(Some(query))
    }

    /// `FROM … WHERE …`: the rows of a kind that the clauses with these actions take.
    fn taken(&self, rows: Rows, acts: impl Fn(&Action) -> bool) -> Result<Tokens> {
        let table = self.made(&format!("{} AS {}", quoted(TARGET), quoted(&self.alias)))?;
        let (first, other) = match rows {
            Rows::NotInTable => (&self.source, Some(&table)),
            Rows::NotInSource => (&table, Some(&self.source)),
            Rows::Matched => (&table, None),
        };
        let mut taken = self.made("FROM")?;
        taken.extend(first.iter().cloned());
        match other {
            Some(other) => {
                taken.extend(self.made("WHERE NOT EXISTS (SELECT 1 FROM")?);
                taken.extend(other.iter().cloned());
                taken.extend(self.made("WHERE (")?);
                taken.extend(self.condition.iter().cloned());
                taken.extend(self.made("))")?);
            }
            None => {
                taken.extend(self.made(",")?);
                taken.extend(self.source.iter().cloned());
                taken.extend(self.made("WHERE (")?);
                taken.extend(self.condition.iter().cloned());
                taken.extend(self.made(")")?);
            }
        }
        taken.extend(self.made("AND (")?);
        taken.extend(self.first(
            rows,
            |clause| acts(&clause.action).then(|| self.made("true")).transpose(),
            "false",
        )?);
        taken.extend(self.made(")")?);
        Ok(taken)
    }

    /// What the first clause that takes a row says; `otherwise` where it says nothing.
    fn first(&self, rows: Rows, says: impl Fn(&Clause) -> Result<Option<Tokens>>, otherwise: &str) -> Result<Tokens> {
        let mut first = self.made("CASE")?;
        for clause in self.clauses.iter().filter(|clause| clause.rows == rows) {
            first.extend(self.made("WHEN (")?);
            match &clause.condition {
                Some(condition) => first.extend(condition.iter().cloned()),
                None => first.extend(self.made("true")?),
            }
            first.extend(self.made(") THEN")?);
            match says(clause)? {
                Some(said) => first.extend(said),
                None => first.extend(self.made(otherwise)?),
            }
        }
        first.extend(self.made(&format!("ELSE {otherwise} END"))?);
        Ok(first)
    }

    /// The error that a clause is, in the place of a value: not in WHERE, which may be asked of rows that a join drops. It takes
    /// something of a row, so that nobody finds it out without one.
    fn failure(&self, clause: &Clause, said: Option<&[TokenWithSpan]>, data_type: &str) -> Result<Tokens> {
        let of_row = match clause.rows {
            Rows::NotInTable => "random()".to_string(),
            _ => format!("{}.{}", quoted(&self.alias), quoted(NUMBER)),
        };
        let text = text_literal(&format!("MERGE: {}", clause.text));
        let mut failure = self.made(&format!("CAST(error(concat({text}, left(CAST({of_row} AS VARCHAR), 0)"))?;
        if let Some(said) = said {
            failure.extend(self.made(", ': ', (")?);
            failure.extend(said.iter().cloned());
            failure.extend(self.made(")")?);
        }
        failure.extend(self.made(&format!(")) AS {data_type})"))?);
        Ok(failure)
    }

    fn cast(&self, value: &[TokenWithSpan], data_type: &str) -> Result<Tokens> {
        let mut cast = self.made("CAST((")?;
        cast.extend(value.iter().cloned());
        cast.extend(self.made(&format!(") AS {data_type})"))?);
        Ok(cast)
    }

    fn made(&self, text: &str) -> Result<Tokens> {
        made(text, self.place)
    }
}

impl Action {
    /// Whether a row of the table changes, or must not be there.
    fn changes(&self) -> bool {
        matches!(self, Action::Update(_) | Action::Delete | Action::Error(_))
    }

    /// Reads what stands behind THEN.
    fn read(mut words: Words, rows: Rows) -> Result<Self> {
        let span = words.span();
        let action = if words.accept("DO NOTHING") {
            Action::Nothing
        } else if words.accept("ERROR") {
            let said = words.take_rest();
            Action::Error((!said.is_empty()).then(|| said.to_vec()))
        } else if rows != Rows::NotInTable && words.accept("DELETE") {
            Action::Delete
        } else if rows != Rows::NotInTable && words.accept("UPDATE") {
            match words.accept("SET") && !words.accept_sign(&Token::Mul) {
                true => Action::Update(assignments(words.take_rest(), &words)?),
                false => all(&mut words, false, span),
            }
        } else if words.accept("INSERT") {
            insert(&mut words, span)?
        } else {
            let hint = match rows {
                Rows::NotInTable => "THEN INSERT (columns) VALUES (…), DO NOTHING or ERROR: there is no row to change",
                _ => "THEN UPDATE SET …, DELETE, INSERT …, DO NOTHING or ERROR",
            };
            return Err(Error::not_supported("this THEN of MERGE").span(span).hint(hint));
        };
        words.end()?;
        Ok(action)
    }
}

impl Clause {
    /// Reads a clause from behind WHEN.
    fn read(words: &mut Words) -> Result<Self> {
        let whole = words.clone();
        let matched = !words.accept("NOT");
        words.expect("MATCHED")?;
        let rows = match (matched, words.accept("BY SOURCE")) {
            (true, false) => Rows::Matched,
            (false, true) => Rows::NotInSource,
            (true, true) => return Err(words.unexpected("WHEN MATCHED or WHEN NOT MATCHED BY SOURCE")),
            (false, false) => {
                words.accept("BY TARGET");
                Rows::NotInTable
            }
        };
        let condition = words.accept("AND").then(|| words.until(&["THEN"]).to_vec());
        if condition.as_ref().is_some_and(Tokens::is_empty) {
            return Err(words.unexpected("a condition"));
        }
        let read = whole.rest().len().saturating_sub(words.rest().len());
        let text = whole.rest().iter().take(read).map(|token| token.token.to_string());
        let text = format!("WHEN {}", text.collect::<Vec<_>>().join(" "));
        words.expect("THEN")?;
        let action = Action::read(Words::new(words.until(&["WHEN", "RETURNING"])), rows)?;
        Ok(Clause { rows, condition, action, text })
    }
}

/// `BY NAME`, `BY POSITION`, `*` or nothing behind UPDATE or INSERT.
fn all(words: &mut Words, inserts: bool, span: Span) -> Action {
    let by_name = words.accept("BY NAME");
    if !by_name {
        words.accept("BY POSITION");
    }
    words.accept_sign(&Token::Mul);
    Action::All(All { inserts, by_name, span })
}

/// `[(columns)] VALUES (…)`, `DEFAULT VALUES`, or the source's columns, from behind INSERT.
fn insert(words: &mut Words, span: Span) -> Result<Action> {
    if words.accept("DEFAULT VALUES") {
        return Ok(Action::Insert { columns: Vec::new(), values: None });
    }
    let mut columns = Vec::new();
    if words.rest().first().is_some_and(|token| token.token == Token::LParen) {
        for part in parts(words.parenthesised()?) {
            let mut column = Words::new(part);
            let span = column.span();
            columns.push((column.word("the name of a column")?, span));
            column.end()?;
        }
        if words.peek() != "VALUES" {
            return Err(words.unexpected("VALUES (…)"));
        }
    }
    if !words.accept("VALUES") {
        return Ok(all(words, true, span));
    }
    let values = parts(words.parenthesised()?).into_iter().map(<[TokenWithSpan]>::to_vec).collect();
    Ok(Action::Insert { columns, values: Some(values) })
}

/// What a source is called: its last name outside of parentheses.
fn alias_of(source: &[TokenWithSpan]) -> Option<String> {
    let mut words = Words::new(source);
    let mut alias = None;
    while !words.is_empty() {
        let is_list = words.rest().first().is_some_and(|token| token.token == Token::LParen);
        if is_list && words.parenthesised().is_ok() {
            continue;
        }
        match words.rest().first().map(|token| &token.token) {
            Some(Token::Word(word)) => alias = Some(word.value.clone()),
            _ => alias = None,
        }
        words = Words::new(words.rest().get(1..).unwrap_or_default());
    }
    alias
}

/// The condition that USING (columns) stands for.
fn alike(columns: &[TokenWithSpan], table: &str, source: &str) -> Result<Tokens> {
    let mut condition = Tokens::new();
    for part in parts(columns) {
        let mut words = Words::new(part);
        let place = words.place();
        let column = quoted(&words.word("the name of a column")?);
        words.end()?;
        let and = if condition.is_empty() { "" } else { "AND " };
        condition.extend(made(&format!("{and}{}.{column} = {}.{column}", quoted(table), quoted(source)), place)?);
    }
    Ok(condition)
}

//! EXPLAIN, DESCRIBE, SUMMARIZE and SHOW.

use datafusion_sql::sqlparser::ast::{CreateTable, DescribeAlias, Statement};
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::Running;
use crate::error::{Error, Result};
use crate::session::names::Name;
use crate::session::scope::Scope;
use crate::session::sql::Prepared;
use crate::session::sql::facts;
use crate::session::sql::visible::Visible;
use crate::session::sql::words::{Tokens, Words, made, parts, written};
use crate::session::{DataFrame, Session};

impl Running<'_> {
    /// `EXPLAIN query`.
    pub(super) fn explain(&self) -> Result<DataFrame> {
        let Statement::Explain {
            describe_alias: DescribeAlias::Explain,
            analyze,
            query_plan: false,
            estimate: false,
            statement,
            format: None,
            options: None,
            ..
        } = &self.prepared.statement
        else {
            return Err(Error::not_supported("this kind of EXPLAIN").hint("write EXPLAIN and the query"));
        };
        let frame = match statement.as_ref() {
            Statement::Query(query) => DataFrame::new(self.session.clone(), self.prepared.plan(query)?),
            other => self.query_of_change(other)?,
        };
        let text = if *analyze { frame.explain_analyze()? } else { frame.explain()? };
        self.answer(vec![("plan", text.lines().map(str::to_string).collect())])
    }

    /// The query of a statement that makes a table or writes a file.
    fn query_of_change(&self, statement: &Statement) -> Result<DataFrame> {
        match statement {
            Statement::CreateTable(CreateTable { query: Some(query), .. }) => {
                Ok(DataFrame::new(self.session.clone(), self.prepared.plan(query)?))
            }
            Statement::Copy { source, to: true, .. } => self.copied(source),
            _ => Err(Error::not_supported("EXPLAIN of a statement without a query")),
        }
    }
}

/// `EXPLAIN (FORMAT json, ANALYZE) query`, from behind EXPLAIN: one text of JSON, or the lines of the plan.
pub(super) fn explain_with_options(session: &Session, mut words: Words) -> Result<DataFrame> {
    let (mut json, mut analyze) = (false, false);
    for option in parts(words.parenthesised()?) {
        let mut option = Words::new(option);
        if option.accept("ANALYZE") {
            analyze = !option.accept("FALSE");
            option.accept("TRUE");
        } else if option.accept("FORMAT") {
            let span = option.span();
            let format = option.take_rest();
            let name = written(format).trim_matches('\'').to_lowercase();
            json = match name.as_str() {
                "json" => true,
                "text" | "default" => false,
                _ => {
                    let error = Error::not_supported(format_args!("EXPLAIN in the format {name}")).span(span);
                    return Err(error.hint("the formats are text and json"));
                }
            };
        }
        option.end()?;
    }
    let plan = Prepared::of_tokens(words.rest().to_vec(), &Scope::new(session.engine()))?.query_plan()?;
    let frame = DataFrame::new(session.clone(), plan);
    let text = if analyze { frame.explain_analyze()? } else { frame.explain()? };
    let lines = if json { vec![tree(&text)] } else { text.lines().map(str::to_string).collect() };
    super::answer(session, vec![("plan", lines)])
}

/// Indented lines as nested JSON objects.
fn tree(text: &str) -> String {
    fn nodes(lines: &mut std::iter::Peekable<std::str::Lines<'_>>, indent: usize) -> Vec<serde_json::Value> {
        let depth = |line: &str| line.len() - line.trim_start().len();
        let mut found = Vec::new();
        while let Some(line) = lines.next_if(|line| depth(line) >= indent) {
            let children = nodes(lines, depth(line) + 1);
            let mut node = serde_json::Map::new();
            node.insert("name".to_string(), line.trim().into());
            node.insert("children".to_string(), children.into());
            found.push(node.into());
        }
        found
    }
    serde_json::Value::from(nodes(&mut text.lines().peekable(), 0)).to_string()
}

/// The query that DESCRIBE, SUMMARIZE or SHOW of a table or query stands for; `None` for another statement.
pub(super) fn query(session: &Session, mut words: Words) -> Result<Option<Tokens>> {
    let place = words.place();
    let scope = Scope::new(session.engine());
    if words.accept("SUMMARIZE") {
        return facts::query("SUMMARIZE", words.rest(), &Visible::default(), place, &scope).map(Some);
    }
    if words.accept("DESCRIBE") || words.accept("DESC") {
        if words.is_empty() {
            return made("SHOW TABLES", place).map(Some);
        }
        words.accept("TABLE");
        return facts::query("DESCRIBE", words.rest(), &Visible::default(), place, &scope).map(Some);
    }
    words.expect("SHOW")?;
    if words.accept("COLUMNS FROM") || words.accept("COLUMNS IN") {
        return facts::query("DESCRIBE", words.rest(), &Visible::default(), place, &scope).map(Some);
    }
    if words.accept("ALL TABLES") {
        words.end()?;
        return made(facts::ALL_TABLES, place).map(Some);
    }
    if words.accept("SCHEMAS") || words.accept("DATABASES") {
        words.end()?;
        return made("SELECT schema_name FROM information_schema.schemata", place).map(Some);
    }
    match is_table(session, words.rest()) {
        true => facts::query("DESCRIBE", words.rest(), &Visible::default(), place, &scope).map(Some),
        false => Ok(None),
    }
}

/// Whether the words name a table, or a query rather than a setting.
fn is_table(session: &Session, words: &[TokenWithSpan]) -> bool {
    let name = match words {
        [TokenWithSpan { token: Token::Word(word), .. }] => Name::plain(&word.value),
        [TokenWithSpan { token: Token::Word(schema), .. }, dot, TokenWithSpan { token: Token::Word(word), .. }]
            if dot.token == Token::Period =>
        {
            Name { schema: Some(schema.value.clone()), name: word.value.clone() }
        }
        [TokenWithSpan { token: Token::SingleQuotedString(_), .. }] => return true,
        _ => return false,
    };
    session.engine().catalog.get(&name).is_some()
}

/// `SHOW TABLES`: those of the session's schema.
pub(super) fn show_tables(session: &Session, mut words: Words) -> Result<DataFrame> {
    words.expect("SHOW TABLES")?;
    let catalog = &session.engine().catalog;
    let mut schema = catalog.current_schema();
    if words.accept("FROM") {
        schema = words.word("the name of a schema")?;
    }
    if !words.is_empty() {
        return Err(Error::not_supported("a condition in SHOW TABLES")
            .span(words.span())
            .hint("write SELECT table_name FROM duckdb_tables() WHERE …"));
    }
    let tables: Vec<_> =
        catalog.list().into_iter().filter(|named| named.schema.eq_ignore_ascii_case(&schema)).collect();
    super::answer(session, vec![("name", tables.iter().map(|named| named.name.clone()).collect())])
}

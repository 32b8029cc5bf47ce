//! SET VARIABLE, RESET VARIABLE, and PRAGMA as another word for SET.

use datafusion_common::ScalarValue;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::own::{Nothing, nothing};
use crate::error::{Code, Error, Result};
use crate::session::scope::Scope;
use crate::session::sql::Prepared;
use crate::session::sql::words::{Tokens, Words, made, quoted};
use crate::session::{DataFrame, Session};

/// `SET VARIABLE name = expression`: the value is computed now.
pub(super) fn set(session: &Session, mut words: Words) -> Nothing {
    let place = words.place();
    words.expect("SET VARIABLE")?;
    let name = words.word("the name of a variable")?;
    if !words.accept_sign(&Token::Eq) {
        words.expect("TO")?;
    }
    let mut query = made("SELECT (", place)?;
    query.extend(words.take_rest().iter().cloned());
    query.extend(made(") AS v", place)?);
    let plan = Prepared::of_tokens(query, &Scope::new(session.engine()))?.query_plan()?;
    let mut value = None;
    for batch in DataFrame::new(session.clone(), plan).stream()? {
        let batch = batch?;
        if batch.num_rows() > 1 || (batch.num_rows() == 1 && value.is_some()) {
            return Err(Error::new(Code::InvalidQuery, "a variable is one value, and these are several rows"));
        }
        if batch.num_rows() == 1 {
            value = Some(ScalarValue::try_from_array(batch.column(0), 0)?);
        }
    }
    let value = value.unwrap_or(ScalarValue::Null);
    session.engine().definitions.change(|defined| defined.variables.insert(name.to_lowercase(), value));
    nothing(session)
}

/// `RESET VARIABLE name`.
pub(super) fn reset(session: &Session, mut words: Words) -> Nothing {
    words.expect("RESET VARIABLE")?;
    let name = words.word("the name of a variable")?;
    words.end()?;
    session.engine().definitions.change(|defined| defined.variables.remove(&name.to_lowercase()));
    nothing(session)
}

/// `PRAGMA name = value` is `SET name = value`; `PRAGMA show_tables` is SHOW TABLES, `PRAGMA table_info('t')` a description.
pub(super) fn pragma(mut words: Words) -> Result<Tokens> {
    let place = words.place();
    words.expect("PRAGMA")?;
    let span = words.span();
    let whole = words.clone();
    let name = words.word("a setting")?;
    let sets = matches!(words.rest().first(), Some(token) if token.token == Token::Eq);
    if sets {
        let mut set = made("SET", place)?;
        set.extend(whole.rest().iter().cloned());
        return Ok(set);
    }
    if name.eq_ignore_ascii_case("show_tables") && words.is_empty() {
        return made("SHOW TABLES", place);
    }
    if name.eq_ignore_ascii_case("table_info") {
        let mut table = Words::new(words.parenthesised()?);
        let table = match table.rest() {
            [TokenWithSpan { token: Token::SingleQuotedString(name), .. }] => made(&quoted(name), place)?,
            _ => table.take_rest().to_vec(),
        };
        let mut query = made(
            "SELECT row_number() OVER () - 1 AS cid, column_name AS name, column_type AS type, \"null\" = 'NO' AS notnull, \
             \"default\" AS dflt_value, false AS pk FROM (DESCRIBE",
            place,
        )?;
        query.extend(table);
        query.extend(made(")", place)?);
        return Ok(query);
    }
    let error = Error::new(Code::NotSupported, format!("floe does not do PRAGMA {name}")).span(span);
    Err(error.hint("PRAGMA name = value sets a setting; SHOW ALL lists the settings, DESCRIBE the columns of a table"))
}

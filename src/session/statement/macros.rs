//! CREATE and DROP of macros, which are functions in SQL.

use std::sync::Arc;

use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::own::{Nothing, nothing};
use crate::error::{Code, Error, Result};
use crate::session::Session;
use crate::session::definitions::{MacroDefinition, MacroForm};
use crate::session::sql::defined::{expression, query_of};
use crate::session::sql::friendly;
use crate::session::sql::words::{Words, parts};

/// `CREATE [OR REPLACE] MACRO [IF NOT EXISTS] name (parameters) AS expression | TABLE query [, (parameters) AS …]`, from behind MACRO.
pub(super) fn create(session: &Session, mut words: Words, replace: bool) -> Nothing {
    let if_not_exists = words.accept("IF NOT EXISTS");
    let span = words.span();
    let name = words.name("the name of a macro")?;
    if name.schema.is_some() {
        return Err(Error::not_supported("a macro in a schema").span(span).hint("write its name alone"));
    }
    let mut forms = Vec::new();
    let mut is_table = None;
    loop {
        let (form, table) = form(&mut words)?;
        if is_table.is_some_and(|before| before != table) {
            let error = Error::new(Code::InvalidQuery, "a macro is a table's in all of its forms or in none");
            return Err(error.span(span));
        }
        is_table = Some(table);
        forms.push(form);
        if !words.accept_sign(&Token::Comma) {
            break;
        }
    }
    words.end()?;
    let definition = MacroDefinition { name: name.name, is_table: is_table == Some(true), forms };
    let taken = session.engine().definitions.change(|defined| {
        let key = definition.name.to_lowercase();
        let taken = defined.macros.contains_key(&key);
        if !taken || replace {
            defined.remove_macro(&key);
            defined.macros.insert(key, Arc::new(definition));
        }
        taken && !replace
    });
    if taken && !if_not_exists {
        let error = Error::new(Code::AlreadyExists, "there is a macro of that name already").span(span);
        return Err(error.hint("OR REPLACE replaces it; IF NOT EXISTS keeps it"));
    }
    nothing(session)
}

/// Reads `(parameters) AS body`; true where the body is a query in the place of a table.
fn form(words: &mut Words) -> Result<(MacroForm, bool)> {
    let mut parameters = Vec::new();
    for part in parts(words.parenthesised()?) {
        parameters.push(parameter(Words::new(part), &parameters)?);
    }
    words.expect("AS")?;
    let is_table = words.accept("TABLE");
    let behind = words.rest();
    words.until_sign(&Token::Comma);
    // A comma before a parenthesis begins another form.
    while matches!(words.rest().get(1), Some(token) if token.token != Token::LParen) {
        words.accept_sign(&Token::Comma);
        words.until_sign(&Token::Comma);
    }
    let body = behind.len() - words.rest().len();
    if body == 0 {
        return Err(words.unexpected("an expression, or TABLE and a query"));
    }
    let body = friendly(behind.get(..body).unwrap_or_default().to_vec())?;
    match is_table {
        true => query_of(body.clone()).map(|_| ())?,
        false => expression(body.clone()).map(|_| ())?,
    }
    Ok((MacroForm { parameters, body }, is_table))
}

type Parameter = (String, Option<Vec<TokenWithSpan>>);

/// `name [type]` or `name := default`.
fn parameter(mut words: Words, before: &[Parameter]) -> Result<Parameter> {
    let span = words.span();
    let name = words.word("the name of a parameter")?;
    if before.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
        return Err(Error::new(Code::InvalidQuery, format!("two parameters are called \"{name}\"")).span(span));
    }
    if words.is_empty() {
        return Ok((name, None));
    }
    let has_default = words.accept_sign(&Token::Assignment) || words.accept_sign(&Token::RArrow);
    if !has_default {
        let error = Error::not_supported("a type of a parameter").span(words.span());
        return Err(error.hint("cast in the body: x::INTEGER; a default is written x := 1"));
    }
    let default = friendly(words.take_rest().to_vec())?;
    expression(default.clone())?;
    Ok((name, Some(default)))
}

/// `DROP MACRO [TABLE] [IF EXISTS] name`, from behind MACRO.
pub(super) fn drop(session: &Session, mut words: Words) -> Nothing {
    words.accept("TABLE");
    let if_exists = words.accept("IF EXISTS");
    let span = words.span();
    let name = words.word("the name of a macro")?;
    if !words.accept("CASCADE") {
        words.accept("RESTRICT");
    }
    words.end()?;
    let gone = session.engine().definitions.change(|defined| defined.remove_macro(&name.to_lowercase()));
    if !gone && !if_exists {
        return Err(Error::new(Code::UnknownFunction, format!("there is no macro named \"{name}\"")).span(span));
    }
    nothing(session)
}

//! CREATE and DROP of macros, which are functions in SQL.

use std::sync::Arc;

use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::own::{Nothing, nothing};
use crate::error::{Code, Error, Result};
use crate::session::Session;
use crate::session::definitions::{MacroDefinition, MacroForm};
use crate::session::sql::defined::{expression, query_of};
use crate::session::sql::friendly;
use crate::session::sql::words::{Tokens, Words, made, parts};

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
    let mut types = Vec::new();
    for part in parts(words.parenthesised()?) {
        let (read, data_type) = parameter(Words::new(part), &parameters)?;
        types.extend(data_type.map(|data_type| (read.0.clone(), data_type)));
        parameters.push(read);
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
    let body = friendly(with_types(behind.get(..body).unwrap_or_default(), &types)?)?;
    match is_table {
        true => query_of(body.clone()).map(|_| ())?,
        false => expression(body.clone()).map(|_| ())?,
    }
    Ok((MacroForm { parameters, body }, is_table))
}

type Parameter = (String, Option<Vec<TokenWithSpan>>);

/// The body with a cast around every parameter that has a type.
fn with_types(body: &[TokenWithSpan], types: &[(String, Tokens)]) -> Result<Tokens> {
    let mut cast = Tokens::with_capacity(body.len());
    for token in body {
        let behind_dot = cast.last().is_some_and(|last: &TokenWithSpan| last.token == Token::Period);
        let declared = types.iter().find(|(name, _)| match &token.token {
            Token::Word(word) => !behind_dot && word.value.eq_ignore_ascii_case(name),
            _ => false,
        });
        let Some((_, data_type)) = declared else {
            cast.push(token.clone());
            continue;
        };
        cast.extend(made("CAST(", token.span)?);
        cast.push(token.clone());
        cast.extend(made("AS", token.span)?);
        cast.extend(data_type.iter().cloned());
        cast.extend(made(")", token.span)?);
    }
    Ok(cast)
}

/// `name [type] [:= default]`; and its type.
fn parameter(mut words: Words, before: &[Parameter]) -> Result<(Parameter, Option<Tokens>)> {
    let span = words.span();
    let name = words.word("the name of a parameter")?;
    if before.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
        return Err(Error::new(Code::InvalidQuery, format!("two parameters are called \"{name}\"")).span(span));
    }
    let declares = |words: &Words| {
        words.rest().first().is_some_and(|token| !matches!(token.token, Token::Assignment | Token::RArrow))
    };
    let data_type = declares(&words).then(|| words.until_sign(&Token::Assignment).to_vec());
    let has_default = words.accept_sign(&Token::Assignment) || words.accept_sign(&Token::RArrow);
    if !has_default {
        words.end()?;
        return Ok(((name, None), data_type));
    }
    let default = friendly(words.take_rest().to_vec())?;
    expression(default.clone())?;
    Ok(((name, Some(default)), data_type))
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

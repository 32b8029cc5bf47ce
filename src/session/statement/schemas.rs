//! CREATE SCHEMA, DROP SCHEMA and USE.

use super::own::{Nothing, nothing};
use crate::error::{Error, Result};
use crate::session::Session;
use crate::session::sql::words::Words;

/// `CREATE SCHEMA [IF NOT EXISTS] name`, from behind SCHEMA.
pub(super) fn create(session: &Session, mut words: Words) -> Nothing {
    let if_not_exists = words.accept("IF NOT EXISTS");
    let span = words.span();
    let name = schema_name(&mut words)?;
    words.end()?;
    session.engine().catalog.create_schema(&name, if_not_exists).map_err(|error| error.span(span))?;
    nothing(session)
}

/// `DROP SCHEMA [IF EXISTS] name [CASCADE]`, from behind SCHEMA.
pub(super) fn drop(session: &Session, mut words: Words) -> Nothing {
    let if_exists = words.accept("IF EXISTS");
    let span = words.span();
    let name = schema_name(&mut words)?;
    let cascade = words.accept("CASCADE");
    if !cascade {
        words.accept("RESTRICT");
    }
    words.end()?;
    session.engine().catalog.drop_schema(&name, if_exists, cascade).map_err(|error| error.span(span))?;
    nothing(session)
}

/// `USE name`.
pub(super) fn use_schema(session: &Session, mut words: Words) -> Nothing {
    words.expect("USE")?;
    let span = words.span();
    let name = schema_name(&mut words)?;
    words.end()?;
    session.engine().catalog.use_schema(&name).map_err(|error| error.span(span))?;
    nothing(session)
}

fn schema_name(words: &mut Words) -> Result<String> {
    let span = words.span();
    let name = words.name("the name of a schema")?;
    match name.schema {
        None => Ok(name.name),
        Some(_) => {
            Err(Error::not_supported("a schema within a database").span(span).hint("write the schema's name alone"))
        }
    }
}

//! CREATE TYPE and DROP TYPE: other names for types.
//!
//! # Known limitation
//! There are no enumerations.

use super::alter::type_of;
use super::own::{Nothing, nothing};
use crate::error::{Code, Error};
use crate::session::Session;
use crate::session::sql::words::Words;

/// `CREATE TYPE [IF NOT EXISTS] name AS type`, from behind TYPE.
pub(super) fn create(session: &Session, mut words: Words, replace: bool) -> Nothing {
    let if_not_exists = words.accept("IF NOT EXISTS");
    let span = words.span();
    let name = words.word("the name of a type")?;
    words.expect("AS")?;
    if words.peek() == "ENUM" {
        let error = Error::not_supported("the type ENUM").span(words.span());
        return Err(error.hint("write CREATE TYPE … AS VARCHAR; texts that repeat are stored once in Parquet files"));
    }
    let place = words.place();
    let data_type = type_of(session, words.take_rest().to_vec(), place)?;
    let taken = session.engine().definitions.change(|defined| {
        let key = name.to_lowercase();
        let taken = defined.types.contains_key(&key);
        if !taken || replace {
            defined.types.insert(key, (name.clone(), data_type));
        }
        taken && !replace
    });
    if taken && !if_not_exists {
        let error = Error::new(Code::AlreadyExists, format!("there is a type named \"{name}\" already")).span(span);
        return Err(error.hint("OR REPLACE replaces it; IF NOT EXISTS keeps it"));
    }
    nothing(session)
}

/// `DROP TYPE [IF EXISTS] name`, from behind TYPE. Columns of the type stay as they are.
pub(super) fn drop(session: &Session, mut words: Words) -> Nothing {
    let if_exists = words.accept("IF EXISTS");
    let span = words.span();
    let name = words.word("the name of a type")?;
    if !words.accept("CASCADE") {
        words.accept("RESTRICT");
    }
    words.end()?;
    let gone = session.engine().definitions.change(|defined| defined.types.remove(&name.to_lowercase()).is_some());
    if !gone && !if_exists {
        return Err(Error::new(Code::InvalidQuery, format!("there is no type named \"{name}\"")).span(span));
    }
    nothing(session)
}

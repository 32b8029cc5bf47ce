//! CREATE TYPE and DROP TYPE: other names for types, and ENUMs.

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use datafusion_common::Column;
use datafusion_expr::{Expr, LogicalPlanBuilder, cast};
use datafusion_sql::sqlparser::tokenizer::TokenWithSpan;

use super::alter::type_of;
use super::own::{Nothing, nothing};
use crate::error::{Code, Error, Result};
use crate::expr::types::enumeration;
use crate::session::scope::Scope;
use crate::session::sql::Prepared;
use crate::session::sql::words::Words;
use crate::session::{DataFrame, Session};

/// `CREATE TYPE [IF NOT EXISTS] name AS type | ENUM (query)`, from behind TYPE.
pub(super) fn create(session: &Session, mut words: Words, replace: bool) -> Nothing {
    let if_not_exists = words.accept("IF NOT EXISTS");
    let span = words.span();
    let name = words.word("the name of a type")?;
    words.expect("AS")?;
    let data_type = match labels_query(&words)? {
        Some(query) => enumeration(labels(session, query)?)?,
        None => {
            let place = words.place();
            type_of(session, words.take_rest().to_vec(), place)?
        }
    };
    let taken = session.engine().definitions.change(|defined| {
        let key = name.to_lowercase();
        let taken = defined.types.contains_key(&key);
        if !taken || replace {
            defined.remove_type(&key);
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

/// The query in `ENUM (query)`; `None` where the labels are written down.
fn labels_query<'a>(words: &Words<'a>) -> Result<Option<&'a [TokenWithSpan]>> {
    let mut words = words.clone();
    if !words.accept("ENUM") || words.is_empty() {
        return Ok(None);
    }
    let query = words.parenthesised()?;
    let is_query = matches!(Words::new(query).peek().as_str(), "SELECT" | "FROM" | "WITH" | "VALUES" | "(");
    if is_query {
        words.end()?;
    }
    Ok(is_query.then_some(query))
}

/// The texts of the query's only column, each once, in the order in which they come.
fn labels(session: &Session, query: &[TokenWithSpan]) -> Result<Vec<String>> {
    let plan = Prepared::of_tokens(query.to_vec(), &Scope::new(session.engine()))?.query_plan()?;
    let [column] = plan.schema().columns().try_into().map_err(|columns: Vec<Column>| {
        Error::new(Code::InvalidQuery, format!("the labels of an ENUM are one column, and these are {}", columns.len()))
    })?;
    let text = cast(Expr::Column(column), DataType::Utf8View).alias("label");
    let plan = LogicalPlanBuilder::from(plan).project([text])?.build()?;
    let (mut labels, mut held) = (Vec::new(), session.engine().budget().reservation("CREATE TYPE"));
    let mut known = std::collections::HashSet::new();
    for batch in DataFrame::new(session.clone(), plan).stream()? {
        let batch = batch?;
        let texts = arrow::compute::cast(batch.column(0), &DataType::Utf8View)?;
        for text in texts.as_string_view().iter().flatten() {
            if !known.contains(text) {
                held.grow(2 * (text.len() + size_of::<String>()))?;
                known.insert(text.to_string());
                labels.push(text.to_string());
            }
        }
    }
    Ok(labels)
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
    let gone = session.engine().definitions.change(|defined| defined.remove_type(&name.to_lowercase()));
    if !gone && !if_exists {
        return Err(Error::new(Code::InvalidQuery, format!("there is no type named \"{name}\"")).span(span));
    }
    nothing(session)
}

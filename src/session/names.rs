//! Names of tables, views, macros and types, perhaps within a schema.

use std::fmt;

use datafusion_sql::sqlparser::ast::{Ident, ObjectName};

/// The schema that is there from the start.
pub(crate) const MAIN: &str = "main";

/// A name as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// `None`: the schema of the session, or else `main`.
    pub schema: Option<String>,
    pub name: String,
}

impl Name {
    /// A name without a schema.
    pub(crate) fn plain(name: &str) -> Self {
        Name { schema: None, name: name.to_string() }
    }

    /// `name` or `schema.name`; `None` for what is no name, as a file in single quotes is.
    pub(crate) fn of(object: &ObjectName) -> Option<Self> {
        let word =
            |ident: &Ident| (ident.quote_style != Some('\'') && !ident.value.is_empty()).then(|| ident.value.clone());
        match object.0.as_slice() {
            [name] => Some(Name { schema: None, name: word(name.as_ident()?)? }),
            [schema, name] => Some(Name { schema: Some(word(schema.as_ident()?)?), name: word(name.as_ident()?)? }),
            _ => None,
        }
    }

    /// The name that the planner looks up; a dot within a quoted name is no dot between two.
    pub(crate) fn key(&self) -> String {
        match &self.schema {
            None => self.name.to_lowercase(),
            Some(schema) => format!("{}\u{1f}{}", schema.to_lowercase(), self.name.to_lowercase()),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            None => f.write_str(&self.name),
            Some(schema) => write!(f, "{schema}.{}", self.name),
        }
    }
}

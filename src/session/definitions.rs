//! What statements define besides tables and views: macros, types, variables, prepared statements.
//!
//! Invariant: a statement sees what was defined when it began.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use parking_lot::RwLock;

use super::sql::words::Tokens;

/// A function that is short for other SQL.
#[derive(Debug)]
pub(crate) struct MacroDefinition {
    /// As written.
    pub name: String,
    /// Whether it stands for a query in FROM.
    pub is_table: bool,
    /// By what arguments it can be called, in the order in which that is tried.
    pub forms: Vec<MacroForm>,
}

/// One of the ways to call a macro.
#[derive(Debug)]
pub(crate) struct MacroForm {
    /// Names, and the default of those that have one.
    pub parameters: Vec<(String, Option<Tokens>)>,
    pub body: Tokens,
}

/// Everything that is defined, by lower-case name.
#[derive(Debug, Default, Clone)]
pub(crate) struct Defined {
    pub macros: BTreeMap<String, Arc<MacroDefinition>>,
    /// The name as written, and the type.
    pub types: BTreeMap<String, (String, DataType)>,
    pub variables: BTreeMap<String, ScalarValue>,
    pub prepared: BTreeMap<String, Arc<Tokens>>,
    /// What COMMENT ON says, by "macro" or "type" and name.
    pub comments: BTreeMap<(&'static str, String), String>,
}

impl Defined {
    /// Takes a type away; whether there was one.
    pub(crate) fn remove_type(&mut self, key: &str) -> bool {
        self.comments.remove(&("type", key.to_string()));
        self.types.remove(key).is_some()
    }

    /// Takes a macro away; whether there was one.
    pub(crate) fn remove_macro(&mut self, key: &str) -> bool {
        self.comments.remove(&("macro", key.to_string()));
        self.macros.remove(key).is_some()
    }
}

/// The definitions of a session.
#[derive(Debug, Default)]
pub(crate) struct Definitions(RwLock<Arc<Defined>>);

impl Definitions {
    /// What is defined now.
    pub(crate) fn now(&self) -> Arc<Defined> {
        self.0.read().clone()
    }

    /// Changes what is defined.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Defined) -> T) -> T {
        let mut defined = self.0.write();
        change(Arc::make_mut(&mut defined))
    }
}

//! What there is to be called: the rows of `floe_functions()`.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion_expr::Documentation;

use super::{macros, told};
use crate::error::Result;
use crate::expr::functions::functions;

/// One function by one of its names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub name: String,
    /// `scalar`, `aggregate`, `window` or `table`.
    pub kind: &'static str,
    pub family: String,
    /// How it is called, `left(text, count)`.
    pub signature: String,
    pub description: String,
}

/// Every function, by name.
pub fn entries() -> Vec<Entry> {
    let registry = functions();
    let mut entries: Vec<Entry> = Vec::new();
    for (name, function) in &registry.scalar {
        entries.push(entry(name, "scalar", function.documentation()));
    }
    for (name, function) in &registry.higher_order {
        entries.push(entry(name, "scalar", function.documentation()));
    }
    for (name, function) in &registry.aggregate {
        entries.push(entry(name, "aggregate", function.documentation()));
    }
    for (name, function) in &registry.window {
        entries.push(entry(name, "window", function.documentation()));
    }
    for known in macros::all() {
        entries.push(Entry {
            name: known.name.to_string(),
            kind: if known.is_aggregate { "aggregate" } else { "scalar" },
            family: known.family.to_string(),
            signature: format!("{}({})", known.name, known.parameters),
            description: known.description.to_string(),
        });
    }
    for known in &macros::TABLE_MACROS {
        entries.push(Entry {
            name: known.name.to_string(),
            kind: "table",
            family: "table".to_string(),
            signature: format!("{}({})", known.name, known.parameters),
            description: known.description.to_string(),
        });
    }
    entries.retain(|entry| !entry.name.starts_with('#'));
    entries.sort();
    entries
}

fn entry(name: &str, kind: &'static str, documentation: Option<&Documentation>) -> Entry {
    let (family, signature, description) = match (told().get(name).filter(|_| kind == "scalar"), documentation) {
        (Some(told), _) => {
            (told.family.to_string(), format!("{name}({})", told.parameters), told.description.to_string())
        }
        (None, Some(documentation)) => {
            let sentence = documentation.description.trim().split("\n").next().unwrap_or_default();
            let sentence = sentence.split(". ").next().unwrap_or_default().trim_end_matches('.').to_string();
            let arguments =
                documentation.syntax_example.find('(').and_then(|at| documentation.syntax_example.get(at..));
            let family = documentation.doc_section.label.to_lowercase();
            let family = family.trim_end_matches("functions").trim().to_string();
            (family, format!("{name}{}", arguments.unwrap_or("(...)")), sentence)
        }
        (None, None) => (String::new(), format!("{name}(...)"), String::new()),
    };
    Entry { name: name.to_string(), kind, family, signature, description }
}

/// The rows of `floe_functions()`.
///
/// # Errors
/// None but a defect.
pub fn function_list() -> Result<RecordBatch> {
    let entries = entries();
    let column =
        |text: fn(&Entry) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(entries.iter().map(text))) };
    Ok(RecordBatch::try_from_iter([
        ("name", column(|entry| &entry.name)),
        ("kind", column(|entry| entry.kind)),
        ("family", column(|entry| &entry.family)),
        ("signature", column(|entry| &entry.signature)),
        ("description", column(|entry| &entry.description)),
    ])?)
}

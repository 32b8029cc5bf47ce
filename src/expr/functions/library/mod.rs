//! floe's own scalar functions, one file for each family, and what is said of every function.
//!
//! A family is a table of [`Function`](function::Function)s: names, parameters, one sentence, and the kernels of its
//! overloads. Registration, `floe_functions()`, did-you-mean and docs/functions.md come from these tables alone. What the
//! libraries have under another name is in [`aliases`], what is short for other SQL in [`macros`].
//!
//! Where a library's function means something else than DuckDB's documentation says, the own one takes its place.

mod aliases;
mod bits;
mod bitstrings;
pub(crate) mod blob;
pub(super) mod catalog;
mod date;
mod decimal;
mod enumeration;
mod format;
mod function;
mod json;
mod list;
pub(super) mod macros;
mod nested;
mod numeric;
mod operators;
mod padding;
mod path;
mod regex;
mod similarity;
mod text;
mod typed;
mod utility;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion_expr::ScalarUDF;

pub(super) use bitstrings::bits_of_two;
pub use bitstrings::operator as bit_operator;
pub(in crate::expr) use date::{days_in_month, days_of, moment};
pub(super) use function::Function;
pub(in crate::expr) use operators::{BETWEEN, CONDITION};

pub(super) use aliases::{aggregate_aliases, scalar_aliases, window_aliases};
pub(super) use list::lambda::higher_order;
pub(super) use list::statistics::Moments;

/// A family's name and its functions.
type Family = (&'static str, fn() -> Vec<Function>);

/// The families in the order of the documentation.
const FAMILIES: [Family; 18] = [
    ("text", text::functions),
    ("text", similarity::functions),
    ("text", format::functions),
    ("text", path::functions),
    ("text", padding::functions),
    ("regex", regex::functions),
    ("numeric", numeric::functions),
    ("numeric", bits::functions),
    ("bit", bitstrings::functions),
    ("date", date::functions),
    ("list", list::functions),
    ("struct", nested::structs),
    ("map", nested::maps),
    ("json", json::functions),
    ("enum", enumeration::functions),
    ("blob", blob::functions),
    ("utility", utility::functions),
    ("operators", operators::functions),
];

/// Every own function as the planner takes it.
pub(super) fn scalars() -> Vec<Arc<ScalarUDF>> {
    let families = FAMILIES.iter().flat_map(|(_, functions)| functions()).map(Function::scalar);
    families.chain([nested::struct_extract_at()]).chain(json::typed_by_value()).collect()
}

/// What is said of an own function.
pub(super) struct Told {
    pub family: &'static str,
    pub parameters: &'static str,
    pub description: &'static str,
}

/// What is said of the own functions, by their names and aliases.
pub(super) fn told() -> &'static HashMap<String, Told> {
    static TOLD: LazyLock<HashMap<String, Told>> = LazyLock::new(|| {
        let mut told = HashMap::new();
        for (family, functions) in FAMILIES {
            for function in functions() {
                let (parameters, description) = (function.parameters, function.description);
                for name in std::iter::once(function.name).chain(function.aliases.iter().map(String::as_str)) {
                    told.insert(name.to_lowercase(), Told { family, parameters, description });
                }
            }
        }
        for (function, parameters, description) in higher_order() {
            for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
                told.insert(name.to_string(), Told { family: "list", parameters, description });
            }
        }
        told
    });
    &TOLD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_taken_once() {
        let mut names: Vec<String> = Vec::new();
        for (_, functions) in FAMILIES {
            for function in functions() {
                names.push(function.name.to_lowercase());
                names.extend(function.aliases.iter().map(|alias| alias.to_lowercase()));
                assert!(!function.description.ends_with('.'), "{}", function.name);
            }
        }
        // A macro may have several numbers of parameters.
        let short: std::collections::BTreeSet<_> = macros::all().iter().map(|known| known.name.to_string()).collect();
        names.extend(short);
        names.sort();
        let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
}

//! Which parts of a column a query looks at.

use std::collections::BTreeMap;

/// All of a value, or some fields of a struct, each in whole or in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parts {
    All,
    Fields(BTreeMap<String, Parts>),
}

/// Nothing at all.
const NONE: &Parts = &Parts::Fields(BTreeMap::new());

impl Parts {
    /// Nothing.
    pub fn none() -> Self {
        NONE.clone()
    }

    /// Whether nothing is wanted.
    pub fn is_none(&self) -> bool {
        matches!(self, Parts::Fields(fields) if fields.is_empty())
    }

    /// The parts of field `name`.
    pub fn of(&self, name: &str) -> &Parts {
        match self {
            Parts::All => self,
            Parts::Fields(fields) => fields.get(name).unwrap_or(NONE),
        }
    }

    /// Adds the whole value at the end of `path`.
    pub fn add(&mut self, path: &[String]) {
        let Parts::Fields(fields) = self else { return };
        match path.split_first() {
            None => *self = Parts::All,
            Some((name, rest)) => fields.entry(name.clone()).or_insert_with(Parts::none).add(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_value_swallows_its_fields() {
        let path = |text: &str| text.split('.').map(str::to_string).collect::<Vec<_>>();
        let mut parts = Parts::none();
        assert!(parts.is_none() && parts.of("a").is_none());
        parts.add(&path("a.b"));
        parts.add(&path("a.c.d"));
        assert!(parts.of("a").of("b") == &Parts::All && parts.of("a").of("c").of("e").is_none());
        parts.add(&path("a"));
        assert_eq!(parts.of("a").of("c").of("e"), &Parts::All);
        parts.add(&path("a.x"));
        assert_eq!(parts.of("a"), &Parts::All);
        assert!(parts.of("b").is_none());
    }
}

//! Paths into JSON: `$.a[0].*` with wildcards and places from the end, `/a/0`, or the one key that the text is.

use std::cell::RefCell;

use crate::error::{Code, Error, Result};
use crate::expr::json::Part;

/// The steps from the whole to a part.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Key(String),
    /// A place in an array, from the end where negative.
    Place(i64),
    /// A key or a place: JSON pointers do not say which.
    Either(String),
    AnyKey,
    AnyPlace,
    /// Any number of steps.
    Deep,
}

thread_local! {
    /// The last paths: those of a query are few, and mostly constant.
    static KNOWN: RefCell<Vec<(String, Path)>> = const { RefCell::new(Vec::new()) };
}

/// Calls `use_it` with the path that the text is.
pub(super) fn cached<T>(text: &str, use_it: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    const KEPT: usize = 8;
    let known = KNOWN.with_borrow(|known| known.iter().find(|(path, _)| path == text).map(|(_, path)| path.clone()));
    if let Some(path) = known {
        return use_it(&path);
    }
    let path = Path::of(text)?;
    KNOWN.with_borrow_mut(|known| {
        if known.len() >= KEPT {
            known.remove(0);
        }
        known.push((text.to_string(), path.clone()));
    });
    use_it(&path)
}

impl Path {
    pub(super) fn of_place(place: i64) -> Self {
        Path(vec![Step::Place(place)])
    }

    pub(super) fn of(text: &str) -> Result<Self> {
        if let Some(pointer) = text.strip_prefix('/') {
            let step = |step: &str| Step::Either(step.replace("~1", "/").replace("~0", "~"));
            return Ok(Path(pointer.split('/').map(step).collect()));
        }
        match text.strip_prefix('$') {
            Some(steps) => Reader { text, rest: steps }.steps().map(Path),
            None if text.is_empty() => Ok(Path(Vec::new())),
            None => Ok(Path(vec![Step::Key(text.to_string())])),
        }
    }

    /// The steps, where there are no wildcards.
    pub(super) fn plain(&self) -> Result<&[Step]> {
        match self.0.iter().any(|step| matches!(step, Step::AnyKey | Step::AnyPlace | Step::Deep)) {
            true => Err(Error::new(Code::InvalidQuery, "a path to be changed has no wildcards")),
            false => Ok(&self.0),
        }
    }

    /// The first part at the path.
    pub(super) fn first<'a>(&self, value: Part<'a>) -> Option<Part<'a>> {
        let mut found = value;
        for (index, step) in self.0.iter().enumerate() {
            found = match step {
                Step::AnyKey | Step::AnyPlace | Step::Deep => {
                    let rest = Path(self.0.get(index..)?.to_vec());
                    return rest.all(found).into_iter().next();
                }
                step => step.into(found)?,
            };
        }
        Some(found)
    }

    /// All parts at the path.
    pub(super) fn all<'a>(&self, value: Part<'a>) -> Vec<Part<'a>> {
        let mut found = vec![value];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| step.all(value)).collect();
        }
        found
    }
}

/// A place as an index of an array of that length.
pub(super) fn index_in(place: i64, length: usize) -> Option<usize> {
    let size = usize::try_from(place.unsigned_abs()).ok()?;
    let index = if place < 0 { length.checked_sub(size)? } else { size };
    (index < length).then_some(index)
}

impl Step {
    fn into<'a>(&self, value: Part<'a>) -> Option<Part<'a>> {
        match self {
            Step::Key(key) => entry(value, key),
            Step::Place(place) if *place >= 0 => value.items()?.nth(usize::try_from(*place).ok()?),
            Step::Place(place) => {
                let index = index_in(*place, value.items()?.count())?;
                value.items()?.nth(index)
            }
            Step::Either(text) => match value.items() {
                Some(mut items) => items.nth(text.parse().ok()?),
                None => entry(value, text),
            },
            Step::AnyKey | Step::AnyPlace | Step::Deep => None,
        }
    }

    fn all<'a>(&self, value: Part<'a>) -> Vec<Part<'a>> {
        match self {
            Step::AnyKey => value.entries().into_iter().flatten().map(|(_, value)| value).collect(),
            Step::AnyPlace => value.items().into_iter().flatten().collect(),
            Step::Deep => {
                let mut found = vec![value];
                let mut next = 0;
                while let Some(value) = found.get(next).copied() {
                    found.extend(Step::AnyKey.all(value).into_iter().chain(Step::AnyPlace.all(value)));
                    next += 1;
                }
                found
            }
            step => step.into(value).into_iter().collect(),
        }
    }
}

/// The value of the first such key.
fn entry<'a>(object: Part<'a>, wanted: &str) -> Option<Part<'a>> {
    object.entries()?.find(|(key, _)| key.text().is_ok_and(|key| key == wanted)).map(|(_, value)| value)
}

/// Reads the steps behind `$`.
struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Reader<'_> {
    fn steps(mut self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        while !self.rest.is_empty() {
            if self.takes('[') {
                steps.push(self.place()?);
            } else if self.takes('.') {
                if self.takes('.') {
                    steps.push(Step::Deep);
                }
                match self.rest.starts_with('[') {
                    true => continue,
                    false => steps.push(self.key()?),
                }
            } else {
                return Err(self.wrong());
            }
        }
        Ok(steps)
    }

    fn takes(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn until(&mut self, end: impl Fn(char) -> bool) -> &str {
        let length = self.rest.find(end).unwrap_or(self.rest.len());
        let (found, rest) = self.rest.split_at(length);
        self.rest = rest;
        found
    }

    fn key(&mut self) -> Result<Step> {
        if self.takes('*') {
            return Ok(Step::AnyKey);
        }
        if self.takes('"') {
            let key = self.until(|next| next == '"').to_string();
            return if self.takes('"') { Ok(Step::Key(key)) } else { Err(self.wrong()) };
        }
        let key = self.until(|next| next == '.' || next == '[').to_string();
        if key.is_empty() { Err(self.wrong()) } else { Ok(Step::Key(key)) }
    }

    fn place(&mut self) -> Result<Step> {
        let inside = self.until(|next| next == ']').to_string();
        if !self.takes(']') {
            return Err(self.wrong());
        }
        if inside == "*" {
            return Ok(Step::AnyPlace);
        }
        if let Some(key) = inside.strip_prefix('"').and_then(|key| key.strip_suffix('"')) {
            return Ok(Step::Key(key.to_string()));
        }
        inside.strip_prefix('#').unwrap_or(&inside).parse().map(Step::Place).map_err(|_| self.wrong())
    }

    fn wrong(&self) -> Error {
        Error::new(Code::InvalidQuery, format!("'{}' is no path into JSON", self.text))
            .hint("write it as $.key[0].key, with [*] and .* for all")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(json: &str, path: &str) -> Option<String> {
        Path::of(path).unwrap().first(Part::of(json).unwrap()).map(Part::json)
    }

    #[test]
    fn paths_lead_where_they_say() {
        assert_eq!(find(r#"{"a": {"b": [1, 2, {"c": 3}]}}"#, "$.a.b[#-1].c").as_deref(), Some("3"));
        assert_eq!(find(r#"{"a b": 1}"#, r#"$."a b""#).as_deref(), Some("1"));
        assert_eq!(find(r#"{"a.b": 1}"#, "a.b").as_deref(), Some("1"));
        assert_eq!(find(r#"{"a": [1, 2]}"#, "/a/1").as_deref(), Some("2"));
        assert_eq!(find("[1, 2]", "$[-1]").as_deref(), Some("2"));
        assert_eq!(find("[1, 2]", "$[2]"), None);
        let value = Part::of(r#"{"a": {"x": 1}, "b": [{"x": 2}]}"#).unwrap();
        assert_eq!(Path::of("$..x").unwrap().all(value).len(), 2);
        assert_eq!(Path::of("$.b[*].x").unwrap().all(value).len(), 1);
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in "[$./a\\[\\]*#\"0-9-]{0,12}") {
            let value = Part::of(r#"{"a": [1, {"a": 2}]}"#).unwrap();
            if let Ok(path) = Path::of(&path) {
                let _ = (path.first(value), path.all(value));
            }
        }
    }
}

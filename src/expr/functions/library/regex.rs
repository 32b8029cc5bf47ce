//! Regular expressions, with options as a text: `c` regard case, `i` do not, `l` the pattern is a plain text, `m`, `n`, `p`
//! and `s` what `.`, `^` and `$` see, `g` (in regexp_replace) everywhere.

use regex::{Regex, RegexBuilder};
use std::cell::RefCell;

use super::function::{Function, function};
use super::typed::{Int, Text, row2, row3, row4};
use crate::error::{Code, Error, Result};

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    vec![
        function(
            "regexp_matches",
            "text, pattern[, options]",
            "Whether the pattern is found in the text",
            [
                row2::<Text, Text, _>(|text, pattern| with(pattern, "", |regex| Ok(regex.is_match(text)))),
                row3::<Text, Text, Text, _>(|text, pattern, options| {
                    with(pattern, options, |regex| Ok(regex.is_match(text)))
                }),
            ],
        ),
        function(
            "regexp_full_match",
            "text, pattern[, options]",
            "Whether the pattern is the whole text",
            [
                row2::<Text, Text, _>(|text, pattern| full_match(text, pattern, "")),
                row3::<Text, Text, Text, _>(full_match),
            ],
        ),
        function(
            "regexp_extract",
            "text, pattern[, group[, options]]",
            "What the pattern, or one of its groups, finds first; empty where it finds nothing",
            [
                row2::<Text, Text, _>(|text, pattern| extract(text, pattern, 0, "")),
                row3::<Text, Text, Int, _>(|text, pattern, group| extract(text, pattern, group, "")),
                row4::<Text, Text, Int, Text, _>(extract),
            ],
        ),
        function(
            "regexp_extract_all",
            "text, pattern[, group[, options]]",
            "What the pattern, or one of its groups, finds",
            [
                row2::<Text, Text, _>(|text, pattern| extract_all(text, pattern, 0, "")),
                row3::<Text, Text, Int, _>(|text, pattern, group| extract_all(text, pattern, group, "")),
                row4::<Text, Text, Int, Text, _>(extract_all),
            ],
        ),
        function(
            "regexp_replace",
            "text, pattern, replacement[, options]",
            "The text with the first find, or with option g every one, replaced; \\1 is a group",
            [
                row3::<Text, Text, Text, _>(|text, pattern, new| replace(text, pattern, new, "")),
                row4::<Text, Text, Text, Text, _>(replace),
            ],
        ),
        function(
            "string_split_regex str_split_regex regexp_split_to_array",
            "text, pattern[, options]",
            "The parts between what the pattern finds",
            [row2::<Text, Text, _>(|text, pattern| split(text, pattern, "")), row3::<Text, Text, Text, _>(split)],
        ),
    ]
}

thread_local! {
    /// The last patterns with their options: those of a query are few, and mostly constant.
    static COMPILED: RefCell<Vec<(String, String, Regex)>> = const { RefCell::new(Vec::new()) };
}

/// Runs `use_it` with the compiled pattern.
pub(super) fn with<T>(pattern: &str, options: &str, use_it: impl FnOnce(&Regex) -> Result<T>) -> Result<T> {
    const KEPT: usize = 8;
    COMPILED.with_borrow_mut(|compiled| {
        let known = compiled.iter().position(|(text, flags, _)| text == pattern && flags == options);
        let at = match known {
            Some(at) => at,
            None => {
                let regex = compile(pattern, options)?;
                if compiled.len() >= KEPT {
                    compiled.remove(0);
                }
                compiled.push((pattern.to_string(), options.to_string(), regex));
                compiled.len() - 1
            }
        };
        match compiled.get(at) {
            Some((_, _, regex)) => use_it(regex),
            None => Err(Error::internal("a pattern is lost")),
        }
    })
}

fn compile(pattern: &str, options: &str) -> Result<Regex> {
    let translated = if options.contains('l') { regex::escape(pattern) } else { translate(pattern) };
    let mut builder = RegexBuilder::new(&translated);
    for option in options.chars() {
        match option {
            'c' => builder.case_insensitive(false),
            'i' => builder.case_insensitive(true),
            's' => builder.dot_matches_new_line(true),
            'm' | 'n' | 'p' => builder.dot_matches_new_line(false),
            'l' | 'g' | ' ' => &mut builder,
            other => {
                let message = format!("there is no option '{other}' for regular expressions");
                return Err(Error::new(Code::InvalidQuery, message)
                    .hint("options are c, i, l, m, n, p, s, and g in regexp_replace"));
            }
        };
    }
    builder.build().map_err(|error| {
        let sentence = error.to_string();
        let sentence = sentence.lines().last().unwrap_or_default().trim_start_matches("error: ").to_string();
        Error::new(Code::InvalidQuery, format!("'{pattern}' is no regular expression: {sentence}"))
    })
}

/// A pattern as DuckDB reads it in the library's words: `\d`, `\w`, `\s` and `\b` are those of ASCII, and between brackets
/// `[`, `&` and `~` stand for themselves.
fn translate(pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len() + 8);
    let mut characters = pattern.chars().peekable();
    // Where the class began that is being read.
    let mut class: Option<usize> = None;
    while let Some(character) = characters.next() {
        match character {
            '\\' => match (characters.next(), class) {
                (Some('d'), _) => written.push_str("[0-9]"),
                (Some('D'), _) => written.push_str("[^0-9]"),
                (Some('w'), _) => written.push_str("[0-9A-Za-z_]"),
                (Some('W'), _) => written.push_str("[^0-9A-Za-z_]"),
                (Some('s'), _) => written.push_str("[\\t\\n\\f\\r ]"),
                (Some('S'), _) => written.push_str("[^\\t\\n\\f\\r ]"),
                (Some('b'), None) => written.push_str("(?-u:\\b)"),
                (Some('Z'), None) => written.push_str("\\z"),
                (Some(other), _) => written.extend(['\\', other]),
                (None, _) => written.push('\\'),
            },
            '[' if class.is_none() => {
                written.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    written.push('^');
                }
                class = Some(written.len());
            }
            '[' if characters.peek() != Some(&':') => written.push_str("\\["),
            '[' => {
                // [:alpha:] and the like.
                written.push('[');
                for inner in characters.by_ref() {
                    written.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            ']' if class == Some(written.len()) => written.push_str("\\]"),
            ']' => {
                class = None;
                written.push(']');
            }
            '&' | '~' if class.is_some() => written.extend(['\\', character]),
            other => written.push(other),
        }
    }
    written
}

fn full_match(text: &str, pattern: &str, options: &str) -> Result<bool> {
    with(&format!("^(?:{pattern})$"), options, |regex| Ok(regex.is_match(text)))
}

fn group_number(group: i64, regex: &Regex) -> Result<usize> {
    let count = regex.captures_len();
    usize::try_from(group).ok().filter(|group| *group < count).ok_or_else(|| {
        let message = format!("the pattern has no group {group}, only {}", count.saturating_sub(1));
        Error::new(Code::InvalidQuery, message)
    })
}

fn extract(text: &str, pattern: &str, group: i64, options: &str) -> Result<String> {
    with(pattern, options, |regex| {
        let group = group_number(group, regex)?;
        if group == 0 {
            return Ok(regex.find(text).map_or("", |found| found.as_str()).to_string());
        }
        let found = regex.captures(text).and_then(|found| found.get(group));
        Ok(found.map_or("", |found| found.as_str()).to_string())
    })
}

fn extract_all(text: &str, pattern: &str, group: i64, options: &str) -> Result<Vec<String>> {
    with(pattern, options, |regex| {
        let group = group_number(group, regex)?;
        let text_of = |found: regex::Captures<'_>| found.get(group).map_or("", |found| found.as_str()).to_string();
        Ok(regex.captures_iter(text).map(text_of).collect())
    })
}

fn split(text: &str, pattern: &str, options: &str) -> Result<Vec<String>> {
    if pattern.is_empty() {
        let characters = text.chars().map(String::from);
        return Ok(if text.is_empty() { vec![String::new()] } else { characters.collect() });
    }
    with(pattern, options, |regex| Ok(regex.split(text).map(str::to_string).collect()))
}

fn replace(text: &str, pattern: &str, new: &str, options: &str) -> Result<String> {
    let new = replacement(new);
    with(pattern, options, |regex| {
        let limit = if options.contains('g') { 0 } else { 1 };
        Ok(regex.replacen(text, limit, new.as_str()).into_owned())
    })
}

/// `\1` as the library writes it: `${1}`.
fn replacement(new: &str) -> String {
    let mut written = String::with_capacity(new.len());
    let mut characters = new.chars();
    while let Some(character) = characters.next() {
        match character {
            '$' => written.push_str("$$"),
            '\\' => match characters.next() {
                Some(digit) if digit.is_ascii_digit() => written.push_str(&format!("${{{digit}}}")),
                Some('\\') => written.push('\\'),
                Some(other) => written.extend(['\\', other]),
                None => written.push('\\'),
            },
            other => written.push(other),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_as_they_are_meant() {
        let finds = |pattern: &str, text: &str| with(pattern, "", |regex| Ok(regex.is_match(text))).unwrap();
        assert!(!finds("\\w", "é") && finds("^.$", "é"));
        assert!(finds("[[]", "[") && finds("[]a]", "]") && finds("[a&&b]", "&"));
        assert!(finds("^[[:alpha:]_]+$", "ab_") && finds("[\\d-]", "-"));
        assert!(finds("\\bx\\b", "a x b"));
    }
}

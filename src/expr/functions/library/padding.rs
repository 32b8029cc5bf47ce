//! Texts of a given length.

use super::function::{Function, function};
use super::typed::{Int, Text, row2, row3};

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    vec![
        function(
            "lpad",
            "text, length[, fill]",
            "The text with fill (a space) before it up to that many characters, or cut to them",
            [row2::<Text, Int, _>(|text, length| left(text, length, " ")), row3::<Text, Int, Text, _>(left)],
        ),
        function(
            "rpad",
            "text, length[, fill]",
            "The text with fill (a space) behind it up to that many characters, or cut to them",
            [row2::<Text, Int, _>(|text, length| right(text, length, " ")), row3::<Text, Int, Text, _>(right)],
        ),
    ]
}

fn left(text: &str, length: i64, fill: &str) -> String {
    padding(text, length, fill).chain(text.chars().take(count(length))).collect()
}

fn right(text: &str, length: i64, fill: &str) -> String {
    text.chars().take(count(length)).chain(padding(text, length, fill)).collect()
}

/// As many characters of `fill`, again and again, as `text` is shorter than `length`.
fn padding(text: &str, length: i64, fill: &str) -> impl Iterator<Item = char> {
    fill.chars().cycle().take(count(length).saturating_sub(text.chars().count()))
}

fn count(length: i64) -> usize {
    usize::try_from(length).unwrap_or(0)
}

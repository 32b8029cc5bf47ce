//! How alike two texts are. Bytes are compared, not characters.

use super::function::{Function, function};
use super::typed::{Double, Text, row2, row3};
use crate::error::{Code, Error, Result};

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    vec![
        function(
            "levenshtein editdist3",
            "text, other",
            "How many bytes are inserted, left out or changed between the texts",
            [row2::<Text, Text, _>(|a, b| strsim::generic_levenshtein(&Bytes(a), &Bytes(b)) as i64)],
        ),
        function(
            "damerau_levenshtein",
            "text, other",
            "As levenshtein, two neighbours that changed places counting once",
            [row2::<Text, Text, _>(|a, b| strsim::generic_damerau_levenshtein(a.as_bytes(), b.as_bytes()) as i64)],
        ),
        function(
            "hamming mismatches",
            "text, other",
            "How many bytes differ between texts of equal length",
            [row2::<Text, Text, _>(hamming)],
        ),
        function(
            "jaccard",
            "text, other",
            "The share of bytes that both texts have among those that any has",
            [row2::<Text, Text, _>(jaccard)],
        ),
        function(
            "jaro_similarity",
            "text, other[, least]",
            "The Jaro similarity, from 0 to 1; 0 where it is less than least",
            [row2::<Text, Text, _>(jaro), row3::<Text, Text, Double, _>(|a, b, least| at_least(jaro(a, b), least))],
        ),
        function(
            "jaro_winkler_similarity",
            "text, other[, least]",
            "The Jaro-Winkler similarity, from 0 to 1; 0 where it is less than least",
            [
                row2::<Text, Text, _>(jaro_winkler),
                row3::<Text, Text, Double, _>(|a, b, least| at_least(jaro_winkler(a, b), least)),
            ],
        ),
    ]
}

/// A text as its bytes.
struct Bytes<'a>(&'a str);

impl<'a> IntoIterator for &'a Bytes<'_> {
    type Item = u8;
    type IntoIter = std::str::Bytes<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.bytes()
    }
}

fn at_least(similarity: f64, least: f64) -> f64 {
    if similarity < least { 0.0 } else { similarity }
}

fn jaro(a: &str, b: &str) -> f64 {
    if a.is_empty() || b.is_empty() { 0.0 } else { strsim::generic_jaro(&Bytes(a), &Bytes(b)) }
}

fn jaro_winkler(a: &str, b: &str) -> f64 {
    if a.is_empty() || b.is_empty() { 0.0 } else { strsim::generic_jaro_winkler(&Bytes(a), &Bytes(b)) }
}

fn hamming(a: &str, b: &str) -> Result<i64> {
    if a.len() != b.len() {
        return Err(Error::new(Code::InvalidQuery, "hamming takes texts of equal length"));
    }
    Ok(a.bytes().zip(b.bytes()).filter(|(a, b)| a != b).count() as i64)
}

fn jaccard(a: &str, b: &str) -> Result<f64> {
    if a.is_empty() || b.is_empty() {
        return Err(Error::new(Code::InvalidQuery, "jaccard takes no empty text"));
    }
    let bytes = |text: &str| {
        let mut seen = [false; 256];
        text.bytes().for_each(|byte| seen[usize::from(byte)] = true);
        seen
    };
    let (a, b) = (bytes(a), bytes(b));
    let both = a.iter().zip(&b).filter(|(a, b)| **a && **b).count();
    let any = a.iter().zip(&b).filter(|(a, b)| **a || **b).count();
    Ok(both as f64 / any as f64)
}

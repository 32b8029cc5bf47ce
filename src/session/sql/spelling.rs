//! Names match without regard to case and keep their spelling.
//!
//! Every name of a statement gets one canonical spelling: that of the column it is in the files or tables, else that of
//! an alias, else the first in the text. Tokens are rewritten to it before the planner, which compares exactly, sees
//! them, and the tables' columns are shown to it in the same spelling.
//!
//! # Known limitation
//! Two tables that spell a column differently show it as the first does.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Fields, Schema, SchemaRef};
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::plan::with_names;

/// Lower-case name → the spelling that the statement uses for it.
#[derive(Debug, Default)]
pub(crate) struct Spelling(HashMap<String, String>);

impl Spelling {
    /// Takes `name`'s spelling unless it has one already.
    pub(crate) fn learn(&mut self, name: &str) {
        self.0.entry(name.to_lowercase()).or_insert_with(|| name.to_string());
    }

    /// Takes the spelling of every column, and then of every field inside one.
    pub(crate) fn learn_schema(&mut self, schema: &Schema) {
        for name in distinct_names(schema.fields().iter().map(|field| field.name().as_str())) {
            self.learn(&name);
        }
        self.learn_inner(schema.fields());
    }

    fn learn_inner(&mut self, fields: &Fields) {
        for field in fields {
            match field.data_type() {
                DataType::Struct(inner) => {
                    inner.iter().for_each(|field| self.learn(field.name()));
                    self.learn_inner(inner);
                }
                DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                    self.learn_inner(&Fields::from(vec![item.clone()]));
                }
                _ => {}
            }
        }
    }

    /// Takes the spelling of the names in the text: aliases behind AS before other names, and names that may be a
    /// function's or are a keyword last.
    pub(crate) fn learn_tokens(&mut self, tokens: &[TokenWithSpan]) {
        let tokens: Vec<&Token> =
            tokens.iter().map(|token| &token.token).filter(|token| !matches!(token, Token::Whitespace(_))).collect();
        let mut ranked: Vec<(u8, &Word)> = Vec::new();
        for (index, token) in tokens.iter().enumerate() {
            let Token::Word(word) = token else { continue };
            let before = index.checked_sub(1).and_then(|index| tokens.get(index));
            let after = tokens.get(index + 1);
            let rank = if matches!(before, Some(Token::Word(word)) if word.keyword == Keyword::AS) {
                0
            } else if matches!(after, Some(Token::LParen)) {
                2
            } else if word.keyword != Keyword::NoKeyword && word.quote_style.is_none() {
                3
            } else {
                1
            };
            ranked.push((rank, word));
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.iter().for_each(|(_, word)| self.learn(&word.value));
    }

    /// The statement's spelling of `name`.
    pub(crate) fn of<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.get(&name.to_lowercase()).map_or(name, String::as_str)
    }

    /// Rewrites every name in the tokens to its spelling.
    pub(crate) fn apply(&self, tokens: &mut [TokenWithSpan]) {
        for token in tokens {
            if let Token::Word(word) = &mut token.token
                && let Some(spelling) = self.0.get(&word.value.to_lowercase())
            {
                word.value.clone_from(spelling);
            }
        }
    }

    /// The schema with its columns in the statement's spelling; a column that differs from an earlier one only by case
    /// gets a number.
    pub(crate) fn rename(&self, schema: &SchemaRef) -> SchemaRef {
        let names = distinct_names(schema.fields().iter().map(|field| field.name().as_str()));
        let names: Vec<String> = names.iter().map(|name| self.of(name).to_string()).collect();
        with_names(schema, &names)
    }
}

/// The names, each that equals an earlier one regardless of case with `_1`, `_2` … behind it.
pub(crate) fn distinct_names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let names: Vec<&str> = names.collect();
    let mut taken: std::collections::HashSet<String> = std::collections::HashSet::new();
    let all: std::collections::HashSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    names
        .into_iter()
        .map(|name| {
            if taken.insert(name.to_lowercase()) {
                return name.to_string();
            }
            let mut number = 1_usize;
            loop {
                let candidate = format!("{name}_{number}");
                let lower = candidate.to_lowercase();
                if !all.contains(&lower) && taken.insert(lower) {
                    return candidate;
                }
                number += 1;
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Field;

    use super::*;
    use crate::session::sql::parse;

    fn schema(names: &[&str]) -> SchemaRef {
        Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect::<Vec<_>>()))
    }

    #[test]
    fn columns_win_over_aliases_and_aliases_over_other_names() {
        let mut spelling = Spelling::default();
        spelling.learn_schema(&schema(&["UserId"]));
        let tokens = parse::tokens("select uid, USERID as userid, x as Uid, Count(*) as count from T").unwrap();
        spelling.learn_tokens(&tokens);
        assert_eq!(spelling.of("userID"), "UserId");
        assert_eq!(spelling.of("uid"), "Uid");
        assert_eq!(spelling.of("COUNT"), "count");
        assert_eq!(spelling.of("t"), "T");
        assert_eq!(spelling.of("Unknown"), "Unknown");
    }

    #[test]
    fn every_name_is_rewritten_also_quoted_ones() {
        let mut spelling = Spelling::default();
        spelling.learn_schema(&schema(&["UserId"]));
        let mut tokens = parse::tokens("select userid, \"USERID\", 'userid'").unwrap();
        spelling.apply(&mut tokens);
        let text: String = tokens.iter().map(|token| token.token.to_string()).collect();
        assert_eq!(text, "select UserId, \"UserId\", 'userid'");
    }

    #[test]
    fn columns_that_differ_by_case_get_numbers() {
        let renamed = Spelling::default().rename(&schema(&["Id", "id", "ID_1", "iD"]));
        let names: Vec<_> = renamed.fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["Id", "id_2", "ID_1", "iD_3"]);
    }

    #[test]
    fn a_column_that_two_tables_spell_differently_is_spelled_as_in_the_first() {
        let mut spelling = Spelling::default();
        spelling.learn_schema(&schema(&["UserId"]));
        spelling.learn_schema(&schema(&["USERID", "Name"]));
        let names: Vec<_> =
            spelling.rename(&schema(&["USERID", "Name"])).fields().iter().map(|f| f.name().clone()).collect();
        assert_eq!(names, ["UserId", "Name"]);
    }
}

//! The beginning of one file: byte order mark, skipped lines, header; and which of its columns are the scan's.
//!
//! Columns are matched by the header's names in every file; without a header by position.

use std::sync::Arc;

use memchr::memchr;

use crate::error::{Code, Error, Result};
use crate::io::{Compression, InputFile, Location};
use crate::scan::csv::dialect::Dialect;
use crate::scan::csv::fit::{check_encoding, own_settings};
use crate::scan::csv::records::counted;
use crate::scan::csv::settings::Settings;
use crate::scan::csv::tokenize::{BadRecord, FirstRecord, Flaw, Tokenizer};
use crate::scan::csv::window::Window;
use crate::scan::fault::shown;

/// Bytes that tell what a file is.
const LONGEST_MARK: usize = 4;

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes of a file that are read to find its header.
const HEAD_BYTES: u64 = 64 * 1024;

/// Words that no name can be without quotes.
const RESERVED: &str = "all and any array as asc between both case cast check collate column constraint create default \
    desc distinct do else end except exists false fetch for foreign from full grant group having in inner intersect into \
    is join lateral leading left like limit natural not null offset on only or order outer pivot primary qualify \
    references returning right select some table then to trailing true union unique unpivot using values when where \
    window with";

/// What stands before a file's records.
#[derive(Debug, Clone)]
pub struct Head {
    /// Where the records begin in the (inflated) file.
    pub data_start: u64,
    /// The header's names, made distinct.
    pub names: Option<Vec<String>>,
    /// Fields of the header or the first record; 0 for a file without any.
    pub columns: usize,
    /// How this file is written.
    dialect: Dialect,
}

impl Head {
    /// Reads the head of the file behind `window`, which stands at its beginning. `settings.header` is known.
    ///
    /// # Errors
    /// What reading finds, and a header that is no record.
    pub fn read(window: &mut Window, settings: &Settings) -> Result<Head> {
        let mut start = after_preamble(window, settings)?;
        let dialect = settings.dialect();
        let tokenizer = Tokenizer::of_any_width(dialect, settings.rules);
        loop {
            let found = tokenizer.first_record(window.data(), start, window.at_end());
            let (fields, next) = match found {
                FirstRecord::Found { fields, next } => (fields, next),
                FirstRecord::None => return Ok(Head { data_start: start as u64, names: None, columns: 0, dialect }),
                FirstRecord::Incomplete => {
                    window.fill()?;
                    continue;
                }
                FirstRecord::Bad(bad) if settings.ignore_errors && !settings.header.unwrap_or(false) => {
                    start = bad.end;
                    continue;
                }
                FirstRecord::Bad(bad) => return Err(bad_head(window, bad)?),
            };
            if !settings.header.unwrap_or(false) {
                return Ok(Head {
                    data_start: start as u64,
                    names: None,
                    columns: fields.len().max(settings.widest),
                    dialect,
                });
            }
            let mut names = Vec::with_capacity(fields.len());
            for field in &fields {
                let bytes = window.data().get(field.start()..field.end()).unwrap_or_default();
                let bytes = tokenizer.dialect().unescaped(bytes, field.escaped());
                match std::str::from_utf8(&bytes) {
                    Ok(name) if settings.normalize_names => names.push(identifier(name)),
                    Ok(name) => names.push(name.trim().to_string()),
                    Err(_) => return Err(not_utf8(window, field.start(), &bytes)?),
                }
            }
            // Records may be wider than the header.
            names.resize(names.len().max(settings.widest), String::new());
            let (columns, names) = (names.len(), Some(distinct(names)));
            return Ok(Head { data_start: next as u64, columns, names, dialect });
        }
    }

    /// Opens the file and reads its head, in the file's own dialect where the options leave that open.
    ///
    /// # Errors
    /// As `read`, and a file in another encoding.
    pub fn open(path: &Location, settings: &Settings) -> Result<Head> {
        check_encoding(path, settings)?;
        let mut window = head_window(path, settings)?;
        let settings = own_settings(&mut window, settings)?;
        Head::read(&mut window, &settings)
    }

    /// The dialect of the records behind the header.
    pub fn record_dialect(&self) -> Dialect {
        Dialect { blank_is_record: self.columns == 1, ..self.dialect }
    }

    /// For every column of the scan, its place in this file; `None` where a missing column is NULL.
    ///
    /// # Errors
    /// `INVALID_DATA` naming this file and `other` (whose columns are the scan's) when the columns differ.
    pub fn places(&self, path: &str, other: &str, settings: &Settings) -> Result<Vec<Option<usize>>> {
        let columns = &settings.file_columns;
        let declared = settings.columns.is_some();
        let Some(names) = self.names.as_ref().filter(|_| settings.names.is_none()) else {
            return self.by_position(path, other, columns);
        };
        let place = |column: &String| {
            let exact = names.iter().position(|name| name == column);
            exact.or_else(|| names.iter().position(|name| name.eq_ignore_ascii_case(column)))
        };
        let places: Vec<_> = columns.iter().map(place).collect();
        let missing = columns.iter().zip(&places).find(|(_, place)| place.is_none()).map(|(column, _)| column);
        if let (true, Some(_)) = (declared, missing) {
            return self.by_position(path, other, columns);
        }
        if let (false, Some(column)) = (settings.union_by_name, missing) {
            let message = format!("'{path}' has no column '{column}', which '{other}' has");
            return Err(Error::new(Code::InvalidData, message)
                .hint("union_by_name => true reads columns that a file lacks as NULL"));
        }
        let extra = names.iter().find(|name| !columns.iter().any(|column| column.eq_ignore_ascii_case(name)));
        if let (false, Some(name)) = (declared, extra) {
            let message = format!("'{path}' has a column '{name}', which '{other}' does not have");
            return Err(Error::new(Code::InvalidData, message)
                .hint("union_by_name => true reads columns that a file lacks as NULL; columns => {…} names all"));
        }
        Ok(places)
    }

    fn by_position(&self, path: &str, other: &str, columns: &[String]) -> Result<Vec<Option<usize>>> {
        if self.columns != columns.len() && self.columns != 0 {
            let (here, there) = (counted(self.columns), columns.len());
            let versus = if path == other { "are declared".to_string() } else { format!("are in '{other}'") };
            let message = format!("'{path}' has {here}, but {there} {versus}");
            return Err(Error::new(Code::InvalidData, message).hint("check delim, quote and skip"));
        }
        Ok((0..columns.len()).map(Some).collect())
    }
}

/// A window at the beginning of a file.
///
/// # Errors
/// When the file cannot be opened.
pub fn head_window(path: &Location, settings: &Settings) -> Result<Window> {
    let newline = settings.dialect().newline;
    if settings.is_stream(path) {
        return Ok(Window::over_stream(path, settings.stream(path)?, newline, None));
    }
    let file = Arc::new(InputFile::open(path)?);
    file.expect(0..HEAD_BYTES);
    Ok(Window::over_file(file, 0, HEAD_BYTES, newline, None))
}

/// Where the text begins behind the byte order mark and the skipped lines.
///
/// # Errors
/// What reading finds; `INVALID_DATA` for UTF-16.
pub fn after_preamble(window: &mut Window, settings: &Settings) -> Result<usize> {
    while window.data().len() < LONGEST_MARK && !window.at_end() {
        window.fill()?;
    }
    let mut at = match window.data() {
        [0xef, 0xbb, 0xbf, ..] => UTF8_MARK.len(),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            let message = format!("'{}' is encoded as UTF-16", window.path());
            return Err(Error::new(Code::InvalidData, message)
                .hint("encoding => 'utf-16' reads it; files of different encodings are read apart"));
        }
        data => {
            refuse_other_formats(data, window.path())?;
            0
        }
    };
    let newline = settings.dialect().newline;
    let mut lines = settings.skip;
    while lines > 0 {
        match memchr(newline, window.data().get(at..).unwrap_or_default()) {
            Some(length) => {
                at += length + 1;
                lines -= 1;
            }
            None if window.at_end() => return Ok(window.data().len()),
            None => window.fill()?,
        }
    }
    Ok(at)
}

/// Files that are no text at all, by their first bytes.
fn refuse_other_formats(data: &[u8], path: &str) -> Result<()> {
    let (what, hint) = match (Compression::of_bytes(data), data) {
        (Compression::None, [b'P', b'A', b'R', b'1', ..]) => ("Parquet", "read it with read_parquet(…)".to_string()),
        (Compression::None, _) => return Ok(()),
        (form, _) => (form.name(), format!("compression => '{}' inflates it", form.name())),
    };
    Err(Error::new(Code::InvalidData, format!("'{path}' is no text: it holds {what} data")).hint(hint))
}

fn bad_head(window: &Window, bad: BadRecord) -> Result<Error> {
    let (line, path) = (window.line_of(bad.at)?, window.path());
    let text = shown(window.data().get(bad.start..bad.end).unwrap_or_default().trim_ascii_end());
    let (what, hint) = match bad.flaw {
        Flaw::Size(bytes) => (
            format!("the first record has {bytes} bytes, more than max_line_size allows"),
            "give a larger max_line_size",
        ),
        _ => ("the quotes of the first record do not match".to_string(), "check quote, escape and skip"),
    };
    Ok(Error::new(Code::InvalidData, format!("'{path}' line {line}: {what}: {text}")).hint(hint))
}

fn not_utf8(window: &Window, at: usize, bytes: &[u8]) -> Result<Error> {
    let (line, path) = (window.line_of(at)?, window.path());
    let message = format!("'{path}' line {line}: a column name is not UTF-8: {}", shown(bytes));
    Ok(Error::new(Code::InvalidData, message).hint("encoding => 'latin-1' or 'windows-1252' may read it"))
}

/// The name as an identifier that needs no quotes: words in lower case, without signs, joined by `_`; with `_` before a
/// digit or a word that means something in SQL.
fn identifier(name: &str) -> String {
    let letters = |word: &str| word.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let words: Vec<_> = name.split_whitespace().map(letters).filter(|word| !word.is_empty()).collect();
    let joined = words.join("_").to_lowercase();
    let needs_more = joined.is_empty() && !name.trim().is_empty()
        || joined.starts_with(|first: char| first.is_ascii_digit())
        || RESERVED.split_whitespace().any(|word| word == joined);
    if needs_more { format!("_{joined}") } else { joined }
}

/// Names that differ without regard to case: an empty one is called by its position, a repeated one gets a number.
pub fn distinct(names: Vec<String>) -> Vec<String> {
    let mut taken: std::collections::HashSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let mut seen = std::collections::HashSet::new();
    let mut result = Vec::with_capacity(names.len());
    for (index, name) in names.into_iter().enumerate() {
        let name = if name.is_empty() { format!("column{index}") } else { name };
        let mut unique = name.clone();
        let mut number = 0;
        while seen.contains(&unique.to_lowercase()) || (number > 0 && taken.contains(&unique.to_lowercase())) {
            number += 1;
            unique = format!("{name}_{number}");
        }
        seen.insert(unique.to_lowercase());
        taken.insert(unique.to_lowercase());
        result.push(unique);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers() {
        let names = ["My Col", " x ", "1abc", "select", "a-b", "%", "Order Id (n)", "", "Größe"].map(identifier);
        assert_eq!(names, ["my_col", "x", "_1abc", "_select", "ab", "_", "order_id_n", "", "größe"]);
    }

    #[test]
    fn names_become_distinct() {
        let names = ["a", "", "A", "a", "a_1", ""].map(str::to_string).to_vec();
        assert_eq!(distinct(names), ["a", "column1", "A_2", "a_3", "a_1", "column5"]);
    }
}

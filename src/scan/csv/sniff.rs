//! Finding out a file's dialect from its first records.
//!
//! The delimiter is the one of `,` `;` tab `|` under which most records have the same number (more than one) of
//! fields; where two are equal, the one with more fields. The first record is a header when
//! * some column of it is text while all other values of the column are numbers, dates or booleans, or else
//! * all of its values are distinct texts that are not empty and do not occur again in their columns.

use std::collections::HashSet;

use crate::scan::csv::dialect::Dialect;
use crate::scan::csv::settings::Settings;
use crate::scan::csv::tokenize::{FirstRecord, Rules, Tokenizer};
use crate::scan::infer::Kind;

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
const SNIFFED_RECORDS: usize = 1000;

/// A name is shorter than this.
const LONGEST_NAME: usize = 128;

/// Records with their fields' texts.
type Rows = Vec<Vec<Text>>;

struct Text {
    bytes: Vec<u8>,
    quoted: bool,
}

/// What the first records show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sniffed {
    pub delimiter: u8,
    pub newline: u8,
    pub header: bool,
    /// Records that were seen.
    pub records: usize,
}

/// Looks at the text behind byte order mark and skipped lines. What `settings` gives is not questioned.
pub fn sniff(data: &[u8], at_end: bool, settings: &Settings) -> Sniffed {
    let newline = settings.newline.unwrap_or_else(|| newline(data));
    let dialect = Dialect { newline, ..settings.dialect() };
    let delimiter = settings.delimiter.unwrap_or_else(|| delimiter(data, at_end, dialect, settings));
    let rows = rows(data, at_end, Dialect { delimiter, ..dialect }, settings.rules);
    let header = settings.header.unwrap_or_else(|| is_header(&rows, settings));
    Sniffed { delimiter, newline, header, records: rows.len() }
}

/// A lone `\r` ends lines only in files without any `\n`.
pub fn newline(data: &[u8]) -> u8 {
    let has = |byte| memchr::memchr(byte, data).is_some();
    if !has(b'\n') && has(b'\r') { b'\r' } else { b'\n' }
}

fn delimiter(data: &[u8], at_end: bool, dialect: Dialect, settings: &Settings) -> u8 {
    let score = |&delimiter: &u8| {
        let (agreeing, width) = agreement(data, at_end, Dialect { delimiter, ..dialect }, settings.rules);
        if width < 2 { (0, 0) } else { (agreeing, width) }
    };
    // The first of equals.
    let separates = |delimiter: &&u8| !(settings.forms.comma && **delimiter == b',');
    DELIMITERS
        .iter()
        .rev()
        .filter(separates)
        .max_by_key(|delimiter| score(delimiter))
        .copied()
        .filter(|best| score(best).1 > 1)
        .unwrap_or(if settings.forms.comma { b';' } else { b',' })
}

/// How many of a thousand records have the commonest number of fields, and that number.
fn agreement(data: &[u8], at_end: bool, dialect: Dialect, rules: Rules) -> (usize, usize) {
    let tokenizer = Tokenizer::of_any_width(dialect, rules);
    let mut widths: Vec<usize> = Vec::new();
    let (mut at, mut flaws) = (0, 0);
    while widths.len() + flaws < SNIFFED_RECORDS {
        match tokenizer.first_record(data, at, at_end) {
            FirstRecord::Found { fields, next } => {
                widths.push(fields.len());
                at = next;
            }
            FirstRecord::Bad(bad) => {
                flaws += 1;
                at = bad.end;
            }
            FirstRecord::None | FirstRecord::Incomplete => break,
        }
    }
    let records = widths.len() + flaws;
    widths.sort_unstable();
    let commonest = widths.chunk_by(|a, b| a == b).max_by_key(|group| (group.len(), group[0]));
    commonest.map_or((0, 0), |group| (group.len() * 1000 / records.max(1), group[0]))
}

fn rows(data: &[u8], at_end: bool, dialect: Dialect, rules: Rules) -> Rows {
    let tokenizer = Tokenizer::of_any_width(dialect, rules);
    let mut rows = Vec::new();
    let mut at = 0;
    while rows.len() < SNIFFED_RECORDS {
        match tokenizer.first_record(data, at, at_end) {
            FirstRecord::Found { fields, next } => {
                let text = |field: &crate::scan::csv::tokenize::Field| Text {
                    bytes: dialect
                        .unescaped(data.get(field.start()..field.end()).unwrap_or_default(), field.escaped())
                        .into_owned(),
                    quoted: field.quoted(),
                };
                rows.push(fields.iter().map(text).collect());
                at = next;
            }
            FirstRecord::Bad(bad) => at = bad.end,
            FirstRecord::None | FirstRecord::Incomplete => break,
        }
    }
    rows
}

fn kind(text: &Text, settings: &Settings) -> Kind {
    if text.bytes.is_empty() || settings.means_null(&text.bytes, text.quoted) {
        return Kind::Null;
    }
    settings.forms.classify(&text.bytes)
}

fn is_header(rows: &Rows, settings: &Settings) -> bool {
    let Some((first, rest)) = rows.split_first() else { return false };
    let column = |index: usize| rest.iter().filter_map(move |row| row.get(index));
    if let Some(columns) = &settings.columns {
        let named = |text: &Text| columns.iter().any(|(name, _)| text.bytes.eq_ignore_ascii_case(name.as_bytes()));
        return first.iter().any(named);
    }
    let over_numbers = |(index, text): (usize, &Text)| {
        let below = column(index).map(|text| kind(text, settings)).fold(Kind::Null, |a, b| settings.forms.join(a, b));
        kind(text, settings) == Kind::Text && !matches!(below, Kind::Null | Kind::Text)
    };
    if first.iter().enumerate().any(over_numbers) {
        return true;
    }
    let mut names = HashSet::new();
    first.iter().enumerate().all(|(index, text)| {
        kind(text, settings) == Kind::Text
            && text.bytes.len() < LONGEST_NAME
            && names.insert(text.bytes.to_ascii_lowercase())
            && column(index).all(|other| other.bytes != text.bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Options;

    fn sniffed(data: &str) -> (char, bool) {
        let found = sniff(data.as_bytes(), true, &Settings::new(&Options::new()).unwrap());
        (char::from(found.delimiter), found.header)
    }

    #[test]
    fn delimiters_are_told_by_agreement() {
        assert_eq!(sniffed("a;b\n1,5;2,5\n3;4\n"), (';', true));
        assert_eq!(sniffed("a\tb, c\n1\t2\n"), ('\t', true));
        assert_eq!(sniffed("a|b|\"x,y\nz,w\"\n1|2|3\n"), ('|', true));
        assert_eq!(sniffed("just\nlines\n"), (',', true));
    }

    #[test]
    fn a_header_is_told_by_types_or_by_distinct_names() {
        assert_eq!(sniffed("1,2\n3,4\n"), (',', false));
        assert_eq!(sniffed("x,2\ny,4\n"), (',', false));
        assert_eq!(sniffed("code,name\nAA,American\nBB,British\n"), (',', true));
        assert_eq!(sniffed("AA,x\nBB,y\nAA,x\n"), (',', false));
        assert_eq!(sniffed(",a\n0,1\n"), (',', true));
        assert_eq!(sniffed("id,id\n"), (',', false));
        assert_eq!(sniffed("when,what\n2013-01-01,\n"), (',', true));
    }

    #[test]
    fn a_lone_return_ends_lines_where_nothing_else_does() {
        assert_eq!(newline(b"a\rb\r"), b'\r');
        assert_eq!(newline(b"a\r\nb"), b'\n');
    }
}

//! Finding out a file's dialect from its first records.
//!
//! Every delimiter of `,` `;` tab `|` is tried; the one under which most records have the same number (more than one) of
//! fields wins; where two are equal, the one with more fields, and then the commoner one. Other ways of quoting than
//! doubled double quotes are taken only if they explain every record and that one does not.
//!
//! A *preamble* is skipped: lines before the first record that have one field where all records behind them have the
//! same number of several, or that begin with `#`. Where such lines also stand among the records, they are comments.
//! What has as many fields as the records is one of them, whatever it begins with.
//!
//! Of several files the dialect of the first is tried first, and taken where it explains all records (see `fit`).
//!
//! The first record is a header when
//! * some column of it is text while all other values of the column are numbers, dates or booleans, or else
//! * all of its values are distinct texts that are not empty and do not occur again in their columns.
//!
//! # Known limitation
//! A preamble whose lines have as many delimiters as the records is not told from a header.

use std::collections::HashSet;

use arrow::datatypes::DataType;
use memchr::{memchr, memchr_iter, memmem};

use crate::scan::csv::casts::is_value;
use crate::scan::csv::dialect::Dialect;
use crate::scan::csv::settings::Settings;
use crate::scan::csv::tokenize::{Field, FirstRecord, Rules, Tokenizer};
use crate::scan::infer::{Kind, parse_any_type};

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
const SNIFFED_RECORDS: usize = 1000;

/// A name is shorter than this.
const LONGEST_NAME: usize = 128;

/// Records that must follow a preamble; fewer where the types of a column tell the first of them to be a header.
const BEHIND_PREAMBLE: usize = 3;
const BEHIND_PREAMBLE_WITH_HEADER: usize = 2;

/// How a first line begins in which some programs write the delimiter of the file.
const TELLS_DELIMITER: &[u8] = b"sep=";

/// Lines of a preamble at most.
const LONGEST_PREAMBLE: usize = 100;

/// Begins a comment, where there are any.
const COMMENT: u8 = b'#';

/// What columns of numbers write where they have none.
const NULLS: [&str; 11] = ["NA", "N/A", "n/a", "NULL", "null", "None", "none", "nil", "\\N", "-", "?"];

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
    pub quote: Option<u8>,
    pub escape: Option<u8>,
    pub comment: Option<u8>,
    /// Spaces stand around quotes.
    pub spaced: bool,
    pub newline: u8,
    /// Lines before the header or the first record, beyond those that the options skip.
    pub skip: u64,
    pub header: bool,
    /// Records that were seen, and the fields of most of them.
    pub records: usize,
    pub width: usize,
    /// The most fields of any.
    pub widest: usize,
}

/// Looks at the text behind byte order mark and skipped lines. What `settings` gives is not questioned; `common` is the
/// dialect of other files.
pub fn sniff(data: &[u8], at_end: bool, settings: &Settings, common: Option<Dialect>) -> Sniffed {
    let newline = settings.newline.unwrap_or_else(|| newline(data));
    if let Some((delimiter, behind)) = told_delimiter(data, newline, settings) {
        let settings = Settings { delimiter: Some(delimiter), newline: Some(newline), ..settings.clone() };
        let common = common.map(|common| Dialect { delimiter, ..common });
        let sample = Sample { data: data.get(behind..).unwrap_or_default(), at_end, settings: &settings };
        let found = sample.sniffed(newline, common);
        return Sniffed { skip: found.skip + 1, ..found };
    }
    Sample { data, at_end, settings }.sniffed(newline, common)
}

/// The delimiter that a first line tells, and where the next one begins.
fn told_delimiter(data: &[u8], newline: u8, settings: &Settings) -> Option<(u8, usize)> {
    let end = memchr(newline, data)?;
    let line = data.get(..end)?;
    let &[delimiter] = line.strip_suffix(b"\r").unwrap_or(line).strip_prefix(TELLS_DELIMITER)? else { return None };
    let fits = settings.delimiter.is_none_or(|given| given == delimiter);
    (delimiter.is_ascii_punctuation() || delimiter == b'\t')
        .then_some((delimiter, end + 1))
        .filter(|_| fits && !settings.skip_given)
}

/// Spellings of NULL in columns whose other values are numbers, dates or booleans. The text begins with the header, if
/// `settings` has one, or the records.
pub fn null_spellings(data: &[u8], at_end: bool, settings: &Settings) -> Vec<&'static str> {
    let rows = Sample { data, at_end, settings }.rows(0, settings.dialect());
    let rows = rows.get(usize::from(settings.header.unwrap_or(false))..).unwrap_or_default();
    let columns = rows.first().map_or(0, Vec::len);
    let is_null = |null: &&str, index: usize| {
        let mut found = false;
        let mut others = Kind::Null;
        for text in rows.iter().filter_map(|row| row.get(index)) {
            match text.bytes == null.as_bytes() {
                true => found = true,
                false => others = settings.forms.join(others, kind(text, settings)),
            }
        }
        found && !matches!(others, Kind::Null | Kind::Text)
    };
    NULLS.iter().filter(|null| (0..columns).any(|index| is_null(null, index))).copied().collect()
}

/// A lone `\r` ends lines only in files without any `\n`.
pub fn newline(data: &[u8]) -> u8 {
    let has = |byte| memchr(byte, data).is_some();
    if !has(b'\n') && has(b'\r') { b'\r' } else { b'\n' }
}

/// The delimiters that may be, the commonest first.
fn delimiters(settings: &Settings) -> Vec<u8> {
    match settings.delimiter {
        Some(delimiter) => vec![delimiter],
        None => DELIMITERS.iter().copied().filter(|&byte| !(settings.forms.comma && byte == b',')).collect(),
    }
}

/// The quotes and escapes that may be, the commonest first.
fn quotings(data: &[u8], settings: &Settings) -> Vec<(Option<u8>, Option<u8>)> {
    let given = (settings.quote, settings.escape);
    if settings.quote_given || settings.escape_given {
        return vec![given];
    }
    let mut all = vec![given];
    if memmem::find(data, b"\\\"").is_some() {
        all.push((Some(b'"'), Some(b'\\')));
    }
    if memchr(b'\'', data).is_some() {
        all.push((Some(b'\''), Some(b'\'')));
    }
    all
}

/// How the first records look under a dialect.
#[derive(Debug, Clone)]
struct Reading {
    dialect: Dialect,
    /// The commonest number of fields.
    width: usize,
    /// How many of a thousand records have it.
    agreeing: usize,
    records: usize,
    /// Where the records begin behind the preamble, and its lines.
    start: usize,
    skip: u64,
    comment: Option<u8>,
}

impl Reading {
    /// The greater, the better; equal where nothing tells.
    fn score(&self) -> (usize, bool, usize) {
        if self.width < 2 { (0, false, 0) } else { (self.agreeing, self.start == 0, self.width) }
    }

    fn explains_all(&self) -> bool {
        self.width > 1 && self.agreeing == 1000
    }
}

/// A record's place, its number of fields (0 for a flaw), and whether it begins as a comment does.
struct Shape {
    start: usize,
    width: usize,
    comment: bool,
}

struct Sample<'a> {
    data: &'a [u8],
    at_end: bool,
    settings: &'a Settings,
}

impl Sample<'_> {
    /// What the records show, behind a line that tells the delimiter.
    fn sniffed(&self, newline: u8, common: Option<Dialect>) -> Sniffed {
        let settings = self.settings;
        let own = Dialect { newline, ..settings.dialect() };
        let common = common.map(|common| {
            let Dialect { delimiter, quote, escape, .. } = common;
            self.read(Dialect { delimiter, quote, escape, ..own })
        });
        let mut reading = match common {
            Some(common) if !self.is_quoted_otherwise(&common) => match common.explains_all() && common.start == 0 {
                true => common,
                false => match self.best(own).filter(|best| best.explains_all() && best.score() > common.score()) {
                    Some(best) => best,
                    None => self.or_one_column(Some(common), own),
                },
            },
            _ => self.or_one_column(self.best(own), own),
        };
        if !settings.quote_given && self.has_quoted_columns(&reading, b'\'') {
            reading.dialect = Dialect { quote: Some(b'\''), escape: Some(b'\''), ..reading.dialect };
        }
        if let Some(spaced) = self.spaced(&reading) {
            reading = spaced;
        }
        let uncommented = reading.comment.filter(|_| !settings.comment_given).map(|_| reading.width);
        let dialect = Dialect { comment: reading.comment, uncommented, ..reading.dialect };
        // Of most files of many nothing more is to be known.
        let values_tell = settings.header.is_none() || settings.rules.pads;
        let rows = if values_tell { self.rows(reading.start, dialect) } else { Vec::new() };
        let header = settings.header.unwrap_or_else(|| is_header(&rows, settings));
        let Dialect { delimiter, quote, escape, comment, spaced, .. } = dialect;
        let Reading { skip, width, records, .. } = reading;
        let widest = rows.iter().map(Vec::len).max().unwrap_or(0);
        Sniffed { delimiter, quote, escape, comment, spaced, newline, skip, header, records, width, widest }
    }

    fn read(&self, dialect: Dialect) -> Reading {
        let mut shapes = Vec::new();
        self.each(0, dialect, |start, fields| {
            let comment = self.data.get(start) == Some(&COMMENT);
            shapes.push(Shape { start, width: fields.map_or(0, <[Field]>::len), comment });
        });
        let width = commonest(&shapes);
        let settings = self.settings;
        let lines = if settings.skip_given || settings.rules.pads || settings.rules.lenient || settings.comment_given {
            0
        } else {
            self.preamble(&shapes, width, dialect)
        };
        let mut records = shapes.get(lines..).unwrap_or_default().iter().collect::<Vec<_>>();
        let start = records.first().map_or(0, |shape| if lines == 0 { 0 } else { shape.start });
        let may_comment = !settings.comment_given && records.iter().any(|shape| shape.comment && shape.width != width);
        let comment = if may_comment { Some(COMMENT) } else { dialect.comment };
        if may_comment {
            records.retain(|shape| !shape.comment || shape.width == width);
        }
        let agreeing = records.iter().filter(|shape| shape.width == width).count() * 1000 / records.len().max(1);
        let skip = memchr_iter(dialect.newline, self.data.get(..start).unwrap_or_default()).count() as u64;
        let records = records.len();
        Reading { dialect, width, agreeing, records, start, skip, comment }
    }

    /// The best reading of those that may be.
    fn best(&self, own: Dialect) -> Option<Reading> {
        let mut best: Option<Reading> = None;
        for &(quote, escape) in &quotings(self.data, self.settings) {
            for &delimiter in &delimiters(self.settings) {
                let reading = self.read(Dialect { delimiter, quote, escape, ..own });
                let better = |best: &Reading| match (quote, escape) == (best.dialect.quote, best.dialect.escape) {
                    true => reading.score() > best.score(),
                    // Another way of quoting has to explain everything that the common one does not.
                    false => best.agreeing < 1000 && reading.explains_all(),
                };
                if best.as_ref().is_none_or(better) {
                    best = Some(reading);
                }
            }
        }
        best
    }

    /// The reading; without preamble and comments where there is one column.
    fn or_one_column(&self, reading: Option<Reading>, own: Dialect) -> Reading {
        let settings = self.settings;
        reading.filter(|reading| reading.width > 1).unwrap_or_else(|| {
            let delimiter = settings.delimiter.unwrap_or(if settings.forms.comma { b';' } else { b',' });
            Reading { start: 0, skip: 0, comment: own.comment, ..self.read(Dialect { delimiter, ..own }) }
        })
    }

    /// How many of the first records are none: a preamble.
    fn preamble(&self, shapes: &[Shape], width: usize, dialect: Dialect) -> usize {
        let stands_before = |shape: &&Shape| shape.width != width && (shape.width == 1 || shape.comment);
        let lines = shapes.iter().take_while(stands_before).count();
        let rest = shapes.get(lines..).unwrap_or_default();
        if width < 2 || lines == 0 || lines > LONGEST_PREAMBLE {
            return 0;
        }
        let records = || rest.iter().filter(|shape| !shape.comment || shape.width == width);
        let has_header = || {
            let rows = self.rows(rest.first().map_or(0, |shape| shape.start), dialect);
            rows.split_first().is_some_and(|(first, values)| is_over_numbers(first, values, self.settings))
        };
        let count = records().count();
        let enough = count >= BEHIND_PREAMBLE || count >= BEHIND_PREAMBLE_WITH_HEADER && has_header();
        if enough && records().all(|shape| shape.width == width) { lines } else { 0 }
    }

    /// The reading in which spaces may stand around quotes, where a value begins with them and it explains no less, or
    /// where it explains more.
    fn spaced(&self, reading: &Reading) -> Option<Reading> {
        let quote = reading.dialect.quote?;
        let (mut is_spaced, mut is_flawed) = (false, false);
        self.each(0, reading.dialect, |_, fields| match fields {
            Some(fields) => is_spaced |= fields.iter().any(|field| self.is_quoted_behind_spaces(field, quote)),
            None => is_flawed = true,
        });
        if !is_spaced && !is_flawed {
            return None;
        }
        let spaced = self.read(Dialect { spaced: true, ..reading.dialect });
        let least = if is_spaced { reading.agreeing } else { reading.agreeing + 1 };
        // Delimiters within such quotes are none, so that the records may have fewer fields then.
        let explains_more = spaced.explains_all() && !reading.explains_all() && spaced.start == reading.start;
        (explains_more || spaced.agreeing >= least && spaced.width == reading.width).then_some(spaced)
    }

    /// Whether a field that is not quoted begins with spaces and a quote.
    fn is_quoted_behind_spaces(&self, field: &Field, quote: u8) -> bool {
        let text = self.data.get(field.start()..field.end()).unwrap_or_default();
        let behind = text.trim_ascii_start();
        !field.quoted() && behind.len() < text.len() && behind.first() == Some(&quote)
    }

    /// Whether values stand in quotes that mean nothing under this reading, and none in its own.
    fn is_quoted_otherwise(&self, reading: &Reading) -> bool {
        let own = reading.dialect.quote;
        if self.settings.quote_given || self.settings.escape_given || own.is_none() {
            return false;
        }
        [b'"', b'\''].into_iter().any(|quote| Some(quote) != own && self.has_quoted_columns(reading, quote))
    }

    /// Calls `seen` with the place and the fields of each of the first records; without fields for a flawed one.
    fn each(&self, from: usize, dialect: Dialect, mut seen: impl FnMut(usize, Option<&[Field]>)) {
        // How long a record may be says nothing of the dialect.
        let rules = Rules { longest: usize::MAX, ..self.settings.rules };
        let tokenizer = Tokenizer::of_any_width(dialect, rules);
        let (mut at, mut count) = (from, 0);
        while count < SNIFFED_RECORDS {
            count += 1;
            match tokenizer.first_record(self.data, at, self.at_end) {
                FirstRecord::Found { fields, next } => {
                    seen(self.record_start(at, next, dialect), Some(&fields));
                    at = next;
                }
                FirstRecord::Bad(bad) => {
                    seen(bad.start, None);
                    at = bad.end;
                }
                FirstRecord::None | FirstRecord::Incomplete => break,
            }
        }
    }

    /// Where the record that ends at `next` begins: behind blank lines.
    fn record_start(&self, at: usize, next: usize, dialect: Dialect) -> usize {
        let text = self.data.get(at..next).unwrap_or_default();
        let blank = |byte: &&u8| **byte == dialect.newline || **byte == b'\r';
        at + text.iter().take_while(blank).count()
    }

    fn rows(&self, from: usize, dialect: Dialect) -> Rows {
        let mut rows = Vec::new();
        self.each(from, dialect, |_, fields| {
            let text = |field: &Field| Text {
                bytes: dialect
                    .unescaped(self.data.get(field.start()..field.end()).unwrap_or_default(), field.escaped())
                    .into_owned(),
                quoted: field.quoted(),
            };
            if let Some(fields) = fields {
                rows.push(fields.iter().map(text).collect());
            }
        });
        rows
    }

    /// Whether all values of some column, but for its name, stand between two of `quote`, and no value between quotes
    /// of the dialect.
    fn has_quoted_columns(&self, reading: &Reading, quote: u8) -> bool {
        if reading.dialect.quote == Some(quote) || memchr(quote, self.data).is_none() {
            return false;
        }
        let rows = self.rows(reading.start, reading.dialect);
        if rows.iter().flatten().any(|text| text.quoted) {
            return false;
        }
        let wrapped =
            |text: &Text| matches!(text.bytes.as_slice(), [first, .., last] if *first == quote && *last == quote);
        let values = rows.get(1..).unwrap_or_default();
        (0..reading.width).any(|index| {
            let mut filled = values.iter().filter_map(|row| row.get(index)).filter(|text| !text.bytes.is_empty());
            let first = filled.next().is_some_and(wrapped);
            first && filled.all(wrapped)
        })
    }
}

/// The commonest number of fields; of equals the greatest.
fn commonest(shapes: &[Shape]) -> usize {
    let mut widths: Vec<usize> = shapes.iter().map(|shape| shape.width).filter(|&width| width > 0).collect();
    widths.sort_unstable();
    let groups = widths.chunk_by(|a, b| a == b);
    let most = groups.max_by_key(|group| (group.len(), group.first().copied()));
    most.and_then(|group| group.first().copied()).unwrap_or(0)
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
        if first.iter().any(named) {
            return true;
        }
        // What is a value of its column's type is no name. Nearly every text is a BLOB.
        let is_value = |(text, (_, data_type)): (&Text, &(String, String))| match parse_any_type(data_type) {
            Ok(DataType::Utf8View | DataType::BinaryView) | Err(_) => false,
            Ok(data_type) => !text.bytes.is_empty() && is_value(&text.bytes, &data_type),
        };
        if first.iter().zip(columns).any(is_value) {
            return false;
        }
        // A record alone, all of whose columns are texts, may as well be one.
        if rest.is_empty() && columns.iter().all(|(_, name)| matches!(parse_any_type(name), Ok(DataType::Utf8View))) {
            return false;
        }
    }
    if is_over_numbers(first, rest, settings) {
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

/// Whether some of these texts stand over values that are none.
fn is_over_numbers(first: &[Text], values: &[Vec<Text>], settings: &Settings) -> bool {
    first.iter().enumerate().any(|(index, text)| {
        let column = values.iter().filter_map(|row| row.get(index));
        let below = column.fold(Kind::Null, |below, text| settings.forms.join(below, kind(text, settings)));
        kind(text, settings) == Kind::Text && !matches!(below, Kind::Null | Kind::Text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Options;

    fn all(data: &str) -> Sniffed {
        sniff(data.as_bytes(), true, &Settings::new(&Options::new()).unwrap(), None)
    }

    fn sniffed(data: &str) -> (char, bool) {
        let found = all(data);
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

    #[test]
    fn quotes_and_escapes_are_those_that_make_records_agree() {
        let quoting = |data: &str| {
            let found = all(data);
            (found.quote.map(char::from), found.escape.map(char::from))
        };
        assert_eq!(quoting("a,b\n\"x, y\",1\n"), (Some('"'), Some('"')));
        assert_eq!(quoting("a,b\n\"x \\\"y\\\", z\",1\n\"u\",2\n"), (Some('"'), Some('\\')));
        assert_eq!(quoting("a,b\n'x, y',1\n'it''s',2\n"), (Some('\''), Some('\'')));
        assert_eq!(quoting("a,b\n'x',1\n'y',2\n"), (Some('\''), Some('\'')));
        assert_eq!(quoting("a,b\nit's,1\nthey're,2\n"), (Some('"'), Some('"')));
        // Quotes that do not match are for the user to explain.
        assert_eq!(quoting("a,b\n\"12\" long,1\n\"x,2\n"), (Some('"'), Some('"')));
    }

    #[test]
    fn spaces_stand_around_quotes_only_where_values_begin_with_them() {
        assert!(all("a,b\n \"x,1\" ,2\n \"y\",3\n").spaced);
        assert!(all("a,b\n\"x,1\" ,2\n\"y\" ,3\n").spaced);
        assert!(all("a,b\n1, \"x, y\"\n2, \"z, z\"\n").spaced);
        // Reading such files takes longer: a comma and a space before a closing quote are none of these.
        assert!(!all("a,b\n1,\"ends so, \"\n2,\", \"\n").spaced);
        assert!(!all("a,b\n1,\"flawed\"x\n2,\"y\"\n").spaced);
    }

    #[test]
    fn a_preamble_is_skipped_and_comments_are_told() {
        let told = |data: &str| {
            let found = all(data);
            (found.skip, found.comment.map(char::from), found.header)
        };
        assert_eq!(told("a,b\n1,2\n3,4\n"), (0, None, true));
        assert_eq!(told("Report of 2020\n\nmade today\na,b\n1,2\n3,4\n"), (3, None, true));
        assert_eq!(told("# one\n# two, three\na,b,c\n1,2,3\n4,5,6\n"), (2, None, true));
        assert_eq!(told("#id,name\n1,x\n2,y\n"), (0, None, true));
        assert_eq!(told("a,b\n1,2\n# not this\n3,4\n5,6\n"), (0, Some('#'), true));
        assert_eq!(told("# head\na,b\n1,2\n# not this\n3,4\n5,6\n"), (1, Some('#'), true));
        // Ragged files have no preamble: that is for the user to say.
        assert_eq!(told("a,b,c\n1,2\n3,4\n").0, 0);
        assert_eq!(told("one\ntwo, three\n").0, 0);
    }

    #[test]
    fn spellings_of_null_stand_among_numbers() {
        let nulls = |data: &str| null_spellings(data.as_bytes(), true, &Settings::new(&Options::new()).unwrap());
        assert_eq!(nulls("1,x\nNA,NA\n2,y\n"), ["NA"]);
        assert_eq!(nulls("1,2020-01-01\n-,\\N\n"), ["\\N", "-"]);
        assert!(nulls("x,y\nNA,z\n").is_empty());
    }
}

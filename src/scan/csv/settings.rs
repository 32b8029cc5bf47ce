//! The CSV reader's options, typed and checked.

use std::borrow::Cow;
use std::io::Read;

use crate::error::{Code, Error, Result};
use crate::io::{Compression, CountedStream, Location, open_counted_stream};
use crate::scan::csv::dialect::{Dialect, Tail};
use crate::scan::csv::encoding::{DecodedStream, Encoding};
use crate::scan::csv::forms::Forms;
use crate::scan::csv::tokenize::Rules;
use crate::scan::infer::pattern::Pattern;
use crate::scan::options::{character, flag, integer, invalid, pairs, text, texts};
use crate::scan::prove::UNPROVEN;
use crate::scan::{OptionValue, Options};

/// Every option a user can give.
pub const OPTION_NAMES: [&str; 44] = [
    "all_varchar",
    "allow_quoted_nulls",
    "auto_detect",
    "auto_type_candidates",
    "buffer_size",
    "column_names",
    "column_types",
    "columns",
    "comment",
    "compression",
    "date_format",
    "dateformat",
    "decimal_separator",
    "delim",
    "delimiter",
    "dtypes",
    "encoding",
    "escape",
    "force_not_null",
    "header",
    "ignore_errors",
    "max_line_size",
    "maximum_line_size",
    "names",
    "new_line",
    "normalize_names",
    "null",
    "null_padding",
    "nullstr",
    "parallel",
    "quote",
    "rejects_limit",
    "rejects_scan",
    "rejects_table",
    "sample_size",
    "sep",
    "separator",
    "skip",
    "store_rejects",
    "strict_mode",
    "thousands",
    "timestamp_format",
    "timestampformat",
    "types",
];

/// Other spellings of options.
const ALIASES: [(&str, &str); 10] = [
    ("column_names", "names"),
    ("column_types", "types"),
    ("date_format", "dateformat"),
    ("delimiter", "delim"),
    ("dtypes", "types"),
    ("maximum_line_size", "max_line_size"),
    ("null", "nullstr"),
    ("sep", "delim"),
    ("separator", "delim"),
    ("timestamp_format", "timestampformat"),
];

/// Where inference leaves the names of all columns in the files, for the reader: it is no option of the user's.
pub const FILE_COLUMNS: &str = "file_columns";

/// Where inference leaves which options it has found out, so that every file may have its own.
pub const DETECTED: &str = "detected";

/// Where inference leaves in which forms columns have dates.
pub const DATE_FORMS: &str = "date_forms";

/// Where inference leaves whether it saw a quote anywhere.
pub const QUOTES_SEEN: &str = "quotes_seen";

/// The options as values. `None` is what inference has to find out.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The first byte of the delimiter.
    pub delimiter: Option<u8>,
    /// The others.
    pub tail: Tail,
    pub quote: Option<u8>,
    pub escape: Option<u8>,
    pub newline: Option<u8>,
    pub comment: Option<u8>,
    /// Fields of a record, where comments are told from records by it.
    pub uncommented: Option<usize>,
    /// Whether spaces may stand around quotes.
    pub spaced: bool,
    pub header: Option<bool>,
    /// Lines before the header or the first record that are passed over.
    pub skip: u64,
    /// What the options say is not questioned.
    pub quote_given: bool,
    pub escape_given: bool,
    pub comment_given: bool,
    pub skip_given: bool,
    /// The options of the dialect and the encoding that were found out.
    pub detected: Vec<String>,
    /// Unquoted texts that mean NULL.
    pub nulls: Vec<Vec<u8>>,
    /// Names of a header become identifiers.
    pub normalize_names: bool,
    /// Columns that a file has at least, where short records are padded.
    pub widest: usize,
    /// Names by position, whatever the header says.
    pub names: Option<Vec<String>>,
    /// All columns and their types.
    pub columns: Option<Vec<(String, String)>>,
    /// Types of some columns, by name.
    pub types: Vec<(String, String)>,
    /// Types of the first columns.
    pub first_types: Vec<String>,
    pub all_varchar: bool,
    /// Rows to look at; negative for all.
    pub sample_size: Option<i64>,
    pub ignore_errors: bool,
    pub union_by_name: bool,
    pub compression: Option<Compression>,
    /// Whether a file may be cut into several splits.
    pub parallel: bool,
    /// The columns in the files, once inferred.
    pub file_columns: Vec<String>,
    /// Whether the files may hold quotes.
    pub quotes_seen: bool,
    /// The columns whose types rest on a sample.
    pub unproven: Vec<String>,
    /// How values are written.
    pub forms: Forms,
    /// How the dates of columns are written that have a form of their own, by name.
    pub date_forms: Vec<(String, Pattern)>,
    /// `None` until the first file has been looked at.
    pub encoding: Option<Encoding>,
    /// Which records are read although they are not as the others are.
    pub rules: Rules,
    /// Quoted texts that mean NULL are NULL, too.
    pub quoted_nulls: bool,
    /// Columns without NULL: what means NULL elsewhere is a text there.
    pub not_null: Vec<String>,
    /// False: what the options do not say is not looked for.
    pub auto_detect: bool,
    /// Where rows that are left out are written down.
    pub rejects: Option<RejectNames>,
}

/// What is written down of rows that are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectNames {
    /// The table of errors.
    pub errors: String,
    /// The table of scans.
    pub scans: String,
    /// Errors of each file that are written down; 0 for all.
    pub limit: u64,
}

impl Settings {
    /// Reads the options.
    ///
    /// # Errors
    /// `INVALID_SETTING` for values that an option cannot take, and for options that contradict each other.
    pub fn new(options: &Options) -> Result<Self> {
        let options = &one_spelling(options)?;
        let (delimiter, tail) = delimiter(options)?;
        let quote = character(options, "quote")?.unwrap_or(Some(b'"'));
        let escape = character(options, "escape")?.flatten().or(quote);
        let comment = character(options, "comment")?.flatten();
        let all_varchar = flag(options, "all_varchar")?.unwrap_or(false);
        let (types, first_types) = types(options)?;
        let rejects = rejects(options)?;
        let settings = Settings {
            delimiter,
            tail,
            quote,
            escape,
            newline: newline(options)?,
            comment,
            uncommented: None,
            spaced: false,
            header: flag(options, "header")?,
            skip: skip(options)?,
            quote_given: options.contains_key("quote"),
            escape_given: options.contains_key("escape"),
            comment_given: options.contains_key("comment"),
            skip_given: options.contains_key("skip"),
            detected: texts(options, DETECTED)?.unwrap_or_default(),
            nulls: nulls(options)?,
            normalize_names: flag(options, "normalize_names")?.unwrap_or(false),
            widest: 0,
            names: texts(options, "names")?,
            columns: pairs(options, "columns")?,
            types,
            first_types,
            all_varchar,
            sample_size: sample_size(options)?,
            ignore_errors: flag(options, "ignore_errors")?.unwrap_or(false) || rejects.is_some(),
            union_by_name: flag(options, "union_by_name")?.unwrap_or(false),
            compression: compression(options)?,
            parallel: flag(options, "parallel")?.unwrap_or(true),
            file_columns: texts(options, FILE_COLUMNS)?.unwrap_or_default(),
            unproven: texts(options, UNPROVEN)?.unwrap_or_default(),
            quotes_seen: flag(options, QUOTES_SEEN)?.unwrap_or(true),
            forms: forms(options)?,
            date_forms: date_forms(options)?,
            encoding: encoding(options)?,
            rules: rules(options)?,
            quoted_nulls: flag(options, "allow_quoted_nulls")?.unwrap_or(false),
            not_null: texts(options, "force_not_null")?.unwrap_or_default(),
            auto_detect: flag(options, "auto_detect")?.unwrap_or(true),
            rejects,
        };
        // Nobody needs it: windows have the size that records want.
        integer(options, "buffer_size")?;
        settings.distinct()?;
        Ok(settings)
    }

    /// No two roles may have the same character.
    fn distinct(&self) -> Result<()> {
        let comma = self.forms.comma.then_some(b',');
        let roles =
            [("delim", self.delimiter), ("quote", self.quote), ("comment", self.comment), ("decimal_separator", comma)];
        for (index, (name, value)) in roles.iter().enumerate() {
            let Some(value) = value else { continue };
            let clash = roles.iter().take(index).find(|(_, other)| *other == Some(*value)).map(|(other, _)| *other);
            let clash = if matches!(value, b'\n' | b'\r') { Some("the line end") } else { clash };
            let is_in_delimiter = || index > 0 && self.tail.as_slice().contains(value);
            let clash = clash.or_else(|| is_in_delimiter().then_some("delim"));
            if let Some(clash) = clash {
                let message = format!("the reader options {name} and {clash} have the same character");
                return Err(Error::new(Code::InvalidSetting, message));
            }
        }
        Ok(())
    }

    /// The dialect, with defaults for what is not known yet.
    pub fn dialect(&self) -> Dialect {
        Dialect {
            delimiter: self.delimiter.unwrap_or(b','),
            tail: self.tail,
            quote: self.quote,
            escape: self.escape,
            newline: self.newline.unwrap_or(b'\n'),
            comment: self.comment,
            uncommented: self.uncommented,
            spaced: self.spaced,
            blank_is_record: false,
        }
    }

    /// How `path` is compressed.
    pub fn compression_of(&self, path: &Location) -> Compression {
        self.compression.unwrap_or_else(|| path.compression())
    }

    /// The encoding of the files.
    pub fn encoding(&self) -> Encoding {
        self.encoding.unwrap_or(Encoding::Utf8)
    }

    /// Whether `path` can be read only from front to back.
    pub fn is_stream(&self, path: &Location) -> bool {
        path.comes_once() || self.compression_of(path) != Compression::None || self.encoding() != Encoding::Utf8
    }

    /// The text of `path` from front to back.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn stream(&self, path: &Location) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.counted_stream(path)?))
    }

    /// The same, with how much of the file is used up.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn counted_stream(&self, path: &Location) -> Result<CountedStream> {
        let stream = open_counted_stream(path, self.compression_of(path))?;
        Ok(match self.encoding() {
            Encoding::Utf8 => stream,
            encoding => stream.through(|inner| Box::new(DecodedStream::new(inner, path, encoding))),
        })
    }

    /// The type that the user gave for a column.
    pub fn declared_type(&self, name: &str) -> Option<&str> {
        let all = self.columns.iter().flatten().chain(&self.types);
        let named = all.into_iter().find(|(column, _)| column.eq_ignore_ascii_case(name));
        let place = || self.file_columns.iter().position(|column| column == name);
        match named {
            Some((_, data_type)) => Some(data_type.as_str()),
            None if self.first_types.is_empty() => None,
            None => self.first_types.get(place()?).map(String::as_str),
        }
    }

    /// How the dates of a column are written that has a form of its own.
    pub fn form_of(&self, name: &str) -> Option<&Pattern> {
        self.date_forms.iter().find(|(column, _)| column == name).map(|(_, form)| form)
    }

    /// Whether a text means NULL.
    pub fn means_null(&self, text: &[u8], quoted: bool) -> bool {
        (!quoted || self.quoted_nulls) && self.nulls.iter().any(|null| null == text)
    }
}

/// The options, each under one name.
fn one_spelling(options: &Options) -> Result<Cow<'_, Options>> {
    let mut options = Cow::Borrowed(options);
    for (alias, name) in ALIASES {
        if !options.contains_key(alias) {
            continue;
        }
        if options.contains_key(name) {
            let message = format!("the reader options {alias} and {name} are two names of one option");
            return Err(Error::new(Code::InvalidSetting, message).hint(format!("give {name} alone")));
        }
        let options = options.to_mut();
        if let Some(value) = options.remove(alias) {
            options.insert(name.to_string(), value);
        }
    }
    Ok(options)
}

/// Types by name, and types of the first columns.
#[expect(clippy::type_complexity, reason = "two lists that are told apart at once")]
fn types(options: &Options) -> Result<(Vec<(String, String)>, Vec<String>)> {
    match options.get("types") {
        Some(OptionValue::List(_)) => Ok((Vec::new(), texts(options, "types")?.unwrap_or_default())),
        _ => Ok((pairs(options, "types")?.unwrap_or_default(), Vec::new())),
    }
}

fn forms(options: &Options) -> Result<Forms> {
    let form = |name: &str| match text(options, name)? {
        None | Some("" | "auto") => Ok(None),
        Some(form) => Pattern::new(name, form).map(Some),
    };
    let separator = character(options, "decimal_separator")?.flatten();
    if separator.is_some_and(|separator| separator != b'.' && separator != b',') {
        let given = options.get("decimal_separator").cloned().unwrap_or(OptionValue::Bool(false));
        return Err(invalid("decimal_separator", &given, "'.' or ','"));
    }
    let thousands = character(options, "thousands")?.flatten();
    let point = if separator == Some(b',') { b',' } else { b'.' };
    if thousands.is_some_and(|mark| mark == point || mark.is_ascii_alphanumeric() || matches!(mark, b'-' | b'+')) {
        let given = options.get("thousands").cloned().unwrap_or(OptionValue::Bool(false));
        return Err(invalid("thousands", &given, "a character that is in no number, e.g. ','"));
    }
    Ok(Forms {
        thousands,
        date: form("dateformat")?,
        timestamp: form("timestampformat")?,
        comma: separator == Some(b','),
        candidates: texts(options, "auto_type_candidates")?.map(|names| Forms::kinds(&names)).transpose()?,
    })
}

fn date_forms(options: &Options) -> Result<Vec<(String, Pattern)>> {
    let forms = pairs(options, DATE_FORMS)?.unwrap_or_default();
    forms.into_iter().map(|(name, form)| Ok((name, Pattern::new(DATE_FORMS, &form)?))).collect()
}

fn encoding(options: &Options) -> Result<Option<Encoding>> {
    let Some(name) = text(options, "encoding")? else { return Ok(None) };
    let unknown = || {
        invalid(
            "encoding",
            &OptionValue::Text(name.to_string()),
            "'utf-8', 'utf-16', 'latin-1' or another name of an encoding",
        )
    };
    Encoding::parse(name).map(Some).ok_or_else(unknown)
}

fn rules(options: &Options) -> Result<Rules> {
    let longest = integer(options, "max_line_size")?;
    let no_size = |bytes: i64| invalid("max_line_size", &OptionValue::Int(bytes), "a number of bytes");
    let size = |bytes: i64| usize::try_from(bytes).ok().filter(|bytes| *bytes > 0).ok_or_else(|| no_size(bytes));
    Ok(Rules {
        pads: flag(options, "null_padding")?.unwrap_or(false),
        lenient: !flag(options, "strict_mode")?.unwrap_or(true),
        longest: longest.map(size).transpose()?.unwrap_or(usize::MAX),
    })
}

fn rejects(options: &Options) -> Result<Option<RejectNames>> {
    let names = ["rejects_table", "rejects_scan"].map(|name| text(options, name).map(|text| text.map(str::to_string)));
    let [errors, scans] = names;
    let (errors, scans, limit) = (errors?, scans?, integer(options, "rejects_limit")?);
    let bad = |limit: i64| invalid("rejects_limit", &OptionValue::Int(limit), "a number of rows, or 0 for all");
    let limit = limit.map(|limit| u64::try_from(limit).map_err(|_| bad(limit))).transpose()?;
    let named = errors.is_some() || scans.is_some() || limit.is_some();
    let refuse = |what: &str| Err(Error::new(Code::InvalidSetting, what.to_string()));
    match (flag(options, "store_rejects")?, flag(options, "ignore_errors")?) {
        (Some(true), Some(false)) => {
            refuse("the reader option store_rejects leaves bad rows out, but ignore_errors is false")
        }
        (Some(false), _) if named => refuse("the reader options rejects_… need store_rejects => true"),
        (None | Some(false), _) if !named => Ok(None),
        (_, Some(false)) => refuse("the reader options rejects_… leave bad rows out, but ignore_errors is false"),
        _ => Ok(Some(RejectNames {
            errors: errors.unwrap_or_else(|| "reject_errors".to_string()),
            scans: scans.unwrap_or_else(|| "reject_scans".to_string()),
            limit: limit.unwrap_or(0),
        })),
    }
}

/// The delimiter's first byte, and the others.
fn delimiter(options: &Options) -> Result<(Option<u8>, Tail)> {
    let Some(text) = text(options, "delim")? else { return Ok((None, Tail::default())) };
    let refused = || {
        let takes = format!("a text of 1 to {} bytes without line ends", Tail::LONGEST + 1);
        invalid("delim", &OptionValue::Text(text.to_string()), &takes)
    };
    let bytes = if text == "\\t" { b"\t" } else { text.as_bytes() };
    let (&first, rest) = bytes.split_first().ok_or_else(refused)?;
    let has_line_end = rest.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    let tail = Tail::new(rest).filter(|_| !has_line_end).ok_or_else(refused)?;
    Ok((Some(first), tail))
}

fn newline(options: &Options) -> Result<Option<u8>> {
    match text(options, "new_line")? {
        None => Ok(None),
        Some("\n" | "\\n" | "\r\n" | "\\r\\n") => Ok(Some(b'\n')),
        Some("\r" | "\\r") => Ok(Some(b'\r')),
        Some(other) => Err(invalid("new_line", &OptionValue::Text(other.to_string()), "'\\n', '\\r\\n' or '\\r'")),
    }
}

fn skip(options: &Options) -> Result<u64> {
    let lines = integer(options, "skip")?.unwrap_or(0);
    u64::try_from(lines).map_err(|_| invalid("skip", &OptionValue::Int(lines), "a number of lines"))
}

fn sample_size(options: &Options) -> Result<Option<i64>> {
    match integer(options, "sample_size")? {
        Some(rows) if rows == 0 || rows < -1 => {
            Err(invalid("sample_size", &OptionValue::Int(rows), "a number of rows, or -1 for all"))
        }
        rows => Ok(rows),
    }
}

fn nulls(options: &Options) -> Result<Vec<Vec<u8>>> {
    let given = texts(options, "nullstr")?.unwrap_or_else(|| vec![String::new()]);
    Ok(given.into_iter().map(String::into_bytes).collect())
}

fn compression(options: &Options) -> Result<Option<Compression>> {
    let Some(name) = text(options, "compression")? else { return Ok(None) };
    let unknown = || invalid("compression", &OptionValue::Text(name.to_string()), Compression::NAMES);
    Compression::parse(name).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Options {
        pairs.iter().map(|(name, value)| (name.to_string(), OptionValue::Text(value.to_string()))).collect()
    }

    #[test]
    fn options_become_a_dialect() {
        let settings = Settings::new(&options(&[("sep", "\\t"), ("quote", ""), ("nullstr", "NA")])).unwrap();
        assert_eq!(settings.dialect().delimiter, b'\t');
        assert_eq!((settings.quote, settings.escape), (None, None));
        assert!(
            settings.means_null(b"NA", false) && !settings.means_null(b"", false) && !settings.means_null(b"NA", true)
        );
    }

    #[test]
    fn impossible_options_are_refused() {
        for bad in [("delim", ""), ("delim", "\""), ("delim", "\n"), ("compression", "rar"), ("new_line", "x")] {
            assert_eq!(Settings::new(&options(&[bad])).unwrap_err().code(), Code::InvalidSetting, "{bad:?}");
        }
        for bad in [("dateformat", "%d"), ("encoding", "klingon"), ("decimal_separator", ";"), ("max_line_size", "x")] {
            assert_eq!(Settings::new(&options(&[bad])).unwrap_err().code(), Code::InvalidSetting, "{bad:?}");
        }
        for both in [
            [("sep", ";"), ("delim", ",")],
            [("delim", ","), ("decimal_separator", ",")],
            [("store_rejects", "true"), ("ignore_errors", "false")],
            [("rejects_table", "t"), ("store_rejects", "false")],
        ] {
            assert_eq!(Settings::new(&options(&both)).unwrap_err().code(), Code::InvalidSetting, "{both:?}");
        }
    }

    #[test]
    fn every_alias_is_an_option() {
        for (alias, name) in ALIASES {
            assert!(OPTION_NAMES.contains(&alias) && OPTION_NAMES.contains(&name), "{alias}");
        }
    }
}

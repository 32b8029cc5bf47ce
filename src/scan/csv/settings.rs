//! The CSV reader's options, typed and checked.

use crate::error::{Code, Error, Result};
use crate::io::Compression;
use crate::scan::csv::dialect::Dialect;
use crate::scan::options::{character, flag, integer, invalid, pairs, text, texts};
use crate::scan::{OptionValue, Options};

/// Every option a user can give; `sep` is another spelling of `delim`.
pub const OPTION_NAMES: [&str; 19] = [
    "all_varchar",
    "columns",
    "comment",
    "compression",
    "dateformat",
    "delim",
    "escape",
    "header",
    "ignore_errors",
    "names",
    "new_line",
    "nullstr",
    "parallel",
    "quote",
    "sample_size",
    "sep",
    "skip",
    "timestampformat",
    "types",
];

/// Where inference leaves the names of all columns in the files, for the reader: it is no option of the user's.
pub const FILE_COLUMNS: &str = "file_columns";

/// Where inference leaves whether it saw a quote anywhere.
pub const QUOTES_SEEN: &str = "quotes_seen";

/// The options as values. `None` is what inference has to find out.
#[derive(Debug, Clone)]
pub struct Settings {
    pub delimiter: Option<u8>,
    pub quote: Option<u8>,
    pub escape: Option<u8>,
    pub newline: Option<u8>,
    pub comment: Option<u8>,
    pub header: Option<bool>,
    /// Lines before the header or the first record that are passed over.
    pub skip: u64,
    /// Unquoted texts that mean NULL.
    pub nulls: Vec<Vec<u8>>,
    /// Names by position, whatever the header says.
    pub names: Option<Vec<String>>,
    /// All columns and their types.
    pub columns: Option<Vec<(String, String)>>,
    /// Types of some columns.
    pub types: Vec<(String, String)>,
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
}

impl Settings {
    /// Reads the options.
    ///
    /// # Errors
    /// `INVALID_SETTING` for values that an option cannot take, `NOT_SUPPORTED` for own date formats.
    pub fn new(options: &Options) -> Result<Self> {
        for name in ["dateformat", "timestampformat"] {
            if options.contains_key(name) {
                return Err(Error::not_supported(format!("the reader option {name}"))
                    .hint("read the column as VARCHAR and convert it with to_date or to_timestamp"));
            }
        }
        let delimiter = match character(options, "delim")? {
            Some(delimiter) => Some(delimiter),
            None => character(options, "sep")?,
        };
        let delimiter = required("delim", delimiter)?;
        let quote = character(options, "quote")?.unwrap_or(Some(b'"'));
        let escape = character(options, "escape")?.flatten().or(quote);
        let comment = character(options, "comment")?.flatten();
        let settings = Settings {
            delimiter,
            quote,
            escape,
            newline: newline(options)?,
            comment,
            header: flag(options, "header")?,
            skip: skip(options)?,
            nulls: nulls(options)?,
            names: texts(options, "names")?,
            columns: pairs(options, "columns")?,
            types: pairs(options, "types")?.unwrap_or_default(),
            all_varchar: flag(options, "all_varchar")?.unwrap_or(false),
            sample_size: integer(options, "sample_size")?,
            ignore_errors: flag(options, "ignore_errors")?.unwrap_or(false),
            union_by_name: flag(options, "union_by_name")?.unwrap_or(false),
            compression: compression(options)?,
            parallel: flag(options, "parallel")?.unwrap_or(true),
            file_columns: texts(options, FILE_COLUMNS)?.unwrap_or_default(),
            quotes_seen: flag(options, QUOTES_SEEN)?.unwrap_or(true),
        };
        settings.distinct()?;
        Ok(settings)
    }

    /// No two roles may have the same character.
    fn distinct(&self) -> Result<()> {
        let roles = [("delim", self.delimiter), ("quote", self.quote), ("comment", self.comment)];
        for (index, (name, value)) in roles.iter().enumerate() {
            let Some(value) = value else { continue };
            let clash = roles.iter().take(index).find(|(_, other)| *other == Some(*value)).map(|(other, _)| *other);
            let clash = if matches!(value, b'\n' | b'\r') { Some("the line end") } else { clash };
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
            quote: self.quote,
            escape: self.escape,
            newline: self.newline.unwrap_or(b'\n'),
            comment: self.comment,
            blank_is_record: false,
        }
    }

    /// The dialect of the records behind the header.
    pub fn record_dialect(&self, columns: usize) -> Dialect {
        Dialect { blank_is_record: columns == 1, ..self.dialect() }
    }

    /// How `path` is compressed.
    pub fn compression_of(&self, path: &str) -> Compression {
        self.compression.unwrap_or_else(|| Compression::of(path))
    }

    /// The type that the user gave for a column.
    pub fn declared_type(&self, name: &str) -> Option<&str> {
        let all = self.columns.iter().flatten().chain(&self.types);
        all.into_iter().find(|(column, _)| column.eq_ignore_ascii_case(name)).map(|(_, data_type)| data_type.as_str())
    }

    /// Whether an unquoted text means NULL.
    pub fn is_null(&self, text: &[u8]) -> bool {
        self.nulls.iter().any(|null| null == text)
    }
}

fn required(name: &str, value: Option<Option<u8>>) -> Result<Option<u8>> {
    match value {
        Some(None) => Err(invalid(name, &OptionValue::Text(String::new()), "one ASCII character")),
        Some(value) => Ok(value),
        None => Ok(None),
    }
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

fn nulls(options: &Options) -> Result<Vec<Vec<u8>>> {
    let given = texts(options, "nullstr")?.unwrap_or_else(|| vec![String::new()]);
    Ok(given.into_iter().map(String::into_bytes).collect())
}

fn compression(options: &Options) -> Result<Option<Compression>> {
    match text(options, "compression")? {
        None | Some("auto" | "auto_detect") => Ok(None),
        Some("none") => Ok(Some(Compression::None)),
        Some("gzip" | "gz") => Ok(Some(Compression::Gzip)),
        Some("zstd" | "zst") => Ok(Some(Compression::Zstd)),
        Some(other) => {
            let value = OptionValue::Text(other.to_string());
            Err(invalid("compression", &value, "'auto', 'none', 'gzip' or 'zstd'"))
        }
    }
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
        assert!(settings.is_null(b"NA") && !settings.is_null(b""));
    }

    #[test]
    fn impossible_options_are_refused() {
        for bad in [("delim", ""), ("delim", "\""), ("delim", "\n"), ("compression", "rar"), ("new_line", "x")] {
            assert_eq!(Settings::new(&options(&[bad])).unwrap_err().code(), Code::InvalidSetting, "{bad:?}");
        }
        assert_eq!(Settings::new(&options(&[("dateformat", "%d")])).unwrap_err().code(), Code::NotSupported);
    }
}

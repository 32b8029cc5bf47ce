//! SQL type names, read: `DECIMAL(9,2)[]`, `STRUCT(a INT, b MAP(VARCHAR, DATE))`.

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Field, Fields, TimeUnit};

use super::{HUGEINT, INTERVAL, UHUGEINT, enumeration};
use crate::batch::logical::{BIT, JSON, UUID};
use crate::error::{Code, Error, Result};

/// The Arrow type that an SQL type name stands for, in any letter case, nested types too.
///
/// # Errors
/// `INVALID_QUERY` when the text is not a type; the hint names the nearest one.
///
/// ```
/// use arrow::datatypes::DataType;
/// use floe::expr::types::sql_type_from_name;
/// assert_eq!(sql_type_from_name("bigint")?, DataType::Int64);
/// assert!(sql_type_from_name("bigit").unwrap_err().hint_text().unwrap().contains("BIGINT"));
/// # Ok::<(), floe::Error>(())
/// ```
pub fn sql_type_from_name(name: &str) -> Result<DataType> {
    let mut parser = Parser { text: name, rest: name.trim_start() };
    let data_type = parser.data_type(0)?;
    if parser.rest.is_empty() { Ok(data_type) } else { Err(parser.error()) }
}

/// Types nest no deeper than this.
const DEEPEST: usize = 64;

/// Names without parameters, with their aliases.
const NAMES: [(&str, DataType); 57] = [
    ("BOOLEAN", DataType::Boolean),
    ("BOOL", DataType::Boolean),
    ("LOGICAL", DataType::Boolean),
    ("TINYINT", DataType::Int8),
    ("INT1", DataType::Int8),
    ("SMALLINT", DataType::Int16),
    ("INT2", DataType::Int16),
    ("SHORT", DataType::Int16),
    ("INTEGER", DataType::Int32),
    ("INT", DataType::Int32),
    ("INT4", DataType::Int32),
    ("SIGNED", DataType::Int32),
    ("BIGINT", DataType::Int64),
    ("INT8", DataType::Int64),
    ("LONG", DataType::Int64),
    ("HUGEINT", HUGEINT),
    ("INT128", HUGEINT),
    ("UHUGEINT", UHUGEINT),
    ("UINT128", UHUGEINT),
    ("UTINYINT", DataType::UInt8),
    ("USMALLINT", DataType::UInt16),
    ("UINTEGER", DataType::UInt32),
    ("UINT", DataType::UInt32),
    ("UBIGINT", DataType::UInt64),
    ("FLOAT", DataType::Float32),
    ("FLOAT4", DataType::Float32),
    ("REAL", DataType::Float32),
    ("DOUBLE PRECISION", DataType::Float64),
    ("DOUBLE", DataType::Float64),
    ("FLOAT8", DataType::Float64),
    ("VARCHAR", DataType::Utf8View),
    ("TEXT", DataType::Utf8View),
    ("STRING", DataType::Utf8View),
    ("CHAR", DataType::Utf8View),
    ("CHARACTER VARYING", DataType::Utf8View),
    ("BPCHAR", DataType::Utf8View),
    ("BLOB", DataType::BinaryView),
    ("BYTEA", DataType::BinaryView),
    ("BINARY", DataType::BinaryView),
    ("VARBINARY", DataType::BinaryView),
    ("UUID", UUID),
    ("JSON", JSON),
    ("BIT", BIT),
    ("BITSTRING", BIT),
    ("DATE", DataType::Date32),
    ("TIME", DataType::Time64(TimeUnit::Microsecond)),
    ("TIMESTAMP WITHOUT TIME ZONE", DataType::Timestamp(TimeUnit::Microsecond, None)),
    ("TIMESTAMP", DataType::Timestamp(TimeUnit::Microsecond, None)),
    ("DATETIME", DataType::Timestamp(TimeUnit::Microsecond, None)),
    ("TIMESTAMP_US", DataType::Timestamp(TimeUnit::Microsecond, None)),
    ("TIMESTAMP_S", DataType::Timestamp(TimeUnit::Second, None)),
    ("TIMESTAMP_MS", DataType::Timestamp(TimeUnit::Millisecond, None)),
    ("TIMESTAMP_NS", DataType::Timestamp(TimeUnit::Nanosecond, None)),
    ("INTERVAL", INTERVAL),
    ("NULL", DataType::Null),
    ("TIMESTAMP WITH TIME ZONE", DataType::Null),
    ("TIMESTAMPTZ", DataType::Null),
];

/// Reads one type from the front of `rest`, which never starts with a space.
struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Parser<'_> {
    fn data_type(&mut self, depth: usize) -> Result<DataType> {
        if depth > DEEPEST {
            return Err(Error::new(Code::InvalidQuery, format!("a type is nested deeper than {DEEPEST} levels")));
        }
        let name = self.words();
        let mut data_type = match name.as_str() {
            "" => return Err(self.error()),
            "DECIMAL" | "NUMERIC" | "DEC" => self.decimal()?,
            "STRUCT" | "ROW" => DataType::Struct(self.fields(depth)?),
            "MAP" => self.map(depth)?,
            "ENUM" => self.enumeration()?,
            "TIMESTAMP WITH TIME ZONE" | "TIMESTAMPTZ" => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            _ => match NAMES.iter().find(|(known, _)| *known == name) {
                Some((_, data_type)) => data_type.clone(),
                None => return Err(self.unknown(&name)),
            },
        };
        // A length, as in VARCHAR(10), says nothing.
        if data_type == DataType::Utf8View && self.take('(') {
            self.number()?;
            self.expect(')')?;
        }
        while self.take('[') {
            let item = Arc::new(Field::new_list_field(data_type, true));
            data_type = match self.rest.starts_with(']') {
                true => DataType::List(item),
                false => DataType::FixedSizeList(item, self.number()?),
            };
            self.expect(']')?;
        }
        Ok(data_type)
    }

    /// The longest run of words, in capitals, with single spaces; words that begin no known type end it.
    fn words(&mut self) -> String {
        let mut name = String::new();
        loop {
            let length = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
            let (word, rest) = self.rest.split_at(length);
            let longer = if name.is_empty() { word.to_uppercase() } else { format!("{name} {}", word.to_uppercase()) };
            let begins_a_type = NAMES.iter().any(|(known, _)| known.starts_with(&longer));
            if word.is_empty() || (!name.is_empty() && !begins_a_type) {
                return name;
            }
            name = longer;
            self.rest = rest.trim_start();
        }
    }

    fn decimal(&mut self) -> Result<DataType> {
        let (mut precision, mut scale) = (18, 3);
        if self.take('(') {
            (precision, scale) = (self.number()?, 0);
            if self.take(',') {
                scale = self.number()?;
            }
            self.expect(')')?;
        }
        let fits = |widest: u8| 1 <= precision && precision <= i32::from(widest) && 0 <= scale && scale <= precision;
        match (u8::try_from(precision), i8::try_from(scale)) {
            (Ok(precision), Ok(scale)) if fits(DECIMAL128_MAX_PRECISION) => Ok(DataType::Decimal128(precision, scale)),
            (Ok(precision), Ok(scale)) if fits(DECIMAL256_MAX_PRECISION) => Ok(DataType::Decimal256(precision, scale)),
            _ => Err(self.error().hint("DECIMAL(p,s) has 1 to 76 digits, of which s, at most p, after the point")),
        }
    }

    fn fields(&mut self, depth: usize) -> Result<Fields> {
        let mut fields = Vec::new();
        self.expect('(')?;
        loop {
            let name = self.field_name()?;
            fields.push(Field::new(name, self.data_type(depth + 1)?, true));
            if !self.take(',') {
                self.expect(')')?;
                return Ok(fields.into());
            }
        }
    }

    fn field_name(&mut self) -> Result<String> {
        if let Some(name) = self.quoted('"')? {
            return Ok(name);
        }
        let length = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(length);
        if word.is_empty() {
            return Err(self.error());
        }
        self.rest = rest.trim_start();
        Ok(word.to_string())
    }

    /// What stands in quotes, where a quote comes next.
    fn quoted(&mut self, quote: char) -> Result<Option<String>> {
        let Some(quoted) = self.rest.strip_prefix(quote) else { return Ok(None) };
        let mut text = String::new();
        let mut characters = quoted.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            if character != quote {
                text.push(character);
            } else if characters.next_if(|(_, next)| *next == quote).is_some() {
                text.push(quote);
            } else {
                self.rest = quoted.split_at(at + 1).1.trim_start();
                return Ok(Some(text));
            }
        }
        Err(self.error())
    }

    fn enumeration(&mut self) -> Result<DataType> {
        let mut labels = Vec::new();
        self.expect('(')?;
        while !self.take(')') {
            if !labels.is_empty() {
                self.expect(',')?;
            }
            labels.push(self.quoted('\'')?.ok_or_else(|| self.error())?);
        }
        enumeration(labels)
    }

    fn map(&mut self, depth: usize) -> Result<DataType> {
        self.expect('(')?;
        let key = self.data_type(depth + 1)?;
        self.expect(',')?;
        let value = self.data_type(depth + 1)?;
        self.expect(')')?;
        let entries = vec![Field::new("key", key, false), Field::new("value", value, true)];
        Ok(DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries.into()), false)), false))
    }

    fn number(&mut self) -> Result<i32> {
        let length = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(length);
        let number = digits.parse().map_err(|_| self.error())?;
        self.rest = rest.trim_start();
        Ok(number)
    }

    fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<()> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.error().hint(format!("'{wanted}' is expected before '{}'", self.rest)))
        }
    }

    fn error(&self) -> Error {
        Error::new(Code::InvalidQuery, format!("'{}' is not a type", self.text))
    }

    fn unknown(&self, name: &str) -> Error {
        let others = ["DECIMAL", "STRUCT", "MAP", "ENUM"];
        let known = NAMES.iter().map(|(known, _)| *known).chain(others);
        let nearest = known.min_by_key(|known| strsim::damerau_levenshtein(known, name));
        match nearest.filter(|nearest| strsim::damerau_levenshtein(nearest, name) <= 2) {
            Some(nearest) => self.error().hint(format!("did you mean {nearest}?")),
            None => self.error(),
        }
    }
}

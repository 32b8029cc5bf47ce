//! JSON values straight into columns, without a tree of values between.
//!
//! Invariant: after a row every column has the same length, or, after an error, the caller cuts the columns back. Keys
//! without a column are skipped (and still checked to be JSON). Of equal keys the last counts: the earlier value is
//! taken back.

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::scan::infer::time;
use crate::scan::json::column::{Column, Row, Values};
use crate::scan::json::text::JsonText;

/// A value that its column cannot take.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The keys that lead to it, innermost first.
    pub(super) path: Vec<String>,
    /// What was found, in words.
    pub(super) found: String,
    /// The column's type, in words.
    pub(super) wanted: String,
}

/// One object as the next row of `row`.
pub(super) struct RowSeed<'a> {
    pub(super) row: &'a mut Row,
    /// Rows before this one.
    pub(super) rows: usize,
    /// Filled when a value does not fit its column.
    pub(super) misfit: &'a mut Option<Misfit>,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let RowSeed { row, rows, misfit } = self;
        let mut guess = 0;
        while let Some(found) = map.next_key_seed(KeySeed { row, guess })? {
            let Some((position, column)) = found.and_then(|at| Some((at, row.columns.get_mut(at)?))) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            guess = position + 1;
            if column.len() > rows {
                column.truncate(rows);
            }
            if let Err(error) = map.next_value_seed(ValueSeed { column, misfit }) {
                if let Some(misfit) = misfit {
                    misfit.path.push(row.key(position).to_owned());
                }
                return Err(error);
            }
        }
        row.fill(rows + 1);
        Ok(())
    }
}

/// Finds a key's column.
struct KeySeed<'a> {
    row: &'a Row,
    guess: usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.row.find(key, self.guess))
    }
}

/// One value at the end of a column.
struct ValueSeed<'a> {
    column: &'a mut Column,
    misfit: &'a mut Option<Misfit>,
}

impl ValueSeed<'_> {
    fn refuse<E: serde::de::Error>(self, found: String) -> Result<(), E> {
        let wanted = self.column.type_name();
        let error = E::custom("a value does not fit its column");
        *self.misfit = Some(Misfit { path: Vec::new(), found, wanted });
        Err(error)
    }

    /// The value as JSON text, where the column is text.
    fn text<E: serde::de::Error>(self, write: impl FnOnce(JsonText) -> Result<(), E>) -> Result<(), E> {
        if let Values::Text(texts) = &mut self.column.values {
            write(JsonText { out: &mut texts.bytes })?;
            texts.end();
            self.column.valid();
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.column.push_null();
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        match &mut self.column.values {
            Values::Boolean(bits) => bits.append(value),
            Values::Text(_) => return self.text(|text| text.visit_bool(value)),
            _ => return self.refuse(format!("the boolean {value}")),
        }
        self.column.valid();
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        match &mut self.column.values {
            Values::Int(values) => values.push(value),
            Values::Huge(values) => values.push(i128::from(value)),
            Values::Double(values) => values.push(value as f64),
            Values::Text(_) => return self.text(|text| text.visit_i64(value)),
            _ => return self.refuse(format!("the number {value}")),
        }
        self.column.valid();
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        if let Ok(value) = i64::try_from(value) {
            return self.visit_i64(value);
        }
        match &mut self.column.values {
            Values::Huge(values) => values.push(i128::from(value)),
            Values::Double(values) => values.push(value as f64),
            Values::Text(_) => return self.text(|text| text.visit_u64(value)),
            _ => return self.refuse(format!("the number {value}")),
        }
        self.column.valid();
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        match &mut self.column.values {
            Values::Double(values) => values.push(value),
            Values::Text(_) => return self.text(|text| text.visit_f64(value)),
            // 1.0 and 1e3 are integers too, as long as doubles count them one by one.
            Values::Int(_) | Values::Huge(_) if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 => {
                return self.visit_i64(value as i64);
            }
            _ => return self.refuse(format!("the number {value}")),
        }
        self.column.valid();
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        match &mut self.column.values {
            Values::Text(texts) => {
                texts.bytes.extend_from_slice(text.as_bytes());
                texts.end();
            }
            Values::Date(values) => match time::parse_date(text.as_bytes()) {
                Some(value) => values.push(value),
                None => return self.refuse(quoted(text)),
            },
            Values::Timestamp(values) => match time::parse_timestamp(text.as_bytes()) {
                Some(value) => values.push(value),
                None => return self.refuse(quoted(text)),
            },
            _ => return self.refuse(quoted(text)),
        }
        self.column.valid();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        match &mut self.column.values {
            Values::List { ends, item, .. } => {
                let mut count = 0;
                loop {
                    match items.next_element_seed(ValueSeed { column: item, misfit: self.misfit }) {
                        Ok(Some(())) => count += 1,
                        Ok(None) => break,
                        Err(error) => {
                            if let Some(misfit) = self.misfit {
                                misfit.path.push(format!("[{count}]"));
                            }
                            return Err(error);
                        }
                    }
                }
                let end = i32::try_from(item.len()).map_err(|_| A::Error::custom("too many list items"))?;
                ends.push(end);
            }
            Values::Text(_) => return self.text(|text| text.visit_seq(items)),
            _ => return self.refuse("an array".to_owned()),
        }
        self.column.valid();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let rows = self.column.len();
        match &mut self.column.values {
            Values::Struct(row) => RowSeed { row, rows, misfit: self.misfit }.visit_map(map)?,
            Values::Text(_) => return self.text(|text| text.visit_map(map)),
            _ => return self.refuse("an object".to_owned()),
        }
        self.column.valid();
        Ok(())
    }
}

/// The start of a text, for errors.
fn quoted(text: &str) -> String {
    let mut start: String = text.chars().take(60).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("the text \"{start}\"")
}

//! Texts as lists, structs and maps: `[1, NULL, 'a, b']`, `{a: 1, 'b c': [2]}` or `(1, [2])`, `{k=1, l=2}`.
//!
//! One level of all rows is taken apart at a time; what stands in quotes is a text, also where it looks like something else.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, MapArray, StringViewArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields};

use super::kernels::{How, arrow_cast, cast_values, no_value, unique_keys};
use crate::batch::logical::is_enum;
use crate::error::{Code, Error, Result};

/// The texts as values of the nested type `to`.
///
/// # Errors
/// `INVALID_CAST` for a text that is none, unless NULL stands for it.
pub(super) fn parse_nested(texts: &StringViewArray, to: &DataType, how: How) -> Result<ArrayRef> {
    let texts: Vec<Option<String>> = texts.iter().map(|text| text.map(str::to_string)).collect();
    values(&texts, to, how)
}

/// The texts as values of any type.
fn values(texts: &[Option<String>], to: &DataType, how: How) -> Result<ArrayRef> {
    match to {
        // Its labels are texts.
        plain if is_enum(plain) => plain_values(texts, plain, how),
        DataType::List(item) => lists(texts, item, how),
        DataType::FixedSizeList(item, _) => {
            let lists = lists(texts, item, how)?;
            let of_length = arrow_cast(&lists, to, how);
            of_length.map_err(|_| Error::new(Code::InvalidCast, "a list has not the ARRAY's length"))
        }
        DataType::Struct(fields) => structs(texts, fields, how),
        DataType::Map(entries, sorted) => maps(texts, entries, *sorted, how),
        DataType::LargeList(_) | DataType::ListView(_) | DataType::LargeListView(_) | DataType::Union(..) => {
            Err(Error::not_supported(format!("a cast of texts to {to}")))
        }
        plain => plain_values(texts, plain, how),
    }
}

fn plain_values(texts: &[Option<String>], to: &DataType, how: How) -> Result<ArrayRef> {
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter(texts.iter().map(Option::as_deref)));
    cast_values(&texts, to, how)
}

/// Every text by `parse`; NULL where there is none, or where there may be.
fn parsed<T>(
    texts: &[Option<String>],
    how: How,
    what: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<Option<T>>> {
    let value = |text: &Option<String>| match text.as_deref().map(|text| (text, parse(text))) {
        Some((text, None)) if !how.safe => Err(no_value(text, what)),
        parsed => Ok(parsed.and_then(|(_, value)| value)),
    };
    texts.iter().map(value).collect()
}

fn lists(texts: &[Option<String>], item: &FieldRef, how: How) -> Result<ArrayRef> {
    let rows = parsed(texts, how, "a LIST", |text| {
        let parts = split(inside(text, '[', ']')?)?;
        parts.into_iter().map(value).collect::<Option<Vec<_>>>()
    })?;
    let nulls: NullBuffer = rows.iter().map(Option::is_some).collect();
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.as_ref().map_or(0, Vec::len)));
    let items: Vec<Option<String>> = rows.into_iter().flatten().flatten().collect();
    let items = values(&items, item.data_type(), how)?;
    Ok(Arc::new(ListArray::try_new(item.clone(), offsets, items, Some(nulls))?))
}

fn structs(texts: &[Option<String>], fields: &Fields, how: How) -> Result<ArrayRef> {
    let rows = parsed(texts, how, "a STRUCT of that type", |text| {
        let mut found: Vec<Option<String>> = vec![None; fields.len()];
        if let Some(row) = inside(text, '(', ')') {
            let parts = split(row)?;
            for (place, part) in parts.into_iter().enumerate() {
                *found.get_mut(place)? = value(part)?;
            }
            return Some(found);
        }
        for part in split(inside(text, '{', '}')?)? {
            let (name, text) = part.split_at_checked(separator(part, ':')?)?;
            let name = value(name)??;
            let place = fields.iter().position(|field| field.name().eq_ignore_ascii_case(&name))?;
            *found.get_mut(place)? = value(text.get(1..)?)?;
        }
        Some(found)
    })?;
    let nulls: NullBuffer = rows.iter().map(Option::is_some).collect();
    let column = |(place, field): (usize, &FieldRef)| {
        let texts: Vec<Option<String>> =
            rows.iter().map(|row| row.as_ref().and_then(|row| row.get(place).cloned().flatten())).collect();
        values(&texts, field.data_type(), how)
    };
    let columns = fields.iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, Some(nulls), texts.len())?))
}

fn maps(texts: &[Option<String>], entries: &FieldRef, sorted: bool, how: How) -> Result<ArrayRef> {
    let DataType::Struct(fields) = entries.data_type() else { return Err(Error::internal("a map without entries")) };
    let [key, item] = fields.as_ref() else { return Err(Error::internal("entries without keys and values")) };
    let rows = parsed(texts, how, "a MAP", |text| {
        let entry = |part: &str| {
            let (key, text) = part.split_at_checked(separator(part, '=')?)?;
            Some((value(key)??, value(text.get(1..)?)?))
        };
        split(inside(text, '{', '}')?)?.into_iter().map(entry).collect::<Option<Vec<_>>>()
    })?;
    let nulls: NullBuffer = rows.iter().map(Option::is_some).collect();
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.as_ref().map_or(0, Vec::len)));
    let (keys, items): (Vec<_>, Vec<_>) =
        rows.into_iter().flatten().flatten().map(|(key, item)| (Some(key), item)).unzip();
    let keys = values(&keys, key.data_type(), How { safe: false })?;
    unique_keys(&keys, &offsets)?;
    let pairs = StructArray::try_new(fields.clone(), vec![keys, values(&items, item.data_type(), how)?], None)?;
    Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, Some(nulls), sorted)?))
}

fn inside(text: &str, open: char, close: char) -> Option<&str> {
    text.trim().strip_prefix(open)?.strip_suffix(close).map(str::trim)
}

/// The parts between commas that stand neither in brackets nor in quotes.
fn split(text: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut rest = text;
    if rest.is_empty() {
        return Some(parts);
    }
    loop {
        match find(rest, ',')? {
            Some(comma) => {
                let (part, behind) = rest.split_at_checked(comma)?;
                parts.push(part.trim());
                rest = behind.get(1..)?;
            }
            None => {
                parts.push(rest.trim());
                return Some(parts);
            }
        }
    }
}

fn separator(text: &str, wanted: char) -> Option<usize> {
    find(text, wanted)?
}

/// Where the character stands outside of brackets and quotes; `None` where these are not closed.
fn find(text: &str, wanted: char) -> Option<Option<usize>> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut characters = text.char_indices();
    let mut before = None;
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => {
                characters.next();
            }
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            // An apostrophe within a word is one.
            (None, '\'' | '"') if before.is_none_or(|before| "[{(,:= ".contains(before)) => quote = Some(character),
            (None, _) if character == wanted && depth == 0 => return Some(Some(at)),
            (None, '[' | '{' | '(') => depth += 1,
            (None, ']' | '}' | ')') => depth = depth.checked_sub(1)?,
            _ => {}
        }
        before = Some(character);
    }
    (depth == 0 && quote.is_none()).then_some(None)
}

/// What a part stands for: NULL, a text in quotes, or the text itself.
fn value(part: &str) -> Option<Option<String>> {
    let part = part.trim();
    let quoted = ['\'', '"'].iter().find_map(|quote| part.strip_prefix(*quote)?.strip_suffix(*quote));
    if let Some(quoted) = quoted {
        let mut text = String::with_capacity(quoted.len());
        let mut characters = quoted.chars();
        while let Some(character) = characters.next() {
            text.push(if character == '\\' { characters.next()? } else { character });
        }
        return Some(Some(text));
    }
    match part {
        part if part.eq_ignore_ascii_case("null") => Some(None),
        part => Some(Some(part.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_end_at_commas_of_their_own() {
        assert_eq!(split("a, [b, c], 'd, e', it's"), Some(vec!["a", "[b, c]", "'d, e'", "it's"]));
        assert_eq!(split(""), Some(vec![]));
        assert_eq!(split("a]"), None);
        assert_eq!(split("'a"), None);
    }

    #[test]
    fn quotes_make_texts() {
        assert_eq!(value("'NULL'"), Some(Some("NULL".to_string())));
        assert_eq!(value(" null "), Some(None));
        assert_eq!(value("'it\\'s'"), Some(Some("it's".to_string())));
        assert_eq!(value(""), Some(Some(String::new())));
    }
}

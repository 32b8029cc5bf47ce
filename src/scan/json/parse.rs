//! JSON values straight into columns, without a tree of values between.
//!
//! Invariant: after a row every column has the same length, or, after an error, the caller cuts the columns back. Keys
//! without a column are skipped (and still checked to be JSON). Of equal keys the last counts: the earlier value is
//! taken back.

use memchr::memchr;

use crate::scan::json::column::{Column, Place, Row, Values};
use crate::scan::json::fault::Misfit;
use crate::scan::json::unescape::unescape;
use crate::scan::json::walk::{Cursor, Trouble, copy_string, is_number};

/// The object at the cursor as row number `rows` of `row`.
pub(super) fn record(cursor: &mut Cursor, row: &mut Row, rows: usize) -> Result<(), Trouble> {
    match cursor.peek() {
        None => Err(Trouble::End),
        Some((_, b'{')) if row.is_empty() => cursor.skip(),
        Some((_, b'{')) => {
            cursor.next += 1;
            object(cursor, row, rows)
        }
        Some((at, _)) => Err(Trouble::Syntax(at)),
    }
}

/// Any value at the cursor as the next one of the only column, where that is wanted.
pub(super) fn lone_value(cursor: &mut Cursor, row: &mut Row) -> Result<(), Trouble> {
    match row.columns.first_mut() {
        Some(column) if column.is_json() => whole(cursor, column),
        Some(column) => value(cursor, column),
        None => cursor.skip(),
    }
}

/// The value as it is written, `null` too.
fn whole(cursor: &mut Cursor, column: &mut Column) -> Result<(), Trouble> {
    let (start, _) = cursor.peek().ok_or(Trouble::End)?;
    cursor.skip()?;
    if let Values::Text(texts) = &mut column.values {
        texts.push(cursor.text_from(start));
    }
    column.valid();
    Ok(())
}

/// An object whose opening bracket was taken.
fn object(cursor: &mut Cursor, row: &mut Row, rows: usize) -> Result<(), Trouble> {
    let mut token = cursor.take()?;
    if token.1 == b'}' {
        row.fill(rows + 1);
        return Ok(());
    }
    let mut step = 0;
    loop {
        let (b'"', open) = (token.1, token.0) else { return Err(Trouble::Syntax(token.0)) };
        let key = cursor.key(open)?;
        match row.find(key, step) {
            Place::Unwanted => cursor.skip()?,
            Place::Unknown => {
                let misfit = Misfit { path: vec![plain_key(key)], is_new_key: true, ..Misfit::default() };
                return Err(Trouble::Misfit(Box::new(misfit), open));
            }
            Place::Column(position) => {
                if let Some(column) = row.columns.get_mut(position) {
                    if column.len() > rows {
                        column.truncate(rows);
                    }
                    value(cursor, column).map_err(|trouble| trouble.within(|| row.key(position).to_owned()))?;
                }
            }
        }
        step += 1;
        match cursor.take()? {
            (_, b',') => token = cursor.take()?,
            (_, b'}') => break,
            (at, _) => return Err(Trouble::Syntax(at)),
        }
    }
    row.fill(rows + 1);
    Ok(())
}

impl Trouble {
    /// The same, one key or index further in.
    fn within(self, step: impl FnOnce() -> String) -> Self {
        match self {
            Trouble::Misfit(mut misfit, at) => {
                misfit.path.push(step());
                Trouble::Misfit(misfit, at)
            }
            other => other,
        }
    }
}

/// The value at the cursor at the end of `column`.
fn value(cursor: &mut Cursor, column: &mut Column) -> Result<(), Trouble> {
    let (at, byte) = cursor.take()?;
    match byte {
        b'"' => {
            let raw = cursor.string(at)?;
            if text(raw, column).ok_or(Trouble::Syntax(at))? {
                column.valid();
                return Ok(());
            }
            refuse(column, at, quoted(raw))
        }
        b'{' => nested_object(cursor, column, at),
        b'[' => array(cursor, column, at),
        _ => {
            let scalar = cursor.scalar(at);
            match scalar {
                b"null" => {
                    column.push_null();
                    return Ok(());
                }
                b"true" | b"false" => boolean(scalar, column, at)?,
                _ => number(scalar, column, at, cursor)?,
            }
            column.valid();
            Ok(())
        }
    }
}

fn refuse<T>(column: &Column, at: usize, found: String) -> Result<T, Trouble> {
    let wanted = column.type_name();
    Err(Trouble::Misfit(Box::new(Misfit { found, wanted, ..Misfit::default() }), at))
}

/// A string's inside. False where the column does not take it; `None` where it is no text.
fn text(raw: &[u8], column: &mut Column) -> Option<bool> {
    let escaped = memchr(b'\\', raw).is_some();
    let is_json = column.is_json();
    if let Values::Text(texts) = &mut column.values {
        if is_json {
            copy_string(raw, &mut texts.bytes)?;
        } else if !escaped {
            texts.bytes.extend_from_slice(raw);
        } else if !unescape(raw, &mut texts.bytes) {
            return None;
        }
        texts.end();
        return Some(true);
    }
    let mut plain = Vec::new();
    if escaped && !unescape(raw, &mut plain) {
        return None;
    }
    let text = if escaped { plain.as_slice() } else { raw };
    Some(column.push_moment(text) || column.push_decimal(text))
}

fn boolean(word: &[u8], column: &mut Column, at: usize) -> Result<(), Trouble> {
    match &mut column.values {
        Values::Boolean(bits) => bits.append(word == b"true"),
        Values::Text(texts) => texts.push(word),
        _ => return refuse(column, at, format!("the boolean {}", String::from_utf8_lossy(word))),
    }
    Ok(())
}

fn number(digits: &[u8], column: &mut Column, at: usize, cursor: &Cursor) -> Result<(), Trouble> {
    if column.push_short_integer(digits) {
        return Ok(());
    }
    if !is_number(digits) {
        return Err(cursor.not_scalar(at));
    }
    match column.push_number(digits) {
        true => Ok(()),
        false => refuse(column, at, format!("the number {}", String::from_utf8_lossy(digits))),
    }
}

fn nested_object(cursor: &mut Cursor, column: &mut Column, at: usize) -> Result<(), Trouble> {
    let rows = column.len();
    match &mut column.values {
        Values::Struct(row) => object(cursor, row, rows)?,
        Values::Text(_) => json_text(cursor, column)?,
        _ => return refuse(column, at, "an object".to_owned()),
    }
    column.valid();
    Ok(())
}

fn array(cursor: &mut Cursor, column: &mut Column, at: usize) -> Result<(), Trouble> {
    match &mut column.values {
        Values::List { ends, item, .. } => {
            items(cursor, item)?;
            ends.push(i32::try_from(item.len()).map_err(|_| Trouble::Syntax(at))?);
        }
        Values::Text(_) => json_text(cursor, column)?,
        _ => return refuse(column, at, "an array".to_owned()),
    }
    column.valid();
    Ok(())
}

fn items(cursor: &mut Cursor, item: &mut Column) -> Result<(), Trouble> {
    if matches!(cursor.peek(), Some((_, b']'))) {
        cursor.next += 1;
        return Ok(());
    }
    for index in 0.. {
        value(cursor, item).map_err(|trouble| trouble.within(|| format!("[{index}]")))?;
        match cursor.take()? {
            (_, b',') => {}
            (_, b']') => break,
            (at, _) => return Err(Trouble::Syntax(at)),
        }
    }
    Ok(())
}

/// The value whose opening bracket was taken as the text of a VARCHAR.
fn json_text(cursor: &mut Cursor, column: &mut Column) -> Result<(), Trouble> {
    let Values::Text(texts) = &mut column.values else { return Ok(()) };
    cursor.next -= 1;
    cursor.copy(&mut texts.bytes)?;
    texts.end();
    Ok(())
}

/// A key as it is meant.
fn plain_key(raw: &[u8]) -> String {
    let mut plain = Vec::new();
    let key = if unescape(raw, &mut plain) { plain.as_slice() } else { raw };
    String::from_utf8_lossy(key).into_owned()
}

/// The start of a text, for errors.
fn quoted(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut start: String = text.chars().take(60).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("the text \"{start}\"")
}

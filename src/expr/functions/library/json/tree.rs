//! The entries of JSON as rows: what `json_each(json)` and `json_tree(json)` in FROM unnest.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, LargeStringArray, ListArray, StringViewArray, StructArray, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::Result as DataFusionResult;

use super::path::Path;
use super::structure::name_of;
use crate::batch::logical::JSON;
use crate::error::Result;
use crate::expr::functions::library::function::{Arguments, Function, Overload, function};
use crate::expr::functions::library::typed::list_type;
use crate::expr::json::{Part, shallow};

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    let overloads = |deep: bool| {
        [1, 2].map(|count| {
            let types = vec![DataType::Utf8View; count];
            Overload::exact(types, list_type(DataType::Struct(fields())), move |arguments| run(arguments, deep))
        })
    };
    vec![
        function("#json_each", "json[, path]", "The entries of an object or array", overloads(false)),
        function("#json_tree", "json[, path]", "The value, its entries, theirs, and so on", overloads(true)),
    ]
}

fn fields() -> Fields {
    let text = |name| Field::new(name, DataType::Utf8View, true);
    let json = |name| Field::new(name, JSON, true);
    let number = |name| Field::new(name, DataType::UInt64, true);
    let fields = [
        text("key"),
        json("value"),
        text("type"),
        json("atom"),
        number("id"),
        number("parent"),
        text("fullkey"),
        text("path"),
    ];
    fields.into_iter().collect()
}

/// One entry.
struct Entry {
    key: Option<String>,
    value: String,
    kind: &'static str,
    is_atom: bool,
    id: u64,
    parent: Option<u64>,
    full_key: String,
    path: String,
}

/// A walk through one value. Keys have numbers, too.
struct Walk<'a> {
    entries: &'a mut Vec<Entry>,
    next: u64,
    deep: bool,
}

impl Walk<'_> {
    /// `depth` is that below the value with which the walk began.
    fn visit(
        &mut self,
        part: Part,
        key: Option<String>,
        place: (&str, &str),
        parent: Option<u64>,
        depth: usize,
    ) -> Result<()> {
        let (full_key, path) = place;
        let id = self.next;
        self.next += 1;
        let is_atom = part.items().is_none() && part.entries().is_none();
        // Without depth only the entries of the value, or the value itself where it has none.
        if self.deep || depth == 1 || is_atom && depth == 0 {
            self.entries.push(Entry {
                key,
                value: part.json(),
                kind: name_of(part),
                is_atom: is_atom && !part.is_null(),
                id,
                parent: parent.filter(|_| self.deep),
                full_key: full_key.to_string(),
                path: path.to_string(),
            });
        }
        for (key, value) in part.entries().into_iter().flatten() {
            self.next += 1;
            let key = key.text()?;
            let is_plain = key.chars().all(|next| next.is_alphanumeric() || next == '_') && !key.is_empty();
            let step = if is_plain { format!("{full_key}.{key}") } else { format!("{full_key}.\"{key}\"") };
            self.visit(value, Some(key.into_owned()), (&step, full_key), Some(id), depth + 1)?;
        }
        for (index, value) in part.items().into_iter().flatten().enumerate() {
            let step = format!("{full_key}[{index}]");
            self.visit(value, Some(index.to_string()), (&step, full_key), Some(id), depth + 1)?;
        }
        Ok(())
    }
}

fn entries_of(text: &str, path: Option<&str>, deep: bool, entries: &mut Vec<Entry>) -> Result<()> {
    let path = path.unwrap_or("$");
    match Path::of(path)?.first(shallow(text)?) {
        Some(part) => Walk { entries, next: 0, deep }.visit(part, None, (path, path), None, 0),
        None => Ok(()),
    }
}

fn run(arguments: &Arguments, deep: bool) -> DataFusionResult<ArrayRef> {
    let columns = arguments.arrays()?;
    let texts = columns.iter().map(|column| column.as_string_view()).collect::<Vec<_>>();
    let (mut entries, mut lengths) = (Vec::new(), Vec::with_capacity(arguments.rows));
    for row in 0..arguments.rows {
        let before = entries.len();
        let value = |index: usize| {
            texts.get(index).and_then(|column| (arrow::array::Array::is_valid(*column, row)).then(|| column.value(row)))
        };
        if let Some(text) = value(0)
            && (texts.len() < 2 || value(1).is_some())
        {
            entries_of(text, value(1), deep, &mut entries)?;
        }
        lengths.push(entries.len() - before);
    }
    let text =
        |of: fn(&Entry) -> Option<&str>| -> ArrayRef { Arc::new(StringViewArray::from_iter(entries.iter().map(of))) };
    let json =
        |of: fn(&Entry) -> Option<&str>| -> ArrayRef { Arc::new(LargeStringArray::from_iter(entries.iter().map(of))) };
    let number =
        |of: fn(&Entry) -> Option<u64>| -> ArrayRef { Arc::new(UInt64Array::from_iter(entries.iter().map(of))) };
    let columns = vec![
        text(|entry| entry.key.as_deref()),
        json(|entry| Some(&entry.value)),
        text(|entry| Some(entry.kind)),
        json(|entry| entry.is_atom.then_some(entry.value.as_str())),
        number(|entry| Some(entry.id)),
        number(|entry| entry.parent),
        text(|entry| Some(&entry.full_key)),
        text(|entry| Some(&entry.path)),
    ];
    let items = StructArray::try_new(fields(), columns, None)?;
    let field = Arc::new(Field::new_list_field(DataType::Struct(fields()), true));
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), Arc::new(items), None)?))
}

//! UNNEST: lists and structs to rows and columns.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_expr::logical_plan::Unnest;

use super::{Branches, Lowering, with_operator};
use crate::error::{Error, Result};
use crate::ops;
use crate::ops::unnest::{ListColumn, NoItems, OutputColumn};

impl Lowering<'_> {
    pub(super) fn unnest(&mut self, unnest: &Unnest) -> Result<Branches> {
        let branches = self.node(&unnest.input)?;
        let lists = unnest.list_type_columns.iter();
        let lists: Vec<_> = lists.map(|(column, list)| ListColumn { column: *column, depth: list.depth }).collect();
        let mut outputs = Vec::new();
        for (column, field) in unnest.input.schema().fields().iter().enumerate() {
            let opened = (0..lists.len()).filter(|&list| lists.get(list).is_some_and(|list| list.column == column));
            let opened: Vec<_> = opened.map(OutputColumn::List).collect();
            match field.data_type() {
                DataType::Struct(fields) if unnest.struct_type_columns.contains(&column) => {
                    outputs.extend((0..fields.len()).map(|field| OutputColumn::Field { column, field }));
                }
                _ if opened.is_empty() => outputs.push(OutputColumn::Input(column)),
                _ => outputs.extend(opened),
            }
        }
        let schema = unnest.schema.inner().clone();
        if outputs.len() != schema.fields().len() {
            return Err(Error::internal("UNNEST does not give the columns that were planned"));
        }
        let keep_nulls = unnest.options.preserve_nulls();
        let no_items = NoItems { keep_nulls, keep_empty: unnest.options.expand_empty_as_null() };
        Ok(with_operator(branches, Arc::new(ops::unnest::Unnest::new(lists, outputs, no_items, schema))))
    }
}

//! Columns as bytes whose order is that of an ORDER BY.
//!
//! Invariant: NULLs of a column come where it says. Within lists and structs a NULL is greater than all values, wherever the NULLs
//! around it come.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};

/// Makes keys of columns.
#[derive(Debug)]
pub struct OrderConverter {
    converter: RowConverter,
    /// By column, whether a key of its own says where the NULLs are.
    apart: Vec<bool>,
}

impl OrderConverter {
    /// For columns of these types.
    ///
    /// # Errors
    /// For a type that has no order.
    pub fn try_new(columns: impl IntoIterator<Item = (DataType, SortOptions)>) -> Result<Self, ArrowError> {
        let (mut fields, mut apart) = (Vec::new(), Vec::new());
        for (data_type, options) in columns {
            // Arrow's row format places the NULLs within a value as it does those around it.
            let is_apart = data_type.is_nested() && options.nulls_first != options.descending;
            if is_apart {
                let nulls = SortOptions { descending: options.nulls_first, nulls_first: false };
                fields.push(SortField::new_with_options(DataType::Boolean, nulls));
            }
            let nulls_first = if is_apart { options.descending } else { options.nulls_first };
            fields.push(SortField::new_with_options(data_type, SortOptions { nulls_first, ..options }));
            apart.push(is_apart);
        }
        Ok(OrderConverter { converter: RowConverter::new(fields)?, apart })
    }

    /// The keys of rows.
    ///
    /// # Errors
    /// For other columns than were announced.
    pub fn keys(&self, columns: &[ArrayRef]) -> Result<Rows, ArrowError> {
        if !self.apart.contains(&true) {
            return self.converter.convert_columns(columns);
        }
        let mut all = Vec::with_capacity(columns.len() + 1);
        for (column, is_apart) in columns.iter().zip(&self.apart) {
            if *is_apart {
                let nulls: BooleanArray = arrow::compute::is_null(column)?;
                all.push(Arc::new(nulls) as ArrayRef);
            }
            all.push(column.clone());
        }
        self.converter.convert_columns(&all)
    }
}

//! One column chunk as a file of one column and one row group, for what the parquet crate only does for whole files.

use std::sync::Arc;

use parquet::file::metadata::{FileMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::schema::types::{SchemaDescriptor, Type};

use crate::error::{Error, Result};

/// The metadata of a file that has only leaf column `leaf` of row group `group`, as a column of its own.
pub(super) fn single_chunk(metadata: &ParquetMetaData, group: usize, leaf: usize) -> Result<ParquetMetaData> {
    let missing = || Error::internal(format!("row group {group} has no column {leaf}"));
    let group = metadata.row_groups().get(group).ok_or_else(missing)?;
    let chunk = group.columns().get(leaf).ok_or_else(missing)?;
    let root = Type::group_type_builder("schema").with_fields(vec![chunk.column_descr().self_type_ptr()]).build()?;
    let descriptor = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    let row_group = RowGroupMetaData::builder(descriptor.clone())
        .set_num_rows(group.num_rows())
        .set_total_byte_size(group.total_byte_size())
        .set_column_metadata(vec![chunk.clone()])
        .build()?;
    let file = metadata.file_metadata();
    let orders = file.column_orders().and_then(|orders| orders.get(leaf)).map(|order| vec![*order]);
    let file = FileMetaData::new(file.version(), group.num_rows(), None, None, descriptor, orders);
    Ok(ParquetMetaData::new(file, vec![row_group]))
}

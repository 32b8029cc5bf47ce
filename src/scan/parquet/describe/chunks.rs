//! A row for each column chunk.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryViewArray, Int32Builder, ListBuilder, MapArray, StringViewBuilder, StructArray,
    StructBuilder, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::{LogicalType, SortOrder, Type};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use super::{Columns, Described, count};
use crate::batch::logical::UUID;
use crate::batch::text::TextColumn;
use crate::error::Result;
use crate::scan::parquet::fault::guard;
use crate::scan::parquet::single::single_chunk;

/// A column chunk.
struct Chunk<'a> {
    file: &'a str,
    group: &'a RowGroupMetaData,
    group_number: usize,
    column_number: usize,
    chunk: &'a ColumnChunkMetaData,
    smallest: Option<String>,
    largest: Option<String>,
}

impl Chunk<'_> {
    fn statistics<T>(&self, get: impl Fn(&Statistics) -> Option<T>) -> Option<T> {
        self.chunk.statistics().and_then(get)
    }

    /// Whether a writer fills the older pair of bounds, or only it.
    fn older(&self) -> Option<bool> {
        let statistics = self.chunk.statistics()?;
        let descriptor = self.chunk.column_descr();
        let signed = descriptor.sort_order() == SortOrder::SIGNED || descriptor.physical_type() == Type::BOOLEAN;
        (statistics.is_min_max_deprecated() || signed).then_some(true)
    }

    fn is_exact(&self, get: impl Fn(&Statistics) -> bool) -> Option<bool> {
        let statistics = self.chunk.statistics()?;
        self.smallest.as_ref().map(|_| get(statistics))
    }
}

/// The rows of `files`.
pub(super) fn batch(files: &[Described]) -> Result<RecordBatch> {
    let mut rows = Vec::new();
    for file in files {
        for (group_number, group) in file.metadata.row_groups().iter().enumerate() {
            for (column_number, chunk) in group.columns().iter().enumerate() {
                let (smallest, largest) =
                    guard(|| format!("file '{}'", file.path), || bounds(file, group_number, column_number))
                        .unwrap_or_default();
                let file = file.path.as_str();
                rows.push(Chunk { file, group, group_number, column_number, chunk, smallest, largest });
            }
        }
    }
    columns(&rows)
}

fn columns(rows: &[Chunk]) -> Result<RecordBatch> {
    let mut columns = Columns::of(rows);
    columns.text("file_name", |row| Some(row.file));
    columns.number("row_group_id", |row| count(row.group_number));
    columns.number("row_group_num_rows", |row| Some(row.group.num_rows()));
    columns.number("row_group_num_columns", |row| count(row.group.num_columns()));
    columns.number("row_group_bytes", |row| Some(row.group.total_byte_size()));
    columns.number("column_id", |row| count(row.column_number));
    columns.number("file_offset", |row| Some(row.chunk.file_offset()));
    columns.number("num_values", |row| Some(row.chunk.num_values()));
    columns.text("path_in_schema", |row| Some(row.chunk.column_path().parts().join(", ")));
    columns.text("type", |row| Some(format!("{:?}", row.chunk.column_type())));
    columns.text("stats_min", |row| row.smallest.as_ref().filter(|_| row.older().is_some()));
    columns.text("stats_max", |row| row.largest.as_ref().filter(|_| row.older().is_some()));
    let number = |number: u64| i64::try_from(number).ok();
    columns.number("stats_null_count", |row| row.statistics(|known| known.null_count_opt().and_then(number)));
    columns.number("stats_distinct_count", |row| row.statistics(|known| known.distinct_count_opt().and_then(number)));
    columns.text("stats_min_value", |row| row.smallest.as_ref());
    columns.text("stats_max_value", |row| row.largest.as_ref());
    columns.text("compression", |row| Some(format!("{:?}", row.chunk.compression_codec())));
    columns.text("encodings", |row| {
        Some(row.chunk.encodings().map(|encoding| encoding.to_string()).collect::<Vec<_>>().join(", "))
    });
    columns.number("index_page_offset", |row| row.chunk.index_page_offset());
    columns.number("dictionary_page_offset", |row| row.chunk.dictionary_page_offset());
    columns.number("data_page_offset", |row| Some(row.chunk.data_page_offset()));
    columns.number("total_compressed_size", |row| Some(row.chunk.compressed_size()));
    columns.number("total_uncompressed_size", |row| Some(row.chunk.uncompressed_size()));
    columns.array("key_value_metadata", empty_maps(rows.len())?);
    columns.number("bloom_filter_offset", |row| row.chunk.bloom_filter_offset());
    columns.number("bloom_filter_length", |row| row.chunk.bloom_filter_length().map(i64::from));
    columns.flag("min_is_exact", |row| row.is_exact(Statistics::min_is_exact));
    columns.flag("max_is_exact", |row| row.is_exact(Statistics::max_is_exact));
    columns.number("row_group_compressed_bytes", |row| Some(row.group.compressed_size()));
    columns.array("geo_bbox", new_null_array(&geometry_box(), rows.len()));
    columns.array("geo_types", new_null_array(&list_of(DataType::Utf8View), rows.len()));
    columns.array("encoding_stats", encoding_stats(rows));
    columns.number("stats_nan_count", |_| None);
    columns.finish()
}

/// The least and the greatest value as text.
fn bounds(file: &Described, group: usize, leaf: usize) -> Result<(Option<String>, Option<String>)> {
    let single = single_chunk(&file.metadata, group, leaf)?;
    let descriptor = single.file_metadata().schema_descr();
    let schema = parquet_to_arrow_schema(descriptor, None)?;
    let Some(field) = schema.fields().first() else { return Ok((None, None)) };
    let converter = StatisticsConverter::from_column_index(0, field, descriptor)?;
    let is_uuid = matches!(descriptor.column(0).logical_type_ref(), Some(LogicalType::Uuid));
    let text = |bound: ArrayRef| match *bound.data_type() == UUID && !is_uuid {
        true => text(&cast(&bound, &DataType::BinaryView)?),
        false => text(&bound),
    };
    Ok((text(converter.row_group_mins(single.row_groups())?)?, text(converter.row_group_maxes(single.row_groups())?)?))
}

fn text(bound: &ArrayRef) -> Result<Option<String>> {
    if bound.is_empty() || bound.is_null(0) {
        return Ok(None);
    }
    let mut text = String::new();
    TextColumn::new(bound.as_ref())?.write_text(0, &mut text)?;
    Ok(Some(text))
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

fn geometry_box() -> DataType {
    let ends = ["xmin", "xmax", "ymin", "ymax", "zmin", "zmax", "mmin", "mmax"];
    DataType::Struct(ends.map(|end| Field::new(end, DataType::Float64, true)).into_iter().collect())
}

fn empty_maps(rows: usize) -> Result<ArrayRef> {
    let fields = Fields::from(vec![
        Field::new("key", DataType::BinaryView, false),
        Field::new("value", DataType::BinaryView, true),
    ]);
    let none = || Arc::new(BinaryViewArray::from(Vec::<&[u8]>::new())) as ArrayRef;
    let entries = StructArray::try_new(fields.clone(), vec![none(), none()], None)?;
    let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    Ok(Arc::new(MapArray::try_new(field, OffsetBuffer::new_zeroed(rows), entries, None, false)?))
}

/// How many pages of which kind have which encoding.
fn encoding_stats(rows: &[Chunk]) -> ArrayRef {
    let fields = Fields::from(vec![
        Field::new("page_type", DataType::Utf8View, true),
        Field::new("encoding", DataType::Utf8View, true),
        Field::new("count", DataType::Int32, true),
    ]);
    let mut lists = ListBuilder::new(StructBuilder::from_fields(fields, rows.len()));
    for row in rows {
        let known = row.chunk.page_encoding_stats();
        for pages in known.into_iter().flatten() {
            let entry = lists.values();
            let texts = [format!("{:?}", pages.page_type), pages.encoding.to_string()];
            for (place, text) in texts.iter().enumerate() {
                if let Some(builder) = entry.field_builder::<StringViewBuilder>(place) {
                    builder.append_value(text);
                }
            }
            if let Some(builder) = entry.field_builder::<Int32Builder>(2) {
                builder.append_value(pages.count);
            }
            entry.append(true);
        }
        lists.append(known.is_some());
    }
    Arc::new(lists.finish())
}

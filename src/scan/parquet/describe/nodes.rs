//! A row for each node of a schema, from the root down.

use arrow::datatypes::{DataType, FieldRef};
use arrow::record_batch::RecordBatch;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as PhysicalType};
use parquet::schema::types::Type;

use super::{Columns, Described, count};
use crate::error::Result;
use crate::expr::types::sql_type_name;
use crate::scan::merge::logical_schema;
use crate::scan::parquet::extensions::with_extensions;

/// A node of a file's schema.
struct Node<'a> {
    file: &'a str,
    node: &'a Type,
    number: usize,
    /// What reading gives; the same for a list and the groups that only hold it together.
    data_type: Option<DataType>,
}

/// The rows of `files`.
pub(super) fn batch(files: &[Described]) -> Result<RecordBatch> {
    let mut rows = Vec::new();
    for file in files {
        let metadata = file.metadata.file_metadata();
        let schema = parquet_to_arrow_schema(metadata.schema_descr(), metadata.key_value_metadata())
            .or_else(|_| parquet_to_arrow_schema(metadata.schema_descr(), None));
        let schema = schema.map(|schema| logical_schema(&with_extensions(&schema, metadata.schema_descr())));
        let fields = schema.map(|schema| schema.fields().clone()).unwrap_or_default();
        let (mut walk, root) = (Walk { file: file.path.as_str(), nodes: Vec::new() }, metadata.schema());
        walk.push(root, None);
        for (index, child) in root.get_fields().iter().enumerate() {
            walk.add(child, fields.get(index).map(|field| field.data_type().clone()));
        }
        rows.append(&mut walk.nodes);
    }
    columns(&rows)
}

/// The nodes of one file in their order.
struct Walk<'a> {
    file: &'a str,
    nodes: Vec<Node<'a>>,
}

impl<'a> Walk<'a> {
    fn push(&mut self, node: &'a Type, data_type: Option<DataType>) {
        self.nodes.push(Node { file: self.file, node, number: self.nodes.len(), data_type });
    }

    /// Adds a node and those below it.
    fn add(&mut self, node: &'a Type, data_type: Option<DataType>) {
        self.push(node, data_type.clone());
        for (index, child) in children(node).iter().enumerate() {
            match &data_type {
                Some(DataType::List(item)) => self.add_repeated(child, &data_type, std::slice::from_ref(item)),
                Some(DataType::Map(entries, _)) => match entries.data_type() {
                    DataType::Struct(fields) => self.add_repeated(child, &data_type, fields),
                    _ => self.add(child, None),
                },
                Some(DataType::Struct(fields)) => self.add(child, type_at(fields, index)),
                _ => self.add(child, None),
            }
        }
    }

    /// Adds what repeats within a list or a map: the values themselves, or a group around them.
    fn add_repeated(&mut self, node: &'a Type, whole: &Option<DataType>, items: &[FieldRef]) {
        let inner = children(node);
        let is_wrapper = inner.len() == items.len()
            && (items.len() > 1
                || !matches!(items.first().map(|item| item.data_type()), Some(DataType::Struct(_)))
                || is_struct_of(inner));
        if !is_wrapper {
            return self.add(node, type_at(items, 0));
        }
        self.push(node, whole.clone());
        for (index, child) in inner.iter().enumerate() {
            self.add(child, type_at(items, index));
        }
    }
}

/// Whether the only child of a repeated group is itself the struct that is repeated.
fn is_struct_of(children: &[parquet::schema::types::TypePtr]) -> bool {
    children.first().is_some_and(|child| child.is_group())
}

fn children(node: &Type) -> &[parquet::schema::types::TypePtr] {
    if node.is_group() { node.get_fields() } else { &[] }
}

fn type_at(fields: &[FieldRef], index: usize) -> Option<DataType> {
    fields.get(index).map(|field| field.data_type().clone())
}

fn columns(rows: &[Node]) -> Result<RecordBatch> {
    let mut columns = Columns::of(rows);
    let physical = |row: &Node| row.node.is_primitive().then(|| row.node.get_physical_type());
    columns.text("file_name", |row| Some(row.file));
    columns.text("name", |row| Some(row.node.name()));
    columns.text("type", |row| physical(row).map(|physical| format!("{physical:?}")));
    columns.text("type_length", |row| match row.node {
        Type::PrimitiveType { type_length, physical_type: PhysicalType::FIXED_LEN_BYTE_ARRAY, .. } => {
            Some(type_length.to_string())
        }
        _ => None,
    });
    columns.text("repetition_type", |row| {
        let info = row.node.get_basic_info();
        info.has_repetition().then(|| format!("{:?}", info.repetition()))
    });
    columns.number("num_children", |row| row.node.is_group().then(|| count(row.node.get_fields().len())).flatten());
    columns.text("converted_type", |row| {
        let converted = row.node.get_basic_info().converted_type();
        (converted != ConvertedType::NONE).then(|| converted.to_string())
    });
    columns.number("scale", |row| digits(row.node).map(|(scale, _)| scale));
    columns.number("precision", |row| digits(row.node).map(|(_, precision)| precision));
    columns.number("field_id", |row| {
        let info = row.node.get_basic_info();
        info.has_id().then(|| i64::from(info.id()))
    });
    columns.text("logical_type", |row| row.node.get_basic_info().logical_type_ref().and_then(logical_text));
    columns.text("duckdb_type", |row| row.data_type.as_ref().map(sql_type_name));
    columns.number("column_id", |row| count(row.number));
    columns.finish()
}

/// Scale and precision of a decimal.
fn digits(node: &Type) -> Option<(i64, i64)> {
    let is_decimal = node.get_basic_info().converted_type() == ConvertedType::DECIMAL
        || matches!(node.get_basic_info().logical_type_ref(), Some(LogicalType::Decimal(_)));
    match node {
        Type::PrimitiveType { scale, precision, .. } if is_decimal => Some((i64::from(*scale), i64::from(*precision))),
        _ => None,
    }
}

/// A logical type as the format's own definition spells it.
fn logical_text(logical: &LogicalType) -> Option<String> {
    let timed = |name: &str, adjusted: bool, unit: &TimeUnit| {
        let of = |is: bool, name: &str| if is { format!("{name}()") } else { "<null>".to_string() };
        let milli = of(matches!(unit, TimeUnit::MILLIS), "MilliSeconds");
        let micro = of(matches!(unit, TimeUnit::MICROS), "MicroSeconds");
        let nano = of(matches!(unit, TimeUnit::NANOS), "NanoSeconds");
        let unit = format!("TimeUnit(MILLIS={milli}, MICROS={micro}, NANOS={nano})");
        format!("{name}(isAdjustedToUTC={}, unit={unit})", u8::from(adjusted))
    };
    Some(match logical {
        LogicalType::String => "StringType()".to_string(),
        LogicalType::Map => "MapType()".to_string(),
        LogicalType::List => "ListType()".to_string(),
        LogicalType::Enum => "EnumType()".to_string(),
        LogicalType::Decimal(decimal) => {
            format!("DecimalType(scale={}, precision={})", decimal.scale, decimal.precision)
        }
        LogicalType::Date => "DateType()".to_string(),
        LogicalType::Time(time) => timed("TimeType", time.is_adjusted_to_u_t_c, &time.unit),
        LogicalType::Timestamp(time) => timed("TimestampType", time.is_adjusted_to_u_t_c, &time.unit),
        LogicalType::Integer(integer) => {
            format!("IntType(bitWidth={}, isSigned={})", integer.bit_width, u8::from(integer.is_signed))
        }
        LogicalType::Unknown => "NullType()".to_string(),
        LogicalType::Json => "JsonType()".to_string(),
        LogicalType::Bson => "BsonType()".to_string(),
        LogicalType::Uuid => "UUIDType()".to_string(),
        LogicalType::Float16 => "Float16Type()".to_string(),
        LogicalType::Variant(_) => "VariantType()".to_string(),
        LogicalType::Geometry(_) => "GeometryType()".to_string(),
        LogicalType::Geography(_) => "GeographyType()".to_string(),
        _ => return None,
    })
}

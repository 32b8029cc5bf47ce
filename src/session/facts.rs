//! Tables of what the session has: information_schema, `duckdb_tables()` and the like.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::FieldRef;
use arrow::record_batch::RecordBatch;

use super::catalog::{Entry, Named};
use super::engine::Engine;
use super::names::Name;
use super::relation::Relation;
use super::sql::relations::Tables;
use crate::error::{Error, Result};
use crate::expr::function_list;
use crate::expr::types::sql_type_name;

/// The database that all schemas are in.
const DATABASE: &str = "memory";

/// The functions in FROM, without arguments, that tell what the session has.
pub(crate) const FUNCTIONS: [&str; 7] = [
    "duckdb_functions",
    "duckdb_tables",
    "duckdb_views",
    "duckdb_columns",
    "duckdb_schemas",
    "duckdb_settings",
    "duckdb_types",
];

/// The rows of a table of facts; `None` for another name. `tables` tells the columns of views.
pub(crate) fn rows(name: &Name, engine: &Engine, tables: &dyn Tables) -> Option<Result<RecordBatch>> {
    let facts = Facts { engine, tables };
    Some(match (name.schema.as_deref().map(str::to_lowercase).as_deref(), name.name.to_lowercase().as_str()) {
        (Some("information_schema"), "tables") => facts.information_tables(),
        (Some("information_schema"), "columns") => facts.columns(),
        (Some("information_schema"), "schemata") => facts.schemata(),
        (None, "duckdb_tables") => facts.tables(),
        (None, "duckdb_views") => facts.views(),
        (None, "duckdb_columns") => facts.columns_of_tables(),
        (None, "duckdb_schemas") => facts.schemas(),
        (None, "duckdb_settings") => facts.settings(),
        (None, "duckdb_functions") => facts.functions(),
        (None, "duckdb_types") => facts.types(),
        _ => return None,
    })
}

struct Facts<'a> {
    engine: &'a Engine,
    tables: &'a dyn Tables,
}

/// A column of a table or view.
struct ColumnFact {
    table: Named,
    index: usize,
    field: FieldRef,
    default: Option<String>,
}

fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn same(value: &str, count: usize) -> ArrayRef {
    texts(std::iter::repeat_n(value, count))
}

fn numbers(values: impl IntoIterator<Item = usize>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.into_iter().map(|value| i64::try_from(value).unwrap_or(i64::MAX))))
}

fn optional<T: AsRef<str>>(values: impl IntoIterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

fn comments(all: &[Named]) -> ArrayRef {
    optional(all.iter().map(|named| named.comments.own.as_deref()))
}

fn column_comments(all: &[ColumnFact]) -> ArrayRef {
    optional(all.iter().map(|column| column.table.comments.of_column(column.field.name())))
}

fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> Result<RecordBatch> {
    Ok(RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))?)
}

impl Facts<'_> {
    /// The comments on macros or types, by lower-case name.
    fn comment_of(&self, kind: &'static str, key: &str) -> Option<String> {
        self.engine.definitions.now().comments.get(&(kind, key.to_string())).cloned()
    }

    fn of_kind(&self, is_table: bool) -> Vec<Named> {
        let mut all = self.engine.catalog.list();
        all.retain(|named| matches!(named.entry, Entry::Table(_)) == is_table);
        all
    }

    /// The columns of everything; a view that cannot be planned any more has none.
    fn all_columns(&self) -> Vec<ColumnFact> {
        let mut columns = Vec::new();
        for table in self.engine.catalog.list() {
            let name = Name { schema: Some(table.schema.clone()), name: table.name.clone() };
            let defaults = self.tables.columns(&name).unwrap_or_default();
            let schema = match self.tables.table(&name) {
                Some(Ok(Relation::Query(plan))) => super::relation::arrow_schema(plan.schema()),
                Some(Ok(relation)) => relation.schema(),
                _ => continue,
            };
            for (index, field) in schema.fields().iter().enumerate() {
                let default = defaults.get(index).and_then(|(_, default)| default.clone());
                columns.push(ColumnFact { table: table.clone(), index: index + 1, field: field.clone(), default });
            }
        }
        columns
    }

    fn information_tables(&self) -> Result<RecordBatch> {
        let all = self.engine.catalog.list();
        let kind = |named: &Named| if matches!(named.entry, Entry::Table(_)) { "BASE TABLE" } else { "VIEW" };
        batch([
            ("table_catalog", same(DATABASE, all.len())),
            ("table_schema", texts(all.iter().map(|named| &named.schema))),
            ("table_name", texts(all.iter().map(|named| &named.name))),
            ("table_type", texts(all.iter().map(kind))),
            ("TABLE_COMMENT", comments(&all)),
        ])
    }

    fn columns(&self) -> Result<RecordBatch> {
        let all = self.all_columns();
        let nullable = |column: &ColumnFact| if column.field.is_nullable() { "YES" } else { "NO" };
        batch([
            ("table_catalog", same(DATABASE, all.len())),
            ("table_schema", texts(all.iter().map(|column| &column.table.schema))),
            ("table_name", texts(all.iter().map(|column| &column.table.name))),
            ("column_name", texts(all.iter().map(|column| column.field.name()))),
            ("ordinal_position", numbers(all.iter().map(|column| column.index))),
            ("column_default", optional(all.iter().map(|column| column.default.as_deref()))),
            ("is_nullable", texts(all.iter().map(nullable))),
            ("data_type", texts(all.iter().map(|column| sql_type_name(column.field.data_type())))),
            ("COLUMN_COMMENT", column_comments(&all)),
        ])
    }

    fn columns_of_tables(&self) -> Result<RecordBatch> {
        let all = self.all_columns();
        let nullable: Vec<bool> = all.iter().map(|column| column.field.is_nullable()).collect();
        batch([
            ("database_name", same(DATABASE, all.len())),
            ("schema_name", texts(all.iter().map(|column| &column.table.schema))),
            ("table_name", texts(all.iter().map(|column| &column.table.name))),
            ("column_name", texts(all.iter().map(|column| column.field.name()))),
            ("comment", column_comments(&all)),
            ("column_index", numbers(all.iter().map(|column| column.index))),
            ("column_default", optional(all.iter().map(|column| column.default.as_deref()))),
            ("is_nullable", Arc::new(arrow::array::BooleanArray::from(nullable))),
            ("data_type", texts(all.iter().map(|column| sql_type_name(column.field.data_type())))),
        ])
    }

    fn tables(&self) -> Result<RecordBatch> {
        let all = self.of_kind(true);
        let rows = |named: &Named| match &named.entry {
            Entry::Table(table) => usize::try_from(table.rows().rows()).unwrap_or(usize::MAX),
            _ => 0,
        };
        let columns = |named: &Named| match &named.entry {
            Entry::Table(table) => table.schema.fields().len(),
            _ => 0,
        };
        batch([
            ("database_name", same(DATABASE, all.len())),
            ("schema_name", texts(all.iter().map(|named| &named.schema))),
            ("table_name", texts(all.iter().map(|named| &named.name))),
            ("comment", comments(&all)),
            ("estimated_size", numbers(all.iter().map(rows))),
            ("column_count", numbers(all.iter().map(columns))),
        ])
    }

    fn views(&self) -> Result<RecordBatch> {
        let all = self.of_kind(false);
        let sql = |named: &Named| match &named.entry {
            Entry::View(view) => Some(view.sql.clone()),
            _ => None,
        };
        batch([
            ("database_name", same(DATABASE, all.len())),
            ("schema_name", texts(all.iter().map(|named| &named.schema))),
            ("view_name", texts(all.iter().map(|named| &named.name))),
            ("comment", comments(&all)),
            ("sql", optional(all.iter().map(sql))),
        ])
    }

    fn schemata(&self) -> Result<RecordBatch> {
        let all = self.engine.catalog.schemas();
        batch([("catalog_name", same(DATABASE, all.len())), ("schema_name", texts(&all))])
    }

    fn schemas(&self) -> Result<RecordBatch> {
        let all = self.engine.catalog.schemas();
        batch([("database_name", same(DATABASE, all.len())), ("schema_name", texts(&all))])
    }

    fn settings(&self) -> Result<RecordBatch> {
        let all = self.engine.settings();
        batch([
            ("name", texts(all.iter().map(|(name, _, _)| *name))),
            ("value", texts(all.iter().map(|(_, value, _)| value))),
            ("description", texts(all.iter().map(|(_, _, text)| *text))),
        ])
    }

    /// Macros, then what is built in.
    fn functions(&self) -> Result<RecordBatch> {
        let defined = self.engine.definitions.now();
        let built_in = function_list()?;
        let column = |name: &str| built_in.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        let (Some(names), Some(kinds), Some(texts)) = (column("name"), column("kind"), column("description")) else {
            return Err(Error::internal("the list of functions has other columns"));
        };
        let macros = defined.macros.iter();
        let kind = |is_table: bool| Some(if is_table { "table_macro" } else { "macro" });
        let comments = defined.macros.keys().map(|key| self.comment_of("macro", key));
        batch([
            ("function_name", optional(macros.clone().map(|(_, found)| Some(found.name.as_str())).chain(names.iter()))),
            ("function_type", optional(macros.clone().map(|(_, found)| kind(found.is_table)).chain(kinds.iter()))),
            ("description", optional(macros.map(|_| None).chain(texts.iter()))),
            ("comment", optional(comments.chain(names.iter().map(|_| None)))),
        ])
    }

    fn types(&self) -> Result<RecordBatch> {
        let all = self.engine.definitions.now();
        batch([
            ("type_name", texts(all.types.values().map(|(name, _)| name))),
            ("comment", optional(all.types.keys().map(|key| self.comment_of("type", key)))),
            ("logical_type", texts(all.types.values().map(|(_, data_type)| sql_type_name(data_type)))),
        ])
    }
}

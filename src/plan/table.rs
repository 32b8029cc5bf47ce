//! Tables as the planner sees them: data only, never a closure, so that a plan can be serialised.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion_common::Result as DataFusionResult;
use datafusion_expr::{Expr, TableProviderFilterPushDown, TableSource, TableType};

use crate::batch::{Series, SourceRef};
use crate::scan::ScanSpec;

/// Files read as one table.
#[derive(Debug, Clone)]
pub struct FileTable {
    /// What is read.
    pub spec: Arc<ScanSpec>,
    /// The spec's columns by position, with the names that the query uses for them.
    schema: SchemaRef,
}

impl FileTable {
    /// A table over `spec` with the spec's own column names.
    pub fn new(spec: Arc<ScanSpec>) -> Self {
        let schema = spec.schema.clone();
        FileTable { spec, schema }
    }

    /// The same table with other spellings of its column names, by position.
    #[must_use]
    pub fn renamed(&self, schema: SchemaRef) -> Self {
        FileTable { spec: self.spec.clone(), schema }
    }
}

impl TableSource for FileTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

/// Rows that lie in the store (CREATE TABLE AS, VALUES of the library, a materialised frame).
#[derive(Clone)]
pub struct StoredTable {
    /// Where the rows come from.
    pub source: SourceRef,
    schema: SchemaRef,
}

impl StoredTable {
    /// A table over `source` with the source's own column names.
    pub fn new(source: SourceRef) -> Self {
        let schema = source.schema();
        StoredTable { source, schema }
    }

    /// The same table with other spellings of its column names, by position.
    #[must_use]
    pub fn renamed(&self, schema: SchemaRef) -> Self {
        StoredTable { source: self.source.clone(), schema }
    }
}

impl std::fmt::Debug for StoredTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredTable").field("source", &self.source.describe()).finish()
    }
}

impl TableSource for StoredTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }
}

/// The schema with its fields' names replaced, by position. Extra names are ignored.
pub fn with_names(schema: &Schema, names: &[String]) -> SchemaRef {
    let fields: Vec<_> =
        schema.fields().iter().zip(names).map(|(field, name)| field.as_ref().clone().with_name(name)).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The rows of a recursive query's last round, within its recursive term.
#[derive(Debug, Clone)]
pub struct WorkTable {
    /// The name of the recursive query.
    pub name: String,
    schema: SchemaRef,
}

impl WorkTable {
    /// The working table of the recursive query `name`.
    pub fn new(name: &str, schema: SchemaRef) -> Self {
        WorkTable { name: name.to_string(), schema }
    }
}

impl TableSource for WorkTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }
}

/// Numbers with a fixed step, in one column.
#[derive(Debug, Clone)]
pub struct SeriesTable {
    /// The numbers.
    pub series: Series,
    schema: SchemaRef,
}

impl SeriesTable {
    /// A table of `series` with a column called `name`.
    pub fn new(series: Series, name: &str) -> Self {
        let field = arrow::datatypes::Field::new(name, arrow::datatypes::DataType::Int64, false);
        SeriesTable { series, schema: Arc::new(Schema::new(vec![field])) }
    }
}

impl TableSource for SeriesTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

//! The door that every file format implements.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion_expr::Expr;

use crate::batch::Split;
use crate::cancel::CancelToken;
use crate::error::Result;
use crate::scan::parts::Parts;
use crate::scan::runtime::ScanFilter;
use crate::scan::spec::{FileEntry, Options, ScanSpec};
use crate::scan::statistics::TableStatistics;
use crate::store::QueryContext;

/// What a format found out about its files before they are read.
#[derive(Debug, Clone)]
pub struct Inferred {
    /// The columns in the files, without hive columns.
    pub schema: SchemaRef,
    /// Rows in all files, when the format knows without reading them.
    pub rows: Option<u64>,
    /// The options with everything that was detected filled in (delimiter, header …), so that reading needs no
    /// second guess.
    pub options: Options,
}

/// What a scan reads.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    pub spec: Arc<ScanSpec>,
    /// Indexes into `spec.schema`, in the order in which the columns come out. May be empty: only rows are counted.
    pub projection: Vec<usize>,
    /// What is wanted of columns of which not all is: the rest of them may come out as NULL. By index into
    /// `spec.schema`.
    pub parts: BTreeMap<usize, Parts>,
    /// Conjuncts over columns of `spec.schema` (unqualified, in the spec's spelling). They allow the scan to leave rows
    /// out but do not oblige it: the filter above stays.
    pub filters: Vec<Expr>,
    /// No more than so many rows are wanted from the whole scan.
    pub limit: Option<usize>,
    /// What joins above will say of columns of the projection before any split is opened. As with `filters`, the scan may
    /// leave out what they rule out.
    pub runtime_filters: Vec<ScanFilter>,
}

/// A file format: how to infer a schema and how to cut files into splits.
pub trait FormatReader: Send + Sync {
    /// The format's reader options, lower case, for the check that names unknown ones.
    fn option_names(&self) -> &'static [&'static str];

    /// Infers the schema common to all files.
    fn infer(&self, files: &[FileEntry], options: &Options) -> Result<Inferred>;

    /// What the files themselves say of the columns `columns` (indexes into `spec.schema`); `None` where they say
    /// nothing and samples have to.
    fn statistics(&self, _spec: &ScanSpec, _columns: &[usize]) -> Result<Option<TableStatistics>> {
        Ok(None)
    }

    /// The types of the columns `columns` (indexes into `spec.schema`), by name, after looking at all of their values.
    ///
    /// # Errors
    /// What reading finds.
    fn prove(&self, spec: &ScanSpec, columns: &[usize], _cancel: &CancelToken) -> Result<Vec<(String, DataType)>> {
        let fields = columns.iter().filter_map(|&column| spec.schema.fields().get(column));
        Ok(fields.map(|field| (field.name().clone(), field.data_type().clone())).collect())
    }

    /// Whether the splits apply the request's runtime filters themselves.
    fn applies_runtime_filters(&self) -> bool {
        false
    }

    /// Cuts the files into splits. `request.projection` holds only columns that are in the files (the caller adds hive
    /// columns); every batch of every split has exactly those columns.
    fn splits(&self, request: &ScanRequest, context: &Arc<QueryContext>) -> Result<Splits>;
}

/// What a scan reads, and what it need not read.
#[derive(Default)]
pub struct Splits {
    pub plans: Vec<Box<dyn SplitPlan>>,
    /// What the files themselves ruled out, for EXPLAIN; empty for nothing.
    pub ruled_out: String,
}

impl From<Vec<Box<dyn SplitPlan>>> for Splits {
    fn from(plans: Vec<Box<dyn SplitPlan>>) -> Self {
        Splits { plans, ruled_out: String::new() }
    }
}

/// A part of one file that can be read on its own.
pub trait SplitPlan: Send + Sync {
    /// Index of the file in `spec.files`.
    fn file(&self) -> usize;

    /// How many rows it has, where that is known without reading.
    fn rows(&self) -> Option<u64> {
        None
    }

    /// Begins to fetch what `open` will read first, where that is far away; called some time before `open`, perhaps in
    /// vain.
    fn prepare(&self) {}

    /// Starts reading.
    fn open(&self) -> Result<Box<dyn Split>>;
}

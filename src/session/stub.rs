//! Stand-ins for modules that are built at the same time; this file goes when they are merged.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion_expr::LogicalPlan;

use crate::cancel::CancelToken;
use crate::error::{Code, Error, Result};
use crate::plan::PhysicalPlan;
use crate::scan::{Format, Options, ScanSpec};
use crate::store::QueryContext;

pub fn resolve(_patterns: &[String], _format: Option<Format>, _options: &Options) -> Result<ScanSpec> {
    Err(Error::not_supported("reading files"))
}

pub fn lower(_plan: &LogicalPlan, _context: &Arc<QueryContext>) -> Result<PhysicalPlan> {
    Err(Error::not_supported("running a query"))
}

pub fn explain(logical: &LogicalPlan, _physical: &PhysicalPlan) -> String {
    logical.display_indent().to_string()
}

pub fn sql_type_name(data_type: &DataType) -> String {
    data_type.to_string()
}

pub struct Runner;

impl Runner {
    pub fn new(_threads: usize) -> Self {
        Runner
    }

    pub fn run(&self, plan: PhysicalPlan, context: Arc<QueryContext>) -> Result<BatchStream> {
        Ok(BatchStream { schema: plan.schema, token: context.cancel.clone() })
    }
}

pub struct BatchStream {
    schema: SchemaRef,
    token: CancelToken,
}

impl BatchStream {
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    pub fn cancel_token(&self) -> CancelToken {
        self.token.clone()
    }
}

impl Iterator for BatchStream {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub memory_limit: u64,
    pub threads: usize,
    pub spill_dir: PathBuf,
    pub max_spill_size: String,
    pub batch_size: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            memory_limit: 1 << 30,
            threads: 2,
            spill_dir: std::env::temp_dir(),
            max_spill_size: "90%".to_string(),
            batch_size: 8192,
        }
    }
}

impl Settings {
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let number = || value.parse::<u64>().map_err(|_| Error::new(Code::InvalidSetting, format!("{name}: {value}")));
        match name.to_ascii_lowercase().as_str() {
            "memory_limit" => self.memory_limit = if value == "1GB" { 1_000_000_000 } else { number()? },
            "threads" => self.threads = number()? as usize,
            "spill_dir" => self.spill_dir = value.into(),
            "max_spill_size" => self.max_spill_size = value.to_string(),
            "batch_size" => self.batch_size = number()? as usize,
            _ => return Err(Error::new(Code::UnknownSetting, format!("there is no setting '{name}'"))),
        }
        Ok(())
    }

    pub fn get(&self, name: &str) -> Result<String> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "memory_limit" => self.memory_limit.to_string(),
            "threads" => self.threads.to_string(),
            "spill_dir" => self.spill_dir.display().to_string(),
            "max_spill_size" => self.max_spill_size.clone(),
            "batch_size" => self.batch_size.to_string(),
            _ => return Err(Error::new(Code::UnknownSetting, format!("there is no setting '{name}'"))),
        })
    }

    pub fn all(&self) -> Vec<(&'static str, String, &'static str)> {
        ["memory_limit", "threads", "spill_dir", "max_spill_size", "batch_size"]
            .into_iter()
            .map(|name| (name, self.get(name).unwrap_or_default(), ""))
            .collect()
    }
}

pub fn show(stream: crate::session::ResultStream) -> Result<()> {
    stream.map(|batch| batch.map(|_| ())).collect()
}

pub fn write(_stream: crate::session::ResultStream, _format: Format, _path: &std::path::Path) -> Result<u64> {
    Err(Error::not_supported("writing files"))
}

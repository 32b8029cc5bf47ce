//! Arrow IPC: files (Feather V2) and streams, told apart by their first bytes.
//!
//! Both are a row of messages: a schema, dictionaries, record batches. `layout` finds where they lie (from the footer of a
//! file, by walking along a stream), `split` reads some record batches, `body` the parts of a body that a query needs,
//! `dictionaries` what dictionary-encoded columns point into. Arrays are made, and checked, by the arrow crate.
//!
//! Invariant: offsets and lengths in a file are believed only after they were compared with the file's size; what is
//! decoded is reserved before.
//!
//! # Known limitation
//! A record batch is read whole, as far as its columns are wanted, by one worker. Feather V1 is not read.

mod body;
mod dictionaries;
mod layout;
mod split;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rayon::prelude::*;

use crate::error::Result;
use crate::scan::fault::Guard;
use crate::scan::format::{FormatReader, Inferred, ScanRequest, Splits};
use crate::scan::merge;
use crate::scan::spec::{FileEntry, Options};
use crate::store::QueryContext;

use self::layout::Layout;

/// Reader options of Arrow files. `filename` and `hive_partitioning` are the caller's.
const OPTION_NAMES: &[&str] = &["filename", "hive_partitioning", "union_by_name"];

/// What turns errors and panics of the decoder into ours.
const GUARD: Guard = Guard { format: "Arrow IPC" };

/// The Arrow IPC formats.
#[derive(Debug, Clone, Copy, Default)]
pub struct IpcReader;

impl FormatReader for IpcReader {
    fn option_names(&self) -> &'static [&'static str] {
        OPTION_NAMES
    }

    fn infer(&self, files: &[FileEntry], options: &Options) -> Result<Inferred> {
        let union = merge::union_by_name(options)?;
        let seen = files.par_iter().map(|file| Layout::read(&file.path)).collect::<Result<Vec<_>>>()?;
        let rows = seen.iter().map(Layout::rows).sum();
        let schemas: Vec<_> = seen.iter().map(|layout| merge::logical_schema(&layout.schema)).collect();
        let named = files.iter().zip(&schemas).map(|(file, schema)| (file.path.as_str(), schema));
        let schema = merge::merge(named, union, "read_arrow")?;
        Ok(Inferred { schema: Arc::new(schema), rows, options: options.clone() })
    }

    fn splits(&self, request: &ScanRequest, context: &Arc<QueryContext>) -> Result<Splits> {
        split::splits(request, context)
    }
}

//! One file read in splits of the caller's choosing: for tests and fuzz targets, which cut at every byte.

use std::sync::{Arc, OnceLock};

use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::scan::csv::boundary::Boundaries;
use crate::scan::csv::scan_plan;
use crate::scan::csv::settings::Settings;
use crate::scan::csv::split::{CsvSplitPlan, FilePlan};
use crate::scan::{FileEntry, ScanRequest, ScanSpec, SplitPlan};
use crate::store::QueryContext;

/// The batches of all columns of the file at `path`, cut at these places (the first is 0), by splits in their order;
/// the last split is opened first if `backwards`.
///
/// # Errors
/// What reading finds.
pub fn read_cut(
    path: &str,
    spec: &ScanSpec,
    cuts: Vec<u64>,
    backwards: bool,
    context: &Arc<QueryContext>,
) -> Result<Vec<RecordBatch>> {
    let projection = (0..spec.schema.fields().len()).collect();
    let (spec, filters, runtime_filters) = (Arc::new(spec.clone()), Vec::new(), Vec::new());
    let request = ScanRequest { spec, projection, filters, limit: None, runtime_filters, parts: Default::default() };
    let plan = Arc::new(scan_plan(&request, Settings::new(&request.spec.options)?, context)?);
    let entry = FileEntry { path: path.into(), size: 0, modified: None, hive_values: Vec::new() };
    let count = cuts.len();
    let (boundaries, head, lines) = (Boundaries::new(cuts), OnceLock::new(), Arc::default());
    let file = Arc::new(FilePlan { entry, boundaries, stream: None, head, lines });
    let mut parts: Vec<Vec<RecordBatch>> = vec![Vec::new(); count];
    let mut order: Vec<(usize, &mut Vec<RecordBatch>)> = parts.iter_mut().enumerate().collect();
    if backwards {
        order.reverse();
    }
    for (index, part) in order {
        let mut split = CsvSplitPlan { plan: plan.clone(), file: file.clone(), file_index: 0, index }.open()?;
        while let Some(batch) = split.next()? {
            part.push(batch);
        }
    }
    Ok(parts.concat())
}

//! What the targets share.

#![allow(unused_imports, dead_code, reason = "each target uses a part of it")]

use std::io::Write;
use std::sync::{Arc, LazyLock};

use floe::cancel::CancelToken;
use floe::io::Storage;
use floe::memory::Budget;
use floe::batch::{Source, Split};
use floe::scan::{Format, Options, ScanRequest, ScanSpec, resolve, source};
use floe::store::{QueryContext, Store};
use tempfile::NamedTempFile;

pub static CONTEXT: LazyLock<Arc<QueryContext>> = LazyLock::new(|| {
    let budget = Budget::new(256 << 20);
    let (cancel, store) = (CancelToken::new(), Store::new(budget.clone()));
    Arc::new(QueryContext { cancel, budget, store, batch_size: 100, threads: 2, side: None })
});

/// A file of these bytes, in memory where there is such a folder.
pub fn file_of(data: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new_in("/dev/shm").or_else(|_| NamedTempFile::new());
    let mut file = file.expect("a file");
    file.write_all(data).expect("room");
    file
}

/// What is found out of a file; `None` where it is refused.
pub fn spec_of(file: &NamedTempFile, format: Format, options: &Options) -> Option<ScanSpec> {
    let path = file.path().to_string_lossy().into_owned();
    resolve(&[path], Some(format), options, &Storage::default()).ok()
}

/// Reads all splits until one fails.
#[allow(dead_code, reason = "the splitter reads otherwise")]
pub fn read(spec: ScanSpec) {
    let projection = (0..spec.schema.fields().len()).collect();
    let (spec, filters, runtime_filters) = (Arc::new(spec), Vec::new(), Vec::new());
    let request = ScanRequest { spec, projection, filters, limit: None, runtime_filters, parts: Default::default() };
    let Ok(source) = source(request, &CONTEXT) else { return };
    for index in 0..source.split_count() {
        let Ok(mut split) = source.open(index) else { return };
        while let Ok(Some(_)) = split.next() {}
    }
}

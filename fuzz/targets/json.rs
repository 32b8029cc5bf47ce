//! Any bytes are rows or an error.
#![no_main]

use std::io::Write;
use std::sync::{Arc, LazyLock};

use floe::scan::{Format, Options, ScanRequest, resolve, source};
use floe::store::{QueryContext, Store};
use libfuzzer_sys::fuzz_target;

static CONTEXT: LazyLock<Arc<QueryContext>> = LazyLock::new(|| {
    let budget = floe::memory::Budget::new(256 << 20);
    let (cancel, store) = (floe::cancel::CancelToken::new(), Store::new(budget.clone()));
    Arc::new(QueryContext { cancel, budget, store, batch_size: 100, threads: 2, side: None })
});

fuzz_target!(|data: &[u8]| {
    let mut file = tempfile::NamedTempFile::new_in("/dev/shm").expect("a file");
    file.write_all(data).expect("room");
    let path = file.path().to_string_lossy().into_owned();
    let Ok(spec) = resolve(&[path], Some(Format::Json), &Options::new()) else { return };
    let projection = (0..spec.schema.fields().len()).collect();
    let (filters, runtime_filters) = (Vec::new(), Vec::new());
    let request = ScanRequest { spec: Arc::new(spec), projection, filters, limit: None, runtime_filters };
    let Ok(source) = source(request, &CONTEXT) else { return };
    for index in 0..source.split_count() {
        let Ok(mut split) = source.open(index) else { return };
        while let Ok(Some(_)) = split.next() {}
    }
});

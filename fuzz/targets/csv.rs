//! Any bytes are rows or an error. The first byte chooses the options.
#![no_main]

use std::io::Write;
use std::sync::{Arc, LazyLock};

use floe::scan::{Format, OptionValue, Options, ScanRequest, resolve, source};
use floe::store::{QueryContext, Store};
use libfuzzer_sys::fuzz_target;

static CONTEXT: LazyLock<Arc<QueryContext>> = LazyLock::new(|| {
    let budget = floe::memory::Budget::new(256 << 20);
    let (cancel, store) = (floe::cancel::CancelToken::new(), Store::new(budget.clone()));
    Arc::new(QueryContext { cancel, budget, store, batch_size: 100, threads: 2, side: None })
});

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let mut file = tempfile::NamedTempFile::new_in("/dev/shm").expect("a file");
    file.write_all(data).expect("room");
    let names = ["ignore_errors", "null_padding", "all_varchar", "allow_quoted_nulls"];
    let mut options: Options = names
        .iter()
        .enumerate()
        .filter(|(bit, _)| choice & (1 << bit) != 0)
        .map(|(_, name)| (name.to_string(), OptionValue::Bool(true)))
        .collect();
    if choice & 16 != 0 {
        options.insert("strict_mode".to_string(), OptionValue::Bool(false));
    }
    if choice & 32 != 0 {
        options.insert("decimal_separator".to_string(), OptionValue::Text(",".to_string()));
        options.insert("dateformat".to_string(), OptionValue::Text("%d/%m/%Y".to_string()));
    }
    let path = file.path().to_string_lossy().into_owned();
    let Ok(spec) = resolve(&[path], Some(Format::Csv), &options) else { return };
    let projection = (0..spec.schema.fields().len()).collect();
    let (filters, runtime_filters) = (Vec::new(), Vec::new());
    let request = ScanRequest { spec: Arc::new(spec), projection, filters, limit: None, runtime_filters };
    let Ok(source) = source(request, &CONTEXT) else { return };
    for index in 0..source.split_count() {
        let Ok(mut split) = source.open(index) else { return };
        while let Ok(Some(_)) = split.next() {}
    }
});

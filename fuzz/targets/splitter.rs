//! A file cut into splits gives the rows of the same file in one split, or an error. The first bytes choose the cuts.
#![no_main]

use std::io::Write;
use std::sync::{Arc, LazyLock};

use floe::scan::{Format, OptionValue, Options, read_cut, resolve};
use floe::store::{QueryContext, Store};
use libfuzzer_sys::fuzz_target;

static CONTEXT: LazyLock<Arc<QueryContext>> = LazyLock::new(|| {
    let budget = floe::memory::Budget::new(256 << 20);
    let (cancel, store) = (floe::cancel::CancelToken::new(), Store::new(budget.clone()));
    Arc::new(QueryContext { cancel, budget, store, batch_size: 4096, threads: 2, side: None })
});

fuzz_target!(|input: (bool, Vec<u16>, &[u8])| {
    let (backwards, mut cuts, data) = input;
    let mut file = tempfile::NamedTempFile::new_in("/dev/shm").expect("a file");
    file.write_all(data).expect("room");
    let path = file.path().to_string_lossy().into_owned();
    let text = |text: &str| OptionValue::Text(text.to_string());
    let options: Options = [
        ("all_varchar", OptionValue::Bool(true)),
        ("header", OptionValue::Bool(false)),
        ("encoding", text("utf-8")),
        ("comment", text("")),
        ("delim", text(",")),
        ("new_line", text("\n")),
        ("quote", text("\"")),
        ("skip", OptionValue::Int(0)),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into();
    let Ok(spec) = resolve(std::slice::from_ref(&path), Some(Format::Csv), &options) else { return };
    let whole = read_cut(&path, &spec, vec![0], false, &CONTEXT);
    cuts.truncate(16);
    cuts.push(0);
    cuts.sort_unstable();
    cuts.dedup();
    let cuts = cuts.into_iter().map(u64::from).filter(|&cut| cut == 0 || cut < data.len() as u64).collect();
    let Ok(parts) = read_cut(&path, &spec, cuts, backwards, &CONTEXT) else { return };
    let whole = whole.expect("what reads in splits reads as a whole");
    let rows = |batches: &[_]| arrow::compute::concat_batches(&spec.schema, batches).expect("one schema");
    assert_eq!(rows(&whole), rows(&parts));
});

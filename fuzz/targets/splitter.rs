//! A file cut into splits gives the rows of the same file in one split, or an error. The first bytes choose the cuts.
#![no_main]

mod common;

use arrow::compute::concat_batches;
use floe::scan::{Format, OptionValue, Options, read_cut};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, Vec<u16>, &[u8])| {
    let (backwards, mut cuts, data) = input;
    let file = common::file_of(data);
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
    let Some(spec) = common::spec_of(&file, Format::Csv, &options) else { return };
    let path = file.path().to_string_lossy();
    cuts.truncate(16);
    cuts.push(0);
    cuts.sort_unstable();
    cuts.dedup();
    let cuts = cuts.into_iter().map(u64::from).filter(|&cut| cut == 0 || cut < data.len() as u64).collect();
    let Ok(parts) = read_cut(&path, &spec, cuts, backwards, &common::CONTEXT) else { return };
    let whole = read_cut(&path, &spec, vec![0], false, &common::CONTEXT);
    let whole = whole.expect("what reads in splits reads as a whole");
    let rows = |batches: &[_]| concat_batches(&spec.schema, batches).expect("one schema");
    assert_eq!(rows(&whole), rows(&parts));
});

//! Any bytes are rows or an error. The first byte chooses the options.
#![no_main]

mod common;

use floe::scan::{Format, OptionValue, Options};
use libfuzzer_sys::fuzz_target;

const FLAGS: [&str; 4] = ["ignore_errors", "null_padding", "all_varchar", "allow_quoted_nulls"];

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let chosen = FLAGS.iter().enumerate().filter(|(bit, _)| choice & (1 << bit) != 0);
    let mut options: Options = chosen.map(|(_, name)| (name.to_string(), OptionValue::Bool(true))).collect();
    if choice & 16 != 0 {
        options.insert("strict_mode".to_string(), OptionValue::Bool(false));
    }
    if choice & 32 != 0 {
        options.insert("decimal_separator".to_string(), OptionValue::Text(",".to_string()));
        options.insert("dateformat".to_string(), OptionValue::Text("%d/%m/%Y".to_string()));
    }
    let file = common::file_of(data);
    if let Some(spec) = common::spec_of(&file, Format::Csv, &options) {
        common::read(spec);
    }
});

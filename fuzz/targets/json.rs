//! Any bytes are rows or an error.
#![no_main]

mod common;

use floe::scan::{Format, Options};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let file = common::file_of(data);
    if let Some(spec) = common::spec_of(&file, Format::Json, &Options::new()) {
        common::read(spec);
    }
});

//! Random queries must answer as DuckDB does; see `random/queries.py`, which makes them, and `random/compare.py`, which asks both.
//!
//! A thousand of them, or as many as `FLOE_RANDOM_QUERIES` says (CI asks ten thousand). Needs a Python with the package duckdb: that
//! of `FLOE_PYTHON`, of the folder `moto` in the target folder (where `.ci/run` puts it), or `python3`; skipped where there is none.

use std::path::{Path, PathBuf};
use std::process::Command;

const QUERIES: &str = "1000";

fn python() -> Option<PathBuf> {
    // The program lies in `target/release`.
    let target = Path::new(env!("CARGO_BIN_EXE_floe")).ancestors().nth(2)?;
    let known = [
        std::env::var_os("FLOE_PYTHON").map(PathBuf::from),
        Some(target.join("moto/bin/python3")),
        Some("python3".into()),
    ];
    let has_duckdb = |python: &PathBuf| {
        Command::new(python).args(["-c", "import duckdb"]).output().is_ok_and(|output| output.status.success())
    };
    known.into_iter().flatten().find(has_duckdb)
}

#[test]
fn random_queries_answer_as_elsewhere() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with duckdb (pip install duckdb)");
        return;
    };
    let queries = std::env::var("FLOE_RANDOM_QUERIES").unwrap_or_else(|_| QUERIES.to_string());
    let output = Command::new(python)
        .args(["tests/random/compare.py", "--floe", env!("CARGO_BIN_EXE_floe"), "--seed", "1", "--queries", &queries])
        .output()
        .expect("Python starts");
    let (answers, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{answers}\n{errors}");
    println!("{answers}");
}

//! The promise about the process: under a small memory limit every query of these ends with the right answer, and the
//! peak resident memory of the whole process stays within 1.25 × the limit above that of an idle process.
//!
//! The program runs as a process of its own, over a file that it could not hold: a million rows of a unique text and two
//! numbers. Answers are known from how the file is made.

#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const ROWS: u64 = 1_000_000;
const LIMIT: u64 = 60_000_000;

/// A run's standard output and its peak resident bytes.
struct Run {
    output: String,
    peak: u64,
}

// `wait` waits, and learns the peak memory by it.
#[allow(clippy::zombie_processes)]
fn floe(arguments: &[&str], spill: &Path) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_floe"))
        .args(["--format", "csv", "--threads", "2", "--memory-limit", &LIMIT.to_string(), "--spill-dir"])
        .arg(spill)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the program starts");
    let mut output = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().expect("a pipe"), &mut output).expect("its answer is text");
    let (status, peak) = wait(child.id());
    assert_eq!(status, 0, "{arguments:?} failed");
    Run { output, peak }
}

/// Waits for the child: its status and its peak resident bytes.
fn wait(pid: u32) -> (i32, u64) {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables of the right types, and nobody else waits for this child.
    let waited = unsafe { libc::wait4(pid as i32, &mut status, 0, &mut usage) };
    assert_eq!(waited, pid as i32);
    (status, usage.ru_maxrss as u64 * 1024)
}

fn make_file(path: &Path) {
    let mut text = String::with_capacity(60 << 20);
    text.push_str("id,name,amount\n");
    for row in 0..ROWS {
        // A permutation of the rows, so that nothing comes in order.
        let id = row * 7_919 % ROWS;
        writeln!(text, "{id},a unique text of some length {id:08},{}", id % 1000).expect("a string grows");
    }
    fs::write(path, text).expect("the file is written");
}

fn check(idle: u64, query: &str, expected: &str, file: &str, spill: &Path) {
    let query = query.replace("FILE", file);
    let run = floe(&[&query], spill);
    assert_eq!(run.output.trim_end(), expected, "{query}");
    let most = idle + LIMIT + LIMIT / 4;
    assert!(run.peak <= most, "{query}: {} bytes resident, {most} allowed", run.peak);
    assert_eq!(fs::read_dir(spill).map_or(0, Iterator::count), 0, "{query}: something is left in the spill folder");
}

#[test]
fn every_operator_keeps_the_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let spill = folder.path().join("spill");
    let file = folder.path().join("rows.csv");
    make_file(&file);
    let file = format!("'{}'", file.display());
    let idle = floe(&["SELECT 1"], &spill).peak;
    let sum = ROWS * (ROWS - 1) / 2;
    let cases = [
        (
            "SELECT count(*) AS groups, sum(s) AS ids, max(c) AS most
             FROM (SELECT name, amount, sum(id) AS s, count(*) AS c FROM FILE GROUP BY name, amount)",
            format!("groups,ids,most\n{ROWS},{sum},1"),
        ),
        ("SELECT count(*) AS rows FROM (SELECT DISTINCT name FROM FILE)", format!("rows\n{ROWS}")),
        ("SELECT count(DISTINCT id) AS ids FROM FILE", format!("ids\n{ROWS}")),
        (
            "SELECT count(*) AS rows, min(name) AS first FROM (SELECT * FROM FILE ORDER BY name DESC LIMIT 900000)",
            "rows,first\n900000,a unique text of some length 00100000".to_string(),
        ),
        ("SELECT id, amount FROM FILE ORDER BY name OFFSET 999999", "id,amount\n999999,999".to_string()),
    ];
    for (query, expected) in cases {
        check(idle, query, &expected, &file, &spill);
    }
}

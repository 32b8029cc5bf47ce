//! The promise about the process: under a small memory limit every query of these ends with the right answer, and the
//! peak resident memory of the whole process stays within 1.25 × the limit above that of an idle process.
//!
//! The program runs as a process of its own, over a file that it could not hold: rows of a unique text and two numbers.
//! Answers are known from how the file is made.

#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// About 110 MB in memory.
const ROWS: u64 = 1_500_000;
/// Different values of `amount`.
const GROUPS: u64 = 1000;
const LIMIT: u64 = 60_000_000;

/// A run's standard output and its peak resident bytes.
struct Run {
    output: String,
    peak: u64,
}

// `wait` waits, and learns the peak memory by it.
#[allow(clippy::zombie_processes)]
fn floe(arguments: &[&str], spill: &Path) -> Result<Run, String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_floe"))
        .args(["--format", "csv", "--threads", "1", "--memory-limit", &LIMIT.to_string(), "--spill-dir"])
        .arg(spill)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the program starts");
    let mut output = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().expect("a pipe"), &mut output).expect("its answer is text");
    let (status, peak) = wait(child.id());
    if status == 0 { Ok(Run { output, peak }) } else { Err(format!("{arguments:?} failed")) }
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
        writeln!(text, "{id},a unique text of some length {id:08},{}", id % GROUPS).expect("a string grows");
    }
    fs::write(path, text).expect("the file is written");
}

/// What is asked, and what comes out as CSV.
type Case = (&'static str, String);

/// The queries over the file; every operator that keeps rows has at least one.
fn cases() -> Vec<Case> {
    let sum = ROWS * (ROWS - 1) / 2;
    let amounts = ROWS / GROUPS * (GROUPS * (GROUPS - 1) / 2);
    let group = ROWS / GROUPS;
    let of = |header: &str, values: &str| format!("{header}\n{values}");
    vec![
        (
            "SELECT count(*) AS groups, sum(s) AS ids, max(c) AS most
             FROM (SELECT name, amount, sum(id) AS s, count(*) AS c FROM FILE GROUP BY name, amount)",
            of("groups,ids,most", &format!("{ROWS},{sum},1")),
        ),
        ("SELECT count(*) AS rows FROM (SELECT DISTINCT name FROM FILE)", of("rows", &ROWS.to_string())),
        (
            "SELECT count(DISTINCT id) AS ids, count(DISTINCT name) AS names FROM FILE",
            of("ids,names", &format!("{ROWS},{ROWS}")),
        ),
        (
            "SELECT count(*) AS rows, min(name) AS first FROM (SELECT * FROM FILE ORDER BY name DESC LIMIT 900000)",
            of("rows,first", &format!("900000,a unique text of some length {:08}", ROWS - 900_000)),
        ),
        (
            "SELECT id, amount FROM FILE ORDER BY name OFFSET 1499999",
            of("id,amount", &format!("{},{}", ROWS - 1, (ROWS - 1) % GROUPS)),
        ),
        (
            "SELECT count(*) AS rows, sum(b.amount) AS s FROM FILE a JOIN FILE b ON a.name = b.name",
            of("rows,s", &format!("{ROWS},{amounts}")),
        ),
        (
            "SELECT count(*) AS rows, count(a.name) AS l, count(b.name) AS r FROM FILE a FULL JOIN FILE b ON a.id = b.id + 1",
            of("rows,l,r", &format!("{},{ROWS},{ROWS}", ROWS + 1)),
        ),
        (
            "SELECT count(*) AS rows FROM FILE WHERE name NOT IN (SELECT name FROM FILE WHERE amount < 500)",
            of("rows", &(ROWS / 2).to_string()),
        ),
        (
            "SELECT sum(n) AS s FROM (SELECT row_number() OVER (PARTITION BY amount ORDER BY name) AS n FROM FILE)",
            of("s", &(GROUPS * group * (group + 1) / 2).to_string()),
        ),
        (
            "SELECT max(n) AS most, max(before) AS last FROM
             (SELECT row_number() OVER (ORDER BY name) AS n, lag(id) OVER (ORDER BY name) AS before FROM FILE)",
            of("most,last", &format!("{ROWS},{}", ROWS - 2)),
        ),
        (
            "SELECT sum(m)::BIGINT AS s FROM (SELECT median(id) AS m FROM FILE GROUP BY amount)",
            of("s", &(GROUPS * (GROUPS - 1) / 2 + GROUPS * GROUPS * (group - 1) / 2).to_string()),
        ),
        ("SELECT median(id) AS m FROM FILE", of("m", &format!("{:.1}", (ROWS - 1) as f64 / 2.0))),
        (
            "SELECT sum(array_length(l))::BIGINT AS s FROM (SELECT array_agg(name) AS l FROM FILE GROUP BY amount)",
            of("s", &ROWS.to_string()),
        ),
        ("SELECT length(string_agg(name, ',')) AS l FROM FILE", of("l", &(ROWS * 37 + ROWS - 1).to_string())),
        (
            "SELECT count(*) AS rows FROM (SELECT name FROM FILE UNION SELECT name FROM FILE)",
            of("rows", &ROWS.to_string()),
        ),
        (
            "SELECT count(*) AS rows FROM (SELECT name FROM FILE EXCEPT ALL SELECT name FROM FILE WHERE amount < 100)",
            of("rows", &(ROWS / 10 * 9).to_string()),
        ),
        (
            "WITH x AS (SELECT * FROM FILE) SELECT (SELECT count(name) FROM x) AS rows, (SELECT max(id) FROM x) AS last",
            of("rows,last", &format!("{ROWS},{}", ROWS - 1)),
        ),
        (
            "SELECT count(*) AS rows FROM FILE a JOIN (SELECT id AS low FROM FILE WHERE id < 3) b ON a.id > b.low",
            of("rows", &(3 * ROWS - 6).to_string()),
        ),
    ]
}

fn check(idle: u64, (query, expected): &Case, file: &str, spill: &Path) -> Result<(), String> {
    let query = query.replace("FILE", file);
    let run = floe(&[&query], spill)?;
    if run.output.trim_end() != expected {
        return Err(format!("{query}: {} instead of {expected}", run.output.trim_end()));
    }
    if run.peak > idle + LIMIT + LIMIT / 4 {
        return Err(format!("{query}: {} bytes resident, {} more than idle", run.peak, run.peak - idle));
    }
    match fs::read_dir(spill).map_or(0, Iterator::count) {
        0 => Ok(()),
        _ => Err(format!("{query}: something is left in the spill folder")),
    }
}

#[test]
fn every_operator_keeps_the_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let spill = folder.path().join("spill");
    let file = folder.path().join("rows.csv");
    make_file(&file);
    let file = format!("'{}'", file.display());
    let idle = floe(&["SELECT 1"], &spill).expect("it runs").peak;
    let failures: Vec<String> = cases().iter().filter_map(|case| check(idle, case, &file, &spill).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

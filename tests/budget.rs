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

/// The sum of all ids.
const IDS: u64 = ROWS * (ROWS - 1) / 2;
/// Rows with the same `amount`.
const GROUP: u64 = ROWS / GROUPS;
/// The sum of the amounts, each once.
const AMOUNTS: u64 = GROUPS * (GROUPS - 1) / 2;
/// Characters of a name.
const NAME: u64 = 37;

fn of(header: &str, values: &str) -> String {
    format!("{header}\n{values}")
}

fn name(id: u64) -> String {
    format!("a unique text of some length {id:08}")
}

/// Groups, orders and windows.
fn groups_and_orders() -> Vec<Case> {
    vec![
        (
            "SELECT count(*) AS groups, sum(s) AS ids, max(c) AS most
             FROM (SELECT name, amount, sum(id) AS s, count(*) AS c FROM FILE GROUP BY name, amount)",
            of("groups,ids,most", &format!("{ROWS},{IDS},1")),
        ),
        ("SELECT count(*) AS rows FROM (SELECT DISTINCT name FROM FILE)", of("rows", &ROWS.to_string())),
        (
            "SELECT count(*) AS rows, sum(n) AS s
             FROM (SELECT name, amount, sum(id) AS n FROM FILE GROUP BY CUBE (amount, name))",
            of("rows,s", &format!("{},{}", 2 * ROWS + GROUPS + 1, 4 * IDS)),
        ),
        (
            "SELECT count(name) AS rows, sum(id) AS s
             FROM (SELECT DISTINCT ON (id % 500000) id, name FROM FILE ORDER BY id % 500000, id DESC)",
            of("rows,s", &format!("500000,{}", (1_000_000 + 1_499_999) * 500_000u64 / 2)),
        ),
        (
            "SELECT count(*) AS rows, min(name) AS first FROM (SELECT * FROM FILE ORDER BY name DESC LIMIT 900000)",
            of("rows,first", &format!("900000,{}", name(ROWS - 900_000))),
        ),
        (
            "SELECT id, amount FROM FILE ORDER BY name OFFSET 1499999",
            of("id,amount", &format!("{},{}", ROWS - 1, (ROWS - 1) % GROUPS)),
        ),
        (
            "SELECT sum(n) AS s FROM (SELECT row_number() OVER (PARTITION BY amount ORDER BY name) AS n FROM FILE)",
            of("s", &(GROUPS * GROUP * (GROUP + 1) / 2).to_string()),
        ),
        (
            "SELECT max(n) AS most, max(before) AS last FROM
             (SELECT row_number() OVER (ORDER BY name) AS n, lag(id) OVER (ORDER BY name) AS before FROM FILE)",
            of("most,last", &format!("{ROWS},{}", ROWS - 2)),
        ),
        (
            "SELECT sum(x) AS x, sum(y) AS y, count(z) AS z FROM (SELECT row_number() OVER (ORDER BY name) AS x,
             sum(id) OVER (PARTITION BY amount ORDER BY id ROWS BETWEEN CURRENT ROW AND CURRENT ROW) AS y,
             lag(name) OVER (PARTITION BY id % 7 ORDER BY name) AS z FROM FILE)",
            of("x,y,z", &format!("{},{IDS},{}", IDS + ROWS, ROWS - 7)),
        ),
    ]
}

/// Joins of every kind.
fn joins() -> Vec<Case> {
    vec![
        (
            "SELECT count(*) AS rows, sum(b.amount) AS s FROM FILE a JOIN FILE b ON a.name = b.name",
            of("rows,s", &format!("{ROWS},{}", GROUP * AMOUNTS)),
        ),
        (
            "SELECT count(*) AS rows, count(a.name) AS l, count(b.name) AS r
             FROM FILE a FULL JOIN FILE b ON a.id = b.id + 1",
            of("rows,l,r", &format!("{},{ROWS},{ROWS}", ROWS + 1)),
        ),
        (
            "SELECT count(*) AS rows FROM FILE WHERE name NOT IN (SELECT name FROM FILE WHERE amount < 500)",
            of("rows", &(ROWS / 2).to_string()),
        ),
        (
            "SELECT count(*) AS rows FROM FILE a JOIN (SELECT id AS low FROM FILE WHERE id < 3) b ON a.id > b.low",
            of("rows", &(3 * ROWS - 6).to_string()),
        ),
        (
            "SELECT count(*) AS rows, sum(b.id - a.id) AS s, max(b.name) AS last
             FROM FILE a JOIN FILE b ON b.id > a.id AND b.id < a.id + 3",
            of("rows,s,last", &format!("{},{},{}", 2 * ROWS - 3, 3 * ROWS - 5, name(ROWS - 1))),
        ),
        (
            "SELECT count(*) AS rows, sum(a.id - b.id) AS s, max(b.name) AS last
             FROM FILE a ASOF JOIN FILE b ON a.amount = b.amount AND a.id > b.id",
            of("rows,s,last", &format!("{},{},{}", ROWS - GROUPS, GROUPS * (ROWS - GROUPS), name(ROWS - 1 - GROUPS))),
        ),
    ]
}

/// Subqueries that refer to the query around them.
fn correlated() -> Vec<Case> {
    vec![
        (
            "SELECT count(*) AS rows FROM FILE a WHERE a.id >= (SELECT max(b.id) FROM FILE b WHERE b.name = a.name)",
            of("rows", &ROWS.to_string()),
        ),
        (
            "SELECT sum(x) AS s FROM
             (SELECT (SELECT b.id FROM FILE b WHERE b.name = a.name ORDER BY b.id LIMIT 1) AS x FROM FILE a)",
            of("s", &IDS.to_string()),
        ),
        (
            "SELECT count(*) AS rows FROM FILE a
             WHERE EXISTS (SELECT 1 FROM FILE b WHERE b.name = a.name AND b.id < a.id + 1)",
            of("rows", &ROWS.to_string()),
        ),
        (
            "SELECT count(*) AS rows, sum(l.id) AS s
             FROM FILE a, LATERAL (SELECT b.id FROM FILE b WHERE b.name = a.name ORDER BY b.id LIMIT 1) l",
            of("rows,s", &format!("{ROWS},{IDS}")),
        ),
    ]
}

/// Aggregates whose state grows with the rows, their lists and texts made and not only counted.
fn growing_states() -> Vec<Case> {
    vec![
        (
            "SELECT count(DISTINCT id) AS ids, count(DISTINCT name) AS names FROM FILE",
            of("ids,names", &format!("{ROWS},{ROWS}")),
        ),
        (
            "SELECT sum(n) AS n, sum(d) AS d
             FROM (SELECT count(DISTINCT name) AS n, sum(DISTINCT id) AS d FROM FILE GROUP BY amount)",
            of("n,d", &format!("{ROWS},{IDS}")),
        ),
        (
            "SELECT sum(m)::BIGINT AS s FROM (SELECT median(id) AS m FROM FILE GROUP BY amount)",
            of("s", &(AMOUNTS + GROUPS * GROUPS * (GROUP - 1) / 2).to_string()),
        ),
        ("SELECT median(id) AS m FROM FILE", of("m", &format!("{:.1}", (ROWS - 1) as f64 / 2.0))),
        (
            "SELECT sum(m) AS s
             FROM (SELECT mode(CASE WHEN id < 10000 THEN -1 ELSE id END) AS m FROM FILE GROUP BY amount)",
            of("s", &format!("-{GROUPS}")),
        ),
        (
            "SELECT sum(array_length(l))::BIGINT AS s FROM (SELECT array_agg(name) AS l FROM FILE GROUP BY amount)",
            of("s", &ROWS.to_string()),
        ),
        (
            "SELECT sum(length(array_to_string(l, ''))) AS s
             FROM (SELECT array_agg(name) AS l FROM FILE GROUP BY amount)",
            of("s", &(NAME * ROWS).to_string()),
        ),
        (
            "SELECT sum(l[1]) AS s FROM (SELECT array_agg(id ORDER BY name DESC) AS l FROM FILE GROUP BY amount)",
            of("s", &(AMOUNTS + GROUPS * GROUPS * (GROUP - 1)).to_string()),
        ),
        (
            "SELECT sum(length(upper(l))) AS s
             FROM (SELECT string_agg(name, ',' ORDER BY id) AS l FROM FILE GROUP BY amount)",
            of("s", &((NAME + 1) * ROWS - GROUPS).to_string()),
        ),
        ("SELECT length(string_agg(name, ',')) AS l FROM FILE", of("l", &((NAME + 1) * ROWS - 1).to_string())),
    ]
}

/// Sets, lists to rows, relations that are used again, and what is written.
fn other_relations() -> Vec<Case> {
    vec![
        (
            "SELECT count(*) AS rows FROM (SELECT name FROM FILE UNION SELECT name FROM FILE)",
            of("rows", &ROWS.to_string()),
        ),
        (
            "SELECT count(*) AS rows FROM (SELECT name FROM FILE EXCEPT ALL SELECT name FROM FILE WHERE amount < 100)",
            of("rows", &(ROWS / 10 * 9).to_string()),
        ),
        (
            "SELECT count(*) AS rows FROM (SELECT name FROM FILE INTERSECT ALL SELECT name FROM FILE WHERE amount < 700)",
            of("rows", &(ROWS / 10 * 7).to_string()),
        ),
        (
            "WITH x AS (SELECT * FROM FILE) SELECT (SELECT count(name) FROM x) AS rows, (SELECT max(id) FROM x) AS last",
            of("rows,last", &format!("{ROWS},{}", ROWS - 1)),
        ),
        (
            "SELECT count(name) AS rows, sum(x) AS s FROM (SELECT name, unnest([id, id + 1]) AS x FROM FILE)",
            of("rows,s", &format!("{},{}", 2 * ROWS, 2 * IDS + ROWS)),
        ),
        (
            "WITH RECURSIVE r(id, name, n) AS
             (SELECT id, name, 1 FROM FILE UNION ALL SELECT id, name, n + 1 FROM r WHERE n < 3)
             SELECT count(name) AS rows, sum(n) AS s FROM r",
            of("rows,s", &format!("{},{}", 3 * ROWS, 6 * ROWS)),
        ),
        (
            "WITH RECURSIVE r(id) AS
             (SELECT id FROM FILE WHERE amount < 250 UNION SELECT id + 250 FROM r WHERE id % 1000 < 750)
             SELECT count(*) AS rows, sum(id) AS s FROM r",
            of("rows,s", &format!("{ROWS},{IDS}")),
        ),
        (
            "COPY (SELECT * FROM FILE ORDER BY name DESC) TO WRITTEN; SELECT count(name) AS rows, sum(id) AS s FROM WRITTEN",
            of("rows,s", &format!("{ROWS},{IDS}")),
        ),
        (
            "COPY (SELECT amount, array_agg(name) AS l FROM FILE GROUP BY amount) TO WRITTEN;
             SELECT count(l) AS rows, sum(array_length(l))::BIGINT AS s FROM WRITTEN",
            of("rows,s", &format!("{GROUPS},{ROWS}")),
        ),
    ]
}

/// Tables that statements change.
fn changes() -> Vec<Case> {
    vec![
        (
            "CREATE TABLE t AS FROM FILE; UPDATE t SET name = name || 'x', amount = amount + 1 WHERE id % 2 = 0;
             SELECT sum(amount) AS s, sum(length(name)) AS l FROM t",
            of("s,l", &format!("{},{}", GROUP * AMOUNTS + ROWS / 2, NAME * ROWS + ROWS / 2)),
        ),
        (
            "CREATE TABLE t AS FROM FILE;
             UPDATE t SET amount = s.a FROM (SELECT id AS i, amount + 1 AS a FROM FILE) AS s WHERE s.i = t.id;
             SELECT sum(amount) AS s FROM t",
            of("s", &(GROUP * AMOUNTS + ROWS).to_string()),
        ),
        (
            "CREATE TABLE t AS FROM FILE; DELETE FROM t WHERE id % 3 = 0; SELECT count(*) AS rows, max(name) AS last FROM t",
            of("rows,last", &format!("{},{}", ROWS / 3 * 2, name(ROWS - 1))),
        ),
        (
            "CREATE TABLE t AS FROM FILE;
             MERGE INTO t USING (SELECT id + 500000 AS i, name AS n FROM FILE) AS s ON t.id = s.i
             WHEN MATCHED THEN UPDATE SET name = s.n WHEN NOT MATCHED THEN INSERT VALUES (i, n, 5)
             WHEN NOT MATCHED BY SOURCE THEN DELETE;
             SELECT count(name) AS rows, sum(id) AS s FROM t",
            of("rows,s", &format!("{ROWS},{}", IDS + 500_000 * ROWS)),
        ),
        (
            "CREATE TABLE t AS FROM FILE; ALTER TABLE t ALTER amount TYPE VARCHAR; SELECT count(amount) AS rows FROM t",
            of("rows", &ROWS.to_string()),
        ),
    ]
}

/// Values many times larger than what they are made of.
fn growing_values() -> Vec<Case> {
    vec![
        (
            "SELECT count(x) AS rows, sum(x) AS s
             FROM (SELECT unnest(range(id, id + 1000)) AS x FROM FILE WHERE id < 5000)",
            of("rows,s", &format!("5000000,{}", 1000 * (4999 * 5000 / 2) + 5000 * 499_500u64)),
        ),
        (
            "SELECT count(*) AS rows FROM
             (SELECT '[' || repeat('1,', 1000 + (id % 3)::INTEGER) || '1]' AS j FROM FILE WHERE id < 3000) AS t, json_each(t.j)",
            of("rows", "3006000"),
        ),
        (
            "CREATE TABLE t AS SELECT repeat('0123456789', 1000) AS x, id FROM FILE WHERE id < 30000;
             SELECT sum(length(x)) AS s FROM t",
            of("s", "300000000"),
        ),
        (
            "SELECT sum(length(repeat(name, 1 + (id % 1000)::INTEGER))) AS s FROM FILE WHERE id < 20000",
            of("s", &(NAME * 20 * (1000 * 1001 / 2)).to_string()),
        ),
        (
            "SELECT count(*) AS rows FROM FILE WHERE id < 3000 AND contains(lpad(name, 30000 + id::INTEGER, '-'), '--a')",
            of("rows", "3000"),
        ),
        (
            "SELECT sum(len(l)) AS n, sum(list_sum(l)) AS s FROM (SELECT range(id, id + 10000) AS l FROM FILE WHERE id < 5000)",
            of("n,s", &format!("50000000,{}", 10_000 * (4999 * 5000 / 2) + 5000 * (9999 * 10_000 / 2u64))),
        ),
        (
            "SELECT a.amount, max(length(repeat(a.name, 2000))) AS most FROM FILE AS a JOIN FILE AS b ON a.id = b.id
             WHERE a.id < 20000 AND a.amount = 7 GROUP BY a.amount ORDER BY max(repeat(a.name, 2000))",
            of("amount,most", &format!("7,{}", NAME * 2000)),
        ),
    ]
}

/// The queries over the file; every operator that keeps rows has at least one.
fn cases() -> Vec<Case> {
    [groups_and_orders(), joins(), correlated(), growing_states(), changes(), growing_values(), other_relations()]
        .concat()
}

fn check(idle: u64, (query, expected): &Case, file: &str, folder: &Path) -> Result<(), String> {
    let (written, spill) = (folder.join("written.parquet"), folder.join("spill"));
    let query = query.replace("FILE", file).replace("WRITTEN", &format!("'{}'", written.display()));
    let run = floe(&[&query], &spill)?;
    // What COPY says stands before.
    if !run.output.trim_end().ends_with(expected) {
        return Err(format!("{query}: {} instead of {expected}", run.output.trim_end()));
    }
    if run.peak > idle + LIMIT + LIMIT / 4 {
        return Err(format!("{query}: {} bytes resident, {} more than idle", run.peak, run.peak - idle));
    }
    match fs::read_dir(&spill).map_or(0, Iterator::count) {
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
    let failures: Vec<String> =
        cases().iter().filter_map(|case| check(idle, case, &file, folder.path()).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

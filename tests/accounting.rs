//! No operator holds memory that it has not reserved: while each one works on far more rows than the difference allows,
//! what the process has allocated is compared with what the budget knows of, every few hundred microseconds.
//!
//! A binary of its own, because the counting allocator is installed for the whole process.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use floe::memory::{CountingAllocator, accounted, allocated};
use floe::session::Session;

#[global_allocator]
static ALLOCATOR: CountingAllocator<tikv_jemallocator::Jemalloc> = CountingAllocator::new(tikv_jemallocator::Jemalloc);

/// About 45 bytes a row in memory: the whole input is three times what may be unaccounted.
const ROWS: u64 = 800_000;
/// Batches on their way between two operators, decoders, plans, the allocator's own tables.
const UNACCOUNTED: usize = 8 << 20;

/// One query for each operator; every one holds most of the rows at some time, or would if it did not spill.
const OPERATORS: [(&str, &str); 18] = [
    ("filter and project", "SELECT count(upper(name)) FROM t WHERE k % 2 = 0"),
    ("aggregate", "SELECT count(*), sum(s) FROM (SELECT name, sum(k) AS s FROM t GROUP BY name)"),
    ("distinct", "SELECT count(*) FROM (SELECT DISTINCT name, k FROM t)"),
    ("sort", "SELECT count(name) FROM (SELECT name FROM t ORDER BY name, k OFFSET 1)"),
    ("top-n", "SELECT max(name) FROM (SELECT name FROM t ORDER BY name LIMIT 90000)"),
    ("limit", "SELECT count(name) FROM (SELECT name FROM t LIMIT 700000)"),
    ("hash join", "SELECT count(*), min(a.name), max(b.name) FROM t a JOIN t b ON a.k = b.k"),
    ("full join", "SELECT count(*), count(a.name), count(b.name) FROM t a FULL JOIN t b ON a.k = b.k + 1"),
    ("semi join", "SELECT count(name) FROM t WHERE name IN (SELECT name FROM t WHERE k % 3 = 0)"),
    ("anti join", "SELECT count(name) FROM t a WHERE NOT EXISTS (SELECT 1 FROM t b WHERE b.name = a.name AND b.k < 9)"),
    ("cross join", "SELECT count(*), max(a.name) FROM t a CROSS JOIN (SELECT 1 AS one) b"),
    ("union", "SELECT count(*) FROM (SELECT name FROM t UNION SELECT name FROM t)"),
    ("except", "SELECT count(*) FROM (SELECT name, k FROM t EXCEPT SELECT name, k FROM t WHERE k > 5)"),
    ("shared relation", "WITH x AS (SELECT * FROM t) SELECT (SELECT count(name) FROM x), (SELECT max(name) FROM x)"),
    (
        "window over partitions",
        "SELECT max(n) FROM (SELECT row_number() OVER (PARTITION BY k % 1000 ORDER BY name) AS n FROM t)",
    ),
    ("window over all", "SELECT sum(length(before)) FROM (SELECT lag(name) OVER (ORDER BY k) AS before FROM t)"),
    ("range join", "SELECT count(*), max(b.name) FROM (SELECT k FROM t WHERE k < 9) a JOIN t b ON a.k < b.k - 799000"),
    ("result", "SELECT name, k FROM t"),
];

/// The most bytes that were allocated beyond `baseline` and that no budget accounted for, while `work` ran.
fn unaccounted(baseline: usize, work: impl FnOnce()) -> usize {
    let (done, most) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // Read on both sides: what is reserved and allocated, or freed and given back, in between is no leak.
                let before = accounted();
                let allocated = allocated().unwrap_or(0);
                let difference = allocated.saturating_sub(baseline).saturating_sub(before.max(accounted()));
                most.fetch_max(difference, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(300));
            }
        });
        work();
        done.store(true, Ordering::Relaxed);
    });
    most.load(Ordering::Relaxed)
}

fn make_table(session: &Session, folder: &std::path::Path) {
    let mut text = String::with_capacity(40 << 20);
    text.push_str("k,name\n");
    for row in 0..ROWS {
        let k = row * 7_919 % ROWS;
        writeln!(text, "{k},a text of its own {k:012}").expect("a string grows");
    }
    let (csv, parquet) = (folder.join("t.csv"), folder.join("t.parquet"));
    std::fs::write(&csv, text).expect("the file is written");
    let copy = format!("COPY (FROM '{}') TO '{}' (COMPRESSION snappy)", csv.display(), parquet.display());
    session.sql(&copy).expect("the file is copied");
    let view = format!("CREATE VIEW t AS FROM '{}'", parquet.display());
    session.sql(&view).expect("a view");
}

#[test]
fn every_operator_reserves_what_it_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = Session::builder().memory_limit("64MB").threads(1).spill_dir(folder.path()).build().expect("starts");
    make_table(&session, folder.path());
    let run = |query: &str| {
        session.sql(query).expect("plans").stream().expect("starts").try_for_each(|batch| batch.map(drop))
    };
    // Once to warm up: caches of footers and statistics, the pool's threads.
    run("SELECT count(name) FROM t").expect("runs");
    let baseline = allocated().expect("it is installed").saturating_sub(accounted());
    let mut failures = Vec::new();
    for (operator, query) in OPERATORS {
        let mut outcome = Ok(());
        let most = unaccounted(baseline, || outcome = run(query));
        eprintln!("{operator}: {:.1} MB unaccounted", most as f64 / 1e6);
        if let Err(error) = outcome {
            failures.push(format!("{operator}: {error}"));
        } else if most > UNACCOUNTED {
            failures.push(format!("{operator}: {most} bytes that nobody had reserved"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

//! What a result stream promises: dropping it cancels the query, frees what it spilled and leaves the session usable; two
//! half-read streams on one thread do not starve each other.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use floe::session::Session;

const ROWS: usize = 600_000;

fn make_file(path: &Path) {
    let mut text = String::from("id,name\n");
    for row in 0..ROWS {
        let id = row * 7_919 % ROWS;
        writeln!(text, "{id},a unique text of some length {id:08}").expect("a string grows");
    }
    fs::write(path, text).expect("the file is written");
}

/// Files below `folder` that this process holds open, also when they have no name any more.
#[cfg(target_os = "linux")]
fn open_files(folder: &Path) -> usize {
    let links = fs::read_dir("/proc/self/fd").expect("linux has it").flatten();
    links.filter_map(|link| fs::read_link(link.path()).ok()).filter(|target| target.starts_with(folder)).count()
}

#[test]
#[cfg(target_os = "linux")]
fn dropping_a_stream_frees_what_the_query_spilled() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rows.csv");
    make_file(&file);
    let spill = folder.path().join("spill");
    let session = Session::builder().memory_limit("30MB").threads(2).spill_dir(&spill).build().expect("a session");
    let query = format!("SELECT name, count(*) AS c FROM '{}' GROUP BY name", file.display());
    let mut spilled = false;
    for milliseconds in [20, 100, 200, 400] {
        let stream = session.sql(&query).and_then(|frame| frame.stream()).expect("the query starts");
        sleep(Duration::from_millis(milliseconds));
        spilled |= open_files(&spill) > 0;
        drop(stream);
        let dropped = Instant::now();
        while open_files(&spill) > 0 {
            // Quiet machines take well under 200 ms; this one may be busy.
            assert!(dropped.elapsed() < Duration::from_secs(5), "spill files are still open");
            sleep(Duration::from_millis(5));
        }
    }
    assert!(spilled, "the test must see a query that spills");
    let rows = session.sql(&query).and_then(|frame| frame.count()).expect("the session is usable");
    assert_eq!(rows, ROWS as u64);
}

#[test]
fn half_read_streams_do_not_starve_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rows.csv");
    make_file(&file);
    let session = Session::builder().memory_limit("50MB").threads(1).build().expect("a session");
    let query = format!("SELECT * FROM '{}'", file.display());
    let frame = session.sql(&query).expect("a query");
    let mut streams: Vec<_> = (0..3).map(|_| frame.stream().expect("the query starts")).collect();
    let mut rows = vec![0; streams.len()];
    let mut live = true;
    while live {
        live = false;
        for (stream, rows) in streams.iter_mut().zip(&mut rows) {
            if let Some(batch) = stream.next() {
                *rows += batch.expect("a batch").num_rows();
                live = true;
            }
        }
    }
    assert_eq!(rows, vec![ROWS; 3]);
}

#[test]
fn rows_come_in_the_order_of_the_file_whatever_the_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rows.csv");
    make_file(&file);
    let query = format!("SELECT id FROM '{}' WHERE id % 3 = 0", file.display());
    let run = |threads| {
        let session = Session::builder().threads(threads).build().expect("a session");
        let batches = session.sql(&query).and_then(|frame| frame.collect()).expect("an answer");
        arrow::compute::concat_batches(&batches[0].schema(), &batches).expect("batches of one schema")
    };
    assert_eq!(run(1), run(4));
}

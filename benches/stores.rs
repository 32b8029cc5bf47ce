//! The same queries over the same files from the disk and from an S3 server on loopback, each run a process of its own,
//! in alternation: `cargo bench --bench stores -- --figures FOLDER`.
//!
//! FOLDER is a bucket's contents: `lineitem.parquet` of TPC-H and `csv/lineitem_*.csv` (either may be missing). The
//! server shares the processors with floe, and its work is part of what is measured.

#[path = "../tests/stores/server.rs"]
mod server;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use server::Server;

const RUNS: usize = 5;

/// Name, what it needs, and the query; `{}` stands for the folder.
const QUERIES: [(&str, &str, &str); 6] = [
    (
        "Parquet Q6",
        "lineitem.parquet",
        "SELECT sum(l_extendedprice * l_discount) FROM '{}/lineitem.parquet' WHERE l_shipdate >= DATE '1994-01-01' AND \
         l_shipdate < DATE '1995-01-01' AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24",
    ),
    (
        "Parquet Q1",
        "lineitem.parquet",
        "SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), sum(l_extendedprice * (1 - l_discount)), \
         avg(l_quantity), count(*) FROM '{}/lineitem.parquet' WHERE l_shipdate <= DATE '1998-09-02' GROUP BY ALL",
    ),
    ("Parquet all columns", "lineitem.parquet", "SELECT min(COLUMNS(*)) FROM '{}/lineitem.parquet'"),
    (
        "CSV Q6",
        "csv",
        "SELECT sum(l_extendedprice * l_discount) FROM '{}/csv/lineitem_*.csv' WHERE l_shipdate >= DATE '1994-01-01' AND \
         l_shipdate < DATE '1995-01-01' AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24",
    ),
    (
        "CSV Q1",
        "csv",
        "SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), sum(l_extendedprice * (1 - l_discount)), \
         avg(l_quantity), count(*) FROM '{}/csv/lineitem_*.csv' WHERE l_shipdate <= DATE '1998-09-02' GROUP BY ALL",
    ),
    ("CSV count", "csv", "SELECT count(*) FROM '{}/csv/lineitem_*.csv'"),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let folder = arguments.iter().position(|text| text == "--figures").and_then(|at| arguments.get(at + 1));
    let Some(folder) = folder else {
        println!("stores: nothing to measure without --figures FOLDER");
        return;
    };
    let folder = Path::new(folder).canonicalize().expect("the folder");
    let (Some(root), Some(bucket)) = (folder.parent(), folder.file_name().and_then(|name| name.to_str())) else {
        panic!("the folder has no name");
    };
    let server = Server::start(root);
    println!("| query | disk | store | ratio |\n|---|---|---|---|");
    for (name, needed, query) in QUERIES {
        if !folder.join(needed).exists() {
            continue;
        }
        let (mut local, mut remote) = (Vec::new(), Vec::new());
        let mut answers = Vec::new();
        for _ in 0..RUNS {
            let (time, answer) = timed(&query.replace("{}", &folder.display().to_string()), &server);
            local.push(time);
            answers.push(answer);
            let (time, answer) = timed(&query.replace("{}", &format!("s3://{bucket}")), &server);
            remote.push(time);
            answers.push(answer);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{name}: the answers differ");
        let (local, remote) = (median(local), median(remote));
        println!("| {name} | {local:.2} s | {remote:.2} s | {:.2} |", remote / local);
    }
}

/// The time of a process that runs `query`, and its answer.
fn timed(query: &str, server: &Server) -> (Duration, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.env("AWS_ENDPOINT_URL", server.endpoint()).env("AWS_ACCESS_KEY_ID", "x").env("AWS_SECRET_ACCESS_KEY", "y");
    command.args(["--format", "csv", "--threads", "2", "-c", query]).stdin(Stdio::null()).stderr(Stdio::inherit());
    let begin = Instant::now();
    let output = command.output().expect("floe");
    let time = begin.elapsed();
    assert!(output.status.success(), "{query}");
    server.requests();
    (time, String::from_utf8_lossy(&output.stdout).into_owned())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

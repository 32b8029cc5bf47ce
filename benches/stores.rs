//! The same queries over the same files from the disk and from an S3 server on loopback, each run a process of its own,
//! in alternation: `cargo bench --bench stores -- --figures FOLDER`.
//!
//! FOLDER is a bucket's contents: `lineitem.parquet` of TPC-H, `csv/lineitem_*.csv` and `events/*.json.gz` as
//! benches/peers/events.py makes them (each may be missing). The server shares the processors with floe, and its work is
//! part of what is measured: "bare" is the time in which a client that throws the bytes away gets the answers to the same
//! requests. With `--cold` the operating system forgets the files before every run, so that disk and server both have to
//! read them. With `--apart` floe has one worker on the first processor and the server the second one (Linux), so that
//! the server's work is not at floe's expense. `--runs 3` takes the median of three runs instead of five.

#[path = "../tests/stores/server.rs"]
mod server;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use server::{Request, Server};

/// Of which the median counts.
const RUNS: usize = 5;
const BUFFER: usize = 1 << 20;
/// The head of an answer is shorter.
const HEAD: usize = 4096;
const FLOE: &str = env!("CARGO_BIN_EXE_floe");

/// Name, what it needs, and the query; `{}` stands for the folder.
const QUERIES: [(&str, &str, &str); 11] = [
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
         avg(l_quantity), count(*) FROM '{}/lineitem.parquet' WHERE l_shipdate <= DATE '1998-09-02' GROUP BY l_returnflag, l_linestatus ORDER BY 1, 2",
    ),
    (
        "Parquet all columns",
        "lineitem.parquet",
        "SELECT sum(l_orderkey), sum(l_partkey), sum(l_suppkey), sum(l_linenumber), sum(l_quantity), sum(l_extendedprice), \
         sum(l_discount), sum(l_tax), max(l_returnflag), max(l_linestatus), max(l_shipdate), max(l_commitdate), \
         max(l_receiptdate), max(l_shipinstruct), max(l_shipmode), max(l_comment) FROM '{}/lineitem.parquet'",
    ),
    (
        "Parquet one order",
        "lineitem.parquet",
        "SELECT * FROM '{}/lineitem.parquet' WHERE l_orderkey = 30000001 ORDER BY l_linenumber",
    ),
    (
        "CSV Q6",
        "csv",
        "SELECT round(sum(l_extendedprice * l_discount), 2) FROM '{}/csv/lineitem_*.csv' WHERE l_shipdate >= DATE '1994-01-01' AND \
         l_shipdate < DATE '1995-01-01' AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24",
    ),
    (
        "CSV Q1",
        "csv",
        "SELECT l_returnflag, l_linestatus, sum(l_quantity), round(sum(l_extendedprice), 2), round(sum(l_extendedprice * (1 - l_discount)), 1), \
         round(avg(l_quantity), 6), count(*) FROM '{}/csv/lineitem_*.csv' WHERE l_shipdate <= DATE '1998-09-02' GROUP BY l_returnflag, l_linestatus ORDER BY 1, 2",
    ),
    (
        "CSV all columns",
        "csv",
        "SELECT sum(l_orderkey), sum(l_partkey), sum(l_suppkey), sum(l_linenumber), sum(l_quantity), round(sum(l_extendedprice), 1), \
         round(sum(l_discount), 1), round(sum(l_tax), 1), max(l_returnflag), max(l_linestatus), max(l_shipdate), max(l_commitdate), \
         max(l_receiptdate), max(l_shipinstruct), max(l_shipmode), max(l_comment) FROM '{}/csv/lineitem_*.csv'",
    ),
    ("CSV count", "csv", "SELECT count(*) FROM '{}/csv/lineitem_*.csv'"),
    (
        "JSON, ten files, a field",
        "events",
        "SELECT type, count(*) AS n FROM '{}/events/events-*.json.gz' GROUP BY type ORDER BY type",
    ),
    (
        "JSON, ten files, a nested field",
        "events",
        "SELECT actor.login AS login, count(*) AS n FROM '{}/events/events-*.json.gz' GROUP BY actor.login ORDER BY n DESC, login LIMIT 10",
    ),
    (
        "JSON, one file, a field",
        "events",
        "SELECT type, count(*) AS n FROM '{}/events/all.json.gz' GROUP BY type ORDER BY type",
    ),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let behind = |name: &str| arguments.iter().position(|text| text == name).and_then(|at| arguments.get(at + 1));
    let Some(folder) = behind("--figures") else {
        println!("stores: nothing to measure without --figures FOLDER");
        return;
    };
    let folder = Path::new(folder).canonicalize().expect("the folder");
    let (Some(root), Some(bucket)) = (folder.parent(), folder.file_name().and_then(|name| name.to_str())) else {
        panic!("the folder has no name");
    };
    let runs = behind("--runs").map_or(RUNS, |text| text.parse().expect("a number of runs"));
    let apart = arguments.iter().any(|text| text == "--apart");
    if apart {
        let own = ["-a", "-c", "-p", "1", &std::process::id().to_string()].map(str::to_owned);
        assert!(Command::new("taskset").args(own).stdout(Stdio::null()).status().is_ok_and(|status| status.success()));
    }
    let cold = arguments.iter().any(|text| text == "--cold");
    let files = || {
        if cold {
            forget(&folder)
        }
    };
    let server = Server::start(root);
    println!("| query | disk | store | bare | store / disk | store / (disk + bare) |\n|---|---|---|---|---|---|");
    for (name, needed, query) in QUERIES {
        if !folder.join(needed).exists() {
            continue;
        }
        let (mut local, mut remote, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        let mut answers = Vec::new();
        for _ in 0..runs {
            files();
            let (time, answer) = timed(&query.replace("{}", &folder.display().to_string()), &server, apart);
            local.push(time);
            answers.push(answer);
            server.requests();
            files();
            let (time, answer) = timed(&query.replace("{}", &format!("s3://{bucket}")), &server, apart);
            remote.push(time);
            answers.push(answer);
            files();
            bare.push(replayed(&server.requests(), &server, apart));
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{name}: the answers differ");
        let (local, remote, bare) = (median(local), median(remote), median(bare));
        let (ratio, sum) = (remote / local, remote / (local + bare));
        println!("| {name} | {local:.2} s | {remote:.2} s | {bare:.2} s | {ratio:.2} | {sum:.2} |");
    }
}

/// Makes the operating system drop what it keeps of the files of `folder` in memory.
#[cfg(target_os = "linux")]
fn forget(folder: &Path) {
    use std::os::fd::AsRawFd;
    for entry in std::fs::read_dir(folder).expect("the folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            forget(&path);
        } else {
            let file = std::fs::File::open(path).expect("a file");
            // SAFETY: the descriptor is open as long as the file lives.
            let error = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
            assert_eq!(error, 0, "the files stay in memory");
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn forget(_folder: &Path) {
    panic!("--cold needs Linux");
}

/// Workers of floe.
fn threads(apart: bool) -> usize {
    if apart { 1 } else { 2 }
}

/// The time of a process that runs `query`, and its answer.
fn timed(query: &str, server: &Server, apart: bool) -> (Duration, String) {
    let mut command = if apart { Command::new("taskset") } else { Command::new(FLOE) };
    if apart {
        command.args(["-c", "0", FLOE]);
    }
    command.env("AWS_ENDPOINT_URL", server.endpoint()).env("AWS_ACCESS_KEY_ID", "x").env("AWS_SECRET_ACCESS_KEY", "y");
    command
        .args(["--format", "csv", "--threads", &threads(apart).to_string(), "-c", query])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let begin = Instant::now();
    let output = command.output().expect("floe");
    let time = begin.elapsed();
    assert!(output.status.success(), "{query}");
    (time, String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The time in which as many connections as floe has workers get the answers to `requests`.
fn replayed(requests: &[Request], server: &Server, apart: bool) -> Duration {
    let next = AtomicUsize::new(0);
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads(apart) {
            scope.spawn(|| {
                let mut connection = TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
                let mut buffer = vec![0; BUFFER];
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    thrown_away(request, &mut connection, &mut buffer).expect("an answer");
                }
            });
        }
    });
    let time = begin.elapsed();
    server.requests();
    time
}

/// Sends a request and reads its answer to the end, always into the same `buffer`: nothing is cheaper.
fn thrown_away(request: &Request, connection: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<()> {
    let range = request.header("range");
    let range = if range.is_empty() { String::new() } else { format!("Range: {range}\r\n") };
    let head = format!("{} {} HTTP/1.1\r\nHost: x\r\n{range}\r\n", request.method, request.target);
    connection.write_all(head.as_bytes())?;
    let mut filled = 0;
    let (length, end) = loop {
        filled += some(connection, &mut buffer[filled..])?;
        let text = String::from_utf8_lossy(&buffer[..filled.min(HEAD)]);
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.trim().parse().ok());
            break (length.unwrap_or(0), head.len() + 4);
        }
    };
    let mut left = if request.method == "HEAD" { 0_usize } else { length };
    left -= filled - end;
    while left > 0 {
        let most = left.min(buffer.len());
        left -= some(connection, &mut buffer[..most])?;
    }
    Ok(())
}

fn some(connection: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    match connection.read(buffer)? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

//! Object stores: two independent servers on loopback, and a proxy between that does what networks do.
//!
//! One server is the tests' own (`stores/server.rs`); the other is moto, which `.ci/run` installs and without which its
//! tests say so and pass.

#[path = "stores/folders.rs"]
mod folders;
#[path = "stores/moto.rs"]
mod moto;
#[path = "stores/proxy.rs"]
mod proxy;
#[path = "stores/server.rs"]
mod server;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use floe::error::Code;
use floe::session::Session;
use floe::session::format::{is_null, write_value};
use floe::{Error, Result};
use server::{Answer, Request, Server};

use moto::Moto;
use proxy::{Fault, Proxy};

const CSV: &str = "testdata/flights/csv";

/// A session that asks the store at `endpoint` with the key `reader`.
fn session(endpoint: &str) -> Session {
    let session = Session::builder().threads(2).build().unwrap();
    for (name, value) in [
        ("s3_endpoint", endpoint),
        ("s3_region", "eu-north-1"),
        ("s3_access_key_id", "reader"),
        ("s3_secret_access_key", "hush-hush"),
        ("http_timeout", "60"),
    ] {
        session.set(name, value).unwrap();
    }
    session
}

/// The rows of a query, a line for each.
fn rows(session: &Session, sql: &str) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for batch in session.sql(sql)?.collect()? {
        for row in 0..batch.num_rows() {
            let mut line = String::new();
            for (index, column) in batch.columns().iter().enumerate() {
                line.push_str(if index > 0 { "|" } else { "" });
                if is_null(column, row) {
                    line.push_str("NULL");
                } else {
                    write_value(&mut line, column, row)?;
                }
            }
            lines.push(line);
        }
    }
    Ok(lines)
}

fn fails(session: &Session, sql: &str) -> Error {
    match rows(session, sql) {
        Err(error) => error,
        Ok(rows) => panic!("{sql} gave {rows:?}"),
    }
}

/// A folder with a bucket `data` in it: the flights as CSV, as Parquet and as compressed JSON.
struct Bucket {
    folder: tempfile::TempDir,
    server: Server,
}

impl Bucket {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir_all(data.join("csv/below")).unwrap();
        for entry in fs::read_dir(CSV).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), data.join("csv").join(entry.file_name())).unwrap();
        }
        fs::write(data.join("csv/below/not.csv"), "another\n1\n").unwrap();
        let local = Session::new().unwrap();
        let copy = |query: &str, name: &str| {
            let path = data.join(name);
            local.sql(&format!("COPY ({query}) TO '{}' (ROW_GROUP_SIZE 3000)", path.display())).unwrap();
        };
        copy(&format!("SELECT * FROM '{CSV}/*.csv'"), "flights.parquet");
        copy(&format!("SELECT * FROM '{CSV}/*.csv'"), "flights.json.gz");
        let server = Server::start(folder.path());
        Bucket { folder, server }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("data").join(name)
    }
}

const AGGREGATE: &str = "SELECT carrier, count(*), sum(distance), max(arr_delay)";
const GROUPS: &str = "GROUP BY carrier ORDER BY carrier";

/// What every server must give: the same rows as the files themselves.
fn same_as_local(session: &Session, data: &Path) {
    for name in ["csv/*.csv", "flights.parquet", "flights.json.gz"] {
        let local = rows(session, &format!("{AGGREGATE} FROM '{}/{name}' {GROUPS}", data.display())).unwrap();
        let remote = rows(session, &format!("{AGGREGATE} FROM 's3://data/{name}' {GROUPS}")).unwrap();
        assert!(!local.is_empty());
        assert_eq!(local, remote, "{name}");
    }
}

/// What every server must take: objects of one part and of several.
fn written_and_read_again(session: &Session) {
    let copy = "COPY (SELECT 1 AS a, 'x' AS b) TO 's3://data/out/small.csv'";
    assert_eq!(rows(session, copy).unwrap(), ["1"]);
    assert_eq!(rows(session, "SELECT * FROM 's3://data/out/small.csv'").unwrap(), ["1|x"]);
    // A hash does not compress: some 20 MB, so several parts.
    let query = "SELECT value AS n, sha256(CAST(value AS VARCHAR)) AS h FROM range(300000) AS r(value)";
    session.sql(&format!("COPY ({query}) TO 's3://data/out/large.csv'")).unwrap();
    let answer = rows(session, "SELECT count(*), sum(n), min(n), max(n) FROM 's3://data/out/large.csv'").unwrap();
    assert_eq!(answer, ["300000|44999850000|0|299999"]);
}

#[test]
fn our_server_gives_and_takes_what_the_disk_does() {
    let bucket = Bucket::new();
    let session = session(&bucket.server.endpoint());
    same_as_local(&session, &bucket.path(""));
    written_and_read_again(&session);
    assert_eq!(bucket.server.open_uploads(), 0);
    let requests = bucket.server.requests();
    assert!(requests.iter().all(|request| request.key_id() == "reader" && request.region() == "eu-north-1"));
    assert!(requests.iter().filter(|request| request.query.contains_key("partNumber")).count() >= 2);
}

#[test]
fn moto_gives_and_takes_what_the_disk_does() {
    let Some(moto) = Moto::start() else { return };
    let bucket = Bucket::new();
    moto.fill("data", &bucket.path(""));
    let session = session(&moto.endpoint());
    same_as_local(&session, &bucket.path(""));
    written_and_read_again(&session);
    let error = fails(&session, "SELECT * FROM 's3://data/none.csv'");
    assert_eq!(error.code(), Code::FileNotFound, "{error}");
    assert_eq!(fails(&session, "SELECT * FROM 's3://nowhere/*.csv'").code(), Code::FileNotFound);
}

#[test]
fn a_glob_lists_its_prefix_and_nothing_is_asked_twice() {
    let bucket = Bucket::new();
    for index in 0..250 {
        fs::create_dir_all(bucket.path("many")).unwrap();
        fs::write(bucket.path(&format!("many/part-{index}.csv")), format!("n\n{index}\n")).unwrap();
    }
    let session = session(&bucket.server.endpoint());
    let answer = rows(&session, "SELECT count(*), sum(n) FROM 's3://data/many/part-1*.csv'").unwrap();
    assert_eq!(answer, ["111|15096"]);
    let requests = bucket.server.requests();
    let lists: Vec<_> = requests.iter().filter(|request| request.query.contains_key("list-type")).collect();
    assert_eq!(lists.len(), 2, "a page of 100 and the rest");
    assert!(lists.iter().all(|list| list.query["prefix"] == "many/part-1" && list.query["delimiter"] == "/"));
    assert!(requests.iter().all(|request| request.method == "GET"), "sizes come from the listing");

    let answer = rows(&session, "SELECT * FROM 's3://data/many/part-{7,10,9}.csv'").unwrap();
    assert_eq!(answer, ["7", "9", "10"]);
    let answer = rows(&session, "SELECT count(*) FROM 's3://data/csv'").unwrap_err();
    assert!(answer.message().contains("below/not.csv"), "a folder is all below it: {answer}");
    let error = fails(&session, "SELECT * FROM 's3://data/many/x*.csv'");
    assert_eq!(error.code(), Code::FileNotFound);
    assert!(error.message().contains("s3://data/many/x*.csv"), "{error}");
}

#[test]
fn hive_folders_and_file_names_are_columns() {
    let bucket = Bucket::new();
    for year in [2013, 2014] {
        let folder = bucket.path(&format!("hive/year={year}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("x.csv"), "n\n1\n2\n").unwrap();
    }
    let session = session(&bucket.server.endpoint());
    let sql = "SELECT filename, year, sum(n) FROM read_csv('s3://data/hive/*/*.csv', filename => true) WHERE year > 2013 GROUP BY ALL";
    assert_eq!(rows(&session, sql).unwrap(), ["s3://data/hive/year=2014/x.csv|2014|3"]);
}

#[test]
fn of_parquet_only_what_is_wanted_is_fetched_in_few_requests() {
    let bucket = Bucket::new();
    let session = session(&bucket.server.endpoint());
    // Texts that do not compress beside numbers that do.
    let query =
        "SELECT value AS n, sha256(CAST(value AS VARCHAR)) AS h, value % 100 AS m FROM range(100000) AS r(value)";
    session.sql(&format!("COPY ({query}) TO '{}'", bucket.path("wide.parquet").display())).unwrap();
    bucket.server.requests();
    let remote = rows(&session, "SELECT sum(m) FROM 's3://data/wide.parquet'").unwrap();
    assert_eq!(remote, ["4950000"]);
    let requests = bucket.server.requests();
    let bytes: u64 = requests.iter().filter_map(|request| request.range()).map(|(a, b)| b.unwrap_or(a) + 1 - a).sum();
    let size = fs::metadata(bucket.path("wide.parquet")).unwrap().len();
    assert!(
        bytes < size / 2 && requests.len() < 16,
        "{bytes} of {size}: {:?}",
        requests.iter().map(|r| r.range()).collect::<Vec<_>>()
    );
    let again = rows(&session, "SELECT sum(m) FROM 's3://data/wide.parquet'").unwrap();
    assert_eq!(remote, again);
    let footers = bucket
        .server
        .requests()
        .iter()
        .filter(|r| r.range().is_some_and(|(first, _)| first + (64 << 10) == size))
        .count();
    assert!(footers <= 1, "the footer is remembered");
}

#[test]
fn little_memory_is_enough() {
    let bucket = Bucket::new();
    let session = session(&bucket.server.endpoint());
    session.set("memory_limit", "60MB").unwrap();
    same_as_local(&session, &bucket.path(""));
    written_and_read_again(&session);
}

#[test]
fn a_plain_http_url_is_read_signed_or_not() {
    let bucket = Bucket::new();
    let session = session(&bucket.server.endpoint());
    let url = format!("{}/data/flights.parquet", bucket.server.endpoint());
    let count = rows(&session, &format!("SELECT count(*) FROM '{url}'")).unwrap();
    assert_eq!(rows(&session, &format!("SELECT count(*) FROM '{url}?X-Signature=abc'")).unwrap(), count);
    let requests = bucket.server.requests();
    assert!(requests.iter().all(|request| request.header("authorization").is_empty()));
    let plan = session.sql(&format!("SELECT * FROM '{url}?X-Signature=abc'")).unwrap().explain().unwrap();
    assert!(!plan.contains("X-Signature"), "{plan}");
    assert!(requests.iter().any(|request| request.query.get("X-Signature").is_some_and(|text| text == "abc")));
    let error = fails(&session, &format!("SELECT * FROM '{}/data/none.csv?X-Signature=abc'", bucket.server.endpoint()));
    assert_eq!(error.code(), Code::FileNotFound);
    assert!(!error.full_message().contains("X-Signature"), "{error}");
}

#[test]
fn refusals_name_bucket_key_and_region_and_are_not_tried_again() {
    let bucket = Bucket::new();
    let session = session(&bucket.server.endpoint());
    let error = fails(&session, "SELECT * FROM 's3://data/csv/none.csv'");
    assert_eq!(error.code(), Code::FileNotFound);
    for part in ["bucket 'data'", "key 'csv/none.csv'", "region 'eu-north-1'"] {
        assert!(error.message().contains(part), "{error}");
    }
    let error = fails(&session, "SELECT * FROM 's3://other/*.csv'");
    assert!(error.code() == Code::FileNotFound && error.message().contains("no bucket 'other'"), "{error}");

    bucket.server.refuse(|_| Some(Answer::error(403, "AccessDenied", "")));
    bucket.server.requests();
    let error = fails(&session, "SELECT * FROM 's3://data/csv/2013-01.csv'");
    assert_eq!(error.code(), Code::Io);
    for part in ["403", "bucket 'data'", "key 'csv/2013-01.csv'", "region 'eu-north-1'", "s3_access_key_id"] {
        assert!(error.message().contains(part), "{part}: {error}");
    }
    assert!(!error.to_string().contains("hush-hush"));
    assert_eq!(bucket.server.requests().len(), 1);
}

#[test]
fn secrets_are_for_their_scope_and_never_shown() {
    let bucket = Bucket::new();
    let session = session(&bucket.server.endpoint());
    let endpoint = bucket.server.endpoint();
    let host = endpoint.trim_start_matches("http://");
    let create = format!(
        "CREATE SECRET special (TYPE s3, KEY_ID 'writer', SECRET 'psst-psst', REGION 'us-west-2', ENDPOINT '{host}', \
         URL_STYLE 'path', USE_SSL false, SCOPE 's3://data/csv/')"
    );
    session.sql(&create).unwrap();
    let count = |name: &str| rows(&session, &format!("SELECT count(*) FROM 's3://data/{name}'")).unwrap();
    bucket.server.requests();
    count("csv/*.csv");
    assert!(bucket.server.requests().iter().all(|r| r.key_id() == "writer" && r.region() == "us-west-2"));
    count("flights.parquet");
    assert!(bucket.server.requests().iter().all(|r| r.key_id() == "reader" && r.region() == "eu-north-1"));

    let plan = session.sql("SELECT * FROM 's3://data/csv/*.csv'").unwrap().explain().unwrap();
    assert!(plan.contains("s3://data/csv/*.csv") && !plan.contains("psst") && !plan.contains("hush"), "{plan}");
    bucket.server.refuse(|_| Some(Answer::error(403, "SignatureDoesNotMatch", "")));
    let error = fails(&session, "SELECT * FROM 's3://data/csv/*.csv'");
    assert!(error.message().contains("the secret 'special'") && !error.to_string().contains("psst"), "{error}");
    bucket.server.refuse(|_| None);

    let error = session.sql(&create).err().unwrap();
    assert_eq!(error.code(), Code::AlreadyExists);
    assert!(!error.to_string().contains("psst"), "{error}");
    for broken in
        [create.replace("KEY_ID", "KEYID"), create.replace("REGION", "REGION REGION"), create.replace(")", "")]
    {
        let error = session.sql(&broken).err().unwrap();
        assert!(!error.to_string().contains("psst"), "{error}");
    }
    assert!(!rows(&session, "SHOW ALL").unwrap().concat().contains("hush"));
    session.sql(&create.replace("CREATE", "CREATE OR REPLACE").replace("writer", "other")).unwrap();
    bucket.server.requests();
    count("csv/*.csv");
    assert!(bucket.server.requests().iter().all(|r| r.key_id() == "other"));
    session.sql("DROP SECRET special").unwrap();
    count("csv/*.csv");
    assert!(bucket.server.requests().iter().all(|r| r.key_id() == "reader"));
    assert!(session.sql("DROP SECRET special").is_err() && session.sql("DROP SECRET IF EXISTS special").is_ok());
}

/// A proxy before the server of a bucket.
fn through_proxy() -> (Bucket, Proxy, Session) {
    let bucket = Bucket::new();
    let proxy = Proxy::start(bucket.server.port());
    let session = session(&proxy.endpoint());
    (bucket, proxy, session)
}

/// A plan that does `fault` to every request of its own but not to its repetition.
fn each_once(fault: impl Fn(&Request) -> Fault + Send + 'static) -> impl FnMut(&Request) -> Fault + Send {
    let mut hurt: Vec<(String, String)> = Vec::new();
    move |request| {
        let name = (format!("{} {}", request.method, request.target), request.header("range").to_owned());
        if hurt.contains(&name) {
            return Fault::None;
        }
        hurt.push(name);
        fault(request)
    }
}

#[test]
fn busy_stores_and_resets_are_tried_again() {
    let (bucket, proxy, session) = through_proxy();
    proxy.hurt(each_once(|_| Fault::Answer(Answer::error(503, "SlowDown", ""))));
    same_as_local(&session, &bucket.path(""));
    proxy.hurt(each_once(|_| Fault::Answer(Answer::error(500, "InternalError", ""))));
    written_and_read_again(&session);
    proxy.hurt(each_once(|request| if request.method == "GET" { Fault::Reset } else { Fault::None }));
    same_as_local(&session, &bucket.path(""));
}

#[test]
fn a_body_that_ends_early_is_resumed_where_it_ended() {
    let (bucket, proxy, session) = through_proxy();
    bucket.server.requests();
    proxy.hurt(each_once(|request| if request.range().is_some() { Fault::Cut(1000) } else { Fault::None }));
    let sql = "SELECT count(*), sum(distance) FROM read_csv('s3://data/csv/2013-01.csv')";
    let local = rows(&session, &sql.replace("s3://data/csv", CSV)).unwrap();
    proxy.hurt({
        let mut cuts = 3;
        move |request| match request.range() {
            Some((first, Some(last))) if last - first > 5000 && cuts > 0 => {
                cuts -= 1;
                Fault::Cut(1000)
            }
            _ => Fault::None,
        }
    });
    assert_eq!(rows(&session, sql).unwrap(), local);
    let ranges: Vec<_> = bucket.server.requests().iter().filter_map(Request::range).collect();
    let resumed =
        ranges.iter().filter(|(first, last)| ranges.contains(&(first.saturating_sub(1000), *last)) && *first >= 1000);
    assert_eq!(resumed.count(), 3, "{ranges:?}");
    same_as_local(&session, &bucket.path(""));
}

#[test]
fn a_body_that_keeps_ending_early_is_an_error_not_a_short_answer() {
    let (_bucket, proxy, session) = through_proxy();
    session.set("http_timeout", "1").unwrap();
    proxy.hurt(|request| if request.range().is_some() { Fault::Cut(0) } else { Fault::None });
    let error = fails(&session, "SELECT count(*) FROM 's3://data/csv/2013-01.csv'");
    assert_eq!(error.code(), Code::Io);
    assert!(error.message().contains("key 'csv/2013-01.csv'"), "{error}");
}

#[test]
fn slow_and_stalled_bodies_come_through() {
    let (bucket, proxy, session) = through_proxy();
    proxy.hurt(|_| Fault::Slow(100_000, Duration::from_millis(1)));
    same_as_local(&session, &bucket.path(""));
    session.set("http_timeout", "5").unwrap();
    let stalled = AtomicUsize::new(0);
    proxy.hurt(move |request| match request.range() {
        Some((first, Some(last))) if last - first > 5000 && stalled.fetch_add(1, Ordering::SeqCst) == 0 => {
            Fault::Stall(500)
        }
        _ => Fault::None,
    });
    same_as_local(&session, &bucket.path(""));
}

#[test]
fn a_store_that_stays_busy_is_named_with_how_often_it_was_tried() {
    let (_bucket, proxy, session) = through_proxy();
    session.set("http_timeout", "1").unwrap();
    proxy.hurt(|_| Fault::Answer(Answer::error(503, "SlowDown", "")));
    let begin = Instant::now();
    let error = fails(&session, "SELECT * FROM 's3://data/csv/*.csv'");
    assert_eq!(error.code(), Code::Io);
    assert!(error.message().contains("503 SlowDown") && error.message().contains("tries"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(8));
}

#[test]
fn an_interrupt_ends_waiting_for_a_store() {
    let (_bucket, proxy, session) = through_proxy();
    session.set("http_timeout", "60").unwrap();
    let sql = "SELECT count(*), max(dest) FROM 's3://data/csv/*.csv'";
    let planned = session.sql(sql).unwrap();
    proxy.hurt(|_| Fault::Answer(Answer::error(503, "SlowDown", "")));
    for doing in ["planning", "reading"] {
        let interrupter = session.clone();
        let begin = Instant::now();
        let waiting = thread::spawn(move || {
            thread::sleep(Duration::from_millis(700));
            interrupter.interrupt();
        });
        let done = if doing == "planning" { session.sql(sql).map(drop) } else { planned.collect().map(drop) };
        let error = done.unwrap_err();
        assert_eq!(error.code(), Code::Cancelled, "{doing}: {error}");
        assert!(begin.elapsed() < Duration::from_secs(3), "{doing}: {:?}", begin.elapsed());
        waiting.join().unwrap();
    }
}

#[test]
fn an_upload_that_fails_leaves_nothing_and_the_old_object_as_it_was() {
    let (bucket, proxy, session) = through_proxy();
    session.set("http_timeout", "30").unwrap();
    session.sql("COPY (SELECT 1 AS a) TO 's3://data/out.csv'").unwrap();
    let rows_of =
        |count: usize| format!("SELECT value, sha256(CAST(value AS VARCHAR)) FROM range({count}) AS r(value)");
    // The query fails when parts are under way.
    let query = format!(
        "{} UNION ALL SELECT CAST('x' || (value - value) AS BIGINT), '' FROM range(2) AS r(value)",
        rows_of(300_000)
    );
    assert!(session.sql(&format!("COPY ({query}) TO 's3://data/out.csv'")).is_err());
    // The store fails.
    for broken in ["partNumber", "complete"] {
        proxy.hurt(move |request| {
            let part = request.query.get("partNumber").is_some_and(|number| broken == "partNumber" && number == "2");
            let complete = broken == "complete" && request.method == "POST" && request.query.contains_key("uploadId");
            if part || complete { Fault::Answer(Answer::error(403, "AccessDenied", "")) } else { Fault::None }
        });
        let error = session.sql(&format!("COPY ({}) TO 's3://data/out.csv'", rows_of(300_000))).err().unwrap();
        assert_eq!(error.code(), Code::Io);
        assert!(error.full_message().contains("bucket 'data', key 'out.csv'"), "{error}");
        proxy.hurt(|_| Fault::None);
    }
    assert_eq!(bucket.server.open_uploads(), 0);
    assert_eq!(rows(&session, "SELECT a FROM 's3://data/out.csv'").unwrap(), ["1"]);
}

#[test]
fn an_object_that_changes_while_it_is_read_is_an_error() {
    let bucket = Bucket::new();
    let session = session(&bucket.server.endpoint());
    let frame = session.sql("SELECT count(*) AS n, max(dest) FROM 's3://data/csv/2013-01.csv'").unwrap();
    fs::write(bucket.path("csv/2013-01.csv"), "year\n1\n").unwrap();
    let error = frame.collect().err().unwrap();
    assert!(error.code() == Code::Io && error.message().contains("was changed"), "{error}");
}

/// The program with nothing but `environment` set.
fn program(environment: &[(&str, &str)], sql: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.env_clear().envs(environment.iter().copied()).env("AWS_EC2_METADATA_DISABLED", "true");
    command.args(["--format", "csv", "-c", sql]).stdin(Stdio::null()).output().unwrap()
}

const COUNT: &str = "SET http_timeout = 3; SELECT count(*) AS n FROM 's3://data/csv/2013-01.csv'";

#[test]
fn credentials_come_from_environment_and_profiles() {
    let bucket = Bucket::new();
    let (endpoint, home) = (bucket.server.endpoint(), tempfile::tempdir().unwrap());
    let keys: &[(&str, &str)] = &[
        ("AWS_ACCESS_KEY_ID", "from-environment"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_REGION", "ap-south-1"),
        ("AWS_ENDPOINT_URL_S3", &endpoint),
    ];
    let output = program(keys, COUNT);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let requests = bucket.server.requests();
    assert!(requests.iter().all(|r| r.key_id() == "from-environment" && r.region() == "ap-south-1"));

    fs::create_dir(home.path().join(".aws")).unwrap();
    let config = format!(
        "[profile work]\nregion = sa-east-1\nendpoint_url = {endpoint}\n[profile process]\n\
                          endpoint_url = {endpoint}\ncredential_process = echo '{{\"AccessKeyId\":\"from-process\",\"SecretAccessKey\":\"y\"}}'\n"
    );
    fs::write(home.path().join(".aws/config"), config).unwrap();
    fs::write(
        home.path().join(".aws/credentials"),
        "[work]\naws_access_key_id = from-profile\naws_secret_access_key = z\n",
    )
    .unwrap();
    let home = home.path().to_str().unwrap();
    for (profile, key, region) in [("work", "from-profile", "sa-east-1"), ("process", "from-process", "us-east-1")] {
        let output = program(&[("HOME", home), ("AWS_PROFILE", profile), ("PATH", "/usr/bin:/bin")], COUNT);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let requests = bucket.server.requests();
        assert!(
            !requests.is_empty() && requests.iter().all(|r| r.key_id() == key && r.region() == region),
            "{profile}"
        );
    }
    let output = program(&[("HOME", home), ("AWS_PROFILE", "none")], COUNT);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no profile 'none'"));
    // Nobody has a key: requests are not signed.
    let output = program(&[("AWS_ENDPOINT_URL", &endpoint)], COUNT);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(bucket.server.requests().iter().all(|r| r.header("authorization").is_empty()));
}

/// Hands out credentials as containers and instances do: each time other ones, which end after `seconds`.
fn issuer(seconds: i64) -> (Server, Arc<Mutex<Vec<String>>>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (server, issued) = (Server::start(folder.path()), Arc::new(Mutex::new(Vec::new())));
    let list = issued.clone();
    server.refuse(move |request| {
        if request.path.ends_with("/api/token") {
            return Some(Answer::ok("token"));
        }
        if request.path.ends_with("/security-credentials/") {
            return Some(Answer::ok("role"));
        }
        let mut list = list.lock().unwrap();
        let key = format!("issued-{}", list.len());
        list.push(key.clone());
        let end = chrono::Utc::now() + chrono::Duration::seconds(seconds);
        let end = end.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        Some(Answer::ok(format!(
            "{{\"Code\":\"Success\",\"Type\":\"x\",\"LastUpdated\":\"2024-01-01T00:00:00Z\",\"AccessKeyId\":\"{key}\",\
             \"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":\"{end}\"}}"
        )))
    });
    (server, issued, folder)
}

#[test]
fn credentials_of_containers_and_instances_are_renewed_before_they_end() {
    let bucket = Bucket::new();
    let endpoint = bucket.server.endpoint();
    // A key is asked for anew at most every tenth of a second.
    bucket.server.refuse(|_| {
        thread::sleep(Duration::from_millis(60));
        None
    });
    let token = bucket.folder.path().join("token");
    fs::write(&token, "bearer").unwrap();
    for kind in ["container", "instance"] {
        // Keys that end within minutes are not used twice.
        for (seconds, renewed) in [(10, true), (100_000, false)] {
            let (issuer, issued, _folder) = issuer(seconds);
            let url = format!("{}/credentials", issuer.endpoint());
            let environment: Vec<(&str, &str)> = match kind {
                "container" => vec![
                    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
                    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap()),
                ],
                _ => vec![("AWS_METADATA_ENDPOINT", url.trim_end_matches("/credentials"))],
            };
            let environment = [environment, vec![("AWS_ENDPOINT_URL", endpoint.as_str())]].concat();
            let output = program(&environment, &format!("{COUNT}; {COUNT}"));
            assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
            let requests = bucket.server.requests();
            assert!(requests.iter().all(|request| request.key_id().starts_with("issued-")), "{kind}");
            assert_eq!(issued.lock().unwrap().len() > 1, renewed, "{kind} {seconds}");
        }
    }
}

#[test]
fn an_expired_token_is_replaced_while_the_session_lives() {
    let bucket = Bucket::new();
    let home = tempfile::tempdir().unwrap();
    let endpoint = bucket.server.endpoint();
    // Whoever asks with the first key is told that it has run out; the process prints another one each time.
    bucket.server.refuse(|request| {
        let expired = request.key_id() == "key-1" && request.range().is_some_and(|(first, _)| first > 0);
        expired.then(|| Answer::error(400, "ExpiredToken", ""))
    });
    let counter = home.path().join("count");
    fs::write(&counter, "").unwrap();
    let script = format!(
        "printf x >> {0}; n=$(wc -c < {0} | tr -d ' '); echo \"{{\\\"AccessKeyId\\\":\\\"key-$n\\\",\\\"SecretAccessKey\\\":\\\"s\\\",\\\"SessionToken\\\":\\\"t\\\"}}\"",
        counter.display()
    );
    let script_file = home.path().join("print.sh");
    fs::write(&script_file, script).unwrap();
    let config = format!("[default]\nendpoint_url = {endpoint}\ncredential_process = sh {}\n", script_file.display());
    fs::write(home.path().join("config"), config).unwrap();
    let environment = [("AWS_CONFIG_FILE", home.path().join("config")), ("PATH", "/usr/bin:/bin".into())]
        .map(|(name, value)| (name, value.to_str().unwrap().to_owned()));
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let output =
        program(&environment, "SET http_timeout = 3; SELECT sum(distance) AS n FROM 's3://data/flights.parquet'");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let keys: Vec<_> = bucket.server.requests().iter().map(|request| request.key_id().to_owned()).collect();
    assert!(keys.contains(&"key-1".to_owned()) && keys.contains(&"key-2".to_owned()), "{keys:?}");
}

#[test]
fn the_program_writes_its_answers_to_a_store() {
    let bucket = Bucket::new();
    let environment =
        [("AWS_ENDPOINT_URL", bucket.server.endpoint()), ("AWS_EC2_METADATA_DISABLED", "true".to_owned())];
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.env_clear().envs(environment).args(["-o", "s3://data/answer.csv", "-c", "SELECT 1 AS a"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(bucket.path("answer.csv")).unwrap(), "a\n1\n");
}

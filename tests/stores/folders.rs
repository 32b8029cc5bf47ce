//! COPY into folders of object stores: what is there then, and what is there when it fails.

use super::*;

/// The keys of the objects in the folder `name` of the bucket, from there on.
fn keys(bucket: &Bucket, name: &str) -> Vec<String> {
    let folder = bucket.path(name);
    let (mut found, mut folders) = (Vec::new(), vec![folder.clone()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => found.push(path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned()),
            }
        }
    }
    found.sort_unstable();
    found
}

/// What every server must take: folders of objects, new ones and in place of old ones.
fn folders_are_written_and_read_again(session: &Session) {
    let query =
        "SELECT i, CASE WHEN i % 50 > 0 THEN 'k/' || (i % 50) || '=%' END AS k, i % 3 AS p FROM range(30000) r(i)";
    let copy = |query: &str, options: &str| {
        rows(session, &format!("COPY ({query}) TO 's3://data/parts/' (FORMAT parquet, PARTITION_BY (p, k){options})"))
    };
    let counted = || rows(session, "SELECT count(*), sum(i), count(k) FROM 's3://data/parts/*/*/*.parquet'").unwrap();
    assert_eq!(copy(query, "").unwrap(), ["30000"]);
    assert_eq!(counted(), ["30000|449985000|29400"]);
    let same = format!(
        "SELECT count(*) FROM (SELECT i, k, p FROM ({query}) EXCEPT ALL SELECT i, k, p FROM \
         's3://data/parts/*/*/*.parquet')"
    );
    assert_eq!(rows(session, &same).unwrap(), ["0"]);
    let error = copy(query, "").unwrap_err();
    assert!(error.code() == Code::AlreadyExists && error.message().contains("s3://data/parts/"), "{error}");
    assert_eq!(copy("SELECT 1 AS i, 'x' AS k, 7 AS p", ", APPEND").unwrap(), ["1"]);
    assert_eq!(counted(), ["30001|449985001|29401"]);
    assert_eq!(copy("SELECT 0 AS i, NULL::VARCHAR AS k, 0 AS p", ", OVERWRITE_OR_IGNORE").unwrap(), ["1"]);
    assert_eq!(
        rows(session, "SELECT count(*) FROM 's3://data/parts/p=0/k=__HIVE_DEFAULT_PARTITION__/*'").unwrap(),
        ["1"]
    );
    let itself = "SELECT i, k, p FROM 's3://data/parts/*/*/*.parquet'";
    assert_eq!(copy(itself, ", OVERWRITE").unwrap_err().code(), Code::InvalidQuery);
    assert_eq!(copy("SELECT i, 'z' AS k, i % 2 AS p FROM range(9) r(i)", ", OVERWRITE").unwrap(), ["9"]);
    assert_eq!(counted(), ["9|36|9"]);
    assert_eq!(rows(session, "SELECT count(*) FROM glob('s3://data/parts/**')").unwrap(), ["2"]);
    // Objects of a size, of several parts each.
    let large = "SELECT value AS n, sha256(CAST(value AS VARCHAR)) AS h FROM range(600000) AS r(value)";
    let sized = format!("COPY ({large}) TO 's3://data/sized' (FORMAT csv, FILE_SIZE_BYTES '17MB', RETURN_FILES)");
    let answer = rows(session, &sized).unwrap();
    assert!(answer[0].starts_with("600000|['s3://data/sized/data_0.csv', 's3://data/sized/data_1.csv'"), "{answer:?}");
    assert_eq!(rows(session, "SELECT count(*), sum(n) FROM 's3://data/sized/*.csv'").unwrap(), ["600000|179999700000"]);
}

#[test]
fn folders_of_objects_are_written_to_our_server_and_to_moto() {
    let bucket = Bucket::new();
    folders_are_written_and_read_again(&session(&bucket.server.endpoint()));
    assert_eq!(bucket.server.open_uploads(), 0);
    if let Some(moto) = Moto::start() {
        moto.fill("data", &bucket.path("csv"));
        folders_are_written_and_read_again(&session(&moto.endpoint()));
    }
}

#[test]
fn folders_of_objects_are_written_in_little_memory_and_through_a_bad_network() {
    let (bucket, proxy, session) = through_proxy();
    session.set("memory_limit", "80MB").unwrap();
    proxy.hurt(each_once(|request| match request.method.as_str() {
        "PUT" if request.target.len() % 2 == 0 => Fault::Reset,
        _ => Fault::Answer(Answer::error(503, "SlowDown", "")),
    }));
    let query = "SELECT i, i % 60 AS p FROM range(20000) r(i)";
    let copy = |options: &str| {
        let copy = format!("COPY ({query}) TO 's3://data/many' (FORMAT csv, PARTITION_BY (p){options})");
        rows(&session, &copy).unwrap()
    };
    assert_eq!(copy(""), ["20000"]);
    let first = keys(&bucket, "many");
    assert_eq!(first.len(), 60);
    // The request that deletes is reset, too.
    proxy.hurt(each_once(|request| if request.method == "POST" { Fault::Reset } else { Fault::None }));
    assert_eq!(copy(", OVERWRITE"), ["20000"]);
    let second = keys(&bucket, "many");
    assert!(second.len() == 60 && second.iter().all(|key| !first.contains(key)));
    assert_eq!(rows(&session, "SELECT count(*), sum(i) FROM 's3://data/many/*/*.csv'").unwrap(), ["20000|199990000"]);
}

#[test]
fn a_folder_of_objects_that_fails_leaves_nothing_and_the_old_ones_as_they_were() {
    let (bucket, proxy, session) = through_proxy();
    let copy = |query: &str, options: &str| {
        let copy = format!("COPY ({query}) TO 's3://data/out' (FORMAT csv, PARTITION_BY (p){options})");
        rows(&session, &copy)
    };
    let many =
        "SELECT value AS n, sha256(CAST(value AS VARCHAR)) AS h, value - value AS p FROM range(400000) AS r(value)";
    let bad = "SELECT CAST(CASE WHEN p = 40 THEN 'x' ELSE '1' END AS INTEGER) AS n, p FROM \
               (SELECT i % 50 AS p FROM range(100000) r(i)) ORDER BY p";
    let mut before = Vec::new();
    for options in ["", ", OVERWRITE", ", OVERWRITE_OR_IGNORE", ", APPEND"] {
        // The query fails.
        assert!(copy(bad, options).is_err());
        assert_eq!(keys(&bucket, "out"), before, "{options}");
        // The store fails: a part, the end of an upload, an object of one part.
        for broken in ["part", "complete", "whole"] {
            proxy.hurt(move |request| {
                let in_parts = request.query.contains_key("uploadId");
                let hurt = match broken {
                    "part" => request.query.get("partNumber").is_some_and(|number| number == "2"),
                    "complete" => in_parts && request.method == "POST",
                    _ => !in_parts && request.method == "PUT" && request.path.contains("p=3"),
                };
                if hurt { Fault::Answer(Answer::error(403, "AccessDenied", "")) } else { Fault::None }
            });
            let query = if broken == "whole" { "SELECT i, i AS p FROM range(40) r(i)" } else { many };
            let error = copy(query, options).unwrap_err();
            assert!(error.code() == Code::Io && error.full_message().contains("s3://data/out/p="), "{error}");
            proxy.hurt(|_| Fault::None);
            assert_eq!(keys(&bucket, "out"), before, "{options} {broken}");
            assert_eq!(bucket.server.open_uploads(), 0);
        }
        if before.is_empty() {
            copy("SELECT 1 AS n, p FROM range(100, 103) r(p)", "").unwrap();
            before = keys(&bucket, "out");
            assert_eq!(before.len(), 3);
        }
    }
    // What cannot be taken away again is told.
    proxy.hurt(|request| match request.method.as_str() {
        "POST" if request.query.contains_key("delete") => Fault::Answer(Answer::error(403, "AccessDenied", "")),
        "PUT" if request.path.contains("p=3") => Fault::Answer(Answer::error(403, "AccessDenied", "")),
        _ => Fault::None,
    });
    let error = copy("SELECT i, i AS p FROM range(40) r(i)", ", APPEND").unwrap_err();
    assert!(error.full_message().contains("taking back what was written"), "{error}");
    let error = copy("SELECT 1 AS n, 5 AS p", ", OVERWRITE").unwrap_err();
    assert!(error.full_message().contains("when all new ones were there"), "{error}");
    proxy.hurt(|_| Fault::None);
    copy("SELECT 1 AS n, 5 AS p", ", OVERWRITE").unwrap();
    assert_eq!(keys(&bucket, "out").len(), 1);
    let whole = session.sql("COPY (SELECT 1 AS a) TO 's3://data' (FORMAT csv, PER_THREAD_OUTPUT, OVERWRITE)");
    assert_eq!(whole.err().unwrap().code(), Code::InvalidQuery);
}

#[test]
fn an_interrupted_folder_of_objects_leaves_nothing() {
    let (bucket, _proxy, session) = through_proxy();
    let interrupter = session.clone();
    let waiting = thread::spawn(move || {
        thread::sleep(Duration::from_millis(1500));
        interrupter.interrupt();
    });
    let copy =
        "COPY (SELECT i, i % 100000 AS p FROM range(100000) r(i)) TO 's3://data/out' (FORMAT csv, PARTITION_BY (p))";
    assert_eq!(fails(&session, copy).code(), Code::Cancelled);
    waiting.join().unwrap();
    assert_eq!(keys(&bucket, "out"), [""; 0]);
    assert_eq!(bucket.server.open_uploads(), 0);
}

//! The program from outside: arguments, standard input, output files, exit codes, signals.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

// The program's own unit tests: its binary target has none.
#[path = "../src/cli/bar.rs"]
mod bar;
#[path = "../src/cli/statements.rs"]
mod statements;
#[path = "shared/terminal.rs"]
mod terminal;

/// A query that nobody waits for: a slow function over the flights, fifty times.
fn long_query() -> String {
    let source = "SELECT * FROM 'testdata/flights/csv/*.csv'";
    let sources = vec![source; 50].join(" UNION ALL ");
    format!("SELECT max(sha512(repeat(concat(tailnum, flight), 1000))) FROM ({sources}) AS flights GROUP BY dest")
}

fn floe(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    floe(arguments).stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A process that is asked line by line, and ended with the test.
struct Conversation {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Conversation {
    fn start(arguments: &[&str]) -> Self {
        let mut child = floe(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Conversation { child, answers }
    }

    fn ask(&mut self, text: &str) -> String {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn sql_comes_from_arguments_commands_files_and_standard_input() {
    let expected = "n\n1\n";
    assert_eq!(stdout(&run(&["--format", "csv", "SELECT 1 AS n"])), expected);
    assert_eq!(stdout(&run(&["--format", "csv", "-c", "SELECT 1 AS n;"])), expected);
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.sql");
    fs::write(&script, "-- a comment; with a semicolon\nSELECT 1 AS n;\n").unwrap();
    assert_eq!(stdout(&run(&["--format", "csv", "-f", script.to_str().unwrap()])), expected);
    let mut child = floe(&["--format", "csv"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"SELECT 1 AS n").unwrap();
    assert_eq!(stdout(&child.wait_with_output().unwrap()), expected);
}

#[test]
fn several_statements_share_one_session() {
    let output = run(&[
        "--format",
        "csv",
        "CREATE TABLE t AS SELECT 1 AS n; INSERT INTO t VALUES (2); SELECT sum(n) AS s FROM t",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "s\n3\n");
}

#[test]
fn an_error_stops_the_script_unless_told_to_continue() {
    let script = "SELECT 1 AS a; SELECT nothing; SELECT 2 AS b";
    let stopped = run(&["--format", "csv", script]);
    assert_eq!(stopped.status.code(), Some(1));
    assert_eq!(stdout(&stopped), "a\n1\n");
    assert!(stderr(&stopped).contains("UNKNOWN_COLUMN"), "{}", stderr(&stopped));
    let continued = run(&["--format", "csv", "--on-error", "continue", script]);
    assert_eq!(continued.status.code(), Some(1));
    assert_eq!(stdout(&continued), "a\n1\nb\n2\n");
}

#[test]
fn the_machine_protocol_answers_each_statement_as_it_arrives() {
    let mut floe = Conversation::start(&["--format", "json-compact", "--on-error", "continue"]);
    let answer = "{\"columns\":[{\"name\":\"a\",\"type\":\"INTEGER\"},{\"name\":\"b\",\"type\":\"VARCHAR\"}],\
                  \"rows\":[[1,\"x\"]],\"row_count\":1}\n";
    assert_eq!(floe.ask("SELECT 1 AS a,\n 'x' AS b;\n"), answer);
    assert_eq!(floe.ask("SELECT 1 AS a, 'x' AS b;"), answer, "without a line break");
    let error = floe.ask("SELECT ';' FROM nothing;\n");
    assert!(error.starts_with("{\"error\":{\"code\":\"UNKNOWN_TABLE\",\"message\":"), "{error}");
    assert_eq!(floe.ask("CREATE TABLE T AS SELECT 1 AS Spelled;\n"), "{\"columns\":[],\"rows\":[],\"row_count\":0}\n");
    let line = floe.ask("SELECT spelled, sum(spelled) AS s FROM t GROUP BY spelled;\n");
    assert_eq!(
        line,
        "{\"columns\":[{\"name\":\"Spelled\",\"type\":\"INTEGER\"},{\"name\":\"s\",\"type\":\"HUGEINT\"}],\
         \"rows\":[[1,\"1\"]],\"row_count\":1}\n"
    );
}

#[test]
fn an_output_file_appears_only_when_everything_succeeded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answer.jsonl");
    let name = path.to_str().unwrap();
    let failed = run(&["--output", name, "SELECT 1 AS n; SELECT nothing"]);
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    fs::write(&path, "old").unwrap();
    assert!(run(&["--output", name, "SELECT 1 AS n"]).status.success());
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"n\":1}\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    let refused = run(&["--output", "/nowhere/at/all.csv", "SELECT 1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("IO_ERROR"), "{}", stderr(&refused));
}

#[test]
fn bad_settings_are_errors_before_anything_runs() {
    for arguments in [["--memory-limit", "much"], ["--format", "xml"], ["--max-spill-size", "much"]] {
        let output = run(&[arguments[0], arguments[1], "SELECT 1"]);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains("INVALID_SETTING"), "{arguments:?}: {}", stderr(&output));
    }
    let missing = run(&["-f", "no-such-file.sql"]);
    assert!(stderr(&missing).contains("no-such-file.sql"), "{}", stderr(&missing));
    assert_eq!(run(&["--no-such-option"]).status.code(), Some(2));
}

#[test]
fn the_timer_and_the_version_are_told() {
    let output = run(&["--timer", "--format", "csv", "SELECT 1 AS n"]);
    assert_eq!(stdout(&output), "n\n1\n");
    assert!(stderr(&output).starts_with("time: "), "{}", stderr(&output));
    let version = run(&["--version"]);
    assert_eq!(stdout(&version), format!("floe {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let many = "SELECT * FROM 'testdata/flights/csv/*.csv'";
    let mut child = floe(&["--format", "csv", many]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 4];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(stderr(&output), "");
}

#[test]
fn ctrl_c_cancels_the_query_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answer.csv");
    let spill = folder.path().join("spill");
    fs::create_dir(&spill).unwrap();
    let query = long_query();
    let arguments = ["--output", path.to_str().unwrap(), "--spill-dir", spill.to_str().unwrap(), "-c", &query];
    let child = floe(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let pressed = Instant::now();
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(pressed.elapsed() < Duration::from_millis(1000), "{:?}", pressed.elapsed());
    assert!(stderr(&output).contains("CANCELLED"), "{}", stderr(&output));
    assert!(!path.exists());
    assert!(is_empty(&spill), "spill files are gone");
}

#[test]
fn a_request_to_end_cancels_the_query_and_leaves_no_part_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let copied = folder.path().join("copied.csv");
    let query = format!("COPY ({}) TO '{}'", long_query(), copied.display());
    for (signal, code, twice) in [("TERM", 143, false), ("HUP", 143, false), ("INT", 130, true)] {
        let child = floe(&["--output", folder.path().join("answer.csv").to_str().unwrap(), "-c", &query])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let asked = Instant::now();
        send(&child, signal);
        if twice {
            send(&child, signal);
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{signal}: {}", stderr(&output));
        assert!(asked.elapsed() < Duration::from_millis(1000), "{signal}: {:?}", asked.elapsed());
        assert!(is_empty(folder.path()), "{signal} leaves a file");
    }
}

fn interrupt(child: &Child) {
    send(child, "INT");
}

fn send(child: &Child, signal: &str) {
    let status = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().all(|entry| !entry.unwrap().path().is_file())
}

/// What the program shows on a terminal as its standard error. It is interrupted when that is `enough`, or after `patience`.
fn shown_on_a_terminal(
    columns: u16,
    arguments: &[&str],
    patience: Duration,
    enough: impl Fn(&str) -> bool,
) -> Option<(String, Output)> {
    let (program, mut reader) = terminal::terminal(columns)?;
    let mut command = floe(arguments);
    command.env("TERM", "xterm").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(program);
    let child = command.spawn().unwrap();
    // The program's side must be open nowhere else, or reading would not end.
    drop(command);
    let (mut shown, mut buffer) = (String::new(), [0; 4096]);
    let (has_enough, waits) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let child = &child;
        scope.spawn(move || {
            if waits.recv_timeout(patience) != Err(std::sync::mpsc::RecvTimeoutError::Disconnected) {
                interrupt(child);
            }
        });
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
            if enough(&shown) {
                let _ = has_enough.send(());
            }
        }
        drop(has_enough);
    });
    Some((shown, child.wait_with_output().unwrap()))
}

#[test]
fn a_terminal_shows_how_far_a_query_is_and_nothing_of_it_stays() {
    let (query, patience) = (long_query(), Duration::from_secs(20));
    let several = |shown: &str| shown.matches('\r').count() > 3;
    let Some((shown, output)) = shown_on_a_terminal(60, &["-c", &query], patience, several) else { return };
    assert_eq!(output.status.code(), Some(130), "{shown}");
    let (lines, error) = shown.rsplit_once("\r\u{1b}[K").unwrap();
    assert!(error.starts_with("error: CANCELLED"), "{shown:?}");
    let lines: Vec<&str> = lines.split('\r').filter(|line| !line.is_empty()).collect();
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end_matches("\u{1b}[K")).collect();
    assert!(lines.iter().all(|line| line.len() < 60 && line.contains(" rows, ")), "{lines:?}");
    let percent = |line: &&str| line.split_once('%').unwrap().0.trim().parse::<u32>().unwrap();
    let percents: Vec<u32> = lines.iter().map(percent).collect();
    assert!(percents.len() >= 3 && percents.is_sorted() && percents.iter().all(|percent| *percent < 100));
    assert!(output.stdout.is_empty());
}

#[test]
fn no_progress_is_shown_of_a_short_query_or_where_it_is_switched_off() {
    let (query, patience) = (long_query(), Duration::from_millis(1800));
    let short = ["--format", "csv", "-c", "SELECT 1 AS a"];
    let Some((shown, output)) = shown_on_a_terminal(80, &short, patience, |_| false) else { return };
    assert_eq!((shown.as_str(), stdout(&output)), ("", "a\n1\n"));
    let set = format!("SET enable_progress_bar = false; {query}");
    for arguments in [["--no-progress", "-c", &query], ["--timer", "-c", &set]] {
        let Some((shown, output)) = shown_on_a_terminal(80, &arguments, patience, |_| false) else { return };
        assert!(!shown.contains('%') && shown.contains("error: CANCELLED"), "{shown:?}");
        assert_eq!(output.status.code(), Some(130));
    }
}

/// As in a container that was given some of the processors: the allocator has nothing to say about it.
#[test]
#[cfg(target_os = "linux")]
fn a_process_with_one_of_the_processors_is_quiet() {
    use std::os::unix::process::CommandExt;
    let mut command = floe(&["--format", "csv", "SELECT count(*) AS n FROM range(1000000) AS t(x)"]);
    // SAFETY: between fork and exec only a system call is made, on memory of this function.
    unsafe {
        command.pre_exec(|| {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(0, &mut set);
            match libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!((stdout(&output), stderr(&output)), ("n\n1000000\n", ""));
}

/// Runs a query over what `bytes` are on standard input.
fn piped(bytes: Vec<u8>, arguments: &[&str]) -> Output {
    let mut command = floe(&["--format", "csv"]);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.as_mut().unwrap();
    let mut input = child.stdin.take().unwrap();
    // Who has seen enough does not read on.
    let writer = std::thread::spawn(move || drop(input.write_all(&bytes)));
    let (mut answer, mut errors) = (Vec::new(), Vec::new());
    child.stdout.take().unwrap().read_to_end(&mut answer).unwrap();
    child.stderr.take().unwrap().read_to_end(&mut errors).unwrap();
    let status = child.wait().unwrap();
    writer.join().unwrap();
    Output { status, stdout: answer, stderr: errors }
}

/// More lines than are kept of what can be read only once: `line` of each number.
fn many_lines(line: impl Fn(u64) -> String) -> Vec<u8> {
    (0..400_000).map(line).collect::<String>().into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn data_comes_through_standard_input() {
    let text = b"n,s\n1,a\n2,\"b,\n\"\n".to_vec();
    for from in ["read_csv('/dev/stdin')", "read_csv('-')", "'/dev/stdin'", "'-'"] {
        for bytes in [text.clone(), gzip(&text)] {
            let output = piped(bytes, &[&format!("SELECT sum(n) AS s, count(*) AS c FROM {from}")]);
            assert_eq!(stdout(&output), "s,c\n3,2\n", "{from}: {}", stderr(&output));
        }
    }
    let lines = b"{\"n\": 1}\n{\"n\": 2}\n".to_vec();
    for from in ["read_json('-')", "'/dev/stdin'"] {
        assert_eq!(stdout(&piped(lines.clone(), &[&format!("SELECT sum(n) AS s FROM {from}")])), "s\n3\n");
    }
    // What is short is kept, and so is as good as a file.
    let twice = "SELECT count(*) AS c FROM '-' AS a, '-' AS b; SELECT n FROM '/dev/stdin' LIMIT 1";
    assert_eq!(stdout(&piped(text, &[twice])), "c\n4\nn\n1\n");
    let output = piped(fs::read("testdata/parquet/kinds.parquet").unwrap(), &["SELECT count(*) > 0 AS some FROM '-'"]);
    assert_eq!(stdout(&output), "some\ntrue\n", "{}", stderr(&output));
}

#[test]
fn long_input_is_read_once_by_all_workers() {
    let csv = [b"n,s\n".to_vec(), many_lines(|n| format!("{n},some longer text about the line {n}\n"))].concat();
    let json = many_lines(|n| format!("{{\"n\": {n}, \"s\": \"some longer text about it\"}}\n"));
    let (sum, all) = ((0..400_000u64).sum::<u64>(), 400_000);
    for (bytes, from) in [(csv.clone(), "read_csv('-')"), (gzip(&csv), "'-'"), (json, "read_json('/dev/stdin')")] {
        for threads in ["1", "4"] {
            let query = format!("SELECT sum(n) AS s, count(*) AS c FROM {from}");
            let output = piped(bytes.clone(), &["--threads", threads, "--memory-limit", "100MB", &query]);
            assert_eq!(stdout(&output), format!("s,c\n{sum},{all}\n"), "{from} {threads}: {}", stderr(&output));
        }
    }
    let limited = piped(csv.clone(), &["SELECT n FROM '-' ORDER BY n LIMIT 0; SELECT n FROM read_csv('-') LIMIT 2"]);
    assert_eq!(stdout(&limited), "n\nn\n0\n1\n", "{}", stderr(&limited));
    let twice = piped(csv, &["SELECT count(*) AS c FROM '-'; SELECT count(*) AS c FROM '-'"]);
    assert_eq!(stdout(&twice), "c\n400000\nc\n");
    assert!(stderr(&twice).contains("NOT_SUPPORTED: '-' was read already"), "{}", stderr(&twice));
}

#[test]
fn what_long_input_cannot_be_is_said() {
    let late = many_lines(|n| if n == 390_000 { "x,\n".to_string() } else { format!("{n},some longer text here\n") });
    let output = piped(late, &["CREATE TABLE t AS SELECT sum(column0) AS s FROM read_csv('-', header => false)"]);
    let said = stderr(&output);
    assert!(
        said.contains("line 390001") && said.contains("'x' is not a BIGINT") && said.contains("types =>"),
        "{said}"
    );
    let no_footer = piped(vec![b'P'; 9 << 20], &["SELECT * FROM read_parquet('-')"]);
    assert!(stderr(&no_footer).contains("write the data into a file first"), "{}", stderr(&no_footer));
    let mut statements = floe(&[]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    statements.stdin.take().unwrap().write_all(b"SELECT * FROM read_csv('/dev/stdin')").unwrap();
    let output = statements.wait_with_output().unwrap();
    assert!(stderr(&output).contains("from which the statements come"), "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn a_file_that_is_standard_input_is_known_by_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let (csv, json) = (b"n\n1\n2\n".to_vec(), b"{\"n\": 1}\n{\"n\": 2}\n".to_vec());
    for bytes in [csv.clone(), gzip(&csv), json] {
        fs::write(&path, bytes).unwrap();
        for name in ["-", "/dev/stdin"] {
            let mut command = floe(&["--format", "csv", &format!("SELECT sum(n) AS s FROM '{name}'")]);
            let output = command.stdin(fs::File::open(&path).unwrap()).output().unwrap();
            assert_eq!(stdout(&output), "s\n3\n", "{}", stderr(&output));
        }
    }
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_read_like_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe.csv");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let written = path.clone();
    let writer = std::thread::spawn(move || fs::write(written, "n\n1\n2\n").unwrap());
    let output = run(&["--format", "csv", &format!("SELECT sum(n) AS s FROM '{}'", path.display())]);
    writer.join().unwrap();
    assert_eq!(stdout(&output), "s\n3\n", "{}", stderr(&output));
}

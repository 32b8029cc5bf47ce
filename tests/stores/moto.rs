//! moto, an S3 server from PyPI, on loopback; where it is installed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running moto; it ends when this is dropped.
pub struct Moto {
    child: Child,
    port: u16,
}

/// Where `.ci/run` puts it, else on the search path.
fn program() -> PathBuf {
    let installed = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../moto/bin/moto_server");
    if installed.exists() { installed } else { PathBuf::from("moto_server") }
}

impl Moto {
    /// Starts it; `None`, and a line that says so, where it is not installed.
    pub fn start() -> Option<Moto> {
        // Taken from the system and let go: nobody else gets it so soon.
        let port = TcpListener::bind(("127.0.0.1", 0)).ok()?.local_addr().ok()?.port();
        let mut command = Command::new(program());
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            eprintln!("skipped: moto_server is not installed (.ci/run does it)");
            return None;
        };
        let moto = Moto { child, port };
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < PATIENCE, "moto does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(moto)
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes a bucket of the files below `folder`.
    pub fn fill(&self, bucket: &str, folder: &Path) {
        self.put(&format!("/{bucket}"), &[]);
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).expect("a folder").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let key = path.strip_prefix(folder).expect("below it").to_str().expect("UTF-8").to_owned();
                self.put(&format!("/{bucket}/{key}"), &std::fs::read(&path).expect("a file"));
            }
        }
    }

    fn put(&self, target: &str, body: &[u8]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        let length = body.len();
        let key =
            "AWS4-HMAC-SHA256 Credential=reader/20240101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let head = format!(
            "PUT {target} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: {key}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
            self.port
        );
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(body).expect("sent");
        let mut reader = BufReader::new(stream);
        let mut status = String::new();
        reader.read_line(&mut status).expect("an answer");
        assert!(status.contains(" 200 "), "{target}: {status}");
        let _ = reader.read_to_end(&mut Vec::new());
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

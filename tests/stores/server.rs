//! An S3 server of the tests' own: a folder served over HTTP/1.1 on loopback. Buckets are folders, keys are paths.
//!
//! It speaks what reading and writing objects needs (GET with ranges and `If-Match`, HEAD, PUT, DELETE, listing in
//! pages, multipart upload), remembers every request, and refuses what its owner tells it to refuse. It does not check
//! signatures, only whose key id they carry.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
#[cfg(not(target_os = "linux"))]
use std::io::{Seek, SeekFrom};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::UNIX_EPOCH;

/// Keys of one page of a listing: few, so that tests see several pages.
const PAGE: usize = 100;
const BUFFER: usize = 256 << 10;

/// One request as it came.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    /// As it came.
    pub target: String,
    /// Without the query, percent-decoded.
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl Request {
    /// Reads the head of a request; `None` at the end of the connection.
    pub fn read(reader: &mut impl BufRead) -> Option<Request> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        let query = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect();
        let path = decoded(path);
        let mut request = Request { method, target: target.clone(), path, query, headers: BTreeMap::new() };
        loop {
            line.clear();
            reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => {
                    request.headers.insert(name.to_lowercase(), value.trim().to_owned());
                }
                None => return Some(request),
            }
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn length(&self) -> usize {
        self.header("content-length").parse().unwrap_or(0)
    }

    /// The key id that signed it, or nothing.
    pub fn key_id(&self) -> &str {
        let credential = self.header("authorization").split_once("Credential=").map_or("", |(_, rest)| rest);
        credential.split('/').next().unwrap_or_default()
    }

    /// The region for which it was signed.
    pub fn region(&self) -> &str {
        self.header("authorization").split('/').nth(2).unwrap_or_default()
    }

    /// The asked range: the first byte and, where given, the last.
    pub fn range(&self) -> Option<(u64, Option<u64>)> {
        let (first, last) = self.header("range").strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()))
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                let digits = std::str::from_utf8(&digits).unwrap_or("3f");
                bytes.push(u8::from_str_radix(digits, 16).unwrap_or(b'?'));
            }
            b'+' => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer that is not the contents of an object.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn ok(body: impl Into<String>) -> Self {
        Answer { status: 200, body: body.into(), ..Answer::default() }
    }

    /// An error as S3 words it.
    pub fn error(status: u16, code: &str, more: &str) -> Self {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message>{more}</Error>");
        Answer { status, body, ..Answer::default() }
    }

    fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Sends it; to a HEAD without its body.
    pub fn send(&self, out: &mut impl Write, head: bool) -> std::io::Result<()> {
        let mut text = format!("HTTP/1.1 {} X\r\n", self.status);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.headers.iter().any(|(name, _)| name == "Content-Length") {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        text.push_str("\r\n");
        if !head {
            text.push_str(&self.body);
        }
        out.write_all(text.as_bytes())
    }
}

/// Says for a request what is answered instead of the object.
pub type Rule = Box<dyn Fn(&Request) -> Option<Answer> + Send + Sync>;

struct Shared {
    root: PathBuf,
    log: Mutex<Vec<Request>>,
    rule: Mutex<Option<Rule>>,
    uploads: Mutex<BTreeMap<String, BTreeMap<usize, Vec<u8>>>>,
    next_upload: AtomicUsize,
    closed: AtomicBool,
}

/// A running server; it ends when this is dropped.
pub struct Server {
    port: u16,
    shared: Arc<Shared>,
}

impl Server {
    /// Serves the buckets in `root`.
    pub fn start(root: &Path) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            log: Mutex::default(),
            rule: Mutex::default(),
            uploads: Mutex::default(),
            next_upload: AtomicUsize::new(1),
            closed: AtomicBool::new(false),
        });
        let for_thread = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                if for_thread.closed.load(Ordering::SeqCst) {
                    break;
                }
                let shared = for_thread.clone();
                // A connection that breaks is the client's business.
                thread::spawn(move || stream.and_then(|stream| serve(&shared, stream)));
            }
        });
        Server { port, shared }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The requests since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.log.lock().expect("the log"))
    }

    /// From now on `rule` is asked first.
    pub fn refuse(&self, rule: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static) {
        *self.shared.rule.lock().expect("the rule") = Some(Box::new(rule));
    }

    /// Uploads that were neither completed nor aborted.
    pub fn open_uploads(&self) -> usize {
        self.shared.uploads.lock().expect("uploads").len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(shared: &Shared, stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    send_without_pauses(&stream);
    let mut out = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(BUFFER, stream);
    while let Some(request) = Request::read(&mut reader) {
        let mut body = vec![0; request.length()];
        reader.read_exact(&mut body)?;
        shared.log.lock().expect("the log").push(request.clone());
        let refused = shared.rule.lock().expect("the rule").as_ref().and_then(|rule| rule(&request));
        let head = request.method == "HEAD";
        match refused {
            Some(answer) => answer.send(&mut out, head)?,
            None => shared.answer(&request, body, &mut out)?,
        }
    }
    Ok(())
}

impl Shared {
    fn answer(&self, request: &Request, body: Vec<u8>, out: &mut TcpStream) -> std::io::Result<()> {
        let (bucket, key) = request.path.trim_start_matches('/').split_once('/').unwrap_or((&request.path[1..], ""));
        let has = |name: &str| request.query.contains_key(name);
        let folder = self.root.join(bucket);
        if !folder.is_dir() {
            return Answer::error(404, "NoSuchBucket", "").send(out, request.method == "HEAD");
        }
        let path = folder.join(key);
        match request.method.as_str() {
            "GET" if key.is_empty() => self.list(&folder, request).send(out, false),
            "GET" | "HEAD" => object(&path, request, out),
            "PUT" if has("uploadId") => self.put_part(request, body).send(out, false),
            "PUT" => stored(&path, &body).send(out, false),
            "POST" if has("delete") => delete(&folder, &body).send(out, false),
            "POST" if has("uploads") => self.begin_upload(bucket, key).send(out, false),
            "POST" if has("uploadId") => self.complete(&path, request).send(out, false),
            "DELETE" if has("uploadId") => {
                self.uploads.lock().expect("uploads").remove(&request.query["uploadId"]);
                Answer { status: 204, ..Answer::default() }.send(out, false)
            }
            "DELETE" => {
                let _ = fs::remove_file(&path);
                Answer { status: 204, ..Answer::default() }.send(out, false)
            }
            _ => Answer::error(405, "MethodNotAllowed", "").send(out, false),
        }
    }

    fn list(&self, folder: &Path, request: &Request) -> Answer {
        let value = |name: &str| request.query.get(name).cloned().unwrap_or_default();
        let (prefix, delimiter, token) = (value("prefix"), value("delimiter"), value("continuation-token"));
        let mut keys = Vec::new();
        walk(folder, folder, &mut keys);
        keys.sort();
        let mut entries: Vec<(String, Option<PathBuf>)> = Vec::new();
        for (key, path) in keys.into_iter().filter(|(key, _)| key.starts_with(&prefix)) {
            let rest = &key[prefix.len()..];
            match rest.split_once(&delimiter).filter(|_| !delimiter.is_empty()) {
                Some((folder, _)) => {
                    let folder = format!("{prefix}{folder}{delimiter}");
                    if entries.last().is_none_or(|(last, _)| *last != folder) {
                        entries.push((folder, None));
                    }
                }
                None => entries.push((key, Some(path))),
            }
        }
        let left: Vec<_> = entries.into_iter().filter(|(key, _)| *key > token).collect();
        let mut body = "<?xml version=\"1.0\"?><ListBucketResult>".to_owned();
        for (key, path) in left.iter().take(PAGE) {
            let key = key.replace('&', "&amp;").replace('<', "&lt;");
            match path {
                None => body.push_str(&format!("<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>")),
                Some(path) => {
                    let (size, tag) = (fs::metadata(path).map_or(0, |file| file.len()), e_tag(path));
                    body.push_str(&format!(
                        "<Contents><Key>{key}</Key><LastModified>2024-05-01T12:00:00.000Z</LastModified>\
                         <ETag>{}</ETag><Size>{size}</Size></Contents>",
                        tag.replace('"', "&quot;")
                    ));
                }
            }
        }
        if left.len() > PAGE {
            body.push_str(&format!("<NextContinuationToken>{}</NextContinuationToken>", left[PAGE - 1].0));
        }
        body.push_str(&format!("<IsTruncated>{}</IsTruncated></ListBucketResult>", left.len() > PAGE));
        Answer::ok(body)
    }

    fn begin_upload(&self, bucket: &str, key: &str) -> Answer {
        let id = format!("upload{}", self.next_upload.fetch_add(1, Ordering::SeqCst));
        self.uploads.lock().expect("uploads").insert(id.clone(), BTreeMap::new());
        Answer::ok(format!(
            "<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>\
             </InitiateMultipartUploadResult>"
        ))
    }

    fn put_part(&self, request: &Request, body: Vec<u8>) -> Answer {
        let number: usize = request.query["partNumber"].parse().unwrap_or(0);
        match self.uploads.lock().expect("uploads").get_mut(&request.query["uploadId"]) {
            Some(parts) => {
                parts.insert(number, body);
                Answer::ok("").header("ETag", format!("\"part{number}\""))
            }
            None => Answer::error(404, "NoSuchUpload", ""),
        }
    }

    fn complete(&self, path: &Path, request: &Request) -> Answer {
        match self.uploads.lock().expect("uploads").remove(&request.query["uploadId"]) {
            Some(parts) => {
                let whole: Vec<u8> = parts.into_values().flatten().collect();
                let tag = stored(path, &whole).headers[0].1.replace('"', "&quot;");
                Answer::ok(format!("<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"))
            }
            None => Answer::error(404, "NoSuchUpload", ""),
        }
    }
}

/// Deletes the keys that a document names.
fn delete(folder: &Path, body: &[u8]) -> Answer {
    let body = String::from_utf8_lossy(body);
    let mut deleted = String::new();
    for key in body.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>")).map(|(key, _)| key) {
        let _ = fs::remove_file(folder.join(key.replace("&lt;", "<").replace("&amp;", "&")));
        deleted.push_str(&format!("<Deleted><Key>{key}</Key></Deleted>"));
    }
    Answer::ok(format!("<?xml version=\"1.0\"?><DeleteResult>{deleted}</DeleteResult>"))
}

fn walk(root: &Path, folder: &Path, keys: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(root, &path, keys);
        } else if let Some(key) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            keys.push((key.to_owned(), path.clone()));
        }
    }
}

fn e_tag(path: &Path) -> String {
    let metadata = fs::metadata(path).ok();
    let changed = metadata.as_ref().and_then(|file| file.modified().ok()?.duration_since(UNIX_EPOCH).ok());
    format!("\"{}-{}\"", metadata.map_or(0, |file| file.len()), changed.unwrap_or_default().as_nanos())
}

fn stored(path: &Path, body: &[u8]) -> Answer {
    let written = fs::create_dir_all(path.parent().expect("a folder")).and_then(|()| fs::write(path, body));
    match written {
        Ok(()) => Answer::ok("").header("ETag", e_tag(path)),
        Err(error) => Answer::error(500, "InternalError", &error.to_string()),
    }
}

fn object(path: &Path, request: &Request, out: &mut TcpStream) -> std::io::Result<()> {
    let head = request.method == "HEAD";
    let Ok(mut file) = fs::File::open(path)
        .and_then(|file| if path.is_file() { Ok(file) } else { Err(std::io::ErrorKind::NotFound.into()) })
    else {
        return Answer::error(404, "NoSuchKey", "").send(out, head);
    };
    let (size, tag) = (file.metadata()?.len(), e_tag(path));
    let wanted = request.header("if-match");
    if !wanted.is_empty() && wanted != tag {
        return Answer::error(412, "PreconditionFailed", "").send(out, head);
    }
    let (first, last) = match request.range() {
        Some((first, last)) => (first, last.map_or(size, |last| last + 1).min(size)),
        None => (0, size),
    };
    if first > last || (first >= size && request.range().is_some()) {
        return Answer::error(416, "InvalidRange", "").send(out, head);
    }
    let mut answer = Answer { status: 200, ..Answer::default() }
        .header("ETag", tag)
        .header("Last-Modified", "Wed, 01 May 2024 12:00:00 GMT")
        .header("Accept-Ranges", "bytes")
        .header("Content-Length", last - first);
    if request.range().is_some() {
        answer.status = 206;
        answer = answer.header("Content-Range", format!("bytes {first}-{}/{size}", last.saturating_sub(1)));
    }
    answer.send(out, head)?;
    if !head {
        send_file(&mut file, first..last, out)?;
    }
    Ok(())
}

/// Some systems space out what a connection sends (BBR), which costs more than half of the time where both ends are here.
#[cfg(target_os = "linux")]
fn send_without_pauses(stream: &TcpStream) {
    let algorithm = b"reno";
    let (value, size) = (algorithm.as_ptr().cast(), algorithm.len() as libc::socklen_t);
    // SAFETY: the descriptor is open as long as the stream is borrowed; the value is a text of the given length.
    // Where the system refuses, all works as before, only slower.
    let _ = unsafe { libc::setsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_CONGESTION, value, size) };
}

/// Sends the bytes `range` of a file, as servers do that are meant to be fast: the kernel copies.
#[cfg(target_os = "linux")]
fn send_file(file: &mut fs::File, range: Range<u64>, out: &mut TcpStream) -> std::io::Result<()> {
    let mut offset = i64::try_from(range.start).map_err(std::io::Error::other)?;
    let end = i64::try_from(range.end).map_err(std::io::Error::other)?;
    while offset < end {
        let count = usize::try_from(end - offset).map_err(std::io::Error::other)?;
        // SAFETY: both descriptors are open for as long as they are borrowed, and `offset` is a live integer.
        let sent = unsafe { libc::sendfile(out.as_raw_fd(), file.as_raw_fd(), &mut offset, count) };
        match sent {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            1.. => {}
            _ => {
                let error = std::io::Error::last_os_error();
                if error.kind() != std::io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn send_file(file: &mut fs::File, range: Range<u64>, out: &mut TcpStream) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(range.start))?;
    std::io::copy(&mut file.take(range.end - range.start), out).map(|_| ())
}

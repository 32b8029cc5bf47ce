//! A proxy that hurts: it passes requests on to a server, but for some of them does what networks and busy stores do.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::server::{Answer, Request};

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing: it is passed on.
    None,
    /// Another answer.
    Answer(Answer),
    /// The connection is reset before any answer.
    Reset,
    /// The body of the answer ends after so many bytes.
    Cut(usize),
    /// So many bytes of the body, and then nothing more for a long time.
    Stall(usize),
    /// The body comes in pieces of so many bytes with pauses between them.
    Slow(usize, Duration),
}

type Plan = Box<dyn FnMut(&Request) -> Fault + Send>;

/// A running proxy.
pub struct Proxy {
    port: u16,
    plan: Arc<Mutex<Plan>>,
}

impl Proxy {
    /// A proxy to the server at `port`, which does no harm yet.
    pub fn start(upstream: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let harmless: Plan = Box::new(|_| Fault::None);
        let plan = Arc::new(Mutex::new(harmless));
        let for_thread = plan.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let plan = for_thread.clone();
                thread::spawn(move || stream.and_then(|stream| relay(stream, upstream, &plan)));
            }
        });
        Proxy { port, plan }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on `plan` is asked for every request.
    pub fn hurt(&self, plan: impl FnMut(&Request) -> Fault + Send + 'static) {
        *self.plan.lock().expect("the plan") = Box::new(plan);
    }
}

fn relay(client: TcpStream, upstream: u16, plan: &Mutex<Plan>) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut out = client.try_clone()?;
    let mut reader = BufReader::new(client);
    while let Some(request) = Request::read(&mut reader) {
        let fault = plan.lock().expect("the plan")(&request);
        if matches!(fault, Fault::Reset) {
            return reset(&out);
        }
        let mut body = vec![0; request.length()];
        reader.read_exact(&mut body)?;
        match fault {
            Fault::Answer(answer) => answer.send(&mut out, request.method == "HEAD")?,
            fault => {
                if !pass_on(&request, &body, upstream, &mut out, &fault)? {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Closes so that the other side sees a reset, not an end.
#[cfg(unix)]
fn reset(stream: &TcpStream) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the pointer is to a value of that size which outlives the call.
    unsafe {
        libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), size);
    }
    Ok(())
}

#[cfg(not(unix))]
fn reset(_: &TcpStream) -> std::io::Result<()> {
    Ok(())
}

/// Asks the server and hands its answer on; false when the connection is to be closed.
fn pass_on(request: &Request, body: &[u8], upstream: u16, out: &mut TcpStream, fault: &Fault) -> std::io::Result<bool> {
    let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    server.write_all(head.as_bytes())?;
    server.write_all(b"\r\n")?;
    server.write_all(body)?;
    let mut reader = BufReader::new(server);
    let (mut answer, mut length) = (Vec::new(), 0);
    loop {
        let start = answer.len();
        reader.read_until(b'\n', &mut answer)?;
        let line = String::from_utf8_lossy(&answer[start..]).to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    out.write_all(&answer)?;
    if request.method == "HEAD" {
        return Ok(true);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    match fault {
        Fault::Cut(bytes) if *bytes < length => {
            out.write_all(&body[..*bytes])?;
            return Ok(false);
        }
        Fault::Stall(bytes) if *bytes < length => {
            out.write_all(&body[..*bytes])?;
            thread::sleep(Duration::from_secs(20));
            return Ok(false);
        }
        Fault::Slow(bytes, pause) => {
            for piece in body.chunks(*bytes) {
                out.write_all(piece)?;
                thread::sleep(*pause);
            }
        }
        _ => out.write_all(&body)?,
    }
    Ok(true)
}

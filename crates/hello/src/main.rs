//! The example service that `configs/` puts into images: answers `/` and `/health`, reads `PORT`, stops on SIGTERM.
//!
//! It needs nothing but the kernel, so it runs in an image that holds no other file.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

/// How long a client may take for one request.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest request line that is looked at.
const MAX_LINE: u64 = 8 * 1024;

fn main() -> io::Result<()> {
    let port = match std::env::var("PORT") {
        Ok(text) => text.parse().map_err(|_| io::Error::other(format!("PORT={text} is no port number")))?,
        Err(_) => 8080,
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    listener.set_nonblocking(true)?;
    let mut log = io::stderr();
    writeln!(log, "hello: listening on port {}", listener.local_addr()?.port())?;
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                std::thread::spawn(move || answer(&stream));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => writeln!(log, "hello: {error}")?,
        }
    }
    writeln!(log, "hello: stopped")
}

/// Reads one request and answers it; a client that misbehaves only loses its own connection.
fn answer(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(io::Read::take(stream, MAX_LINE)).read_line(&mut line)?;
    let (status, body) = match line.split(' ').nth(1) {
        Some("/") => ("200 OK", "Hello from a container without a shell.\n"),
        Some("/health") => ("200 OK", "ok\n"),
        Some(_) => ("404 Not Found", "not found\n"),
        None => ("400 Bad Request", "bad request\n"),
    };
    let mut out = stream;
    write!(
        out,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

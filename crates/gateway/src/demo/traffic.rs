//! TCP between two namespaces.

use super::lab::{Namespace, unless_stopped};
use crate::signals::Signals;
use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

const PORT: u16 = 5001;
const CHUNK: usize = 64 * 1024;
/// How often a blocked socket looks whether Ctrl-C came.
const LOOK: Duration = Duration::from_millis(200);

/// Moves this thread, and it alone, into a namespace.
fn enter(namespace: &Namespace) -> Result<()> {
    let file = File::open(namespace.file()).with_context(|| namespace.file().display().to_string())?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .context("entering a network namespace")
}

/// The octets at an offset of the stream, so that the receiver knows what must come.
fn fill(chunk: &mut [u8], offset: u64) {
    for (i, octet) in chunk.iter_mut().enumerate() {
        let at = offset + i as u64;
        *octet = (at ^ at >> 8 ^ at >> 16) as u8;
    }
}

/// Sends `octets` from one namespace to another, checks each on arrival, and says how fast it was.
pub(super) fn transfer(
    from: &Namespace,
    to: &Namespace,
    ip: &str,
    octets: u64,
    signals: &Signals,
) -> Result<String> {
    let (ready, is_ready) = std::sync::mpsc::channel();
    let took = std::thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            enter(to)?;
            let listener = TcpListener::bind((ip, PORT)).context("listening")?;
            listener.set_nonblocking(true)?;
            // The sender waits for exactly this.
            let _ = ready.send(());
            receive(&listener, octets, signals)
        });
        let sender = scope.spawn(move || {
            enter(from)?;
            is_ready.recv_timeout(Duration::from_secs(10)).context("the receiver did not start")?;
            send(ip, octets, signals)
        });
        let started = Instant::now();
        let sent = sender.join().unwrap_or_else(|_| bail!("the sender panicked"));
        let received = receiver.join().unwrap_or_else(|_| bail!("the receiver panicked"));
        sent.and(received).map(|()| started.elapsed())
    })?;
    let gbits = octets as f64 * 8.0 / took.as_secs_f64() / 1e9;
    Ok(format!(
        "{octets} octets in {:.2} s, every one as sent ({gbits:.2} Gbit/s through AF_PACKET)",
        took.as_secs_f64()
    ))
}

fn send(ip: &str, octets: u64, signals: &Signals) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&format!("{ip}:{PORT}").parse()?, Duration::from_secs(10))?;
    stream.set_write_timeout(Some(LOOK))?;
    let mut chunk = vec![0; CHUNK];
    let mut sent = 0;
    while sent < octets {
        unless_stopped(signals)?;
        let len = (octets - sent).min(CHUNK as u64) as usize;
        fill(&mut chunk[..len], sent);
        match stream.write(&chunk[..len]) {
            Ok(n) => sent += n as u64,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(e) => return Err(e).context("sending"),
        }
    }
    Ok(())
}

fn receive(listener: &TcpListener, octets: u64, signals: &Signals) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(15);
    let mut stream = loop {
        unless_stopped(signals)?;
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                ensure!(Instant::now() < deadline, "nobody connected");
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(e) => return Err(e).context("accepting"),
        }
    };
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(LOOK))?;
    let (mut chunk, mut want) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut received = 0;
    let mut silent_since = Instant::now();
    while received < octets {
        unless_stopped(signals)?;
        match stream.read(&mut chunk) {
            Ok(0) => bail!("the connection ended after {received} of {octets} octets"),
            Ok(n) => {
                fill(&mut want[..n], received);
                ensure!(chunk[..n] == want[..n], "octets changed on the way, after {received}");
                received += n as u64;
                silent_since = Instant::now();
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                ensure!(silent_since.elapsed() < Duration::from_secs(30), "nothing came for 30 s");
            }
            Err(e) => return Err(e).context("receiving"),
        }
    }
    Ok(())
}

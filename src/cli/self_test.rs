//! `tetherd self-test`.
//!
//! Owns: a harmless tether, and waiting for the running daemon's record of it. Must not own: the daemon.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::args::Json;
use crate::cli::failure::Failure;
use crate::cli::status::ask;
use crate::cli::{config, out};
use crate::model::exit::Exit;
use crate::model::finding::Record;
use crate::spool::reader::Reader;

/// How long the record may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Runs `id` on a loopback connection and waits for its record.
pub fn self_test(arguments: &Json) -> Result<Exit, Failure> {
    let mut config = config(&arguments.common)?;
    let status = ask(&config.control.socket, "status")?;
    // The daemon's own word on where its spool is counts.
    if let Some(directory) = status.pointer("/spool/directory").and_then(serde_json::Value::as_str) {
        config.spool.directory = directory.into();
    }
    let mut reader = Reader::newest(&config.spool.directory)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    let port = client.local_addr()?.port();
    let stdio = || -> std::io::Result<Stdio> { Ok(Stdio::from(OwnedFd::from(client.try_clone()?))) };
    let began = Instant::now();
    let mut child = Command::new("id").stdin(stdio()?).stdout(stdio()?).stderr(stdio()?).spawn()?;
    let pid = child.id().to_string();
    child.wait()?;
    drop(client);
    let mut answer = String::new();
    server.read_to_string(&mut answer)?;
    while began.elapsed() < DEADLINE {
        while let Some(entry) = reader.next()? {
            if is_ours(&entry.record, port, &pid) {
                let took = began.elapsed();
                let text = if arguments.json {
                    format!("{}\n", json!({"found": true, "id": entry.record.id(), "milliseconds": took.as_millis()}))
                } else {
                    format!(
                        "A tethered `id` (pid {pid}, port {port}) was recorded as {} after {} ms.\nSee it: tetherd show {}\n",
                        entry.record.id(),
                        took.as_millis(),
                        entry.record.id().get(..8).unwrap_or_default()
                    )
                };
                out::print(&text)?;
                return Ok(Exit::Ok);
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let text = if arguments.json {
        format!("{}\n", json!({"found": false}))
    } else {
        format!("A tethered `id` (pid {pid}, port {port}) was NOT recorded within 5 s; run `tetherd doctor`.\n")
    };
    out::print(&text)?;
    Ok(Exit::Findings)
}

fn is_ours(record: &Record, port: u16, pid: &str) -> bool {
    record.finding.connections.iter().any(|connection| connection.source_port == Some(port))
        && record.finding.processes.iter().any(|process| process.pid == pid)
}

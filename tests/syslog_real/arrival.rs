//! What arrives of a finding.

use std::ffi::OsStr;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use super::receiver::{Kind, Message, Receiver};
use super::shells::{about, daemon, place, shell};
use crate::common::attacker::Listener;
use crate::common::victim::Victim;
use crate::require_receiver;

/// The longest message that passes everywhere.
const MESSAGE_MAX: usize = 7_900;

/// The message itself: short, one line, and JSON that says what the receiver's parser made of it.
fn sound(message: &Message) {
    let raw = message.header("raw");
    assert!(raw.len() < MESSAGE_MAX, "{} bytes", raw.len());
    assert!(!raw.contains(['\n', '\0']), "{raw}");
    let (_, json) = raw.split_once(": @cee: ").unwrap_or_else(|| panic!("no cookie: {raw}"));
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["id"].as_str(), Some(message.text("id")));
    assert_eq!(json["args"].as_str(), Some(message.text("args")));
}

/// Seconds after 1970, as date(1) reads it.
fn seconds(date: &str) -> i64 {
    let output = Command::new("date").arg("-d").arg(date).arg("+%s").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap_or_else(|_| panic!("no date: {date:?}"))
}

fn arrives(kind: Kind, extra: &str, (facility, severity, level): (&str, &str, &str)) {
    let mut receiver = Receiver::new(kind);
    receiver.start();
    let place = place(&receiver, extra);
    let daemon = daemon(&place);
    let (session, mut victim, port) = shell();
    let found = daemon.wait_for("the shell", about(port));
    let message = receiver.wait_for("the finding", |m| m.text("id") == found.id());
    sound(&message);
    for (key, value) in
        [("program", "tetherd"), ("pid", &daemon.pid().to_string()), ("facility", facility), ("level", level)]
    {
        assert_eq!(message.header(key), value, "{key} of {message:?}");
    }
    let date = message.header("date");
    assert!(date.ends_with("+05:30"), "the receiver's zone: {date}");
    let late = seconds(date) - seconds(message.text("time"));
    assert!((-1..60).contains(&late), "the header's time is {late} s after the finding's: {message:?}");

    assert_eq!(message.text("severity"), severity);
    assert_eq!(message.text("category"), found.category());
    assert_eq!(message.text("peer_ip"), "127.0.0.1");
    assert_eq!(message.number("peer_port"), u64::from(port));
    assert_eq!(message.text("pid"), victim.pid().to_string());
    let sequence = message.number("seq");
    let stored = place.records().into_iter().find(|r| r.number("Sequence") == sequence).unwrap();
    assert_eq!(stored.id(), found.id());
    session.exit();
    victim.wait();
    receiver.wait_for("the end", |m| m.text("id") == found.id() && m.text("state") == "INACTIVE");
    daemon.stop();
}

#[test]
fn at_rsyslog() {
    require_receiver!(Kind::Rsyslog);
    arrives(
        Kind::Rsyslog,
        "facility = \"local3\"\n[incident]\nloopback_lowers = false\n",
        ("local3", "CRITICAL", "crit"),
    );
}

#[test]
fn at_syslog_ng_by_datagram() {
    require_receiver!(Kind::NgDatagram);
    arrives(Kind::NgDatagram, "", ("authpriv", "HIGH", "err"));
}

#[test]
fn at_syslog_ng_by_stream() {
    require_receiver!(Kind::NgStream);
    arrives(Kind::NgStream, "", ("authpriv", "HIGH", "err"));
}

/// Arguments that are too long, are no text, or would end a line.
fn hostile_arguments(kind: Kind) {
    let mut receiver = Receiver::new(kind);
    receiver.start();
    let place = place(&receiver, "");
    let daemon = daemon(&place);
    let attacker = Listener::tcp();
    let long = "\u{85}\n'\"\\".repeat(8_000);
    let cases: [&[&[u8]]; 4] = [
        &[long.as_bytes()],
        &[&[0xff; 100_000]],
        &[b"x\n<0>y\0"[..6].as_ref(), b"\xc3", "\u{202e}\u{2028}\u{1b}[2J".as_bytes()],
        &[b"z".as_slice(); 20_000],
    ];
    for arguments in cases {
        let stream = TcpStream::connect(("127.0.0.1", attacker.port())).unwrap();
        let own = stream.local_addr().unwrap().port();
        let stdio = || Stdio::from(OwnedFd::from(stream.try_clone().unwrap()));
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "read line", "sh"]).args(arguments.iter().map(|arg| OsStr::from_bytes(arg)));
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let victim = Victim::spawn(command);
        let found = daemon.wait_for("the shell", |record| record.own_port() == Some(own));
        let message = receiver.wait_for("the finding", |m| m.text("id") == found.id());
        sound(&message);
        assert!(message.text("args").starts_with("/bin/sh -c 'read line'"), "{message:?}");
        assert_eq!(message.text("pid"), victim.pid().to_string());
        let cut = message.0["cee"].get("args_truncated").is_some();
        assert_eq!(cut, arguments.concat().len() > 10_000, "{message:?}");
    }
    daemon.stop();
}

#[test]
fn hostile_arguments_at_rsyslog() {
    require_receiver!(Kind::Rsyslog);
    hostile_arguments(Kind::Rsyslog);
}

#[test]
fn hostile_arguments_at_syslog_ng() {
    require_receiver!(Kind::NgStream);
    hostile_arguments(Kind::NgDatagram);
    hostile_arguments(Kind::NgStream);
}

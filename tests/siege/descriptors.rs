//! Descriptors: as many as may be had, and a socket that is on fd 0 only for moments.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::programs::program;
use crate::common::relayed::{hops, is_on};
use crate::common::victim::Victim;
use crate::common::{impossible, wait_at_most, wait_for};
use crate::{alone, found, is_of, require, still_finds};

/// How many descriptors one process may have here, up to a million.
fn most() -> u64 {
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    let all: u64 = std::fs::read_to_string("/proc/sys/fs/nr_open").unwrap().trim().parse().unwrap();
    let most = if nix::unistd::geteuid().is_root() { hard.max(1 << 16).min(all) } else { hard };
    let most = if raises(most) { most } else { hard };
    if most < 1_000_000 {
        impossible(&format!("a process may open {most} files here, not a million; tried with those"));
    }
    most.min(1_000_000) - 200
}

/// Whether a child may have so many: CAP_SYS_RESOURCE.
fn raises(most: u64) -> bool {
    let line = format!("ulimit -n {most}");
    Command::new("/bin/sh").args(["-c", &line]).stderr(Stdio::null()).status().unwrap().success()
}

/// The shell itself has them all, and the socket on fds 0-2.
#[test]
fn a_shell_with_a_million_descriptors() {
    require!("gcc");
    let _alone = alone();
    let daemon = Daemon::shared();
    let attacker = Listener::tcp();
    let (port, count) = (attacker.port().to_string(), most().to_string());
    let victim = Victim::start(program("attack"), &["files", "127.0.0.1", &port, &count, "/bin/sh"]);
    let mut session = attacker.accept();
    let shell = session.shell_pid();
    let began = Instant::now();
    assert_eq!(found(daemon, attacker.port()).row(), 1);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    session.run("/bin/sleep 0.2");
    daemon.wait_for("its command", |r| is_of(r, attacker.port()) && r.ran(&["/bin/sleep", "0.2"]));
    assert!(crate::common::daemon::lives(shell));
    session.exit();
    drop(victim);
}

/// A relay that opened everything else before the socket and the pipes to its shell: those stand at the top.
const TOP: &str = "import os,socket,subprocess,sys,resource
n=int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE,(n+150,max(n+150,resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
z=os.open('/dev/null',os.O_RDWR)
while z<n: z=os.dup(0)
if sys.argv[3]=='middle':
    for fd in range(n//2,n//2+9): os.close(fd)
a,b=os.pipe(); c,d=os.pipe()
p=subprocess.Popen(['/bin/sh'],stdin=a,stdout=d,stderr=d)
os.close(a); os.close(d)
s=socket.create_connection(('127.0.0.1',int(sys.argv[1])))
print(s.fileno(),file=sys.stderr)
import select
while True:
    r,_,_=select.select([s,c],[],[]) if s.fileno()<1024 else ([],0,0)
    if not r:
        q=select.poll(); q.register(s,1); q.register(c,1); r=[f for f,_ in q.poll()]
    for f in r:
        fd=f if isinstance(f,int) else f.fileno()
        x=os.read(fd,4096)
        if not x: sys.exit()
        os.write(b if fd==s.fileno() else s.fileno(),x)
";

fn relay(count: u64, place: &str) -> (Listener, Victim) {
    let attacker = Listener::tcp();
    let (port, count) = (attacker.port().to_string(), count.to_string());
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", TOP, &port, &count, place]).stdin(Stdio::null()).stdout(Stdio::null());
    (attacker, Victim::spawn(command))
}

#[test]
fn a_relay_with_a_million_descriptors() {
    require!("/usr/bin/python3");
    let _alone = alone();
    let daemon = Daemon::start("");
    let (attacker, victim) = relay(most(), "top");
    let mut session = attacker.accept();
    let began = Instant::now();
    assert!(session.run("id -u").starts_with('0'));
    let record = found(&daemon, attacker.port());
    assert_eq!(record.row(), 4, "{}", record.brief());
    assert_eq!(hops(&record).last().map(String::as_str), Some("python3 socket"));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(session);
    drop(victim);
    daemon.stop();
}

/// In the middle of more than can be asked in the time there is, it is found or counted.
#[test]
fn in_the_middle_of_a_million() {
    require!("/usr/bin/python3");
    let _alone = alone();
    let daemon = Daemon::start("");
    let (attacker, victim) = relay(most(), "middle");
    let mut session = attacker.accept();
    assert!(session.run("id -u").starts_with('0'));
    wait_for("it is found, or counted", || {
        let seen = daemon.records().iter().any(|record| is_on(record, &[attacker.port()]));
        (seen || daemon.lost("search_cut") > 0).then_some(())
    });
    // And nothing else waits for it.
    still_finds(&daemon);
    drop(session);
    drop(victim);
    daemon.stop();
}

/// A socket on fds 0-2 for 50 us of each millisecond. While the program executes nothing it is seen by chance; once it
/// does it is found.
#[test]
fn on_and_off_a_thousand_times_a_second() {
    require!("gcc");
    let _alone = alone();
    let daemon = Daemon::shared();
    let mut seen = 0;
    for _ in 0..2 {
        let attacker = Listener::tcp();
        let port = attacker.port().to_string();
        let mut command = Command::new(program("flicker"));
        command.args(["127.0.0.1", &port, "1500", "50", "950", "/bin/sh"]).stdin(Stdio::null());
        let _victim = Victim::ready(command, "flickering");
        let mut session = attacker.accept();
        let about = |record: &crate::common::finding::Finding| is_of(record, attacker.port());
        let early = wait_at_most(Duration::from_millis(1400), || {
            daemon.records().into_iter().find(about).map(|record| record.brief())
        });
        seen += u32::from(early.is_some());
        session.shell_pid();
        let record = daemon.wait_for("the shell", |record| about(record) && record.ran(&["/bin/sh"]));
        assert_eq!(record.row(), 1, "{}", record.brief());
    }
    eprintln!("seen by chance before it executed anything: {seen} of 2");
}

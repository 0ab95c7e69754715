//! Execs that wait in execve(2) until they have been looked at: every one is seen, and nothing ever waits for long.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use common::attacker::Listener;
use common::daemon::{Daemon, Place};
use common::finding::{Finding, arguments_of};
use common::programs::program;
use common::{alone, wait_for};

const HOLD: &str = "[sensor]\nfanotify = \"hold\"\n";
/// What no exec waits for while the daemon runs.
const LONGEST: Duration = Duration::from_millis(50);

/// What a storm said.
#[derive(Debug)]
struct Storm {
    started: u64,
    failed: u64,
    longest: Duration,
}

/// A storm before everybody else: what it waits for is the daemon, not its turn on a busy machine. Not at real-time
/// priority, which the kernel interrupts for 50 ms a second on behalf of the others.
fn storm_command(count: u64, width: u64, on: &str, command: &[&str]) -> Command {
    let mut storm = Command::new("nice");
    storm.args(["-n", "-20"]).arg(program("storm"));
    storm.args([&count.to_string(), &width.to_string(), on]).args(command);
    storm.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    storm
}

fn finish(storm: Child) -> Storm {
    let output = storm.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = said.split_whitespace().collect();
    let number = |name: &str| -> u64 {
        let at = words.iter().position(|word| *word == name).unwrap_or_else(|| panic!("no {name}: {said:?}"));
        words[at + 1].parse().unwrap()
    };
    Storm {
        started: number("started"),
        failed: number("failed"),
        longest: Duration::from_nanos(number("longest")),
    }
}

fn storm(count: u64, width: u64, on: &str, command: &[&str]) -> Storm {
    let storm = finish(storm_command(count, width, on, command).spawn().unwrap());
    assert_eq!((storm.started, storm.failed), (count, 0), "nothing may be refused: {storm:?}");
    storm
}

/// Runs a storm on one socket; the record that ends its incident. On a machine that is busy with something else even the
/// threads that answer may not get their turn in time: who was let go by the deadline is counted, and then it is tried
/// again.
fn tethered_storm(daemon: &Daemon, count: u64, width: u64, command: &[&str]) -> Finding {
    for _ in 0..2 {
        let late = daemon.lost("deadline_missed");
        let found = one_tethered_storm(daemon, count, width, command);
        if daemon.lost("deadline_missed") == late {
            return found;
        }
        eprintln!("hold: once more: the deadline let somebody go");
    }
    one_tethered_storm(daemon, count, width, command)
}

fn one_tethered_storm(daemon: &Daemon, count: u64, width: u64, command: &[&str]) -> Finding {
    let port = Listener::tcp().swallow();
    storm(count, width, &format!("127.0.0.1:{port}"), command);
    // The daemon's own measure: a busy machine keeps a process from its turn for longer than any answer takes.
    let longest = daemon.status()["fanotify"]["wait_us"]["max"].as_u64().unwrap();
    assert!(u128::from(longest) < LONGEST.as_micros(), "somebody waited for {longest} us");
    ended(daemon, port)
}

/// Where the daemon cannot measure, the storm does. A machine that is busy with something else may keep a process from
/// its turn, but not each time: one of three storms must be in time, and in each everybody must run in the end.
fn in_time(mut storm: impl FnMut() -> Storm) {
    let mut storms = Vec::new();
    for _ in 0..3 {
        let last = storm();
        if last.longest < LONGEST {
            return;
        }
        storms.push(last);
    }
    panic!("none of them was in time: {storms:?}");
}

fn ended(daemon: &Daemon, port: u16) -> Finding {
    daemon.wait_for("the incident ends", |record| {
        record.peer_port() == Some(port) && record.state() == "INACTIVE"
    })
}

/// Every one was counted once, and every one was held.
fn all_held(found: &Finding, count: u64) {
    assert_eq!((found.count(), found.observed("held")), (count, count), "{}", found.brief());
}

#[test]
fn a_thousand_id_eight_at_a_time() {
    require!("gcc", "nice");
    let _alone = alone();
    let daemon = Daemon::start(HOLD);
    let found = tethered_storm(&daemon, 1000, 8, &["/usr/bin/id", "-u"]);
    all_held(&found, 1000);
    assert_eq!(found.row(), 1, "{}", found.brief());
    assert!(found.processes().iter().all(|p| arguments_of(p) == ["/usr/bin/id", "-u"]), "{}", found.brief());
    assert_eq!(daemon.lost("deadline_missed"), 0);
    daemon.stop();
}

/// They are gone long before anything could be read of them; each record still has its own arguments.
#[test]
fn a_thousand_that_end_at_once_sixteen_at_a_time() {
    require!("gcc", "nice");
    let _alone = alone();
    let daemon = Daemon::start(HOLD);
    let quick = program("quick");
    let quick = quick.to_str().unwrap();
    let found = tethered_storm(&daemon, 1000, 16, &[quick, "%d", "a b", ""]);
    all_held(&found, 1000);
    let mut numbers = std::collections::BTreeSet::new();
    for process in found.processes() {
        let arguments = arguments_of(process);
        assert_eq!((arguments.len(), arguments[0], arguments[2], arguments[3]), (4, quick, "a b", ""));
        assert!(numbers.insert(arguments[1].parse::<u64>().unwrap()), "{} twice", arguments[1]);
        assert_eq!(process["binary"]["path"], quick);
    }
    assert!(numbers.len() > 10 && numbers.iter().all(|number| *number < 1000));
    daemon.stop();
}

fn executable(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A script and its interpreter are one exec, and the interpreter is the program.
#[test]
fn scripts_are_one_exec() {
    require!("gcc", "nice");
    let _alone = alone();
    let daemon = Daemon::start(HOLD);
    let directory = tempfile::tempdir().unwrap();
    let quick = program("quick");
    let (script, nested) = (directory.path().join("run.sh"), directory.path().join("nested"));
    executable(&script, &format!("#!{} -x\n", quick.display()));
    executable(&nested, &format!("#!{}\n", script.display()));
    let (quick, script, nested) =
        (quick.to_str().unwrap(), script.to_str().unwrap(), nested.to_str().unwrap());
    let found = tethered_storm(&daemon, 200, 8, &[script, "one", "two"]);
    all_held(&found, 200);
    for process in found.processes() {
        assert_eq!(arguments_of(process), [quick, "-x", script, "one", "two"]);
        assert_eq!(process["binary"]["path"], quick);
    }
    let found = tethered_storm(&daemon, 20, 2, &[nested, "one"]);
    all_held(&found, 20);
    assert_eq!(arguments_of(&found.processes()[0]), [quick, "-x", script, nested, "one"]);
    daemon.stop();
}

/// Runs Python with a socket on its descriptors 0-2 from the inside: what it executes is the first exec on the tether.
fn python(port: u16, code: &str) -> Child {
    let prelude = "import os, socket, sys, threading\ns = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n\
        [os.dup2(s.fileno(), fd) for fd in range(3)]\n";
    let mut command = Command::new("python3");
    command.args(["-c", &format!("{prelude}{code}"), &port.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap()
}

/// What Python executed, from a record that ends the incident.
fn of_python(daemon: &Daemon, code: &str) -> Finding {
    let port = Listener::tcp().swallow();
    assert!(python(port, code).wait().unwrap().success());
    ended(daemon, port)
}

#[test]
fn execveat_by_a_thread_and_by_descriptor() {
    require!("python3");
    let _alone = alone();
    let daemon = Daemon::start(HOLD);
    let found = of_python(&daemon, "os.execve(os.open('/usr/bin/id', os.O_RDONLY), ['id', '-n', '-u'], {})");
    assert!(found.ran(&["id", "-n", "-u"]) && found.observed("held") == 1, "{}", found.brief());
    // A thread that is not the first executes: the process keeps its id, and the thread's is gone.
    let found = of_python(
        &daemon,
        "t = threading.Thread(target=os.execv, args=('/bin/echo', ['echo', 'thread']))\nt.start()\nt.join()",
    );
    assert!(found.ran(&["echo", "thread"]) && found.observed("held") == 1, "{}", found.brief());
    daemon.stop();
}

/// No filesystem that could be marked has it: the connector sees it, or it is held when its loader is opened. What ran is
/// the program either way. It may have gone before the connector's look (docs/hold.md): then it is counted, and says so, and
/// the next one is tried.
#[test]
fn a_program_in_memory() {
    require!("python3", "gcc");
    let _alone = alone();
    let daemon = Daemon::start(HOLD);
    let code = "m = os.memfd_create('x')\nos.write(m, open('/bin/cat', 'rb').read())\n\
        os.execve(m, ['frob', '/proc/self/status'], {})";
    let seen = (0..5).any(|_| {
        let found = of_python(&daemon, code);
        let seen = found.observed("held") + found.observed("live");
        assert_eq!(seen + found.observed("inherited"), 1, "{}", found.brief());
        if seen == 1 {
            assert!(found.ran(&["frob", "/proc/self/status"]), "{}", found.brief());
            assert!(found.text("Process_Binary_Fullpath").contains("memfd:x"), "{}", found.0);
        }
        seen == 1
    });
    assert!(seen, "none of five was seen while it lived");
    daemon.stop();
}

/// What was opened for execution and did not run is in no record.
#[test]
fn a_failed_exec_is_none() {
    require!("python3");
    let _alone = alone();
    let daemon = Daemon::start(HOLD);
    let directory = tempfile::tempdir().unwrap();
    let (garbage, busy) = (directory.path().join("garbage"), directory.path().join("busy"));
    executable(&garbage, "no program at all\n");
    executable(&busy, "#!/nonexistent/interpreter\n");
    let code = format!(
        "for path in ('{}', '{}'):\n  try: os.execv(path, ['id', 'failed'])\n  except OSError: pass\n  \
         else: sys.exit(1)\nos.execv('/bin/echo', ['echo', 'after'])",
        garbage.display(),
        busy.display()
    );
    let found = of_python(&daemon, &code);
    assert!(found.ran(&["echo", "after"]) && found.observed("held") == 1, "{}", found.brief());
    assert!(!found.mentions("garbage") && !found.mentions("failed"), "{}", found.brief());
    let counts = daemon.status()["counts"].clone();
    // Others' failed execs are counted too.
    assert!(counts["held_unconfirmed"].as_u64().unwrap() >= 2, "{counts}");
    daemon.stop();
}

struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path, kind: &str, options: &str) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let status =
            Command::new("mount").args(["-t", kind, "-o", options, "none"]).arg(at).status().unwrap();
        assert!(status.success(), "mount {kind} {options}");
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A container's root: an overlay, mounted after the daemon has started, over layers that are watched too.
#[test]
fn an_overlay_and_its_layers_are_one() {
    require!("gcc", "nice", "mount");
    let _alone = alone();
    let daemon = Daemon::start(HOLD);
    let before = daemon.status()["fanotify"]["filesystems_marked"].as_u64().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let below = Mounted::new(&directory.path().join("disk"), "tmpfs", "mode=755");
    for name in ["lower", "upper", "work"] {
        std::fs::create_dir(below.0.join(name)).unwrap();
    }
    std::fs::copy(program("quick"), below.0.join("lower/quick")).unwrap();
    std::fs::copy("/usr/bin/id", below.0.join("lower/id")).unwrap();
    let layer = |name: &str| below.0.join(name).display().to_string();
    let options =
        format!("lowerdir={},upperdir={},workdir={}", layer("lower"), layer("upper"), layer("work"));
    let over = Mounted::new(&directory.path().join("root"), "overlay", &options);
    wait_for("both are marked", || {
        let now = daemon.status()["fanotify"]["filesystems_marked"].as_u64().unwrap();
        (now >= before + 2).then_some(())
    });
    for name in ["quick", "id"] {
        let path = over.0.join(name);
        let found = tethered_storm(&daemon, 100, 4, &[path.to_str().unwrap()]);
        all_held(&found, 100);
        assert_eq!(found.processes()[0]["binary"]["path"], path.to_str().unwrap());
    }
    daemon.stop();
}

/// A program that is executed all the time is ignored, unless it is a shell, under whatever name.
#[test]
fn what_is_ignored_and_what_is_not() {
    require!("gcc", "nice");
    let _alone = alone();
    let daemon = Daemon::start(HOLD);
    let directory = tempfile::tempdir().unwrap();
    let (shell, other) = (directory.path().join("apache"), directory.path().join("frobnicate"));
    std::fs::copy("/bin/bash", &shell).unwrap();
    std::fs::copy(program("quick"), &other).unwrap();
    let opens = || daemon.status()["counts"]["opens"].as_u64().unwrap();
    let ignored = || daemon.status()["counts"]["programs_ignored"].as_u64().unwrap();
    let (shell, other) = (shell.to_str().unwrap(), other.to_str().unwrap());
    storm(100, 2, "-", &[other]);
    wait_for("it is ignored", || (ignored() >= 1).then_some(()));
    let before = opens();
    storm(300, 2, "-", &[other]);
    assert!(opens() - before < 150, "{} opens seen of 300 that are ignored", opens() - before);

    storm(300, 2, "-", &[shell, "-c", ":"]);
    let found = tethered_storm(&daemon, 50, 2, &[shell, "-c", ":"]);
    all_held(&found, 50);

    // Written to, it is seen again.
    let (before, mut content) = (opens(), std::fs::read(other).unwrap());
    content.push(0);
    std::fs::write(other, content).unwrap();
    storm(5, 1, "-", &[other]);
    assert!(opens() - before >= 5);
    let found = tethered_storm(&daemon, 10, 2, &[other]);
    all_held(&found, 10);
    daemon.stop();
}

/// The thread that answers hangs: the deadline answers, and holding is given up, loudly.
#[test]
fn a_reader_that_hangs_keeps_nobody_waiting() {
    require!("gcc", "nice");
    let _alone = alone();
    if !cfg!(debug_assertions) {
        return common::impossible("the switch is in test builds only");
    }
    let mut last = None;
    in_time(|| {
        drop(last.take());
        last = Some(Daemon::start_with(HOLD, ("TETHERD_DEBUG_HANG", "opens")));
        storm(300, 4, "-", &["/bin/true"])
    });
    let daemon = last.unwrap();
    wait_for("it says so", || daemon.said().contains("came late").then_some(()));
    let status = daemon.status();
    assert_eq!(
        (&status["fanotify"]["mode"], &status["fanotify"]["asked"]),
        (&"notify".into(), &"hold".into())
    );
    assert!(status["losses"]["deadline_missed"].as_u64().unwrap() >= 4, "{status}");
    // What it has fallen back to works.
    let found = tethered_storm(&daemon, 20, 1, &["/bin/sleep", "0.05"]);
    assert_eq!((found.count(), found.observed("live")), (20, 20), "{}", found.brief());
    daemon.stop();
}

/// A thread that reads a waiting process hangs: the same.
#[test]
fn a_reading_that_hangs_keeps_nobody_waiting() {
    require!("gcc", "nice");
    let _alone = alone();
    if !cfg!(debug_assertions) {
        return common::impossible("the switch is in test builds only");
    }
    let port = Listener::tcp().swallow();
    let mut last = None;
    in_time(|| {
        drop(last.take());
        last = Some(Daemon::start_with(HOLD, ("TETHERD_DEBUG_HANG", "worker")));
        storm(30, 1, &format!("127.0.0.1:{port}"), &["/bin/sleep", "0.02"])
    });
    let daemon = last.unwrap();
    let found = ended(&daemon, port);
    assert_eq!((found.count(), found.observed("live")), (30, 30), "{}", found.brief());
    assert_eq!(daemon.status()["fanotify"]["mode"], "notify");
    daemon.stop();
}

#[test]
fn kill_under_a_storm_lets_everybody_go() {
    require!("gcc", "nice");
    let _alone = alone();
    let killed = || {
        let daemon = Daemon::start(HOLD);
        let port = Listener::tcp().swallow();
        let storm = storm_command(1000, 8, &format!("127.0.0.1:{port}"), &["/usr/bin/id"]).spawn().unwrap();
        daemon.wait_for("the storm is seen", |record| record.peer_port() == Some(port));
        daemon.kill();
        let storm = finish(storm);
        assert_eq!((storm.started, storm.failed), (1000, 0), "{storm:?}");
        storm
    };
    for _ in 0..3 {
        killed();
    }
    in_time(killed);
}

/// Stopped as a whole, the daemon cannot answer; its guard does, and ends with it.
#[test]
fn a_stopped_daemon_keeps_nobody_waiting() {
    require!("gcc", "nice");
    let _alone = alone();
    let daemon = Daemon::start(HOLD);
    in_time(|| {
        let on = format!("127.0.0.1:{}", Listener::tcp().swallow());
        let running = storm_command(1000, 8, &on, &["/usr/bin/id"]).spawn().unwrap();
        daemon.signal(Signal::SIGSTOP);
        let meanwhile = storm(200, 2, "-", &["/bin/true"]);
        let running = finish(running);
        daemon.signal(Signal::SIGCONT);
        assert_eq!((running.started, running.failed), (1000, 0), "{running:?}");
        Storm { longest: running.longest.max(meanwhile.longest), ..running }
    });
    // It goes on holding.
    wait_for("everything is marked again", || {
        let before = daemon.status()["counts"]["opens"].as_u64().unwrap();
        storm(1, 1, "-", &["/usr/bin/id"]);
        (daemon.status()["counts"]["opens"].as_u64().unwrap() > before).then_some(())
    });
    let found = tethered_storm(&daemon, 100, 4, &["/usr/bin/id"]);
    all_held(&found, 100);
    assert_eq!(daemon.status()["fanotify"]["mode"], "hold");
    wait_for("it says so", || daemon.said().contains("was stopped for").then_some(()));
    daemon.signal(Signal::SIGSTOP);
    let guards = children(daemon.pid());
    assert_eq!(guards.len(), 1, "one guard");
    daemon.kill();
    wait_for("the guard has ended", || (!common::daemon::lives(guards[0])).then_some(()));
    in_time(|| storm(50, 2, "-", &["/bin/true"]));
}

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

/// A guard that was killed is replaced.
#[test]
fn a_killed_guard_comes_back() {
    require!("gcc", "nice");
    let _alone = alone();
    let daemon = Daemon::start(HOLD);
    let first = children(daemon.pid());
    assert_eq!(first.len(), 1);
    kill(Pid::from_raw(first[0].cast_signed()), Signal::SIGKILL).unwrap();
    wait_for("another guard", || children(daemon.pid()).iter().any(|pid| *pid != first[0]).then_some(()));
    in_time(|| storm(50, 2, "-", &["/bin/true"]));
    daemon.stop();
}

#[test]
fn a_full_disk_holds_nothing_up() {
    require!("gcc", "nice", "mount");
    let _alone = alone();
    let small = "[spool]\nsegment_bytes = 65536\nmax_bytes = 1048576\nmin_free_bytes = 0\n";
    let place = Place::new(&format!("{HOLD}{small}"));
    place.tears();
    let full = Mounted::new(&place.spool(), "tmpfs", "size=2m,mode=750");
    let daemon = Daemon::start_in(&place);
    let filler = full.0.join("filler");
    let _ = Command::new("dd").args(["if=/dev/zero", "bs=4k", &format!("of={}", filler.display())]).output();
    let port = Listener::tcp().swallow();
    storm(500, 8, &format!("127.0.0.1:{port}"), &["/usr/bin/id"]);
    std::fs::remove_file(&filler).unwrap();
    let found = ended(&daemon, port);
    all_held(&found, 500);
    assert_eq!(daemon.lost("deadline_missed"), 0);
    daemon.stop();
}

/// Programs on a filesystem that somebody serves are not held, and when it hangs nobody else waits.
#[test]
fn a_hung_filesystem_holds_nobody_up() {
    require!("gcc", "nice");
    let _alone = alone();
    let daemon = Daemon::start(HOLD);
    let left_alone = || daemon.status()["fanotify"]["filesystems_left_alone"].as_u64().unwrap();
    let before = left_alone();
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(program("hungfs"));
    // It hangs for every program but those that mount and look.
    command.arg(directory.path()).arg(program("quick")).arg("victim");
    let mut server =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mount = directory.path().to_str().unwrap();
    let mounted = wait_for("FUSE mounts, or cannot", || {
        let is = std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(mount);
        is.then_some(true).or_else(|| server.try_wait().unwrap().map(|_| false))
    });
    if !mounted {
        return common::impossible("FUSE cannot be mounted");
    }
    wait_for("it is known and left alone", || (left_alone() > before).then_some(()));
    let victim = directory.path().join("shell");
    let link = tempfile::tempdir().unwrap();
    let caller = link.path().join("victim");
    std::fs::copy("/bin/busybox", &caller).unwrap();
    let attacker = Listener::tcp();
    let stream = std::net::TcpStream::connect(("127.0.0.1", attacker.port())).unwrap();
    let stdio = || Stdio::from(OwnedFd::from(stream.try_clone().unwrap()));
    let mut hung = Command::new(&caller);
    std::os::unix::process::CommandExt::arg0(&mut hung, "sh");
    hung.arg("-c").arg(format!("exec {}", victim.display()));
    let mut hung = hung.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().unwrap();
    in_time(|| storm(500, 4, "-", &["/usr/bin/id"]));
    all_held(&tethered_storm(&daemon, 100, 4, &["/usr/bin/id"]), 100);
    assert_eq!(daemon.lost("deadline_missed"), 0);
    drop(server.stdin.take());
    let _ = server.wait();
    let _ = hung.kill();
    let _ = hung.wait();
    daemon.stop();
}

#[test]
fn off_and_notify() {
    require!("gcc", "nice");
    let _alone = alone();
    let daemon = Daemon::start("");
    assert_eq!(daemon.status()["fanotify"]["mode"], "off");
    daemon.stop();
    let daemon = Daemon::start("[sensor]\nfanotify = \"notify\"\n");
    let found = tethered_storm(&daemon, 200, 2, &["/bin/sleep", "0.02"]);
    assert_eq!((found.count(), found.observed("live")), (200, 200), "{}", found.brief());
    let status = daemon.status();
    assert!(status["counts"]["opens"].as_u64().unwrap() >= 200, "{status}");
    assert_eq!(status["fanotify"]["mode"], "notify");
    daemon.stop();
}

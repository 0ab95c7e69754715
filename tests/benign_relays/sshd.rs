//! What goes through the host's own sshd, and through ssh to it.

use crate::common::work::{Sshd, Work};
use crate::require;

#[test]
fn shells_and_commands_for_longer_than_a_look_takes() {
    require!("/usr/sbin/sshd", "ssh", "ssh-keygen");
    let mut work = Work::new();
    let sshd = Sshd::new(&mut work);
    let ssh = sshd.ssh();
    let here = work.directory.path().display().to_string();
    // A shell that reads commands over pipes, and one in a terminal, both alive over several second looks.
    let commands = "cd {here}; id; uname -a; sleep 1; ls; cat ssh_config; hostname".replace("{here}", &here);
    work.bash(&format!("echo '{commands}' | {ssh} box sh"));
    work.bash(&format!("echo '{commands}; exit' | {ssh} -tt box"));
    work.bash(&format!("{ssh} -tt box '{commands}'"));
    work.bash(&format!(
        "x=$({ssh} box 'id; hostname'); y=$({ssh} box 'uname -a | cut -c1-9'); test -n \"$x$y\""
    ));
    work.stays_quiet();
}

#[test]
fn a_remote_command_into_local_filters() {
    require!("/usr/sbin/sshd", "ssh", "ssh-keygen");
    let mut work = Work::new();
    let sshd = Sshd::new(&mut work);
    let ssh = sshd.ssh();
    let here = work.directory.path().display().to_string();
    let output =
        work.bash(&format!("{ssh} box 'cat {here}/sshd_config; id' | grep -v Port | sort | head -3"));
    assert!(!output.stdout.is_empty());
    work.stays_quiet();
}

#[test]
fn an_archive_from_one_host_to_another() {
    require!("/usr/sbin/sshd", "ssh", "ssh-keygen", "tar");
    let mut work = Work::new();
    let sshd = Sshd::new(&mut work);
    let ssh = sshd.ssh();
    let here = work.directory.path().display().to_string();
    work.bash("mkdir tree copy; seq 100000 > tree/numbers");
    work.bash(&format!(
        "{ssh} box 'cd {here}; tar cf - tree' | {ssh} box 'cd {here}/copy; tar xf -'; cmp tree/numbers copy/tree/numbers"
    ));
    work.bash(&format!(
        "{ssh} box 'cat {here}/tree/numbers' | grep 99 | sort | {ssh} box 'cat > {here}/sorted'"
    ));
    work.bash(&format!("tar cf - tree | {ssh} box 'tar tf - | grep numbers'"));
    work.stays_quiet();
}

/// Two sessions over one connection: their relay is one process.
#[test]
fn a_filter_between_two_sessions_of_one_master() {
    require!("/usr/sbin/sshd", "ssh", "ssh-keygen", "gzip");
    let mut work = Work::new();
    let sshd = Sshd::new(&mut work);
    let ssh = format!("{} -o ControlPath={}", sshd.ssh(), work.path("master").display());
    let here = work.directory.path().display().to_string();
    // What led nowhere is believed for two seconds.
    work.bash(&format!(
        "{ssh} -o ControlMaster=yes -o ControlPersist=yes box true; \
         {ssh} box 'seq 1000; sleep 3; seq 1000' | {{ read -r line; sleep 2.2; exec gzip; }} | \
         {ssh} box 'cat > {here}/numbers.gz'; {ssh} -O exit box 2>&1; test -s numbers.gz"
    ));
    work.stays_quiet();
}

#[test]
fn forwarded_ports() {
    require!("/usr/sbin/sshd", "ssh", "ssh-keygen", "nc.openbsd");
    let mut work = Work::new();
    let sshd = Sshd::new(&mut work);
    let (ssh, service, local) = (sshd.ssh(), work.port(), work.port());
    work.bash(&format!(
        "(echo hello; id -u) | nc.openbsd -N -l 127.0.0.1 {service} >asked & \
         {ssh} -f -N -L {local}:127.0.0.1:{service} box -o ExitOnForwardFailure=yes -o ControlMaster=yes -S ctl; \
         until echo question | nc.openbsd -N 127.0.0.1 {local} | grep hello; do :; done; \
         {ssh} -S ctl -O exit box 2>/dev/null; wait; grep question asked"
    ));
    // A connection through sshd in the place of a shell (-W).
    work.bash(&format!(
        "(echo hello; id -u) | nc.openbsd -N -l 127.0.0.1 {service} >/dev/null & \
         until {ssh} -W 127.0.0.1:{service} box </dev/null 2>/dev/null | grep hello; do :; done; wait"
    ));
    work.stays_quiet();
}

#[test]
fn rsync_git_and_scp_both_ways() {
    require!("/usr/sbin/sshd", "ssh", "ssh-keygen", "rsync", "/usr/bin/git", "scp");
    let mut work = Work::new();
    let sshd = Sshd::new(&mut work);
    let (ssh, config) = (sshd.ssh(), sshd.config.display().to_string());
    let here = work.directory.path().display().to_string();
    work.bash("mkdir tree; for i in $(seq 200); do seq 2000 > tree/$i; done");
    work.bash(&format!(
        "rsync -az -e '{ssh}' tree/ box:{here}/there/; rsync -az --delete -e '{ssh}' box:{here}/there/ back/"
    ));
    work.bash(&format!(
        "scp -q -O -r -F {config} tree box:{here}/copy; scp -q -O -r -F {config} box:{here}/copy back2"
    ));
    work.bash(&format!(
        "export GIT_SSH_COMMAND='{ssh}' ; git init -q --bare r.git; git clone -q box:{here}/r.git one 2>/dev/null; \
         cd one; cp ../tree/* .; git add .; git -c user.name=t -c user.email=t@example.com commit -qm first; \
         git push -q origin HEAD; git fetch -q; git ls-remote origin | cut -f1 | sort; cd ..; git clone -q box:{here}/r.git two"
    ));
    work.bash("cmp tree/7 back/7; cmp tree/7 back2/7; cmp tree/7 two/7");
    work.stays_quiet();
}

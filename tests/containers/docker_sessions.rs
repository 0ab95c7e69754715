//! What people do with docker, over its UNIX socket and over TCP, where dockerd has the connection.

use std::fs;

use crate::common::attacker::Listener;
use crate::common::daemon::{Daemon, TETHERD};
use crate::common::work::Work;
use crate::common::{token, wait_for};
use crate::docker::{Api, Container, Docker};
use crate::home::inside;
use crate::image::NAME;
use crate::typing::{types, types_on_terminal};
use crate::{require, require_docker};

/// Work over both sockets; findings about it have the port or the container in them.
fn work(docker: &Docker, container: Option<&Container>) -> Work {
    let mut work = Work::new();
    work.ports.push(docker.port);
    if let Some(container) = container {
        work.words.extend([container.id.clone(), container.name.clone()]);
    }
    work
}

#[test]
fn docker_run_with_and_without_a_terminal() {
    require_docker!();
    let docker = Docker::shared();
    for api in [Api::Unix, Api::Tcp] {
        for tty in [false, true] {
            let (mut work, name) = (work(&docker, None), token());
            let flags = if tty { "-it" } else { "-i" };
            let line = docker
                .cli(api, &format!("run --rm {flags} --network host --cidfile id --name {name} {NAME} sh"));
            work.bash(&if tty { types_on_terminal(&line) } else { types(&line) });
            let id = fs::read_to_string(work.path("id")).unwrap();
            docker.home.owns_cgroup(format!("docker/{id}"));
            work.words.extend([id, name]);
            work.stays_quiet();
        }
    }
}

#[test]
fn docker_exec_with_and_without_a_terminal() {
    require_docker!();
    let docker = Docker::shared();
    for api in [Api::Unix, Api::Tcp] {
        let container = docker.sleeper();
        let work = work(&docker, Some(&container));
        work.bash(&types(&docker.cli(api, &format!("exec -i {} sh", container.name))));
        work.bash(&types_on_terminal(&docker.cli(api, &format!("exec -it {} sh", container.name))));
        work.stays_quiet();
    }
}

#[test]
fn docker_exec_of_single_commands() {
    require_docker!();
    let docker = Docker::shared();
    for api in [Api::Unix, Api::Tcp] {
        let container = docker.sleeper();
        let work = work(&docker, Some(&container));
        for command in ["id", "ls /", "uname -a", "cat /etc/passwd", "sh -c \"hostname; df; id\""] {
            work.bash(&format!("{} >out", docker.cli(api, &format!("exec {} {command}", container.name))));
        }
        let copy = format!("exec -i {} cat <box >copy; cmp box copy", container.name);
        work.bash(&format!("head -c 300000 /dev/zero >box; {}", docker.cli(api, &copy)));
        work.stays_quiet();
    }
}

#[test]
fn docker_logs_and_attach() {
    require_docker!();
    let docker = Docker::shared();
    for api in [Api::Unix, Api::Tcp] {
        let talker = docker.container("", "while :; do id; ls /; uname -a; df | cat; sleep 0.3; done");
        let talk = work(&docker, Some(&talker));
        let logs = docker.cli(api, &format!("logs --follow {}", talker.name));
        talk.bash(&format!("timeout 2 {logs} >out || true; grep -qF 'uid=0(root)' out"));
        talk.stays_quiet();

        let shell = docker.container("--interactive", "exec sh");
        let attach = work(&docker, Some(&shell));
        attach.bash(&types(&docker.cli(api, &format!("attach --sig-proxy=false {}", shell.name))));
        attach.stays_quiet();
    }
}

/// dockerd runs one command of discovery after another, reads what they print, and has a client over TCP meanwhile.
#[test]
fn docker_health_checks() {
    require_docker!();
    let docker = Docker::shared();
    let health = "--health-cmd \"id; ls /; df; hostname\" --health-interval 0.5s --health-retries 1";
    let container = docker.container(health, "sleep 600");
    let work = work(&docker, Some(&container));
    let inspect = docker.cli(
        Api::Tcp,
        &format!(
            "inspect --format \"{{{{len .State.Health.Log}}}} {{{{.State.Health.Status}}}}\" {}",
            container.id
        ),
    );
    let events = docker.cli(Api::Tcp, "events");
    work.bash(&format!(
        "timeout 20 {events} >events & for i in $(seq 60); do {inspect} >state; grep -q '^[45] healthy' state && break; \
         sleep 0.2; done; kill $!; grep -q healthy state; grep -q exec_start events"
    ));
    work.stays_quiet();
}

/// Agents for monitoring and proxies keep a connection to dockerd's UNIX socket open, and others to the network: a session
/// of somebody else's through the same dockerd does not lead there.
#[test]
fn docker_exec_beside_an_agent_on_dockers_socket() {
    require_docker!();
    require!("/usr/bin/python3");
    let docker = Docker::shared();
    let container = docker.sleeper();
    let mut work = work(&docker, Some(&container));
    let port = Listener::tcp().swallow();
    work.ports.push(port);
    let text = "import socket,sys\n\
        n=socket.create_connection(('127.0.0.1',int(sys.argv[2])))\n\
        u=socket.socket(socket.AF_UNIX); u.connect(sys.argv[1])\n\
        u.sendall(b'GET /events HTTP/1.1\\r\\nHost: docker\\r\\n\\r\\n')\n\
        while u.recv(4096): n.sendall(b'x')";
    let agent = work.write("agent.py", text);
    let socket = docker.home.text("sock");
    let agent = work.started("/usr/bin/python3", &[agent.to_str().unwrap(), &socket, &port.to_string()]);
    work.bash(&types(&docker.cli(Api::Unix, &format!("exec -i {} sh", container.name))));
    work.bash(&types_on_terminal(&docker.cli(Api::Unix, &format!("exec -it {} sh", container.name))));
    drop(agent);
    work.stays_quiet();
}

/// What the tests above hold is the rule's doing, not that nothing is seen: without the rule a session over TCP is found.
#[test]
fn without_the_rule_docker_exec_over_tcp_is_found() {
    require_docker!();
    let docker = Docker::shared();
    let container = docker.sleeper();
    let place = crate::common::daemon::Place::new("");
    fs::write(
        place.path("rules.d/00-off.toml"),
        "[[allow]]\nname = \"container-runtime-sessions\"\nenabled = false\n",
    )
    .unwrap();
    let daemon = Daemon::start_in(&place);
    let mut command = std::process::Command::new("/bin/bash");
    let line = docker.cli(Api::Tcp, &format!("exec -i {} sh", container.name));
    command.args(["-c", &format!("sleep 20 | {line}")]).stdin(std::process::Stdio::null());
    let client = crate::common::victim::Victim::spawn(command);
    let found = daemon.wait_for("docker exec without the rule", |record| record.mentions(&container.id));
    assert_eq!(found.row(), 4, "{}", found.brief());
    assert_eq!(found.own_port(), Some(docker.port), "{}", found.brief());
    assert!(found.says(&format!("relayed by dockerd (pid {})", docker.pid())), "{}", found.brief());

    // With it, explain says that it is the rule.
    let shell = wait_for("the shell", || inside(&container.id, b"sh\0"));
    let said = docker.home.bash(&format!("{TETHERD} explain {shell} || true"));
    assert!(said.contains("container-runtime-sessions"), "{said}");
    drop(client);
}

//! Commands for the container's runtime.
//!
//! Owns: which client the runtime has, and what it is asked to show, to log, to keep, to pause and to stop. Must not own:
//! the order of steps.

use crate::cli::command::{Command, Word};
use crate::cli::facts::Facts;
use crate::cli::respond::Step;

/// The client of a runtime.
enum Client {
    /// docker's commands, by whichever program has them.
    Docker(String),
    /// A kubelet's runtime.
    Crictl,
    /// containerd's own, in one of its namespaces.
    Ctr(Word),
    Lxc,
    Nspawn,
    /// None that is known: the kernel's means are left.
    None,
}

fn client(facts: &Facts<'_>) -> Client {
    let user = facts.cgroup.and_then(rootless);
    match (facts.runtime, user) {
        ("docker", Some(uid)) => Client::Docker(format!("docker -H unix:///run/user/{uid}/docker.sock")),
        ("podman", Some(uid)) => {
            Client::Docker(format!("sudo -u '#{uid}' XDG_RUNTIME_DIR=/run/user/{uid} podman"))
        }
        ("docker" | "podman" | "nerdctl", _) => Client::Docker(facts.runtime.to_owned()),
        ("containerd" | "cri-o", _) if facts.in_pod => Client::Crictl,
        ("cri-o", _) => Client::Crictl,
        ("containerd", _) => Client::Ctr(containerd_namespace(facts)),
        ("lxc", _) => Client::Lxc,
        ("systemd-nspawn", _) => Client::Nspawn,
        _ => Client::None,
    }
}

/// The user, by a cgroup below a user's own slice; root's is nobody's.
fn rootless(cgroup: &str) -> Option<u32> {
    let behind = cgroup.split("/user-").nth(1)?;
    behind.split(".slice").next()?.parse().ok().filter(|uid| *uid != 0)
}

/// `/NAMESPACE/ID`, as containerd makes cgroups that nobody asks for otherwise.
fn containerd_namespace(facts: &Facts<'_>) -> Word {
    let parts = facts.cgroup.map(|path| path.split('/').collect::<Vec<_>>());
    let namespace = match parts.as_deref() {
        Some(["", namespace, id]) if Some(*id) == facts.container.known() => Some(*namespace),
        _ => None,
    };
    Word::of(namespace, "CONTAINERD_NAMESPACE")
}

fn ctr(about: &'static str, namespace: &Word, verb: &'static str) -> Command {
    Command::node(about, "ctr -n").word(namespace).then(verb)
}

/// Which container, of which image.
pub fn review(facts: &Facts<'_>) -> Step {
    let id = &facts.container;
    let mut commands = match client(facts) {
        Client::Docker(program) => {
            let docker = |about, verb: &str| Command::node(about, &format!("{program} {verb}"));
            vec![
                docker("its image, command, mounts, networks, labels", "inspect").word(id),
                docker("what runs in it", "top").word(id),
                docker("files that its image has not", "diff").word(id),
                docker("the images that are here", "images --digests"),
            ]
        }
        Client::Crictl => vec![
            Command::node("its image, command, mounts, labels", "crictl inspect").word(id),
            Command::node("its pod here", "crictl ps -a -o yaml --id").word(id),
            Command::node("its container in containerd", "ctr -n k8s.io containers info").word(id),
            Command::node("what runs in it", "ctr -n k8s.io task ps").word(id),
        ],
        Client::Ctr(namespace) => vec![
            ctr("its image, command, mounts, labels", &namespace, "containers info").word(id),
            ctr("what runs in it", &namespace, "task ps").word(id),
            ctr("the images that are here", &namespace, "images list"),
        ],
        Client::Lxc => vec![Command::node("its state and addresses", "lxc-info -n").word(id)],
        Client::Nspawn => vec![Command::node("its state and leader", "machinectl status").word(id)],
        Client::None => Vec::new(),
    };
    if facts.runtime == "cri-o" {
        commands.retain(|command| !command.line.starts_with("ctr "));
    }
    commands.push(
        Command::node("its namespaces, beside those of your shell", "ls -l")
            .within("/proc/", &facts.pid, "/ns")
            .then("/proc/self/ns"),
    );
    commands.push(
        Command::node("its connections, with tools of the machine", "nsenter -t")
            .word(&facts.pid)
            .then("-n ss -tunape"),
    );
    let mut about = vec![format!(
        "Container {} of {}. Look at it from outside: whatever is run inside it may belong to the intruder.",
        facts.container.remark(),
        Word::of(Some(facts.runtime), "RUNTIME").remark(),
    )];
    if let Some(outer) = facts.outer.first() {
        let outer = Word::of(Some(outer), "CONTAINER_ID").remark();
        about.push(format!(
            "It is inside another container ({outer}): the commands for the runtime are run in there, from outside \
             with docker exec or kubectl exec."
        ));
    }
    if facts.runtime == "containerd" {
        about.push(
            "k3s and rke2: crictl and ctr need --address or k3s in front (k3s ctr, k3s crictl).".into(),
        );
    }
    Step { title: "Review the container", about, commands }
}

/// What the container printed.
pub fn logs(facts: &Facts<'_>) -> Vec<Command> {
    let id = &facts.container;
    match client(facts) {
        Client::Docker(program) => vec![
            Command::node("what the container printed", &format!("{program} logs --timestamps"))
                .within("--since=", &facts.from, "")
                .within("--until=", &facts.until, "")
                .word(id),
        ],
        Client::Crictl => {
            vec![
                Command::node("what the container printed", "crictl logs --timestamps")
                    .within("--since=", &facts.from, "")
                    .word(id),
            ]
        }
        Client::Nspawn => {
            vec![Command::node("the journal of the container", "journalctl --no-pager -M").word(id)]
        }
        Client::Ctr(_) | Client::Lxc | Client::None => Vec::new(),
    }
}

/// The container's files.
pub fn keep(facts: &Facts<'_>, directory: &Word) -> Vec<Command> {
    let id = &facts.container;
    match client(facts) {
        Client::Docker(program) => vec![
            Command::node("all its files", &format!("{program} export -o"))
                .within("", directory, "/container.tar")
                .word(id),
        ],
        Client::Crictl if facts.runtime == "containerd" => vec![
            Command::node(
                "where its files are: prints a mount, does not do it",
                "ctr -n k8s.io snapshots mounts",
            )
            .within("", directory, "/mnt")
            .word(id),
            Command::node("its memory and files, where checkpoints are set up", "crictl checkpoint")
                .within("--export=", directory, "/checkpoint.tar")
                .word(id),
        ],
        Client::Ctr(namespace) => vec![
            ctr("where its files are: prints a mount, does not do it", &namespace, "snapshots mounts")
                .within("", directory, "/mnt")
                .word(id),
        ],
        _ => Vec::new(),
    }
}

/// Stands still, can be undone.
pub fn pause(facts: &Facts<'_>) -> Vec<Command> {
    let id = &facts.container;
    let undo = "hold the whole container still";
    let mut commands: Vec<Command> = match client(facts) {
        Client::Docker(program) => vec![Command::node(undo, &format!("{program} pause")).word(id)],
        Client::Crictl if facts.runtime == "containerd" => {
            vec![Command::node(undo, "ctr -n k8s.io task pause").word(id)]
        }
        Client::Ctr(namespace) => vec![ctr(undo, &namespace, "task pause").word(id)],
        Client::Lxc => vec![Command::node(undo, "lxc-freeze -n").word(id)],
        _ => Vec::new(),
    };
    if commands.is_empty()
        && let Some(path) = facts.cgroup
    {
        let file = Word::of(Some(&format!("/sys/fs/cgroup{path}/cgroup.freeze")), "CGROUP");
        commands.push(Command::node("hold the whole container still (cgroup v2)", "echo 1 >").word(&file));
    }
    commands.into_iter().map(Command::changing).collect()
}

/// Ends it.
pub fn stop(facts: &Facts<'_>) -> Vec<Command> {
    let id = &facts.container;
    let about = "stop the container";
    let commands = match client(facts) {
        Client::Docker(program) => vec![Command::node(about, &format!("{program} stop")).word(id)],
        Client::Crictl => vec![Command::node(about, "crictl stop").word(id)],
        Client::Ctr(namespace) => vec![ctr(about, &namespace, "task kill -s SIGKILL").word(id)],
        Client::Lxc => vec![Command::node(about, "lxc-stop -n").word(id)],
        Client::Nspawn => vec![Command::node(about, "machinectl terminate").word(id)],
        Client::None => Vec::new(),
    };
    commands.into_iter().map(Command::changing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users() {
        assert_eq!(
            rootless("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-x.scope"),
            Some(1000)
        );
        assert_eq!(rootless("/user.slice/user-0.slice/session-1.scope"), None);
        assert_eq!(rootless("/machine.slice/libpod-x.scope"), None);
    }
}

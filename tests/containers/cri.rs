//! A client of containerd's container runtime interface: what a kubelet does to run a pod and commands in it.
//!
//! gRPC over HTTP/2 on a UNIX socket, which curl speaks; the messages are those of `runtime.v1` (cri-api's `api.proto`).

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, process};

use crate::common::token;
use crate::containerd::Containerd;
use crate::image;
use crate::protobuf::{bytes, number, text};

/// The pods' namespace.
pub const NAMESPACE: &str = "shop";
/// The pods' labels: an API server would not take all of these, a runtime does.
pub const LABELS: [(&str, &str); 3] =
    [("app", "front"), ("quoted", "<b>\"$(reboot)\"</b>"), ("moves", "a\u{1b}[2J\u{1b}]0;x\u{7}")];
/// And annotations.
pub const ANNOTATIONS: [(&str, &str); 2] =
    [("kubernetes.io/config.source", "api"), ("example.com/secret", "not for records")];
/// How long a command may take, in seconds.
const EXEC_SECONDS: u64 = 60;

/// A pod on the host's network with one container in it. Gone when dropped.
pub struct Pod {
    pub containerd: Arc<Containerd>,
    pub name: String,
    pub uid: String,
    sandbox: String,
    /// The container.
    pub id: String,
}

impl Pod {
    /// A pod whose container runs a command line of sh.
    pub fn run(line: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let containerd = Containerd::shared();
        let uid =
            format!("{:08x}-0000-4000-8000-{:012x}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let group = format!("kubepods/besteffort/pod{uid}");
        let mut pod = Self { containerd, name: token(), uid, sandbox: String::new(), id: String::new() };
        let metadata = [bytes(1, &pod.name), bytes(2, &pod.uid), bytes(3, NAMESPACE)].concat();
        // The node's network: namespace option NODE.
        let security = bytes(1, number(1, 2));
        let linux = [bytes(1, format!("/{group}")), bytes(2, security)].concat();
        let pair =
            |field, (key, value): (&str, &str)| bytes(field, [bytes(1, key), bytes(2, value)].concat());
        let label = |key: &str, value: &str| pair(6, (key, value));
        let config = [
            bytes(1, metadata),
            bytes(3, pod.logs()),
            label("io.kubernetes.pod.name", &pod.name),
            label("io.kubernetes.pod.namespace", NAMESPACE),
            LABELS.into_iter().flat_map(|own| pair(6, own)).collect(),
            ANNOTATIONS.into_iter().flat_map(|own| pair(7, own)).collect(),
            bytes(8, linux),
        ]
        .concat();
        let answer = pod.call("RunPodSandbox", &bytes(1, &config));
        pod.sandbox = text(&answer, 1).unwrap();
        pod.containerd.home.owns_cgroup(format!("{group}/{}", pod.sandbox));
        let argument = |words: &[&str]| words.iter().map(|word| bytes(3, word)).collect::<Vec<_>>().concat();
        let container = [
            bytes(1, bytes(1, "app")),
            bytes(2, bytes(1, image::NAME)),
            argument(&["/bin/sh", "-c", line]),
            bytes(11, "app.log"),
        ]
        .concat();
        let request = [bytes(1, &pod.sandbox), bytes(2, container), bytes(3, &config)].concat();
        pod.id = text(&pod.call("CreateContainer", &request), 1).unwrap();
        pod.containerd.home.owns_cgroup(format!("{group}/{}", pod.id));
        pod.call("StartContainer", &bytes(1, &pod.id));
        pod
    }

    /// Where its logs are.
    pub fn logs(&self) -> String {
        self.containerd.home.text(&format!("logs-{}", self.name))
    }

    /// A command that makes a call and leaves the answer and its headers in files of this name.
    fn request(&self, method: &str, message: &[u8], name: &str) -> Command {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let home = &self.containerd.home;
        let file = |part: &str| home.text(&format!("{name}.{part}"));
        fs::write(file("in"), [&[0][..], &length, message].concat()).unwrap();
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--http2-prior-knowledge", "--unix-socket"]);
        command.arg(self.containerd.socket());
        command.args(["--header", "content-type: application/grpc", "--header", "te: trailers"]);
        command.args(["--data-binary", &format!("@{}", file("in"))]);
        command.args(["--output", &file("out"), "--dump-header", &file("headers")]);
        command.arg(format!("http://localhost/runtime.v1.RuntimeService/{method}"));
        command
    }

    /// Makes a call that has to go well; the answer.
    fn call(&self, method: &str, message: &[u8]) -> Vec<u8> {
        let name = token();
        assert!(self.request(method, message, &name).status().unwrap().success());
        self.answer(method, &name)
    }

    fn answer(&self, method: &str, name: &str) -> Vec<u8> {
        let file = |part: &str| self.containerd.home.path(&format!("{name}.{part}"));
        let headers = fs::read_to_string(file("headers")).unwrap();
        assert!(headers.contains("grpc-status: 0"), "{method}: {headers}\n{}", self.containerd.log());
        fs::read(file("out")).unwrap().split_off(5)
    }

    /// ExecSync of a command line of sh, to be started.
    pub fn exec(&self, line: &str) -> Command {
        self.request("ExecSync", &self.exec_message(line), &token())
    }

    fn exec_message(&self, line: &str) -> Vec<u8> {
        let words: Vec<u8> = ["/bin/sh", "-c", line].iter().flat_map(|word| bytes(2, word)).collect();
        [bytes(1, &self.id), words, number(3, EXEC_SECONDS)].concat()
    }

    /// What a command line of sh prints, by ExecSync.
    pub fn exec_sync(&self, line: &str) -> String {
        text(&self.call("ExecSync", &self.exec_message(line)), 1).unwrap_or_default()
    }

    /// The address at which a session with a program can be had.
    pub fn exec_url(&self, command: &[&str], tty: bool) -> String {
        let words: Vec<u8> = command.iter().flat_map(|word| bytes(2, word)).collect();
        let streams = [number(3, tty.into()), number(4, 1), number(5, 1), number(6, (!tty).into())].concat();
        text(&self.call("Exec", &[bytes(1, &self.id), words, streams].concat()), 1).unwrap()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        for (method, id) in [
            ("StopContainer", &self.id),
            ("RemoveContainer", &self.id),
            ("StopPodSandbox", &self.sandbox),
            ("RemovePodSandbox", &self.sandbox),
        ] {
            if !id.is_empty() {
                let _ = self.request(method, &bytes(1, id), &token()).status();
            }
        }
    }
}

//! The finding in plain words.
//!
//! Owns: `description` and `nextSteps`. Must not own: facts that are not elsewhere in the record. Hostile text is
//! escaped here, because these two are shown as they are.

use crate::model::detection::State;
use crate::model::socket::{Peer, SocketType};
use crate::model::text::{cut, escape};

use super::Context;

/// What was found.
pub(super) fn description(context: &Context<'_>) -> String {
    let detection = context.detection;
    let (subject, socket) = (&detection.subject, &detection.tether.socket);
    let user = match &context.user_name {
        Some(name) => format!("uid {} {}", subject.credentials.uid, escape(cut(name, 64).as_bytes())),
        None => format!("uid {}", subject.credentials.uid),
    };
    let (protocol, direction) = (socket.protocol_name(), detection.direction.name());
    let has = if detection.state == State::Active { "has" } else { "had" };
    let article = if protocol.starts_with(['I', 'M', 'O', 'S']) { "an" } else { "a" };
    let link = if socket.kind == SocketType::Stream || socket.kind == SocketType::SeqPacket {
        "connection"
    } else {
        "socket"
    };
    let peer = match socket.peer {
        Peer::Connected(peer) => format!("{link} to {peer} ({direction})"),
        Peer::Unconnected => "socket that is not connected".into(),
        Peer::Unknown => format!("{link} whose peer is not known ({direction})"),
    };
    let mut text = format!(
        "{} (pid {}, {user}) {has} its {} on {article} {protocol} {peer}",
        name(&subject.comm),
        subject.key.pid,
        streams(detection.tether.fds),
    );
    if let Some(container) = &context.place.container {
        let known = &context.place.metadata;
        let shown = |text: &String| escape(cut(text, 64).as_bytes());
        text += &format!(", in {} container {}", container.runtime, container.id);
        if let Some(name) = &known.name {
            text += &format!(" ({})", shown(name));
        }
        if let (Some(ns), Some(pod)) = (&known.pod_namespace, &known.pod_name) {
            text += &format!(" of pod {}/{}", shown(ns), shown(pod));
        }
    } else if context.place.isolated {
        text += ", in a container";
    }
    if detection.process_count > 1 {
        text += &format!("; {} commands ran on it", detection.process_count);
    }
    if let Some((rule, reason)) = &detection.excused_by {
        let shown = |text: &str| escape(cut(text, 200).as_bytes());
        text += &format!(
            "; it is withdrawn, because the allow rule {} excuses it ({}), which asks for what the runtime had not said of the \
             container when it was found",
            shown(rule),
            shown(reason)
        );
    } else if detection.state == State::Inactive {
        text += "; it has ended";
    }
    text + "."
}

/// What to do.
pub(super) fn next_steps(context: &Context<'_>) -> String {
    let detection = context.detection;
    let pid = detection.subject.key.pid;
    let mut text =
        format!("Run `tetherd show {}` to see the tether and every command in order.", detection.id);
    if detection.state == State::Active {
        text += &format!(
            " Secure what it has open (`ls -l /proc/{pid}/fd`, `/proc/{pid}/exe`) before you stop it (`kill -STOP {pid}`)."
        );
    }
    if let Some(peer) = detection.tether.socket.peer.address() {
        text += &format!(" Look for {peer} in other hosts' connections, and block it.");
    }
    if context.place.container.is_some() {
        text += " Replace the container rather than clean it, and find how it was entered.";
    }
    text
}

fn name(comm: &[u8]) -> String {
    if comm.is_empty() { "a process".into() } else { cut(&escape(comm), 128).to_owned() }
}

/// `stdin, stdout and stderr`.
fn streams(fds: [bool; 3]) -> String {
    let names: Vec<&str> = ["stdin", "stdout", "stderr"]
        .into_iter()
        .zip(fds)
        .filter_map(|(name, leads)| leads.then_some(name))
        .collect();
    match names.as_slice() {
        [] => "standard streams".into(),
        [one] => (*one).into(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(streams([true, true, true]), "stdin, stdout and stderr");
        assert_eq!(streams([false, true, true]), "stdout and stderr");
        assert_eq!(streams([true, false, false]), "stdin");
        assert_eq!(name(b"\x1b[2J"), "\\x1b[2J");
        assert_eq!(name(b""), "a process");
    }
}

//! The proc connector's messages.
//!
//! Owns: decoding one datagram of NETLINK_CONNECTOR into what it announces, and encoding LISTEN and IGNORE (Linux
//! `include/uapi/linux/{connector,cn_proc}.h`, `drivers/connector/cn_proc.c`). Must not own: the socket, the verdict.
//! The header is read by netlink-packet-core; `cn_msg` and `proc_event` are ours, because that crate turns
//! NLMSG_DONE, which the connector uses as its type, into a message of its own.

use netlink_packet_core::NetlinkBuffer;

use crate::model::ids::Pid;

/// The netlink protocol number of the connector (NETLINK_CONNECTOR).
pub const NETLINK_CONNECTOR: isize = 11;
/// The multicast group, and the connector id, of process events (CN_IDX_PROC).
pub const CN_IDX_PROC: u32 = 1;
/// `CN_VAL_PROC`.
const CN_VAL_PROC: u32 = 1;
/// The longest message the kernel sends: header 16, `cn_msg` 20, `proc_event` up to 40 bytes.
pub const MESSAGE_MAX: usize = 128;

/// `NLMSG_DONE`: the type of every connector message.
const NLMSG_DONE: u16 = 3;
const NLMSG_HEADER: usize = 16;
const CN_HEADER: usize = 20;

/// `PROC_EVENT_FORK`.
pub const WHAT_FORK: u32 = 0x1;
/// `PROC_EVENT_EXEC`.
pub const WHAT_EXEC: u32 = 0x2;
/// `PROC_EVENT_EXIT`.
pub const WHAT_EXIT: u32 = 0x8000_0000;

/// What one message announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A process forked (threads are left out).
    Fork {
        /// Who forked.
        parent: Pid,
        /// The new process.
        child: Pid,
    },
    /// A process executed a program.
    Exec {
        /// Who.
        pid: Pid,
    },
    /// A process ended (threads are left out).
    Exit {
        /// Who.
        pid: Pid,
    },
    /// Anything else: threads, ids, sessions, names, the answer to LISTEN.
    Other,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The processor that sent it.
    pub cpu: u32,
    /// Its number among that processor's messages, those included that a filter kept from us.
    pub sequence: u32,
    /// Nanoseconds of CLOCK_MONOTONIC.
    pub mono_ns: u64,
    /// What it announces.
    pub what: What,
}

/// Decodes one datagram; `None` where it is not a whole process event.
pub fn decode(datagram: &[u8]) -> Option<Message> {
    let buffer = NetlinkBuffer::new_checked(datagram).ok()?;
    if buffer.message_type() != NLMSG_DONE {
        return None;
    }
    let length = usize::try_from(buffer.length()).ok()?;
    let body = datagram.get(NLMSG_HEADER..length)?;
    if word(body, 0)? != CN_IDX_PROC || word(body, 4)? != CN_VAL_PROC {
        return None;
    }
    let event = body.get(CN_HEADER..)?;
    let data = |index: usize| word(event, 16 + 4 * index);
    let what = match word(event, 0)? {
        WHAT_FORK if data(2)? == data(3)? => What::Fork { parent: Pid(data(1)?), child: Pid(data(3)?) },
        WHAT_EXEC => What::Exec { pid: Pid(data(1)?) },
        WHAT_EXIT if data(0)? == data(1)? => What::Exit { pid: Pid(data(1)?) },
        _ => What::Other,
    };
    let low = u64::from(word(event, 8)?);
    let high = u64::from(word(event, 12)?);
    let mono_ns = if cfg!(target_endian = "little") { high << 32 | low } else { low << 32 | high };
    Some(Message { cpu: word(event, 4)?, sequence: word(body, 8)?, mono_ns, what })
}

/// A connector message of ours: headers, and one word.
pub type Short = [u8; NLMSG_HEADER + CN_HEADER + 4];

/// The message that starts (`PROC_CN_MCAST_LISTEN`) or ends (`PROC_CN_MCAST_IGNORE`) the flow of events.
pub fn control(listen: bool) -> Short {
    short(if listen { 1 } else { 2 })
}

/// A message of ours to our own socket, so that whoever waits there wakes: an exec's, as the filter sees it. As it is not from
/// the kernel, nobody takes it for an event.
pub fn wake() -> Short {
    short(WHAT_EXEC)
}

fn short(word: u32) -> Short {
    let mut message: Short = [0; NLMSG_HEADER + CN_HEADER + 4];
    let length = message.len() as u32;
    let mut put = |at: usize, bytes: &[u8]| {
        for (to, from) in message.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    };
    put(0, &length.to_ne_bytes());
    put(4, &NLMSG_DONE.to_ne_bytes());
    put(16, &CN_IDX_PROC.to_ne_bytes());
    put(20, &CN_VAL_PROC.to_ne_bytes());
    put(32, &4u16.to_ne_bytes());
    put(36, &word.to_ne_bytes());
    message
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One datagram as the kernel lays it out.
    pub(crate) fn datagram(what: u32, data: [u32; 6]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [76u32, 3, 0, 0, 1, 1, 42, 0, 40] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        for word in [what, 1] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.extend_from_slice(&0x0123_4567_89ab_cdefu64.to_ne_bytes());
        for word in data {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn the_three_kinds() {
        let message = decode(&datagram(WHAT_EXEC, [7, 7, 0, 0, 0, 0])).unwrap();
        assert_eq!(message.what, What::Exec { pid: Pid(7) });
        assert_eq!((message.cpu, message.sequence, message.mono_ns), (1, 42, 0x0123_4567_89ab_cdef));
        let what = |kind, data| decode(&datagram(kind, data)).map(|m| m.what);
        assert_eq!(what(WHAT_FORK, [3, 2, 9, 9, 0, 0]), Some(What::Fork { parent: Pid(2), child: Pid(9) }));
        assert_eq!(what(WHAT_EXIT, [9, 9, 0, 17, 2, 2]), Some(What::Exit { pid: Pid(9) }));
    }

    #[test]
    fn threads_are_not_processes() {
        let what = |kind, data| decode(&datagram(kind, data)).map(|m| m.what);
        assert_eq!(what(WHAT_FORK, [2, 2, 9, 2, 0, 0]), Some(What::Other));
        assert_eq!(what(WHAT_EXIT, [9, 2, 0, 17, 2, 2]), Some(What::Other));
    }

    #[test]
    fn control_messages_decode_as_netlink() {
        let message = control(true);
        let buffer = NetlinkBuffer::new_checked(&message[..]).unwrap();
        assert_eq!((buffer.length(), buffer.message_type()), (40, NLMSG_DONE));
        assert_eq!(message[36..40], 1u32.to_ne_bytes());
        assert_eq!(control(false)[36..40], 2u32.to_ne_bytes());
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn cut_messages_are_refused(cut in 0usize..76) {
            prop_assert_eq!(decode(&datagram(WHAT_EXEC, [7, 7, 0, 0, 0, 0])[..cut]), None);
        }
    }
}

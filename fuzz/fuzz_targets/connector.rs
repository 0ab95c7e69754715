//! The proc connector's datagrams (`sys::cn_proc`).
//!
//! Holds: what the kernel lays out is read back exactly; what stands behind the message changes nothing; a message that
//! is cut is refused.
#![no_main]

use libfuzzer_sys::arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use tetherd::model::ids::Pid;
use tetherd::sys::cn_proc::{self, What};

struct Event {
    what: u32,
    cpu: u32,
    sequence: u32,
    mono_ns: u64,
    data: [u32; 6],
}

impl Event {
    fn datagram(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [76, 3, 0, 0, 1, 1, self.sequence, 0, 40, self.what, self.cpu] {
            bytes.extend_from_slice(&u32::to_ne_bytes(word));
        }
        bytes.extend_from_slice(&self.mono_ns.to_ne_bytes());
        self.data.iter().for_each(|word| bytes.extend_from_slice(&word.to_ne_bytes()));
        bytes
    }

    fn expected(&self) -> What {
        let [a, b, c, d, ..] = self.data;
        match self.what {
            cn_proc::WHAT_FORK if c == d => What::Fork { parent: Pid(b), child: Pid(d) },
            cn_proc::WHAT_EXEC => What::Exec { pid: Pid(b) },
            cn_proc::WHAT_EXIT if a == b => What::Exit { pid: Pid(b) },
            _ => What::Other,
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(message) = cn_proc::decode(bytes) {
        let more = [bytes, b"more"].concat();
        assert_eq!(cn_proc::decode(&more), Some(message));
    }
    let parts = <(u32, u32, u32, u64, [u32; 6])>::arbitrary(&mut Unstructured::new(bytes));
    let Ok((what, cpu, sequence, mono_ns, data)) = parts else { return };
    let event = Event { what, cpu, sequence, mono_ns, data };
    let datagram = event.datagram();
    let message = cn_proc::decode(&datagram).expect("a whole message is read");
    assert_eq!(
        (message.what, message.cpu, message.sequence, message.mono_ns),
        (event.expected(), event.cpu, event.sequence, event.mono_ns)
    );
    let cut = bytes.first().map_or(0, |&byte| usize::from(byte)) % datagram.len();
    assert_eq!(cn_proc::decode(&datagram[..cut]), None);
});

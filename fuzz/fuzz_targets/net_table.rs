//! Rows of `/proc/PID/net/{tcp,tcp6,udp,udp6,unix}` (`host::net_table`).
//!
//! Holds: a row as the kernel prints it (Linux `net/ipv4/tcp_ipv4.c` `get_tcp4_sock`, `net/unix/af_unix.c`
//! `unix_seq_show`) is read back exactly; the path of a UNIX socket cannot change its inode.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use tetherd::host::net_table;
use tetherd::model::ids::Inode;
use tetherd::model::socket::Address;

fn printed(ip: IpAddr, port: u16) -> String {
    let bytes = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = bytes.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().expect("four bytes")));
    format!("{}:{port:04X}", words.map(|word| format!("{word:08X}")).collect::<String>())
}

type Ends = (u32, IpAddr, u16, IpAddr, u16, u8, u64);

fuzz_target!(|bytes: &[u8]| {
    let _ = net_table::parse(bytes);
    let _ = net_table::unix_inode(bytes);
    let mut unstructured = Unstructured::new(bytes);
    let Ok((number, local, port, remote, remote_port, state, inode)) = Ends::arbitrary(&mut unstructured)
    else {
        return;
    };
    let line = format!(
        "{number:4}: {} {} {state:02X} 00000000:00000000 00:00000000 00000000  1000        0 {inode} 1 0 20 4 30 10 -1\n",
        printed(local, port),
        printed(remote, remote_port)
    );
    let row = net_table::parse(line.as_bytes()).expect("a whole row is read");
    assert_eq!((row.local, row.remote), (Address::ip(local, port), Address::ip(remote, remote_port)));
    assert_eq!((row.state, row.inode, row.listens()), (state, Inode(inode), state == 10));

    let path = unstructured.take_rest();
    let line =
        [format!("{number:016X}: 00000002 00000000 00010000 0001 01 {inode:5} ").as_bytes(), path].concat();
    assert_eq!(net_table::unix_inode(&line), Some(Inode(inode)));
});

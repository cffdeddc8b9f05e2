//! What the kernel spares listeners, by a program for its packet filter: news of routes that we have added and removed
//! ourselves, one for each tunnel, each of which would wake a thread.

use std::io;
use std::os::fd::AsFd;

use libc::{
    BPF_ABS, BPF_B, BPF_H, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, RTM_DELROUTE, RTM_NEWROUTE,
};
use socket2::{SockFilter, SockRef};

/// Offsets in a message: `nlmsg_type`, `nlmsg_pid`, and `rtm_table` of one about a route.
const TYPE: u32 = 4;
const SENDER: u32 = 12;
const TABLE: u32 = 20;

/// Has a socket receive no news of routes that come from one of these ports.
pub(crate) fn without_own_routes(socket: impl AsFd, ports: [u32; 2]) -> io::Result<()> {
    let program = [
        /* 0 */ load(BPF_H, TYPE),
        /* 1 */ is(kind(RTM_NEWROUTE), 1, 0),
        /* 2 */ is(kind(RTM_DELROUTE), 0, 3),
        /* 3 */ load(BPF_W, SENDER),
        /* 4 */ is(ports[0].to_be(), 2, 0),
        /* 5 */ is(ports[1].to_be(), 1, 0),
        /* 6 */ end(u32::MAX),
        /* 7 */ end(0),
    ];
    SockRef::from(&socket).attach_filter(&program)
}

/// Has a socket receive no news of routes but of those that others remove from our own table.
pub(crate) fn without_routes_but_lost(socket: impl AsFd, table: u32, port: u32) -> io::Result<()> {
    let program = [
        /* 0 */ load(BPF_H, TYPE),
        /* 1 */ is(kind(RTM_NEWROUTE), 6, 0),
        /* 2 */ is(kind(RTM_DELROUTE), 0, 4),
        /* 3 */ load(BPF_B, TABLE),
        /* 4 */ is(short(table), 0, 3),
        /* 5 */ load(BPF_W, SENDER),
        /* 6 */ is(port.to_be(), 1, 0),
        /* 7 */ end(u32::MAX),
        /* 8 */ end(0),
    ];
    SockRef::from(&socket).attach_filter(&program)
}

/// What stands in the octet for a table.
fn short(table: u32) -> u32 {
    if table < 256 {
        table
    } else {
        libc::RT_TABLE_COMPAT.into()
    }
}

/// The filter loads in the order of octets of networks, netlink has the host's.
fn kind(kind: u16) -> u32 {
    kind.to_be().into()
}

const fn load(size: u32, at: u32) -> SockFilter {
    SockFilter::new((BPF_LD | size | BPF_ABS) as u16, 0, 0, at)
}

/// Skips so many steps if the loaded value is this one, and so many if not.
const fn is(value: u32, then: u8, otherwise: u8) -> SockFilter {
    SockFilter::new((BPF_JMP | BPF_JEQ | BPF_K) as u16, then, otherwise, value)
}

const fn end(octets: u32) -> SockFilter {
    SockFilter::new((BPF_RET | BPF_K) as u16, 0, 0, octets)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    const LINK: u16 = libc::RTM_NEWLINK;

    /// Which of these messages pass: of a kind, from a port, about a table.
    fn passing(attach: impl Fn(&UnixDatagram) -> io::Result<()>, all: &[(u16, u32, u8)]) -> Vec<usize> {
        let (sender, receiver) = UnixDatagram::pair().expect("sockets");
        attach(&receiver).expect("a filter");
        receiver.set_nonblocking(true).expect("an option");
        let passes = |(kind, port, table): (u16, u32, u8)| {
            let mut octets = [0; 28];
            octets[4..6].copy_from_slice(&kind.to_ne_bytes());
            octets[12..16].copy_from_slice(&port.to_ne_bytes());
            octets[20] = table;
            sender.send(&octets).expect("sent");
            receiver.recv(&mut [0; 28]).is_ok_and(|len| len == 28)
        };
        let numbers = 0..all.len();
        numbers.filter(|number| passes(all[*number])).collect()
    }

    #[test]
    fn routes_of_ours_are_no_news_but_all_else_is() {
        let all = [
            (LINK, 7, 220),
            (RTM_NEWROUTE, 7, 254),
            (RTM_DELROUTE, 8_000_000, 220),
            (RTM_NEWROUTE, 9, 254),
            (RTM_DELROUTE, 0, 220),
        ];
        let attach = |socket: &UnixDatagram| without_own_routes(socket, [7, 8_000_000]);
        assert_eq!(passing(attach, &all), [0, 3, 4]);
    }

    #[test]
    fn of_routes_only_those_of_ours_that_others_remove_are_news() {
        let all = [
            (LINK, 7, 220),
            (RTM_DELROUTE, 7, 220),
            (RTM_DELROUTE, 9, 254),
            (RTM_DELROUTE, 9, 220),
            (RTM_NEWROUTE, 9, 220),
            (RTM_DELROUTE, 9, 252),
        ];
        let attach = |table| move |socket: &UnixDatagram| without_routes_but_lost(socket, table, 7);
        assert_eq!(passing(attach(220), &all), [0, 3]);
        assert_eq!(passing(attach(1000), &all), [0, 5]);
    }
}

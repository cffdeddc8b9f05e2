//! Questions to the kernel, and their answers.

use std::io;
use std::sync::{Mutex, PoisonError};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// As much as the kernel puts into one datagram of a dump, and twice that.
const BUFFER_LEN: usize = 65_536;
/// How often a list is asked for that changed while it was read.
const ATTEMPTS: usize = 64;

/// A socket to ask by; one question at a time.
pub struct Connection {
    state: Mutex<State>,
}

struct State {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self {
            state: Mutex::new(State {
                socket,
                sequence: 0,
                buffer: Vec::with_capacity(BUFFER_LEN),
            }),
        })
    }

    /// Has something done, or asks for one thing.
    ///
    /// # Errors
    ///
    /// What the kernel answers, with its error number.
    pub fn request(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .exchange(message, NLM_F_REQUEST | NLM_F_ACK | flags)
            .map(|answer| answer.messages)
    }

    /// Asks for all of something: a list from one moment, not a mixture of two.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request), and if the list changes faster than it can be read.
    pub fn dump(&self, message: &RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..ATTEMPTS {
            let answer = state.exchange(message.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            if !answer.interrupted {
                return Ok(answer.messages);
            }
        }
        Err(io::Error::other("the list changes faster than it can be read"))
    }
}

#[derive(Default)]
struct Answer {
    messages: Vec<RouteNetlinkMessage>,
    interrupted: bool,
}

impl State {
    fn exchange(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Answer> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        (header.flags, header.sequence_number) = (flags, self.sequence);
        let mut message = NetlinkMessage::new(header, message.into());
        message.finalize();
        let mut octets = vec![0; message.buffer_len()];
        message.serialize(&mut octets);
        self.socket.send(&octets, 0)?;

        let mut answer = Answer::default();
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            for octets in messages(&self.buffer) {
                let header = header_of(octets);
                if header.sequence != self.sequence {
                    // What is left of a question whose answer was given up on.
                    continue;
                }
                answer.interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
                match parse(octets) {
                    Some(NetlinkPayload::InnerMessage(message)) => answer.messages.push(message),
                    Some(NetlinkPayload::Done(done)) if done.code < 0 => {
                        return Err(io::Error::from_raw_os_error(-done.code));
                    }
                    Some(NetlinkPayload::Done(_)) => return Ok(answer),
                    Some(NetlinkPayload::Error(error)) => match error.code {
                        None => return Ok(answer),
                        Some(_) => return Err(error.to_io()),
                    },
                    // A message of a kernel that is newer than the crate: one entry of a list, not worth losing the
                    // others for.
                    _ => {}
                }
            }
        }
    }
}

struct Header {
    flags: u16,
    sequence: u32,
}

const HEADER_LEN: usize = 16;

fn header_of(octets: &[u8]) -> Header {
    Header {
        flags: u16::from_ne_bytes([octets[6], octets[7]]),
        sequence: u32::from_ne_bytes([octets[8], octets[9], octets[10], octets[11]]),
    }
}

/// The messages in a datagram; each has at least a header.
pub(crate) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let len = u32::from_ne_bytes(*datagram.first_chunk()?) as usize;
        if len < HEADER_LEN {
            return None;
        }
        let message = datagram.get(..len)?;
        datagram = datagram.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// What a message says, if the crate knows it.
pub(crate) fn parse(octets: &[u8]) -> Option<NetlinkPayload<RouteNetlinkMessage>> {
    NetlinkMessage::deserialize(octets)
        .ok()
        .map(|message| message.payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_cut_into_messages_and_a_torn_one_ends_it() {
        let mut datagram = vec![18, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 7, 0, 0];
        datagram.extend([16, 0, 0, 0, 3, 0, 16, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        let cut: Vec<_> = messages(&datagram).collect();
        assert_eq!(cut.iter().map(|one| one.len()).collect::<Vec<_>>(), [18, 16]);
        assert_eq!(header_of(cut[1]).flags, NLM_F_DUMP_INTR);
        assert_eq!(messages(&datagram[..30]).count(), 1);
        assert_eq!(messages(&[3, 0, 0, 0, 0]).count(), 0);
        assert_eq!(messages(&[]).count(), 0);
    }
}

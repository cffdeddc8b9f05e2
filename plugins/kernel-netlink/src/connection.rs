//! Questions to the kernel, and their answers.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use zeroize::Zeroize;

/// As much as the kernel puts into one datagram of a dump, and twice that.
const BUFFER_LEN: usize = 65_536;
/// How often a list is asked for that changed while it was read.
const ATTEMPTS: usize = 64;

/// Messages of one netlink protocol.
pub trait Protocol: NetlinkSerializable + NetlinkDeserializable + Clone {
    /// Its number.
    const NUMBER: isize;

    /// Overwrites keys.
    fn wipe(&mut self) {}
}

impl Protocol for RouteNetlinkMessage {
    const NUMBER: isize = NETLINK_ROUTE;
}

/// What the kernel answers when it does not do as asked.
#[derive(Debug)]
pub struct Refusal {
    /// The error number.
    pub error: io::Error,
    /// The kernel's own words, if it has any.
    pub reason: Option<String>,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self { error, reason: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        self.reason
            .as_ref()
            .map_or(Ok(()), |reason| write!(f, ", \"{reason}\""))
    }
}

/// A socket to ask by; one question at a time.
pub struct Connection<P> {
    state: Mutex<State>,
    port: u32,
    protocol: PhantomData<fn(P) -> P>,
}

struct State {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl<P: Protocol> Connection<P> {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(P::NUMBER)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        // Only more words in an error; kernels before 4.12 have none.
        let _ = socket.set_ext_ack(true);
        Ok(Self {
            state: Mutex::new(State {
                socket,
                sequence: 0,
                buffer: Vec::with_capacity(BUFFER_LEN),
            }),
            port,
            protocol: PhantomData,
        })
    }

    /// What news of the kernel have for sender that are of our own doing.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Has something done, or asks for one thing.
    ///
    /// # Errors
    ///
    /// What the kernel answers, with its error number.
    pub fn request(&self, message: P, flags: u16) -> io::Result<Vec<P>> {
        self.ask(message, flags).map_err(|refusal| refusal.error)
    }

    /// As [`request`](Self::request), with the kernel's words.
    ///
    /// # Errors
    ///
    /// What the kernel answers.
    pub fn ask(&self, message: P, flags: u16) -> Result<Vec<P>, Refusal> {
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
    pub fn dump(&self, message: &P) -> io::Result<Vec<P>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..ATTEMPTS {
            let answer = state
                .exchange(message.clone(), NLM_F_REQUEST | NLM_F_DUMP)
                .map_err(|refusal| refusal.error)?;
            if !answer.interrupted {
                return Ok(answer.messages);
            }
        }
        Err(io::Error::other("the list changes faster than it can be read"))
    }
}

struct Answer<P> {
    messages: Vec<P>,
    interrupted: bool,
}

impl State {
    fn exchange<P: Protocol>(&mut self, message: P, flags: u16) -> Result<Answer<P>, Refusal> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        (header.flags, header.sequence_number) = (flags, self.sequence);
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut octets = vec![0; message.buffer_len()];
        message.serialize(&mut octets);
        if let NetlinkPayload::InnerMessage(message) = &mut message.payload {
            message.wipe();
        }
        let sent = self.socket.send(&octets, 0);
        octets.zeroize();
        sent?;

        let mut answer = Answer {
            messages: Vec::new(),
            interrupted: false,
        };
        let outcome = self.receive(&mut answer);
        if outcome.is_err() {
            answer.messages.iter_mut().for_each(P::wipe);
        }
        outcome.map(|()| answer)
    }

    /// Reads up to the end of the answer.
    fn receive<P: Protocol>(&mut self, answer: &mut Answer<P>) -> Result<(), Refusal> {
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            let end = read(&self.buffer, self.sequence, answer);
            self.buffer.as_mut_slice().zeroize();
            if let Some(end) = end {
                return end;
            }
        }
    }
}

/// Takes one datagram; what the question came to, if this is its end.
fn read<P: Protocol>(datagram: &[u8], sequence: u32, answer: &mut Answer<P>) -> Option<Result<(), Refusal>> {
    for octets in messages(datagram) {
        let header = header_of(octets);
        if header.sequence != sequence {
            // What is left of a question whose answer was given up on.
            continue;
        }
        answer.interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
        match parse(octets) {
            Some(NetlinkPayload::InnerMessage(message)) => answer.messages.push(message),
            Some(NetlinkPayload::Done(done)) if done.code < 0 => {
                return Some(Err(io::Error::from_raw_os_error(-done.code).into()));
            }
            Some(NetlinkPayload::Done(_)) => return Some(Ok(())),
            Some(NetlinkPayload::Error(error)) => {
                return Some(match error.code {
                    None => Ok(()),
                    Some(_) => Err(Refusal {
                        error: error.to_io(),
                        reason: reason(octets),
                    }),
                });
            }
            // A message of a kernel that is newer than the crate: one entry of a list, not worth losing the
            // others for.
            _ => {}
        }
    }
    None
}

/// The attribute NLMSGERR_ATTR_MSG of an error message, which comes after the question that it repeats.
fn reason(octets: &[u8]) -> Option<String> {
    const CAPPED: u16 = 0x100;
    const TLVS: u16 = 0x200;
    const MSG: u16 = 1;
    let header = header_of(octets);
    if header.flags & TLVS == 0 {
        return None;
    }
    let question = octets.get(HEADER_LEN + 4..)?;
    let repeated = match header.flags & CAPPED {
        0 => u32::from_ne_bytes(*question.first_chunk()?) as usize,
        _ => HEADER_LEN,
    };
    let mut attributes = question.get(repeated.next_multiple_of(4)..)?;
    loop {
        let [len0, len1, kind0, kind1] = *attributes.first_chunk()?;
        let len = usize::from(u16::from_ne_bytes([len0, len1]));
        let value = attributes.get(4..len)?;
        if u16::from_ne_bytes([kind0, kind1]) == MSG {
            let text = String::from_utf8_lossy(value);
            return Some(text.trim_end_matches('\0').to_owned());
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
}

struct Header {
    flags: u16,
    sequence: u32,
    sender: u32,
}

const HEADER_LEN: usize = 16;

fn header_of(octets: &[u8]) -> Header {
    Header {
        flags: u16::from_ne_bytes([octets[6], octets[7]]),
        sequence: u32::from_ne_bytes([octets[8], octets[9], octets[10], octets[11]]),
        sender: u32::from_ne_bytes([octets[12], octets[13], octets[14], octets[15]]),
    }
}

/// Whose doing a message is about.
pub(crate) fn sender(message: &[u8]) -> u32 {
    header_of(message).sender
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
pub(crate) fn parse<P: Protocol>(octets: &[u8]) -> Option<NetlinkPayload<P>> {
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

    #[test]
    fn the_kernels_words_are_found_behind_the_question_and_nowhere_else() {
        let mut octets = vec![0, 0, 0, 0, 2, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0];
        octets.extend((-22i32).to_ne_bytes());
        octets.extend([16, 0, 0, 0, 16, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(reason(&octets), None);
        octets.extend([8, 0, 2, 0, 1, 2, 3, 4]);
        octets.extend([11, 0, 1, 0]);
        octets.extend(b"No way\0\0");
        assert_eq!(reason(&octets).as_deref(), Some("No way"));
        for len in 0..octets.len() - 1 {
            if len >= HEADER_LEN {
                assert_eq!(reason(&octets[..len]), None, "cut after {len}");
            }
        }
        octets[7] = 1;
        assert_eq!(reason(&octets), None, "no attributes announced");
    }
}

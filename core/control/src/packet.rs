//! vici's packets: what one is for, the name of a command or event, and a message in octets.

use crate::{Error, frame};

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// Runs a command; named.
    CmdRequest = 0,
    /// The result of a command.
    CmdResponse = 1,
    /// There is no such command; empty.
    CmdUnknown = 2,
    /// Subscribes to an event; named, no message.
    EventRegister = 3,
    /// Ends a subscription; named, no message.
    EventUnregister = 4,
    /// A subscription has begun or ended; empty.
    EventConfirm = 5,
    /// There is no such event, or no such subscription; empty.
    EventUnknown = 6,
    /// An event; named.
    Event = 7,
}

impl PacketType {
    const ALL: [Self; 8] = [
        Self::CmdRequest,
        Self::CmdResponse,
        Self::CmdUnknown,
        Self::EventRegister,
        Self::EventUnregister,
        Self::EventConfirm,
        Self::EventUnknown,
        Self::Event,
    ];

    /// Whether packets of this type carry a name.
    pub const fn is_named(self) -> bool {
        matches!(
            self,
            Self::CmdRequest | Self::EventRegister | Self::EventUnregister | Self::Event
        )
    }
}

/// A packet, without the length before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it is for.
    pub kind: PacketType,
    /// The command or event; empty if the type has no name.
    pub name: String,
    /// The message in octets.
    pub message: Vec<u8>,
}

impl Packet {
    /// A packet; a name that the type does not have is left out.
    pub fn new(kind: PacketType, name: &str, message: Vec<u8>) -> Self {
        let name = if kind.is_named() {
            name.to_owned()
        } else {
            String::new()
        };
        Self { kind, name, message }
    }

    /// The octets, without the length before them.
    ///
    /// # Errors
    ///
    /// [`Error::NameLength`] or [`Error::Name`] for a bad name, [`Error::TooLong`] past the limit.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut octets = Vec::with_capacity(2 + self.name.len() + self.message.len());
        octets.push(self.kind as u8);
        if self.kind.is_named() {
            check_name(self.name.as_bytes())?;
            octets.push(u8::try_from(self.name.len()).map_err(|_| Error::NameLength(self.name.len()))?);
            octets.extend(self.name.as_bytes());
        }
        octets.extend(&self.message);
        if octets.len() > frame::MAX_LEN {
            Err(Error::TooLong(octets.len()))
        } else {
            Ok(octets)
        }
    }

    /// Reads a packet; the message is only taken, not looked at.
    ///
    /// # Errors
    ///
    /// [`Error::PacketType`], [`Error::Truncated`], or those of a bad name.
    pub fn decode(octets: &[u8]) -> Result<Self, Error> {
        let (code, rest) = octets.split_first().ok_or(Error::Truncated(0))?;
        let kind = PacketType::ALL
            .into_iter()
            .find(|kind| *kind as u8 == *code)
            .ok_or(Error::PacketType(*code))?;
        if !kind.is_named() {
            return Ok(Self {
                kind,
                name: String::new(),
                message: rest.to_vec(),
            });
        }
        let (len, rest) = rest.split_first().ok_or(Error::Truncated(1))?;
        let (name, message) = rest
            .split_at_checked(usize::from(*len))
            .ok_or(Error::Truncated(2))?;
        let name = check_name(name)?;
        Ok(Self {
            kind,
            name: name.to_owned(),
            message: message.to_vec(),
        })
    }
}

fn check_name(name: &[u8]) -> Result<&str, Error> {
    if name.is_empty() {
        return Err(Error::NameLength(0));
    }
    let printable = name.iter().all(|octet| (0x20..0x7f).contains(octet));
    std::str::from_utf8(name)
        .ok()
        .filter(|_| printable)
        .ok_or(Error::Name(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_type_name_and_message() {
        let packet = Packet::new(PacketType::CmdRequest, "version", b"\x03".to_vec());
        let octets = packet.encode().unwrap();
        assert_eq!(octets, b"\x00\x07version\x03");
        assert_eq!(Packet::decode(&octets), Ok(packet));
    }

    #[test]
    fn a_response_has_no_name() {
        let packet = Packet::new(PacketType::CmdResponse, "version", b"rest".to_vec());
        assert_eq!(packet.encode().unwrap(), b"\x01rest");
        assert_eq!(
            Packet::decode(b"\x05"),
            Ok(Packet::new(PacketType::EventConfirm, "", Vec::new()))
        );
    }

    #[test]
    fn bad_packets_are_refused() {
        assert_eq!(Packet::decode(b""), Err(Error::Truncated(0)));
        assert_eq!(Packet::decode(b"\x08"), Err(Error::PacketType(8)));
        assert_eq!(Packet::decode(b"\x00"), Err(Error::Truncated(1)));
        assert_eq!(Packet::decode(b"\x03\x05abc"), Err(Error::Truncated(2)));
        assert_eq!(Packet::decode(b"\x00\x02a\n"), Err(Error::Name(2)));
        assert_eq!(Packet::decode(b"\x00\x00"), Err(Error::NameLength(0)));
        let long = Packet::new(PacketType::Event, &"x".repeat(256), Vec::new());
        assert_eq!(long.encode(), Err(Error::NameLength(256)));
    }
}

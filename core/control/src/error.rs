/// Why octets are no message, or a message cannot become octets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The octets end within an element.
    #[error("truncated at octet {0}")]
    Truncated(usize),
    /// An element that may not stand where it does, or none at all.
    #[error("element of type {kind} at octet {at} is not allowed there")]
    Element {
        /// Its type.
        kind: u8,
        /// Where it is.
        at: usize,
    },
    /// Sections or lists are left open at the end.
    #[error("{0} sections or lists are not closed")]
    Unclosed(usize),
    /// Sections in sections, more than anybody needs.
    #[error("sections are nested more than {max} deep", max = crate::vici::MAX_DEPTH)]
    TooDeep,
    /// A name that is no text, or of a packet and not printable.
    #[error("name at octet {0} is not text")]
    Name(usize),
    /// A name of more than 255 octets, or an empty one where a name has to be.
    #[error("name of {0} octets")]
    NameLength(usize),
    /// A value of more than 65535 octets.
    #[error("value of {key} has {octets} octets, more than 65535")]
    ValueLength {
        /// Its key.
        key: String,
        /// Its length.
        octets: usize,
    },
    /// A message longer than the limit.
    #[error("message length {0} exceeds {max} bytes limit", max = crate::frame::MAX_LEN)]
    TooLong(usize),
    /// A packet type that does not exist.
    #[error("packet type {0} does not exist")]
    PacketType(u8),
    /// A request that does not exist, or has an argument it cannot have.
    #[error("{0}")]
    Request(String),
}

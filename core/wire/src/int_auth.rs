//! What IntAuth covers of an IKE_INTERMEDIATE message (RFC 9242, 3.3.2).

use iana::PayloadType;

use crate::header::{HEADER_LEN, Header};

/// The message as it would be if nothing were encrypted: header and SK header with the lengths of the plaintext,
/// then the inner payloads. A fragmented message is covered as the whole it was.
pub fn int_auth_octets(header: &Header, first_inner: PayloadType, plaintext: &[u8]) -> Vec<u8> {
    let sk_len = 4 + plaintext.len();
    let length = HEADER_LEN + sk_len;
    let mut out = Vec::with_capacity(length);
    Header {
        next_payload: PayloadType::SK,
        length: length as u32,
        ..header.clone()
    }
    .write(&mut out);
    out.extend([first_inner.0, 0]);
    // A payload of an SK message never exceeds 16 bits; fragments can carry no more either.
    out.extend((sk_len as u16).to_be_bytes());
    out.extend(plaintext);
    out
}

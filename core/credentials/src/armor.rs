//! DER, or PEM around it (RFC 7468).

use pkcs8::der::pem;
use zeroize::Zeroizing;

use crate::{Error, MAX_OCTETS};

/// What the octets are in DER, and the label that PEM gave it. Of several blocks that is the first with one of the labels.
pub(crate) fn open(
    octets: &[u8],
    labels: &[&str],
    what: &'static str,
) -> Result<(Option<String>, Zeroizing<Vec<u8>>), Error> {
    if octets.len() > MAX_OCTETS {
        return Err(Error::TooLong(octets.len()));
    }
    let text = std::str::from_utf8(octets).ok();
    let block = text.and_then(|text| blocks(text).find(|(label, _)| labels.contains(label)));
    match (block, octets.first()) {
        (Some((label, block)), _) => {
            // OpenSSL writes it into a block that it has encrypted (RFC 1421).
            if block.contains("\nProc-Type: 4,ENCRYPTED") {
                return Err(Error::Locked);
            }
            let (_, der) =
                pem::decode_vec(block.as_bytes()).map_err(|error| Error::Pem(error.to_string()))?;
            Ok((Some(label.to_owned()), Zeroizing::new(der)))
        }
        // A SEQUENCE, which all that is read here is.
        (None, Some(0x30)) => Ok((None, Zeroizing::new(octets.to_vec()))),
        (None, _) => Err(Error::Armor(what)),
    }
}

/// The blocks of a text with their labels; text around them is for people.
fn blocks(mut text: &str) -> impl Iterator<Item = (&str, &str)> {
    std::iter::from_fn(move || {
        text = &text[text.find("-----BEGIN ")?..];
        let end = text.find("-----END ").map_or(text.len(), |end| {
            let line = text[end..].find('\n');
            line.map_or(text.len(), |line| end + line + 1)
        });
        let (block, rest) = text.split_at(end);
        text = rest;
        let label = block["-----BEGIN ".len()..].split("-----").next()?;
        Some((label, block))
    })
}

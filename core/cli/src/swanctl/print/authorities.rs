//! Those who issue certificates.

use std::io::{self, Write};

use control::vici::Message;

use super::sections;

pub(in crate::swanctl) fn authority(out: &mut dyn Write, message: &Message) -> io::Result<()> {
    for (name, authority) in sections(message) {
        writeln!(out, "{name}:")?;
        for key in ["cacert", "cert_uri_base"] {
            if let Some(value) = authority.get_str(key) {
                writeln!(out, "  {key}: {value}")?;
            }
        }
        for (key, head) in [("crl_uris", "  crl_uris:  "), ("ocsp_uris", "  ocsp_uris: ")] {
            let mut head = head;
            for uri in authority.get_texts(key) {
                writeln!(out, "{head}{uri}")?;
                head = "             ";
            }
        }
    }
    Ok(())
}

//! Certificates and those who issue them.

use std::io::{self, Write};

use control::vici::Message;

use super::{sections, value};

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

pub(in crate::swanctl) fn certificate(out: &mut dyn Write, message: &Message) -> io::Result<()> {
    write!(out, "{}", value(message, "type"))?;
    if let Some(flag) = message.get_str("flag").filter(|flag| *flag != "NONE") {
        write!(out, ", {flag}")?;
    }
    if message.get_bool("has_privkey") == Some(true) {
        write!(out, ", has private key")?;
    }
    writeln!(out)?;
    for (key, head) in [
        ("subject", "  subject:  "),
        ("not-before", "  not before "),
        ("not-after", "  not after  "),
    ] {
        if let Some(value) = message.get_str(key) {
            writeln!(out, "{head}{value}")?;
        }
    }
    Ok(())
}

//! IKE_SAs with their CHILD_SAs.

use std::io::{self, Write};

use control::vici::Message;

use super::{has_section, joined, line, sections, value};

/// An IKE_SA is printed with its CHILD_SAs; an event without their section prints nothing.
pub(in crate::swanctl) fn event(out: &mut dyn Write, message: &Message) -> io::Result<()> {
    for (name, sa) in sections(message) {
        if has_section(&sa, "child-sas") {
            ike_sa(out, name, &sa)?;
            let children = sa.get_section("child-sas");
            for (_, child) in sections(&children) {
                child_sa(out, &child)?;
            }
        }
    }
    Ok(())
}

fn ike_sa(out: &mut dyn Write, name: &str, sa: &Message) -> io::Result<()> {
    let of = |key| value(sa, key);
    let initiator = sa.get_bool("initiator") == Some(true);
    let (own_i, own_r) = if initiator { ("*", "") } else { ("", "*") };
    writeln!(
        out,
        "{name}: #{}, {}, IKEv{}, {}_i{own_i} {}_r{own_r}",
        of("uniqueid"),
        of("state"),
        of("version"),
        of("initiator-spi"),
        of("responder-spi"),
    )?;
    for (head, side) in [("  local ", "local"), ("  remote", "remote")] {
        let of = |key: &str| value(sa, &format!("{side}-{key}"));
        write!(out, "{head} '{}' @ {}[{}]", of("id"), of("host"), of("port"))?;
        for (word, key) in [("EAP", "eap-id"), ("XAuth", "xauth-id")] {
            if let Some(id) = sa.get_str(&format!("{side}-{key}")) {
                write!(out, " {word}: '{id}'")?;
            }
        }
        let vips = joined(sa, &format!("{side}-vips"));
        if !vips.is_empty() {
            write!(out, " [{vips}]")?;
        }
        writeln!(out)?;
    }
    if sa.get_str("encr-alg").is_some() {
        write!(out, "  {}", algorithms(sa))?;
        if sa.get_bool("ppk") == Some(true) {
            write!(out, "/PPK")?;
        }
        writeln!(out)?;
    }
    if let Some(ago) = sa.get_str("established") {
        write!(out, "  established {ago}s ago")?;
        for (words, key) in [
            ("rekeying in", "rekey-time"),
            ("reauth in", "reauth-time"),
            ("expires in", "life-time"),
        ] {
            if let Some(time) = sa.get_str(key) {
                write!(out, ", {words} {time}s")?;
            }
        }
        writeln!(out)?;
    }
    line(out, "  queued:  ", sa, "tasks-queued")?;
    line(out, "  active:  ", sa, "tasks-active")?;
    line(out, "  passive: ", sa, "tasks-passive")
}

fn child_sa(out: &mut dyn Write, child: &Message) -> io::Result<()> {
    let of = |key| value(child, key);
    write!(
        out,
        "  {}: #{}, reqid {}",
        of("name"),
        of("uniqueid"),
        of("reqid")
    )?;
    if let Some(cpu) = child.get_str("cpu") {
        write!(out, ", cpu {cpu}")?;
    }
    let in_udp = if child.get_bool("encap") == Some(true) {
        "-in-UDP"
    } else {
        ""
    };
    write!(out, ", {}, {}{in_udp}", of("state"), of("mode"))?;
    if let Some(protocol) = child.get_str("protocol") {
        write!(out, ", {protocol}:{}", algorithms(child))?;
        if child.get_bool("esn") == Some(true) {
            write!(out, "/ESN")?;
        }
    }
    writeln!(out)?;
    if let Some(ago) = child.get_str("install-time") {
        write!(out, "    installed {ago}s ago")?;
        for (words, key) in [("rekeying in", "rekey-time"), ("expires in", "life-time")] {
            if let Some(time) = child.get_str(key) {
                write!(out, ", {words} {time}s")?;
            }
        }
        writeln!(out)?;
    }
    for (head, way) in [("    in  ", "in"), ("    out ", "out")] {
        let of = |key: &str| child.get_str(&format!("{key}-{way}"));
        let Some(spi) = of("spi") else { continue };
        write!(out, "{head}{spi}")?;
        if let Some(cpi) = of("cpi") {
            write!(out, "/{cpi}")?;
        }
        write!(out, "{}", mark(of("mark"), of("mark-mask"), of("if-id")))?;
        let (octets, packets) = (of("bytes").unwrap_or("0"), of("packets").unwrap_or("0"));
        write!(out, ", {octets:>6} bytes, {packets:>5} packets")?;
        if let Some(ago) = of("use") {
            write!(out, ", {ago:>5}s ago")?;
        }
        writeln!(out)?;
    }
    if let Some(label) = child.get_str("label") {
        writeln!(out, "    label  {label}")?;
    }
    line(out, "    local  ", child, "local-ts")?;
    line(out, "    remote ", child, "remote-ts")
}

/// ` (0x2a/0xffffffff|0x7)`: a mark with its mask, and the number of an interface.
fn mark(mark: Option<&str>, mask: Option<&str>, interface: Option<&str>) -> String {
    let mark = mark.map(|mark| {
        let mask = mask.map(|mask| format!("/0x{mask}")).unwrap_or_default();
        format!("0x{mark}{mask}")
    });
    match (mark, interface) {
        (None, None) => String::new(),
        (Some(mark), None) => format!(" ({mark})"),
        (mark, Some(interface)) => format!(" ({}|0x{interface})", mark.unwrap_or_else(|| "-".to_owned())),
    }
}

/// `AES_GCM_16-256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3`.
fn algorithms(sa: &Message) -> String {
    let sized = |name: &str, size: &str| {
        let name = sa.get_str(name)?;
        Some(match sa.get_str(size) {
            Some(bits) => format!("{name}-{bits}"),
            None => name.to_owned(),
        })
    };
    let plain = |key: &str| sa.get_str(key).map(str::to_owned);
    let slots = (1..=7).map(|slot| {
        let method = sa.get_str(&format!("ake{slot}"))?;
        Some(format!("KE{slot}_{method}"))
    });
    let parts = [
        sized("encr-alg", "encr-keysize"),
        sized("integ-alg", "integ-keysize"),
        plain("prf-alg"),
        plain("dh-group"),
    ];
    let parts: Vec<String> = parts.into_iter().chain(slots).flatten().collect();
    parts.join("/")
}

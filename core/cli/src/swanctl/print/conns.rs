//! Connections.

use std::io::{self, Write};

use control::vici::Message;

use super::{line, sections, value};

pub(in crate::swanctl) fn event(out: &mut dyn Write, message: &Message) -> io::Result<()> {
    for (name, connection) in sections(message) {
        self::connection(out, name, &connection)?;
    }
    Ok(())
}

fn connection(out: &mut dyn Write, name: &str, connection: &Message) -> io::Result<()> {
    let seconds = |key: &str| connection.get_int(key).unwrap_or_default();
    let version = value(connection, "version");
    write!(out, "{name}: {version}, ")?;
    let reauth = match seconds("reauth_time") {
        0 if version == "IKEv1" => seconds("rekey_time"),
        reauth => reauth,
    };
    match reauth {
        0 => write!(out, "no reauthentication")?,
        time => write!(out, "reauthentication every {time}s")?,
    }
    match seconds("rekey_time") {
        _ if version == "IKEv1" => {}
        0 => write!(out, ", no rekeying")?,
        time => write!(out, ", rekeying every {time}s")?,
    }
    let dpd = seconds("dpd_delay");
    if dpd != 0 {
        write!(out, ", dpd delay {dpd}s")?;
    }
    writeln!(out)?;
    let ppk = connection.get_str("ppk_id");
    if ppk.is_some() || connection.get_str("ppk_required").is_some() {
        let id = ppk.map(|id| format!("{id}, ")).unwrap_or_default();
        let not = if connection.get_bool("ppk_required") == Some(true) {
            ""
        } else {
            "not "
        };
        writeln!(out, "  ppk: {id}{not}required")?;
    }
    for (head, key, port) in [
        ("  local:  ", "local_addrs", "local_port"),
        ("  remote: ", "remote_addrs", "remote_port"),
    ] {
        // The usual port goes without saying.
        let port = connection
            .get_str(port)
            .filter(|port| !matches!(*port, "0" | "500"));
        let port = port.map(|port| format!("[{port}]")).unwrap_or_default();
        for address in connection.get_texts(key) {
            writeln!(out, "{head}{address}{port}")?;
        }
    }
    for side in ["local", "remote"] {
        for (name, auth) in sections(connection) {
            let round = name.strip_prefix(side).is_some_and(|rest| rest.starts_with('-'));
            if round {
                authentication(out, side, &auth)?;
            }
        }
    }
    let children = connection.get_section("children");
    for (name, child) in sections(&children) {
        self::child(out, name, &child, dpd != 0)?;
    }
    Ok(())
}

fn authentication(out: &mut dyn Write, side: &str, auth: &Message) -> io::Result<()> {
    let class = match auth.get_str("class") {
        Some("EAP") => auth.get_str("eap-type").unwrap_or("EAP"),
        class => class.unwrap_or("unspecified"),
    };
    writeln!(out, "  {side} {class} authentication:")?;
    for key in ["id", "ca_id", "eap_id", "xauth_id", "aaa_id"] {
        if let Some(value) = auth.get_str(key) {
            writeln!(out, "    {key}: {value}")?;
        }
    }
    for (head, key) in [
        ("    groups: ", "groups"),
        ("    cert policy: ", "cert_policy"),
        ("    certs: ", "certs"),
        ("    cacerts: ", "cacerts"),
    ] {
        for item in auth.get_texts(key) {
            writeln!(out, "{head}{item}")?;
        }
    }
    Ok(())
}

fn child(out: &mut dyn Write, name: &str, child: &Message, dpd: bool) -> io::Result<()> {
    let mode = value(child, "mode");
    let limits: Vec<String> = [
        ("rekey_time", "s"),
        ("rekey_bytes", " bytes"),
        ("rekey_packets", " packets"),
    ]
    .into_iter()
    .filter_map(|(key, unit)| {
        let limit = child.get_int(key).filter(|limit| *limit != 0)?;
        Some(format!("{limit}{unit}"))
    })
    .collect();
    write!(out, "  {name}: {mode}, ")?;
    if limits.is_empty() || matches!(mode, "PASS" | "DROP") {
        write!(out, "no rekeying")?;
    } else {
        write!(out, "rekeying every {}", limits.join(" or "))?;
    }
    if dpd && let Some(action) = child.get_str("dpd_action") {
        write!(out, ", dpd action is {action}")?;
    }
    writeln!(out)?;
    if let Some(label) = child.get_str("label") {
        writeln!(out, "    label:  {label}")?;
    }
    line(out, "    local:  ", child, "local-ts")?;
    line(out, "    remote: ", child, "remote-ts")?;
    for key in ["interface", "priority"] {
        if let Some(value) = child.get_str(key) {
            writeln!(out, "    {key}: {value}")?;
        }
    }
    Ok(())
}

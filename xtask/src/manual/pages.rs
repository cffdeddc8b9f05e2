//! The manual pages.

use std::fs;

use charon_cli::{ipsec, swanctl};
use config::ipsec_conf::reference::{self, Entry};
use config::swanctl_conf::keys::{Kind, SHARED, Section, UNLOCK};

use super::page::Page;

/// A page: its name, its section, its text.
type Named = (&'static str, &'static str, Vec<u8>);

/// All of them.
pub(super) fn all() -> Result<Vec<Named>, String> {
    Ok(vec![
        ("ipsec", "8", ipsec_command()),
        ("swanctl", "8", swanctl_command()?),
        ("ipsec.conf", "5", ipsec_conf()?),
        ("ipsec.secrets", "5", ipsec_secrets()),
        ("swanctl.conf", "5", swanctl_conf()?),
        ("strongswan.conf", "5", strongswan_conf()?),
    ])
}

/// A file of `etc`.
fn shipped(name: &str) -> Result<String, String> {
    let path = xtask::root().join("etc").join(name);
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The same as an example: it is commented out there.
fn example(name: &str) -> Result<String, String> {
    let text = shipped(name)?;
    let lines = text.lines().skip(1).filter_map(|line| line.strip_prefix('#'));
    let lines: Vec<_> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    Ok(lines.join("\n").trim().to_owned())
}

fn ipsec_command() -> Vec<u8> {
    let mut page = Page::new("ipsec", "8", "starts, stops and controls the IKE daemon");
    page.heading("SYNOPSIS").lines("ipsec COMMAND [ARGUMENTS]");
    page.heading("DESCRIPTION").text(
        "ipsec start runs the daemon charon and a starter, which gives charon the connections of ipsec.conf and starts it again \
         if it dies. The other commands control both. Connections of swanctl.conf are loaded by swanctl --load-all; have \
         charon.start-scripts in strongswan.conf run it after each start.",
    );
    page.heading("COMMANDS");
    for block in ipsec::HELP.split("\n\n").skip(1) {
        page.lines(block);
    }
    page.text(
        "ipsec start, ipsec update and ipsec reload return when charon has all connections. They print, with file and line, what \
         is wrong in ipsec.conf and what charon refuses. A connection that is refused stays as it was loaded before.",
    );
    page.heading("EXIT STATUS");
    for (code, meaning) in [
        (
            "0",
            "Done. Mistakes in ipsec.conf change nothing about that, and neither does a failed ipsec up.",
        ),
        (
            "1",
            "Failed. Of ipsec status: the starter is dead, or this user may not control it.",
        ),
        (
            "2",
            "Bad arguments, or an ipsec.conf or strongswan.conf that cannot be used at all.",
        ),
        ("3", "Of ipsec status: nothing runs."),
        ("4", "Not root."),
        ("7", "The daemon is not running."),
    ] {
        page.term(code, meaning);
    }
    page.heading("FILES");
    for (file, meaning) in [
        ("/etc/ipsec.conf", "Connections; see ipsec.conf(5)."),
        ("/etc/ipsec.secrets", "Pre-shared keys; see ipsec.secrets(5)."),
        (
            "/etc/strongswan.conf",
            "Settings of the daemon; see strongswan.conf(5).",
        ),
        (
            "/var/run/charon.pid, /var/run/starter.charon.pid",
            "The processes.",
        ),
        (
            "/var/run/charon.ctl, /var/run/starter.charon.ctl",
            "Their sockets for ipsec.",
        ),
    ] {
        page.term(file, meaning);
    }
    page.heading("ENVIRONMENT").term(
        "STRONGSWAN_CONF",
        "A file to read instead of /etc/strongswan.conf.",
    );
    page.heading("EXAMPLES").lines(
        "ipsec start\nipsec up Tunnel1\nipsec statusall\nipsec update        # after a change of ipsec.conf\n\
         ipsec rereadsecrets # after a change of ipsec.secrets",
    );
    page.see_also("ipsec.conf(5), ipsec.secrets(5), strongswan.conf(5), swanctl(8)");
    page.rendered()
}

/// All commands, each with its options, and what belongs to all of them.
fn swanctl_command() -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let mut root = swanctl::command();
    root.build();
    let page = clap_mangen::Man::new(root.clone()).section("8");
    let rendered = (|| {
        page.render_title(&mut text)?;
        page.render_name_section(&mut text)?;
        page.render_synopsis_section(&mut text)?;
        page.render_description_section(&mut text)?;
        for command in root.get_subcommands() {
            let short = command.get_short_flag().map(|short| format!(", -{short}"));
            let heading = format!("swanctl --{}{}", command.get_name(), short.unwrap_or_default());
            std::io::Write::write_all(&mut text, format!(".SH \"{heading}\"\n").as_bytes())?;
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            std::io::Write::write_all(&mut text, format!("{about}\n").as_bytes())?;
            clap_mangen::Man::new(command.clone()).render_options_section(&mut text)?;
        }
        Ok::<_, std::io::Error>(())
    })();
    rendered.map_err(|error| format!("the manual page of swanctl: {error}"))?;
    text.extend(swanctl_rest());
    Ok(text)
}

fn swanctl_rest() -> Vec<u8> {
    let mut page = Page::part();
    page.heading("EXIT STATUS");
    for (code, meaning) in [
        ("0", "Done."),
        ("1", "A wrong command line, or a command that the daemon refused."),
        (
            "22",
            "Something of swanctl.conf was not loaded. What, and why, is on standard error. What is right \
             has been loaded.",
        ),
        (
            "other",
            "The number of the system's error, such as 111 if the daemon does not run.",
        ),
    ] {
        page.term(code, meaning);
    }
    page.heading("FILES");
    for (file, meaning) in [
        (
            "/etc/swanctl/swanctl.conf",
            "Connections, secrets and pools; see swanctl.conf(5).",
        ),
        (
            "/etc/swanctl/x509, x509ca, x509crl, pubkey",
            "Certificates, those of authorities, revocation lists and public keys.",
        ),
        ("/etc/swanctl/private, rsa, ecdsa, pkcs8, pkcs12", "Private keys."),
        ("/var/run/charon.vici", "The daemon's socket."),
    ] {
        page.term(file, meaning);
    }
    page.heading("ENVIRONMENT")
        .term("SWANCTL_DIR", "The folder to use instead of /etc/swanctl.")
        .term(
            "STRONGSWAN_CONF",
            "A file to read instead of /etc/strongswan.conf.",
        );
    page.heading("EXAMPLES").lines(
        "swanctl --load-all --noprompt\nswanctl --initiate --child net\nswanctl --list-sas --ike site-to-site\n\
         swanctl --terminate --ike site-to-site",
    );
    page.see_also("swanctl.conf(5), strongswan.conf(5), ipsec(8)");
    page.rendered()
}

fn ipsec_conf() -> Result<Vec<u8>, String> {
    let mut page = Page::new("ipsec.conf", "5", "connections of the IKE daemon");
    page.heading("DESCRIPTION")
        .text(
            "The file has sections: config setup, conn NAME, and conn %default, whose keywords hold for all connections that do \
             not set them. A section begins in the first column, and its keywords, KEYWORD = VALUE, are indented. A # begins a \
             comment. A value with blanks is put in double quotes. include FILE takes in other files, also by wildcards.",
        )
        .text(
            "A mistake is reported with file and line, and costs its connection at most. ipsec update applies changes; \
             what is established stays.",
        );
    page.heading("CONFIG SETUP");
    entries(&mut page, "", reference::SETUP);
    page.heading("CONN");
    entries(&mut page, "", reference::CONN);
    page.heading("ENDS OF A CONN")
        .text("Each of these has two forms, with left and with right before it.");
    entries(&mut page, "left|right", reference::SIDES);
    page.heading("EXAMPLE")
        .lines(&example("ipsec.conf")?.replace("auto = add", "auto = start"));
    page.see_also("ipsec(8), ipsec.secrets(5), strongswan.conf(5)");
    Ok(page.rendered())
}

fn entries(page: &mut Page, before: &str, entries: &[Entry]) {
    for (name, default, about) in entries {
        let name = match before {
            "" => (*name).to_owned(),
            _ => format!("left{name}, right{name}"),
        };
        match *default {
            "" => page.term(&name, about),
            default => page.term(&name, &format!("{about} The default is {default}.")),
        };
    }
}

fn ipsec_secrets() -> Vec<u8> {
    let mut page = Page::new(
        "ipsec.secrets",
        "5",
        "pre-shared keys of connections in ipsec.conf",
    );
    page.heading("DESCRIPTION")
        .text(
            "Each line has the identities of those who share a secret, a colon, the kind, and the secret. A line without \
             identities is for everybody. Of several secrets that fit, the one that names more of the ends is used, and of those \
             the last. A # begins a comment, and include FILE takes in other files.",
        )
        .text(
            "A secret is text in double quotes, text without blanks, hexadecimal after 0x, or base64 after 0s. An identity with \
             blanks is put in quotes.",
        )
        .text(
            "Only PSK and EAP are kept. The file is read at the start and by ipsec rereadsecrets. If every user can read it the \
             daemon says so; chmod 600 /etc/ipsec.secrets closes it.",
        );
    page.heading("EXAMPLE").lines(
        "moon.strongswan.org carol.strongswan.org : PSK \"a long random text\"\n192.168.0.2 %any : PSK 0sq83vASNFZ4k=\n\
         \"C=CH, O=Example, CN=gw\" : PSK 0x00112233445566778899aabbccddeeff",
    );
    page.see_also("ipsec(8), ipsec.conf(5)");
    page.rendered()
}

fn swanctl_conf() -> Result<Vec<u8>, String> {
    let mut page = Page::new("swanctl.conf", "5", "connections, secrets and pools for swanctl");
    page.heading("DESCRIPTION")
        .text(
            "The file has sections, NAME { ... }, with keys, KEY = VALUE, and further sections in them. Lists have commas between \
             their items. A # begins a comment. include FILE takes in other files, also by wildcards.",
        )
        .text(
            "swanctl --load-all gives all of it to the daemon, and takes from it what the file no longer has. A mistake is reported \
             with file and line and costs what it is in. Proposals are strict: the default ones are used only if none is listed, \
             or where default is.",
        );
    let (shared, unlock) = (secrets(&SHARED), secrets(&UNLOCK));
    for (path, section) in [
        ("connections.<name>", Section::Connection),
        ("connections.<name>.local<suffix>", Section::Local),
        ("connections.<name>.remote<suffix>", Section::Remote),
        ("connections.<name>.local<suffix>.cert<suffix>", Section::Cert),
        ("connections.<name>.children.<name>", Section::Child),
        (&shared, Section::Shared),
        (&unlock, Section::Unlock),
        ("secrets.token<suffix>", Section::Token),
        ("pools.<name>", Section::Pool),
        ("authorities.<name>", Section::Authority),
    ] {
        page.heading(path);
        for (key, kind) in section.keys() {
            page.term(key, described(*kind));
        }
        if section == Section::Shared {
            page.term(
                "id<suffix>",
                "An identity of those who share the secret; any number of them.",
            );
        }
    }
    page.heading("EXAMPLE").lines(&example("swanctl/swanctl.conf")?);
    page.see_also("swanctl(8), strongswan.conf(5)");
    Ok(page.rendered())
}

/// Names of sections of `secrets`.
fn secrets(names: &[&str]) -> String {
    let names = names.iter().map(|name| format!("secrets.{name}<suffix>"));
    names.collect::<Vec<_>>().join(", ")
}

fn described(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "A text or a word.",
        Kind::Flag => "yes or no.",
        Kind::Number => "A number, decimal or with 0x.",
        Kind::Time => "A time in seconds, or with the suffix s, m, h or d.",
        Kind::Amount => "Octets, or with the suffix k, m or g.",
        Kind::List => "A list.",
        Kind::Files => "A list of files.",
    }
}

fn strongswan_conf() -> Result<Vec<u8>, String> {
    let mut page = Page::new("strongswan.conf", "5", "settings of the IKE daemon");
    page.heading("DESCRIPTION").text(
        "The file has sections, NAME { ... }, with keys, KEY = VALUE, and further sections in them. A # begins a comment. include \
         FILE takes in other files, also by wildcards. These are the settings with their defaults.",
    );
    page.heading("SETTINGS")
        .lines(&shipped("strongswan.d/charon.conf")?);
    page.see_also("ipsec(8), swanctl(8), ipsec.conf(5), swanctl.conf(5)");
    Ok(page.rendered())
}

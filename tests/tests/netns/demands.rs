//! What a connection demands of its peer, in files of both front ends and in both roles.
//!
//! The peer is a daemon that proves the right pre-shared key and nothing else.

mod secrets;
mod typos;

use std::fmt::Write;

use rcgen::{CertificateParams, DnType, KeyPair};
use xtask::host::Host;

use super::pair::{Pair, ask, hosts};

const CLASSICAL: &str = "aes256gcm16-sha512-x25519";
const ML_KEM: &str = "aes256gcm16-sha512-x25519-ke1_mlkem768";
const KYBER: &str = "aes256gcm16-sha512-x25519-ke1_kyber3";

/// What becomes of the peer.
#[derive(Clone, Copy)]
enum Outcome {
    /// An IKE_SA with these algorithms.
    Up(&'static str),
    /// No SA on either side. The demanding side logs the first text as responder, the second one as initiator.
    Refused(&'static str, &'static str),
}

/// One row of the matrix. A front end that cannot express the demand has no settings.
#[derive(Clone, Copy)]
struct Demand {
    name: &'static str,
    /// Keywords of ipsec.conf.
    ipsec: Option<&'static [&'static str]>,
    /// The rounds of the peer in swanctl.conf.
    swanctl: Option<&'static [&'static [&'static str]]>,
    /// The only proposal that is accepted.
    proposal: &'static str,
    /// The proposals of the peer.
    of_peer: &'static str,
    /// Whether the file begins with a connection for another peer at the same address that accepts a classical proposal.
    beside_open: bool,
    outcome: Outcome,
}

const PSK: Demand = Demand {
    name: "psk",
    ipsec: Some(&["rightauth=psk"]),
    swanctl: Some(&[&["auth = psk"]]),
    proposal: CLASSICAL,
    of_peer: CLASSICAL,
    beside_open: false,
    outcome: Outcome::Up("AES_GCM_16-256/PRF_HMAC_SHA2_512/CURVE_25519\n"),
};

/// A demand that is checked after the peer has authenticated, with the same words in both roles.
const fn unmet(
    name: &'static str,
    ipsec: Option<&'static [&'static str]>,
    swanctl: Option<&'static [&'static [&'static str]]>,
    words: &'static str,
) -> Demand {
    Demand {
        name,
        ipsec,
        swanctl,
        outcome: Outcome::Refused(words, words),
        ..PSK
    }
}

/// A demand for this proposal alone.
const fn strict(
    name: &'static str,
    proposal: &'static str,
    of_peer: &'static str,
    outcome: Outcome,
) -> Demand {
    Demand {
        name,
        proposal,
        of_peer,
        outcome,
        ..PSK
    }
}

const UP_WITH_ML_KEM: Outcome = Outcome::Up("AES_GCM_16-256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_ML_KEM_768\n");
const NO_PROPOSAL: Outcome = Outcome::Refused(
    "received proposals unacceptable",
    "received NO_PROPOSAL_CHOSEN notify error",
);
const PUBLIC_KEY: &str = "constraint requires public key authentication, but pre-shared key was used";
const ROUNDS: &str = "insufficient authentication rounds";
const AUTHORITY: &str = "constraint check failed: peer not authenticated by CA 'C=CH, O=Test, CN=CA'";

const DEMANDS: &[Demand] = &[
    // Controls: these come up.
    PSK,
    Demand {
        name: "any",
        ipsec: Some(&["rightauth=any"]),
        swanctl: Some(&[&["auth = any"]]),
        ..PSK
    },
    Demand {
        name: "unset",
        ipsec: None,
        swanctl: Some(&[&[]]),
        ..PSK
    },
    strict("mlkem768-with-mlkem768", ML_KEM, ML_KEM, UP_WITH_ML_KEM),
    Demand {
        beside_open: true,
        ..strict(
            "mlkem768-with-both-beside-open",
            ML_KEM,
            "aes256gcm16-sha512-x25519-ke1_mlkem768,aes256gcm16-sha512-x25519",
            UP_WITH_ML_KEM,
        )
    },
    // Classes and methods.
    unmet("default-authby", Some(&[]), None, PUBLIC_KEY),
    unmet(
        "pubkey",
        Some(&["rightauth=pubkey"]),
        Some(&[&["auth = pubkey"]]),
        PUBLIC_KEY,
    ),
    unmet(
        "signature",
        Some(&["rightauth=ecdsa-sha384"]),
        Some(&[&["auth = ecdsa-sha384"]]),
        PUBLIC_KEY,
    ),
    unmet(
        "eap",
        Some(&["rightauth=eap"]),
        Some(&[&["auth = eap"]]),
        "constraint requires EAP authentication, but pre-shared key was used",
    ),
    unmet(
        "eap-mschapv2",
        Some(&["rightauth=eap-mschapv2"]),
        Some(&[&["auth = eap-mschapv2"]]),
        "constraint requires EAP_MSCHAPV2, but pre-shared key was used",
    ),
    unmet(
        "eap-identity",
        None,
        Some(&[&["auth = psk", "eap_id = dave"]]),
        "constraint check failed: EAP identity 'dave' (ID_FQDN) required",
    ),
    // A second round.
    unmet(
        "psk-and-eap",
        Some(&["rightauth=psk", "rightauth2=eap-mschapv2"]),
        Some(&[&["auth = psk"], &["auth = eap-mschapv2"]]),
        ROUNDS,
    ),
    unmet(
        "psk-and-pubkey",
        Some(&["rightauth=psk", "rightauth2=pubkey"]),
        Some(&[&["auth = psk"], &["auth = pubkey"]]),
        ROUNDS,
    ),
    unmet(
        "psk-and-psk",
        Some(&["rightauth=psk", "rightauth2=psk"]),
        Some(&[&["auth = psk"], &["auth = psk"]]),
        ROUNDS,
    ),
    // Other constraints of a round.
    unmet(
        "group",
        Some(&["rightauth=psk", "rightgroups=admins"]),
        Some(&[&["auth = psk", "groups = admins"]]),
        "constraint check failed: group membership to 'admins' required",
    ),
    unmet(
        "authority",
        Some(&["rightauth=psk", "rightca=\"C=CH, O=Test, CN=CA\""]),
        Some(&[&["auth = psk", "ca_id = \"C=CH, O=Test, CN=CA\""]]),
        AUTHORITY,
    ),
    unmet(
        "authority-file",
        None,
        Some(&[&["auth = psk", "cacerts = CERTIFICATE"]]),
        "constraint check failed: peer not authenticated by CA 'CN=only this one'",
    ),
    unmet(
        "certificate",
        Some(&["rightauth=psk", "rightcert=CERTIFICATE"]),
        None,
        "constraint check failed: peer not authenticated with peer cert '",
    ),
    unmet(
        "certificate-file",
        None,
        Some(&[&["auth = psk", "certs = CERTIFICATE"]]),
        "constraint check failed: peer not authenticated with peer cert 'CN=only this one'",
    ),
    unmet(
        "policy",
        Some(&["rightauth=psk", "rightcertpolicy=1.2.3"]),
        Some(&[&["auth = psk", "cert_policy = 1.2.3"]]),
        "constraint requires cert policy 1.2.3",
    ),
    unmet(
        "revocation",
        None,
        Some(&[&["auth = psk", "revocation = strict"]]),
        "constraint check failed: RULE_CRL_VALIDATION is FAILED, but requires at least GOOD",
    ),
    // Additional key exchanges.
    strict("mlkem768", ML_KEM, CLASSICAL, NO_PROPOSAL),
    strict("kyber3", KYBER, CLASSICAL, NO_PROPOSAL),
    Demand {
        beside_open: true,
        ..strict(
            "mlkem768-beside-open",
            ML_KEM,
            CLASSICAL,
            Outcome::Refused(
                "ignore candidate 'mlkem768-beside-open' without matching IKE proposal",
                "received NO_PROPOSAL_CHOSEN notify error",
            ),
        )
    },
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    Responder,
    Initiator,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum FrontEnd {
    Ipsec,
    Swanctl,
}

/// An end of the tunnel.
struct End {
    address: &'static str,
    id: &'static str,
    network: &'static str,
}

const MOON: End = End {
    address: "192.168.0.2",
    id: "moon.test",
    network: "10.1.0.0/16",
};
const CAROL: End = End {
    address: "192.168.0.3",
    id: "carol.test",
    network: "10.3.0.0/16",
};

impl Demand {
    fn is_of(&self, front_end: FrontEnd) -> bool {
        match front_end {
            FrontEnd::Ipsec => self.ipsec.is_some(),
            FrontEnd::Swanctl => self.swanctl.is_some(),
        }
    }

    /// The connection of the peer. The demanding side satisfies it.
    fn of_the_other_side(&self) -> Self {
        Self {
            name: "peer",
            proposal: self.of_peer,
            ..PSK
        }
    }

    fn ipsec_conf(&self, own: &End, peer: &End, certificate: &str) -> String {
        let conn = |name: &str, id: &str, proposal: &str, keywords: &[&str]| {
            format!(
                "conn {name}\n    left={}\n    leftid={}\n    leftsubnet={}\n    leftauth=psk\n    right={}\n    \
                 rightid={id}\n    rightsubnet={}\n    keyexchange=ikev2\n    keyingtries=1\n    ike={proposal}!\n    \
                 esp=aes256gcm16!\n    auto=add\n    {}\n\n",
                own.address,
                own.id,
                own.network,
                peer.address,
                peer.network,
                keywords.join("\n    ")
            )
        };
        let mut text = String::new();
        if self.beside_open {
            text += &conn("open", "dave.test", CLASSICAL, &["rightauth=psk"]);
        }
        text += &conn(self.name, peer.id, self.proposal, self.ipsec.unwrap_or_default());
        text.replace("CERTIFICATE", certificate)
    }

    fn swanctl_conf(&self, own: &End, peer: &End, certificate: &str) -> String {
        let connection = |name: &str, id: &str, proposal: &str, rounds: &[&[&str]]| {
            let rounds = rounds.iter().enumerate().map(|(number, settings)| {
                let id = if number == 0 {
                    format!("id = {id}")
                } else {
                    String::new()
                };
                format!("remote-{number} {{\n{id}\n{}\n}}\n", settings.join("\n"))
            });
            format!(
                "{name} {{\nlocal_addrs = {}\nremote_addrs = {}\nproposals = {proposal}\nlocal {{\nauth = psk\nid = \
                 {}\n}}\n{}children {{\n{name} {{\nlocal_ts = {}\nremote_ts = {}\nesp_proposals = aes256gcm16\n}}\n}}\n}}\n",
                own.address,
                peer.address,
                own.id,
                rounds.collect::<String>(),
                own.network,
                peer.network,
            )
        };
        let mut text = String::new();
        if self.beside_open {
            text += &connection("open", "dave.test", CLASSICAL, &[&["auth = psk"]]);
        }
        text += &connection(
            self.name,
            peer.id,
            self.proposal,
            self.swanctl.unwrap_or_default(),
        );
        format!("connections {{\n{text}}}\n").replace("CERTIFICATE", certificate)
    }
}

/// Replaces the connections of a host. Returns once the daemon has loaded them.
fn load(host: &Host, front_end: FrontEnd, demand: &Demand, ends: (&End, &End)) -> Result<(), String> {
    let certificate = host.path("certificate.pem").display().to_string();
    match front_end {
        FrontEnd::Ipsec => {
            let skip = host.read("charon.log").len();
            host.write("ipsec.conf", &demand.ipsec_conf(ends.0, ends.1, &certificate))?;
            host.succeed("ipsec update")?;
            host.wait_for_log(skip, &format!("added configuration '{}'", demand.name))
        }
        FrontEnd::Swanctl => {
            host.write("swanctl.conf", &demand.swanctl_conf(ends.0, ends.1, &certificate))?;
            let file = host.path("swanctl.conf").display().to_string();
            host.succeed(&format!("swanctl --load-all --file {file}"))
                .map(drop)
        }
    }
}

/// Initiates a connection. Returns whether it is established, and the output of the command.
fn initiate(host: &Host, front_end: FrontEnd, name: &str) -> Result<(bool, String), String> {
    let (line, success) = match front_end {
        FrontEnd::Ipsec => (
            format!("ipsec up {name}"),
            format!("connection '{name}' established successfully"),
        ),
        FrontEnd::Swanctl => (
            format!("swanctl --initiate --child {name}"),
            "initiate completed successfully".to_owned(),
        ),
    };
    let said = host.run(&line)?.text;
    Ok((said.contains(&success), said))
}

/// Checks that neither host has an IKE_SA in any state, and so no CHILD_SA.
fn nothing(pair: &Pair) -> Result<(), String> {
    for host in [&pair.moon, &pair.carol] {
        for line in ["swanctl --list-sas", "ipsec status"] {
            let said = host.succeed(line)?;
            if !said.is_empty() && !said.contains("Security Associations (0 up, 0 connecting):\n  none") {
                return Err(format!("{} has an SA:\n{said}", host.name));
            }
        }
    }
    Ok(())
}

/// One cell of the matrix. The error is what does not hold.
fn cell(pair: &Pair, role: Role, front_end: FrontEnd, demand: &Demand) -> Result<String, String> {
    let hosts = [(&pair.moon, &MOON), (&pair.carol, &CAROL)];
    let [demanding, other] = match role {
        Role::Responder => hosts,
        Role::Initiator => [hosts[1], hosts[0]],
    };
    let skips = [
        demanding.0.read("charon.log").len(),
        pair.moon.read("charon.log").len(),
    ];
    let of_peer = demand.of_the_other_side();
    load(other.0, FrontEnd::Swanctl, &of_peer, (other.1, demanding.1))?;
    load(demanding.0, front_end, demand, (demanding.1, other.1))?;
    let (is_up, said) = match role {
        Role::Responder => initiate(&pair.carol, FrontEnd::Swanctl, of_peer.name)?,
        Role::Initiator => initiate(&pair.carol, front_end, demand.name)?,
    };
    let sas = demanding.0.succeed("swanctl --list-sas")?;
    let outcome = match demand.outcome {
        Outcome::Up(_) if !is_up => Err(format!("it is not established:\n{said}")),
        Outcome::Up(_) if !sas.starts_with(&format!("{}: ", demand.name)) => {
            Err(format!("another connection is used:\n{sas}"))
        }
        Outcome::Up(algorithms) if !sas.contains(algorithms) => Err(format!("other algorithms:\n{sas}")),
        Outcome::Up(algorithms) => Ok(format!("up, {}", algorithms.trim_end())),
        Outcome::Refused(..) if is_up => Err(format!("it is established:\n{sas}")),
        Outcome::Refused(as_responder, as_initiator) => {
            let words = match role {
                Role::Responder => as_responder,
                Role::Initiator => as_initiator,
            };
            demanding.0.wait_for_log(skips[0], words)?;
            // A responder keeps the IKE_SA until the initiator reports the failure.
            if role == Role::Initiator && words != "received NO_PROPOSAL_CHOSEN notify error" {
                let told = "received AUTHENTICATION_FAILED notify error";
                pair.moon.wait_for_log(skips[1], told)?;
            }
            Ok(format!("refused: {words}"))
        }
    };
    if is_up {
        let name = sas.split(':').next().unwrap_or_default();
        demanding
            .0
            .succeed(&format!("swanctl --terminate --ike {name}"))?;
    }
    outcome.and_then(|text| nothing(pair).map(|()| text))
}

/// Writes the certificate that only the demanding side knows.
fn write_certificate(host: &Host) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "only this one");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    host.write("certificate.pem", &certificate.pem()).unwrap();
}

/// Two hosts without connections and with these secrets. Neither limits how many IKE_SAs the other begins.
fn empty(secrets: &str) -> Option<Pair> {
    let pair = hosts()?;
    for host in [&pair.moon, &pair.carol] {
        host.write("ipsec.conf", "").unwrap();
        host.write("ipsec.secrets", secrets).unwrap();
        host.set("charon {\n dos_protection = no\n}\n").unwrap();
    }
    Some(pair)
}

/// All cells of a role and a front end.
fn matrix(role: Role, front_end: FrontEnd) {
    let Some(pair) = empty(": PSK \"known on both hosts\"\n") else {
        return;
    };
    write_certificate(&pair.moon);
    write_certificate(&pair.carol);
    pair.start();
    let (mut table, mut problems) = (String::new(), String::new());
    for demand in DEMANDS.iter().filter(|demand| demand.is_of(front_end)) {
        let marks = [&pair.moon, &pair.carol].map(|host| (host, host.read("charon.log").len()));
        let outcome = cell(&pair, role, front_end, demand);
        let name = demand.name;
        let shown = outcome.as_deref().unwrap_or("FAILED");
        let _ = writeln!(table, "| {name} | {role:?} | {front_end:?} | {shown} |");
        if let Err(why) = outcome {
            let _ = writeln!(problems, "{name}: {why}");
            for (host, mark) in marks {
                let log = host.read("charon.log");
                let log = log.get(mark..).unwrap_or_default();
                let _ = writeln!(problems, "--- {}\n{log}", host.name);
            }
        }
    }
    println!("{table}");
    assert!(problems.is_empty(), "{table}\n{problems}");
}

#[test]
fn a_responder_of_ipsec_conf_gets_what_it_demands_or_has_no_sa() {
    matrix(Role::Responder, FrontEnd::Ipsec);
}

#[test]
fn an_initiator_of_ipsec_conf_gets_what_it_demands_or_has_no_sa() {
    matrix(Role::Initiator, FrontEnd::Ipsec);
}

#[test]
fn a_responder_of_swanctl_conf_gets_what_it_demands_or_has_no_sa() {
    matrix(Role::Responder, FrontEnd::Swanctl);
}

#[test]
fn an_initiator_of_swanctl_conf_gets_what_it_demands_or_has_no_sa() {
    matrix(Role::Initiator, FrontEnd::Swanctl);
}

/// A gateway with a connection for a site, which shares a key with it, and one for administrators, which demands more. The
/// peer knows the key of the site.
fn mixed_gateway(front_end: FrontEnd) {
    let Some(pair) = empty("moon.test site@test : PSK \"of the site\"\n") else {
        return;
    };
    let secret = ": PSK \"of the site\"\n";
    pair.carol.write("ipsec.secrets", secret).unwrap();
    let admins = Demand {
        name: "admins",
        ipsec: Some(&["rightauth=pubkey"]),
        swanctl: Some(&[&["auth = pubkey"]]),
        ..PSK
    };
    let site = Demand { name: "site", ..PSK };
    let as_peer = |id| End { id, ..CAROL };
    let conns = [(&site, "site@test"), (&admins, "*@admins.test")];
    let (file, text) = match front_end {
        FrontEnd::Ipsec => (
            "ipsec.conf",
            conns.map(|(demand, id)| demand.ipsec_conf(&MOON, &as_peer(id), "")),
        ),
        FrontEnd::Swanctl => (
            "swanctl.conf",
            conns.map(|(demand, id)| demand.swanctl_conf(&MOON, &as_peer(id), "")),
        ),
    };
    pair.moon.write(file, &text.concat()).unwrap();
    pair.start();
    if front_end == FrontEnd::Swanctl {
        let file = pair.moon.path("swanctl.conf").display().to_string();
        let said = ask(&pair.moon, &format!("swanctl --load-conns --file {file}"));
        pair.expect(&said, "successfully loaded 2 connections, 0 unloaded");
    }
    let initiate_as = |id| {
        let peer = Demand { name: "peer", ..PSK };
        load(&pair.carol, FrontEnd::Swanctl, &peer, (&as_peer(id), &MOON)).unwrap();
        initiate(&pair.carol, FrontEnd::Swanctl, "peer").unwrap()
    };
    let (is_up, said) = initiate_as("root@admins.test");
    assert!(!is_up, "{said}");
    for text in [
        "selected peer config 'admins'",
        "constraint requires public key authentication, but pre-shared key was used",
        "selected peer config 'admins' unacceptable: constraint checking failed",
        "no alternative config found",
    ] {
        pair.expect_logged(&pair.moon, 0, text);
    }
    nothing(&pair).unwrap();
    let said = pair.carol.run("ping -c 1 -W 1 10.1.0.2").unwrap();
    assert_ne!(said.code, Some(0), "{}", said.text);
    let (is_up, said) = initiate_as("site@test");
    assert!(is_up, "{said}");
    pair.ping();
    pair.expect(&ask(&pair.moon, "swanctl --list-sas"), "site: #");
}

#[test]
fn the_key_of_a_site_does_not_prove_an_administrator_in_ipsec_conf() {
    mixed_gateway(FrontEnd::Ipsec);
}

#[test]
fn the_key_of_a_site_does_not_prove_an_administrator_in_swanctl_conf() {
    mixed_gateway(FrontEnd::Swanctl);
}

//! The other cipher suites of the walk-through, and rekeying.

use super::{Demo, says, sizes};
use crate::run;

/// The plugins of the walk-through's own hosts, as strongSwan names them.
const THEIR_LIST: &str = "aes des rc2 sha2 sha1 md5 mgf1 random nonce x509 revocation constraints pubkey pkcs1 pkcs7 pkcs8 \
                          pkcs12 pgp dnskey sshkey pem fips-prf gmp curve25519 xcbc cmac hmac gcm ntru oqs drbg attr \
                          kernel-netlink resolve socket-default stroke vici updown xauth-generic counters";

/// A connection of the walk-through, with what carol sends.
struct Tunnel {
    name: &'static str,
    proposal: &'static str,
    /// All messages both ways until it is up, in order.
    up: Vec<usize>,
    /// What she sends to rekey its CHILD_SA, and its IKE_SA.
    child: Vec<usize>,
    ike: Vec<usize>,
}

/// A message of so many octets in fragments.
fn fragments(full: usize, last: usize) -> Vec<usize> {
    [vec![1448; full], vec![last]].concat()
}

fn tunnels() -> [Tunnel; 3] {
    let flat = |parts: &[&[usize]]| parts.concat();
    [
        Tunnel {
            name: "Tunnel1",
            proposal: "CURVE_25519/KE1_KYBER_L3",
            up: vec![724, 276, 1249, 1153, 464, 272],
            child: vec![389, 1258, 69],
            ike: vec![661, 1258, 65],
        },
        Tunnel {
            name: "Tunnel2",
            proposal: "CURVE_25519/KE1_KYBER_L3/KE2_NTRU_HPS_L3/KE3_SABER_L3",
            up: vec![284, 292, 1249, 1153, 995, 995, 1057, 1153, 320, 272],
            child: vec![261, 1258, 1004, 1066, 69],
            ike: vec![205, 1258, 1004, 1066, 65],
        },
        Tunnel {
            name: "Tunnel3",
            proposal: "MODP_3072/KE1_FRODO_AES_L3/KE2_SIKE_L3",
            up: flat(&[
                &[628, 636],
                &fragments(11, 444),
                &fragments(11, 556),
                &[527, 551, 320, 272],
            ]),
            child: flat(&[&[605], &fragments(11, 453), &[536, 69]]),
            ike: flat(&[&[549], &fragments(11, 453), &[536, 65]]),
        },
    ]
}

impl Demo {
    /// Each tunnel is brought up, used, rekeyed, used, and taken down.
    pub(super) fn walk_on(&self) -> Result<(), String> {
        for host in [&self.moon, &self.carol] {
            // SIKE is broken, so that nothing but its name in a list loads it.
            println!("{}: charon.load_extra = sike", host.name);
            host.set("charon {\n    load_extra = sike\n}")?;
            println!("{}# ipsec start", host.name);
            println!("{}", host.start()?);
        }
        for tunnel in tunnels() {
            self.walk_through(&tunnel)?;
        }
        self.stop()
    }

    /// The same with the list of the walk-through's own hosts, which `ipsec statusall` then shows.
    pub(super) fn walk_with_their_list(&self) -> Result<(), String> {
        for host in [&self.moon, &self.carol] {
            println!("{}: charon.load = {THEIR_LIST}", host.name);
            host.set(&format!("charon {{\n    load = {THEIR_LIST}\n}}"))?;
            println!("{}# ipsec start", host.name);
            println!("{}", host.start()?);
            let shown = format!("loaded plugins: charon {THEIR_LIST}\n");
            says(host, "ipsec statusall", &[&shown])?;
            let log = host.read("charon.log");
            let choice = log.lines().find(|line| line.contains("IPsec by plugin"));
            println!("{}", choice.unwrap_or("the log does not say whose IPsec is used"));
        }
        for tunnel in tunnels() {
            self.walk_through(&tunnel)?;
        }
        self.stop()
    }

    /// The first two tunnels with the Kyber of the walk-through's own day, whose messages are as long.
    pub(super) fn walk_with_the_second_rounds_kyber(&self) -> Result<(), String> {
        for host in [&self.moon, &self.carol] {
            println!("{}: charon.kyber_generation = round2", host.name);
            host.set("charon {\n    kyber_generation = round2\n}")?;
            println!("{}# ipsec start", host.name);
            println!("{}", host.start()?);
        }
        for tunnel in &tunnels()[..2] {
            self.walk_through(tunnel)?;
        }
        self.stop()
    }

    fn walk_through(&self, tunnel: &Tunnel) -> Result<(), String> {
        let Tunnel { name, proposal, .. } = tunnel;
        let selected = format!("selected proposal: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/{proposal}");
        let established = format!("connection '{name}' established successfully");
        let up = says(
            &self.carol,
            &format!("ipsec up {name}"),
            &[&selected, &established],
        )?;
        same(name, "to come up", &sizes(&up, "packet: from "), &tunnel.up)?;
        let ping = || says(&self.carol, "ping -c 2 10.1.0.2", &["2 received, 0% packet loss"]);
        ping()?;
        let rekeyed = self.rekey(&format!("{name}{{}}"), "CHILD_SA closed")?;
        same(name, "to rekey its CHILD_SA", &rekeyed, &tunnel.child)?;
        ping()?;
        let rekeyed = self.rekey(&format!("{name}[]"), "IKE_SA deleted")?;
        same(name, "to rekey its IKE_SA", &rekeyed, &tunnel.ike)?;
        ping()?;
        says(
            &self.carol,
            &format!("ipsec down {name}"),
            &["closed successfully"],
        )?;
        Ok(())
    }

    /// Rekeys, shows what carol logs until the old SA is gone, and returns the lengths of what she sent.
    fn rekey(&self, target: &str, last: &str) -> Result<Vec<usize>, String> {
        run::check()?;
        let skip = self.carol.read("charon.log").len();
        let line = format!("ipsec stroke rekey {target}");
        println!("carol# {line}");
        self.carol.succeed(&line)?;
        self.carol.wait_for_log(skip, last)?;
        let log = self.carol.read("charon.log").split_off(skip);
        println!("{log}");
        Ok(sizes(&log, "sending packet: from "))
    }
}

fn same(name: &str, what: &str, seen: &[usize], expected: &[usize]) -> Result<(), String> {
    if seen == expected {
        return Ok(());
    }
    Err(format!(
        "{name} should take messages of {expected:?} octets {what}, and took {seen:?}"
    ))
}

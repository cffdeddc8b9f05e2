//! Extensions that a connection has to ask for: childless IKE_SAs (RFC 6023), post-quantum preshared keys (RFC 8784),
//! redirection (RFC 5685); and CHILD_SAs that are closed for inactivity.

use super::cells::{CHILD_CLOSED, refused, rekey_child, rekey_ike, wait_or};
use super::pair::{Pair, Side, expect};
use super::scenario::{Run, SIDES};
use super::setup::{PSK, Setup, proposals};

type Result = std::result::Result<(), String>;

const PPK_ID: &str = "quantum";
const PPK: &str = "0x7e0f7aad1c5bf0ca4c3a5d1e9b3c2f60";

/// What a side has in its connection besides the addresses, identities and proposals.
#[derive(Clone, Copy, Default)]
struct Keys {
    connection: &'static str,
    child: &'static str,
    /// Its post-quantum preshared key.
    ppk: Option<&'static str>,
}

/// What both have.
#[derive(Clone, Copy, Default)]
struct Both {
    initiator: Keys,
    responder: Keys,
}

fn other(side: Side) -> Side {
    match side {
        Side::Us => Side::Them,
        Side::Them => Side::Us,
    }
}

/// The outer address, identity and network of a side.
fn end(side: Side) -> (&'static str, &'static str, &'static str) {
    match side {
        Side::Us => ("192.168.0.3", "carol.strongswan.org", "10.3.0.0/16"),
        Side::Them => ("192.168.0.2", "moon.strongswan.org", "10.1.0.0/16"),
    }
}

/// Another outer address of a side.
fn second_address(side: Side) -> &'static str {
    match side {
        Side::Us => "192.168.0.6",
        Side::Them => "192.168.0.5",
    }
}

fn conf(side: Side, name: &str, proposal: &str, keys: Keys) -> String {
    let (_, id, net) = end(side);
    let (peer, peer_id, peer_net) = end(other(side));
    let ppk = keys.ppk.map_or_else(String::new, |ppk| {
        format!(" ppk-1 {{\n  id-1 = {PPK_ID}\n  secret = {ppk}\n }}\n")
    });
    format!(
        "connections {{\n {name} {{\n  version = 2\n  remote_addrs = {peer}\n  proposals = {proposal}\n  mobike = no\n  \
         keyingtries = 1\n  {}\n  local {{\n   auth = psk\n   id = {id}\n  }}\n  remote {{\n   auth = psk\n   id = \
         {peer_id}\n  }}\n  children {{\n   {name} {{\n    local_ts = {net}\n    remote_ts = {peer_net}\n    \
         esp_proposals = {proposal}\n    {}\n   }}\n  }}\n }}\n}}\nsecrets {{\n ike-1 {{\n  id-1 = \
         moon.strongswan.org\n  id-2 = carol.strongswan.org\n  secret = \"{PSK}\"\n }}\n{ppk}}}\n",
        keys.connection, keys.child
    )
}

impl Run<'_> {
    /// The cells of this module.
    pub(crate) fn extensions(&mut self) {
        self.childless();
        self.ppks();
        for (side, who) in SIDES {
            self.extension(
                &format!("inactivity noticed by {who}"),
                idle(self.initiator, side),
                |pair| inactive(pair, side),
            );
        }
        self.renew("");
        self.extension("established IKE_SA is redirected", Both::default(), redirect);
        self.renew("");
        if self.initiator == Side::Them {
            self.renew(&format!("redirect_to = {}", second_address(Side::Us)));
            self.extension("redirect in IKE_SA_INIT", Both::default(), newcomer_redirected);
            let settings = format!(
                "redirect_to = {}\n redirect_authenticated = yes",
                second_address(Side::Us)
            );
            self.renew(&settings);
            let name = "redirect in IKE_AUTH";
            if self.peer.suite == "bookworm" {
                // It starts over, and sends nothing.
                self.skip(
                    name,
                    "strongSwan 5.9.8 does not initiate again after a redirect in IKE_AUTH",
                );
            } else {
                self.extension(name, Both::default(), newcomer_redirected);
            }
        }
    }

    fn childless(&mut self) {
        let policy = |initiator, responder| Both {
            initiator: Keys {
                connection: initiator,
                ..Keys::default()
            },
            responder: Keys {
                connection: responder,
                ..Keys::default()
            },
        };
        let (allow, force, never) = ("childless = allow", "childless = force", "childless = never");
        self.extension("childless: force with allow", policy(force, allow), childless);
        self.extension("childless: force with force", policy(force, force), childless);
        self.extension("childless: IKE_SA alone", policy(allow, allow), ike_alone);
        self.extension("childless: force with never", policy(force, never), |pair| {
            let mark = pair.mark();
            refused(pair)?;
            let text = "peer does not support childless IKE_SA initiation";
            pair.wait(mark, pair.initiator, text)
        });
        self.renew("");
        self.extension(
            "childless: allow with force",
            policy(allow, force),
            refused_by_both,
        );
        self.renew("");
    }

    fn ppks(&mut self) {
        let required = Keys {
            connection: "ppk_id = quantum\n  ppk_required = yes",
            ppk: Some(PPK),
            ..Keys::default()
        };
        let both = Both {
            initiator: required,
            responder: required,
        };
        self.extension("PPK", both, |pair| {
            let mark = pair.mark();
            pair.up(pair.initiator)?;
            pair.tunnel = true;
            for side in [Side::Us, Side::Them] {
                pair.wait(mark, side, &format!("using PPK for PPK_ID '{PPK_ID}'"))?;
            }
            pair.expect_sas(1, 1)?;
            pair.ping()
        });
        for (side, who) in SIDES {
            self.extension(&format!("PPK: rekey CHILD_SA from {who}"), both, |pair| {
                pair.up(pair.initiator)?;
                pair.tunnel = true;
                rekey_child(pair, side)
            });
            self.extension(&format!("PPK: rekey IKE_SA from {who}"), both, |pair| {
                pair.up(pair.initiator)?;
                pair.tunnel = true;
                rekey_ike(pair, side)
            });
        }
        let another = Keys {
            ppk: Some("0x00112233445566778899aabbccddeeff"),
            ..required
        };
        self.renew("");
        let wrong = Both {
            initiator: another,
            ..both
        };
        self.extension("PPK: another one", wrong, refused_by_both);
        self.renew("");
        let optional = Keys {
            connection: "ppk_id = quantum",
            ..required
        };
        let alone = Both {
            initiator: optional,
            responder: Keys::default(),
        };
        self.extension("PPK: optional, peer has none", alone, |pair| {
            let mark = pair.mark();
            pair.up(pair.initiator)?;
            pair.tunnel = true;
            pair.expect_sas(1, 1)?;
            for side in [Side::Us, Side::Them] {
                if pair.since(mark, side).contains("using PPK for") {
                    return Err(format!("{side:?} used a PPK that the responder has not"));
                }
            }
            pair.ping()
        });
        let lonely = Both {
            initiator: required,
            responder: Keys::default(),
        };
        self.extension("PPK: required, peer has none", lonely, |pair| {
            let mark = pair.mark();
            let said = pair.initiate(pair.initiator)?;
            if said.contains("successfully") {
                return Err(format!("it came up:\n{said}"));
            }
            pair.wait(mark, pair.initiator, "PPK required but")
        });
        self.renew("");
    }

    /// A cell that starts with this connection and no SA.
    fn extension(&mut self, name: &str, both: Both, check: impl FnOnce(&mut Pair) -> Result) {
        let (proposal, initiator) = (proposals(&self.peer.suite)[0], self.initiator);
        self.run(name, &Setup::new(proposal), |pair| {
            pair.configure_both(proposal, |side, name| {
                let keys = if side == initiator {
                    both.initiator
                } else {
                    both.responder
                };
                conf(side, name, proposal, keys)
            })?;
            check(pair)
        });
    }
}

/// IKE_AUTH makes no CHILD_SA, which comes by a CREATE_CHILD_SA.
fn childless(pair: &mut Pair) -> Result {
    let mark = pair.mark();
    pair.up(pair.initiator)?;
    pair.tunnel = true;
    pair.expect_sas(1, 1)?;
    pair.wait(mark, pair.initiator, "generating CREATE_CHILD_SA request")?;
    let log = pair.since(mark, pair.initiator);
    let auth = log
        .lines()
        .find(|line| line.contains("generating IKE_AUTH request"));
    if auth.is_none_or(|line| line.contains(" TSi ")) {
        return Err(format!("IKE_AUTH asked for a CHILD_SA: {auth:?}"));
    }
    pair.ping()
}

/// The IKE_SA is all that was asked for; a CHILD_SA can come later.
fn ike_alone(pair: &mut Pair) -> Result {
    let said = pair.swanctl_of(
        pair.initiator,
        &format!("--initiate --ike {} --timeout 30", pair.name),
    )?;
    expect(&said, "initiate completed successfully")?;
    pair.tunnel = true;
    pair.expect_sas(1, 0)?;
    pair.up(pair.initiator)?;
    pair.expect_sas(1, 1)?;
    pair.ping()
}

/// The responder refuses in IKE_AUTH, and nothing is left on either side.
fn refused_by_both(pair: &mut Pair) -> Result {
    let said = pair.initiate(pair.initiator)?;
    if said.contains("successfully") {
        return Err(format!("it came up:\n{said}"));
    }
    pair.until("no SA on either side", || pair.expect_sas(0, 0).ok())
}

/// The connection of which one side closes what is idle.
fn idle(initiator: Side, side: Side) -> Both {
    let keys = Keys {
        child: "inactivity = 2s",
        ..Keys::default()
    };
    if side == initiator {
        Both {
            initiator: keys,
            responder: Keys::default(),
        }
    } else {
        Both {
            initiator: Keys::default(),
            responder: keys,
        }
    }
}

/// A side closes the CHILD_SA that nobody uses; the IKE_SA stays, and takes another.
fn inactive(pair: &mut Pair, side: Side) -> Result {
    for _ in 0..2 {
        let mark = pair.mark();
        pair.up(pair.initiator)?;
        pair.tunnel = true;
        pair.wait(mark, side, "deleting CHILD_SA after 2 seconds of inactivity")?;
        for side in [Side::Us, Side::Them] {
            wait_or(pair, mark, side, &CHILD_CLOSED, &[])?;
        }
        pair.expect_sas(1, 0)?;
    }
    Ok(())
}

/// Gives the responder its second address.
fn add_address(pair: &Pair) -> std::result::Result<&'static str, String> {
    let side = other(pair.initiator);
    let namespace = match side {
        Side::Us => &pair.ours.namespace,
        Side::Them => &pair.theirs.namespace,
    };
    let address = second_address(side);
    namespace.ip(&format!("addr add {address}/24 dev eth0"))?;
    Ok(address)
}

/// There is one tunnel, and it is with this address of the responder.
fn moved(pair: &mut Pair, address: &str) -> Result {
    pair.tunnel = true;
    pair.until("tunnel with the other gateway", || {
        let status = pair.ours.succeed("ipsec status").ok()?;
        (status.contains(&format!("{address}[")) && pair.expect_sas(1, 1).is_ok()).then_some(())
    })?;
    pair.ping()
}

/// The responder sends the initiator to its other address.
fn redirect(pair: &mut Pair) -> Result {
    let address = add_address(pair)?;
    pair.up(pair.initiator)?;
    pair.tunnel = true;
    pair.ping()?;
    let mark = pair.mark();
    let line = format!("--redirect --ike {} --gateway {address}", pair.name);
    expect(
        &pair.swanctl_of(other(pair.initiator), &line)?,
        "redirect completed successfully",
    )?;
    pair.wait(mark, pair.initiator, "N(REDIR)")?;
    moved(pair, address)
}

/// We send whoever comes to our other address.
fn newcomer_redirected(pair: &mut Pair) -> Result {
    let address = add_address(pair)?;
    let mark = pair.mark();
    pair.initiate(pair.initiator)?;
    pair.wait(mark, pair.initiator, "N(REDIR)")?;
    moved(pair, address)
}

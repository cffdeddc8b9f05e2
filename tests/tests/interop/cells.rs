//! What is done with a tunnel, and what must come of it.

use super::pair::{Mark, Pair, Side, expect};
use super::setup::{OUR_PSK, VIRTUAL_IP};

type Result = std::result::Result<(), String>;

/// A tunnel comes up, both say the same of its proposal, and it carries pings.
pub(crate) fn establish(pair: &mut Pair) -> Result {
    let mark = pair.mark();
    pair.up(pair.initiator)?;
    pair.tunnel = true;
    agree(pair, mark, "IKE")?;
    pair.expect_sas(1, 1)?;
    pair.ping()
}

/// Both selected the same proposal, with all additional key exchanges.
fn agree(pair: &Pair, mark: Mark, protocol: &str) -> Result {
    let text = format!("selected proposal: {protocol}:");
    let selected = |side| {
        pair.wait(mark, side, &text)?;
        let log = pair.since(mark, side);
        let line = log.rsplit(&text).next().and_then(|rest| rest.lines().next());
        line.map(str::to_owned).ok_or("an empty log".to_owned())
    };
    let (ours, theirs) = (selected(Side::Us)?, selected(Side::Them)?);
    if ours == theirs && ours.matches("/KE").count() == pair.additional {
        Ok(())
    } else {
        Err(format!(
            "we selected {ours}, they {theirs}, of {} additional key exchanges",
            pair.additional
        ))
    }
}

/// IKE_AUTH announced MOBIKE in both directions, or in neither.
pub(crate) fn mobike(pair: &mut Pair, on: bool) -> Result {
    let mark = pair.mark();
    establish(pair)?;
    pair.wait(mark, Side::Us, "IKE_AUTH response")?;
    let log = pair.since(mark, Side::Us);
    let said: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("N(MOBIKE_SUP)"))
        .collect();
    let both = ["generating IKE_AUTH", "parsed IKE_AUTH"]
        .iter()
        .all(|text| said.iter().any(|line| line.contains(text)));
    match (on, both, said.is_empty()) {
        (true, true, _) | (false, _, true) => Ok(()),
        _ => Err(format!("with MOBIKE {on}, it was announced in {said:?}")),
    }
}

/// The initiator is given an address, both agree on it, and it has it again when it returns.
pub(crate) fn virtual_ip(pair: &mut Pair) -> Result {
    let side = pair.initiator;
    let other = match side {
        Side::Us => Side::Them,
        Side::Them => Side::Us,
    };
    for how in ["new", "offline"] {
        let mark = pair.mark();
        establish(pair)?;
        pair.wait(mark, side, &format!("installing new virtual IP {VIRTUAL_IP}"))?;
        pair.wait(mark, other, &format!("assigning virtual IP {VIRTUAL_IP} to peer"))?;
        pair.wait(mark, other, &format!("{how} lease to"))?;
        if side == Side::Us {
            pair.wait(mark, side, "installing DNS server 10.1.0.1")?;
        }
        if how == "new" {
            delete_ike(pair, side)?;
        }
    }
    Ok(())
}

/// The CHILD_SA is replaced, and its successor carries pings.
pub(crate) fn rekey_child(pair: &mut Pair, side: Side) -> Result {
    let mark = pair.mark();
    let name = &pair.name;
    match side {
        Side::Us => expect_silence(&pair.ours.succeed(&format!("stroke rekey {name}{{}}"))?)?,
        Side::Them => drop(pair.theirs.succeed(&format!("--rekey --child {name}"))?),
    }
    for side in [Side::Us, Side::Them] {
        wait_or(pair, mark, side, &CHILD_CLOSED, &CHILD_REFUSED)?;
    }
    agree(pair, mark, "ESP")?;
    pair.expect_sas(1, 1)?;
    pair.ping()
}

/// The IKE_SA is replaced, and its successor rekeys the CHILD_SA.
pub(crate) fn rekey_ike(pair: &mut Pair, side: Side) -> Result {
    let mark = pair.mark();
    let name = &pair.name;
    match side {
        Side::Us => expect_silence(&pair.ours.succeed(&format!("stroke rekey {name}[]"))?)?,
        Side::Them => drop(pair.theirs.succeed(&format!("--rekey --ike {name}"))?),
    }
    for texts in [&["rekeyed between"][..], &IKE_DELETED] {
        for side in [Side::Us, Side::Them] {
            wait_or(pair, mark, side, texts, &IKE_REFUSED)?;
        }
    }
    agree(pair, mark, "IKE")?;
    pair.expect_sas(1, 1)?;
    pair.ping()?;
    rekey_child(pair, side)
}

/// Both ends replace the CHILD_SA at once, and one successor is left.
pub(crate) fn rekey_child_at_once(pair: &mut Pair) -> Result {
    let before = pair.child()?;
    at_once(pair, "{}", "--child")?;
    pair.until("single successor of the CHILD_SA", || {
        let replaced = pair.child().is_ok_and(|child| child != before);
        (replaced && pair.expect_sas(1, 1).is_ok()).then_some(())
    })?;
    pair.ping()
}

/// Both ends replace the IKE_SA at once, and one successor is left.
pub(crate) fn rekey_ike_at_once(pair: &mut Pair) -> Result {
    let mark = pair.mark();
    at_once(pair, "[]", "--ike")?;
    for side in [Side::Us, Side::Them] {
        pair.wait(mark, side, "rekeyed between")?;
    }
    pair.until("single successor of the IKE_SA", || pair.expect_sas(1, 1).ok())?;
    pair.ping()?;
    rekey_child(pair, Side::Us)
}

fn at_once(pair: &Pair, ours: &str, theirs: &str) -> Result {
    let name = &pair.name;
    std::thread::scope(|scope| {
        let swanctl = scope.spawn(|| pair.theirs.succeed(&format!("--rekey {theirs} {name}")));
        let ours = pair.ours.succeed(&format!("stroke rekey {name}{ours}"));
        swanctl.join().map_err(|_| "swanctl's thread panicked")??;
        expect_silence(&ours?)
    })
}

/// A side asks whether the other is alive, and is answered.
pub(crate) fn dpd(pair: &mut Pair, side: Side) -> Result {
    establish(pair)?;
    let mark = pair.mark();
    let other = match side {
        Side::Us => Side::Them,
        Side::Them => Side::Us,
    };
    pair.wait(mark, other, "parsed INFORMATIONAL request")?;
    pair.wait(mark, side, "parsed INFORMATIONAL response")
}

/// Who initiated gets another address, and the other follows.
pub(crate) fn moves(pair: &mut Pair, side: Side) -> Result {
    establish(pair)?;
    let mark = pair.mark();
    let (namespace, old) = match side {
        Side::Us => (&pair.ours.namespace, "192.168.0.3/24"),
        Side::Them => (&pair.theirs.namespace, "192.168.0.2/24"),
    };
    // Not of the same network, or it would go with the first.
    namespace.ip("addr add 192.168.0.4/25 dev eth0")?;
    namespace.ip(&format!("addr del {old} dev eth0"))?;
    pair.wait(mark, Side::Us, "moving IKE_SA")?;
    // Their kernel-libipsec cannot move SAs, so they rekey.
    for side in [Side::Us, Side::Them] {
        wait_or(pair, mark, side, &CHILD_CLOSED, &CHILD_REFUSED)?;
    }
    pair.ping()
}

/// The CHILD_SA goes, the IKE_SA stays.
pub(crate) fn delete_child(pair: &mut Pair, side: Side) -> Result {
    let mark = pair.mark();
    let name = &pair.name;
    match side {
        Side::Us => drop(pair.ours.succeed(&format!("ipsec down {name}{{}}"))?),
        Side::Them => drop(pair.theirs.succeed(&format!("--terminate --child {name}"))?),
    }
    for side in [Side::Us, Side::Them] {
        wait_or(pair, mark, side, &CHILD_CLOSED, &[])?;
    }
    pair.expect_sas(1, 0)
}

/// A CHILD_SA is created in the IKE_SA that has none.
pub(crate) fn create_child(pair: &mut Pair, side: Side) -> Result {
    pair.up(side)?;
    pair.expect_sas(1, 1)?;
    pair.ping()
}

/// The IKE_SA goes, with all it has.
pub(crate) fn delete_ike(pair: &mut Pair, side: Side) -> Result {
    let mark = pair.mark();
    let name = &pair.name;
    pair.tunnel = false;
    match side {
        Side::Us => {
            let said = pair.ours.succeed(&format!("ipsec down {name}"))?;
            expect(&said, "closed successfully")?;
            wait_or(pair, mark, Side::Them, &IKE_DELETED, &[])?;
        }
        Side::Them => {
            pair.theirs.succeed(&format!("--terminate --ike {name}"))?;
            pair.wait(mark, Side::Us, "received DELETE for IKE_SA")?;
        }
    }
    pair.expect_sas(0, 0)
}

/// A tunnel comes up in packets that are no longer than they may be.
pub(crate) fn fragments(pair: &mut Pair, size: u16) -> Result {
    let mark = pair.mark();
    establish(pair)?;
    let log = pair.since(mark, Side::Us);
    let theirs = pair.since(mark, Side::Them);
    let split = [&log, &theirs]
        .iter()
        .any(|log| log.contains("splitting IKE message"));
    if !split {
        return Err("no message was long enough to be split".into());
    }
    // IKE_SA_INIT, on port 500, is never split; an IP and a UDP header and the non-ESP marker precede the rest.
    let longest = log
        .lines()
        .filter(|line| line.contains("packet: from ") && line.contains("[4500]"))
        .filter_map(|line| line.rsplit_once('(')?.1.split_once(' ')?.0.parse::<u16>().ok())
        .max();
    match longest {
        Some(longest) if longest + 20 + 8 <= size => rekey_child(pair, pair.initiator),
        _ => Err(format!("the longest packet has {longest:?} octets: {log}")),
    }
}

/// Nothing comes up, and both logs say why.
pub(crate) fn wrong_psk(pair: &mut Pair) -> Result {
    let mark = pair.mark();
    refused(pair)?;
    let (verifier, other) = match pair.initiator {
        Side::Us => (Side::Them, Side::Us),
        Side::Them => (Side::Us, Side::Them),
    };
    pair.wait(mark, verifier, "but MAC mismatched")?;
    pair.wait(mark, other, "received AUTHENTICATION_FAILED notify error")?;
    if pair.since(mark, Side::Us).contains(OUR_PSK) {
        return Err("our log has the secret".into());
    }
    Ok(())
}

/// Nothing comes up, and our log has both offers or the notify.
pub(crate) fn no_common_ike(pair: &mut Pair) -> Result {
    let mark = pair.mark();
    refused(pair)?;
    pair.wait(mark, pair.initiator, "received NO_PROPOSAL_CHOSEN notify error")?;
    if pair.initiator == Side::Them {
        pair.wait(mark, Side::Us, "received proposals: IKE:")?;
        pair.wait(mark, Side::Us, "configured proposals: IKE:")?;
    }
    Ok(())
}

/// The IKE_SA comes up, its CHILD_SA does not.
pub(crate) fn no_common_esp(pair: &mut Pair) -> Result {
    let mark = pair.mark();
    pair.initiate(pair.initiator)?;
    let reason = match pair.initiator {
        Side::Us => "received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built",
        Side::Them => "no acceptable proposal found",
    };
    pair.wait(mark, Side::Us, reason)?;
    pair.tunnel = true;
    pair.expect_sas(1, 0)
}

pub(crate) const CHILD_CLOSED: [&str; 2] = ["CHILD_SA closed", "} closed"];
const CHILD_REFUSED: [&str; 2] = ["no CHILD_SA built", "CHILD_SA rekeying failed"];
const IKE_DELETED: [&str; 2] = ["IKE_SA deleted", "] deleted"];
const IKE_REFUSED: [&str; 2] = ["IKE_SA rekeying failed", "peer seems to not support IKE rekeying"];

/// Waits for one of the texts, unless one of those comes that mean it will never come.
pub(crate) fn wait_or(pair: &Pair, mark: Mark, side: Side, texts: &[&str], refusals: &[&str]) -> Result {
    let found = pair.wait_any(mark, side, &[texts, refusals].concat())?;
    if texts.contains(&found) {
        Ok(())
    } else {
        Err(format!("{side:?} logged {found}"))
    }
}

/// Initiates in vain.
pub(crate) fn refused(pair: &Pair) -> Result {
    let said = pair.initiate(pair.initiator)?;
    if said.contains("successfully") {
        return Err(format!("it came up:\n{said}"));
    }
    pair.expect_sas(0, 0)
}

/// A command that only starts something says nothing unless it cannot.
fn expect_silence(said: &str) -> Result {
    if said.trim().is_empty() {
        Ok(())
    } else {
        Err(said.trim().to_owned())
    }
}

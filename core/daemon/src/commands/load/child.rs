//! `children.NAME` of a connection.

use std::time::Duration;

use config::connection::{Action, ChildConfig, ChildLifetime, Limit, Mode, ProposalList, SelectorSpec};
use config::kernel::{Ah, CopyDscp, EspBeside, HwOffload, KernelOptions, Mark, Number, SetMark};
use config::selector;
use control::vici::Element;

use super::Notes;
use super::values::{self, Given};

/// What has been said about one limit.
struct Said<T> {
    rekey: Option<T>,
    life: Option<T>,
    rand: Option<T>,
}

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self {
            rekey: None,
            life: None,
            rand: None,
        }
    }
}

impl Said<u64> {
    /// What has not been said follows from the rest: the end comes a tenth after the rekeying, which is moved forward by up
    /// to the time between them.
    fn limit(&self, default: u64) -> Limit<u64> {
        let rekey = self
            .rekey
            .unwrap_or_else(|| self.life.map_or(default, |life| life - life.div_ceil(11)));
        let life = self.life.unwrap_or_else(|| rekey.saturating_add(rekey / 10));
        let jitter = self.rand.unwrap_or_else(|| life.saturating_sub(rekey)).min(rekey);
        Limit { rekey, life, jitter }
    }
}

const HOUR: u64 = 3600;

/// A CHILD_SA's configuration.
pub(super) fn child(name: &str, elements: &[Element], notes: &mut Notes) -> Result<ChildConfig, String> {
    let mut child = ChildConfig {
        name: name.to_owned(),
        proposals: ProposalList {
            entries: Vec::new(),
            append_defaults: true,
        },
        local_ts: vec![SelectorSpec::DYNAMIC],
        remote_ts: vec![SelectorSpec::DYNAMIC],
        mode: Mode::Tunnel,
        lifetime: ChildLifetime::default(),
        updown: None,
        host_access: false,
        start_action: Action::None,
        dpd_action: Action::None,
        close_action: Action::None,
        policies: true,
        reqid: 0,
        replay_window: None,
        inactivity: Duration::ZERO,
        tfc: 0,
        kernel: KernelOptions::default(),
    };
    let (mut time, mut octets, mut packets) = (Said::default(), Said::default(), Said::default());
    let mut ah: Option<Ah> = None;
    let mut says_esp = false;
    for given in values::given(elements) {
        let seconds = || given.time().map(|time| Some(time.as_secs()));
        match given.key() {
            "esp_proposals" => {
                child.proposals = proposals(&given)?;
                says_esp = !child.proposals.entries.is_empty();
                if let Some(ah) = ah.as_mut().filter(|_| says_esp) {
                    ah.esp = EspBeside::Last;
                }
            }
            "ah_proposals" => {
                let proposals = proposals(&given)?;
                let esp = if says_esp { EspBeside::First } else { EspBeside::No };
                ah = (!proposals.entries.is_empty()).then_some(Ah { proposals, esp });
            }
            "local_ts" => child.local_ts = given.list_or(|text| selector::one(text).map_err(Some))?,
            "remote_ts" => child.remote_ts = given.list_or(|text| selector::one(text).map_err(Some))?,
            "mode" => child.mode = given.word(mode)?,
            "rekey_time" => time.rekey = seconds()?,
            "life_time" => time.life = seconds()?,
            "rand_time" => time.rand = seconds()?,
            "rekey_bytes" => octets.rekey = Some(given.amount()?),
            "life_bytes" => octets.life = Some(given.amount()?),
            "rand_bytes" => octets.rand = Some(given.amount()?),
            "rekey_packets" => packets.rekey = Some(given.number()?),
            "life_packets" => packets.life = Some(given.number()?),
            "rand_packets" => packets.rand = Some(given.number()?),
            "updown" => child.updown = Some(given.text()?.to_owned()).filter(|script| !script.is_empty()),
            "hostaccess" => child.host_access = given.yes()?,
            "policies" => child.policies = given.yes()?,
            "start_action" => child.start_action = given.word(action)?,
            "dpd_action" => child.dpd_action = given.word(action)?,
            "close_action" => child.close_action = given.word(action)?,
            "inactivity" => child.inactivity = given.time()?,
            "reqid" => child.reqid = given.number_or_all_ones()?,
            // -1 is as if nothing was said.
            "replay_window" => {
                child.replay_window = Some(given.number_or_all_ones()?).filter(|window| *window != u32::MAX);
            }
            "tfc_padding" if given.word(|text| (text == "mtu").then_some(())).is_ok() => {
                notes.add("tfc_padding = mtu", false);
            }
            "tfc_padding" => child.tfc = given.number()?,
            "ipcomp" => child.kernel.ipcomp = given.yes()?,
            "per_cpu_sas" | "icmp" => notes.add(given.key(), !given.yes()?),
            // Without SELinux what the system has is simple.
            "label_mode" => given.word(|text| ["system", "simple"].contains(&text).then_some(()))?,
            // Nobody who restricts a tunnel to what has a label wants one for all.
            "label" if !given.text()?.is_empty() => {
                return Err("security labels are not supported: label, config discarded".to_owned());
            }
            "label" => {}
            _ => ask_of_kernel(&mut child.kernel, &given)?,
        }
    }
    child.kernel.ah = ah;
    let limit = time.limit(HOUR);
    child.lifetime = ChildLifetime {
        time: Limit {
            rekey: Duration::from_secs(limit.rekey),
            life: Duration::from_secs(limit.life),
            jitter: Duration::from_secs(limit.jitter),
        },
        octets: octets.limit(0),
        packets: packets.limit(0),
    };
    Ok(child)
}

fn proposals(given: &Given<'_>) -> Result<ProposalList, String> {
    Ok(ProposalList {
        entries: given.list(|text| Some(text.to_owned()))?,
        append_defaults: false,
    })
}

/// The keys of what the kernel is asked for.
fn ask_of_kernel(asked: &mut KernelOptions, given: &Given<'_>) -> Result<(), String> {
    let mark = || given.parsed(|text| Mark::parse(text).ok());
    let set_mark = || given.parsed(|text| SetMark::parse(text).ok());
    match given.key() {
        "mark_in" => asked.marks[0] = mark()?,
        "mark_out" => asked.marks[1] = mark()?,
        "sha256_96" => asked.sha256_96 = given.yes()?,
        "mark_in_sa" => asked.mark_in_sa = given.yes()?,
        "set_mark_in" => asked.set_marks[0] = set_mark()?,
        "set_mark_out" => asked.set_marks[1] = set_mark()?,
        "if_id_in" => asked.if_ids[0] = given.parsed(Number::parse)?,
        "if_id_out" => asked.if_ids[1] = given.parsed(Number::parse)?,
        "priority" => asked.priority = given.number()?,
        "interface" => asked.interface = given.text()?.to_owned(),
        "policies_fwd_out" => asked.forward_out = given.yes()?,
        "hw_offload" => asked.hw_offload = given.word(HwOffload::parse)?,
        "copy_df" => asked.copy_df = given.yes()?,
        "copy_ecn" => asked.copy_ecn = given.yes()?,
        "copy_dscp" => asked.copy_dscp = given.word(CopyDscp::parse)?,
        _ => return Err(given.unknown()),
    }
    Ok(())
}

fn mode(text: &str) -> Option<Mode> {
    Some(match text {
        "tunnel" => Mode::Tunnel,
        "transport" | "transport_proxy" => Mode::Transport,
        "pass" => Mode::Pass,
        "drop" => Mode::Drop,
        _ => return None,
    })
}

fn action(text: &str) -> Option<Action> {
    Some(match text {
        "none" | "clear" => Action::None,
        "trap" | "hold" | "route" => Action::Trap,
        "start" | "restart" => Action::Start,
        "trap|start" | "start|trap" => Action::TrapAndStart,
        _ => return None,
    })
}

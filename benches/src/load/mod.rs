//! A load generator: our own state machine as many initiators, in one thread.

mod generator;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use config::connection::{AuthClass, AuthConfig, Host, PeerConfig, ProposalList, SelectorSpec, UniquePolicy};
use config::identity::Identity;
use iana::TrafficSelector;

pub(crate) use self::generator::Generator;
use crate::stats::Samples;

/// What all initiators and responders know.
const PSK: &str = "known to everybody who measures";

/// The responder's identity, and the network behind it.
const GATEWAY: &str = "gw.pqswan.example";
const NETWORK: ([u8; 4], u8) = ([10, 1, 0, 0], 16);

/// A responder's swanctl.conf: whoever knows the secret comes in, with one of these proposals.
pub(crate) fn gateway(proposals: &[String]) -> String {
    let [a, b, c, d] = NETWORK.0;
    format!(
        "connections {{\n gw {{\n  version = 2\n  local_addrs = %any\n  remote_addrs = %any\n  proposals = {}\n  unique = never\n  \
         mobike = no\n  rekey_time = 0\n  reauth_time = 0\n  dpd_delay = 0\n  local {{\n   auth = psk\n   id = {GATEWAY}\n  }}\n  remote \
         {{\n   auth = psk\n  }}\n  children {{\n   net {{\n    local_ts = {a}.{b}.{c}.{d}/{}\n    remote_ts = 10.128.0.0/9\n    \
         esp_proposals = aes256gcm16\n    rekey_time = 0\n   }}\n  }}\n }}\n}}\nsecrets {{\n ike {{\n  secret = \"{PSK}\"\n }}\n}}\n",
        proposals.join(", "),
        NETWORK.1
    )
}

/// What there is to do.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// What each initiator offers for its IKE_SA.
    pub(crate) proposal: String,
    /// How many handshakes in all.
    pub(crate) total: usize,
    /// How many may be under way at a time.
    pub(crate) slots: usize,
    /// The time from the beginning of one to that of the next, at least.
    pub(crate) pace: Duration,
    /// After which time a handshake has failed.
    pub(crate) patience: Duration,
    /// Largest IP packet of a fragment.
    pub(crate) fragment_size: usize,
    /// When the load ends although fewer handshakes have been made.
    pub(crate) time: Duration,
}

/// What a handshake took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Handshake {
    /// From the beginning until the CHILD_SA stood; nothing if it never did.
    pub(crate) latency: Option<Duration>,
    /// IKE messages and fragments, in both directions.
    pub(crate) packets: usize,
    /// Their octets, with UDP and IP headers.
    pub(crate) octets: usize,
    /// How many of them were fragments.
    pub(crate) fragments: usize,
}

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// All handshakes that came to an end.
    pub(crate) handshakes: Vec<Handshake>,
    /// How long those had taken that were under way when the time was over.
    pub(crate) unfinished: Vec<Duration>,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// The initiators' time on a processor.
    pub(crate) initiator_time: Duration,
}

impl Outcome {
    /// How many were established.
    pub(crate) fn established(&self) -> usize {
        self.latencies().len()
    }

    /// The latencies of those that were, in milliseconds.
    pub(crate) fn latencies(&self) -> Samples {
        let latencies = self.handshakes.iter().filter_map(|it| it.latency);
        Samples::of_times(latencies, Duration::from_millis(1))
    }

    /// An error if one was not established.
    ///
    /// # Errors
    ///
    /// See above.
    pub(crate) fn all(self) -> Result<Self, String> {
        let failed = self.handshakes.len() - self.established();
        if failed == 0 {
            Ok(self)
        } else {
            Err(format!(
                "{failed} of {} handshakes came to nothing",
                self.handshakes.len()
            ))
        }
    }
}

/// The connection of the n-th initiator.
fn initiator(number: u32, proposal: &str) -> PeerConfig {
    let auth = |id: &str| {
        vec![AuthConfig {
            class: AuthClass::Psk,
            id: Some(Identity::parse(id)),
            ..AuthConfig::default()
        }]
    };
    let exactly = |proposal: &str| ProposalList {
        entries: vec![proposal.to_owned()],
        append_defaults: false,
    };
    let mut config = pqswan_tests::world::carol(proposal);
    config.proposals = exactly(proposal);
    config.local_addrs = vec![Host::Any];
    config.remote_addrs = vec![Host::Any];
    config.local_auth = auth(&format!("rw-{number}.pqswan.example"));
    config.remote_auth = auth(GATEWAY);
    config.unique = UniquePolicy::Never;
    config.mobike = false;
    let mut child = (*config.children[0]).clone();
    child.proposals = exactly("aes256gcm16");
    let own = Ipv4Addr::from(0x0a80_0000 | (number & 0x7f_ffff));
    child.local_ts = vec![SelectorSpec::Fixed(TrafficSelector::host(own.into()))];
    let (network, len) = NETWORK;
    child.remote_ts = vec![SelectorSpec::Fixed(TrafficSelector::subnet(
        Ipv4Addr::from(network).into(),
        len,
    ))];
    config.children = vec![Arc::new(child)];
    config
}

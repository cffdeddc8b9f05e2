//! What of strongswan.conf the state machine needs, with charon's defaults.

use std::time::Duration;

use iana::Profile;

use crate::extension::redirect::Redirection;

/// Parameters common to all IKE_SAs.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Largest IP packet an IKE fragment may make; 0 takes 576 for IPv4 and 1280 for IPv6.
    pub fragment_size: usize,
    /// Largest IKE message in octets, reassembled ones included.
    pub max_packet: usize,
    /// Send strongSwan's vendor ID, which lets the peer accept private-use algorithms.
    pub send_vendor_id: bool,
    /// Send it also where a connection has private-use numbers, or the peer has sent it.
    pub announce_private: bool,
    /// Accept private-use algorithms of peers that did not send it.
    pub accept_private_algs: bool,
    /// What connections speak that have the KEMs of 6.0dr3 and pin no profile: which Kyber they mean.
    pub draft: Profile,
    /// Retransmission of requests.
    pub retransmit: Retransmit,
    /// How long a responder waits for an IKE_SA to be established.
    pub half_open_timeout: Duration,
    /// Half-open IKE_SAs from which on cookies are demanded; 0 never does.
    pub cookie_threshold: usize,
    /// The same per source address; 0 never does.
    pub cookie_threshold_ip: usize,
    /// Half-open IKE_SAs of one address, proved by cookies, from which on its IKE_SA_INITs are ignored; 0 never does.
    pub block_threshold: usize,
    /// Master switch of cookies and blocking.
    pub dos_protection: bool,
    /// Half-open IKE_SAs from which on all IKE_SA_INITs are ignored; 0 never does.
    pub init_limit_half_open: usize,
    /// Queued jobs from which on all IKE_SA_INITs are ignored; 0 never does.
    pub init_limit_job_load: usize,
    /// Established IKE_SAs from which on IKE_SA_INITs are ignored; 0 never does.
    pub ikesa_limit: usize,
    /// Ignore IKE_SA_INITs altogether.
    pub initiator_only: bool,
    /// UDP port of IKE.
    pub port: u16,
    /// UDP port of IKE and ESP behind NATs.
    pub port_nat_t: u16,
    /// How often a NAT mapping is kept alive; zero never.
    pub keep_alive: Duration,
    /// Announce that redirection is understood, and follow it.
    pub follow_redirects: bool,
    /// Where clients that come anew are sent.
    pub redirection: Option<Redirection>,
    /// Leave a path that works for the one that the routes prefer.
    pub prefer_best_path: bool,
    /// Rank own proposals before the peer's when selecting.
    pub prefer_configured_proposals: bool,
    /// Close the IKE_SA if its first CHILD_SA fails.
    pub close_ike_on_child_failure: bool,
    /// Close the IKE_SA if its only CHILD_SA is closed because it is idle.
    pub inactivity_close_ike: bool,
    /// Reauthenticate by establishing the new IKE_SA before the old one is deleted.
    pub make_before_break: bool,
    /// Packets in the replay window of CHILD_SAs, unless their configuration says otherwise.
    pub replay_window: u32,
    /// The kernel back end takes ESP only in UDP, so a NAT is faked.
    pub force_udp_encap: bool,
}

/// Retransmission of requests: `timeout * base^n`, `tries` times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retransmit {
    /// Before the first retransmission, in seconds.
    pub timeout: f64,
    /// Growth from one to the next.
    pub base: f64,
    /// How many retransmissions before giving up.
    pub tries: u32,
    /// Percent of the time that is randomly subtracted, at most 20.
    pub jitter: u8,
    /// Upper bound of the time between two.
    pub limit: Option<Duration>,
}

impl Retransmit {
    /// Time to wait after transmission `n`, counted from 0.
    pub fn delay(&self, n: u32) -> Duration {
        // A day is beyond any sensible setting, and keeps a wild one from overflowing.
        let seconds =
            (self.timeout * self.base.powi(i32::try_from(n).unwrap_or(i32::MAX))).clamp(0.0, 86_400.0);
        let delay = Duration::from_secs_f64(if seconds.is_nan() { 86_400.0 } else { seconds });
        self.limit.map_or(delay, |limit| delay.min(limit))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            fragment_size: 1280,
            max_packet: 10_000,
            send_vendor_id: false,
            announce_private: false,
            accept_private_algs: false,
            draft: Profile::Draft,
            retransmit: Retransmit {
                timeout: 4.0,
                base: 1.8,
                tries: 5,
                jitter: 0,
                limit: None,
            },
            half_open_timeout: Duration::from_secs(30),
            cookie_threshold: 10,
            cookie_threshold_ip: 3,
            block_threshold: 5,
            dos_protection: true,
            init_limit_half_open: 0,
            init_limit_job_load: 0,
            ikesa_limit: 0,
            initiator_only: false,
            port: 500,
            port_nat_t: 4500,
            keep_alive: Duration::from_secs(20),
            follow_redirects: true,
            redirection: None,
            prefer_best_path: false,
            prefer_configured_proposals: true,
            close_ike_on_child_failure: false,
            inactivity_close_ike: false,
            make_before_break: false,
            replay_window: 32,
            force_udp_encap: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_retransmissions_give_up_after_165_seconds() {
        let retransmit = Settings::default().retransmit;
        let total: Duration = (0..=retransmit.tries).map(|n| retransmit.delay(n)).sum();
        assert_eq!(total.as_secs(), 165);
        assert_eq!(retransmit.delay(1), Duration::from_secs_f64(7.2));
    }

    #[test]
    fn a_wild_setting_does_not_overflow() {
        let wild = Retransmit {
            timeout: 1e300,
            base: 1e300,
            tries: 5,
            jitter: 0,
            limit: None,
        };
        assert_eq!(wild.delay(u32::MAX), Duration::from_secs(86_400));
    }
}

//! The options `charon.*` of strongswan.conf, typed, with charon's defaults.

use std::time::Duration;

use iana::Profile;

use crate::connection::Host;
use crate::selector;
use crate::settings::Settings;

/// Options that concern the daemon as a whole.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each is documented in etc/strongswan.d/charon.conf")]
pub struct Options {
    pub fragment_size: usize,
    pub max_packet: usize,
    pub send_vendor_id: bool,
    /// Send the vendor ID where private-use numbers need it: `send_vendor_id` is not set.
    pub announce_private: bool,
    pub accept_private_algs: bool,
    /// Whether Kyber is that of NIST's third or second round where a connection does not say.
    pub draft: Profile,
    pub retransmit_timeout: f64,
    pub retransmit_base: f64,
    pub retransmit_tries: u32,
    pub retransmit_jitter: u8,
    pub retransmit_limit: Option<Duration>,
    pub half_open_timeout: Duration,
    pub cookie_threshold: usize,
    pub cookie_threshold_ip: usize,
    pub block_threshold: usize,
    pub dos_protection: bool,
    pub init_limit_half_open: usize,
    pub init_limit_job_load: usize,
    pub ikesa_limit: usize,
    pub initiator_only: bool,
    pub threads: usize,
    pub port: u16,
    pub port_nat_t: u16,
    pub keep_alive: Duration,
    pub follow_redirects: bool,
    pub redirect_to: Option<Host>,
    pub redirect_authenticated: bool,
    /// Leave a path that works for the one that the routes prefer.
    pub prefer_best_path: bool,
    pub prefer_configured_proposals: bool,
    pub close_ike_on_child_failure: bool,
    /// Close the IKE_SA if its only CHILD_SA is closed because it is idle.
    pub inactivity_close_ike: bool,
    pub make_before_break: bool,
    pub replay_window: u32,
    pub user: Option<String>,
    pub group: Option<String>,
}

impl Options {
    /// Reads them; what does not read keeps its default, with a warning that names file and line.
    pub fn from_settings(settings: &Settings) -> (Self, Vec<String>) {
        let mut warnings = settings.notes().to_vec();
        let seconds = Duration::from_secs;
        let redirect_to = gateway(settings, &mut warnings);
        let options = Self {
            fragment_size: count(settings, "charon.fragment_size", 1280, 65_535, &mut warnings),
            max_packet: count(settings, "charon.max_packet", 10_000, 1 << 20, &mut warnings),
            send_vendor_id: settings.get_bool("charon.send_vendor_id", false, &mut warnings),
            announce_private: settings.get("charon.send_vendor_id").is_none(),
            accept_private_algs: settings.get_bool("charon.accept_private_algs", false, &mut warnings),
            draft: kyber_generation(settings, &mut warnings),
            retransmit_timeout: settings.get_float("charon.retransmit_timeout", 4.0, &mut warnings),
            retransmit_base: settings.get_float("charon.retransmit_base", 1.8, &mut warnings),
            retransmit_tries: count(settings, "charon.retransmit_tries", 5, 1000, &mut warnings) as u32,
            retransmit_jitter: count(settings, "charon.retransmit_jitter", 0, 20, &mut warnings) as u8,
            retransmit_limit: Some(settings.get_time(
                "charon.retransmit_limit",
                Duration::ZERO,
                &mut warnings,
            ))
            .filter(|limit| !limit.is_zero()),
            half_open_timeout: settings.get_time("charon.half_open_timeout", seconds(30), &mut warnings),
            cookie_threshold: count(settings, "charon.cookie_threshold", 10, MANY, &mut warnings),
            cookie_threshold_ip: count(settings, "charon.cookie_threshold_ip", 3, MANY, &mut warnings),
            block_threshold: count(settings, "charon.block_threshold", 5, MANY, &mut warnings),
            dos_protection: settings.get_bool("charon.dos_protection", true, &mut warnings),
            init_limit_half_open: count(settings, "charon.init_limit_half_open", 0, MANY, &mut warnings),
            init_limit_job_load: count(settings, "charon.init_limit_job_load", 0, MANY, &mut warnings),
            ikesa_limit: count(settings, "charon.ikesa_limit", 0, MANY, &mut warnings),
            initiator_only: settings.get_bool("charon.initiator_only", false, &mut warnings),
            threads: count(settings, "charon.threads", 16, 1024, &mut warnings),
            port: count(settings, "charon.port", 500, 65_535, &mut warnings) as u16,
            port_nat_t: count(settings, "charon.port_nat_t", 4500, 65_535, &mut warnings) as u16,
            keep_alive: settings.get_time("charon.keep_alive", seconds(20), &mut warnings),
            follow_redirects: settings.get_bool("charon.follow_redirects", true, &mut warnings),
            redirect_to,
            redirect_authenticated: settings.get_bool("charon.redirect_authenticated", false, &mut warnings),
            prefer_best_path: settings.get_bool("charon.prefer_best_path", false, &mut warnings),
            prefer_configured_proposals: settings.get_bool(
                "charon.prefer_configured_proposals",
                true,
                &mut warnings,
            ),
            close_ike_on_child_failure: settings.get_bool(
                "charon.close_ike_on_child_failure",
                false,
                &mut warnings,
            ),
            inactivity_close_ike: settings.get_bool("charon.inactivity_close_ike", false, &mut warnings),
            make_before_break: settings.get_bool("charon.make_before_break", false, &mut warnings),
            replay_window: count(settings, "charon.replay_window", 32, 4096, &mut warnings) as u32,
            user: settings.get("charon.user").map(str::to_owned),
            group: settings.get("charon.group").map(str::to_owned),
        };
        let (cookies, blocks) = (options.cookie_threshold_ip, options.block_threshold);
        if blocks > 0 && cookies >= blocks {
            warnings.push(format!(
                "charon.cookie_threshold_ip = {cookies}: not below charon.block_threshold, so cookies are demanded from \
                 {blocks} half-open IKE_SAs of an address on"
            ));
        }
        (options, warnings)
    }
}

/// Where clients are sent that come anew, if anywhere.
fn gateway(settings: &Settings, warnings: &mut Vec<String>) -> Option<Host> {
    const KEY: &str = "charon.redirect_to";
    let text = settings.get(KEY).filter(|text| !text.is_empty())?;
    let gateway = selector::gateway(text);
    if gateway.is_none() {
        warnings.push(format!(
            "{KEY} = {text}: expected the address or name of a gateway, redirecting nobody"
        ));
    }
    gateway
}

/// The profile of the drafts with the Kyber that is asked for.
fn kyber_generation(settings: &Settings, warnings: &mut Vec<String>) -> Profile {
    const KEY: &str = "charon.kyber_generation";
    let Some(text) = settings.get(KEY) else {
        return Profile::Draft;
    };
    Profile::of_kyber_generation(text).unwrap_or_else(|| {
        warnings.push(format!("{KEY} = {text}: expected round2 or round3, using round3"));
        Profile::Draft
    })
}

/// No option counts further.
const MANY: i64 = 1 << 31;

/// A number from 0 to `max`. Less than 0 is taken for a mistake, since 0 switches limits off.
fn count(settings: &Settings, key: &str, default: i64, max: i64, warnings: &mut Vec<String>) -> usize {
    let value = settings.get_int(key, default, warnings);
    let within = if value < 0 { default } else { value.min(max) };
    if within != value {
        warnings.push(format!(
            "{key} = {value}: expected a number from 0 to {max}, using {within}"
        ));
    }
    // Never negative, and no larger than `MANY`.
    within as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_charons_and_the_seeds_values_are_read() {
        let (defaults, warnings) = Options::from_settings(&Settings::default());
        assert!(warnings.is_empty());
        assert_eq!(
            (
                defaults.fragment_size,
                defaults.max_packet,
                defaults.send_vendor_id
            ),
            (1280, 10_000, false)
        );
        let text = "charon { send_vendor_id = yes\n fragment_size = 1480\n max_packet = 30000\n }";
        let (options, _) = Options::from_settings(&Settings::parse(text, "x").expect("it parses"));
        assert_eq!(
            (options.fragment_size, options.max_packet, options.send_vendor_id),
            (1480, 30_000, true)
        );
    }

    #[test]
    fn which_kyber_is_meant_is_read_by_name() {
        let read = |value: &str| {
            let text = format!("charon {{ kyber_generation = {value}\n }}");
            Options::from_settings(&Settings::parse(&text, "x").expect("it parses"))
        };
        assert_eq!(read("round2").0.draft, Profile::DraftRound2);
        assert_eq!(read("round3").0.draft, Profile::Draft);
        let (options, warnings) = read("round1");
        assert_eq!((options.draft, warnings.len()), (Profile::Draft, 1));
    }

    #[test]
    fn numbers_out_of_range_are_cut_with_a_warning() {
        let settings = Settings::parse("charon { port = 70000\n threads = -1\n }", "x").expect("it parses");
        let (options, warnings) = Options::from_settings(&settings);
        assert_eq!((options.port, options.threads), (65_535, 16));
        assert_eq!(warnings.len(), 2);
    }
}

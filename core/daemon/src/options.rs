//! The state machine's settings, from those of strongswan.conf and what the daemon found.

use config::options::Options;
use ike::Retransmit;
use plugin_api::kernel::KernelFeatures;

/// Translates them; `ports` are those in use, which differ from the options' where these ask for a free one.
pub(crate) fn ike_settings(options: &Options, ports: (u16, u16), kernel: KernelFeatures) -> ike::Settings {
    ike::Settings {
        fragment_size: options.fragment_size,
        max_packet: options.max_packet,
        send_vendor_id: options.send_vendor_id,
        announce_private: options.announce_private,
        accept_private_algs: options.accept_private_algs,
        draft: options.draft,
        retransmit: Retransmit {
            timeout: options.retransmit_timeout,
            base: options.retransmit_base,
            tries: options.retransmit_tries,
            jitter: options.retransmit_jitter,
            limit: options.retransmit_limit,
        },
        half_open_timeout: options.half_open_timeout,
        cookie_threshold: options.cookie_threshold,
        cookie_threshold_ip: options.cookie_threshold_ip,
        block_threshold: options.block_threshold,
        dos_protection: options.dos_protection,
        init_limit_half_open: options.init_limit_half_open,
        init_limit_job_load: options.init_limit_job_load,
        ikesa_limit: options.ikesa_limit,
        initiator_only: options.initiator_only,
        port: ports.0,
        port_nat_t: ports.1,
        keep_alive: options.keep_alive,
        follow_redirects: options.follow_redirects,
        redirection: options.redirect_to.clone().map(|gateway| ike::Redirection {
            gateway,
            authenticated: options.redirect_authenticated,
        }),
        prefer_best_path: options.prefer_best_path,
        prefer_configured_proposals: options.prefer_configured_proposals,
        close_ike_on_child_failure: options.close_ike_on_child_failure,
        inactivity_close_ike: options.inactivity_close_ike,
        make_before_break: options.make_before_break,
        replay_window: options.replay_window,
        force_udp_encap: kernel.require_udp_encap,
    }
}

#[cfg(test)]
mod tests {
    use config::settings::Settings;

    use super::*;

    #[test]
    fn without_settings_both_sides_have_the_same_defaults() {
        let (options, _) = Options::from_settings(&Settings::default());
        let settings = ike_settings(&options, (500, 4500), KernelFeatures::default());
        let announcing = ike::Settings {
            announce_private: true,
            ..ike::Settings::default()
        };
        assert_eq!(settings, announcing, "but what two of ours need");
    }

    #[test]
    fn ports_and_encapsulation_come_from_what_was_found() {
        let (options, _) = Options::from_settings(&Settings::default());
        let kernel = KernelFeatures {
            require_udp_encap: true,
            ..KernelFeatures::default()
        };
        let settings = ike_settings(&options, (4001, 4002), kernel);
        assert_eq!(
            (settings.port, settings.port_nat_t, settings.force_udp_encap),
            (4001, 4002, true)
        );
    }
}

//! No text makes a parser panic or hang.

use std::collections::BTreeMap;

use config::identity::Identity;
use config::ipsec_conf::{IpsecConf, to_peer_config};
use config::settings::Settings;
use proptest::prelude::*;

/// Text that looks like configuration often enough to get deep into the parsers.
fn text() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("conn"),
        Just("config setup"),
        Just("%default"),
        Just("also"),
        Just("left"),
        Just("leftsubnet"),
        Just("="),
        Just("\n"),
        Just("\n  "),
        Just("{"),
        Just("}"),
        Just(":"),
        Just(","),
        Just("\""),
        Just("#"),
        Just(" "),
        Just("a"),
        Just("10.1.0.0/16"),
        Just("[tcp/80]"),
        Just("include"),
        Just("\\"),
        Just("ä"),
        Just("C=CH"),
    ];
    prop::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in prop_oneof![text(), any::<String>()]) {
        if let Ok(settings) = Settings::parse(&text, "x") {
            for section in settings.sections("") {
                let _ = settings.keys(&section);
            }
            let _ = settings.get("a.b.c");
        }
        if let Ok(conf) = IpsecConf::parse(&text, "x") {
            for conn in conf.conns {
                let _ = to_peer_config(&conn.name, &conn.settings, &conn.source, "yes", &|_| true, true);
            }
        }
        let identity = Identity::parse(&text);
        let _ = (identity.to_string(), identity.matches(&Identity::parse("*.a")));
    }

    #[test]
    fn no_value_makes_the_conversion_panic(key in "(left|right)?[a-z_]{1,12}", value in any::<String>()) {
        let settings = BTreeMap::from([(key, value)]);
        let _ = to_peer_config("x", &settings, "x", "yes", &|_| false, true);
    }
}

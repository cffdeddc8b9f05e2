//! What the kernel refuses is said in words, and nothing half installed is left.

use super::host::{Machine, Who, ours};
use super::net::{cable, command};
use super::pair::{ESP, SETTINGS, all_esp, pair_of, pair_with};
use super::setup::{CAROL, MOON};
use super::tables::{policies, states};

/// The one SPI that moon has to give away.
const SPI: &str = "c0000010";

#[test]
fn an_sa_in_the_way_is_named_and_the_other_half_is_taken_back() {
    let settings = format!("{SETTINGS}\n spi_min = 0x{SPI}\n spi_max = 0x{SPI}");
    // A kernel gives no SPI away that it has for any address, so carol has others.
    let Some(pair) = pair_of([Who::Us; 2], [&settings, SETTINGS]) else {
        return;
    };
    let carol = pair.carol.namespace();
    let id = format!("src {} dst {} proto esp spi 0x{SPI}", CAROL.address, MOON.address);
    let key = "5a".repeat(36);
    carol
        .ip(&format!(
            "xfrm state add {id} mode tunnel aead rfc4106(gcm(aes)) 0x{key} 128"
        ))
        .unwrap();
    pair.load(ESP, "", "");
    let refused = pair.carol.try_swanctl("--initiate --child net").unwrap_err();
    // The command may end before the log has been written.
    let log = pair.carol.until("a word about what is in the way", || {
        let log = pair.carol.log();
        log.contains("File exists").then_some(log)
    });
    assert!(log.contains("see `ip xfrm state`"), "{refused}\n{log}");
    // Nothing but what was there before, if that.
    let left = states(carol);
    assert!(
        left.iter().all(|state| state.text.contains(&key)),
        "{}\n{log}",
        pair.carol.tables()
    );
    assert!(policies(carol).is_empty(), "{}\n{log}", pair.carol.tables());
    assert_eq!(pair.carol.believed().len(), 0);
    pair.moon
        .ask_until("end of the CHILD_SA", || states(pair.moon.namespace()).is_empty());
    pair.moon.expect_nothing();
    // Without it the same SPI will do.
    carol.ip("xfrm state flush").unwrap();
    pair.carol.expect_nothing();
    pair.carol.swanctl("--initiate --child net");
    pair.expect_one();
    assert_eq!(pair.carol.agree()[0][1].spi, SPI);
    all_esp(&pair.ping("10.3.0.1", "10.1.0.2"), 4);
}

#[test]
fn a_full_table_is_named_with_the_keys_that_widen_it() {
    let settings = format!("{SETTINGS}\n spi_min = 0x{SPI}\n spi_max = 0x{SPI}");
    let Some(pair) = pair_with([Who::Us; 2], &settings) else {
        return;
    };
    pair.load(ESP, "", "");
    pair.carol.swanctl("--initiate --child net");
    pair.expect_one();
    let before = pair.both().map(Machine::believed);
    // A rekeying needs a second.
    let refused = pair.carol.try_swanctl("--rekey --child net");
    let log = pair.carol.until("a word about the table", || {
        let log = pair.carol.log();
        log.contains("charon.spi_max").then_some(log)
    });
    assert!(log.contains("no SPI is free between"), "{refused:?}\n{log}");
    assert_eq!(pair.both().map(Machine::believed), before);
    // The kernel keeps the place that it has found no SPI for a while longer, without one.
    let states = states(pair.carol.namespace());
    let with_spi = states.iter().filter(|state| state.spi != "00000000");
    assert_eq!(with_spi.count(), 2, "{}", pair.carol.tables());
    all_esp(&pair.ping("10.3.0.1", "10.1.0.2"), 4);
}

#[test]
fn a_daemon_without_the_capability_says_which_it_needs() {
    let Some(network) = cable() else { return };
    let host = ours("moon", network.moon, SETTINGS);
    let charon = xtask::uml::programs().join("charon");
    let mut without = host.command("setpriv");
    without
        .args(["--bounding-set=-net_admin", "--inh-caps=-net_admin"])
        .arg(charon);
    let output = host.namespace.output(&mut without).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &host.read("charon.log");
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("CAP_NET_ADMIN"), "{said}");
    assert_eq!(command(&host.namespace, "ip", "xfrm state"), "");
    assert_eq!(command(&host.namespace, "ip", "xfrm policy"), "");
}

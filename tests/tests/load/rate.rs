//! How the rate of handshakes stands with and without clients: a ratio within one run, of medians, and by processor time,
//! since the machine has other things to do. Peers and clients are threads of this process too, so what clients cost is
//! counted whole: the loop's time, the plugin's, and their own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::settings::Settings;
use daemon::embed::{Embedded, Parts};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use plugin_api::{Host, Implementation};

use super::clients::{Client, Crowd};
use super::peer::Peers;
use super::sas::{self, Agreeing};
use super::toy;
use crate::loaded::{built, features};

const SAS: u32 = 100_000;

/// How often each is measured, and for how long.
const ROUNDS: usize = 5;
const MEASURED: Duration = Duration::from_secs(2);

/// What the rate may lose.
const LEAST: f64 = 0.8;

/// The daemon with the vici plugin as the loader brings it.
fn start(endpoint: ike::Endpoint, kernel: Arc<Agreeing>, directory: PathBuf) -> Embedded {
    let load = |host: &Arc<dyn Host>| {
        let list = "sha1 random nonce kernel-netlink kernel-libipsec socket-default vici";
        let settings = Settings::parse(&format!("charon {{ load = {list} }}"), "strongswan.conf").unwrap();
        let plugins = daemon::plugins::load(&settings, &[built()], host).unwrap();
        let (mut controls, mut listeners) = (Vec::new(), Vec::new());
        for feature in features(plugins, "vici") {
            match feature.implementation {
                Implementation::Control(make) => controls.push(make(Arc::clone(host)).unwrap()),
                Implementation::Listener(make) => listeners.push(make(Arc::clone(host)).unwrap()),
                _ => panic!("{}", feature.name),
            }
        }
        (controls, listeners)
    };
    let parts = Parts {
        endpoint,
        settings: sas::settings(),
        backend: kernel,
        plugins: Box::new(load),
        directory,
    };
    Embedded::start(parts).unwrap()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// The resident memory of this process in MiB.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages / 256
}

#[test]
fn a_thousand_clients_and_a_hundred_thousand_sas_leave_the_rate_of_handshakes() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(8192).min(hard), hard).unwrap();
    let (registry, kernel) = (toy::registry(), Arc::new(Agreeing::default()));
    let began = Instant::now();
    let endpoint = sas::established(&registry, &kernel, SAS);
    println!("{SAS} IKE_SAs in {:?}, {} MiB", began.elapsed(), resident());
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("charon.vici");
    let daemon = start(endpoint, kernel, directory.path().to_owned());

    // One client reads everything, in memory that is for pages and not for listings.
    let (before, began) = (resident(), Instant::now());
    let listed = Client::connect(&socket).read_list(|_| false);
    let grown = resident().saturating_sub(before);
    println!("{listed} SAs listed in {:?}, {grown} MiB more", began.elapsed());
    assert_eq!(listed, u64::from(SAS));
    assert!(grown < 16, "{grown} MiB");

    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        alone.push(Peers::start(&registry, daemon.port).rate(MEASURED));
        let began = Instant::now();
        let crowd = Crowd::gather(&socket);
        let (gathered, before) = (began.elapsed(), crowd.served());
        together.push(Peers::start(&registry, daemon.port).rate(MEASURED));
        let after = crowd.served();
        println!(
            "round {round}: {:.0} handshakes a second of processor time alone, {:.0} with clients, who gathered in {gathered:?} and got {} SAs \
             and {} answers meanwhile; {} MiB",
            alone[round],
            together[round],
            after.0 - before.0,
            after.1 - before.1,
            resident()
        );
        assert_ne!(after, before, "clients starve");
        crowd.leave();
    }
    let grown = resident().saturating_sub(before);
    // A stalled client costs what fits between it and the daemon, some 150 KiB.
    assert!(grown < 256, "{grown} MiB for a thousand clients");
    let (alone, together) = (median(alone), median(together));
    let ratio = together / alone;
    println!(
        "{alone:.0} handshakes a second of processor time alone, {together:.0} with clients: {ratio:.2}"
    );
    assert!(ratio >= LEAST, "{ratio:.2}");
    daemon.stop().unwrap();
}

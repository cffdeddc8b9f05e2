//! Plugins built against other states of `plugin-api` than the daemon's: today's sources with one change.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use daemon::plugins::DEFAULT_LOAD;
use plugin_api::kernel::{ReceivedEsp, SaId, SaLifetime, SaMode, SaOptions, SaParameters};
use plugin_api::{Implementation, KernelIpsec, Secret, testing};

use crate::loaded::{Daemon, built, features, load};

/// One build at a time; they share a folder for what they have in common.
static BUILDING: Mutex<()> = Mutex::new(());

/// A change of a file: what is there, and what stands there instead.
struct Change(&'static str, &'static str, &'static str);

/// Builds the plugin `dhkem` against a changed `plugin-api`; the folder with its `.so`.
fn built_against(name: &str, changes: &[Change]) -> PathBuf {
    plugin_against("dhkem", name, changes)
}

/// As [`built_against`], another plugin.
fn plugin_against(plugin: &str, name: &str, changes: &[Change]) -> PathBuf {
    let _one = BUILDING.lock().expect("no panic elsewhere");
    let root = xtask::root();
    let base = built().join("generations");
    let workspace = base.join(name);
    if workspace.exists() {
        fs::remove_dir_all(&workspace).expect("what a run before left");
    }
    let own = format!("tests/abi/plugins/{plugin}");
    for (from, to) in [
        ("core/iana", "core/iana"),
        ("plugin-api", "plugin-api"),
        (own.as_str(), "plugin"),
    ] {
        copy(&root.join(from), &workspace.join(to));
    }
    fs::copy(root.join("Cargo.lock"), workspace.join("Cargo.lock")).expect("Cargo.lock");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("Cargo.toml");
    let members = manifest
        .lines()
        .find(|line| line.starts_with("members = "))
        .expect("members");
    let manifest = manifest.replace(members, "members = [\"core/iana\", \"plugin-api\", \"plugin\"]");
    fs::write(workspace.join("Cargo.toml"), manifest).expect("Cargo.toml");
    for Change(file, from, to) in changes {
        let path = workspace.join(file);
        let text = fs::read_to_string(&path).expect("a file to change");
        assert!(text.contains(from), "{file} has no '{from}'");
        fs::write(&path, text.replace(from, to)).expect("a changed file");
    }
    let target = base.join("target");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--package", &format!("charon-{plugin}"), "--target-dir"])
        .arg(&target)
        .current_dir(&workspace)
        .output()
        .expect("cargo");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Another one may be built over it.
    let library = format!("libcharon_{plugin}.so");
    fs::copy(target.join("debug").join(&library), workspace.join(&library)).expect("the plugin");
    workspace
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder of sources") {
        let entry = entry.expect("an entry").path();
        let to = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() {
            copy(&entry, &to);
        } else {
            fs::copy(&entry, &to).expect("a copy");
        }
    }
}

/// What is said about the plugin, and how many of its features there are.
fn loaded(folder: &Path) -> (Vec<String>, usize) {
    let (plugins, daemon) = load(&format!("{DEFAULT_LOAD} dhkem"), &directories(folder));
    let features = features(plugins.expect("the others load"), "dhkem");
    for feature in &features {
        let Implementation::KeyExchange { method, .. } = &feature.implementation else {
            panic!("{} is no key exchange", feature.name);
        };
        testing::key_exchange(&**method);
    }
    let path = folder.join("libcharon_dhkem.so").display().to_string();
    let said = daemon
        .said()
        .iter()
        .map(|line| line.replace(&path, "PATH"))
        .collect();
    (said, features.len())
}

/// The folder comes first: today's build of the plugin lies where the others are.
fn directories(folder: &Path) -> [PathBuf; 2] {
    [folder.to_owned(), built()]
}

#[test]
fn versions_of_the_same_major_load() {
    let change = Change(
        "plugin-api/Cargo.toml",
        "version = \"1.0.0\"",
        "version = \"1.99.7\"",
    );
    assert_eq!(loaded(&built_against("same", &[])), (Vec::new(), 1));
    assert_eq!(loaded(&built_against("newer", &[change])), (Vec::new(), 1));
}

/// Then layouts are the same, and comparing them is left out.
#[test]
fn the_same_sources_are_recognized_wherever_they_lie() {
    let compared = |folder: &Path| {
        let (plugins, daemon) = load(&format!("{DEFAULT_LOAD} dhkem"), &directories(folder));
        assert_eq!(features(plugins.expect("the others load"), "dhkem").len(), 1);
        let lines = daemon.said_up_to(2).into_iter();
        lines
            .filter(|line| line.ends_with("its layouts are compared"))
            .collect::<Vec<_>>()
    };
    assert_eq!(compared(&built_against("origin", &[])), Vec::<String>::new());
    let change = Change(
        "plugin-api/src/abi/mod.rs",
        "//! Authors of plugins",
        "//! The authors of plugins",
    );
    assert_eq!(
        compared(&built_against("other-origin", &[change])),
        ["plugin 'dhkem' was built from other sources than this daemon, its layouts are compared"]
    );
}

/// The workspace's version says nothing about the boundary.
#[test]
fn a_plugin_outlives_releases_of_the_daemon() {
    let change = Change("Cargo.toml", "version = \"0.1.0\"", "version = \"7.3.1\"");
    assert_eq!(loaded(&built_against("release", &[change])), (Vec::new(), 1));
}

#[test]
fn an_interface_of_another_layout_is_refused() {
    let change = Change(
        "plugin-api/src/abi/key_exchange.rs",
        "pub struct Responded {\n    public: RVec<u8>,\n    secret: SecretOctets,",
        "pub struct Responded {\n    secret: SecretOctets,\n    public: RVec<u8>,",
    );
    let (said, features) = loaded(&built_against("layout", &[change]));
    let [line] = &said[..] else {
        panic!("one line, not {said:?}")
    };
    assert_eq!(
        line,
        "plugin 'dhkem': feature KE:DHKEM_X25519: interface 'ke/1' has another layout than this daemon's; rebuild the plugin"
    );
    assert_eq!(features, 0);
}

#[test]
fn an_interface_of_a_later_daemon_is_named() {
    let change = Change("plugin-api/src/abi/key_exchange.rs", "(\"ke/1\")", "(\"ke/2\")");
    let (said, features) = loaded(&built_against("interface", &[change]));
    assert_eq!(
        said,
        ["plugin 'dhkem': feature KE:DHKEM_X25519: interface 'ke/2' is unknown to this daemon"]
    );
    assert_eq!(features, 0);
}

/// The kernel back end of a plugin, and what was said about that.
fn back_end(folder: &Path) -> (Vec<String>, Arc<dyn KernelIpsec>) {
    let (plugins, daemon) = load(&format!("{DEFAULT_LOAD} quotes"), &directories(folder));
    let mut features = features(plugins.expect("the others load"), "quotes");
    assert_eq!(features.len(), 1);
    let Implementation::KernelIpsec(make) = features.remove(0).implementation else {
        panic!("it is a kernel back end");
    };
    (
        daemon.said(),
        make(Arc::new(Daemon::default())).expect("it is made"),
    )
}

#[test]
fn a_kernel_back_end_of_the_first_version_goes_on_working() {
    // So plugins offered themselves before there was another version.
    let change = Change(
        "plugin-api/src/abi/offer.rs",
        "offer(KernelIpsecMaker3::new(",
        "offer(KernelIpsecMaker1::new(",
    );
    let old = back_end(&plugin_against("quotes", "kernel-ipsec", &[change]));
    let new = back_end(&built());
    let mut sa = sa();
    let mut packet = [9; 4];
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 4500));
    let received = ReceivedEsp {
        local: nowhere,
        remote: nowhere,
        tos: 3,
        segment: 2,
    };
    for (said, backend) in [&old, &new] {
        assert_eq!(*said, Vec::<String>::new());
        let quoted = backend.add_sa(&sa).expect_err("it refuses everything");
        assert_eq!(quoted.message, format!("{sa:?}"));
        backend.receive_esp(&received, &mut packet);
    }
    sa.options.if_id = 42;
    let quoted = new.1.add_sa(&sa).expect_err("it refuses everything");
    assert_eq!(quoted.message, format!("{sa:?}"));
    assert_eq!(packet, [3; 4]);
    let refused = old.1.add_sa(&sa).expect_err("it does not have that");
    assert!(
        refused
            .message
            .contains("built for kernel-ipsec/1, which has no if_id_in"),
        "{refused}"
    );
    assert!(new.1.features().interfaces && !old.1.features().interfaces);
}

fn sa() -> SaParameters {
    SaParameters {
        id: SaId {
            src: [192, 0, 2, 1].into(),
            dst: [192, 0, 2, 2].into(),
            spi: 0xc000_0001,
            protocol: iana::Protocol::ESP,
        },
        inbound: false,
        reqid: 1,
        mode: SaMode::Tunnel,
        src_ts: vec![iana::TrafficSelector::subnet([10, 1, 0, 0].into(), 16)],
        dst_ts: vec![iana::TrafficSelector::subnet([10, 2, 0, 0].into(), 16)],
        encryption: iana::EncryptionAlgorithm::AES_GCM_16,
        encryption_key: Secret::new(vec![1; 36]),
        integrity: None,
        integrity_key: Secret::default(),
        encap: None,
        esn: false,
        replay_window: 32,
        lifetime: SaLifetime::default(),
        tfc: 0,
        mark: Some((1, 3)),
        options: SaOptions::default(),
    }
}

#[test]
fn a_daemon_without_the_host_interface_is_named() {
    let change = Change("plugin-api/src/abi/host.rs", "(\"host/1\")", "(\"host/2\")");
    let (said, features) = loaded(&built_against("host", &[change]));
    assert_eq!(
        said,
        [
            "plugin 'dhkem': failed to load - PATH: the daemon does not have the interface 'host/2' that the plugin \
             was built for"
        ]
    );
    assert_eq!(features, 0);
}

#[test]
fn a_root_of_another_layout_is_refused() {
    let change = Change(
        "plugin-api/src/abi/root.rs",
        "pub name: RStr<'static>,",
        "pub name: RStr<'static>,\n    /// New.\n    pub more: u64,",
    );
    let filled = Change(
        "plugin-api/src/abi/root.rs",
        "name: P::NAME.into(),",
        "name: P::NAME.into(), more: 0,",
    );
    let (said, features) = loaded(&built_against("root", &[change, filled]));
    assert_eq!(
        said,
        [
            "plugin 'dhkem': failed to load - PATH: its root has another layout than this daemon's; build it again"
        ]
    );
    assert_eq!(features, 0);
}

#[test]
fn another_generation_of_the_root_is_refused() {
    let change = Change(
        "plugin-api/src/abi/root.rs",
        "pub const API: u32 = 1;",
        "pub const API: u32 = 2;",
    );
    let (said, features) = loaded(&built_against("api", &[change]));
    assert_eq!(
        said,
        ["plugin 'dhkem': failed to load - PATH is for plugin API 2, this daemon has 1; build it again"]
    );
    assert_eq!(features, 0);
}

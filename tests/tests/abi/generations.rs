//! Plugins built against other states of `plugin-api` than the daemon's: today's sources with one change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use daemon::plugins::DEFAULT_LOAD;
use plugin_api::{Implementation, testing};

use crate::loaded::{built, features, load};

/// One build at a time; they share a folder for what they have in common.
static BUILDING: Mutex<()> = Mutex::new(());

/// A change of a file: what is there, and what stands there instead.
struct Change(&'static str, &'static str, &'static str);

/// Builds the plugin `dhkem` against a changed `plugin-api`; the folder with its `.so`.
fn built_against(name: &str, changes: &[Change]) -> PathBuf {
    let _one = BUILDING.lock().expect("no panic elsewhere");
    let root = xtask::root();
    let base = built().join("generations");
    let workspace = base.join(name);
    if workspace.exists() {
        fs::remove_dir_all(&workspace).expect("what a run before left");
    }
    for (from, to) in [
        ("core/iana", "core/iana"),
        ("plugin-api", "plugin-api"),
        ("tests/abi/plugins/dhkem", "plugin"),
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
        .args(["build", "--package", "charon-dhkem", "--target-dir"])
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
    let library = "libcharon_dhkem.so";
    fs::copy(target.join("debug").join(library), workspace.join(library)).expect("the plugin");
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

//! Plugins: which are wanted, their libraries, and which of their features can be had.

mod elf;
mod library;
mod list;
mod resolve;

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;

use config::settings::Settings;
use plugin_api::log::Group;
use plugin_api::{FeatureName, Host, RandomQuality};

use crate::loaded::Plugin;

pub use list::{DEFAULT_LOAD, Wanted};

/// Loads what strongswan.conf names. What cannot be loaded costs one log line, and itself.
///
/// # Errors
///
/// If a plugin marked with `!` cannot be loaded, or the daemon would lack something it cannot do without.
pub fn load(
    settings: &Settings,
    directories: &[PathBuf],
    host: &Arc<dyn Host>,
) -> Result<Vec<Plugin>, String> {
    let wanted = list::wanted(settings);
    let candidates = thread::scope(|scope| {
        // The dynamic linker does one library at a time; the next is opened while one is asked.
        let (opened, opening) = mpsc::channel();
        let open_all = || {
            let opened = opened;
            for wanted in wanted.iter().filter(|wanted| !list::is_builtin(wanted)) {
                // Nobody listens any more after one that there is no start without.
                if opened.send(library::open(&wanted.name, directories)).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new()
            .name("open-plugins".into())
            .spawn_scoped(scope, open_all)
            .map_err(|error| format!("no thread to open plugins: {error}"))?;
        ask_all(&wanted, &opening, host)
    })?;
    let plugins = resolve::resolve(candidates, &|level, line: &str| host.log(Group::Lib, level, line))?;
    indispensable(&plugins)?;
    Ok(plugins)
}

/// Asks libraries for their features in the order of the list, in which they are opened.
fn ask_all(
    wanted: &[Wanted],
    opening: &mpsc::Receiver<Result<library::Opened, library::Refusal>>,
    host: &Arc<dyn Host>,
) -> Result<Vec<resolve::Candidate>, String> {
    let mut candidates = Vec::new();
    for wanted in wanted {
        let Wanted { name, critical } = wanted;
        if list::is_builtin(wanted) {
            candidates.push(resolve::Candidate::builtin(name));
            continue;
        }
        let opened = opening.recv().expect("each that is no builtin is opened");
        match opened.and_then(|opened| library::features(name, &opened, host)) {
            Ok(features) => candidates.push(resolve::Candidate::new(name.clone(), *critical, features)),
            Err(refusal) => {
                host.log(
                    Group::Lib,
                    1,
                    &format!("plugin '{name}': failed to load - {}", refusal.reason),
                );
                if !refusal.details.is_empty() {
                    host.log(Group::Lib, 3, &refusal.details);
                }
                if *critical {
                    return Err(format!("loading critical plugin '{name}' failed"));
                }
            }
        }
    }
    Ok(candidates)
}

/// What the daemon itself depends on.
fn indispensable(plugins: &[Plugin]) -> Result<(), String> {
    let needed = [
        (FeatureName::Hasher(iana::HashAlgorithm::SHA1), "sha1"),
        (FeatureName::Random(RandomQuality::Strong), "random"),
        (FeatureName::NonceGenerator, "nonce"),
        (FeatureName::Custom("kernel-ipsec".into()), "kernel-libipsec"),
        (FeatureName::Custom("kernel-net".into()), "kernel-netlink"),
        (FeatureName::Custom("socket".into()), "socket-default"),
    ];
    for (name, plugin) in needed {
        let provided = plugins
            .iter()
            .flat_map(|plugin| &plugin.features)
            .any(|offered| offered.name == name && offered.loaded);
        if !provided {
            return Err(format!(
                "no loaded plugin provides {name}; add one that does, like '{plugin}', to charon.load"
            ));
        }
    }
    Ok(())
}

/// A plugin's file: `libcharon_<name>.so` with underscores for hyphens, or `<name>.so`.
fn find(name: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    let names = [
        format!("libcharon_{}.so", name.replace('-', "_")),
        format!("{name}.so"),
    ];
    directories
        .iter()
        .flat_map(|directory| names.iter().map(|name| directory.join(name)))
        .find(|path: &PathBuf| Path::exists(path))
}

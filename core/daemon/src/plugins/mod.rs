//! Plugins: which are wanted, their libraries, and which of their features can be had.

mod elf;
mod library;
mod list;
mod resolve;

use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    let candidates = ask_all(&wanted, directories, host)?;
    let plugins = resolve::resolve(candidates, &|level, line: &str| host.log(Group::Lib, level, line))?;
    indispensable(&plugins)?;
    Ok(plugins)
}

/// Asks the libraries for their features, in the order of the list. One after the other: the dynamic linker opens one at a
/// time, and waking up a thread for that takes longer than asking the last one meanwhile saves.
fn ask_all(
    wanted: &[Wanted],
    directories: &[PathBuf],
    host: &Arc<dyn Host>,
) -> Result<Vec<resolve::Candidate>, String> {
    let mut candidates = Vec::new();
    for wanted in wanted {
        let Wanted { name, critical } = wanted;
        if list::is_builtin(wanted) {
            candidates.push(resolve::Candidate::builtin(name));
            continue;
        }
        match library::features(name, directories, host) {
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

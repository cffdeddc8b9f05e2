//! Plugins: which are wanted, their libraries, and which of their features can be had.

mod asked;
mod elf;
mod library;
mod list;
mod names;
mod resolve;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::settings::Settings;
use config::strongswan_conf::check;
use plugin_api::log::Group;
use plugin_api::{FeatureName, Host, RandomQuality};

use crate::loaded::Plugin;

pub use asked::Asked;
pub(crate) use list::advice;
pub use list::{DEFAULT_LOAD, Wanted};

/// What a list brought.
pub struct List {
    /// Plugins with their features, in the order of preference.
    pub plugins: Vec<Plugin>,
    /// The names of the list, each with what does its work.
    pub asked: Vec<Asked>,
}

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
    Ok(load_list(settings, directories, host)?.plugins)
}

/// The same, with the list as it was written.
///
/// # Errors
///
/// See [`load`].
pub fn load_list(settings: &Settings, directories: &[PathBuf], host: &Arc<dyn Host>) -> Result<List, String> {
    let mut loader = asked::Loader::new(settings, directories, host);
    for wanted in list::wanted(settings) {
        loader.ask(&wanted)?;
    }
    loader.add_other_kernel_interface();
    let (candidates, asked) = loader.finish();
    let plugins = resolve::resolve(candidates, &|level, line: &str| host.log(Group::Lib, level, line))?;
    indispensable(&plugins, settings)?;
    Ok(List { plugins, asked })
}

/// What a section of `charon.plugins` is named after.
pub(crate) fn kind(settings: &Settings, directories: &[PathBuf], name: &str) -> check::Plugin {
    let wanted = || list::wanted(settings).iter().any(|wanted| wanted.name == name);
    if names::work(name).is_some() {
        check::Plugin::Known
    } else if find(name, directories).is_some() || wanted() {
        check::Plugin::Foreign
    } else {
        check::Plugin::Unknown(names::nearest(name))
    }
}

/// What the daemon itself depends on, each with plugins that provide it.
fn indispensable(plugins: &[Plugin], settings: &Settings) -> Result<(), String> {
    let needed = [
        (FeatureName::Hasher(iana::HashAlgorithm::SHA1), "sha1"),
        (FeatureName::Random(RandomQuality::Strong), "random"),
        (FeatureName::NonceGenerator, "nonce"),
        (FeatureName::Custom("kernel-net".into()), "kernel-netlink"),
        (FeatureName::Custom("kernel-ipsec".into()), "kernel-netlink"),
        (FeatureName::Custom("socket".into()), "socket-default"),
    ];
    let features = || plugins.iter().flat_map(|plugin| &plugin.features);
    let missing: Vec<_> = needed
        .iter()
        .filter(|(name, _)| !features().any(|offered| offered.name == *name && offered.loaded))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut providers: Vec<&str> = missing.iter().map(|(_, plugin)| *plugin).collect();
    providers.dedup();
    let names: Vec<_> = missing
        .iter()
        .map(|(name, plugin)| format!("{name} ({plugin})"))
        .collect();
    Err(format!(
        "no loaded plugin provides {}; {}",
        names.join(", "),
        advice(settings, &providers)
    ))
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

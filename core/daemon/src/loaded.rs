//! What the loader brought, taken apart into what the daemon uses.

use std::path::PathBuf;
use std::sync::Arc;

use config::settings::Settings;
use control::vici::Message;
use crypto::registry::Registry;
use plugin_api::log::Group;
use plugin_api::{
    Control, Dependency, FeatureName, Host, Implementation, KernelDemands, KernelIpsec, Listener, PluginError,
};

use crate::host::DaemonHost;
use crate::log::Logger;
use crate::plugins::{Asked, List};
use crate::program::Program;

/// A plugin with all that it offers.
pub struct Plugin {
    /// Its name in `charon.load`.
    pub name: String,
    /// Whether the daemon does not start without it.
    pub critical: bool,
    /// Whether no list names it, so that it is there only for what others cannot do.
    pub unnamed: bool,
    /// Its features, in the order in which they were declared.
    pub features: Vec<Offered>,
}

/// A feature.
pub struct Offered {
    /// Its name.
    pub name: FeatureName,
    /// What it needs.
    pub dependencies: Vec<Dependency>,
    /// Whether all that it depends on is there.
    pub loaded: bool,
    /// What it is; nothing if it was not loaded, or is a part of the daemon itself.
    pub implementation: Option<Implementation>,
}

/// A control socket that is to be started.
pub(crate) struct LoadedControl {
    pub(crate) plugin: String,
    pub(crate) critical: bool,
    pub(crate) control: Arc<dyn Control>,
}

/// All plugins, taken apart.
#[derive(Default)]
pub(crate) struct LoadedPlugins {
    pub(crate) registry: Registry,
    pub(crate) kernel_ipsec: Option<Arc<dyn KernelIpsec>>,
    /// What that cannot do, if it tells.
    pub(crate) kernel_demands: Option<Arc<dyn KernelDemands>>,
    pub(crate) controls: Vec<LoadedControl>,
    pub(crate) listeners: Vec<Arc<dyn Listener>>,
    names: Vec<String>,
    custom: Vec<String>,
    kernel_ipsec_plugin: String,
    /// Plugins whose back end for IPsec was to be taken before, and cannot be made.
    kernel_ipsec_unusable: Vec<String>,
    /// For `list-plugins`, one message a plugin.
    described: Vec<Message>,
}

impl LoadedPlugins {
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether a plugin has brought a feature of this name, `counters`.
    pub(crate) fn has(&self, custom: &str) -> bool {
        self.custom.iter().any(|name| name == custom)
    }

    /// Which back end for IPsec was taken, and why: `IPsec by plugin 'kernel-netlink', the first in charon.load`.
    pub(crate) fn kernel_ipsec_choice(&self) -> String {
        let reason = match &self.kernel_ipsec_unusable[..] {
            [] => "the first in charon.load that offers it".to_owned(),
            unusable => format!("as that of '{}' is not usable", unusable.join("' and '")),
        };
        format!("IPsec by plugin '{}', {reason}", self.kernel_ipsec_plugin)
    }

    pub(crate) fn described(&self) -> impl Iterator<Item = &Message> {
        self.described.iter()
    }
}

/// Loads what `charon.load` names.
///
/// # Errors
///
/// If a critical plugin cannot be loaded.
pub(crate) fn load(
    program: Program,
    settings: &Settings,
    directories: &[PathBuf],
    host: &Arc<DaemonHost>,
    logger: &Arc<Logger>,
) -> Result<LoadedPlugins, String> {
    let host_of_plugins = Arc::clone(host) as Arc<dyn Host>;
    let List { plugins, asked } = crate::plugins::load_list(settings, directories, &host_of_plugins)?;
    let mut loaded = take_apart(plugins, &asked, host, logger)?;
    // The builtin part is the first plugin, as clients know it.
    loaded.names.insert(0, program.name().to_owned());
    Ok(loaded)
}

/// Registers algorithms and makes what has to be made. Of back ends the first that can be made is taken.
///
/// # Errors
///
/// If a critical plugin's cannot be made.
fn take_apart(
    mut plugins: Vec<Plugin>,
    asked: &[Asked],
    host: &Arc<DaemonHost>,
    logger: &Logger,
) -> Result<LoadedPlugins, String> {
    let mut out = LoadedPlugins::default();
    let shared = || Arc::clone(host) as Arc<dyn Host>;
    let failed = |plugin: &Plugin, name: &FeatureName, error: PluginError| {
        let text = format!(
            "feature {name} of plugin '{}' is not usable: {error}",
            plugin.name
        );
        if plugin.critical {
            return Err(text);
        }
        logger.log(Group::Lib, 1, text);
        Ok(())
    };
    // Back ends for IPsec ask for the one for addresses and routes, so that comes first.
    for (plugin, offered) in features(&plugins) {
        if let Some(Implementation::KernelNet(make)) = &offered.implementation
            && host.kernel_net().is_none()
        {
            match make(shared()) {
                Ok(net) => host.set_kernel_net(net),
                Err(error) => failed(plugin, &offered.name, error)?,
            }
        }
    }
    let mut unused = Vec::new();
    for (index, (plugin, offered)) in features(&plugins).enumerate() {
        let Some(implementation) = &offered.implementation else {
            continue;
        };
        let result = match implementation {
            Implementation::KernelNet(_) => Ok(()),
            Implementation::KernelIpsec(_) if out.kernel_ipsec.is_some() => {
                unused.push(index);
                continue;
            }
            Implementation::KernelIpsec(make) => make(shared()).map(|backend| {
                out.kernel_ipsec = Some(backend);
                plugin.name.clone_into(&mut out.kernel_ipsec_plugin);
            }),
            // They speak for the back end of their own plugin.
            Implementation::KernelAlgorithms(_) | Implementation::KernelDemands(_)
                if plugin.name != out.kernel_ipsec_plugin =>
            {
                unused.push(index);
                continue;
            }
            Implementation::KernelAlgorithms(algorithms) => {
                out.registry.set_kernel(Arc::clone(algorithms));
                Ok(())
            }
            Implementation::KernelDemands(demands) => {
                out.kernel_demands = Some(Arc::clone(demands));
                Ok(())
            }
            Implementation::Control(make) => make(shared()).map(|control| {
                out.controls.push(LoadedControl {
                    plugin: plugin.name.clone(),
                    critical: plugin.critical,
                    control,
                });
            }),
            Implementation::Listener(make) => make(shared()).map(|listener| out.listeners.push(listener)),
            algorithm => {
                out.registry.add(&plugin.name, offered.name.clone(), algorithm);
                Ok(())
            }
        };
        match (result, &offered.name) {
            (Err(error), name) => {
                failed(plugin, name, error)?;
                unused.push(index);
                if matches!(implementation, Implementation::KernelIpsec(_)) {
                    out.kernel_ipsec_unusable.push(plugin.name.clone());
                }
            }
            (Ok(()), FeatureName::Custom(name)) => out.custom.push(name.clone()),
            (Ok(()), _) => {}
        }
    }
    // A plugin none of whose features is in use does nothing.
    let offered = plugins.iter_mut().flat_map(|plugin| &mut plugin.features);
    for (index, offered) in offered.enumerate() {
        offered.loaded &= !unused.contains(&index);
    }
    let in_use: Vec<&Plugin> = plugins
        .iter()
        .filter(|plugin| plugin.features.iter().any(|offered| offered.loaded))
        .collect();
    for plugin in &in_use {
        if plugin.unnamed {
            logger.log(Group::Lib, 1, unnamed(plugin));
        }
        out.described.push(describe(plugin));
    }
    // The list as it was written, because scripts look for the names they know.
    let works = |name: &String| in_use.iter().any(|plugin| plugin.name == *name);
    for Asked { name, plugins } in asked {
        if plugins.is_empty() || plugins.iter().any(works) {
            out.names.push(name.clone());
        }
    }
    Ok(out)
}

/// Why a plugin is loaded that the list does not name.
fn unnamed(plugin: &Plugin) -> String {
    let loaded = plugin.features.iter().filter(|offered| offered.loaded);
    let features: Vec<_> = loaded.map(|offered| offered.name.to_string()).collect();
    let name = &plugin.name;
    let features = features.join(" and ");
    format!("plugin '{name}' is loaded too, because no plugin of the list can provide {features}")
}

fn features(plugins: &[Plugin]) -> impl Iterator<Item = (&Plugin, &Offered)> {
    plugins
        .iter()
        .flat_map(|plugin| plugin.features.iter().map(move |offered| (plugin, offered)))
}

/// `PLUGIN { FEATURE { loaded = yes|no, depends[], soft-depends[] } }`.
fn describe(plugin: &Plugin) -> Message {
    let mut section = Message::new();
    for offered in &plugin.features {
        let names = |soft| {
            offered
                .dependencies
                .iter()
                .filter(move |it| it.soft == soft)
                .map(|it| &it.name)
        };
        let feature = Message::new()
            .flag("loaded", offered.loaded)
            .list("depends", names(false))
            .list("soft-depends", names(true));
        section.push_section(&offered.name.to_string(), feature);
    }
    Message::new().section(&plugin.name, |_| section)
}

#[cfg(test)]
mod tests {
    use plugin_api::ErrorKind;

    use super::*;
    use crate::testing::{TestKernel, lines};

    fn kernel(plugin: &str, works: bool) -> Plugin {
        let make = move |_: Arc<dyn Host>| match works {
            true => Ok(Arc::new(TestKernel::default()) as Arc<dyn KernelIpsec>),
            false => Err(PluginError::new(ErrorKind::NotSupported, "the kernel has no ESP")),
        };
        let name = FeatureName::Custom("kernel-ipsec".into());
        let dependencies = vec![Dependency {
            name: FeatureName::NonceGenerator,
            soft: true,
        }];
        let implementation = Some(Implementation::KernelIpsec(Box::new(make)));
        Plugin {
            name: plugin.into(),
            critical: false,
            unnamed: false,
            features: vec![Offered {
                name,
                dependencies,
                loaded: true,
                implementation,
            }],
        }
    }

    fn taken_apart(plugins: Vec<Plugin>) -> Result<LoadedPlugins, String> {
        let logger = Logger::start().unwrap();
        let (input, _) = crate::input::channel();
        let host = Arc::new(DaemonHost::new(Settings::default(), Arc::clone(&logger), input));
        let asked: Vec<_> = plugins
            .iter()
            .filter(|plugin| !plugin.unnamed)
            .map(|plugin| Asked {
                name: plugin.name.clone(),
                plugins: vec![plugin.name.clone()],
            })
            .collect();
        take_apart(plugins, &asked, &host, &logger)
    }

    #[test]
    fn the_list_is_shown_as_it_was_asked_for() {
        let logger = Logger::start().unwrap();
        let (input, _) = crate::input::channel();
        let host = Arc::new(DaemonHost::new(Settings::default(), Arc::clone(&logger), input));
        let ask = |name: &str, plugins: &[&str]| Asked {
            name: name.into(),
            plugins: plugins.iter().map(|plugin| (*plugin).into()).collect(),
        };
        let asked = [
            ask("x509", &[]),
            ask("pfkey", &["netlink"]),
            ask("late", &["late"]),
        ];
        let plugins = vec![kernel("netlink", true), kernel("late", true)];
        let loaded = take_apart(plugins, &asked, &host, &logger).expect("loaded");
        assert_eq!(loaded.names(), ["x509", "pfkey"]);
    }

    #[test]
    fn a_kernel_interface_that_no_list_names_serves_where_the_named_one_cannot() {
        let other = Plugin {
            unnamed: true,
            ..kernel("kernel-libipsec", true)
        };
        let loaded = taken_apart(vec![kernel("kernel-netlink", false), other]).expect("loaded");
        assert_eq!(
            loaded.kernel_ipsec_choice(),
            "IPsec by plugin 'kernel-libipsec', as that of 'kernel-netlink' is not usable"
        );
        assert!(loaded.names().is_empty(), "neither is of the list and in use");
    }

    #[test]
    fn the_first_back_end_that_can_be_made_is_taken() {
        let plugins = vec![
            kernel("broken", false),
            kernel("good", true),
            kernel("late", true),
        ];
        let loaded = taken_apart(plugins).expect("loaded");
        assert!(loaded.kernel_ipsec.is_some());
        assert_eq!(
            loaded.kernel_ipsec_choice(),
            "IPsec by plugin 'good', as that of 'broken' is not usable"
        );
        assert!(loaded.has("kernel-ipsec") && !loaded.has("counters"));
        assert_eq!(loaded.names(), ["good"], "the others are of no use");
    }

    #[test]
    fn the_order_in_the_list_decides_between_back_ends_that_work() {
        for (first, second) in [
            ("kernel-netlink", "kernel-libipsec"),
            ("kernel-libipsec", "kernel-netlink"),
        ] {
            let loaded = taken_apart(vec![kernel(first, true), kernel(second, true)]).expect("loaded");
            let expected = format!("IPsec by plugin '{first}', the first in charon.load that offers it");
            assert_eq!(loaded.kernel_ipsec_choice(), expected);
        }
    }

    #[test]
    fn a_critical_back_end_that_cannot_be_made_ends_the_start() {
        let mut broken = kernel("broken", false);
        broken.critical = true;
        let refused = taken_apart(vec![broken, kernel("good", true)]).err();
        assert_eq!(
            refused.as_deref(),
            Some("feature CUSTOM:kernel-ipsec of plugin 'broken' is not usable: the kernel has no ESP")
        );
    }

    #[test]
    fn plugins_without_a_loaded_feature_are_not_listed() {
        let mut idle = kernel("idle", true);
        idle.features[0].implementation = None;
        idle.features[0].loaded = false;
        let loaded = taken_apart(vec![idle, kernel("good", true)]).expect("loaded");
        assert_eq!(loaded.names(), ["good"]);
        let described: Vec<_> = loaded.described().flat_map(lines).collect();
        assert_eq!(
            described,
            [
                "good.CUSTOM:kernel-ipsec.loaded = yes",
                "good.CUSTOM:kernel-ipsec.depends = []",
                "good.CUSTOM:kernel-ipsec.soft-depends = [NONCE_GEN]",
            ]
        );
    }
}

//! The symbol that makes a plugin, and what it leads to. Nothing here may ever grow.

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::declare_root_module_statics;
use abi_stable::library::{
    __call_root_module_loader, CheckTypeLayout, LibHeader, RootModule, RootModuleResult,
};
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{ROption, RStr, RVec};

use super::host::{Host1, RemoteHost};
use super::migration::KernelMigration1;
use super::object::{Interface, Layout, Object};
use super::offer::{Checked, FeatureOffer, compare};
use super::types::{Outcome, outcome, result};
use crate::{ErrorKind, Feature, Host, PluginError, guard};

/// The generation of the root: a plugin of another one is refused.
pub const API: u32 = 1;

/// What a plugin is.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRootRef)))]
#[sabi(missing_field(panic))]
pub struct PluginRoot {
    /// [`API`] of the `plugin-api` it was built with.
    pub api: u32,
    /// Its name by its own account.
    pub name: RStr<'static>,
    /// Its version.
    pub version: RStr<'static>,
    /// What it offers to a daemon.
    #[sabi(last_prefix_field)]
    pub features: extern "C" fn(HostHandle) -> Outcome<RVec<FeatureOffer>>,
}

impl RootModule for PluginRootRef {
    declare_root_module_statics! { PluginRootRef }
    const BASE_NAME: &'static str = "charon_plugin";
    const NAME: &'static str = "charon plugin";
    // Not the version of the crate: abi_stable refuses what is older than itself in the minor of a 0.x, and a plugin
    // has to outlive many versions of the daemon.
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}

/// The daemon, before a plugin and it have agreed on an interface.
#[repr(C)]
#[derive(StableAbi)]
pub struct HostHandle {
    object: Object,
    interface: extern "C" fn(&Object, RStr<'_>, Layout) -> Outcome<ROption<Object>>,
}

impl HostHandle {
    /// The daemon's side, for a plugin that has the same [origin](super::Origin) or not.
    pub fn new(host: Arc<dyn Host>, same_origin: bool) -> Self {
        extern "C" fn interface(object: &Object, name: RStr<'_>, layout: Layout) -> Outcome<ROption<Object>> {
            outcome(|| {
                // SAFETY: `new` pairs this function with an object of this type.
                let (host, same_origin): &(Arc<dyn Host>, bool) = unsafe { object.get() };
                let host = Arc::clone(host);
                Ok(match name.as_str() {
                    Host1::NAME => (*same_origin || compare::<Host1>(layout).is_ok())
                        .then(|| Object::new(Host1::new(host))),
                    KernelMigration1::NAME => (*same_origin || compare::<KernelMigration1>(layout).is_ok())
                        .then(|| Object::new(KernelMigration1::new(host))),
                    _ => None,
                }
                .into())
            })
        }
        Self {
            object: Object::new((host, same_origin)),
            interface,
        }
    }

    /// The plugin's side.
    fn host(&self) -> Result<Arc<dyn Host>, PluginError> {
        let host = self.ask::<Host1>()?.ok_or_else(|| {
            let name = Host1::NAME;
            let message =
                format!("the daemon does not have the interface '{name}' that the plugin was built for");
            PluginError::new(ErrorKind::NotSupported, message)
        })?;
        let migration = self.ask()?;
        Ok(Arc::new(RemoteHost { host, migration }))
    }

    /// An interface of the daemon's, if it has it.
    fn ask<T: Interface>(&self) -> Result<Option<Checked<T>>, PluginError> {
        let object = result((self.interface)(&self.object, T::NAME.into(), Layout::of::<T>()))?;
        // SAFETY: the daemon compared the layouts before it gave the object.
        Ok(object.into_option().map(|object| unsafe { Checked::new(object) }))
    }
}

/// What the export macro makes of a plugin's crate.
pub trait Exported: 'static {
    /// The plugin's name.
    const NAME: &'static str;
    /// The plugin's version.
    const VERSION: &'static str;
    /// What it offers.
    fn features(host: &Arc<dyn Host>) -> Vec<Feature>;
}

extern "C" fn features<P: Exported>(handle: HostHandle) -> Outcome<RVec<FeatureOffer>> {
    outcome(|| {
        let host = handle.host()?;
        guard::report_panics(&host, P::NAME);
        Ok(P::features(&host)
            .into_iter()
            .map(|feature| FeatureOffer::new(feature, &host))
            .collect())
    })
}

extern "C" fn constructor<P: Exported>() -> RootModuleResult {
    __call_root_module_loader(|| {
        PluginRoot {
            api: API,
            name: P::NAME.into(),
            version: P::VERSION.into(),
            features: features::<P>,
        }
        .leak_into_prefix()
    })
}

/// What the symbol of a plugin is.
pub const fn header<P: Exported>() -> LibHeader {
    // SAFETY: the constructor's module is a `PluginRootRef`.
    unsafe { LibHeader::from_constructor::<PluginRootRef>(constructor::<P>, CheckTypeLayout::Yes) }
}

/// The name of the symbol of a plugin.
pub fn symbol(plugin: &str) -> String {
    format!("charon_plugin_{plugin}")
}

#[cfg(test)]
mod tests {
    use iana::TrafficSelector;

    use super::*;
    use crate::kernel::{Direction, KernelEvent, KernelMigration};
    use crate::testing::Recorder;

    /// A daemon of before there was `kernel-migration/1`.
    fn older(host: Arc<dyn Host>) -> HostHandle {
        extern "C" fn interface(object: &Object, name: RStr<'_>, _: Layout) -> Outcome<ROption<Object>> {
            outcome(|| {
                // SAFETY: below it is paired with an object of this type.
                let host: &Arc<dyn Host> = unsafe { object.get() };
                Ok((name == Host1::NAME)
                    .then(|| Object::new(Host1::new(Arc::clone(host))))
                    .into())
            })
        }
        HostHandle {
            object: Object::new(host),
            interface,
        }
    }

    #[test]
    fn a_migration_crosses_to_daemons_that_know_of_any() {
        let migration = KernelMigration {
            reqid: 7,
            direction: Direction::Forward,
            src_ts: TrafficSelector::subnet([10, 1, 0, 0].into(), 16),
            dst_ts: TrafficSelector::host([10, 3, 0, 1].into()),
            from: ([192, 0, 2, 1].into(), [192, 0, 2, 9].into()),
            to: ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), [192, 0, 2, 9].into()),
        };
        let roam = KernelEvent::Roam { address: true };
        let same: fn(Arc<dyn Host>) -> HostHandle = |host| HostHandle::new(host, true);
        let other: fn(Arc<dyn Host>) -> HostHandle = |host| HostHandle::new(host, false);
        let both = vec![format!("{roam:?}"), format!("{migration:?}")];
        for (make, heard) in [
            (same, both.clone()),
            (other, both),
            (older, vec![format!("{roam:?}")]),
        ] {
            let daemon = Arc::<Recorder>::default();
            let plugin = make(Arc::clone(&daemon) as _).host().expect("a daemon");
            plugin.kernel_event(roam.clone());
            plugin.kernel_migrated(migration.clone());
            assert_eq!(daemon.lines(), heard);
        }
    }
}

//! `host/1`: the daemon, as plugins reach it.

use std::sync::Arc;

use abi_stable::std_types::{ROption, RSlice, RStr, RString};

use super::control::{RemoteReply, Reply1};
use super::kernel::{KernelNet1, RemoteNet};
use super::kernel_types::Event;
use super::migration::KernelMigration1;
use super::object::interface;
use super::offer::Checked;
use super::types::option;
use crate::kernel::{KernelEvent, KernelMigration};
use crate::log::Group;
use crate::{Host, KernelNet, Reply};

interface! {
    /// See [`Host`].
    Host1("host/1") holds Arc<dyn Host> {
        fn setting(this, key: RStr<'_>) -> ROption<RString> {
            Ok(option(this.setting(key.as_str()), RString::from))
        }
        fn log_enabled(this, group: u8, level: i8) -> bool {
            Ok(this.log_enabled(group_of(group), level))
        }
        fn log(this, group: u8, level: i8, message: RStr<'_>) -> () {
            this.log(group_of(group), level, message.as_str());
            Ok(())
        }
        fn submit(this, verb: RStr<'_>, message: RSlice<'_, u8>, reply: Reply1) -> () {
            this.submit(verb.as_str(), message.as_slice(), Arc::new(RemoteReply(reply)));
            Ok(())
        }
        fn kernel_event(this, event: Event) -> () {
            this.kernel_event(event.into());
            Ok(())
        }
        fn kernel_net(this) -> ROption<KernelNet1> { Ok(option(this.kernel_net(), KernelNet1::new)) }
    }
}

/// A group that a later plugin knows and this daemon does not is the plugin's own business.
fn group_of(number: u8) -> Group {
    Group::ALL.get(usize::from(number)).copied().unwrap_or(Group::Lib)
}

/// The plugin's side. A panic of the daemon in one of the calls has been logged there; to the plugin nothing happened.
pub(super) struct RemoteHost {
    pub(super) host: Checked<Host1>,
    /// None of daemons that were built before.
    pub(super) migration: Option<Checked<KernelMigration1>>,
}

impl Host for RemoteHost {
    fn setting(&self, key: &str) -> Option<String> {
        self.host.setting(key.into()).ok()?.into_option().map(Into::into)
    }

    fn log_enabled(&self, group: Group, level: i8) -> bool {
        self.host.log_enabled(group as u8, level).unwrap_or(false)
    }

    fn log(&self, group: Group, level: i8, message: &str) {
        let _ = self.host.log(group as u8, level, message.into());
    }

    fn submit(&self, verb: &str, message: &[u8], reply: Arc<dyn Reply>) {
        let _ = self.host.submit(verb.into(), message.into(), Reply1::new(reply));
    }

    fn kernel_event(&self, event: KernelEvent) {
        let _ = self.host.kernel_event((&event).into());
    }

    fn kernel_migrated(&self, migration: KernelMigration) {
        if let Some(interface) = &self.migration {
            let _ = interface.migrated((&migration).into());
        }
    }

    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        let net = self.host.kernel_net().ok()?.into_option()?;
        Some(Arc::new(RemoteNet(net)))
    }
}

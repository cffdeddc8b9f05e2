//! Makes DNS servers that peers name those of this host: in resolv.conf, or by the program resolvconf where there is one.
//!
//! The daemon asks for DNS servers if this feature is loaded, and tells of those that came or went with an IKE_SA in an
//! internal event `dns-servers`: `up`, `ike`, `uniqueid` and the list `servers`. [`worker`] keeps count of them and the
//! daemon's loop from waiting; [`file`] and [`resolvconf`] are the two ways.

pub mod file;
pub mod resolvconf;
pub mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugin_api::{Feature, FeatureName, Host, Implementation, Listener};

use resolvconf::Resolvconf;
use worker::{Way, Worker};

plugin_api::export_plugin! { name: "resolve", features: features }

/// What this plugin offers.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let constructor = |host: Arc<dyn Host>| {
        let way = way(&*host);
        Ok(Arc::new(Worker::start(host, way)?) as Arc<dyn Listener>)
    };
    vec![Feature::new(
        FeatureName::Custom("resolve".into()),
        Implementation::Listener(Box::new(constructor)),
    )]
}

const SECTION: &str = "charon.plugins.resolve";

/// The file that is named; else the program, if it is there; else the file of the system.
fn way(host: &dyn Host) -> Way {
    let setting = |key: &str| {
        let set = host.setting(&format!("{SECTION}.{key}"));
        set.filter(|value| !value.is_empty())
    };
    if let Some(file) = setting("file") {
        return Way::File(PathBuf::from(file));
    }
    let program = setting("resolvconf.path").unwrap_or_else(|| "/sbin/resolvconf".to_owned());
    if Path::new(&program).exists() {
        return Way::Program(Resolvconf {
            program: program.into(),
            interface: setting("resolvconf.iface").unwrap_or_else(|| "lo.ipsec".to_owned()),
            prefix: setting("resolvconf.iface_prefix"),
        });
    }
    Way::File(PathBuf::from("/etc/resolv.conf"))
}

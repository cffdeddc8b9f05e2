//! Runs a script when a CHILD_SA goes up or down.
//!
//! The daemon asks for it in an internal event `script`, a vici message of flat keys: `id`, `verb` (`up` or `down`), `script`,
//! and the script's variables, `PLUTO_…`, ready made. The command `script-done` with the `id` tells the daemon that the
//! script has ended. [`message`] reads the event, [`worker`] keeps the order and the daemon's loop from waiting, [`run`] runs
//! the script.

pub mod message;
pub mod run;
pub mod worker;

use std::sync::Arc;
use std::time::Duration;

use plugin_api::{ErrorKind, Feature, FeatureName, Host, Implementation, Listener, PluginError};

use worker::Worker;

plugin_api::export_plugin! { name: "updown", features: features }

/// What this plugin offers.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let constructor = |host: Arc<dyn Host>| {
        let timeout = timeout(&*host)?;
        Ok(Arc::new(Worker::start(host, timeout)?) as Arc<dyn Listener>)
    };
    vec![Feature::new(
        FeatureName::Custom("updown".into()),
        Implementation::Listener(Box::new(constructor)),
    )]
}

const TIMEOUT: &str = "charon.plugins.updown.timeout";

/// `charon.plugins.updown.timeout`: seconds after which a script that has not ended is killed (default 60), with an `s`,
/// `m` or `h` behind it if wanted; 0 lets it run for ever.
fn timeout(host: &dyn Host) -> Result<Option<Duration>, PluginError> {
    let text = host.setting(TIMEOUT).unwrap_or_else(|| "60".into());
    let (number, factor) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) if text.ends_with('m') => (number, 60),
        Some(number) if text.ends_with('h') => (number, 3600),
        Some(number) => (number, 1),
        None => (text.as_str(), 1),
    };
    let seconds = number.trim().parse::<u32>().map_err(|_| {
        PluginError::new(
            ErrorKind::InvalidArgument,
            format!("{TIMEOUT} = {text}: is not a time, write 60 or 60s"),
        )
    })?;
    Ok((seconds > 0).then(|| Duration::from_secs(u64::from(seconds) * factor)))
}

//! What this is called, and what it runs on.

use std::time::SystemTime;

/// The product.
pub const NAME: &str = "pqswan";
/// Its version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The operating system.
pub struct System {
    /// `Linux`.
    pub name: String,
    /// The kernel's release.
    pub release: String,
    /// `x86_64`.
    pub machine: String,
}

/// Asks it.
pub fn system() -> System {
    match nix::sys::utsname::uname() {
        Ok(names) => System {
            name: names.sysname().to_string_lossy().into_owned(),
            release: names.release().to_string_lossy().into_owned(),
            machine: names.machine().to_string_lossy().into_owned(),
        },
        Err(_) => System {
            name: std::env::consts::OS.to_owned(),
            release: "unknown".to_owned(),
            machine: std::env::consts::ARCH.to_owned(),
        },
    }
}

/// A date in charon's form: `Nov 19 12:59:35 2020`, in the local time zone.
pub fn date(time: SystemTime) -> String {
    let zoned = jiff::Timestamp::try_from(time).map(|time| time.to_zoned(jiff::tz::TimeZone::system()));
    let text = zoned.and_then(|zoned| jiff::fmt::strtime::format("%b %d %H:%M:%S %Y", &zoned));
    text.unwrap_or_else(|_| "unknown".to_owned())
}

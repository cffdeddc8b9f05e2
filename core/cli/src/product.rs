//! What this is called, and what it runs on.

/// The product.
pub const NAME: &str = "pqswan";
/// Its version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The name of the operating system and the release of its kernel.
pub fn system() -> (String, String) {
    match nix::sys::utsname::uname() {
        Ok(names) => (
            names.sysname().to_string_lossy().into_owned(),
            names.release().to_string_lossy().into_owned(),
        ),
        Err(_) => ("Linux".to_owned(), "unknown".to_owned()),
    }
}

/// `U0.1.0/K6.1.0-18-amd64`: userland and kernel.
pub fn version_code() -> String {
    format!("U{VERSION}/K{}", system().1)
}

//! A plugin's library: opened, checked, asked for its features, never closed.

#![allow(unsafe_code)]

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use abi_stable::library::{AbiHeaderRef, LibraryError};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use plugin_api::abi::{API, Checks, HostHandle, Origin, PluginRootRef, origin_symbol, symbol};
use plugin_api::log::Group;
use plugin_api::{Feature, Host};

/// Why a plugin is not loaded: a line for the operator, and all that is known.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) details: String,
}

impl Refusal {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            details: String::new(),
        }
    }
}

/// Opens the library of a plugin.
fn open(name: &str, directories: &[PathBuf]) -> Result<(PathBuf, &'static Library), Refusal> {
    let Some(path) = super::find(name, directories) else {
        let places: Vec<_> = directories
            .iter()
            .map(|directory| directory.display().to_string())
            .collect();
        return Err(Refusal::new(format!(
            "no file libcharon_{}.so in {}; install it or take it out of charon.load",
            name.replace('-', "_"),
            places.join(" or ")
        )));
    };
    let shown = path.display();
    let file =
        File::open(&path).map_err(|error| Refusal::new(format!("{shown} is not readable: {error}")))?;
    super::elf::check(&file).map_err(|why| Refusal::new(format!("{shown}: {why}")))?;

    // SAFETY: whoever can write to the plugin directory can run code in the daemon anyway; the file is a whole
    // library. It is never closed, so nothing of it is used after it is gone.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(|error| Refusal::new(format!("{shown} cannot be opened: {error}")))?;
    Ok((path, Box::leak(Box::new(library))))
}

/// Opens the library of a plugin and takes the features whose interfaces this daemon knows.
pub(super) fn features(
    name: &str,
    directories: &[PathBuf],
    host: &Arc<dyn Host>,
) -> Result<Vec<Feature>, Refusal> {
    let (path, library) = open(name, directories)?;
    let shown = path.display();
    // SAFETY: the symbol is read as a pointer to a header, which `upgrade` checks before it believes anything else.
    let header = unsafe { library.get::<AbiHeaderRef>(symbol(name).as_bytes()) };
    let header = header.map_err(|_| {
        Refusal::new(format!(
            "{shown} is no plugin named '{name}' (it has no symbol {})",
            symbol(name)
        ))
    })?;
    let header = (*header)
        .upgrade()
        .map_err(|error| library_error(&shown.to_string(), &error))?;
    let same_origin = same_origin(name, library);
    if !same_origin {
        let text = format!(
            "plugin '{name}' was built from other sources than this daemon, its layouts are compared"
        );
        host.log(Group::Lib, 2, &text);
    }
    let root = if same_origin {
        // SAFETY: the layout of the root is that of the sources, which are the daemon's.
        unsafe { header.init_root_module_with_unchecked_layout::<PluginRootRef>() }
    } else {
        header.init_root_module::<PluginRootRef>()
    };
    let root = root.map_err(|error| library_error(&shown.to_string(), &error))?;
    if root.api() != API {
        return Err(Refusal::new(format!(
            "{shown} is for plugin API {}, this daemon has {API}; build it again",
            root.api()
        )));
    }
    if root.name() != name {
        return Err(Refusal::new(format!("{shown} calls itself '{}'", root.name())));
    }
    let offers = (root.features())(HostHandle::new(Arc::clone(host), same_origin));
    let offers = offers.into_result().map_err(|error| {
        let error = plugin_api::PluginError::from(error);
        Refusal::new(format!("{shown}: {error}"))
    })?;
    let mut checks = Checks::new(same_origin);
    let mut features = Vec::new();
    for offer in offers {
        match offer.accept(&mut checks) {
            Ok(feature) => features.push(feature),
            Err(refusal) => {
                host.log(Group::Lib, 1, &format!("plugin '{name}': feature {refusal}"));
                if !refusal.details.is_empty() {
                    host.log(Group::Lib, 3, &refusal.details);
                }
            }
        }
    }
    Ok(features)
}

/// Whether a library, whose abi_stable is compatible, was built from the same as the daemon. Older plugins do not say.
fn same_origin(name: &str, library: &Library) -> bool {
    // SAFETY: the symbol is only read by the function below.
    let origin = unsafe { library.get::<*const Origin>(origin_symbol(name).as_bytes()) };
    // SAFETY: a plugin has an origin there, which begins with its fingerprint whatever it was built from.
    origin.is_ok_and(|origin| unsafe { Origin::is_own(*origin) })
}

/// The error texts of `abi_stable` have a thousand lines; the first says enough.
fn library_error(path: &str, error: &LibraryError) -> Refusal {
    let details = error.to_string();
    let first = match error {
        LibraryError::InvalidAbiHeader(_) => "built with another version of abi_stable".to_owned(),
        LibraryError::AbiInstability(_) => {
            "its root has another layout than this daemon's; build it again".to_owned()
        }
        LibraryError::RootModule { .. } => "it panicked while it was loaded".to_owned(),
        _ => details
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("unknown error")
            .trim()
            .to_owned(),
    };
    Refusal {
        reason: format!("{path}: {first}"),
        details,
    }
}

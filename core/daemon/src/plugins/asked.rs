//! From the names of a list to plugins: those of that name, those that do its work, or none.

use std::path::PathBuf;
use std::sync::Arc;

use config::settings::Settings;
use plugin_api::Host;
use plugin_api::log::Group;

use super::library::Refusal;
use super::names::{self, Work};
use super::resolve::Candidate;
use super::{Wanted, find, library, list};

/// The part of the daemon that lists name like a plugin.
const SOCKET: &str = "socket-default";

/// The plugins that reach the kernel. Each may lack what the other has: `kernel-netlink` ESP, where the kernel has none, and
/// `kernel-libipsec` addresses and routes, always.
const KERNEL: [&str; 2] = ["kernel-netlink", "kernel-libipsec"];

/// A name of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// As it was written, without the mark.
    pub name: String,
    /// The plugins that do its work; none if the daemon itself does, or nothing.
    pub plugins: Vec<String>,
}

/// Opens the libraries of plugins, in the order of the list. One after the other: the dynamic linker opens one at a time, and
/// waking up a thread for that takes longer than asking the last one meanwhile saves.
pub(super) struct Loader<'a> {
    settings: &'a Settings,
    directories: &'a [PathBuf],
    host: &'a Arc<dyn Host>,
    /// Whether each name of the list means the plugin of that name alone.
    literal: bool,
    candidates: Vec<Candidate>,
    asked: Vec<Asked>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(settings: &'a Settings, directories: &'a [PathBuf], host: &'a Arc<dyn Host>) -> Self {
        let wanted = list::wanted(settings);
        let literal =
            list::is_default(settings) || names::is_ours(wanted.iter().map(|wanted| wanted.name.as_str()));
        Self {
            settings,
            directories,
            host,
            literal,
            candidates: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// Opens what does the work of a name, and says what that is unless it is the plugin of that name.
    ///
    /// # Errors
    ///
    /// If the name is marked and nothing does its work.
    pub(super) fn ask(&mut self, wanted: &Wanted) -> Result<(), String> {
        let name = wanted.name.as_str();
        let alone = [name];
        let plugins: &[&str] = match names::work(name) {
            Some(Work::Plugins(plugins)) if !self.literal && plugins.contains(&name) => plugins,
            _ if name == SOCKET || self.is_installed(name) => &alone,
            Some(Work::Plugins(plugins)) if !plugins.contains(&name) => plugins,
            Some(Work::BuiltIn(how)) => {
                self.log(1, &format!("plugin '{name}': built in, {how}"));
                self.note(name, &[]);
                return Ok(());
            }
            Some(Work::Nothing(why)) => {
                if wanted.critical {
                    return Err(format!("loading critical plugin '{name}' failed: {why}"));
                }
                self.log(1, &format!("plugin '{name}': not available, {why}"));
                self.note(name, &[]);
                return Ok(());
            }
            Some(Work::Plugins(_)) | None => &alone,
        };
        if plugins == alone {
            return self.open_named(wanted);
        }
        self.open_all(wanted, plugins)
    }

    /// Opens the plugin of a name.
    fn open_named(&mut self, wanted: &Wanted) -> Result<(), String> {
        let name = wanted.name.as_str();
        match self.open(name, wanted.critical, false) {
            Ok(()) => {
                self.note(name, &[name]);
                Ok(())
            }
            Err(refusal) => {
                // What has a file is named as it was meant.
                let unknown = names::work(name).is_none() && !self.is_installed(name);
                let near = unknown.then(|| names::nearest(name)).flatten();
                let hint = near.map_or(String::new(), |near| format!(", did you mean '{near}'?"));
                self.refused(name, &refusal, &hint);
                if wanted.critical {
                    return Err(format!("loading critical plugin '{name}' failed"));
                }
                Ok(())
            }
        }
    }

    /// Opens as many of the plugins that do the work of a name as are installed.
    fn open_all(&mut self, wanted: &Wanted, plugins: &[&str]) -> Result<(), String> {
        let name = wanted.name.as_str();
        let mut opened = Vec::new();
        for plugin in plugins {
            if *plugin != SOCKET && !self.is_installed(plugin) || !list::is_allowed(self.settings, plugin) {
                continue;
            }
            match self.open(plugin, wanted.critical, false) {
                Ok(()) => opened.push(*plugin),
                Err(refusal) => self.refused(plugin, &refusal, ""),
            }
        }
        if opened.is_empty() {
            let reason = format!(
                "none of the plugins that do its work can be loaded: {}",
                plugins.join(", ")
            );
            self.log(1, &format!("plugin '{name}': failed to load - {reason}"));
            if wanted.critical {
                return Err(format!("loading critical plugin '{name}' failed"));
            }
            return Ok(());
        }
        self.log(1, &format!("plugin '{name}': provided by {}", opened.join(", ")));
        self.note(name, &opened);
        Ok(())
    }

    /// Where only one of the plugins that reach the kernel is named, adds the other behind it, for what the first cannot do. Files
    /// that come with strongSwan switch `kernel-libipsec` off, which is no reason to do without IPsec.
    pub(super) fn add_other_kernel_interface(&mut self) {
        let has = |name: &str| self.candidates.iter().any(|candidate| candidate.name() == name);
        let other = match KERNEL.map(has) {
            [true, false] => KERNEL[1],
            [false, true] => KERNEL[0],
            _ => return,
        };
        if !self.is_installed(other) {
            return;
        }
        if let Err(refusal) = self.open(other, false, true) {
            self.refused(other, &refusal, "");
        }
    }

    pub(super) fn finish(self) -> (Vec<Candidate>, Vec<Asked>) {
        (self.candidates, self.asked)
    }

    fn open(&mut self, plugin: &str, critical: bool, unnamed: bool) -> Result<(), Refusal> {
        if let Some(known) = self.candidates.iter_mut().find(|known| known.name() == plugin) {
            known.demand(critical);
            return Ok(());
        }
        if plugin == SOCKET {
            self.candidates.push(Candidate::builtin(plugin));
            return Ok(());
        }
        let features = library::features(plugin, self.directories, self.host)?;
        let candidate = Candidate::new(plugin.to_owned(), critical, features);
        self.candidates
            .push(if unnamed { candidate.unnamed() } else { candidate });
        Ok(())
    }

    fn refused(&self, plugin: &str, refusal: &Refusal, hint: &str) {
        self.log(
            1,
            &format!("plugin '{plugin}': failed to load - {}{hint}", refusal.reason),
        );
        if !refusal.details.is_empty() {
            self.log(3, &refusal.details);
        }
    }

    fn is_installed(&self, plugin: &str) -> bool {
        find(plugin, self.directories).is_some()
    }

    fn note(&mut self, name: &str, plugins: &[&str]) {
        self.asked.push(Asked {
            name: name.to_owned(),
            plugins: plugins.iter().map(|plugin| (*plugin).to_owned()).collect(),
        });
    }

    fn log(&self, level: i8, text: &str) {
        self.host.log(Group::Lib, level, text);
    }
}

//! Where the daemon's files are.
//!
//! Settings win; else everything is found relative to the executable, so that an installed tree runs from `/` and from
//! wherever it lies.

use std::path::{Path, PathBuf};

use config::settings::Settings;

/// The directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Configuration: strongswan.conf, ipsec.secrets.
    pub sysconf: PathBuf,
    /// Pid files and control sockets.
    pub pid: PathBuf,
    /// Where to look for plugins, in this order.
    pub plugins: Vec<PathBuf>,
}

impl Paths {
    /// Those of an executable.
    pub fn of(executable: &Path) -> Self {
        let directory = executable.parent().unwrap_or(Path::new("/"));
        let depth = match directory {
            _ if directory.ends_with("usr/libexec/ipsec") => Some(3),
            // charon-systemd is where administrators call it.
            _ if directory.ends_with("usr/sbin") => Some(2),
            _ => None,
        };
        if let Some(depth) = depth {
            let root = directory.ancestors().nth(depth).unwrap_or(Path::new("/"));
            Self {
                sysconf: root.join("etc"),
                pid: root.join("var/run"),
                plugins: vec![root.join("usr/lib/ipsec/plugins")],
            }
        } else {
            Self {
                sysconf: "/etc".into(),
                pid: "/var/run".into(),
                // Cargo leaves plugins beside the daemon, those that are only dependencies in deps/.
                plugins: vec![directory.to_owned(), directory.join("deps")],
            }
        }
    }

    /// Applies `charon.piddir` and `charon.plugin_dir`, a list with colons.
    pub fn apply(&mut self, settings: &Settings) {
        if let Some(directory) = settings.get("charon.piddir") {
            self.pid = directory.into();
        }
        if let Some(directories) = settings.get("charon.plugin_dir") {
            self.plugins = std::env::split_paths(directories).collect();
        }
    }

    /// Whether the environment variable STRONGSWAN_CONF names strongswan.conf.
    pub fn is_conf_named() -> bool {
        std::env::var_os("STRONGSWAN_CONF").is_some_and(|path| !path.is_empty())
    }

    /// strongswan.conf, unless the environment variable STRONGSWAN_CONF names another file.
    pub fn strongswan_conf(&self) -> PathBuf {
        match std::env::var_os("STRONGSWAN_CONF") {
            Some(path) if !path.is_empty() => path.into(),
            _ => self.sysconf.join("strongswan.conf"),
        }
    }

    /// The secrets of ipsec.conf's connections.
    pub fn secrets(&self, settings: &Settings) -> PathBuf {
        match settings.get("charon.plugins.stroke.secrets_file") {
            Some(path) => path.into(),
            None => self.sysconf.join("ipsec.secrets"),
        }
    }

    /// The pid file.
    pub fn pid_file(&self) -> PathBuf {
        self.pid.join("charon.pid")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_tree_runs_from_where_it_lies() {
        let paths = Paths::of(Path::new("/opt/tree/usr/libexec/ipsec/charon"));
        assert_eq!(paths.sysconf, Path::new("/opt/tree/etc"));
        assert_eq!(paths.pid_file(), Path::new("/opt/tree/var/run/charon.pid"));
        assert_eq!(paths.plugins, [Path::new("/opt/tree/usr/lib/ipsec/plugins")]);
    }

    #[test]
    fn the_root_is_an_installed_tree_too() {
        for executable in ["/usr/libexec/ipsec/charon", "/usr/sbin/charon-systemd"] {
            let paths = Paths::of(Path::new(executable));
            assert_eq!(paths.sysconf, Path::new("/etc"));
            assert_eq!(paths.plugins, [Path::new("/usr/lib/ipsec/plugins")]);
        }
    }

    #[test]
    fn a_build_folder_holds_the_plugins_itself() {
        let paths = Paths::of(Path::new("/src/target/debug/charon"));
        assert_eq!(
            paths.plugins,
            [
                Path::new("/src/target/debug"),
                Path::new("/src/target/debug/deps")
            ]
        );
        assert_eq!(paths.sysconf, Path::new("/etc"));
    }
}

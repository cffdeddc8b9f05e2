//! Where things are.
//!
//! Everything is found relative to the executable, so that an installed tree runs from `/` and from wherever it lies.
//! strongswan.conf can move the pid files and sockets, because two daemons in two network namespaces may share a
//! `/var/run`.

use std::io;
use std::path::{Path, PathBuf};

use config::settings::Settings;

/// The directories of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// charon, starter, stroke, _updown.
    pub libexec: PathBuf,
    /// ipsec.conf, strongswan.conf, ipsec.secrets.
    pub sysconfdir: PathBuf,
    /// Pid files and control sockets; `charon.piddir`.
    pub piddir: PathBuf,
    /// Plugins.
    pub plugin_dir: PathBuf,
}

impl Paths {
    /// Those of this executable.
    ///
    /// # Errors
    ///
    /// If the system does not say where it is.
    pub fn find() -> io::Result<Self> {
        Ok(Self::of(&std::env::current_exe()?))
    }

    /// Those of an executable.
    pub fn of(executable: &Path) -> Self {
        let directory = executable.parent().unwrap_or(Path::new("/"));
        let root = if ["usr/sbin", "usr/bin"]
            .iter()
            .any(|place| directory.ends_with(place))
        {
            directory.ancestors().nth(2)
        } else if directory.ends_with("usr/libexec/ipsec") {
            directory.ancestors().nth(3)
        } else {
            None
        };
        match root {
            Some(root) => Self {
                libexec: root.join("usr/libexec/ipsec"),
                sysconfdir: root.join("etc"),
                piddir: root.join("var/run"),
                plugin_dir: root.join("usr/lib/ipsec/plugins"),
            },
            // Cargo puts everything into one folder.
            None => Self {
                libexec: directory.to_owned(),
                sysconfdir: "/etc".into(),
                piddir: "/var/run".into(),
                plugin_dir: directory.to_owned(),
            },
        }
    }

    /// strongswan.conf, unless the environment variable STRONGSWAN_CONF names another file.
    pub fn strongswan_conf(&self) -> PathBuf {
        match std::env::var_os("STRONGSWAN_CONF") {
            Some(path) if !path.is_empty() => path.into(),
            _ => self.sysconfdir.join("strongswan.conf"),
        }
    }

    /// Reads strongswan.conf, if there is one, and takes `charon.piddir` from it.
    ///
    /// # Errors
    ///
    /// With file and line, if it cannot be read; also if it is missing and the environment names it.
    pub fn with_settings(mut self) -> Result<(Self, Settings), String> {
        let path = self.strongswan_conf();
        let named = std::env::var_os("STRONGSWAN_CONF").is_some_and(|path| !path.is_empty());
        if named && path.try_exists().is_ok_and(|exists| !exists) {
            return Err(format!(
                "there is no file '{}', which the environment variable STRONGSWAN_CONF names",
                path.display()
            ));
        }
        let settings = match Settings::load(&path) {
            Ok(settings) => settings,
            Err(_) if !path.exists() => Settings::default(),
            Err(error) => return Err(format!("invalid config file '{}': {error}", path.display())),
        };
        if let Some(directory) = settings.get("charon.piddir") {
            self.piddir = directory.into();
        }
        Ok((self, settings))
    }

    /// The pid file of the starter.
    pub fn starter_pid_file(&self) -> PathBuf {
        self.piddir.join("starter.charon.pid")
    }

    /// The socket by which commands hear what the starter meets when it gives charon connections.
    pub fn starter_socket(&self) -> PathBuf {
        self.piddir.join("starter.charon.ctl")
    }

    /// The pid file of charon.
    pub fn charon_pid_file(&self) -> PathBuf {
        self.piddir.join("charon.pid")
    }

    /// The stroke socket as strongswan.conf names it, `unix:///var/run/charon.ctl`.
    pub fn stroke_uri(&self, settings: &Settings) -> String {
        match settings.get("charon.plugins.stroke.socket") {
            Some(uri) => uri.to_owned(),
            None => format!("unix://{}", self.piddir.join("charon.ctl").display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_tree_runs_from_where_it_lies() {
        for executable in [
            "/opt/x/usr/sbin/ipsec",
            "/opt/x/usr/libexec/ipsec/starter",
            "/opt/x/usr/bin/ipsec",
        ] {
            let paths = Paths::of(Path::new(executable));
            assert_eq!(paths.libexec, Path::new("/opt/x/usr/libexec/ipsec"));
            assert_eq!(paths.sysconfdir, Path::new("/opt/x/etc"));
            assert_eq!(
                paths.starter_pid_file(),
                Path::new("/opt/x/var/run/starter.charon.pid")
            );
            assert_eq!(paths.plugin_dir, Path::new("/opt/x/usr/lib/ipsec/plugins"));
        }
    }

    #[test]
    fn the_root_is_an_installed_tree_too() {
        let paths = Paths::of(Path::new("/usr/sbin/ipsec"));
        assert_eq!(paths.libexec, Path::new("/usr/libexec/ipsec"));
        assert_eq!(
            (paths.sysconfdir, paths.piddir),
            ("/etc".into(), "/var/run".into())
        );
    }

    #[test]
    fn a_build_folder_has_the_programs_beside_each_other() {
        let paths = Paths::of(Path::new("/src/target/debug/ipsec"));
        assert_eq!(paths.libexec, Path::new("/src/target/debug"));
        assert_eq!(paths.charon_pid_file(), Path::new("/var/run/charon.pid"));
    }
}

//! What is wrong with ipsec.conf, for whoever has it read again: the starter says it to the log only.

use std::path::{Path, PathBuf};

use config::ipsec_conf::{Auto, IpsecConf, to_peer_config};
use config::settings::Settings;

use crate::paths::Paths;
use crate::process::Process;

/// The file that the running starter reads.
pub(super) fn file(paths: &Paths, settings: &Settings) -> PathBuf {
    let starter = Process::of_pid_file(&paths.starter_pid_file(), "starter");
    let asked = starter.and_then(|starter| {
        let line = std::fs::read(format!("/proc/{}/cmdline", starter.pid())).ok()?;
        let words: Vec<_> = line
            .split(|octet| *octet == 0)
            .map(String::from_utf8_lossy)
            .collect();
        let at = words
            .iter()
            .position(|word| word == "--conf" || word.starts_with("--conf="))?;
        match words[at].split_once('=') {
            Some((_, file)) => Some(PathBuf::from(file)),
            None => words.get(at + 1).map(|file| PathBuf::from(&**file)),
        }
    });
    match (asked, settings.get("starter.config_file")) {
        (Some(file), _) => file,
        (None, Some(file)) => file.into(),
        (None, None) => paths.sysconfdir.join("ipsec.conf"),
    }
}

/// What is wrong with the file as a whole or with one of its connections, which stay as they are loaded.
pub(super) fn problems(file: &Path) -> Vec<String> {
    let conf = match IpsecConf::load(file) {
        Ok(conf) => conf,
        Err(error) => {
            return vec![
                error.to_string(),
                "can't reload config file due to errors -- keeping old one".to_owned(),
            ];
        }
    };
    let uniqueids = conf.setup.uniqueids.as_deref().unwrap_or("yes");
    let refused = conf
        .conns
        .iter()
        .filter(|conn| conn.auto != Auto::Ignore)
        .filter_map(|conn| {
            let converted = to_peer_config(
                &conn.name,
                &conn.settings,
                &conn.source,
                uniqueids,
                &|_| false,
                true,
            );
            let error = converted.err()?;
            Some(format!(
                "connection '{}' of {} refused: {error}",
                conn.name, conn.source
            ))
        });
    let refused: Vec<_> = refused.collect();
    conf.messages.into_iter().chain(refused).collect()
}

/// What keeps a connection of the file from being loaded, if its section is what is wrong.
pub(super) fn problems_of(file: &Path, name: &str) -> Vec<String> {
    let conf = IpsecConf::load(file).ok();
    let refused = conf.is_some_and(|conf| conf.refused.iter().any(|refused| refused == name));
    if refused { problems(file) } else { Vec::new() }
}

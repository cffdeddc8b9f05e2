//! ipsec.secrets: loaded at start and by `reread-secrets`.

use std::path::Path;

use config::ipsec_secrets::{self, Loaded};
use plugin_api::log::Group;

use super::Answer;
use crate::log::Logger;
use crate::privileges;
use crate::run::Daemon;

impl Daemon {
    /// `reread-secrets`: the whole set is replaced at once; if the file cannot be read, the old one stays. The `text` of the
    /// answer are the mistakes in it.
    pub(super) fn reread_secrets(&mut self) -> Answer {
        self.logger.log(Group::Cfg, 1, "rereading secrets");
        let path = self.paths.secrets(&self.host.settings());
        let loaded = load(&path, &self.logger)?;
        self.endpoint.secrets_mut().replace_file_secrets(loaded.secrets);
        Ok(match loaded.mistakes {
            mistakes if mistakes.is_empty() => super::success(),
            mistakes => super::success().list("text", mistakes.iter().map(|line| line.trim_start())),
        })
    }
}

/// Reads the file, with log lines of what it holds.
///
/// # Errors
///
/// If it cannot be read; that is in the log already.
pub(crate) fn load(path: &Path, logger: &Logger) -> Result<Loaded, String> {
    logger.log(
        Group::Cfg,
        1,
        format!("loading secrets from '{}'", path.display()),
    );
    match ipsec_secrets::load(path) {
        Ok(loaded) => {
            for line in &loaded.log {
                logger.log(Group::Cfg, 1, line.clone());
            }
            Ok(loaded)
        }
        Err(error) => {
            let hint = privileges::hint(&error);
            let text = format!("opening secrets file '{}' failed: {error}{hint}", path.display());
            logger.log(Group::Cfg, 1, text.clone());
            Err(text)
        }
    }
}

//! Log lines as events of `tracing`, for subscribers of whoever embeds the daemon: target is the group, level follows
//! from charon's.

use ike::LogLine;
use plugin_api::log::{AUDIT, CONTROL, DIAGNOSE, Group};

/// Whether there is a subscriber at all.
pub(super) fn enabled() -> bool {
    tracing::level_filters::LevelFilter::current() != tracing::level_filters::LevelFilter::OFF
}

macro_rules! by_group {
    ($line:expr, $($group:ident $target:literal),*) => {
        match $line.group {
            // A target has to be a constant, so every group has its own call sites.
            $(Group::$group => match $line.level {
                ..=AUDIT => tracing::info!(target: $target, level = $line.level, audit = true, "{}", $line.text),
                CONTROL => tracing::info!(target: $target, level = $line.level, "{}", $line.text),
                DIAGNOSE => tracing::debug!(target: $target, level = $line.level, "{}", $line.text),
                _ => tracing::trace!(target: $target, level = $line.level, "{}", $line.text),
            },)*
        }
    };
}

pub(super) fn forward(line: &LogLine) {
    if !enabled() {
        return;
    }
    by_group!(
        line, Dmn "DMN", Mgr "MGR", Ike "IKE", Chd "CHD", Job "JOB", Cfg "CFG", Knl "KNL", Net "NET", Asn "ASN",
        Enc "ENC", Tnc "TNC", Imc "IMC", Imv "IMV", Pts "PTS", Tls "TLS", App "APP", Esp "ESP", Lib "LIB"
    );
}

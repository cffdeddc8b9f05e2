//! What is passed on to charon as it is.

use config::settings::Settings;

use super::{NOT_RUNNING, USAGE, check};
use crate::paths::Paths;
use crate::stroke;

/// The commands.
pub(super) const COMMANDS: &[&str] = &[
    "up",
    "down",
    "down-srcip",
    "route",
    "unroute",
    "leases",
    "listalgs",
    "listplugins",
    "listpubkeys",
    "listcerts",
    "listcacerts",
    "listaacerts",
    "listocspcerts",
    "listacerts",
    "listgroups",
    "listcainfos",
    "listcrls",
    "listocsp",
    "listall",
    "listcounters",
    "resetcounters",
    "rereadsecrets",
    "secrets",
    "rereadcacerts",
    "rereadaacerts",
    "rereadocspcerts",
    "rereadacerts",
    "rereadcrls",
    "rereadall",
    "purgeocsp",
    "purgecrls",
    "purgecerts",
    "purgeike",
];

/// Asks charon.
pub(super) fn ask(paths: &Paths, settings: &Settings, arguments: &[&str]) -> u8 {
    if let [command @ ("up" | "down" | "route" | "unroute")] = arguments {
        eprintln!("Usage: ipsec {command} <connection name>");
        return USAGE;
    }
    if let ["down-srcip"] = arguments {
        eprintln!("Usage: ipsec down-srcip <start> [<end>]");
        return USAGE;
    }
    let pid_file = paths.charon_pid_file();
    if !pid_file.exists() {
        eprintln!("charon is not running ({} does not exist)", pid_file.display());
        return NOT_RUNNING;
    }
    let code = stroke::run(arguments);
    if let ["up" | "route", name] = arguments {
        let problems = check::problems_of(&check::file(paths, settings), name);
        problems.iter().for_each(|problem| eprintln!("{problem}"));
    }
    code
}

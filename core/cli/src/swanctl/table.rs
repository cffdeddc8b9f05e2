//! The commands with their options. The parser, the usage, completions and man pages are all made of this one table.

use clap::{Arg, ArgAction, Command, ValueHint};
use config::spelling;

use super::commands::{self, Run};
use crate::product::{NAME, VERSION};

/// A command.
pub(super) struct Entry {
    /// `list-sas`, without dashes.
    pub(super) name: &'static str,
    short: char,
    about: &'static str,
    options: &'static [Opt],
    /// Whether what it shows is a list, which is an array in JSON; otherwise there is an object a line.
    lists: bool,
    pub(super) run: Run,
}

/// An option; one with a value says what the value is.
struct Opt(&'static str, char, Option<&'static str>, &'static str);

const CHILD: Opt = Opt(
    "child",
    'c',
    Some("NAME"),
    "by the name of the CHILD_SA's configuration",
);
const IKE: Opt = Opt("ike", 'i', Some("NAME"), "by the name of the connection");
const CHILD_ID: Opt = Opt("child-id", 'C', Some("ID"), "by the CHILD_SA's unique number");
const IKE_ID: Opt = Opt("ike-id", 'I', Some("ID"), "by the IKE_SA's unique number");
const TIMEOUT: Opt = Opt(
    "timeout",
    't',
    Some("SECONDS"),
    "how long to wait; 0 is for ever, -1 not at all",
);
const LOGLEVEL: Opt = Opt(
    "loglevel",
    'l',
    Some("LEVEL"),
    "highest level of log lines to show, from -1 to 4",
);
const FILE: Opt = Opt("file", 'f', Some("FILE"), "read this instead of swanctl.conf");
const CLEAR: Opt = Opt("clear", 'c', None, "unload all credentials first");
const NOPROMPT: Opt = Opt("noprompt", 'n', None, "do not ask for passwords");

const fn entry(
    name: &'static str,
    short: char,
    about: &'static str,
    options: &'static [Opt],
    lists: bool,
    run: Run,
) -> Entry {
    Entry {
        name,
        short,
        about,
        options,
        lists,
        run,
    }
}

/// All of them.
pub(super) const COMMANDS: &[Entry] = &[
    entry(
        "counters",
        'C',
        "list or reset IKE event counters",
        &[
            Opt("name", 'n', Some("NAME"), "those of a connection"),
            Opt("all", 'a', None, "those of all connections"),
            Opt("reset", 'R', None, "set them to zero"),
        ],
        true,
        commands::counters,
    ),
    entry(
        "initiate",
        'i',
        "establish a CHILD_SA, or an IKE_SA without one",
        &[CHILD, IKE, TIMEOUT, LOGLEVEL],
        false,
        commands::initiate,
    ),
    entry(
        "terminate",
        't',
        "close CHILD_SAs or IKE_SAs",
        &[
            CHILD,
            IKE,
            CHILD_ID,
            IKE_ID,
            Opt("force", 'f', None, "do not wait for the peer's answer"),
            TIMEOUT,
            LOGLEVEL,
        ],
        false,
        commands::terminate,
    ),
    entry(
        "rekey",
        'R',
        "rekey CHILD_SAs or IKE_SAs",
        &[
            CHILD,
            IKE,
            CHILD_ID,
            IKE_ID,
            Opt("reauth", 'a', None, "authenticate again instead"),
        ],
        false,
        commands::rekey,
    ),
    entry(
        "redirect",
        'd',
        "send a client to another gateway",
        &[
            IKE,
            IKE_ID,
            Opt(
                "peer-ip",
                'p',
                Some("ADDRESS"),
                "by an address, subnet or range of clients",
            ),
            Opt(
                "peer-id",
                'd',
                Some("IDENTITY"),
                "by the identity of clients, also with wildcards",
            ),
            Opt("gateway", 'g', Some("GATEWAY"), "where to"),
        ],
        false,
        commands::redirect,
    ),
    entry(
        "install",
        'p',
        "install a trap or shunt policy",
        &[CHILD, IKE],
        false,
        commands::install,
    ),
    entry(
        "uninstall",
        'U',
        "remove a trap or shunt policy",
        &[CHILD, IKE],
        false,
        commands::uninstall,
    ),
    entry(
        "list-sas",
        'l',
        "list IKE_SAs with their CHILD_SAs",
        &[
            IKE,
            IKE_ID,
            CHILD,
            CHILD_ID,
            Opt("noblock", 'n', None, "leave out SAs that are in use"),
        ],
        true,
        commands::list_sas,
    ),
    entry(
        "monitor-sa",
        'm',
        "show SAs as they come and go",
        &[],
        false,
        commands::monitor_sa,
    ),
    entry(
        "list-pols",
        'P',
        "list trap and shunt policies",
        &[
            CHILD,
            Opt("trap", 't', None, "trap policies only"),
            Opt("drop", 'd', None, "drop policies only"),
            Opt("pass", 'p', None, "bypass policies only"),
        ],
        true,
        commands::list_pols,
    ),
    entry(
        "list-authorities",
        'B',
        "list certification authorities",
        &[Opt("name", 'n', Some("NAME"), "one of them")],
        true,
        commands::list_authorities,
    ),
    entry(
        "list-conns",
        'L',
        "list connections",
        &[IKE],
        true,
        commands::list_conns,
    ),
    entry(
        "list-certs",
        'x',
        "list certificates",
        &[
            Opt("subject", 's', Some("DN"), "by their subject"),
            Opt(
                "type",
                't',
                Some("TYPE"),
                "X509, X509_AC, X509_CRL, OCSP_RESPONSE or PUBKEY",
            ),
            Opt("flag", 'f', Some("FLAG"), "NONE, CA, AA, OCSP or ANY"),
            Opt("pem", 'p', None, "as PEM"),
            Opt("short", 'S', None, "without some details"),
            Opt("utc", 'U', None, "with times in UTC"),
        ],
        true,
        commands::list_certs,
    ),
    entry(
        "list-pools",
        'A',
        "list pools of virtual IPs",
        &[
            Opt("leases", 'l', None, "with who has which address"),
            Opt("name", 'n', Some("NAME"), "one of them"),
        ],
        true,
        commands::list_pools,
    ),
    entry(
        "list-algs",
        'g',
        "list algorithms with their plugins",
        &[],
        true,
        commands::list_algs,
    ),
    entry(
        "flush-certs",
        'f',
        "forget cached certificates",
        &[Opt("type", 't', Some("TYPE"), "of this type only")],
        false,
        commands::flush_certs,
    ),
    entry(
        "load-all",
        'q',
        "load credentials, authorities, pools and connections",
        &[CLEAR, NOPROMPT, FILE],
        false,
        commands::load_all,
    ),
    entry(
        "load-authorities",
        'b',
        "load certification authorities",
        &[FILE],
        false,
        commands::load_authorities,
    ),
    entry(
        "load-conns",
        'c',
        "load connections",
        &[FILE],
        false,
        commands::load_conns,
    ),
    entry(
        "load-creds",
        's',
        "load secrets, keys and certificates",
        &[CLEAR, NOPROMPT, FILE],
        false,
        commands::load_creds,
    ),
    entry(
        "load-pools",
        'a',
        "load pools of virtual IPs",
        &[FILE],
        false,
        commands::load_pools,
    ),
    entry(
        "log",
        'T',
        "show log lines as they are written",
        &[],
        false,
        commands::log,
    ),
    entry(
        "version",
        'V',
        "show the version",
        &[Opt("daemon", 'd', None, "of the daemon")],
        true,
        commands::version,
    ),
    entry(
        "stats",
        'S',
        "show what the daemon is doing",
        &[],
        true,
        commands::stats,
    ),
    entry(
        "reload-settings",
        'r',
        "have the daemon read strongswan.conf again",
        &[],
        false,
        commands::reload_settings,
    ),
];

/// The parser.
pub fn command() -> Command {
    root(|entry| {
        let command = Command::new(entry.name);
        command.long_flag(entry.name).short_flag(entry.short)
    })
}

/// What shells complete. They know of no commands that are flags, so the dashes are part of the names.
pub fn completed() -> Command {
    root(|entry| Command::new(format!("--{}", entry.name)))
}

fn root(named: impl Fn(&Entry) -> Command) -> Command {
    let root = Command::new("swanctl")
        .version(VERSION)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .about(format!(
            "{NAME} {VERSION} swanctl: configures, controls and watches the IKE daemon by its vici socket"
        ))
        .override_usage("swanctl --COMMAND [OPTIONS]")
        .subcommand_required(true)
        // Scripts abbreviate, as getopt lets them.
        .infer_subcommands(true)
        .infer_long_args(true)
        .subcommand_help_heading("Commands");
    COMMANDS.iter().fold(root, |root, entry| {
        root.subcommand(subcommand(entry, named(entry)))
    })
}

fn subcommand(entry: &Entry, command: Command) -> Command {
    let command = command
        .about(entry.about)
        .override_usage(format!("swanctl --{} [OPTIONS]", entry.name));
    let command = entry
        .options
        .iter()
        .fold(command, |command, option| command.arg(arg(option)));
    let command = [
        Opt("raw", 'r', None, "show the daemon's messages, one a line"),
        Opt("pretty", 'P', None, "show the daemon's messages, indented"),
        Opt(
            "debug",
            'v',
            Some("LEVEL"),
            "level of messages about swanctl itself, 2 or 3",
        ),
        Opt("options", '+', Some("FILE"), "read more options from a file"),
        Opt(
            "uri",
            'u',
            Some("URI"),
            "the daemon's socket, unix:///PATH or tcp://HOST:PORT",
        ),
    ]
    .iter()
    .fold(command, |command, option| command.arg(arg(option)));
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue);
    command.arg(json.help(match entry.lists {
        true => "show the daemon's messages as JSON",
        false => "show the daemon's messages as JSON, an object a line",
    }))
}

fn arg(Opt(name, short, value, help): &Opt) -> Arg {
    let arg = Arg::new(*name).long(*name).short(*short).help(*help);
    match value {
        Some(value) => arg
            .value_name(*value)
            .value_hint(match *value {
                "FILE" => ValueHint::FilePath,
                _ => ValueHint::Other,
            })
            .action(ArgAction::Set)
            .allow_hyphen_values(true),
        None => arg.action(ArgAction::SetTrue),
    }
}

/// What was probably meant by a long option that is no command: those that begin like it, or the one that is nearest.
pub(super) fn meant(word: &str) -> Option<String> {
    let word = word.strip_prefix("--")?;
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    let names = || COMMANDS.iter().map(|entry| entry.name);
    let like: Vec<_> = names()
        .filter(|known| !name.is_empty() && known.starts_with(name))
        .map(|known| format!("--{known}"))
        .collect();
    match &like[..] {
        [] => {
            let near = spelling::nearest(name, names().map(str::to_owned))?;
            Some(format!("'--{name}' is not a command, did you mean '--{near}'?"))
        }
        [_] => None,
        several => Some(format!(
            "'--{name}' is ambiguous, it may be {}",
            several.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_options_may_be_abbreviated_while_they_are_unambiguous() {
        let parsed = |line: &[&str]| {
            let line = std::iter::once("swanctl").chain(line.iter().copied());
            let matches = command().try_get_matches_from(line).ok()?;
            let (name, options) = matches.subcommand()?;
            let text = |id| options.try_get_one::<String>(id).ok().flatten().cloned();
            Some((name.to_owned(), text("ike"), text("ike-id")))
        };
        let plain = |name: &str| Some((name.to_owned(), None, None));
        assert_eq!(parsed(&["--reload"]), plain("reload-settings"));
        assert_eq!(parsed(&["--list-sa"]), plain("list-sas"));
        assert_eq!(parsed(&["--load-al", "--nopr"]), plain("load-all"));
        assert_eq!(parsed(&["--log"]), plain("log"));
        assert_eq!(
            parsed(&["--list-sas", "--ike", "a"])
                .and_then(|it| it.1)
                .as_deref(),
            Some("a")
        );
        assert_eq!(
            parsed(&["--list-sa", "--ike-i", "7"])
                .and_then(|it| it.2)
                .as_deref(),
            Some("7")
        );
        assert_eq!(parsed(&["--load"]), None);
        assert_eq!(parsed(&["--li"]), None);
    }

    #[test]
    fn a_word_that_is_no_command_has_a_suggestion() {
        assert_eq!(
            meant("--lst-sas").as_deref(),
            Some("'--lst-sas' is not a command, did you mean '--list-sas'?")
        );
        assert_eq!(
            meant("--load-c").as_deref(),
            Some("'--load-c' is ambiguous, it may be --load-conns, --load-creds")
        );
        assert_eq!(meant("--reload"), None);
        assert_eq!(meant("--frobnicate"), None);
    }

    #[test]
    fn the_table_makes_a_parser() {
        command().debug_assert();
    }

    #[test]
    fn the_command_comes_first_long_or_short() {
        for line in [
            ["swanctl", "--list-sas", "--ike-id", "1"],
            ["swanctl", "-l", "-I", "1"],
        ] {
            let matches = command().try_get_matches_from(line).unwrap();
            let (name, options) = matches.subcommand().unwrap();
            assert_eq!(
                (name, options.get_one::<String>("ike-id").unwrap().as_str()),
                ("list-sas", "1")
            );
        }
        for line in [
            &["swanctl"][..],
            &["swanctl", "--raw", "--stats"],
            &["swanctl", "--stats", "--ike", "x"],
            &["swanctl", "--stats", "--version"],
        ] {
            assert!(command().try_get_matches_from(line).is_err(), "{line:?}");
        }
    }
}

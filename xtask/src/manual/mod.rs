//! The manual pages, and what shells complete of swanctl. They are made of the tables that programs work by.

mod page;
mod pages;

use std::fs;
use std::path::Path;

use charon_cli::swanctl;
use clap_complete::Shell;

/// Where each shell looks for what it completes.
const SHELLS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions/swanctl"),
    (Shell::Fish, "fish/vendor_completions.d/swanctl.fish"),
    (Shell::Zsh, "zsh/vendor-completions/_swanctl"),
];

/// Completes the names of connections and of their children, which the daemon knows.
const NAMES_IN_BASH: &str = r#"
_swanctl_names() {
    local expression
    case "${COMP_WORDS[COMP_CWORD-1]}" in
        --child) expression='s/^  \([^ ].*\): \(TUNNEL\|TRANSPORT\|BEET\|PASS\|DROP\).*/\1/p' ;;
        --ike) expression='s/^\([^ ].*\): IKEv.*/\1/p' ;;
        *) _swanctl "$@"; return ;;
    esac
    local names
    names=$(swanctl --list-conns 2>/dev/null | sed -n "$expression")
    COMPREPLY=($(compgen -W "$names" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _swanctl_names swanctl
"#;

/// The same.
const NAMES_IN_FISH: &str = r#"
complete -c swanctl -l child -x -a "(swanctl --list-conns 2>/dev/null | sed -n 's/^  \([^ ].*\): \(TUNNEL\|TRANSPORT\|BEET\|PASS\|DROP\).*/\1/p')"
complete -c swanctl -l ike -x -a "(swanctl --list-conns 2>/dev/null | sed -n 's/^\([^ ].*\): IKEv.*/\1/p')"
"#;

/// Writes all of it below `usr/share`.
pub(crate) fn write(share: &Path) -> Result<(), String> {
    for (shell, name) in SHELLS {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut swanctl::completed(), "swanctl", &mut text);
        text.extend_from_slice(match shell {
            Shell::Bash => NAMES_IN_BASH.as_bytes(),
            Shell::Fish => NAMES_IN_FISH.as_bytes(),
            _ => &[],
        });
        put(&share.join(name), &text)?;
    }
    for (name, section, text) in pages::all()? {
        put(&share.join(format!("man/man{section}/{name}.{section}")), &text)?;
    }
    Ok(())
}

fn put(path: &Path, text: &[u8]) -> Result<(), String> {
    let written =
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).and_then(|()| fs::write(path, text));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_complete_commands_and_the_manual_has_all_of_them() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path()).expect("written");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect(name);
        for (_, name) in SHELLS {
            assert!(read(name).contains("--list-sas"), "{name}");
        }
        let page = read("man/man8/swanctl.8");
        for command in swanctl::command().get_subcommands() {
            let heading = format!(".SH \"swanctl --{}, -", command.get_name());
            assert!(page.contains(&heading), "{heading}");
        }
    }

    #[test]
    fn every_program_and_file_has_a_manual_page_that_man_can_show() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path()).expect("written");
        for (page, texts) in [
            (
                "man8/ipsec.8",
                &["EXIT STATUS", "FILES", "statusall", "ipsec.conf(5)", "purgecrls"][..],
            ),
            (
                "man8/swanctl.8",
                &["EXIT STATUS", "EXAMPLES", "-l", "swanctl.conf(5)"],
            ),
            (
                "man5/ipsec.conf.5",
                &["rightsourceip", "margintime", "auto = start"],
            ),
            ("man5/ipsec.secrets.5", &["PSK", "chmod 600"]),
            (
                "man5/swanctl.conf.5",
                &["remote_addrs", "connections.<name>.children"],
            ),
            ("man5/strongswan.conf.5", &["start-scripts", "retransmit_tries"]),
        ] {
            let path = folder.path().join("man").join(page);
            let text = fs::read_to_string(&path).expect(page).replace("\\-", "-");
            for wanted in ["NAME", "SEE ALSO"].iter().chain(texts) {
                assert!(text.contains(wanted), "{page}: {wanted}");
            }
            // A line that begins with a dot is a request, and those are of two letters.
            for line in text.lines().filter(|line| line.starts_with('.')) {
                let word = line[1..].split(' ').next().unwrap_or_default();
                let known = [
                    "TH", "SH", "SS", "TP", "PP", "nf", "fi", "br", "ie", "el", "ds", "RS", "RE",
                ];
                assert!(known.contains(&word), "{page}: {line}");
            }
        }
    }

    #[test]
    fn bash_completes_commands_and_their_options() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path()).expect("written");
        let script = folder.path().join(SHELLS[0].1);
        let complete = |words: &str, last: &str| {
            let line = format!(
                "source {}; COMP_WORDS=({words} {last}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _swanctl swanctl {last} x; echo \
                 ${{COMPREPLY[@]}}",
                script.display()
            );
            let output = std::process::Command::new("bash").arg("-c").arg(line).output();
            String::from_utf8_lossy(&output.expect("bash").stdout).into_owned()
        };
        assert_eq!(complete("swanctl", "--mon"), "--monitor-sa\n");
        assert_eq!(complete("swanctl --list-sas", "--i"), "--ike --ike-id\n");
    }

    #[test]
    fn bash_completes_the_names_that_the_daemon_has() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path()).expect("written");
        let script = folder.path().join(SHELLS[0].1);
        let complete = |option: &str| {
            let line = format!(
                "swanctl() {{ printf 'gw: IKEv2, no reauthentication\\n  local:  %%any\\n  net: TUNNEL, rekeying every 3600s\\n  nat: \
                 PASS, no rekeying\\n'; }}; source {}; COMP_WORDS=(swanctl --initiate {option} n); COMP_CWORD=3; _swanctl_names swanctl n \
                 {option}; echo ${{COMPREPLY[@]}}",
                script.display()
            );
            let output = std::process::Command::new("bash").arg("-c").arg(line).output();
            String::from_utf8_lossy(&output.expect("bash").stdout).into_owned()
        };
        assert_eq!(complete("--child"), "net nat\n");
        assert_eq!(complete("--ike"), "\n", "none begins with n");
    }
}

//! The command line of `stroke`.

use control::stroke::{Cache, Connection, Credentials, Listing, Request};

/// The usage.
pub const USAGE: &str = "\
usage: stroke COMMAND
  up NAME | up-nb NAME                     establish a connection; -nb does not wait
  down NAME | down-nb NAME                 close SAs: NAME, NAME[], NAME{}, NAME[*], NAME{*}, [N], {N}
  down-srcip START [END]                   close the IKE_SAs of peers with these virtual IPs
  rekey NAME                               rekey SAs, named as for down
  route NAME | unroute NAME                install or remove policies
  add NAME MYID OTHERID MYADDR OTHERADDR MYNET OTHERNET
  delete NAME                              add or forget a connection
  status [NAME] | statusall [NAME] | statusall-nb [NAME]
  listalgs listplugins listpubkeys listcerts listcacerts listocspcerts listaacerts listacerts
  listgroups listcainfos listcrls listocsp listall [--utc]
  listcounters [NAME] | resetcounters [NAME]
  rereadsecrets rereadcacerts rereadocspcerts rereadaacerts rereadacerts rereadcrls rereadall
  purgeocsp purgecrls purgecerts purgeike
  leases [POOL [ADDRESS]]
  loglevel GROUP LEVEL                     -1 to 4; any for all groups
  version";

/// Reads the command line, without the program's name.
///
/// # Errors
///
/// With a sentence on what is wrong.
pub fn parse(arguments: &[&str]) -> Result<Request, String> {
    let owned = |text: &&str| (*text).to_owned();
    let (command, rest) = arguments.split_first().ok_or("no command given")?;
    let name = || match rest {
        [name] if !name.is_empty() => Ok(owned(name)),
        _ => Err(format!("{command} needs one name")),
    };
    let target = || name()?.parse().map_err(|error: control::Error| error.to_string());
    let at_most_one = || match rest {
        [] => Ok(None),
        [name] => Ok(Some(owned(name))),
        _ => Err(format!("{command} takes one name at most")),
    };
    Ok(match *command {
        "up" | "up-nb" => Request::Initiate {
            name: name()?,
            wait: *command == "up",
        },
        "down" | "down-nb" => Request::Terminate {
            target: target()?,
            wait: *command == "down",
        },
        "down-srcip" => match rest {
            [start] => Request::TerminateSourceIp {
                start: owned(start),
                end: None,
            },
            [start, end] => Request::TerminateSourceIp {
                start: owned(start),
                end: Some(owned(end)),
            },
            _ => return Err("down-srcip needs one or two addresses".into()),
        },
        "rekey" => Request::Rekey { target: target()? },
        "route" => Request::Route { name: name()? },
        "unroute" => Request::Unroute { name: name()? },
        "add" => Request::AddConnection(connection(rest)?),
        "delete" | "del" => Request::DeleteConnection { name: name()? },
        "status" => Request::Status {
            name: at_most_one()?,
            all: false,
        },
        "statusall" | "statusall-nb" => Request::Status {
            name: at_most_one()?,
            all: true,
        },
        "listcounters" => Request::Counters {
            name: at_most_one()?,
            reset: false,
        },
        "resetcounters" => Request::Counters {
            name: at_most_one()?,
            reset: true,
        },
        "leases" => match rest {
            [] => Request::Leases {
                pool: None,
                address: None,
            },
            [pool] => Request::Leases {
                pool: Some(owned(pool)),
                address: None,
            },
            [pool, address] => Request::Leases {
                pool: Some(owned(pool)),
                address: Some(owned(address)),
            },
            _ => return Err("leases takes a pool and an address at most".into()),
        },
        "loglevel" => match rest {
            [group, level] => {
                let number = level.parse().ok().filter(|level| (-1..=4).contains(level));
                let level =
                    number.ok_or_else(|| format!("loglevel {level}: must be a number from -1 to 4"))?;
                Request::LogLevel {
                    group: owned(group),
                    level,
                }
            }
            _ => return Err("loglevel needs a group and a level".into()),
        },
        "secrets" | "rereadsecrets" if rest.is_empty() => Request::Reread(vec![Credentials::Secrets]),
        "rereadall" if rest.is_empty() => Request::Reread(Credentials::ALL.to_vec()),
        "version" if rest.is_empty() => Request::Version,
        "memusage" | "user-creds" | "exportx509" | "exportconncert" | "exportconnchain" => {
            return Err(format!(
                "{command} is not supported: this daemon holds nothing that it could show or use"
            ));
        }
        _ => other(command, rest)?,
    })
}

/// `listcerts --utc`, `rereadcrls`, `purgeocsp`.
fn other(command: &str, rest: &[&str]) -> Result<Request, String> {
    let unknown = || format!("unknown command {command}");
    if let Some(word) = command.strip_prefix("list") {
        let utc = match rest {
            [] => false,
            ["--utc"] => true,
            _ => return Err(format!("{command} takes --utc only")),
        };
        let what = match word {
            // As in charon, plugins are listed on request only.
            "all" => Listing::ALL
                .iter()
                .copied()
                .filter(|what| !matches!(what, Listing::Plugins))
                .collect(),
            _ => vec![Listing::from_word(word).ok_or_else(unknown)?],
        };
        return Ok(Request::List { what, utc });
    }
    if !rest.is_empty() {
        return Err(format!("{command} takes no arguments"));
    }
    if let Some(word) = command.strip_prefix("reread") {
        Ok(Request::Reread(vec![
            Credentials::from_word(word).ok_or_else(unknown)?,
        ]))
    } else if let Some(word) = command.strip_prefix("purge") {
        Ok(Request::Purge(Cache::from_word(word).ok_or_else(unknown)?))
    } else {
        Err(unknown())
    }
}

fn connection(rest: &[&str]) -> Result<Connection, String> {
    let [name, left_id, right_id, left, right, left_net, right_net] = rest else {
        return Err("add needs NAME MYID OTHERID MYADDR OTHERADDR MYNET OTHERNET".into());
    };
    let settings = [
        ("left", left),
        ("leftid", left_id),
        ("leftsubnet", left_net),
        ("right", right),
        ("rightid", right_id),
        ("rightsubnet", right_net),
    ];
    Ok(Connection {
        name: (*name).to_owned(),
        source: "stroke add".to_owned(),
        uniqueids: String::new(),
        settings: settings
            .map(|(key, value)| (key.to_owned(), (*value).to_owned()))
            .to_vec(),
        places: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, String> {
        parse(&line.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn commands_become_requests() {
        assert_eq!(
            parsed("up net"),
            Ok(Request::Initiate {
                name: "net".into(),
                wait: true
            })
        );
        assert_eq!(
            parsed("up-nb net"),
            Ok(Request::Initiate {
                name: "net".into(),
                wait: false
            })
        );
        assert_eq!(
            parsed("down net{*}"),
            Ok(Request::Terminate {
                target: "net{*}".parse().unwrap(),
                wait: true
            })
        );
        assert_eq!(
            parsed("statusall"),
            Ok(Request::Status {
                name: None,
                all: true
            })
        );
        assert_eq!(
            parsed("status net"),
            Ok(Request::Status {
                name: Some("net".into()),
                all: false
            })
        );
        assert_eq!(
            parsed("listalgs"),
            Ok(Request::List {
                what: vec![Listing::Algorithms],
                utc: false
            })
        );
        assert_eq!(
            parsed("listcrls --utc"),
            Ok(Request::List {
                what: vec![Listing::Crls],
                utc: true
            })
        );
        assert_eq!(parsed("secrets"), Ok(Request::Reread(vec![Credentials::Secrets])));
        assert_eq!(parsed("purgeike"), Ok(Request::Purge(Cache::Ike)));
        assert_eq!(
            parsed("loglevel any -1"),
            Ok(Request::LogLevel {
                group: "any".into(),
                level: -1
            })
        );
        assert!(
            matches!(parsed("add n a b c d e f"), Ok(Request::AddConnection(it)) if it.settings.len() == 6)
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(parsed(""), Err("no command given".into()));
        assert_eq!(parsed("up"), Err("up needs one name".into()));
        assert_eq!(parsed("up a b"), Err("up needs one name".into()));
        assert_eq!(parsed("fly"), Err("unknown command fly".into()));
        assert_eq!(parsed("listfoo"), Err("unknown command listfoo".into()));
        assert_eq!(parsed("purgeike x"), Err("purgeike takes no arguments".into()));
        assert_eq!(
            parsed("loglevel ike 7"),
            Err("loglevel 7: must be a number from -1 to 4".into())
        );
        assert!(parsed("down net]").unwrap_err().contains("names no SA"));
    }
}

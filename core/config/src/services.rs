//! Names of protocols and ports, as /etc/protocols and /etc/services have them.

use iana::IpProtocol;

const PROTOCOLS: &str = "/etc/protocols";
const SERVICES: &str = "/etc/services";

/// The number of a protocol.
pub(crate) fn protocol(name: &str) -> Option<u8> {
    let known = IpProtocol::ALL.iter().find(|known| known.name() == Some(name));
    let known = known.map(|known| known.0);
    let alias = || matches!(name, "icmp6" | "icmpv6").then_some(IpProtocol::ICMPV6.0);
    known.or_else(alias).or_else(|| {
        let file = std::fs::read(PROTOCOLS).ok()?;
        number(&String::from_utf8_lossy(&file), name)?.parse().ok()
    })
}

/// The port of a service, whichever its protocol. The names that selectors print need no file.
pub(crate) fn port(name: &str) -> Option<u16> {
    let known = match name {
        "ssh" => 22,
        "smtp" => 25,
        "domain" => 53,
        "http" => 80,
        "ntp" => 123,
        "https" => 443,
        "isakmp" => 500,
        "l2tp" | "l2f" => 1701,
        "ipsec-nat-t" => 4500,
        _ => {
            let file = std::fs::read(SERVICES).ok()?;
            let file = String::from_utf8_lossy(&file);
            return number(&file, name)?.split('/').next()?.parse().ok();
        }
    };
    Some(known)
}

/// The second word of the line that has the name as its first, or as an alias behind the second.
fn number<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    file.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (first, number) = (words.next()?, words.next()?);
        (first == name || words.any(|alias| alias == name)).then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_found_and_comments_are_not() {
        let services = "# mysql 1/tcp\nmysql\t\t3306/tcp  # database\nmdns 5353/udp zeroconf\n";
        assert_eq!(number(services, "mysql"), Some("3306/tcp"));
        assert_eq!(number(services, "zeroconf"), Some("5353/udp"));
        assert_eq!(number(services, "database"), None);
        assert_eq!(number(services, "3306/tcp"), None);
    }

    #[test]
    fn the_usual_names_need_no_file() {
        assert_eq!(protocol("ospf"), Some(89));
        assert_eq!(protocol("icmp6"), Some(58));
        assert_eq!(port("https"), Some(443));
        assert_eq!((protocol("nosuch"), port("nosuch")), (None, None));
    }
}

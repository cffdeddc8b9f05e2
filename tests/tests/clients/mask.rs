//! What differs from run to run and from host to host, replaced by what it is.

/// A host's text as every host's: its own and the peer's names, SPIs, times, sizes.
pub(crate) fn mask(text: &str, host: &str) -> String {
    let (moon, carol) = if host == "moon" {
        ("OWN", "PEER")
    } else {
        ("PEER", "OWN")
    };
    let text = [
        ("192.168.0.2", moon),
        ("moon", moon),
        ("10.1.0.0/16", moon),
        ("192.168.0.3", carol),
        ("carol", carol),
        ("10.3.0.0/16", carol),
    ]
    .iter()
    .fold(text.to_owned(), |text, (name, mask)| text.replace(name, mask));
    text.lines().map(|text| line(text) + "\n").collect()
}

fn line(text: &str) -> String {
    let mut masked = String::new();
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
            word.push(c);
            continue;
        }
        masked += &self::word(&word, &masked, c);
        masked.push(c);
        word.clear();
    }
    masked.truncate(masked.len() - 1);
    masked
}

/// A word, given what comes before and the character after it.
fn word(word: &str, before: &str, after: char) -> String {
    let hexadecimal = |word: &str| word.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    for suffix in ["_i", "_o", "_r", ""] {
        if let Some(spi) = word.strip_suffix(suffix)
            && [8, 16].contains(&spi.len())
            && hexadecimal(spi)
        {
            return format!("SPI{suffix}");
        }
    }
    let number = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
    if word.strip_suffix('s').is_some_and(number) {
        return "TIMEs".to_owned();
    }
    let key = before
        .rsplit([' ', '{'])
        .find(|key| !key.is_empty())
        .unwrap_or_default();
    let key = before
        .strip_suffix('=')
        .and_then(|before| before.rsplit([' ', '{']).next())
        .or_else(|| before.trim_start().strip_suffix(" = "))
        .unwrap_or(key);
    let measured = [
        "established",
        "rekey-time",
        "life-time",
        "install-time",
        "use-in",
        "use-out",
    ];
    if number(word) && measured.contains(&key) {
        return "TIME".to_owned();
    }
    // The padding of a message is whatever its sender likes.
    if number(word) && before.ends_with('(') && after == ' ' {
        return "SIZE".to_owned();
    }
    word.to_owned()
}

#[test]
fn what_differs_is_masked_and_nothing_else() {
    let text = "[NET] sending packet: from 192.168.0.2[500] to 192.168.0.3[500] (248 bytes)\n\
        gw: #1, ESTABLISHED, IKEv2, 12217406454111d4_i* 28419731ffeeac99_r\n\
        list-sa event {gw {uniqueid=1 local-host=192.168.0.2 spi-in=c3c1a3dc rekey-time=3512}}\n    \
        installed 0s ago, rekeying in 3512s\n";
    let masked = "[NET] sending packet: from OWN[500] to PEER[500] (SIZE bytes)\n\
        gw: #1, ESTABLISHED, IKEv2, SPI_i* SPI_r\n\
        list-sa event {gw {uniqueid=1 local-host=OWN spi-in=SPI rekey-time=TIME}}\n    \
        installed TIMEs ago, rekeying in TIMEs\n";
    assert_eq!(mask(text, "moon"), masked);
}

//! Proposals with unknown words or without a plugin, in files of both front ends.

use super::super::pair::{Pair, ask};
use super::{CAROL, CLASSICAL, Demand, FrontEnd, MOON, PSK, empty, initiate, load, nothing};

/// A connection whose proposals are wrong.
struct Wrong {
    name: &'static str,
    /// Those of the IKE_SA, if they are the wrong ones.
    ike: Option<&'static str>,
    /// Those of the CHILD_SA, if they are the wrong ones.
    esp: Option<&'static str>,
    /// The explanation for ipsec.conf and for swanctl.conf.
    why: [&'static str; 2],
}

const fn ike(name: &'static str, ike: &'static str, why: [&'static str; 2]) -> Wrong {
    Wrong {
        name,
        ike: Some(ike),
        esp: None,
        why,
    }
}

const fn esp(name: &'static str, esp: &'static str, why: [&'static str; 2]) -> Wrong {
    Wrong {
        name,
        ike: None,
        esp: Some(esp),
        why,
    }
}

const ML_KEM: &str = "did you mean 'ke1_mlkem768'?";
const MARKS: [&str; 2] = [
    "'!' is allowed at the end of the list only",
    "lists in swanctl.conf are strict without '!'",
];

const WRONG: [Wrong; 9] = [
    ike("ike-typo", "aes256-sha256-x25519-ke1_mlkem786", [ML_KEM; 2]),
    ike(
        "ike-typo-and-mark",
        "aes256-sha256-x25519-ke1_mlkem786!",
        [ML_KEM; 2],
    ),
    ike(
        "ike-one-of-several",
        "aes256gcm16-sha512-x25519,aes256gcm16-sha521-x25519",
        ["did you mean 'sha512'?"; 2],
    ),
    ike(
        "ike-mark-inside",
        "aes256gcm16-sha512-x25519-ke1_mlkem768!,aes256gcm16-sha512-x25519",
        MARKS,
    ),
    ike(
        "ike-typo-and-mark-inside",
        "aes256gcm16-sha512-x25519-ke1_mlkem786!,aes256gcm16-sha512-x25519",
        [ML_KEM; 2],
    ),
    ike(
        "ike-without-plugin",
        "aes256gcm16-sha512-x25519-ke1_sike1",
        ["no loaded plugin implements KE1_SIKE_L1"; 2],
    ),
    esp("esp-typo", "aes256gcm61", ["did you mean 'aes256gcm16'?"; 2]),
    esp(
        "esp-one-of-several",
        "aes256gcm16,aes256gcm16-x25519-ke1_mlkem786",
        [ML_KEM; 2],
    ),
    esp(
        "esp-without-plugin",
        "aes256gcm16-x25519-ke1_sike1",
        ["no loaded plugin implements KE1_SIKE_L1"; 2],
    ),
];

impl Wrong {
    /// The key of the wrong setting, of those of IKE and ESP, and its value.
    fn setting(&self, [ike, esp]: [&'static str; 2]) -> (&'static str, &'static str) {
        let ike = self.ike.map(|value| (ike, value));
        ike.or(self.esp.map(|value| (esp, value)))
            .expect("a wrong setting")
    }
}

/// The number of the first line that is this one, past the line `after`.
fn place(text: &str, after: &str, line: &str) -> usize {
    let mut lines = text.lines().map(str::trim).enumerate();
    lines.find(|(_, text)| *text == after).expect("the section");
    let (index, _) = lines.find(|(_, text)| *text == line).expect("the setting");
    index + 1
}

/// The line of a text that contains this.
fn line_with<'a>(text: &'a str, part: &str) -> Option<&'a str> {
    text.lines().find(|line| line.contains(part))
}

/// carol with a good connection before and after the wrong ones, and moon with a connection for all of them.
fn pair_with(wrong: &[String], good: impl Fn(&str) -> String, front_end: FrontEnd) -> Option<(Pair, String)> {
    let pair = empty(": PSK \"known on both hosts\"\n")?;
    let text = [&[good("first")], wrong, &[good("last")]].concat().concat();
    match front_end {
        FrontEnd::Ipsec => pair.carol.write("ipsec.conf", &text).unwrap(),
        FrontEnd::Swanctl => pair.carol.write("swanctl.conf", &text).unwrap(),
    }
    pair.start();
    load(&pair.moon, FrontEnd::Swanctl, &PSK, (&MOON, &CAROL)).unwrap();
    Some((pair, text))
}

fn first_and_last_come_up(pair: &Pair, front_end: FrontEnd) {
    for name in ["first", "last"] {
        let (is_up, said) = initiate(&pair.carol, front_end, name).unwrap();
        assert!(is_up, "{said}");
        ask(&pair.carol, &format!("swanctl --terminate --ike {name}"));
    }
    nothing(pair).unwrap();
}

#[test]
fn a_connection_of_ipsec_conf_with_a_wrong_proposal_is_not_loaded_and_all_others_are() {
    let good = |name: &str| {
        let name = name.to_owned().leak();
        let text = Demand { name, ..PSK }.ipsec_conf(&CAROL, &MOON, "");
        // Connections that differ in nothing else would be children of one.
        text.replace("keyingtries=1", &format!("keyingtries={}", name.len()))
    };
    let wrong = WRONG.map(|wrong| {
        let text = good(wrong.name);
        let text = match wrong.ike {
            Some(value) => text.replace(&format!("ike={CLASSICAL}!"), &format!("ike={value}")),
            None => text,
        };
        match wrong.esp {
            Some(value) => text.replace("esp=aes256gcm16!", &format!("esp={value}")),
            None => text,
        }
    });
    let Some((pair, text)) = pair_with(&wrong, good, FrontEnd::Ipsec) else {
        return;
    };
    let log = pair.carol.read("charon.log");
    for wrong in WRONG {
        let name = wrong.name;
        let (key, value) = wrong.setting(["ike", "esp"]);
        let place = place(&text, &format!("conn {name}"), &format!("{key}={value}"));
        let refusal = format!("refused: {key}= (ipsec.conf:{place}): ");
        let line = line_with(&log, &refusal).unwrap_or_else(|| panic!("'{refusal}' is not in:\n{log}"));
        pair.expect(line, &format!("connection '{name}' of ipsec.conf:"));
        pair.expect(line, wrong.why[0]);
        let (is_up, said) = initiate(&pair.carol, FrontEnd::Ipsec, name).unwrap();
        assert!(!is_up, "{said}");
        pair.expect(&said, &format!("no config named '{name}'"));
    }
    first_and_last_come_up(&pair, FrontEnd::Ipsec);
}

#[test]
fn a_connection_of_swanctl_conf_with_a_wrong_proposal_is_not_loaded_and_all_others_are() {
    let good = |name: &str| {
        let name = name.to_owned().leak();
        Demand { name, ..PSK }.swanctl_conf(&CAROL, &MOON, "")
    };
    let wrong = WRONG.map(|wrong| {
        let text = good(wrong.name);
        let text = match wrong.ike {
            Some(value) => text.replace(
                &format!("\nproposals = {CLASSICAL}\n"),
                &format!("\nproposals = {value}\n"),
            ),
            None => text,
        };
        match wrong.esp {
            Some(value) => text.replace(
                "esp_proposals = aes256gcm16\n",
                &format!("esp_proposals = {value}\n"),
            ),
            None => text,
        }
    });
    let Some((pair, text)) = pair_with(&wrong, good, FrontEnd::Swanctl) else {
        return;
    };
    let file = pair.carol.path("swanctl.conf").display().to_string();
    let said = pair
        .carol
        .run(&format!("swanctl --load-conns --file {file}"))
        .unwrap();
    assert_ne!(said.code, Some(0), "{}", said.text);
    for wrong in WRONG {
        let name = wrong.name;
        let (key, value) = wrong.setting(["proposals", "esp_proposals"]);
        let place = place(&text, &format!("{name} {{"), &format!("{key} = {value}"));
        let refusal =
            format!("loading connection '{name}' failed: invalid value for: {key}, config discarded (");
        let line = line_with(&said.text, &refusal);
        let line = line.unwrap_or_else(|| panic!("'{refusal}' is not in:\n{}", said.text));
        pair.expect(line, &format!("({file}:{place})"));
        pair.expect(line, wrong.why[1]);
    }
    for name in ["first", "last"] {
        pair.expect(&said.text, &format!("loaded connection '{name}'\n"));
    }
    let listed = ask(&pair.carol, "swanctl --list-conns");
    let lines = listed.lines().filter(|line| !line.starts_with(' '));
    let names: Vec<_> = lines.filter_map(|line| line.split(':').next()).collect();
    assert_eq!(names, ["first", "last"]);
    first_and_last_come_up(&pair, FrontEnd::Swanctl);
}

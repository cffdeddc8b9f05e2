use super::*;

fn settings(text: &str) -> Settings {
    Settings::parse(text, "strongswan.conf").expect("it parses")
}

#[test]
fn the_seeds_file_has_its_values() {
    let settings = settings(
        "charon {\n  filelog {\n    stderr {\n      default = 1\n    }\n  }\n  send_vendor_id = yes\n  fragment_size = 1480\n  max_packet = 30000\n}\n",
    );
    let mut warnings = Vec::new();
    assert_eq!(settings.get("charon.filelog.stderr.default"), Some("1"));
    assert_eq!(
        settings.get_int("charon.fragment_size", 1280, &mut warnings),
        1480
    );
    assert!(settings.get_bool("charon.send_vendor_id", false, &mut warnings));
    assert_eq!(settings.sections("charon.filelog"), ["stderr"]);
    assert_eq!(
        settings.keys("charon"),
        ["send_vendor_id", "fragment_size", "max_packet"]
    );
    assert!(warnings.is_empty());
}

#[test]
fn sections_merge_and_the_last_value_wins() {
    let settings = settings(
        "a { b = 1 }\na { c = 2 b = 3 }\n"
            .replace(" b = 3", "\n b = 3")
            .as_str(),
    );
    assert_eq!((settings.get("a.b"), settings.get("a.c")), (Some("3"), Some("2")));
}

#[test]
fn values_join_words_and_quotes_keep_what_they_hold() {
    let settings = settings("a = one   two # comment\nb = \"x  # y\\n\\\"z\\\"\" tail\nc =\nd { e = 1 }\n");
    assert_eq!(settings.get("a"), Some("one two"));
    assert_eq!(settings.get("b"), Some("x  # y\n\"z\" tail"));
    assert_eq!(settings.get("c"), None);
    assert_eq!(settings.get("d.e"), Some("1"));
}

#[test]
fn references_inherit_and_empty_values_mask() {
    let settings = settings(
        "base { x = 1\n y = 2\n inner { z = 3 } }\nother { x = 9\n w = 4 }\na : base, other { y =\n }\nb : a { x = 5 }\n",
    );
    assert_eq!(settings.get("a.x"), Some("1"));
    assert_eq!(settings.get("a.y"), None);
    assert_eq!(settings.get("a.w"), Some("4"));
    assert_eq!(settings.get("a.inner.z"), Some("3"));
    assert_eq!(settings.get("b.x"), Some("5"));
    assert_eq!(settings.get("b.w"), Some("4"));
    assert_eq!(settings.sections("b"), ["inner"]);
    assert_eq!(settings.keys("b"), ["x", "y", "w"]);
}

#[test]
fn references_reach_into_sections_and_have_places() {
    let settings = settings(
        "connections {\n a : templates.first, connections.b {\n }\n b {\n y = 2\n }\n}\ntemplates {\n first {\n x = 1\n }\n}\n",
    );
    assert_eq!(settings.get("connections.a.x"), Some("1"));
    assert_eq!(settings.get("connections.a.y"), Some("2"));
    assert_eq!(settings.place("connections.a.x"), Some("strongswan.conf:10"));
    assert_eq!(settings.place("connections.a"), Some("strongswan.conf:2"));
    assert_eq!(settings.place("connections.a.z"), None);
}

#[test]
fn references_in_a_circle_end() {
    let settings = settings("a : b { }\nb : a { x = 1 }\n");
    assert_eq!(settings.get("a.x"), Some("1"));
    assert_eq!(settings.get("a.y"), None);
}

#[test]
fn mistakes_name_file_line_and_what_was_expected() {
    for (text, expected) in [
        (
            "a {\n b = 1\n",
            "strongswan.conf:3: section is not closed, expected '}'",
        ),
        (
            "a\n\nb = 1\n",
            "strongswan.conf:1: unexpected end of line after 'a', expected '=' or '{'",
        ),
        (
            "a",
            "strongswan.conf:1: unexpected end of file after 'a', expected '=' or '{'",
        ),
        ("x = 1\n}\n", "strongswan.conf:2: unexpected '}', expected a name"),
        (
            "a = \"open\n\n",
            "strongswan.conf:1: quoted string is not closed, expected '\"'",
        ),
        (
            "a : { }",
            "strongswan.conf:1: expected the name of a section to refer to",
        ),
        ("include\n", "strongswan.conf:1: expected a file after 'include'"),
    ] {
        let error = Settings::parse(text, "strongswan.conf").expect_err(text);
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_value_of_the_wrong_type_warns_and_the_default_stays() {
    let settings = settings("charon {\n  fragment_size = abc\n}\n");
    let mut warnings = Vec::new();
    assert_eq!(
        settings.get_int("charon.fragment_size", 1280, &mut warnings),
        1280
    );
    assert_eq!(
        warnings,
        ["strongswan.conf:2: charon.fragment_size = abc: expected an integer, using 1280"]
    );
}

#[test]
fn includes_are_relative_to_the_including_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("strongswan.conf");
    std::fs::create_dir(directory.path().join("d")).expect("d");
    std::fs::write(&path, "charon { include d/*.conf\n }\ninclude nothing/*.conf\n").expect("written");
    std::fs::write(directory.path().join("d/a.conf"), "x = 1\ninclude b.inc\n").expect("written");
    std::fs::write(directory.path().join("d/b.inc"), "y = 2\n").expect("written");
    let settings = Settings::load(&path).expect("it loads");
    assert_eq!(
        (settings.get("charon.x"), settings.get("charon.y")),
        (Some("1"), Some("2"))
    );
    std::fs::write(directory.path().join("d/b.inc"), "include b.inc\n").expect("written");
    let error = Settings::load(&path).expect_err("a file that includes itself");
    assert!(
        error.to_string().contains("included more than 20 deep"),
        "{error}"
    );
    assert!(Settings::load(&directory.path().join("missing")).is_ok());
}

#[test]
fn values_are_not_shown_to_who_debugs() {
    let shown = format!("{:?}", settings("secrets {\n ike-1 { secret = hidden\n } }\n"));
    assert!(
        shown.contains("strongswan.conf:2") && !shown.contains("hidden"),
        "{shown}"
    );
}

#[test]
fn a_section_is_laid_over_another() {
    let text = "charon { port = 1\n threads = 2\n filelog { a { default = 1\n ike = 3\n } } }\ncharon-systemd { port = 7\n filelog { a { \
        ike = 4\n }\n b { default = 2\n } } }";
    let settings = Settings::parse(text, "x")
        .unwrap()
        .overlaid("charon-systemd", "charon");
    assert_eq!(settings.get("charon.port"), Some("7"));
    assert_eq!(settings.get("charon.threads"), Some("2"));
    assert_eq!(settings.get("charon.filelog.a.ike"), Some("4"));
    assert_eq!(settings.get("charon.filelog.a.default"), Some("1"));
    assert_eq!(settings.sections("charon.filelog"), ["a", "b"]);
    assert_eq!(settings.place("charon.port"), Some("x:6"));
}

#[test]
fn nothing_is_laid_over_where_there_is_nothing() {
    let only = |text: &str| {
        Settings::parse(text, "x")
            .unwrap()
            .overlaid("charon-systemd", "charon")
    };
    assert_eq!(only("charon { port = 1\n }").get("charon.port"), Some("1"));
    assert_eq!(
        only("charon-systemd { port = 2\n }").get("charon.port"),
        Some("2")
    );
}

#[test]
fn a_section_inherits_what_it_does_not_set() {
    let text = "charon { port = 1\n }\nlibstrongswan { port = 2\n threads = 3\n }";
    let settings = Settings::parse(text, "x")
        .unwrap()
        .inheriting("charon", "libstrongswan");
    assert_eq!(settings.get("charon.port"), Some("1"));
    assert_eq!(settings.get("charon.threads"), Some("3"));
    let alone = Settings::parse("libstrongswan { port = 2\n }", "x").unwrap();
    assert_eq!(
        alone.inheriting("charon", "libstrongswan").get("charon.port"),
        Some("2")
    );
}

//! How values are written.

use super::*;
use crate::identity::Identity;
use crate::octets;

fn value_of(line: &str) -> String {
    let conf = IpsecConf::parse(&format!("conn x\n  {line}\n"), "ipsec.conf").expect(line);
    conf.conns[0]
        .settings
        .values()
        .next()
        .cloned()
        .unwrap_or_default()
}

#[test]
fn a_key_id_is_no_comment_and_quotes_have_escapes() {
    for (line, value) in [
        ("leftid=@#0a0b0c", "@#0a0b0c"),
        ("leftid = @#0a0b0c # router", "@#0a0b0c"),
        ("leftid=moon#comment", "moon"),
        (
            "leftid=\"C=CH, O=\\\"Ex, Inc\\\", CN=x\"",
            "C=CH, O=\"Ex, Inc\", CN=x",
        ),
        ("leftupdown=\"a\\tb\\\\c\"", "a\tb\\c"),
        ("leftupdown=\"/a # b\" c # d", "/a # b c"),
        ("leftupdown=\"a \\\n    b\"", "a     b"),
    ] {
        assert_eq!(value_of(line), value, "{line}");
    }
    let id = Identity::parse(&value_of("leftid=@#0a0b0c"));
    assert_eq!(id.to_string(), "0a:0b:0c");
}

#[test]
fn includes_and_versions_may_be_indented() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ipsec.conf");
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("written");
    write(
        "ipsec.conf",
        "  version 2\nconn a\n  auto=add\n  include common.inc # both\n  lifetime=1h\nconn b\n\tinclude \"common.inc\"\n",
    );
    write("common.inc", "  leftid=@common\n  # nothing else\n");
    let conf = IpsecConf::load(&path).expect("it loads");
    assert!(conf.messages.is_empty(), "{:?}", conf.messages);
    for conn in &conf.conns {
        assert_eq!(conn.settings["leftid"], "@common", "{}", conn.name);
        assert_eq!(conn.places["leftid"], "common.inc:1");
    }
    assert_eq!(conf.conns[0].settings["lifetime"], "1h");
}

#[test]
fn an_include_that_matches_nothing_is_named() {
    let text = "include /nosuch/*.conf\nconn a\n  auto=add\n";
    let conf = IpsecConf::parse(text, "ipsec.conf").expect("it parses");
    assert_eq!(
        conf.messages,
        ["no files found matching '/nosuch/*.conf' (ipsec.conf:1)"]
    );
    assert_eq!(conf.conns.len(), 1);
}

#[test]
fn a_byte_order_mark_is_named() {
    let error = IpsecConf::parse("\u{feff}conn a\n", "ipsec.conf").expect_err("refused");
    assert!(
        error
            .to_string()
            .contains("ipsec.conf:1: the file begins with a byte order mark"),
        "{error}"
    );
}

#[test]
fn octets_that_are_no_text_stay_as_they_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ipsec.conf");
    std::fs::write(
        &path,
        b"conn a\n  leftid=g\xe4te\n  auto=g\xe4te\nconn b\n  leftid=g\xe4te\n",
    )
    .expect("written");
    let conf = IpsecConf::load(&path).expect("it loads");
    assert!(conf.messages[0].contains("auto=g\\xe4te"), "{:?}", conf.messages);
    let text = &conf.conns[0].settings["leftid"];
    assert_eq!(octets::release(text), b"g\xe4te");
    let peer = convert(&conf.conns[0], "10.0.0.1").peer;
    assert_eq!(
        peer.local_auth[0].id.as_ref().expect("an identity").data,
        b"g\xe4te"
    );
}

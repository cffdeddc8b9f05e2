//! Files that are no plugins, or not the one they should be.

use std::fs;
use std::path::Path;

use daemon::plugins::DEFAULT_LOAD;
use tempfile::TempDir;

use crate::loaded::{built, load};

/// A folder with one file `libcharon_bad.so`, loaded after the usual ones; the line about it.
fn line_about(make: impl Fn(&Path)) -> String {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("libcharon_bad.so");
    make(&path);
    let directories = [built(), folder.path().to_owned()];

    let (plugins, daemon) = load(&format!("{DEFAULT_LOAD} bad"), &directories);
    let names: Vec<_> = plugins
        .expect("the others load")
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(
        names,
        DEFAULT_LOAD.split_whitespace().collect::<Vec<_>>(),
        "all but the bad one"
    );
    let [line] = &daemon.said()[..] else {
        panic!("one line, not {:?}", daemon.said());
    };
    let prefix = "plugin 'bad': failed to load - ";
    let reason = line
        .strip_prefix(prefix)
        .unwrap_or_else(|| panic!("'{line}' does not start with '{prefix}'"));

    // The same, but it is wanted.
    let (plugins, daemon) = load(&format!("{DEFAULT_LOAD} bad!"), &directories);
    let refusal = plugins.err().expect("no start without it");
    assert_eq!(refusal, "loading critical plugin 'bad' failed");
    assert_eq!(daemon.said(), std::slice::from_ref(line), "with the same reason");
    reason.replace(&path.display().to_string(), "PATH")
}

fn write(octets: &[u8]) -> impl Fn(&Path) {
    move |path| fs::write(path, octets).expect("a file")
}

fn good() -> Vec<u8> {
    let path = built().join("libcharon_nonce.so");
    fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; `cargo build --workspace` makes it", path.display()))
}

#[test]
fn a_missing_one() {
    let reason = line_about(|_| {});
    assert!(reason.starts_with("no file libcharon_bad.so in "), "{reason}");
    assert!(
        reason.ends_with("; install it or take it out of charon.load"),
        "{reason}"
    );
}

#[test]
fn no_library_at_all() {
    for octets in [&b""[..], b"#!/bin/sh\nexit 0\n", &[0; 4096], b"\x7fELF"] {
        assert_eq!(
            line_about(write(octets)),
            "PATH: it is no shared library (no ELF header)"
        );
    }
}

#[test]
fn a_directory_of_its_name() {
    let reason = line_about(|path| fs::create_dir(path).expect("a folder"));
    assert!(reason.starts_with("PATH"), "{reason}");
}

#[test]
fn a_program() {
    let program = fs::read("/bin/true").expect("a program");
    let reason = line_about(write(&program));
    assert!(reason.starts_with("PATH"), "{reason}");
}

/// Every length up to the whole: what is refused by its headers, and what only `dlopen` refuses.
#[test]
fn a_truncated_one() {
    let good = good();
    for part in [1, 2, 3, 5, 9, 13, 15] {
        let len = good.len() * part / 16;
        assert_eq!(
            line_about(write(&good[..len])),
            "PATH: it is truncated, copy it again"
        );
    }
    assert_eq!(
        line_about(write(&good[..good.len() - 1])),
        "PATH: it is truncated, copy it again"
    );
}

#[test]
fn one_for_another_machine() {
    let mut other = good();
    other[18] = 40; // 32-bit ARM
    assert_eq!(
        line_about(write(&other)),
        "PATH: it is for another kind of machine"
    );
}

#[test]
fn a_library_that_is_no_plugin() {
    let libc = fs::read_to_string("/proc/self/maps").expect("what is loaded");
    let libc = libc.lines().find_map(|line| {
        line.split_whitespace()
            .last()
            .filter(|it| it.ends_with("libc.so.6"))
    });
    let libc = libc.expect("the C library").to_owned();
    let reason = line_about(|path| std::os::unix::fs::symlink(&libc, path).expect("a link"));
    assert_eq!(
        reason,
        "PATH is no plugin named 'bad' (it has no symbol charon_plugin_bad)"
    );
}

#[test]
fn a_plugin_of_another_name() {
    let reason = line_about(write(&good()));
    assert_eq!(
        reason,
        "PATH is no plugin named 'bad' (it has no symbol charon_plugin_bad)"
    );
}

/// The symbol is there, but what it points to is not what a plugin has there.
#[test]
fn a_symbol_with_something_else_behind_it() {
    let reason = line_about(|path| {
        let source = path.with_extension("c");
        fs::write(&source, "const unsigned char charon_plugin_bad[4096] = {42};\n").expect("a source");
        let status = std::process::Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([path, &source])
            .status();
        assert!(status.expect("a C compiler").success());
    });
    assert_eq!(reason, "PATH: built with another version of abi_stable");
}

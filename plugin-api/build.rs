//! Tells a build from others: `PLUGIN_API_ORIGIN` is a number made of the sources of this crate, the compiler and its
//! target. Layouts of the boundary depend on nothing else but abi_stable.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let manifest = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let root = Path::new(&manifest);
    let mut files = vec![root.join("Cargo.toml"), root.join("build.rs")];
    collect(&root.join("src"), &mut files);
    files.sort();
    let mut hash = Fnv::default();
    for file in files {
        let octets = fs::read(&file).expect("a source is readable");
        let name = file.strip_prefix(root).expect("it is within");
        hash.part(name.as_os_str().as_encoded_bytes());
        hash.part(&octets);
    }
    let compiler = env::var_os("RUSTC").expect("cargo sets it");
    let version = Command::new(compiler)
        .arg("-vV")
        .output()
        .expect("the compiler runs");
    hash.part(&version.stdout);
    hash.part(env::var("TARGET").expect("cargo sets it").as_bytes());

    println!("cargo::rustc-env=PLUGIN_API_ORIGIN={:032x}", hash.0);
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=Cargo.toml");
    println!("cargo::rerun-if-changed=build.rs");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("a folder of sources is readable");
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// FNV-1a of 128 bits: nobody who could make a library with another's number needs to.
struct Fnv(u128);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }
}

impl Fnv {
    /// Adds octets and their count, so that what follows is not taken for a part of them.
    fn part(&mut self, octets: &[u8]) {
        let len = (octets.len() as u64).to_be_bytes();
        for octet in len.iter().chain(octets) {
            self.0 ^= u128::from(*octet);
            self.0 = self.0.wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }
}

//! Tools that the build and the tests need from the system.

use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;

/// A program, and the package of Debian and Ubuntu it comes in.
pub(crate) struct Tool {
    program: &'static str,
    package: &'static str,
}

const fn tool(program: &'static str, package: &'static str) -> Tool {
    Tool { program, package }
}

/// For the C libraries in aws-lc-sys and oqs-sys; bindgen finds libclang by itself.
pub(crate) const BUILD: &[Tool] = &[
    tool("cc", "gcc"),
    tool("c++", "g++"),
    tool("cmake", "cmake"),
    tool("make", "make"),
    tool("libclang", "libclang-dev"),
];

/// For hosts in namespaces.
pub(crate) const HOSTS: &[Tool] = &[
    tool("ip", "iproute2"),
    tool("ping", "iputils-ping"),
    tool("tcpdump", "tcpdump"),
    tool("nft", "nftables"),
    tool("iptables", "iptables"),
];

/// For fetching and unpacking other implementations.
pub(crate) const PEERS: &[Tool] = &[
    tool("apt-get", "apt"),
    tool("dpkg-deb", "dpkg"),
    tool("tar", "tar"),
    tool(xtask::peers::KEYRING, "debian-archive-keyring"),
];

/// For a guest with another kernel, and its network. The kernel is fetched, like a peer.
pub(crate) const GUEST: &[Tool] = &[
    tool("modprobe", "kmod"),
    tool("tc", "iproute2"),
    tool("strip", "binutils"),
];

/// For traffic.
pub(crate) const BENCH: &[Tool] = &[tool("iperf3", "iperf3")];

/// For the root of an image.
pub(crate) const BOOTSTRAP: &[Tool] = &[tool("debootstrap", "debootstrap")];

/// For clients that are written in it.
pub(crate) const PYTHON: &[Tool] = &[tool("python3", "python3"), tool("pip3", "python3-pip")];

/// Installs what is missing, or says what to install.
pub(crate) fn ensure(tools: &[&[Tool]]) -> Result<(), String> {
    let missing = || {
        tools
            .iter()
            .copied()
            .flatten()
            .filter(|tool| !is_there(tool.program))
            .collect::<Vec<_>>()
    };
    let packages: Vec<&str> = missing().iter().map(|tool| tool.package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !Path::new("/usr/bin/apt-get").exists() {
        let programs: Vec<&str> = missing().iter().map(|tool| tool.program).collect();
        return Err(format!(
            "install {} first (on Debian and Ubuntu: apt-get install {list})",
            programs.join(", ")
        ));
    }
    if !geteuid().is_root() {
        return Err(format!(
            "install what is missing first: sudo apt-get install {list}"
        ));
    }
    println!("$ apt-get install {list}");
    // Lists of packages may be older than what the mirrors still have.
    let updated = apt(&["update", "--quiet"]);
    apt(&[
        &["install", "--yes", "--quiet", "--no-install-recommends"],
        packages.as_slice(),
    ]
    .concat())
    .map_err(|error| {
        format!(
            "{error}{}",
            updated
                .err()
                .map(|error| format!("; {error}"))
                .unwrap_or_default()
        )
    })?;
    match missing().first() {
        None => Ok(()),
        Some(tool) => Err(format!(
            "{} is still missing after apt-get install {}",
            tool.program, tool.package
        )),
    }
}

fn apt(arguments: &[&str]) -> Result<(), String> {
    let status = Command::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(arguments)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("apt-get {} failed: {status}", arguments.join(" "))),
        Err(error) => Err(format!("apt-get: {error}")),
    }
}

fn is_there(program: &str) -> bool {
    if program == "libclang" {
        return libclang();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).exists())
}

/// Where bindgen looks.
fn libclang() -> bool {
    let named = std::env::var_os("LIBCLANG_PATH").map(Into::into);
    let llvm = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let llvm = llvm.filter(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("llvm"))
    });
    let multiarch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let folders = named
        .into_iter()
        .chain(llvm.map(|path| path.join("lib")))
        .chain([multiarch.into(), "/usr/lib64".into()]);
    folders.into_iter().any(|folder: std::path::PathBuf| {
        std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                // libclang-cpp.so is clang's own library, of no use to bindgen.
                name.starts_with("libclang.so")
                    || name.starts_with("libclang-") && !name.starts_with("libclang-cpp")
            })
    })
}

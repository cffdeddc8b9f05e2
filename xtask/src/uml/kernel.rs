//! The guest's kernel: as a suite of Debian has it, whatever the system is.
//!
//! A kernel before 6.13 cannot run a program on a processor with AMX, whose registers need more room than it has for them;
//! Debian's stable releases have older ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peers::Peer;

/// The suite that it comes from.
const SUITE: &str = "forky";

const PACKAGE: &str = "user-mode-linux";

pub(super) struct Kernel {
    root: PathBuf,
}

impl Kernel {
    /// Fetches it, unless that has been done before.
    pub(super) fn fetch() -> Result<Self, String> {
        let root = Peer::unpack_program(SUITE, PACKAGE)?.root;
        Ok(Self { root })
    }

    /// Folders of modules, by the kernel's version.
    pub(super) fn modules(&self) -> PathBuf {
        self.root.join("usr/lib/uml/modules")
    }

    /// The command that boots it; writes a program into `folder`, which must outlive what it starts.
    ///
    /// It takes the libraries of its suite, since the system's may be older. Started by their loader, it would find its
    /// memory elsewhere than it was linked for, so the loader is named where the system looks for it: the same path,
    /// relative to the suite's root.
    pub(super) fn command(&self, folder: &Path) -> Result<Command, String> {
        let failed = |what: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", what.display());
        let installed = self.root.join("usr/bin/linux.uml");
        let mut program = fs::read(&installed).map_err(|error| failed(&installed, &error))?;
        let loader = loader(&mut program).ok_or_else(|| failed(&installed, &"no program with a loader"))?;
        if loader.first() == Some(&b'/') {
            loader.rotate_left(1);
            loader[loader.len() - 1] = 0;
        }
        let place = folder.join("linux");
        fs::write(&place, program)
            .and_then(|()| fs::set_permissions(&place, fs::Permissions::from_mode(0o755)))
            .map_err(|error| failed(&place, &error))?;
        let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        let mut command = Command::new(place);
        command
            .current_dir(&self.root)
            .env("LD_LIBRARY_PATH", self.root.join(libraries));
        Ok(command)
    }
}

/// The path of the loader in a program of 64 bits, with the octets 0 that end it (ELF, `PT_INTERP`).
fn loader(program: &mut [u8]) -> Option<&mut [u8]> {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, octets: usize| {
        let field = program.get(at..at.checked_add(octets)?)?;
        Some(
            field
                .iter()
                .rev()
                .fold(0u64, |number, octet| number << 8 | u64::from(*octet)),
        )
    };
    let size = |at, octets| usize::try_from(number(at, octets)?).ok();
    if program.get(..5) != Some(b"\x7fELF\x02") {
        return None;
    }
    let (headers, length, count) = (size(32, 8)?, size(54, 2)?, size(56, 2)?);
    let header = (0..count)
        .map(|index| headers.saturating_add(index * length))
        .find(|header| number(*header, 4) == Some(PT_INTERP))?;
    let start = size(header.checked_add(8)?, 8)?;
    let end = start.checked_add(size(header.checked_add(32)?, 8)?)?;
    program.get_mut(start..end)
}

#[cfg(test)]
mod tests {
    use super::loader;

    #[test]
    fn a_program_names_its_loader() {
        let own = std::env::current_exe().unwrap();
        let mut program = std::fs::read(own).unwrap();
        let found = loader(&mut program).unwrap();
        let (last, path) = found.split_last().unwrap();
        assert_eq!(*last, 0);
        let path = std::path::Path::new(std::str::from_utf8(path).unwrap());
        assert!(path.is_absolute() && path.exists(), "{}", path.display());
        assert_eq!(loader(&mut program[..40]), None);
        assert_eq!(loader(&mut b"#!/bin/sh".to_vec()), None);
    }
}

//! Where a run takes place, and with which versions: what a reader needs to judge its figures.

use std::fs;
use std::process::Command;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// A machine and what is installed there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) cpu: String,
    /// How many of them this process may use.
    pub(crate) cpus: usize,
    /// Instructions that cryptography gains from.
    pub(crate) features: String,
    /// Memory.
    pub(crate) memory_gib: f64,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// The git revision, with `-dirty` if files differ from it.
    pub(crate) revision: String,
    /// Versions of what takes part, by name.
    pub(crate) versions: IndexMap<String, String>,
    /// The load when the run began: what else went on.
    pub(crate) load: f64,
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name));
            let text = line.and_then(|line| line.split_once(':'));
            text.map_or(String::new(), |(_, text)| text.trim().to_owned())
        };
        let flags = field("flags");
        let known = ["aes", "avx2", "avx512f", "bmi2", "sha_ni", "vaes", "vpclmulqdq"];
        let has = |flag: &&str| flags.split(' ').any(|known| known == *flag);
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = meminfo
            .lines()
            .next()
            .and_then(|line| line.split_whitespace().nth(1));
        let kib: f64 = kib.and_then(|kib| kib.parse().ok()).unwrap_or(0.0);
        let loadavg = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu: field("model name"),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            features: known.into_iter().filter(has).collect::<Vec<_>>().join(" "),
            memory_gib: (kib / 1_048_576.0 * 10.0).round() / 10.0,
            kernel: release.trim().to_owned(),
            revision: revision(),
            versions: versions(),
            load: loadavg
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or(0.0),
        }
    }

    /// A name for a folder: the processor's, and how many.
    pub(crate) fn slug(&self) -> String {
        let name: String = self
            .cpu
            .to_lowercase()
            .chars()
            .map(|it| if it.is_ascii_alphanumeric() { it } else { ' ' })
            .collect();
        let words: Vec<&str> = name
            .split_whitespace()
            .filter(|word| !["r", "tm", "cpu", "processor"].contains(word))
            .collect();
        format!("{}-{}cpu", words.join("-"), self.cpus)
    }
}

fn revision() -> String {
    let revision = said("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or("unknown".into());
    match said("git", &["status", "--porcelain", "--untracked-files=no"]) {
        Some(changed) if !changed.is_empty() => revision + "-dirty",
        _ => revision,
    }
}

fn versions() -> IndexMap<String, String> {
    let mut versions = IndexMap::new();
    versions.insert("pqswan".into(), env!("CARGO_PKG_VERSION").into());
    let asked: [(&str, &str, &[&str]); 2] = [
        ("rustc", "rustc", &["--version"]),
        ("iperf3", "iperf3", &["--version"]),
    ];
    for (name, program, arguments) in asked {
        if let Some(version) = said(program, arguments) {
            let line = version.lines().next().unwrap_or_default();
            versions.insert(name.into(), line.trim_start_matches(name).trim().into());
        }
    }
    versions
}

/// What a program writes, if it is there and succeeds.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(xtask::root())
        .output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_after_the_processor() {
        let machine = Machine {
            cpu: "Intel(R) Xeon(R) CPU E5-2680 @ 2.40GHz".into(),
            cpus: 2,
            ..Machine::default()
        };
        assert_eq!(machine.slug(), "intel-xeon-e5-2680-2-40ghz-2cpu");
    }

    #[test]
    fn this_machine_has_a_processor_memory_and_a_kernel() {
        let machine = Machine::here();
        assert!(machine.cpus > 0 && machine.memory_gib > 0.0 && !machine.kernel.is_empty());
    }
}

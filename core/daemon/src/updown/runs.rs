//! Which scripts belong to a run that the state machine waits for.

use std::collections::BTreeMap;

use ike::KernelId;

/// Scripts whose listeners report their end, by numbers of their own.
#[derive(Default)]
pub(crate) struct Runs {
    last: u64,
    scripts: BTreeMap<u64, KernelId>,
    /// How many scripts of each run have not ended.
    left: BTreeMap<KernelId, usize>,
}

impl Runs {
    /// A number for one more script of a run.
    pub(crate) fn add(&mut self, run: KernelId) -> u64 {
        self.last += 1;
        self.scripts.insert(self.last, run);
        *self.left.entry(run).or_default() += 1;
        self.last
    }

    /// Whether scripts of a run have not ended.
    pub(crate) fn awaits(&self, run: KernelId) -> bool {
        self.left.contains_key(&run)
    }

    /// A script has ended; its run, if that was the last.
    pub(crate) fn end(&mut self, script: u64) -> Option<KernelId> {
        let run = self.scripts.remove(&script)?;
        let left = self.left.get_mut(&run)?;
        *left -= 1;
        if *left > 0 {
            return None;
        }
        self.left.remove(&run);
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_with_its_last_script() {
        let mut runs = Runs::default();
        let (first, second) = (runs.add(KernelId(7)), runs.add(KernelId(7)));
        let other = runs.add(KernelId(8));
        assert_eq!(runs.end(first), None);
        assert_eq!(runs.end(first), None, "each ends once");
        assert!(runs.awaits(KernelId(7)));
        assert_eq!(runs.end(other), Some(KernelId(8)));
        assert_eq!(runs.end(second), Some(KernelId(7)));
        assert!(!runs.awaits(KernelId(7)) && runs.scripts.is_empty());
    }
}

//! Whose turn it is: commands take no more than a part of the loop's time while there is IKE to do.
//!
//! A client may ask for a hundred thousand SAs, and a thousand clients may ask at once. Each gets a page at a time, and
//! after each page the loop belongs to messages and results of jobs for [`SHARE`] times as long as the page took, if any
//! come. If none do, the next command follows at once.

use std::time::{Duration, Instant};

/// How many times as long as commands everything else may take, if it needs to.
const SHARE: u32 = 15;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Until when commands wait for others.
    until: Option<Instant>,
    /// Whether there was anything else to do since the last command.
    busy: bool,
}

impl Turn {
    /// A command has taken so long.
    pub(crate) fn command_took(&mut self, time: Duration, now: Instant) {
        self.until = now.checked_add(time.saturating_mul(SHARE));
        self.busy = false;
    }

    /// Something else was done.
    pub(crate) fn other(&mut self) {
        self.busy = true;
    }

    /// Whether commands come only if nothing else does.
    pub(crate) fn is_idle(&self) -> bool {
        !self.busy
    }

    /// Until when commands have to wait, if they do.
    pub(crate) fn commands_wait(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| self.busy && *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn commands_follow_each_other_while_nothing_else_comes() {
        let (mut turn, now) = (Turn::default(), Instant::now());
        assert_eq!(turn.commands_wait(now), None);
        turn.command_took(5 * MS, now);
        assert!(turn.is_idle());
        assert_eq!(turn.commands_wait(now), None);
    }

    #[test]
    fn others_get_a_multiple_of_the_time_that_a_command_took() {
        let (mut turn, now) = (Turn::default(), Instant::now());
        turn.other();
        assert_eq!(turn.commands_wait(now), None, "nobody has had a turn yet");
        turn.command_took(2 * MS, now);
        turn.other();
        assert_eq!(turn.commands_wait(now), Some(now + 30 * MS));
        assert_eq!(turn.commands_wait(now + 29 * MS), Some(now + 30 * MS));
        assert_eq!(turn.commands_wait(now + 30 * MS), None);
        assert!(!turn.is_idle());
    }
}

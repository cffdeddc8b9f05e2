//! The privileges that every thread has at the end of the start, compared with those that the kernel shows in /proc.

use std::fs;
use std::io;

use crate::sys::credentials::{Credentials, Identity};

const TASKS: &str = "/proc/self/task";

/// The most privileges that any thread may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Promise {
    pub(super) credentials: Credentials,
    pub(super) bounding: u64,
}

impl Promise {
    /// Names each thread of this process that has more, except thread `except`. A thread may have less, because a container
    /// may have dropped more before.
    ///
    /// # Errors
    ///
    /// If /proc cannot be read.
    pub(super) fn breaches(&self, except: Option<i32>) -> io::Result<Vec<String>> {
        let mut breaches = Vec::new();
        for entry in fs::read_dir(TASKS)? {
            let entry = entry?;
            let number = entry.file_name().to_string_lossy().into_owned();
            if except.is_some_and(|except| number == except.to_string()) {
                continue;
            }
            match fs::read_to_string(entry.path().join("status")) {
                Ok(status) => breaches.extend(self.breach(&number, &status)),
                // The thread has ended.
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(breaches)
    }

    /// Compares one thread's status.
    fn breach(&self, number: &str, status: &str) -> Vec<String> {
        let value = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|line| line.strip_prefix(':')).map_or("", str::trim)
        };
        let sets = [
            ("CapInh", self.credentials.inheritable),
            ("CapPrm", self.credentials.permitted),
            ("CapEff", self.credentials.permitted),
            ("CapBnd", self.bounding),
            ("CapAmb", self.credentials.ambient),
        ];
        let thread = value("Name");
        let mut breaches = Vec::new();
        let mut report = |key: &str, expected: &str| {
            breaches.push(format!(
                "thread '{thread}' (task {number}) has {key} {}, expected {expected}",
                value(key)
            ));
        };
        for (key, most) in sets {
            let set = u64::from_str_radix(value(key), 16);
            if set.map_or(true, |set| set & !most != 0) {
                report(key, &format!("at most {most:016x}"));
            }
        }
        if value("NoNewPrivs") != "1" {
            report("NoNewPrivs", "1");
        }
        if let Some(Identity { user, group }) = self.credentials.identity {
            // Real, effective, saved, and that for files.
            let all_are = |key: &str, id: u32| {
                let mut ids = value(key).split_whitespace();
                ids.by_ref()
                    .take(4)
                    .filter(|text| *text == id.to_string())
                    .count()
                    == 4
            };
            for (key, id) in [("Uid", user), ("Gid", Some(group))] {
                if let Some(id) = id.filter(|id| !all_are(key, *id)) {
                    report(key, &id.to_string());
                }
            }
            if value("Groups") != group.to_string() {
                report("Groups", &group.to_string());
            }
        }
        breaches
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Name:\tupdown\nUid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\nGroups:\t8 \nCapInh:\t0000000000001000\n\
                        CapPrm:\t0000000000003400\nCapEff:\t0000000000003400\nCapBnd:\t0000000000001000\n\
                        CapAmb:\t0000000000001000\nNoNewPrivs:\t1\n";

    fn breach(from: &str, to: &str) -> Vec<String> {
        assert!(GOOD.contains(from), "{from}");
        let promise = Promise {
            credentials: Credentials {
                identity: Some(Identity {
                    user: Some(7),
                    group: 8,
                }),
                permitted: 0x3400,
                inheritable: 0x1000,
                ambient: 0x1000,
            },
            bounding: 0x1000,
        };
        promise.breach("42", &GOOD.replacen(from, to, 1))
    }

    #[test]
    fn a_thread_may_have_less_but_not_more() {
        assert_eq!(breach("", ""), Vec::<String>::new());
        assert_eq!(
            breach("CapEff:\t0000000000003400", "CapEff:\t0000000000001000"),
            Vec::<String>::new()
        );
        assert_eq!(
            breach("CapEff:\t0000000000003400", "CapEff:\t000001ffffffffff"),
            ["thread 'updown' (task 42) has CapEff 000001ffffffffff, expected at most 0000000000003400"]
        );
        for key in ["CapInh", "CapBnd", "CapAmb"] {
            let value = format!("{key}:\t0000000000001000");
            assert_eq!(breach(&value, &format!("{key}:\t0000000000003000")).len(), 1);
        }
    }

    /// No test may take privileges from this process, so it does not keep this promise.
    #[test]
    fn all_threads_of_the_process_are_looked_at_but_the_one_left_out() {
        let promise = Promise {
            credentials: Credentials {
                identity: Some(Identity {
                    user: Some(u32::MAX - 1),
                    group: u32::MAX - 1,
                }),
                permitted: 0,
                inheritable: 0,
                ambient: 0,
            },
            bounding: 0,
        };
        let own = nix::unistd::gettid().as_raw();
        let started = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let number = nix::unistd::gettid().as_raw();
                started.wait();
                started.wait();
                number
            });
            started.wait();
            let all = promise.breaches(None).expect("/proc");
            let others = promise.breaches(Some(own)).expect("/proc");
            started.wait();
            let task = |number: i32| format!("(task {number}) has Uid ");
            let names = |breaches: &[String], number| breaches.iter().any(|it| it.contains(&task(number)));
            let other = other.join().expect("no panic");
            assert!(names(&all, own) && names(&all, other), "{all:?}");
            assert!(!names(&others, own) && names(&others, other), "{others:?}");
        });
    }

    #[test]
    fn everything_else_has_to_be_as_promised() {
        assert_eq!(
            breach("NoNewPrivs:\t1", "NoNewPrivs:\t0"),
            ["thread 'updown' (task 42) has NoNewPrivs 0, expected 1"]
        );
        for (from, to) in [
            ("Uid:\t7\t7\t7\t7", "Uid:\t7\t7\t0\t7"),
            ("Gid:\t8\t8\t8\t8", "Gid:\t0\t8\t8\t8"),
            ("Groups:\t8 ", "Groups:\t8 27 "),
            ("CapPrm", "CapOld"),
        ] {
            assert_eq!(breach(from, to).len(), 1, "{to}");
        }
    }
}

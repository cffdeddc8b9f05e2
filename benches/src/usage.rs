//! What processes use: time on a processor, and memory.

use std::fs;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// The time that all threads of a process have been on a processor, to the nanosecond. What ended threads used is not in it,
/// and what else the machine does makes no difference.
///
/// # Errors
///
/// If there is no such process, or the kernel does not count (CONFIG_SCHED_INFO).
pub(crate) fn processor_time(pid: Pid) -> Result<Duration, String> {
    let folder = format!("/proc/{pid}/task");
    let tasks = fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
    let mut total = 0_u64;
    for task in tasks.flatten() {
        // A thread may end meanwhile.
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let time: Option<u64> = text.split(' ').next().and_then(|time| time.parse().ok());
        total += time.unwrap_or(0);
    }
    Ok(Duration::from_nanos(total))
}

/// The time that the calling thread has been on a processor.
pub(crate) fn own_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// The memory of a process that is resident and not a file's, in octets.
///
/// # Errors
///
/// If there is no such process.
pub(crate) fn resident(pid: Pid) -> Result<u64, String> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| format!("{path} has no RssAnon"))
}

/// Leaves all threads of a process, and those that they will start, the processors given.
///
/// # Errors
///
/// If the kernel does not want to.
pub(crate) fn pin_all(pid: Pid, cpus: &[usize]) -> Result<(), String> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu).map_err(|error| error.to_string())?;
    }
    let folder = format!("/proc/{pid}/task");
    let tasks = fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
    let tasks = tasks
        .flatten()
        .filter_map(|task| task.file_name().to_str()?.parse().ok());
    for task in tasks {
        sched_setaffinity(Pid::from_raw(task), &set)
            .map_err(|error| format!("processors {cpus:?} for thread {task} of process {pid}: {error}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen_as_time_of_this_process_and_thread() {
        let own = Pid::this();
        let (before, thread) = (processor_time(own).unwrap(), own_time());
        let mut value = 1_u64;
        while own_time() - thread < Duration::from_millis(20) {
            value = std::hint::black_box(value.wrapping_mul(3));
        }
        // The kernel brings the counter up to date when it next looks at the thread.
        std::thread::yield_now();
        assert!(processor_time(own).unwrap() >= before + Duration::from_millis(10));
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident(Pid::this()).unwrap() > 4096);
    }
}

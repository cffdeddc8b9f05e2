//! The daemon's memory as far as it is mapped files.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr;
use std::time::Duration;

/// How long after the start it is taken to be over.
pub(crate) const IDLE_AFTER: Duration = Duration::from_secs(1);

/// Gives back the pages of code that only loading has used, or that came along with those it used; what is needed again
/// comes from the page cache. Each plugin brings a standard library of its own, so it is a third of an idle daemon.
pub(crate) fn give_back_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else {
        return;
    };
    for (start, len) in maps.lines().filter_map(code) {
        // SAFETY: a private mapping of a file that cannot be written to has nothing that is not in the file, so its
        // pages read the same when they are mapped again; relocated data is in other mappings.
        // Should it fail, they stay.
        unsafe { libc::madvise(start, len, libc::MADV_DONTNEED) };
    }
}

/// Where the code of a file is mapped, by a line of `/proc/self/maps`.
fn code(line: &str) -> Option<(*mut c_void, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (range, access) = (fields.next()?, fields.next()?);
    let of_file = fields.nth(3).is_some_and(|path| path.starts_with('/'));
    let (start, end) = range.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    let (start, end) = (address(start)?, address(end)?);
    let pages = ptr::with_exposed_provenance_mut(start);
    (of_file && access == "r-xp").then_some((pages, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_given_back() {
        let line = |access: &str, path: &str| format!("7f00-8f00 {access} 00001000 08:01 42    {path}");
        let len = |line: &str| code(line).map(|(_, len)| len);
        assert_eq!(len(&line("r-xp", "/usr/lib/libc.so.6")), Some(0x1000));
        for other in ["r--p", "rw-p", "r-xs"] {
            assert_eq!(len(&line(other, "/usr/lib/libc.so.6")), None, "{other}");
        }
        assert_eq!(len(&line("r-xp", "[vdso]")), None);
        assert_eq!(len(&line("r-xp", "")), None);
        assert_eq!(len("nonsense"), None);
        give_back_code();
    }
}

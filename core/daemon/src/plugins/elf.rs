//! Whether a file is a whole shared library of this machine. `dlopen` maps what the headers promise and dies by SIGBUS
//! where a truncated file does not keep it, so that is found out before.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Length of the file's header in octets.
const HEADER: usize = 64;
/// Length of an entry of its table of segments in octets.
const SEGMENT: usize = 56;

/// Reads the headers alone: libraries are large, and what is read once stays in the daemon's heap.
pub(super) fn check(file: &File) -> Result<(), String> {
    let len = file
        .metadata()
        .map_err(|error| format!("its size is unknown: {error}"))?
        .len();
    let mut header = [0; HEADER];
    if len < HEADER as u64 || file.read_exact_at(&mut header, 0).is_err() || header[..4] != *b"\x7fELF" {
        return Err("it is no shared library (no ELF header)".into());
    }
    // 64 bit, in the byte order of this machine.
    let order = if cfg!(target_endian = "little") { 1 } else { 2 };
    let machine = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
    if header[4..6] != [2, order] || u16_at(&header, 18) != machine {
        return Err("it is for another kind of machine".into());
    }
    if u16_at(&header, 16) != 3 {
        return Err("it is no shared library (an ELF file of another type)".into());
    }
    let truncated = || "it is truncated, copy it again".to_owned();
    let within = |start: u64, size: u64| start.checked_add(size).is_some_and(|end| end <= len);
    // Sections stand at the end of what linkers write; segments are what is mapped.
    let (sections, section_len, section_count) =
        (u64_at(&header, 40), u16_at(&header, 58), u16_at(&header, 60));
    let (segments, segment_len, segment_count) =
        (u64_at(&header, 32), u16_at(&header, 54), u16_at(&header, 56));
    let tables = within(sections, u64::from(section_len) * u64::from(section_count))
        && within(segments, u64::from(segment_len) * u64::from(segment_count));
    if !tables || usize::from(segment_len) != SEGMENT {
        return Err(truncated());
    }
    let mut table = vec![0; SEGMENT * usize::from(segment_count)];
    file.read_exact_at(&mut table, segments)
        .map_err(|_| truncated())?;
    let whole = |segment: &[u8]| within(u64_at(segment, 8), u64_at(segment, 32));
    if table.chunks_exact(SEGMENT).all(whole) {
        Ok(())
    } else {
        Err(truncated())
    }
}

fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([octets[at], octets[at + 1]])
}

fn u64_at(octets: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&octets[at..at + 8]);
    u64::from_ne_bytes(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(octets: &[u8]) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), octets).expect("written");
        check(file.as_file())
    }

    #[test]
    fn text_and_cut_libraries_are_refused_and_the_own_program_is_whole() {
        assert!(of(b"plain text").is_err());
        assert!(of(b"").is_err());
        let own = std::fs::read(std::env::current_exe().expect("a path")).expect("readable");
        assert_eq!(
            of(&own),
            Ok(()),
            "a position-independent program has the form of a library"
        );
        for len in [4, 20, 63, 64, 1000, own.len() / 2, own.len() - 1] {
            assert!(of(&own[..len]).is_err(), "cut at {len}");
        }
    }
}

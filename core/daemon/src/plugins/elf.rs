//! Whether a file is a whole shared library of this machine. `dlopen` maps what the headers promise and dies by SIGBUS
//! where a truncated file does not keep it, so that is found out before.

/// Why not.
pub(super) fn check(octets: &[u8]) -> Result<(), String> {
    if octets.get(..4) != Some(b"\x7fELF") {
        return Err("it is no shared library (no ELF header)".into());
    }
    // 64 bit; in the byte order of this machine, which is little endian on all that the daemon runs on.
    let order = if cfg!(target_endian = "little") { 1 } else { 2 };
    if octets.get(4..6) != Some(&[2, order]) {
        return Err("it is for another kind of machine".into());
    }
    let truncated = || "it is truncated, copy it again".to_owned();
    let u16_at = |at: usize| octets.get(at..at + 2).map(|octets| u16::from_ne_bytes([octets[0], octets[1]]));
    let u64_at = |at: usize| {
        let octets: [u8; 8] = octets.get(at..at.checked_add(8)?)?.try_into().ok()?;
        usize::try_from(u64::from_ne_bytes(octets)).ok()
    };
    if u16_at(18) != Some(if cfg!(target_arch = "x86_64") { 62 } else { 183 }) {
        return Err("it is for another kind of machine".into());
    }
    if u16_at(16) != Some(3) {
        return Err("it is no shared library (an ELF file of another type)".into());
    }
    let (offset, size, count) = (u64_at(32), u16_at(54), u16_at(56));
    let (Some(offset), Some(size), Some(count)) = (offset, size, count) else { return Err(truncated()) };
    for index in 0..usize::from(count) {
        let header = index.checked_mul(usize::from(size)).and_then(|at| at.checked_add(offset));
        let within = header.and_then(|header| {
            let (start, len) = (u64_at(header.checked_add(8)?)?, u64_at(header.checked_add(32)?)?);
            (start.checked_add(len)? <= octets.len()).then_some(())
        });
        within.ok_or_else(truncated)?;
    }
    // Section headers stand at the end of what linkers write.
    let (offset, size, count) = (u64_at(40), u16_at(58), u16_at(60));
    let end = match (offset, size, count) {
        (Some(offset), Some(size), Some(count)) => {
            usize::from(size).checked_mul(usize::from(count)).and_then(|len| len.checked_add(offset))
        }
        _ => None,
    };
    if end.is_some_and(|end| end <= octets.len()) { Ok(()) } else { Err(truncated()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_cut_libraries_are_refused_and_the_own_program_is_whole() {
        assert!(check(b"plain text").is_err());
        assert!(check(b"").is_err());
        let own = std::fs::read(std::env::current_exe().expect("a path")).expect("readable");
        assert_eq!(check(&own), Ok(()), "a position-independent program has the form of a library");
        for len in [4, 20, 63, 64, 1000, own.len() / 2, own.len() - 1] {
            assert!(check(&own[..len]).is_err(), "cut at {len}");
        }
    }
}

//! Entries of a corpus, and what becomes of them.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// The entries of a target by name, in a fixed order.
pub(crate) fn entries(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<_> = files
        .map(|file| file.expect("an entry"))
        .map(|file| {
            (
                file.file_name().to_string_lossy().into_owned(),
                fs::read(file.path()).expect("an entry"),
            )
        })
        .collect();
    entries.sort();
    assert!(!entries.is_empty(), "{} is empty", folder.display());
    entries
}

/// Mutations of each entry, unless PQSWAN_FUZZ says otherwise.
fn mutations(default: u64) -> u64 {
    std::env::var("PQSWAN_FUZZ").map_or(default, |text| text.parse().expect("PQSWAN_FUZZ is a number"))
}

/// Tries every entry and `count` mutations of each; a panic is reported with the input that caused it.
pub(crate) fn replay(target: &str, count: u64, mut run: impl FnMut(&[u8])) {
    let entries = entries(target);
    let mut tried = 0;
    for (index, (name, entry)) in entries.iter().enumerate() {
        for number in 0..=mutations(count) {
            let mut input = entry.clone();
            if number > 0 {
                let seed = (index as u64) << 32 | number;
                mutate(&mut input, &entries, &mut ChaCha8Rng::seed_from_u64(seed));
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&input))) {
                let hex: String = input.iter().map(|octet| format!("{octet:02x}")).collect();
                eprintln!("{target}/{name}, mutation {number}: {hex}");
                resume_unwind(panic);
            }
            tried += 1;
        }
    }
    println!("{target}: {} entries, {tried} inputs", entries.len());
}

/// A few small changes.
fn mutate(input: &mut Vec<u8>, entries: &[(String, Vec<u8>)], random: &mut ChaCha8Rng) {
    for _ in 0..=random.next_u32() % 4 {
        let mut pick = |bound: usize| {
            if bound == 0 {
                0
            } else {
                random.next_u64() as usize % bound
            }
        };
        let (at, kind) = (pick(input.len()), pick(9));
        match kind {
            0 if at < input.len() => input[at] ^= 1 << pick(8),
            1 if at < input.len() => input[at] = pick(256) as u8,
            2 if at < input.len() => input[at] = [0, 1, 0x7f, 0x80, 0xff][pick(5)],
            3 => input.truncate(at),
            4 => input.insert(at, pick(256) as u8),
            5 => drop(input.drain(at..(at + pick(64)).min(input.len()))),
            6 => {
                let copy: Vec<u8> = input[at..(at + pick(64)).min(input.len())].to_vec();
                input.splice(at..at, copy);
            }
            7 => {
                let other = &entries[pick(entries.len())].1;
                let from = pick(other.len());
                input.splice(at.., other[from..].iter().copied());
            }
            _ => {
                // Lengths and counts are two or four octets.
                let number = [0_u32, 1, 3, 4, 0x7fff, 0xffff, 0x1_0000, u32::MAX][pick(8)].to_be_bytes();
                let width = [2, 4][pick(2)];
                for (offset, octet) in number[4 - width..].iter().enumerate() {
                    if let Some(place) = input.get_mut(at + offset) {
                        *place = *octet;
                    }
                }
            }
        }
    }
}

//! An allocator that counts what is not given back.
#![allow(unsafe_code, reason = "an allocator is")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};

static BLOCKS: AtomicIsize = AtomicIsize::new(0);
static OCTETS: AtomicIsize = AtomicIsize::new(0);

/// To be a program's `#[global_allocator]`.
pub struct Counting;

impl Counting {
    /// How many blocks there are.
    pub fn blocks(&self) -> isize {
        BLOCKS.load(Ordering::Relaxed)
    }

    /// How many octets they have, as they were asked for.
    pub fn octets(&self) -> isize {
        OCTETS.load(Ordering::Relaxed)
    }
}

fn count(blocks: isize, octets: usize) {
    BLOCKS.fetch_add(blocks, Ordering::Relaxed);
    OCTETS.fetch_add(blocks * octets as isize, Ordering::Relaxed);
}

// SAFETY: it only counts; the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-1, layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }
}

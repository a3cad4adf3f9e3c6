//! Counts the bytes that are allocated, where a bench asks for it.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

#[cfg(feature = "mimalloc")]
use mimalloc::MiMalloc as Heap;
#[cfg(not(feature = "mimalloc"))]
use std::alloc::System as Heap;

/// mimalloc, as programs with many threads have it, or without the feature `mimalloc` the allocator of the system. It
/// counts only while it is told to, so that the other benches do not pay for it.
pub(crate) struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static HELD: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: isize) {
    if ON.load(Ordering::Relaxed) {
        HELD.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the allocator behind it as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract.
        unsafe { Heap.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller keeps the contract.
        unsafe { Heap.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: the caller keeps the contract.
        unsafe { Heap.realloc(at, layout, size) }
    }
}

/// Counts until it is dropped: the bytes that were allocated since, less those that were given back.
pub(crate) struct Count;

impl Count {
    pub(crate) fn begin() -> Self {
        HELD.store(0, Ordering::Relaxed);
        ON.store(true, Ordering::Relaxed);
        Self
    }

    pub(crate) fn bytes(&self) -> isize {
        HELD.load(Ordering::Relaxed)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        ON.store(false, Ordering::Relaxed);
    }
}

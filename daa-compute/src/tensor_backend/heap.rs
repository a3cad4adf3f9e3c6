//! Keeping the heap's pages between steps.

use std::sync::Once;

/// More than the tensors of a step of a small model; the largest that glibc learns from is 32 MiB.
const LARGE: usize = 30 << 20;

/// Teaches glibc's allocator not to give freed memory back to the system at once.
///
/// A step frees all its tensors, and the next one asks for the same memory again. By default every page then comes
/// from the system anew, which is a quarter of a step's time. The allocator keeps twice the size of the largest block
/// that was ever mapped on its own and freed (`M_TRIM_THRESHOLD` in mallopt(3)), so one such block, never touched,
/// is enough.
pub(super) fn keep_pages() {
    static ONCE: Once = Once::new();
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        ONCE.call_once(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE))));
    }
}

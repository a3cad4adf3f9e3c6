//! Random choices of machines.

use daa_core::seed::Rng;
use rand_core::Rng as _;

/// A share, from 0 to less than 1.
pub(crate) fn share(rng: &mut Rng) -> f64 {
    f64::from(rng.next_u32()) / (f64::from(u32::MAX) + 1.0)
}

/// A number below another one.
pub(crate) fn below(count: usize, rng: &mut Rng) -> usize {
    let count = u64::try_from(count.max(1)).unwrap_or(u64::MAX);
    usize::try_from(rng.next_u64() % count).unwrap_or(0)
}

pub(crate) fn shuffle<T>(items: &mut [T], rng: &mut Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1, rng));
    }
}

//! Draws that are the same on every platform: integers and uniform floats from a seeded stream, nothing else.

use daa_core::seed::Rng;
use rand::Rng as _;

/// A number below `bound` (at least 1), by multiply-shift; the bias is below 2⁻³².
pub(crate) fn below(rng: &mut Rng, bound: usize) -> usize {
    let wide = u128::from(rng.next_u64()) * bound as u128;
    (wide >> 64) as usize
}

/// A number in [−1, 1).
pub(crate) fn symmetric(rng: &mut Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0
}

/// A number in [0, 1).
#[cfg(feature = "_burn")]
pub(crate) fn unit(rng: &mut Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Fisher and Yates.
pub(crate) fn shuffle<T>(rng: &mut Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last + 1));
    }
}

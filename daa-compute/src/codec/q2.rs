//! Two-bit quantisation: four bins around the mean, each decoded as the mean of what fell into it.

/// The two-bit codes of some values and the number that each code stands for.
#[derive(Debug)]
pub(super) struct Quantised {
    pub(super) codes: Vec<u8>,
    pub(super) levels: [f32; 4],
}

/// Quantises: `shift` is the mean, `s = 6σ/4`, `q = clamp(round((v − shift)/s + 2), 0, 3)`, and a code decodes to
/// the mean of its bin (SparseLoCo's reference code). An empty bin decodes to its nominal centre.
///
/// Sums are in `f64` and in order, so that every machine finds the same levels.
pub(super) fn quantise(values: &[f32]) -> Quantised {
    let count = values.len().max(1) as f64;
    let shift = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let spread = values.iter().map(|&v| (f64::from(v) - shift).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let step = (6.0 * spread.sqrt() / 4.0).max(f64::from(f32::MIN_POSITIVE));
    let codes: Vec<u8> = values.iter().map(|&v| code(f64::from(v), shift, step)).collect();
    let mut bins = [(0.0f64, 0u32); 4];
    for (&value, &code) in values.iter().zip(&codes) {
        if let Some((sum, count)) = bins.get_mut(usize::from(code)) {
            *sum += f64::from(value);
            *count += 1;
        }
    }
    let mut levels = [0.0; 4];
    for (nominal, (level, (sum, count))) in (-2..).zip(levels.iter_mut().zip(bins)) {
        let value = if count == 0 { shift + f64::from(nominal) * step } else { sum / f64::from(count) };
        *level = value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
    }
    Quantised { codes, levels }
}

fn code(value: f64, shift: f64, step: f64) -> u8 {
    ((value - shift) / step + 2.0).round().clamp(0.0, 3.0) as u8
}

/// Four codes to a byte, the first in the lowest bits.
pub(super) fn pack(codes: &[u8]) -> Vec<u8> {
    codes.chunks(4).map(|four| four.iter().rev().fold(0, |byte, code| byte << 2 | code & 3)).collect()
}

/// The codes of packed bytes; as many as four a byte.
pub(super) fn unpack(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().flat_map(|byte| [byte & 3, byte >> 2 & 3, byte >> 4 & 3, byte >> 6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_rule_on_a_worked_example() {
        // mean 0, σ = √(20/3) ≈ 2.582, s ≈ 3.873: codes 1, 2, 2, 3 (round half away from zero).
        let quantised = quantise(&[-3.0, -1.0, 1.0, 3.0]);
        assert_eq!(quantised.codes, [1, 2, 2, 3]);
        assert_eq!(quantised.levels.get(1..), Some([-3.0, 0.0, 3.0].as_slice()));
    }

    #[test]
    fn equal_values_decode_exactly() {
        let quantised = quantise(&[0.25; 7]);
        assert!(quantised.codes.iter().all(|&code| quantised.levels[usize::from(code)] == 0.25));
    }

    #[test]
    fn packing_round_trips() {
        let codes = [0, 1, 2, 3, 3, 2];
        assert_eq!(unpack(&pack(&codes)).take(6).collect::<Vec<_>>(), codes);
    }
}

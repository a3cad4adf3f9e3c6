//! What a transformer does between its matrix products, row by row, forwards and backwards.
//!
//! Loops have a fixed order of additions and a width that compilers make vectors of, and nothing here calls the
//! system's mathematics, so the bits do not depend on which of those a machine has.

const LANES: usize = 8;

pub(super) fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

pub(super) fn relu(x: &mut [f32]) {
    for x in x {
        *x = if *x > 0.0 { *x } else { 0.0 };
    }
}

/// Stops the slope where ReLU gave zero.
pub(super) fn relu_back(slope: &mut [f32], output: &[f32]) {
    for (slope, y) in slope.iter_mut().zip(output) {
        *slope = if *y > 0.0 { *slope } else { 0.0 };
    }
}

/// Root-mean-square normalisation (Zhang and Sennrich, 2019) in place; returns every row's scale.
pub(super) fn normalise(x: &mut [f32], width: usize, epsilon: f32) -> Vec<f32> {
    let scale = |row: &mut [f32]| {
        let scale = 1.0 / (dot(row, row) / width as f32 + epsilon).sqrt();
        row.iter_mut().for_each(|x| *x *= scale);
        scale
    };
    x.chunks_exact_mut(width).map(scale).collect()
}

/// Adds the slope at the input of [`normalise`], `r·(s − n·(s·n)/width)`, to `slope`.
pub(super) fn normalise_back(slope: &mut [f32], back: &[f32], normal: &[f32], scales: &[f32], width: usize) {
    let rows = slope.chunks_exact_mut(width).zip(back.chunks_exact(width)).zip(normal.chunks_exact(width));
    for (((slope, back), normal), scale) in rows.zip(scales) {
        let along = dot(back, normal) / width as f32;
        for ((slope, s), n) in slope.iter_mut().zip(back).zip(normal) {
            *slope += scale * (s - n * along);
        }
    }
}

/// Softmax of `scale` times every row of square matrices, where row `i` sees its first `i + 1` columns; the rest
/// becomes zero.
pub(super) fn causal_softmax(scores: &mut [f32], context: usize, scale: f32) {
    for (i, row) in scores.chunks_exact_mut(context).enumerate() {
        let (seen, hidden) = row.split_at_mut(i % context + 1);
        hidden.fill(0.0);
        let highest = maximum(seen);
        seen.iter_mut().for_each(|x| *x = exp(scale * (*x - highest)));
        let share = 1.0 / sum(seen);
        seen.iter_mut().for_each(|x| *x *= share);
    }
}

/// The slope at the input of [`causal_softmax`], `scale·p·(s − s·p)`, in place.
pub(super) fn softmax_back(slope: &mut [f32], shares: &[f32], context: usize, scale: f32) {
    for (slope, shares) in slope.chunks_exact_mut(context).zip(shares.chunks_exact(context)) {
        let along = dot(slope, shares);
        for (slope, p) in slope.iter_mut().zip(shares) {
            *slope = scale * p * (*slope - along);
        }
    }
}

/// The sum of the rows' cross-entropies in nats, times `weight`; the logits become its slope.
pub(super) fn cross_entropy(logits: &mut [f32], width: usize, answers: &[i32], weight: f32) -> f64 {
    let mut nats = 0.0;
    for (row, &answer) in logits.chunks_exact_mut(width).zip(answers) {
        let answer = usize::try_from(answer).unwrap_or(usize::MAX);
        let highest = maximum(row);
        let own = row.get(answer).map_or(f32::NAN, |x| x - highest);
        row.iter_mut().for_each(|x| *x = exp(*x - highest));
        let sum = sum(row);
        nats += f64::from(sum).ln() - f64::from(own);
        let share = weight / sum;
        row.iter_mut().for_each(|x| *x *= share);
        if let Some(slope) = row.get_mut(answer) {
            *slope -= weight;
        }
    }
    nats * f64::from(weight)
}

fn dot(x: &[f32], y: &[f32]) -> f32 {
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (x, y) in x.iter().zip(y) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x * y;
        }
    }
    let rest: f32 = x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum();
    lanes.iter().sum::<f32>() + rest
}

fn sum(x: &[f32]) -> f32 {
    let (x, rest) = x.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for x in x {
        lanes.iter_mut().zip(x).for_each(|(lane, x)| *lane += x);
    }
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

fn maximum(x: &[f32]) -> f32 {
    let (x, rest) = x.as_chunks::<LANES>();
    let higher = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::MIN; LANES];
    for x in x {
        lanes.iter_mut().zip(x).for_each(|(lane, &x)| *lane = higher(*lane, x));
    }
    lanes.iter().chain(rest).copied().fold(f32::MIN, higher)
}

/// `e^x` for `x ≤ 0` to about two units in the last place: `2^n·e^r` with `|r| ≤ ln(2)/2`, where `e^r` is a
/// polynomial (Cephes, `expf`). Below −87 it stays at `e^-87`; what is not a number stays so.
fn exp(x: f32) -> f32 {
    /// Adding it leaves the nearest whole number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let p = 1.987_569_2e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 0.166_666_66;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_that_of_the_reals() {
        for i in 0..=87_000 {
            let x = -(i as f32) / 1000.0;
            let real = f64::from(x).exp();
            assert!((f64::from(exp(x)) - real).abs() <= 3e-7 * real, "e^{x}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::MIN) < 1e-37);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn a_row_sees_what_is_before_it() {
        let mut scores = [1.0, 9.0, 2.0, 2.0];
        causal_softmax(&mut scores, 2, 1.0);
        assert_eq!(scores, [1.0, 0.0, 0.5, 0.5]);
    }
}

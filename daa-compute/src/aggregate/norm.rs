//! Norms, distances and medians, all in `f64` and in a fixed order.

/// Euclidean norm.
pub(super) fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt()
}

/// Euclidean distance.
pub(super) fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>().sqrt()
}

/// The middle value; of an even number, the mean of the two. Zero for none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    if sorted.len() % 2 == 1 {
        return upper;
    }
    let lower = (sorted.len() / 2).checked_sub(1).and_then(|i| sorted.get(i)).copied().unwrap_or_default();
    f64::midpoint(lower, upper)
}

/// Every value over the median of all.
pub(super) fn ratios(values: &[f64]) -> Vec<f64> {
    let median = median(values);
    values.iter().map(|&v| if v == median { 1.0 } else { v / median }).collect()
}

//! Rules that look at one coordinate at a time.

/// The mean of every coordinate.
pub(super) fn mean(updates: &[&[f32]]) -> Vec<f64> {
    let mut out = vec![0.0; updates.first().map_or(0, |u| u.len())];
    for update in updates {
        for (slot, &value) in out.iter_mut().zip(*update) {
            *slot += f64::from(value);
        }
    }
    let count = updates.len().max(1) as f64;
    for slot in &mut out {
        *slot /= count;
    }
    out
}

/// The mean of every coordinate without its `cut` lowest and `cut` highest values.
pub(super) fn trimmed_mean(updates: &[&[f32]], cut: usize) -> Vec<f64> {
    let len = updates.first().map_or(0, |u| u.len());
    let mut column = Vec::with_capacity(updates.len());
    (0..len)
        .map(|place| {
            column.clear();
            column.extend(updates.iter().filter_map(|u| u.get(place)).copied());
            column.sort_unstable_by(f32::total_cmp);
            let kept = column.get(cut..column.len() - cut).unwrap_or_default();
            kept.iter().map(|&v| f64::from(v)).sum::<f64>() / kept.len().max(1) as f64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trimmed_mean_matches_the_published_value() {
        assert_eq!(trimmed_mean(&[&[0.5], &[1.0], &[2.0], &[100.0]], 1), [1.5]);
    }
}

//! Krum and Multi-Krum (Blanchard et al., 2017).

use super::coordinate::mean;
use super::norm::distance;

/// The mean of the `keep` updates with the lowest scores. A score is the sum of the *squared* distances (squared
/// once) to the `n − f − 2` nearest others, at least one.
pub(super) fn krum(updates: &[&[f32]], attackers: usize, keep: usize) -> Vec<f64> {
    let nearest = updates.len().saturating_sub(attackers + 2).max(1);
    let mut scored: Vec<(f64, &[f32])> = updates
        .iter()
        .enumerate()
        .map(|(me, update)| {
            let others = updates.iter().enumerate().filter(|(other, _)| *other != me);
            let mut squares: Vec<f64> = others.map(|(_, other)| distance(update, other).powi(2)).collect();
            squares.sort_unstable_by(f64::total_cmp);
            (squares.iter().take(nearest).sum(), *update)
        })
        .collect();
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    mean(&scored.iter().take(keep).map(|(_, update)| *update).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn krum_matches_the_published_value() {
        // In f64 the two right-hand updates are equally far from each other; of equals the first is taken.
        assert_eq!(krum(&[&[0.2], &[0.7], &[1.0]], 1, 1), [f64::from(0.7f32)]);
    }
}

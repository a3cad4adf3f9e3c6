//! Few crossings: each node goes to the mean of its neighbours, layer by layer, and the best order is kept.

use super::{Layout, Side};

/// How often the layers are gone through.
const SWEEPS: usize = 12;

pub(super) fn reduce(layout: &mut Layout) {
    let mut best = (crossings(layout), layout.layers.clone());
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        let forward = sweep % 2 == 0;
        let count = layout.layers.len();
        for at in 0..count {
            if forward {
                sort(layout, at, Side::Before);
            } else {
                sort(layout, count - 1 - at, Side::Behind);
            }
        }
        let found = crossings(layout);
        if found < best.0 {
            best = (found, layout.layers.clone());
        }
    }
    layout.layers = best.1;
}

/// Where each node stands in its layer.
fn ranks(layout: &Layout) -> Vec<usize> {
    let mut ranks = vec![0; layout.nodes.len()];
    for layer in &layout.layers {
        for (rank, &node) in layer.iter().enumerate() {
            if let Some(slot) = ranks.get_mut(node) {
                *slot = rank;
            }
        }
    }
    ranks
}

fn sort(layout: &mut Layout, layer: usize, side: Side) {
    let fixed = if side == Side::Before { layer.checked_sub(1) } else { Some(layer + 1) };
    let Some(fixed) = fixed.and_then(|fixed| layout.layers.get(fixed)) else { return };
    let ranks: std::collections::BTreeMap<usize, f64> =
        fixed.iter().enumerate().map(|(rank, &node)| (node, rank as f64)).collect();
    let Some(nodes) = layout.layers.get(layer) else { return };
    let mean = |(rank, &node): (usize, &usize)| {
        let near: Vec<f64> =
            layout.neighbours(node, side).iter().filter_map(|near| ranks.get(near).copied()).collect();
        // What has no neighbours stays where it is, relative to the others.
        let own = rank as f64 * fixed.len() as f64 / nodes.len().max(1) as f64;
        (if near.is_empty() { own } else { near.iter().sum::<f64>() / near.len() as f64 }, node)
    };
    let mut means: Vec<(f64, usize)> = nodes.iter().enumerate().map(mean).collect();
    means.sort_by(|left, right| left.0.total_cmp(&right.0));
    if let Some(nodes) = layout.layers.get_mut(layer) {
        *nodes = means.into_iter().map(|(_, node)| node).collect();
    }
}

/// How many pairs of lines cross: the inversions between neighbouring layers.
pub(super) fn crossings(layout: &Layout) -> usize {
    let ranks = ranks(layout);
    let rank = |node: &usize| ranks.get(*node).copied().unwrap_or_default();
    let pairs = layout.layers.iter().zip(layout.layers.iter().skip(1));
    pairs
        .map(|(layer, next)| {
            let mut seen = Counts(vec![0; next.len() + 1]);
            let mut crossings = 0;
            let mut total = 0;
            for &node in layer {
                let mut ends: Vec<usize> = layout.neighbours(node, Side::Behind).iter().map(rank).collect();
                ends.sort_unstable();
                crossings += ends.iter().map(|&end| total - seen.up_to(end)).sum::<usize>();
                total += ends.len();
                ends.iter().for_each(|&end| seen.add(end));
            }
            crossings
        })
        .sum()
}

/// How often each number was seen, by prefix (a Fenwick tree).
struct Counts(Vec<usize>);

impl Counts {
    fn add(&mut self, number: usize) {
        let mut at = number + 1;
        while let Some(count) = self.0.get_mut(at) {
            *count += 1;
            at += at & at.wrapping_neg();
        }
    }

    fn up_to(&self, number: usize) -> usize {
        let (mut at, mut sum) = (number + 1, 0);
        while at > 0 {
            sum += self.0.get(at).copied().unwrap_or_default();
            at &= at - 1;
        }
        sum
    }
}

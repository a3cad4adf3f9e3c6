//! Centred clipping (Karimireddy, He and Jaggi, 2021), after a median clip of norms.

use serde::{Deserialize, Serialize};

use crate::parameters::Layout;

use super::AggregateError;
use super::norm::{median, norm};

/// `v ← v + (1/n)·Σ (xᵢ − v)·min(1, τ/‖xᵢ − v‖)`, a few times over, from the last round's aggregate.
///
/// `τ` is `radius` times the median distance, so that no absolute scale has to be known. Before, each tensor of each
/// update is shortened to the median norm of that tensor over the peers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CenteredClip {
    /// How often; 1 to 100.
    pub iterations: u32,
    /// `τ` over the median distance; above zero.
    pub radius: f64,
}

impl Default for CenteredClip {
    /// Three iterations, radius 1.
    fn default() -> Self {
        Self { iterations: 3, radius: 1.0 }
    }
}

impl CenteredClip {
    pub(super) fn run(
        &self,
        layout: &Layout,
        updates: &[&[f32]],
        previous: Option<&[f32]>,
        clip: &mut [f64],
    ) -> Result<Vec<f64>, AggregateError> {
        if !(1..=100).contains(&self.iterations) {
            return Err(AggregateError::Parameter { field: "iterations" });
        }
        if !(self.radius > 0.0 && self.radius.is_finite()) {
            return Err(AggregateError::Parameter { field: "radius" });
        }
        let updates = clip_norms(layout, updates, clip);
        let mut center = match previous {
            Some(previous) if previous.len() == layout.len() => {
                previous.iter().map(|&v| f64::from(v)).collect()
            }
            Some(_) => return Err(AggregateError::Parameter { field: "previous" }),
            None => vec![0.0; layout.len()],
        };
        let norm_clip = clip.to_vec();
        for _ in 0..self.iterations {
            let distances: Vec<f64> = updates.iter().map(|update| distance(update, &center)).collect();
            let radius = self.radius * median(&distances);
            let mut step = vec![0.0; center.len()];
            for ((update, distance), (clip, before)) in
                updates.iter().zip(&distances).zip(clip.iter_mut().zip(&norm_clip))
            {
                let factor = if *distance > radius { radius / distance } else { 1.0 };
                *clip = before * factor;
                for ((slot, &value), &center) in step.iter_mut().zip(update).zip(&center) {
                    *slot += (f64::from(value) - center) * factor;
                }
            }
            let count = updates.len() as f64;
            for (slot, step) in center.iter_mut().zip(&step) {
                *slot += step / count;
            }
        }
        Ok(center)
    }
}

fn distance(update: &[f32], center: &[f64]) -> f64 {
    update.iter().zip(center).map(|(&a, &b)| (f64::from(a) - b).powi(2)).sum::<f64>().sqrt()
}

/// Shortens every tensor to the median norm over the peers; `clip` becomes the overall shortening of each peer.
fn clip_norms(layout: &Layout, updates: &[&[f32]], clip: &mut [f64]) -> Vec<Vec<f32>> {
    let mut clipped: Vec<Vec<f32>> = updates.iter().map(|update| update.to_vec()).collect();
    for (_, range) in layout.ranges() {
        let part = |update: &Vec<f32>| norm(update.get(range.clone()).unwrap_or_default());
        let norms: Vec<f64> = clipped.iter().map(part).collect();
        let limit = median(&norms);
        for (update, norm) in clipped.iter_mut().zip(&norms).filter(|(_, norm)| **norm > limit) {
            let factor = limit / norm;
            for value in update.get_mut(range.clone()).unwrap_or_default() {
                *value = (f64::from(*value) * factor) as f32;
            }
        }
    }
    for (slot, (before, after)) in clip.iter_mut().zip(updates.iter().zip(&clipped)) {
        let (before, after) = (norm(before), norm(after));
        *slot = if before == 0.0 { 1.0 } else { after / before };
    }
    clipped
}

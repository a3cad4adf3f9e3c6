//! What worked before in situations like this one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metrics::Metrics;
use super::threshold::ThresholdName;
use crate::id::{MetricName, StrategyName};

/// The most patterns an agent remembers.
pub const MAX_PATTERNS: usize = 64;
/// The most features of a signature; further ones, by name, are left out.
const MAX_FEATURES: usize = 16;
/// The most patterns that are recalled at a time.
const MAX_RECALLED: usize = 8;

/// A situation, coarsened until similar ones are equal: the order of magnitude of every metric (half octaves),
/// and the thresholds that are raised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    metrics: BTreeMap<MetricName, i16>,
    raised: Vec<ThresholdName>,
}

impl Signature {
    pub(super) fn new<'a>(metrics: &Metrics, raised: impl Iterator<Item = &'a ThresholdName>) -> Self {
        let raised: Vec<_> = raised.take(MAX_FEATURES).cloned().collect();
        let left = MAX_FEATURES.saturating_sub(raised.len());
        let metrics = metrics.iter().take(left).map(|(name, summary)| (name.clone(), bucket(summary.last)));
        Self { metrics: metrics.collect(), raised }
    }

    /// How alike two situations are, from 0 to 1: the share of features that agree. Neighbouring orders of
    /// magnitude agree by half.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> f64 {
        let (mut all, mut alike) = (0.0, 0.0);
        for (name, bucket) in &self.metrics {
            all += 1.0;
            alike += match other.metrics.get(name).map(|theirs| bucket.abs_diff(*theirs)) {
                Some(0) => 1.0,
                Some(1) => 0.5,
                Some(_) | None => 0.0,
            };
        }
        all += other.metrics.keys().filter(|name| !self.metrics.contains_key(*name)).count() as f64;
        for name in &self.raised {
            all += 1.0;
            alike += f64::from(u8::from(other.raised.contains(name)));
        }
        all += other.raised.iter().filter(|name| !self.raised.contains(name)).count() as f64;
        if all == 0.0 { 1.0 } else { alike / all }
    }
}

/// Sign and half octave of a finite number, from its bits, so that it is the same on every platform.
fn bucket(value: f64) -> i16 {
    let magnitude = i16::try_from((value.abs().to_bits() >> 51) & 0xfff).unwrap_or(0);
    // Everything below 2^-20 is zero.
    let above = magnitude.saturating_sub((1023 - 20) * 2).max(0);
    if value < 0.0 { -above } else { above }
}

/// A strategy that was followed in some situation, and how well that went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pattern {
    /// The situation.
    pub signature: Signature,
    /// The strategy.
    pub strategy: StrategyName,
    /// The mean score, in `0.0..=1.0`.
    pub score: f64,
    /// How many cycles it rests on; counts up to 100, so that old scores fade.
    pub count: u32,
    /// The latest of these cycles.
    pub cycle: u64,
}

/// A remembered pattern, and how much its situation is like the present one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recalled {
    /// The pattern.
    pub pattern: Pattern,
    /// From 0 (nothing in common) to 1 (the same).
    pub similarity: f64,
}

/// The patterns of an agent: at most [`MAX_PATTERNS`], the ones seen last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PatternMemory(Vec<Pattern>);

impl PatternMemory {
    /// The patterns most like `signature`, best first; at most eight, and none with nothing in common.
    #[must_use]
    pub fn recall(&self, signature: &Signature) -> Vec<Recalled> {
        let like = |pattern: &Pattern| signature.similarity(&pattern.signature);
        let scored = self.0.iter().map(|pattern| (like(pattern), pattern)).filter(|(like, _)| *like > 0.0);
        let mut scored: Vec<_> = scored.collect();
        scored.sort_by(|(a, left), (b, right)| b.total_cmp(a).then(right.cycle.cmp(&left.cycle)));
        scored.truncate(MAX_RECALLED);
        let recalled =
            |(similarity, pattern): (f64, &Pattern)| Recalled { pattern: pattern.clone(), similarity };
        scored.into_iter().map(recalled).collect()
    }

    /// Remembers how `strategy` did.
    pub(super) fn learn(&mut self, signature: &Signature, strategy: &StrategyName, score: f64, cycle: u64) {
        let same = |known: &&mut Pattern| known.strategy == *strategy && known.signature == *signature;
        if let Some(known) = self.0.iter_mut().find(same) {
            known.count = known.count.saturating_add(1).min(100);
            known.score += (score - known.score) / f64::from(known.count);
            known.cycle = cycle;
            return;
        }
        if self.0.len() >= MAX_PATTERNS
            && let Some(oldest) =
                self.0.iter().enumerate().min_by_key(|(_, known)| known.cycle).map(|(i, _)| i)
        {
            self.0.swap_remove(oldest);
        }
        let (signature, strategy) = (signature.clone(), strategy.clone());
        self.0.push(Pattern { signature, strategy, score, count: 1, cycle });
    }

    /// How many patterns are remembered.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::observe::Observation;
    use super::*;
    use crate::clock::Timestamp;

    fn signature(values: &[(&str, f64)], raised: &[&str]) -> Signature {
        let mut metrics = Metrics::default();
        for (name, value) in values {
            metrics.observe(Observation::new(MetricName::new(name).unwrap(), *value), Timestamp::EPOCH);
        }
        let raised: Vec<_> = raised.iter().map(|name| ThresholdName::new(name).unwrap()).collect();
        Signature::new(&metrics, raised.iter())
    }

    #[test]
    fn nearby_values_are_alike_and_far_ones_are_not() {
        let base = signature(&[("t", 20.0)], &["hot"]);
        assert_eq!(base.similarity(&signature(&[("t", 20.5)], &["hot"])), 1.0);
        assert_eq!(base.similarity(&signature(&[("t", 2000.0)], &["hot"])), 0.5);
        assert_eq!(base.similarity(&signature(&[("t", -20.0)], &[])), 0.0);
        assert!(base.similarity(&signature(&[("t", 26.0)], &["hot"])) > 0.7);
    }

    #[test]
    fn memory_is_bounded_and_recalls_the_most_similar_first() {
        let mut memory = PatternMemory::default();
        let strategy = StrategyName::new("s").unwrap();
        for cycle in 0..1_000_u32 {
            let value = f64::from(cycle % 300).exp2();
            memory.learn(&signature(&[("t", value)], &[]), &strategy, 0.5, u64::from(cycle));
        }
        assert_eq!(memory.len(), MAX_PATTERNS);
        let recalled = memory.recall(&signature(&[("t", 99.0_f64.exp2())], &[]));
        assert_eq!(recalled.first().map(|best| best.similarity), Some(1.0));
        assert!(recalled.len() <= MAX_RECALLED);
    }

    #[test]
    fn a_score_is_the_mean_of_what_was_seen() {
        let mut memory = PatternMemory::default();
        let strategy = StrategyName::new("s").unwrap();
        for (cycle, score) in [(1, 1.0), (2, 0.0), (3, 0.5)] {
            memory.learn(&signature(&[], &["a"]), &strategy, score, cycle);
        }
        let recalled = memory.recall(&signature(&[], &["a"]));
        assert!((recalled[0].pattern.score - 0.5).abs() < 1e-12);
    }
}

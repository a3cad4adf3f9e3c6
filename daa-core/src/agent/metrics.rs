//! The aggregate of what was observed, metric by metric.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::observe::Observation;
use crate::clock::Timestamp;
use crate::id::MetricName;

/// The most metrics that one agent follows; observations of further ones are discarded.
pub const MAX_METRICS: usize = 128;

/// What was observed of one metric in the latest cycle that observed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MetricSummary {
    /// The latest value.
    pub last: f64,
    /// The mean of the cycle's values.
    pub mean: f64,
    /// The smallest of the cycle's values.
    pub min: f64,
    /// The largest of the cycle's values.
    pub max: f64,
    /// How many values the cycle observed.
    pub count: u64,
    /// When the latest value was measured.
    pub at: Timestamp,
    /// Whether this cycle observed it; otherwise it is carried forward.
    pub fresh: bool,
    /// What else is known of the latest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
}

/// The metrics of an agent, by name; at most [`MAX_METRICS`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(BTreeMap<MetricName, MetricSummary>);

impl Metrics {
    /// What is known of a metric.
    #[must_use]
    pub fn of(&self, metric: &str) -> Option<&MetricSummary> {
        self.0.get(metric)
    }

    /// The latest value of a metric.
    #[must_use]
    pub fn last(&self, metric: &str) -> Option<f64> {
        self.of(metric).map(|summary| summary.last)
    }

    /// All metrics, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&MetricName, &MetricSummary)> {
        self.0.iter()
    }

    /// Begins a cycle: what is known is from now on carried forward.
    pub(super) fn carry(&mut self) {
        self.0.values_mut().for_each(|summary| summary.fresh = false);
    }

    /// Takes up an observation. False when it is not finite, or there are too many metrics.
    pub(super) fn observe(&mut self, observation: Observation, now: Timestamp) -> bool {
        let Observation { metric, value, at, detail } = observation;
        let full = self.0.len() >= MAX_METRICS && !self.0.contains_key(&metric);
        if !value.is_finite() || full {
            return false;
        }
        let at = at.unwrap_or(now);
        let first = MetricSummary {
            last: value,
            mean: value,
            min: value,
            max: value,
            count: 1,
            at,
            fresh: true,
            detail: None,
        };
        let summary = self.0.entry(metric).and_modify(|summary| {
            if !summary.fresh {
                summary.clone_from(&first);
                return;
            }
            summary.count = summary.count.saturating_add(1);
            // Divides first, so that the mean of finite values is finite.
            let n = summary.count as f64;
            summary.mean = summary.mean * ((n - 1.0) / n) + value / n;
            summary.min = summary.min.min(value);
            summary.max = summary.max.max(value);
            summary.last = value;
            summary.at = at;
        });
        summary.or_insert(first).detail = detail;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn metric() -> MetricName {
        MetricName::new("m").unwrap()
    }

    proptest! {
        #[test]
        fn a_summary_agrees_with_the_list_of_values(values in prop::collection::vec(-1e300_f64..1e300, 1..40)) {
            let mut metrics = Metrics::default();
            metrics.observe(Observation::new(metric(), 77.0), Timestamp::EPOCH);
            metrics.carry();
            for value in &values {
                prop_assert!(metrics.observe(Observation::new(metric(), *value), Timestamp::EPOCH));
            }
            let summary = metrics.of("m").unwrap();
            prop_assert_eq!(summary.count, values.len() as u64);
            prop_assert_eq!(summary.last, *values.last().unwrap());
            prop_assert_eq!(summary.min, values.iter().copied().fold(f64::INFINITY, f64::min));
            prop_assert_eq!(summary.max, values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            let mean: f64 = values.iter().map(|value| value / values.len() as f64).sum();
            prop_assert!((summary.mean - mean).abs() <= 1e-9 * summary.max.abs().max(summary.min.abs()));
        }
    }

    #[test]
    fn carries_the_last_value_forward_and_discards_what_is_not_finite() {
        let mut metrics = Metrics::default();
        assert!(metrics.observe(Observation::new(metric(), 3.0), Timestamp::EPOCH));
        metrics.carry();
        assert!(!metrics.observe(Observation::new(metric(), f64::NAN), Timestamp::EPOCH));
        assert_eq!(metrics.of("m").map(|summary| (summary.last, summary.fresh)), Some((3.0, false)));
    }
}

//! Thresholds with hysteresis: raised once when a metric crosses, cleared once when it is back.

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Reaction, Retry};
use crate::id::{IdError, MetricName};

/// Names a threshold.
pub type ThresholdName = MetricName;

/// On which side of a value a metric is alarming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// High values are.
    Above,
    /// Low values are.
    Below,
}

/// A limit on a metric, with hysteresis: it is raised when the latest value reaches `raise_at`, and cleared only
/// when the value is back beyond `clear_at`.
///
/// ```
/// use daa_core::agent::Threshold;
///
/// let too_hot = Threshold::above("temperature", 30.0, 25.0)?.with_name("too-hot")?;
/// # Ok::<(), daa_core::agent::ThresholdError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    name: ThresholdName,
    metric: MetricName,
    side: Side,
    raise_at: f64,
    clear_at: f64,
}

/// A threshold that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ThresholdError {
    /// A name that cannot be one.
    #[error("the name of a metric or threshold")]
    Name(#[from] IdError),
    /// Values that are not finite, or `clear_at` beyond `raise_at`.
    #[error(
        "raised at {raise_at} and cleared at {clear_at}: it must clear on the harmless side, at finite values"
    )]
    Levels {
        /// Where it was to be raised.
        raise_at: f64,
        /// Where it was to be cleared.
        clear_at: f64,
    },
}

impl Reaction for ThresholdError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl Threshold {
    /// Raised when `metric >= raise_at`, cleared when `metric < clear_at`. Named like its metric.
    ///
    /// # Errors
    /// [`ThresholdError`] unless `clear_at <= raise_at` and both are finite.
    pub fn above(metric: &str, raise_at: f64, clear_at: f64) -> Result<Self, ThresholdError> {
        Self::new(metric, Side::Above, raise_at, clear_at)
    }

    /// Raised when `metric <= raise_at`, cleared when `metric > clear_at`. Named like its metric.
    ///
    /// # Errors
    /// [`ThresholdError`] unless `clear_at >= raise_at` and both are finite.
    pub fn below(metric: &str, raise_at: f64, clear_at: f64) -> Result<Self, ThresholdError> {
        Self::new(metric, Side::Below, raise_at, clear_at)
    }

    fn new(metric: &str, side: Side, raise_at: f64, clear_at: f64) -> Result<Self, ThresholdError> {
        let metric = MetricName::new(metric)?;
        let ordered = match side {
            Side::Above => clear_at <= raise_at,
            Side::Below => clear_at >= raise_at,
        };
        if !ordered || !raise_at.is_finite() || !clear_at.is_finite() {
            return Err(ThresholdError::Levels { raise_at, clear_at });
        }
        Ok(Self { name: metric.clone(), metric, side, raise_at, clear_at })
    }

    /// Sets the name, so that one metric can have several thresholds.
    ///
    /// # Errors
    /// [`ThresholdError::Name`].
    pub fn with_name(mut self, name: &str) -> Result<Self, ThresholdError> {
        self.name = ThresholdName::new(name)?;
        Ok(self)
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &ThresholdName {
        &self.name
    }

    /// The metric it limits.
    #[must_use]
    pub const fn metric(&self) -> &MetricName {
        &self.metric
    }

    /// Whether it is raised after `value`, given whether it was raised before.
    #[must_use]
    pub fn is_raised_after(&self, raised: bool, value: f64) -> bool {
        match (self.side, raised) {
            (Side::Above, false) => value >= self.raise_at,
            (Side::Above, true) => value >= self.clear_at,
            (Side::Below, false) => value <= self.raise_at,
            (Side::Below, true) => value <= self.clear_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a person would say: look back for the last value that settles the matter.
    fn model(values: &[f64], raise_at: f64, clear_at: f64) -> bool {
        let decisive = values.iter().rev().find(|&&value| value >= raise_at || value < clear_at);
        decisive.is_some_and(|&value| value >= raise_at)
    }

    proptest! {
        #[test]
        fn agrees_with_a_look_back_at_all_values(
            values in prop::collection::vec(-10.0_f64..10.0, 0..60),
            raise_at in -5.0_f64..5.0,
            gap in 0.0_f64..5.0,
        ) {
            let above = Threshold::above("m", raise_at, raise_at - gap).unwrap();
            let below = Threshold::below("m", -raise_at, -(raise_at - gap)).unwrap();
            let (mut high, mut low) = (false, false);
            for end in 0..values.len() {
                high = above.is_raised_after(high, values[end]);
                low = below.is_raised_after(low, -values[end]);
                prop_assert_eq!(high, model(&values[..=end], raise_at, raise_at - gap));
                prop_assert_eq!(low, high);
            }
        }
    }

    #[test]
    fn rejects_levels_that_would_flap() {
        assert!(matches!(Threshold::above("m", 1.0, 2.0), Err(ThresholdError::Levels { .. })));
        assert!(matches!(Threshold::below("m", 1.0, 0.5), Err(ThresholdError::Levels { .. })));
        assert!(matches!(Threshold::above("m", f64::NAN, 0.0), Err(ThresholdError::Levels { .. })));
    }
}

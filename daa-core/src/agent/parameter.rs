//! The knobs that an agent may turn on itself, and their bounds.

use crate::fault::{Fault, Reaction, Retry};
use crate::id::{IdError, MetricName};

/// Names a parameter.
pub type ParameterName = MetricName;

/// A number that strategies read and the adapter may change, within bounds that it cannot.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    name: ParameterName,
    value: f64,
    min: f64,
    max: f64,
    max_step: f64,
}

/// A parameter that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// A name that cannot be one.
    #[error("the name of a parameter")]
    Name(#[from] IdError),
    /// Bounds that are not finite or not in order, or a value outside them.
    #[error(
        "value {value} in {min}..={max}, step {max_step}: all must be finite, the value within, the step > 0"
    )]
    Bounds {
        /// The value.
        value: f64,
        /// The lower bound.
        min: f64,
        /// The upper bound.
        max: f64,
        /// The largest change at a time.
        max_step: f64,
    },
}

impl Reaction for ParameterError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl Parameter {
    /// A parameter that starts at `value`, stays in `min..=max`, and changes by at most `max_step` at a time.
    ///
    /// # Errors
    /// [`ParameterError`] unless all are finite, `min <= value <= max` and `max_step > 0`.
    pub fn new(name: &str, value: f64, min: f64, max: f64, max_step: f64) -> Result<Self, ParameterError> {
        let name = ParameterName::new(name)?;
        let finite = min.is_finite() && max.is_finite() && max_step.is_finite();
        let possible = finite && (min..=max).contains(&value) && max_step > 0.0;
        if !possible {
            return Err(ParameterError::Bounds { value, min, max, max_step });
        }
        Ok(Self { name, value, min, max, max_step })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &ParameterName {
        &self.name
    }

    /// The value it starts at.
    #[must_use]
    pub const fn initial(&self) -> f64 {
        self.value
    }

    /// The smallest value.
    #[must_use]
    pub const fn min(&self) -> f64 {
        self.min
    }

    /// The largest value.
    #[must_use]
    pub const fn max(&self) -> f64 {
        self.max
    }

    /// The largest change at a time.
    #[must_use]
    pub const fn max_step(&self) -> f64 {
        self.max_step
    }

    /// The value nearest to `wanted` that may follow `current`. Not a number changes nothing.
    #[must_use]
    pub fn bounded(&self, current: f64, wanted: f64) -> f64 {
        let current = if current.is_nan() { self.value } else { current.clamp(self.min, self.max) };
        if wanted.is_nan() {
            return current;
        }
        wanted.clamp(current - self.max_step, current + self.max_step).clamp(self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_wanted_stays_within_bounds_and_step(
            wanted in prop::collection::vec(prop::num::f64::ANY, 1..50),
            max_step in 0.001_f64..3.0,
        ) {
            let parameter = Parameter::new("p", 0.5, -1.0, 2.0, max_step).unwrap();
            let mut value = parameter.initial();
            for wanted in wanted {
                let next = parameter.bounded(value, wanted);
                prop_assert!((-1.0..=2.0).contains(&next));
                prop_assert!((next - value).abs() <= max_step * (1.0 + 1e-12));
                value = next;
            }
        }
    }
}

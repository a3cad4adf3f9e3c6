//! Monitor: what an agent observes, and what observes it.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::fault::{Fault, Reaction, Retry};
use crate::id::{IdError, MetricName};

/// One measured value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Observation {
    /// What was measured.
    pub metric: MetricName,
    /// The value, in the unit that the metric is defined in. Values that are not finite are discarded, and the
    /// cycle's report says so.
    pub value: f64,
    /// When; `None` means when it was collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What else is known, for strategies and reasoners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
}

impl Observation {
    /// A value measured just now.
    #[must_use]
    pub const fn new(metric: MetricName, value: f64) -> Self {
        Self { metric, value, at: None, detail: None }
    }

    /// Sets when it was measured.
    #[must_use]
    pub const fn with_time(mut self, at: Timestamp) -> Self {
        self.at = Some(at);
        self
    }

    /// Sets what else is known.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Value>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// Observes a part of the world.
///
/// # Contract
/// An implementation must not block the thread (a future that never yields cannot be timed out), and must not
/// have effects: what changes the world passes the [`Gate`](crate::action::Gate).
#[async_trait]
pub trait DataCollector: Send + Sync {
    /// Its name, unique in its agent.
    fn name(&self) -> &MetricName;

    /// How long to leave between two collections; by default it collects in every cycle. Between collections the
    /// last values are carried forward.
    fn interval(&self) -> Duration {
        Duration::ZERO
    }

    /// How long one collection may take; `None` means the agent's own limit.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// Observes.
    ///
    /// # Errors
    /// [`CollectError`]: the cycle then goes on without this collector, and its report says so.
    ///
    /// # Cancel safety
    /// The future is dropped when the time limit has passed; it must leave nothing half done.
    async fn collect(&self) -> Result<Vec<Observation>, CollectError>;
}

/// Nothing could be observed.
#[derive(Debug, thiserror::Error)]
#[error("nothing could be observed")]
#[non_exhaustive]
pub struct CollectError {
    /// Why.
    #[source]
    pub source: Box<dyn StdError + Send + Sync>,
}

impl CollectError {
    /// Wraps what went wrong.
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: source.into() }
    }
}

impl Reaction for CollectError {
    fn fault(&self) -> Fault {
        Fault::Environment
    }

    fn retry(&self) -> Retry {
        Retry::Later
    }
}

/// What a collecting closure may return: a number (the metric is then named like the collector), observations, or
/// a `Result` of either.
pub trait Readings: Send {
    /// The observations of the collector `name`.
    ///
    /// # Errors
    /// [`CollectError`] when there are none because something failed.
    fn into_observations(self, name: &MetricName) -> Result<Vec<Observation>, CollectError>;
}

impl Readings for f64 {
    fn into_observations(self, name: &MetricName) -> Result<Vec<Observation>, CollectError> {
        Ok(vec![Observation::new(name.clone(), self)])
    }
}

impl Readings for Vec<Observation> {
    fn into_observations(self, _: &MetricName) -> Result<Vec<Observation>, CollectError> {
        Ok(self)
    }
}

impl<R: Readings, E: Into<Box<dyn StdError + Send + Sync>> + Send> Readings for Result<R, E> {
    fn into_observations(self, name: &MetricName) -> Result<Vec<Observation>, CollectError> {
        self.map_err(CollectError::new)?.into_observations(name)
    }
}

/// A [`DataCollector`] made of a closure; see [`collector_fn`].
pub struct FnCollector<F> {
    name: MetricName,
    interval: Duration,
    timeout: Option<Duration>,
    collect: F,
}

/// Makes a collector of a closure.
///
/// ```
/// use std::time::Duration;
/// use daa_core::agent::collector_fn;
///
/// let thermometer = collector_fn("temperature", || async { 21.5 })?.with_interval(Duration::from_secs(10));
/// # Ok::<(), daa_core::id::IdError>(())
/// ```
///
/// # Errors
/// [`IdError`] when `name` cannot be a name.
pub fn collector_fn<F, Fut>(name: &str, collect: F) -> Result<FnCollector<F>, IdError>
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output: Readings> + Send,
{
    Ok(FnCollector { name: MetricName::new(name)?, interval: Duration::ZERO, timeout: None, collect })
}

impl<F> FnCollector<F> {
    /// Sets how long to leave between two collections.
    #[must_use]
    pub const fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets how long one collection may take.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<F> fmt::Debug for FnCollector<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnCollector").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl<F, Fut> DataCollector for FnCollector<F>
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output: Readings> + Send,
{
    fn name(&self) -> &MetricName {
        &self.name
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    async fn collect(&self) -> Result<Vec<Observation>, CollectError> {
        (self.collect)().await.into_observations(&self.name)
    }
}

//! How the servers and stores are that a process leans on, and what happens without each of them.
//!
//! A [`Probe`] asks one of them. [`examine`] asks several at once and gives a [`HealthReport`]: whether the process is
//! ready for work, and what it does worse than it could. What is away comes back by itself; nothing here starts or
//! stops anything.
//!
//! | without | the process |
//! |---|---|
//! | [`Refuses`](Without::Refuses), such as the event store | refuses work: it is not ready |
//! | [`Waits`](Without::Waits), such as the bus | goes on; what is to be sent is kept, and sent when it is back |
//! | [`Slows`](Without::Slows), such as the cache | goes on, and asks the source each time |

mod probes;
mod report;

pub use probes::{BusProbe, StoreProbe};
pub use report::{HealthReport, PartHealth};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;

use crate::clock::Clock;
use crate::resilience::within;

/// Whether something can be used right now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// It answered.
    Ready {
        /// How long it took to answer; zero within a process.
        answered_in: Duration,
    },
    /// It cannot be reached, or does not answer. It is tried again.
    Unavailable {
        /// Why, for people, without secrets.
        reason: String,
    },
    /// It was closed, and stays so.
    Closed,
}

impl Condition {
    /// Whether it can be used.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Ready { .. })
    }

    /// What somebody said who was asked in vain, with all its causes; of bounded length.
    #[must_use]
    pub fn unavailable(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Unavailable { reason: crate::failure_text::error_text(error) }
    }
}

/// What a process does without one of the parts it leans on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Without {
    /// It refuses work.
    Refuses,
    /// It goes on, and what has to do with this part waits until it is back.
    Waits,
    /// It goes on, but slower.
    Slows,
}

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuses => "work is refused",
            Self::Waits => "what has to do with it waits",
            Self::Slows => "work goes on, slower",
        })
    }
}

/// Asks one part how it is.
///
/// # Contract
///
/// An implementation must not change what it asks, must bear being dropped at any `await`, and must keep secrets out of
/// what it answers.
#[async_trait]
pub trait Probe: Send + Sync + fmt::Debug {
    /// What is asked, such as `store`; unique in a process.
    fn part(&self) -> &str;

    /// What happens without it.
    fn without(&self) -> Without;

    /// How it is.
    async fn condition(&self) -> Condition;
}

/// Asks all of them at once, and gives each as long as `limit`.
///
/// # Cancel safety
/// Safe.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use daa_core::clock::SystemClock;
/// use daa_core::event::MemoryEventStore;
/// use daa_core::health::{Probe, StoreProbe, examine};
///
/// let (store, clock) = (Arc::new(MemoryEventStore::new()), Arc::new(SystemClock::new()));
/// let probes: Vec<Arc<dyn Probe>> = vec![Arc::new(StoreProbe::new(store, clock.clone()))];
/// let report = examine(&*clock, Duration::from_secs(1), &probes).await;
/// assert!(report.is_ready());
/// println!("{report}");
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub async fn examine(clock: &dyn Clock, limit: Duration, probes: &[Arc<dyn Probe>]) -> HealthReport {
    let ask = |probe: &Arc<dyn Probe>| {
        let probe = probe.clone();
        async move {
            let condition = within(clock, limit, probe.condition()).await;
            let condition = condition
                .unwrap_or_else(|| Condition::Unavailable { reason: format!("no answer within {limit:?}") });
            PartHealth { part: probe.part().to_owned(), without: probe.without(), condition }
        }
    };
    HealthReport { parts: join_all(probes.iter().map(ask)).await }
}

//! The signs of life of an executor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::Notify;

/// What an executor reports while it is at work. Clones share it; whoever follows it keeps what it has [`Seen`].
///
/// There is one for each attempt, and hardly any is ever used: so it is small, unlike a channel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beats(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    latest: Mutex<Latest>,
    beaten: Notify,
}

#[derive(Debug, Default)]
struct Latest {
    count: u64,
    details: Option<Value>,
}

/// How many reports were seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen(u64);

impl Beats {
    fn inner(&self) -> MutexGuard<'_, Latest> {
        self.0.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports.
    pub(crate) fn beat(&self, details: Value) {
        let mut latest = self.inner();
        latest.count += 1;
        latest.details = Some(details);
        drop(latest);
        self.0.beaten.notify_one();
    }

    /// What was reported last.
    pub(crate) fn latest(&self) -> Option<Value> {
        self.inner().details.clone()
    }

    /// What was reported last, unless it was seen before.
    pub(crate) fn news(&self, seen: &mut Seen) -> Option<Value> {
        let latest = self.inner();
        if latest.count == seen.0 {
            return None;
        }
        seen.0 = latest.count;
        latest.details.clone()
    }

    /// Waits for a report; one that nobody has waited for counts. For one who waits.
    pub(crate) async fn beaten(&self) {
        self.0.beaten.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_report_is_news_once_to_each_who_follows() {
        let (beats, mut one, mut other) = (Beats::default(), Seen::default(), Seen::default());
        assert_eq!(beats.news(&mut one), None);
        beats.beat(1.into());
        beats.beat(2.into());
        assert_eq!(beats.news(&mut one), Some(2.into()));
        assert_eq!(beats.news(&mut one), None);
        assert_eq!(beats.clone().news(&mut other), Some(2.into()));
        assert_eq!(beats.latest(), Some(2.into()));
    }

    #[test]
    fn a_report_that_came_before_the_wait_ends_it_once() {
        let beats = Beats::default();
        beats.beat(1.into());
        assert!(beats.beaten().now_or_never().is_some());
        assert!(beats.beaten().now_or_never().is_none());
    }
}

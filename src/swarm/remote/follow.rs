//! Following a run from afar: its events, as they happen, into a view of one's own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daa_compute::protocol::{Event, Run};
use daa_core::artifact::Artifacts;
use daa_net::rpc::CallOptions;
use tokio::sync::watch;

use super::link::{Link, PATIENCE, Pauses, declined};
use super::wire::{Follow, FollowRequest};
use crate::swarm::error::SwarmError;
use crate::swarm::view::RunView;

/// How long the coordinator is asked to wait for something to happen.
const WAIT: Duration = Duration::from_secs(20);
/// How much longer its answer may take.
const GRACE: Duration = Duration::from_secs(10);

/// The run as it is known here. It has one owner, who follows it.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) link: Link,
    pub(super) run: Run,
    pub(super) view: watch::Sender<Arc<RunView>>,
    /// From which goes what nothing needs any more.
    pub(super) local: Arc<dyn Artifacts>,
}

impl Follower {
    /// Follows the run to where it stands now.
    pub(super) async fn catch_up(&mut self) -> Result<(), SwarmError> {
        let (until, mut pauses) = (self.link.clock.now() + PATIENCE, Pauses::new());
        loop {
            match self.step(Duration::ZERO).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error @ SwarmError::Unanswered(_)) if self.link.clock.now() < until => {
                    tracing::debug!(%error, "the coordinator is asked again");
                    pauses.pause(&*self.link.clock).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Follows the run until it has ended, or cannot be followed any more.
    pub(super) async fn follow(mut self, failure: watch::Sender<Option<Arc<SwarmError>>>) {
        let mut pauses = Pauses::new();
        while !self.view.borrow().finished {
            match self.step(WAIT).await {
                Ok(_) => pauses = Pauses::new(),
                Err(error @ SwarmError::Unanswered(_)) => {
                    tracing::debug!(%error, "the coordinator is asked again");
                    pauses.pause(&*self.link.clock).await;
                }
                Err(error) => {
                    failure.send_replace(Some(Arc::new(error)));
                    return;
                }
            }
        }
    }

    /// Takes in what happens next, and says whether that was all.
    async fn step(&mut self, wait: Duration) -> Result<bool, SwarmError> {
        let before = self.view.borrow().clone();
        let wait_millis = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let request = FollowRequest { of: self.link.of(), after: before.version, wait_millis };
        let options = CallOptions::default().within(wait + GRACE);
        let answer = self.link.ask::<Follow>(&request, options).await;
        let answer =
            answer.map_err(|error| declined(&error).unwrap_or_else(|| SwarmError::Unanswered(error)))?;
        if !answer.events.is_empty() {
            let view = self.take(&before, &answer.events)?;
            let obsolete: Vec<_> = before.referenced().difference(&view.referenced()).copied().collect();
            self.view.send_replace(Arc::new(view));
            for digest in obsolete {
                if let Err(error) = self.local.remove(&digest).await {
                    tracing::debug!(%digest, %error, "an artefact was not removed");
                }
            }
        }
        Ok(self.view.borrow().version >= answer.head)
    }

    /// The view with these events, which the run must be able to have.
    fn take(&mut self, before: &RunView, events: &[Bytes]) -> Result<RunView, SwarmError> {
        let (mut view, mut run) = (before.clone(), self.run.clone());
        for event in events {
            let wrong = |error: serde_json::Error| SwarmError::WrongHistory { reason: error.to_string() };
            let event: Event = serde_json::from_slice(event).map_err(wrong)?;
            run.apply(&event)?;
            view.apply(&event);
        }
        self.run = run;
        Ok(view)
    }
}

//! What keeps one service running.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::select;
use tokio::sync::watch;

use super::health::{ServiceHealth, ServiceState};
use super::restart::RestartPolicy;
use super::service::{Service, ServiceError, ServiceName};
use crate::clock::Clock;
use crate::failure_text::{error_text, panic_text};
use crate::fault::{Reaction, Retry};
use crate::shutdown::Shutdown;

/// Where all services stand, in the order in which they were added.
pub(super) type Board = watch::Sender<Vec<ServiceHealth>>;

/// Makes a service once more; `None` when there is no other one.
pub(super) type Factory = Box<dyn FnMut() -> Option<Box<dyn Service>> + Send>;

/// A service and how to start it again.
pub(super) struct Supervised {
    pub(super) name: ServiceName,
    pub(super) make: Factory,
    pub(super) policy: RestartPolicy,
}

/// Runs a service to its end, and again after a failure, and keeps its line of the board.
pub(super) struct Supervisor {
    pub(super) service: Supervised,
    pub(super) index: usize,
    pub(super) board: Arc<Board>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shutdown: Shutdown,
}

/// A run that failed.
struct Failure {
    error: String,
    can_restart: bool,
}

impl Supervisor {
    pub(super) async fn supervise(mut self) {
        let mut failures = 0;
        loop {
            let begun = self.clock.now();
            let Err(failure) = self.run_once().await else { return self.show(ServiceState::Stopped) };
            failures = self.service.policy.failures_after(failures, self.clock.now().since(begun));
            let Failure { error, can_restart } = failure;
            tracing::warn!(service = %self.service.name, error, failures, "service failed");
            let wanted = can_restart && !self.shutdown.is_requested();
            let Some(delay) = self.service.policy.delay(failures).filter(|_| wanted) else {
                return self.show(ServiceState::Failed { error });
            };
            let until = begun.max(self.clock.now()) + delay;
            self.show(ServiceState::Resting { error: error.clone(), until });
            select(self.clock.sleep_until(until), pin!(self.shutdown.requested())).await;
            if self.shutdown.is_requested() {
                return self.show(ServiceState::Failed { error });
            }
            self.count_restart();
        }
    }

    async fn run_once(&mut self) -> Result<(), Failure> {
        let shutdown = self.shutdown.clone();
        let run = async {
            self.show(ServiceState::Starting);
            let Some(service) = (self.service.make)() else { return Ok(()) };
            self.show(ServiceState::Running);
            service.run(shutdown).await
        };
        // The service is dropped after a panic, so nobody sees what it left half done.
        let ended: Result<Result<(), ServiceError>, _> = AssertUnwindSafe(run).catch_unwind().await;
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                Err(Failure { error: error_text(&error), can_restart: error.retry() != Retry::Never })
            }
            Err(panic) => {
                Err(Failure { error: format!("panicked: {}", panic_text(&*panic)), can_restart: true })
            }
        }
    }

    fn show(&self, state: ServiceState) {
        self.change(|health| health.state = state);
    }

    fn count_restart(&self) {
        self.change(|health| health.restarts = health.restarts.saturating_add(1));
    }

    fn change(&self, change: impl FnOnce(&mut ServiceHealth)) {
        self.board.send_modify(|board| {
            if let Some(health) = board.get_mut(self.index) {
                change(health);
            }
        });
    }
}

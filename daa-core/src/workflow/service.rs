//! A worker as a service of an orchestrator.

use async_trait::async_trait;

use super::engine::WorkflowEngine;
use super::worker::WorkerOptions;
use crate::fault::{Reaction, Retry};
use crate::id::WorkerName;
use crate::orchestrator::{Service, ServiceError, ServiceName};
use crate::shutdown::Shutdown;

/// A worker that an [orchestrator](crate::orchestrator) supervises:
/// `with_restarting_service(move || engine.service(name.clone(), options))`.
#[derive(Clone, Debug)]
pub struct WorkerService {
    engine: WorkflowEngine,
    worker: WorkerName,
    options: WorkerOptions,
}

impl WorkflowEngine {
    /// A worker as a service; see [`Self::serve`].
    #[must_use]
    pub fn service(&self, worker: WorkerName, options: WorkerOptions) -> WorkerService {
        WorkerService { engine: self.clone(), worker, options }
    }
}

#[async_trait]
impl Service for WorkerService {
    fn name(&self) -> ServiceName {
        ServiceName::from(format!("workflows {}", self.worker))
    }

    async fn run(self: Box<Self>, shutdown: Shutdown) -> Result<(), ServiceError> {
        let served = self.engine.serve(self.worker.clone(), self.options, shutdown).await;
        served.map_err(|error| match error.retry() {
            Retry::Never => ServiceError::fatal(error),
            Retry::Now | Retry::Later | Retry::After(_) => ServiceError::transient(error),
        })
    }
}

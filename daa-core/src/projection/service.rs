//! A projector as a service of an orchestrator.

use async_trait::async_trait;

use super::error::{ModelError, ProjectorError};
use super::serve::Projector;
use crate::fault::{Reaction, Retry};
use crate::orchestrator::{Service, ServiceError, ServiceName};
use crate::shutdown::Shutdown;

#[async_trait]
impl Service for Projector {
    fn name(&self) -> ServiceName {
        ServiceName::from(format!("projection {}", self.model().projection().name()))
    }

    /// That a higher version took its place is the end of its work, and no failure.
    async fn run(self: Box<Self>, shutdown: Shutdown) -> Result<(), ServiceError> {
        let Err(error) = Self::run(*self, shutdown).await else { return Ok(()) };
        if let ProjectorError::Model(ModelError::Superseded { version, by }) = &error {
            tracing::info!(%version, %by, "a projection was superseded");
            return Ok(());
        }
        Err(match error.retry() {
            Retry::Never => ServiceError::fatal(error),
            Retry::Now | Retry::Later | Retry::After(_) => ServiceError::transient(error),
        })
    }
}

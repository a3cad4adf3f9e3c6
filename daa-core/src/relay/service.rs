//! A relay as a service of an orchestrator.

use async_trait::async_trait;

use super::serve::Relay;
use crate::fault::{Reaction, Retry};
use crate::orchestrator::{Service, ServiceError, ServiceName};
use crate::shutdown::Shutdown;

#[async_trait]
impl Service for Relay {
    fn name(&self) -> ServiceName {
        ServiceName::from(format!("relay {}", self.name()))
    }

    async fn run(self: Box<Self>, shutdown: Shutdown) -> Result<(), ServiceError> {
        Self::run(*self, shutdown).await.map_err(|error| match error.retry() {
            Retry::Never => ServiceError::fatal(error),
            Retry::Now | Retry::Later | Retry::After(_) => ServiceError::transient(error),
        })
    }
}

//! Probes of the backends that no contract of the core asks about.

use std::sync::Arc;

use async_trait::async_trait;
use daa_core::artifact::NamedArtifacts;
use daa_core::clock::Clock;
use daa_core::health::{Condition, Probe, Without};

/// Asks artefacts for the first of them. Without them, what has to do with them waits.
#[derive(Debug)]
pub(super) struct ArtifactsProbe {
    artifacts: Arc<dyn NamedArtifacts>,
    clock: Arc<dyn Clock>,
}

impl ArtifactsProbe {
    pub(super) fn new(artifacts: Arc<dyn NamedArtifacts>, clock: Arc<dyn Clock>) -> Self {
        Self { artifacts, clock }
    }
}

#[async_trait]
impl Probe for ArtifactsProbe {
    fn part(&self) -> &str {
        "artifacts"
    }

    fn without(&self) -> Without {
        Without::Waits
    }

    async fn condition(&self) -> Condition {
        let began = self.clock.now();
        match self.artifacts.page(None, 1).await {
            Ok(_) => Condition::Ready { answered_in: self.clock.now().since(began) },
            Err(error) => Condition::unavailable(&error),
        }
    }
}

/// Asks the connection to Redis. Without a cache, work goes on, slower.
#[cfg(feature = "redis")]
#[derive(Debug)]
pub(super) struct RedisProbe(crate::redis::Redis);

#[cfg(feature = "redis")]
impl RedisProbe {
    pub(super) fn new(redis: crate::redis::Redis) -> Self {
        Self(redis)
    }
}

#[cfg(feature = "redis")]
#[async_trait]
impl Probe for RedisProbe {
    fn part(&self) -> &str {
        "cache"
    }

    fn without(&self) -> Without {
        Without::Slows
    }

    async fn condition(&self) -> Condition {
        use crate::redis::RedisState;

        match self.0.health().state {
            RedisState::Ready { answered_in } => Condition::Ready { answered_in },
            RedisState::Unavailable { reason } => Condition::Unavailable { reason },
        }
    }
}

//! Artefacts that are here, or are fetched from the coordinator.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::artifact::{ArtifactError, ArtifactInfo, ArtifactReader, ArtifactWriter, Artifacts};
use daa_core::digest::Digest;
use daa_net::transfer::{FetchError, FetchOptions, MemorySink, PeerEnd};

use super::link::{Link, PATIENCE, Pauses};

/// The most bytes of an artefact that is fetched.
const MAX_FETCHED: u64 = 256 << 20;

/// The artefacts of a store, and behind them those that the coordinator has: what is fetched is verified by its digest as it
/// arrives, and kept in the store.
#[derive(Clone, Debug)]
pub(super) struct Fetching {
    pub(super) local: Arc<dyn Artifacts>,
    pub(super) link: Link,
}

impl Fetching {
    /// Brings an artefact into the store, and says whether it is there.
    async fn fetch(&self, digest: &Digest) -> Result<bool, ArtifactError> {
        let Link { node, coordinator, clock, .. } = &self.link;
        let (until, mut pauses) = (clock.now() + PATIENCE, Pauses::new());
        loop {
            let (sink, options) = (MemorySink::new(), FetchOptions::default().with_max_size(MAX_FETCHED));
            let Err(error) = node.fetch(*digest, &[*coordinator], &sink, options).await else {
                self.local.put(sink.into_bytes().into()).await?;
                return Ok(true);
            };
            if let FetchError::NoPeer { peers } = &error {
                match peers.get(coordinator).and_then(|report| report.ended.as_ref()) {
                    Some(PeerEnd::Missing) => return Ok(false),
                    Some(PeerEnd::TooLarge { size }) => {
                        return Err(ArtifactError::TooLarge { len: *size, max: MAX_FETCHED });
                    }
                    Some(PeerEnd::Misbehaved(_)) => return Err(ArtifactError::Corrupt { digest: *digest }),
                    _ => {}
                }
            }
            if clock.now() >= until {
                return Err(ArtifactError::unavailable(error));
            }
            tracing::debug!(%digest, %error, "an artefact is asked for again");
            pauses.pause(&**clock).await;
        }
    }
}

#[async_trait]
impl Artifacts for Fetching {
    async fn put(&self, bytes: Bytes) -> Result<Digest, ArtifactError> {
        self.local.put(bytes).await
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, ArtifactError> {
        match self.local.get(digest).await? {
            None if self.fetch(digest).await? => self.local.get(digest).await,
            here => Ok(here),
        }
    }

    async fn remove(&self, digest: &Digest) -> Result<bool, ArtifactError> {
        self.local.remove(digest).await
    }

    /// Those that are here.
    async fn list(&self) -> Result<Vec<Digest>, ArtifactError> {
        self.local.list().await
    }

    async fn page(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<ArtifactInfo>, ArtifactError> {
        self.local.page(after, limit).await
    }

    async fn writer(&self) -> Result<Box<dyn ArtifactWriter>, ArtifactError> {
        self.local.writer().await
    }

    async fn open(&self, digest: &Digest) -> Result<Option<Box<dyn ArtifactReader>>, ArtifactError> {
        match self.local.open(digest).await? {
            None if self.fetch(digest).await? => self.local.open(digest).await,
            here => Ok(here),
        }
    }
}

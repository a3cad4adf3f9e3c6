//! Contents in a store of artefacts.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::artifact::{ArtifactReader, Artifacts};
use daa_core::digest::Digest;
use futures_util::StreamExt as _;

use super::outline::{GROUP, Outline, Outlining};
use super::source::Source;

/// How many outlines are remembered: 32 bytes for each MiB of a content.
const OUTLINES: usize = 256;

/// All artefacts of a store. The digest of an artefact is the name of its content.
///
/// What is added to the store or removed from it is so here at once. An outline is made when it is first asked for, by reading the artefact
/// in parts, and the last 256 are remembered; no artefact is ever in memory as a whole.
#[derive(Clone)]
pub struct ArtifactSource {
    artifacts: Arc<dyn Artifacts>,
    outlines: Arc<Mutex<Outlines>>,
}

#[derive(Default)]
struct Outlines {
    known: HashMap<Digest, Arc<Outline>>,
    /// The oldest first.
    order: VecDeque<Digest>,
}

impl Outlines {
    fn remember(&mut self, outline: Arc<Outline>) {
        let digest = outline.digest();
        if self.known.insert(digest, outline).is_none() {
            self.order.push_back(digest);
        }
        while self.order.len() > OUTLINES
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl ArtifactSource {
    /// What is in the store, and what will be.
    #[must_use]
    pub fn new(artifacts: Arc<dyn Artifacts>) -> Self {
        Self { artifacts, outlines: Arc::default() }
    }

    fn outlines(&self) -> MutexGuard<'_, Outlines> {
        self.outlines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self, digest: &Digest) -> io::Result<Option<Box<dyn ArtifactReader>>> {
        self.artifacts.open(digest).await.map_err(io::Error::other)
    }
}

#[async_trait]
impl Source for ArtifactSource {
    async fn outline(&self, digest: &Digest) -> io::Result<Option<Arc<Outline>>> {
        // What was removed is not here, whatever is remembered of it.
        let Some(reader) = self.open(digest).await? else { return Ok(None) };
        if let Some(known) = self.outlines().known.get(digest) {
            return Ok(Some(known.clone()));
        }
        let size = reader.info().size;
        let (mut outlining, mut parts) = (Outlining::new(GROUP), reader.stream(0..size));
        while let Some(part) = parts.next().await {
            outlining.update(&part.map_err(io::Error::other)?);
        }
        let outline = Arc::new(outlining.finish());
        if outline.digest() != *digest {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the store holds other bytes"));
        }
        self.outlines().remember(outline.clone());
        Ok(Some(outline))
    }

    async fn read(&self, digest: &Digest, range: Range<u64>) -> io::Result<Bytes> {
        let reader = self.open(digest).await?.ok_or(io::ErrorKind::NotFound)?;
        reader.read(range).await.map_err(io::Error::other)
    }
}

impl fmt::Debug for ArtifactSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtifactSource").field("artifacts", &self.artifacts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use daa_core::artifact::MemoryArtifacts;

    use super::*;

    #[tokio::test]
    async fn outlines_are_those_of_the_contents_and_the_oldest_are_forgotten() {
        let artifacts = Arc::new(MemoryArtifacts::new());
        let source = ArtifactSource::new(artifacts.clone());
        for size in [0, 1, GROUP - 1, GROUP, 2 * GROUP + 5] {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let digest = artifacts.put(bytes.clone().into()).await.unwrap();
            assert_eq!(source.outline(&digest).await.unwrap().as_deref(), Some(&Outline::of(&bytes)));
        }
        let mut first = None;
        for number in 0..OUTLINES + 1 {
            let digest = artifacts.put(number.to_string().into()).await.unwrap();
            first.get_or_insert(digest);
            assert!(source.outline(&digest).await.unwrap().is_some());
        }
        let first = first.unwrap();
        assert_eq!(source.outlines().known.len(), OUTLINES);
        assert!(!source.outlines().known.contains_key(&first));
        assert!(source.outline(&first).await.unwrap().is_some(), "it is made again");
    }

    #[tokio::test]
    async fn what_is_removed_is_gone_at_once() {
        let artifacts = Arc::new(MemoryArtifacts::new());
        let source = ArtifactSource::new(artifacts.clone());
        let digest = artifacts.put("weights".into()).await.unwrap();
        assert!(source.outline(&digest).await.unwrap().is_some());
        assert_eq!(source.read(&digest, 1..4).await.unwrap(), "eig");
        assert!(source.read(&digest, 1..8).await.is_err());
        artifacts.remove(&digest).await.unwrap();
        assert_eq!(source.outline(&digest).await.unwrap(), None);
        let missing = source.read(&digest, 0..1).await.unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}

//! The artefacts that hold parts of the log, and the few that were read last.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::ArchiveError;
use super::index::Part;
use super::segment::Segment;
use crate::artifact::Artifacts;
use crate::digest::Digest;

/// So many parts are kept in memory: a reader goes from one to the next, and few read old events at a time.
const KEPT: usize = 4;

#[derive(Debug)]
pub(super) struct Shelf {
    artifacts: Arc<dyn Artifacts>,
    kept: Mutex<VecDeque<(Digest, Arc<Segment>)>>,
}

impl Shelf {
    pub(super) fn new(artifacts: Arc<dyn Artifacts>) -> Self {
        Self { artifacts, kept: Mutex::default() }
    }

    /// The events of a part.
    pub(super) async fn fetch(&self, part: &Part) -> Result<Arc<Segment>, ArchiveError> {
        if let Some(segment) = self.kept(&part.artifact) {
            return Ok(segment);
        }
        let segment = self.read(part).await?.ok_or_else(|| lost(part))?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT - 1);
        kept.push_front((part.artifact, segment.clone()));
        Ok(segment)
    }

    /// As it is in the artefact now; `None` where it is not there.
    pub(super) async fn read(&self, part: &Part) -> Result<Option<Arc<Segment>>, ArchiveError> {
        let Some(bytes) = self.artifacts.get(&part.artifact).await? else { return Ok(None) };
        let segment = Segment::decode(&bytes, part.first, part.last).ok_or_else(|| lost(part))?;
        Ok(Some(Arc::new(segment)))
    }

    pub(super) async fn put(&self, segment: &Segment) -> Result<Digest, ArchiveError> {
        Ok(self.artifacts.put(segment.encode()).await?)
    }

    fn kept(&self, artifact: &Digest) -> Option<Arc<Segment>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(digest, _)| digest == artifact)?;
        let found = kept.remove(at)?;
        let segment = found.1.clone();
        kept.push_front(found);
        Some(segment)
    }
}

pub(super) fn lost(part: &Part) -> ArchiveError {
    ArchiveError::Lost { artifact: part.artifact, first: part.first, last: part.last }
}

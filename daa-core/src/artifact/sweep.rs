//! What a collection tells those who put, so that the two never get in each other's way.
//!
//! A put that stores bytes which are there already, and a collection that is about to remove them, must not both
//! succeed. No engine of ours removes on condition, so they use the order of things: the collection first announces what
//! it is about to remove, then looks whether that is still old, then removes; the put first stores, then looks what is
//! announced, waits as long as it is that, and then looks whether the bytes are there. Whichever looks second sees the
//! other: either the collection finds the bytes young, or the put finds them announced, or gone, and stores them again.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};

use super::ArtifactError;
use super::blobs::{BlobStat, Blobs};
use super::record::{self, newest, numbered};
use crate::digest::Digest;

pub(super) const SWEEPS: &str = "sweep/";
/// The most artefacts in one announcement, so that it is a record.
pub(super) const MAX_DOOMED: usize = 256;
const TOKEN: usize = 32;

/// What a collection announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    /// It is over.
    Over,
    /// It is under way, and removes these, or nothing at the moment.
    Dooms { token: String, doomed: HashSet<Digest> },
}

impl Announced {
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        if let Self::Dooms { token, doomed } = self {
            bytes.put_slice(token.as_bytes());
            doomed.iter().for_each(|digest| bytes.put_slice(digest.as_bytes()));
        }
        bytes.freeze()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (parts, rest) = bytes.as_chunks::<TOKEN>();
        if !rest.is_empty() {
            return None;
        }
        let Some((token, doomed)) = parts.split_first() else { return Some(Self::Over) };
        let token = std::str::from_utf8(token).ok()?.to_owned();
        Some(Self::Dooms { token, doomed: doomed.iter().map(|it| Digest::from_bytes(*it)).collect() })
    }
}

/// The newest announcement: of which number, and when it was made.
pub(super) async fn latest(blobs: &dyn Blobs) -> Result<Option<(u64, Announced, BlobStat)>, ArtifactError> {
    let Some(number) = newest(blobs, SWEEPS).await? else { return Ok(None) };
    let name = numbered(SWEEPS, number);
    let Some((bytes, stat)) = record::read(blobs, &name).await? else { return Ok(None) };
    let announced = Announced::parse(&bytes).ok_or(ArtifactError::Damaged { name })?;
    Ok(Some((number, announced, stat)))
}

/// What a store remembers of collections.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    /// When it last began to look and found none under way.
    calm: Mutex<Option<Instant>>,
}

impl Sweeps {
    /// Whether no collection has removed anything since `began`, as far as is known without a look.
    pub(super) fn were_calm(&self, notice: Duration, began: Instant) -> bool {
        let calm = *self.calm.lock().unwrap_or_else(PoisonError::into_inner);
        calm.is_some_and(|calm| calm <= began && calm.elapsed() < notice)
    }

    /// Whether a collection is about to remove the artefact.
    pub(super) async fn dooms(&self, blobs: &dyn Blobs, digest: &Digest) -> Result<bool, ArtifactError> {
        let began = (!blobs.notice().is_zero()).then(Instant::now);
        let doomed = doomed(blobs, digest).await?;
        *self.calm.lock().unwrap_or_else(PoisonError::into_inner) = began.filter(|_| doomed.is_none());
        Ok(doomed.unwrap_or(false))
    }
}

/// As [`Sweeps::dooms`]; `None` where no collection is under way.
async fn doomed(blobs: &dyn Blobs, digest: &Digest) -> Result<Option<bool>, ArtifactError> {
    Ok(match latest(blobs).await? {
        Some((_, Announced::Dooms { doomed, .. }, _)) => Some(doomed.contains(digest)),
        Some((_, Announced::Over, _)) | None => None,
    })
}

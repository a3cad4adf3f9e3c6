//! Collection of the artefacts that nothing reaches.

use std::collections::HashSet;
use std::error::Error as StdError;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::blobs::{BlobEntry, Blobs};
use super::names::{PAGE, TAGS, VERSIONS, version_at};
use super::record::numbered;
use super::stored::{OUTLINES, StoredArtifacts, data, outline, token};
use super::sweep::{Announced, MAX_DOOMED, SWEEPS, latest};
use super::{ArtifactError, ArtifactInfo, ArtifactReader, Artifacts as _};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::fault::{Fault, Reaction, Retry};

/// After this time without a word a collection is taken for dead.
const LEASE: Duration = Duration::from_secs(60);
/// How long after an announcement a collection removes what it announced. Those who wait for it wait longer.
const AT_WORK: Duration = Duration::from_secs(30);
const AT_ONCE: usize = 8;
/// The most digests that [`Collected::missing`] tells.
const MAX_MISSING: usize = 1_000;

type Cause = Box<dyn StdError + Send + Sync>;

/// What is reachable besides what versions of names keep.
#[async_trait]
pub trait Reachability: Send + Sync {
    /// The artefacts that are needed although no version names them. Asked at the beginning of a collection, and again
    /// before each removal.
    ///
    /// # Errors
    /// Any: nothing more is removed then.
    async fn roots(&self) -> Result<Vec<Digest>, Cause>;

    /// The artefacts that an artefact names, whether they are there or not.
    ///
    /// # Errors
    /// Any: nothing more is removed then.
    async fn named_by(&self, artifact: &dyn ArtifactReader) -> Result<Vec<Digest>, Cause>;

    /// Whether artefacts name others at all. Where they do not, none is opened.
    fn names_any(&self) -> bool {
        true
    }
}

/// [`Reachability`] where versions of names are all there is, and artefacts name no others.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingMore;

#[async_trait]
impl Reachability for NothingMore {
    async fn roots(&self) -> Result<Vec<Digest>, Cause> {
        Ok(Vec::new())
    }

    async fn named_by(&self, _: &dyn ArtifactReader) -> Result<Vec<Digest>, Cause> {
        Ok(Vec::new())
    }

    fn names_any(&self) -> bool {
        false
    }
}

/// What a collection did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// How many artefacts there were.
    pub examined: u64,
    /// How many it removed.
    pub removed: u64,
    /// How many bytes those had.
    pub freed: u64,
    /// How many unfinished or replaced uploads it removed.
    pub uploads: u64,
    /// Artefacts that are reachable, and are not there: up to a thousand of them.
    pub missing: Vec<Digest>,
}

/// Why a collection did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// Another one is under way.
    #[error("another collection is under way")]
    Busy,
    /// It was too slow: another one took its place.
    #[error("another collection took the place of this one")]
    Superseded,
    /// What is reachable could not be told.
    #[error("what is reachable could not be told")]
    Reachability {
        /// What the caller said.
        #[source]
        source: Cause,
    },
    /// The store.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

impl Reaction for CollectError {
    fn fault(&self) -> Fault {
        match self {
            Self::Busy | Self::Superseded => Fault::Environment,
            Self::Reachability { .. } => Fault::Caller,
            Self::Artifact(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Busy | Self::Superseded => Retry::Later,
            Self::Reachability { .. } => Retry::Never,
            Self::Artifact(error) => error.retry(),
        }
    }
}

pub(super) async fn collect(
    store: &StoredArtifacts,
    reachable: &dyn Reachability,
    grace: Duration,
) -> Result<Collected, CollectError> {
    let mut sweep = Sweep::begin(store).await?;
    let entries = all(store, &mut sweep).await?;
    let began = sweep.began;
    let mut marks = Marks::new(store, reachable);
    marks.mark_roots(&mut sweep).await?;
    let missing = marks.missing(&entries, &mut sweep).await?;
    let young = entries.iter().filter(|info| info.created + grace > began).map(|info| info.digest);
    marks.mark(young.collect(), &mut sweep).await?;

    let mut collected = Collected { examined: entries.len() as u64, missing, ..Collected::default() };
    let garbage: Vec<_> = entries.into_iter().filter(|info| !marks.reached.contains(&info.digest)).collect();
    for batch in garbage.chunks(MAX_DOOMED) {
        let announced = sweep.announce(batch.iter().map(|info| info.digest).collect()).await?;
        marks.mark_roots(&mut sweep).await?;
        sweep.check().await?;
        let mut removals = Vec::new();
        for info in batch.iter().filter(|info| !marks.reached.contains(&info.digest)) {
            removals.push(remove(store, info.digest, (began, grace), announced));
        }
        let mut removals = stream::iter(removals).buffer_unordered(AT_ONCE);
        while let Some(freed) = removals.try_next().await? {
            collected.removed += u64::from(freed.is_some());
            collected.freed += freed.unwrap_or(0);
        }
    }
    sweep.announce(HashSet::new()).await?;

    let before = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    let before = Timestamp::from_millis(began.as_millis().saturating_sub(before));
    remove_outlines(store, before, &mut sweep).await?;
    remove_moves(store, before, &mut sweep).await?;
    remove_retired(store, &marks.retired, before, &mut sweep).await?;
    collected.uploads = store.blobs.sweep(before).await?;
    sweep.end().await?;
    Ok(collected)
}

/// All artefacts.
async fn all(store: &StoredArtifacts, sweep: &mut Sweep<'_>) -> Result<Vec<ArtifactInfo>, CollectError> {
    let mut all: Vec<ArtifactInfo> = Vec::new();
    loop {
        let after = all.last().map(|last| last.digest);
        let page = store.page(after.as_ref(), PAGE).await?;
        let is_last = page.len() < PAGE;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
        sweep.beat().await?;
    }
}

/// Removes an artefact, unless it has been put again, or there is no time left; and how many bytes it had.
async fn remove(
    store: &StoredArtifacts,
    digest: Digest,
    (began, grace): (Timestamp, Duration),
    announced: Timestamp,
) -> Result<Option<u64>, ArtifactError> {
    let blobs = &*store.blobs;
    let Some(stat) = blobs.stat(&data(&digest)).await? else { return Ok(None) };
    if stat.modified + grace > began || store.clock.now().since(announced) > AT_WORK {
        return Ok(None);
    }
    let removed = blobs.delete(&data(&digest)).await?;
    blobs.delete(&outline(&digest)).await?;
    Ok(removed.then_some(stat.size))
}

/// Removes outlines of which the artefact is gone: a crash came between.
async fn remove_outlines(
    store: &StoredArtifacts,
    before: Timestamp,
    sweep: &mut Sweep<'_>,
) -> Result<(), CollectError> {
    let mut pages = Pages::of(OUTLINES);
    while let Some(page) = pages.next(&*store.blobs).await? {
        for entry in page.iter().filter(|entry| entry.stat.modified <= before) {
            sweep.beat().await?;
            let Some(Ok(digest)) = entry.name.strip_prefix(OUTLINES).map(str::parse) else { continue };
            if store.blobs.stat(&data(&digest)).await?.is_none() {
                store.blobs.delete(&entry.name).await?;
            }
        }
    }
    Ok(())
}

/// Removes the moves of tags that others followed.
async fn remove_moves(
    store: &StoredArtifacts,
    before: Timestamp,
    sweep: &mut Sweep<'_>,
) -> Result<(), CollectError> {
    let (mut pages, mut last) = (Pages::of(TAGS), String::new());
    while let Some(page) = pages.next(&*store.blobs).await? {
        for entry in page {
            sweep.beat().await?;
            let tag = entry.name.rsplit_once('/').map_or("", |(tag, _)| tag);
            if tag != last {
                tag.clone_into(&mut last);
            } else if entry.stat.modified <= before {
                store.blobs.delete(&entry.name).await?;
            }
        }
    }
    Ok(())
}

/// Removes what is left of retired versions, but for the newest: its number must not be used again.
async fn remove_retired(
    store: &StoredArtifacts,
    retired: &[BlobEntry],
    before: Timestamp,
    sweep: &mut Sweep<'_>,
) -> Result<(), CollectError> {
    for entry in retired.iter().filter(|entry| entry.stat.modified <= before) {
        sweep.beat().await?;
        let under = entry.name.rsplit_once('/').map_or("", |(under, _)| under);
        let first = store.blobs.list(&format!("{under}/"), None, 1).await?;
        if first.first().is_some_and(|first| first.name != entry.name) {
            store.blobs.delete(&entry.name).await?;
        }
    }
    Ok(())
}

/// Blobs, a page at a time.
struct Pages {
    under: &'static str,
    after: Option<String>,
    is_last: bool,
}

impl Pages {
    const fn of(under: &'static str) -> Self {
        Self { under, after: None, is_last: false }
    }

    async fn next(&mut self, blobs: &dyn Blobs) -> Result<Option<Vec<BlobEntry>>, ArtifactError> {
        if self.is_last {
            return Ok(None);
        }
        let page = blobs.list(self.under, self.after.as_deref(), PAGE).await?;
        self.is_last = page.len() < PAGE;
        self.after = page.last().map(|entry| entry.name.clone());
        Ok(Some(page))
    }
}

/// The turn of one collection.
struct Sweep<'a> {
    store: &'a StoredArtifacts,
    number: u64,
    token: String,
    /// By the clock of the engine.
    began: Timestamp,
    /// What it announced.
    doomed: HashSet<Digest>,
    /// The last word, by ours.
    spoken: Timestamp,
}

impl<'a> Sweep<'a> {
    async fn begin(store: &'a StoredArtifacts) -> Result<Self, CollectError> {
        let blobs = &*store.blobs;
        let token = token();
        // What time it is for the engine.
        let clock_name = format!("check/{token}");
        blobs.replace(&clock_name, Bytes::new()).await?;
        let now = blobs.stat(&clock_name).await?;
        blobs.delete(&clock_name).await?;
        let began = now.ok_or(ArtifactError::Damaged { name: clock_name })?.modified;

        let last = match latest(blobs).await? {
            Some((_, Announced::Dooms { .. }, stat)) if stat.modified + LEASE > began => {
                return Err(CollectError::Busy);
            }
            Some((number, _, _)) => number,
            None => 0,
        };
        let spoken = store.clock.now();
        let sweep =
            Self { store, number: last.saturating_add(1), token, began, doomed: HashSet::new(), spoken };
        let nothing = Announced::Dooms { token: sweep.token.clone(), doomed: HashSet::new() };
        if !blobs.create(&numbered(SWEEPS, sweep.number), nothing.to_bytes()).await? {
            return Err(CollectError::Busy);
        }
        if !blobs.notice().is_zero() {
            store.clock.sleep(blobs.notice() * 2).await;
        }
        Ok(sweep)
    }

    /// Tells what is about to be removed, and when that was told.
    async fn announce(&mut self, doomed: HashSet<Digest>) -> Result<Timestamp, CollectError> {
        self.doomed = doomed;
        self.speak().await
    }

    async fn speak(&mut self) -> Result<Timestamp, CollectError> {
        self.check().await?;
        self.spoken = self.store.clock.now();
        let announced = Announced::Dooms { token: self.token.clone(), doomed: self.doomed.clone() };
        self.store.blobs.replace(&numbered(SWEEPS, self.number), announced.to_bytes()).await?;
        Ok(self.spoken)
    }

    /// Says that it is alive, where it has not for a while.
    async fn beat(&mut self) -> Result<(), CollectError> {
        if self.store.clock.now().since(self.spoken) > LEASE / 4 {
            self.speak().await?;
        }
        Ok(())
    }

    /// Whether it is still its turn.
    async fn check(&self) -> Result<(), CollectError> {
        match latest(&*self.store.blobs).await? {
            Some((number, Announced::Dooms { token, .. }, _))
                if number == self.number && token == self.token =>
            {
                Ok(())
            }
            _ => Err(CollectError::Superseded),
        }
    }

    async fn end(self) -> Result<(), CollectError> {
        self.check().await?;
        let blobs = &*self.store.blobs;
        blobs.replace(&numbered(SWEEPS, self.number), Announced::Over.to_bytes()).await?;
        // The newest stays, so that no number is used twice.
        for entry in blobs.list(SWEEPS, Some(&numbered(SWEEPS, self.number)), PAGE).await? {
            blobs.delete(&entry.name).await?;
        }
        Ok(())
    }
}

/// What is known to be reachable.
struct Marks<'a> {
    store: &'a StoredArtifacts,
    reachable: &'a dyn Reachability,
    reached: HashSet<Digest>,
    /// The versions of names that were read: what one names never changes.
    seen: HashSet<String>,
    retired: Vec<BlobEntry>,
}

impl<'a> Marks<'a> {
    fn new(store: &'a StoredArtifacts, reachable: &'a dyn Reachability) -> Self {
        Self { store, reachable, reached: HashSet::new(), seen: HashSet::new(), retired: Vec::new() }
    }

    async fn mark_roots(&mut self, sweep: &mut Sweep<'_>) -> Result<(), CollectError> {
        let told = self.reachable.roots().await;
        let mut roots = told.map_err(|source| CollectError::Reachability { source })?;
        let blobs = &*self.store.blobs;
        let mut pages = Pages::of(VERSIONS);
        while let Some(page) = pages.next(blobs).await? {
            let new = page.into_iter().filter(|entry| !self.seen.contains(&entry.name));
            let read = new.map(|entry| read_version(blobs, entry)).collect::<Vec<_>>();
            let mut read = stream::iter(read).buffer_unordered(AT_ONCE);
            while let Some(read) = read.next().await {
                let (entry, version) = read?;
                sweep.beat().await?;
                self.seen.insert(entry.name.clone());
                match version {
                    Some(digest) => roots.push(digest),
                    None => self.retired.push(entry),
                }
            }
        }
        self.mark(roots, sweep).await
    }

    /// Marks these, and all that they name.
    async fn mark(&mut self, from: Vec<Digest>, sweep: &mut Sweep<'_>) -> Result<(), CollectError> {
        let mut waiting = from;
        while let Some(digest) = waiting.pop() {
            if !self.reached.insert(digest) || !self.reachable.names_any() {
                continue;
            }
            sweep.beat().await?;
            if let Some(reader) = self.store.open(&digest).await? {
                let named = self.reachable.named_by(&*reader).await;
                waiting.extend(named.map_err(|source| CollectError::Reachability { source })?);
            }
        }
        Ok(())
    }

    /// What is reachable and not there.
    async fn missing(
        &self,
        entries: &[ArtifactInfo],
        sweep: &mut Sweep<'_>,
    ) -> Result<Vec<Digest>, CollectError> {
        let there: HashSet<_> = entries.iter().map(|info| info.digest).collect();
        let mut missing = Vec::new();
        for digest in self.reached.difference(&there) {
            sweep.beat().await?;
            if self.store.blobs.stat(&data(digest)).await?.is_none() && missing.len() < MAX_MISSING {
                missing.push(*digest);
            }
        }
        Ok(missing)
    }
}

async fn read_version(
    blobs: &dyn Blobs,
    entry: BlobEntry,
) -> Result<(BlobEntry, Option<Digest>), ArtifactError> {
    let version = version_at(blobs, &entry.name).await?;
    Ok((entry, version.map(|(digest, _)| digest)))
}

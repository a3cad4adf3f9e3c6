//! Names with versions and tags.
//!
//! A version is a record that is created, never changed, but for being retired; its number is that behind the newest,
//! so of two who publish after the same version one finds the place taken. A tag is a list of moves of the same kind.
//! So all of it needs nothing of an engine but creation of what is not there.

use async_trait::async_trait;

use super::blobs::Blobs;
use super::collect::{CollectError, Collected, Reachability};
use super::record::{self, newest, number, numbered};
use super::reference::{ArtifactVersion, Reference, ReferenceError, ReferenceName, Tag, Which};
use super::stored::{OverBlobs, StoredArtifacts, data, token};
use super::{ArtifactError, Artifacts};
use crate::digest::Digest;
use std::time::Duration;

pub(super) const NAMES: &str = "names/";
pub(super) const VERSIONS: &str = "versions/";
pub(super) const TAGS: &str = "tags/";
pub(super) const PAGE: usize = 1_000;
const RETIRED: &str = "retired";

/// Names for artefacts, and the collection of those that nothing reaches.
///
/// # Contract
///
/// - A version of a name is published once, and always means the same artefact until it is retired; numbers are not
///   used again.
/// - Of several who publish behind the same version, or move a tag from the same version, one succeeds.
/// - A collection keeps what is reachable: what versions name, the caller's roots, what those name, and what is younger
///   than the grace period with what it names. It may run beside everything else, and be cut off at any moment.
///
/// Who lets one artefact name another must make sure that the other is reachable, or put within the grace period.
#[async_trait]
pub trait NamedArtifacts: Artifacts {
    /// Publishes an artefact as the version of a name that follows `latest`: what [`resolve`](Self::resolve) gives as
    /// [`Which::Latest`], `None` where the name has no version.
    ///
    /// # Errors
    /// [`ReferenceError`]: [`Stale`](ReferenceError::Stale) when something else was published since,
    /// [`NoArtifact`](ReferenceError::NoArtifact) when there is no such artefact.
    ///
    /// # Cancel safety
    /// A dropped future has published it or not.
    async fn publish(
        &self,
        name: &ReferenceName,
        latest: Option<ArtifactVersion>,
        digest: &Digest,
    ) -> Result<ArtifactVersion, ReferenceError>;

    /// A version of a name; `None` where there is none, or it is retired.
    ///
    /// # Errors
    /// [`ArtifactError`] when the store cannot be read.
    async fn resolve(&self, name: &ReferenceName, which: &Which) -> Result<Option<Reference>, ArtifactError>;

    /// The first `limit` versions of a name that are older than `before`, the newest first. Fewer are the last.
    ///
    /// # Errors
    /// [`ArtifactError`] when the store cannot be read.
    async fn versions(
        &self,
        name: &ReferenceName,
        before: Option<ArtifactVersion>,
        limit: usize,
    ) -> Result<Vec<Reference>, ArtifactError>;

    /// The first `limit` names behind `after`. Fewer are the last.
    ///
    /// # Errors
    /// [`ArtifactError`] when the store cannot be read.
    async fn names(
        &self,
        after: Option<&ReferenceName>,
        limit: usize,
    ) -> Result<Vec<ReferenceName>, ArtifactError>;

    /// Takes a version back: it no longer keeps its artefact. Says whether there was one.
    ///
    /// # Errors
    /// [`ReferenceError::Tagged`] when a tag is on it.
    async fn retire(&self, name: &ReferenceName, version: ArtifactVersion) -> Result<bool, ReferenceError>;

    /// Moves a tag of a name from a version to another; `None` where it is nowhere, or is to be.
    ///
    /// # Errors
    /// [`ReferenceError`]: [`Moved`](ReferenceError::Moved) when it is not at `from`,
    /// [`NoVersion`](ReferenceError::NoVersion) when there is no version `to`.
    async fn tag(
        &self,
        name: &ReferenceName,
        tag: &Tag,
        from: Option<ArtifactVersion>,
        to: Option<ArtifactVersion>,
    ) -> Result<(), ReferenceError>;

    /// The tags of a name, and where they are.
    ///
    /// # Errors
    /// [`ArtifactError`] when the store cannot be read.
    async fn tags(&self, name: &ReferenceName) -> Result<Vec<(Tag, ArtifactVersion)>, ArtifactError>;

    /// Removes the artefacts that nothing reaches and that were put, the last time, longer than `grace` ago. What a
    /// put, a publication or a call of the caller's between the two may take must be shorter than `grace`.
    ///
    /// # Errors
    /// [`CollectError`]: what was removed by then was not reachable.
    ///
    /// # Cancel safety
    /// A dropped future leaves everything that is reachable, and delays the next collection for a minute.
    async fn collect(&self, reachable: &dyn Reachability, grace: Duration)
    -> Result<Collected, CollectError>;
}

pub(super) fn versions_of(name: &ReferenceName) -> String {
    format!("{VERSIONS}{}/", name.to_part())
}

fn tags_of(name: &ReferenceName) -> String {
    format!("{TAGS}{}/", name.to_part())
}

/// The artefact of a version; `None` where it is retired.
pub(super) async fn version_at(
    blobs: &dyn Blobs,
    blob: &str,
) -> Result<Option<(Digest, crate::clock::Timestamp)>, ArtifactError> {
    let Some((bytes, stat)) = record::read(blobs, blob).await? else { return Ok(None) };
    let damaged = || ArtifactError::Damaged { name: blob.to_owned() };
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
    if text == RETIRED {
        return Ok(None);
    }
    let digest = text.split_once(' ').ok_or_else(damaged)?.0.parse().map_err(|_| damaged())?;
    Ok(Some((digest, stat.modified)))
}

/// Creates a record; whether it is there now, and ours. An answer that was lost on the way may make a second try of the
/// engine find what the first one did.
async fn create(blobs: &dyn Blobs, blob: &str, text: String) -> Result<bool, ArtifactError> {
    let text = format!("{text} {}", token());
    if blobs.create(blob, text.clone().into()).await? {
        return Ok(true);
    }
    Ok(record::read(blobs, blob).await?.is_some_and(|(bytes, _)| bytes == text))
}

impl StoredArtifacts {
    async fn reference(
        &self,
        name: &ReferenceName,
        version: ArtifactVersion,
    ) -> Result<Option<Reference>, ArtifactError> {
        let found = version_at(&*self.blobs, &numbered(&versions_of(name), version.get())).await?;
        let name = || name.clone();
        Ok(found.map(|(digest, published)| Reference { name: name(), version, digest, published }))
    }

    async fn latest(&self, name: &ReferenceName) -> Result<Option<Reference>, ArtifactError> {
        let (mut before, mut limit) = (None, 1);
        loop {
            let (found, reached) = self.some_versions(name, before, limit).await?;
            if let Some(latest) = found.into_iter().next() {
                return Ok(Some(latest));
            }
            let Some(reached) = reached else { return Ok(None) };
            (before, limit) = (Some(reached), 16);
        }
    }

    /// Those of the next `limit` versions that are not retired; and the last of the next, if there are more.
    async fn some_versions(
        &self,
        name: &ReferenceName,
        before: Option<ArtifactVersion>,
        limit: usize,
    ) -> Result<(Vec<Reference>, Option<ArtifactVersion>), ArtifactError> {
        let under = versions_of(name);
        let after = before.map(|before| numbered(&under, before.get()));
        let entries = self.blobs.list(&under, after.as_deref(), limit).await?;
        let (mut found, mut reached) = (Vec::new(), None);
        for entry in &entries {
            let version = number(&entry.name).and_then(ArtifactVersion::new);
            let version = version.ok_or_else(|| ArtifactError::Damaged { name: entry.name.clone() })?;
            found.extend(self.reference(name, version).await?);
            reached = Some(version);
        }
        Ok((found, reached.filter(|_| entries.len() == limit)))
    }

    /// Where a tag is, and the number of the move that brought it there.
    async fn tagged(
        &self,
        name: &ReferenceName,
        tag: &str,
    ) -> Result<(Option<ArtifactVersion>, u64), ArtifactError> {
        let under = format!("{}{tag}/", tags_of(name));
        let Some(moves) = newest(&*self.blobs, &under).await? else { return Ok((None, 0)) };
        let blob = numbered(&under, moves);
        let damaged = || ArtifactError::Damaged { name: blob.clone() };
        let (bytes, _) = record::read(&*self.blobs, &blob).await?.ok_or_else(damaged)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
        let number: u64 = text.split_once(' ').ok_or_else(damaged)?.0.parse().map_err(|_| damaged())?;
        Ok((ArtifactVersion::new(number), moves))
    }
}

#[async_trait]
impl<T: OverBlobs> NamedArtifacts for T {
    async fn publish(
        &self,
        name: &ReferenceName,
        latest: Option<ArtifactVersion>,
        digest: &Digest,
    ) -> Result<ArtifactVersion, ReferenceError> {
        let stored = self.stored();
        let blobs = &*stored.blobs;
        let under = versions_of(name);
        let stale = |found| ReferenceError::Stale { name: name.clone(), expected: latest, found };
        let began = stored.begin();
        if blobs.stat(&data(digest)).await?.is_none() {
            return Err(ReferenceError::NoArtifact { digest: *digest });
        }
        // Looked at before the latest: a version that comes in between takes the place.
        let last = newest(blobs, &under).await?.unwrap_or(0);
        let found = stored.latest(name).await?.map(|latest| latest.version);
        if found != latest {
            return Err(stale(found));
        }
        let version = ArtifactVersion::new(last.saturating_add(1)).unwrap_or(ArtifactVersion::FIRST);
        let blob = numbered(&under, version.get());
        blobs.create(&format!("{NAMES}{}", name.to_part()), "name".into()).await?;
        if !create(blobs, &blob, digest.to_string()).await? {
            return Err(stale(stored.latest(name).await?.map(|latest| latest.version)));
        }
        if !stored.stays(digest, began).await? {
            blobs.replace(&blob, RETIRED.into()).await?;
            return Err(ReferenceError::NoArtifact { digest: *digest });
        }
        Ok(version)
    }

    async fn resolve(&self, name: &ReferenceName, which: &Which) -> Result<Option<Reference>, ArtifactError> {
        let stored = self.stored();
        match which {
            Which::Latest => stored.latest(name).await,
            Which::Version(version) => stored.reference(name, *version).await,
            Which::Tag(tag) => match stored.tagged(name, tag.as_str()).await?.0 {
                Some(version) => stored.reference(name, version).await,
                None => Ok(None),
            },
        }
    }

    async fn versions(
        &self,
        name: &ReferenceName,
        before: Option<ArtifactVersion>,
        limit: usize,
    ) -> Result<Vec<Reference>, ArtifactError> {
        let (mut versions, mut before) = (Vec::new(), before);
        while versions.len() < limit {
            let wanted = (limit - versions.len()).min(PAGE);
            let (more, reached) = self.stored().some_versions(name, before, wanted).await?;
            versions.extend(more);
            if reached.is_none() {
                break;
            }
            before = reached;
        }
        Ok(versions)
    }

    async fn names(
        &self,
        after: Option<&ReferenceName>,
        limit: usize,
    ) -> Result<Vec<ReferenceName>, ArtifactError> {
        let mut names = Vec::new();
        let mut after = after.map(|after| format!("{NAMES}{}", after.to_part()));
        while names.len() < limit {
            let wanted = (limit - names.len()).min(PAGE);
            let entries = self.stored().blobs.list(NAMES, after.as_deref(), wanted).await?;
            let parts = entries.iter().filter_map(|entry| entry.name.strip_prefix(NAMES));
            names.extend(parts.filter_map(ReferenceName::from_part));
            if entries.len() < wanted {
                break;
            }
            after = entries.into_iter().next_back().map(|entry| entry.name);
        }
        Ok(names)
    }

    async fn retire(&self, name: &ReferenceName, version: ArtifactVersion) -> Result<bool, ReferenceError> {
        let tagged = self.tags(name).await?.into_iter().find(|(_, at)| *at == version);
        if let Some((tag, version)) = tagged {
            return Err(ReferenceError::Tagged { name: name.clone(), version, tag });
        }
        let stored = self.stored();
        if stored.reference(name, version).await?.is_none() {
            return Ok(false);
        }
        stored.blobs.replace(&numbered(&versions_of(name), version.get()), RETIRED.into()).await?;
        Ok(true)
    }

    async fn tag(
        &self,
        name: &ReferenceName,
        tag: &Tag,
        from: Option<ArtifactVersion>,
        to: Option<ArtifactVersion>,
    ) -> Result<(), ReferenceError> {
        let stored = self.stored();
        let moved =
            |found| ReferenceError::Moved { name: name.clone(), tag: tag.clone(), expected: from, found };
        let (found, moves) = stored.tagged(name, tag.as_str()).await?;
        if found != from {
            return Err(moved(found));
        }
        if let Some(version) = to
            && stored.reference(name, version).await?.is_none()
        {
            return Err(ReferenceError::NoVersion { name: name.clone(), version });
        }
        let under = format!("{}{tag}/", tags_of(name));
        let blob = numbered(&under, moves.saturating_add(1));
        let to = to.map_or(0, ArtifactVersion::get);
        if !create(&*stored.blobs, &blob, to.to_string()).await? {
            return Err(moved(stored.tagged(name, tag.as_str()).await?.0));
        }
        Ok(())
    }

    async fn tags(&self, name: &ReferenceName) -> Result<Vec<(Tag, ArtifactVersion)>, ArtifactError> {
        let stored = self.stored();
        let under = tags_of(name);
        let mut tags: Vec<String> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let entries = stored.blobs.list(&under, after.as_deref(), PAGE).await?;
            for entry in &entries {
                let tag = entry.name.strip_prefix(&under).and_then(|it| it.split_once('/')).map(|it| it.0);
                tags.extend(tag.filter(|tag| tags.last().is_none_or(|last| last != tag)).map(str::to_owned));
            }
            if entries.len() < PAGE {
                break;
            }
            after = entries.into_iter().next_back().map(|entry| entry.name);
        }
        let mut found = Vec::new();
        for tag in tags.into_iter().filter_map(|tag| tag.parse::<Tag>().ok()) {
            let (version, _) = stored.tagged(name, tag.as_str()).await?;
            found.extend(version.map(|version| (tag, version)));
        }
        Ok(found)
    }

    async fn collect(
        &self,
        reachable: &dyn Reachability,
        grace: Duration,
    ) -> Result<Collected, CollectError> {
        super::collect::collect(self.stored(), reachable, grace).await
    }
}

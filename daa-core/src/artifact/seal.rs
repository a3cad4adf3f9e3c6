//! Encryption at rest.
//!
//! A sealed blob is a preamble, then parts of 64 KiB, each sealed by itself under its number and whether it is the last
//! (the STREAM construction: Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
//! Misuse-Resistance", 2015). So parts cannot be exchanged, left out or cut off, and any range can be read.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{BufMut as _, Bytes, BytesMut};

use super::ArtifactError;
use super::blobs::{Blob, BlobEntry, BlobStat, Blobs, Upload};
use super::stored::DATA;
use crate::clock::Timestamp;

/// Where sealed blobs are.
const SEALED: &str = "sealed/";
const MAGIC: &[u8; 8] = b"daaseal1";
const PREAMBLE: usize = 256;
const MAX_HEADER: usize = PREAMBLE - MAGIC.len() - 1;
const PART: usize = 64 << 10;
/// How many bytes a sealed part has more than the plain one.
pub const SEAL_OVERHEAD: usize = 16;
const SEALED_PART: usize = PART + SEAL_OVERHEAD;

/// Seals what a store writes, and opens what it reads.
///
/// # Contract
///
/// - Each [`seal`](Self::seal) uses a key and a nonce that no other uses together, also after a restart.
/// - What is sealed can be opened by whoever has the key of the id in its header, as long as it knows that id: so keys
///   are rotated by sealing with a new one and still knowing the old ones.
/// - A header tells its key from another one with the same id.
#[async_trait]
pub trait ArtifactCipher: Send + Sync + fmt::Debug {
    /// Begins to seal a blob: its header, up to 247 bytes that are not secret, and what seals its parts. The context is
    /// not stored: a blob opens only in the same one.
    ///
    /// # Errors
    /// [`CipherError`].
    async fn seal(&self, context: &str) -> Result<(Vec<u8>, Box<dyn BlobCipher>), CipherError>;

    /// What opens the parts of a blob with this header.
    ///
    /// # Errors
    /// [`CipherError`].
    async fn open(&self, header: &[u8], context: &str) -> Result<Box<dyn BlobCipher>, CipherError>;
}

/// Seals or opens the parts of one blob.
pub trait BlobCipher: Send + Sync + fmt::Debug {
    /// Seals a part in place; it gets [`SEAL_OVERHEAD`] bytes longer.
    ///
    /// # Errors
    /// [`CipherError`].
    fn seal(&self, number: u32, is_last: bool, part: &mut Vec<u8>) -> Result<(), CipherError>;

    /// Opens a part in place.
    ///
    /// # Errors
    /// [`CipherError::Damaged`] when it is not what was sealed under this number.
    fn open(&self, number: u32, is_last: bool, part: &mut Vec<u8>) -> Result<(), CipherError>;
}

/// Why a cipher did not seal or open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CipherError {
    /// No key has this id.
    #[error("the key {key:?} is not known")]
    UnknownKey {
        /// The id.
        key: String,
    },
    /// The key of this id is another one, or the header was changed.
    #[error("it was not sealed with this key {key:?}")]
    WrongKey {
        /// The id.
        key: String,
    },
    /// It is not what was sealed.
    #[error("it is not what was sealed")]
    Damaged,
    /// The keys cannot be had at the moment.
    #[error("the keys are unavailable")]
    Unavailable {
        /// What the keeper of the keys said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

fn failed(error: CipherError, name: &str) -> ArtifactError {
    let name = name.to_owned();
    match error {
        CipherError::UnknownKey { key } => ArtifactError::UnknownKey { name, key },
        CipherError::WrongKey { key } => ArtifactError::WrongKey { name, key },
        CipherError::Damaged => ArtifactError::Damaged { name },
        CipherError::Unavailable { source } => ArtifactError::Cipher { source },
    }
}

/// A record belongs to its name. The bytes of an artefact have theirs only when they are all written, and belong to it
/// by their digest.
fn context(name: &str) -> &str {
    if name.starts_with(DATA) { DATA } else { name }
}

/// The plain size of a sealed blob.
fn plain_size(sealed: u64) -> Option<u64> {
    let body = sealed.checked_sub(PREAMBLE as u64)?;
    let parts = body.div_ceil(SEALED_PART as u64);
    let plain = body.checked_sub(parts * SEAL_OVERHEAD as u64)?;
    // One part at least, and none but the only one is empty.
    (parts > 0 && plain.div_ceil(PART as u64).max(1) == parts).then_some(plain)
}

/// [`Blobs`] that are sealed on their way to others.
#[derive(Debug)]
pub(super) struct Sealed {
    blobs: Arc<dyn Blobs>,
    cipher: Arc<dyn ArtifactCipher>,
}

impl Sealed {
    pub(super) fn new(blobs: Arc<dyn Blobs>, cipher: Arc<dyn ArtifactCipher>) -> Self {
        Self { blobs, cipher }
    }

    async fn begin(&self, name: &str) -> Result<(Bytes, Box<dyn BlobCipher>), ArtifactError> {
        let sealed = self.cipher.seal(context(name)).await;
        let (header, cipher) = sealed.map_err(|error| failed(error, name))?;
        let len = u8::try_from(header.len()).ok().filter(|len| usize::from(*len) <= MAX_HEADER);
        let len = len.ok_or_else(|| ArtifactError::Cipher { source: "its header is too long".into() })?;
        let mut preamble = BytesMut::with_capacity(PREAMBLE);
        preamble.put_slice(MAGIC);
        preamble.put_u8(len);
        preamble.put_slice(&header);
        preamble.resize(PREAMBLE, 0);
        Ok((preamble.freeze(), cipher))
    }

    /// A record in one piece.
    async fn sealed(&self, name: &str, bytes: &[u8]) -> Result<Bytes, ArtifactError> {
        let (preamble, cipher) = self.begin(name).await?;
        let mut sealed = preamble.to_vec();
        let last = bytes.chunks(PART).len().saturating_sub(1);
        let parts = bytes.chunks(PART).chain(bytes.is_empty().then_some(&[][..]));
        for (number, part) in parts.enumerate() {
            let mut part = part.to_vec();
            seal(&*cipher, number as u64, number == last, &mut part).map_err(|error| failed(error, name))?;
            sealed.append(&mut part);
        }
        Ok(sealed.into())
    }
}

fn seal(cipher: &dyn BlobCipher, number: u64, is_last: bool, part: &mut Vec<u8>) -> Result<(), CipherError> {
    let number = u32::try_from(number).map_err(|_| CipherError::Damaged)?;
    let len = part.len();
    cipher.seal(number, is_last, part)?;
    if part.len() == len + SEAL_OVERHEAD { Ok(()) } else { Err(CipherError::Damaged) }
}

fn at(name: &str) -> String {
    format!("{SEALED}{name}")
}

fn plain(entry: BlobStat, name: &str) -> Result<BlobStat, ArtifactError> {
    let size = plain_size(entry.size).ok_or_else(|| ArtifactError::Damaged { name: name.to_owned() })?;
    Ok(BlobStat { size, ..entry })
}

#[async_trait]
impl Blobs for Sealed {
    async fn open(&self, name: &str) -> Result<Option<Box<dyn Blob>>, ArtifactError> {
        let Some(blob) = self.blobs.open(&at(name)).await? else { return Ok(None) };
        let damaged = || ArtifactError::Damaged { name: name.to_owned() };
        let stat = plain(blob.stat(), name)?;
        let preamble = blob.read(0..PREAMBLE as u64).await?;
        let header = preamble.strip_prefix(MAGIC).and_then(|it| it.split_first());
        let header = header.and_then(|(len, header)| header.get(..usize::from(*len))).ok_or_else(damaged)?;
        let cipher = self.cipher.open(header, context(name)).await.map_err(|error| failed(error, name))?;
        Ok(Some(Box::new(SealedBlob { name: name.to_owned(), stat, blob, cipher })))
    }

    async fn stat(&self, name: &str) -> Result<Option<BlobStat>, ArtifactError> {
        self.blobs.stat(&at(name)).await?.map(|stat| plain(stat, name)).transpose()
    }

    async fn upload(&self) -> Result<Box<dyn Upload>, ArtifactError> {
        let (preamble, cipher) = self.begin(DATA).await?;
        let mut upload = self.blobs.upload().await?;
        upload.write(preamble).await?;
        Ok(Box::new(SealedUpload { upload, cipher: Some(cipher), number: 0, pending: BytesMut::new() }))
    }

    async fn create(&self, name: &str, bytes: Bytes) -> Result<bool, ArtifactError> {
        self.blobs.create(&at(name), self.sealed(name, &bytes).await?).await
    }

    async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), ArtifactError> {
        self.blobs.replace(&at(name), self.sealed(name, &bytes).await?).await
    }

    async fn delete(&self, name: &str) -> Result<bool, ArtifactError> {
        self.blobs.delete(&at(name)).await
    }

    async fn list(
        &self,
        under: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, ArtifactError> {
        let entries = self.blobs.list(&at(under), after.map(at).as_deref(), limit).await?;
        // One that is too short to be sealed is told of when it is opened.
        let entries = entries.into_iter().filter_map(|entry| {
            let name = entry.name.strip_prefix(SEALED)?.to_owned();
            let size = plain_size(entry.stat.size).unwrap_or(0);
            Some(BlobEntry { name, stat: BlobStat { size, ..entry.stat } })
        });
        Ok(entries.collect())
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, ArtifactError> {
        self.blobs.sweep(before).await
    }

    fn notice(&self) -> Duration {
        self.blobs.notice()
    }

    fn window(&self) -> (u64, usize) {
        self.blobs.window()
    }
}

#[derive(Debug)]
struct SealedBlob {
    name: String,
    stat: BlobStat,
    blob: Box<dyn Blob>,
    cipher: Box<dyn BlobCipher>,
}

impl SealedBlob {
    /// The plain bytes of the parts from `first` on.
    fn opened(&self, first: u64, sealed: &[u8]) -> Result<BytesMut, CipherError> {
        let last = (self.stat.size.div_ceil(PART as u64)).saturating_sub(1);
        let mut plain = BytesMut::with_capacity(sealed.len());
        let mut part = Vec::with_capacity(SEALED_PART);
        for (number, sealed) in (first..).zip(sealed.chunks(SEALED_PART)) {
            part.clear();
            part.extend_from_slice(sealed);
            let short = u32::try_from(number).map_err(|_| CipherError::Damaged)?;
            self.cipher.open(short, number == last, &mut part)?;
            plain.extend_from_slice(&part);
        }
        Ok(plain)
    }
}

#[async_trait]
impl Blob for SealedBlob {
    fn stat(&self) -> BlobStat {
        self.stat
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, ArtifactError> {
        let first = range.start / PART as u64;
        // An empty blob has one part, which is opened too: it must not be a cut off one.
        let parts = range.end.div_ceil(PART as u64).max(first + 1);
        let body = |part: u64| PREAMBLE as u64 + part * SEALED_PART as u64;
        let all = self.stat.size.div_ceil(PART as u64).max(1);
        let end = if parts >= all {
            PREAMBLE as u64 + self.stat.size + all * SEAL_OVERHEAD as u64
        } else {
            body(parts)
        };
        let sealed = self.blob.read(body(first).min(end)..end).await?;
        let plain = self.opened(first, &sealed).map_err(|error| failed(error, &self.name))?.freeze();
        let within = |at: u64| usize::try_from(at - first * PART as u64).unwrap_or(usize::MAX);
        let (start, end) = (within(range.start), within(range.end));
        if start <= end && end <= plain.len() {
            Ok(plain.slice(start..end))
        } else {
            Err(ArtifactError::Damaged { name: self.name.clone() })
        }
    }
}

#[derive(Debug)]
struct SealedUpload {
    upload: Box<dyn Upload>,
    /// `None` when the last part is sealed.
    cipher: Option<Box<dyn BlobCipher>>,
    number: u64,
    /// Never empty once something came: whether a part is the last is known when more comes.
    pending: BytesMut,
}

impl SealedUpload {
    async fn flush(&mut self, is_last: bool) -> Result<(), ArtifactError> {
        let Some(cipher) = &self.cipher else { return Ok(()) };
        let parts = self.pending.len().saturating_sub(1) / PART + usize::from(is_last);
        let mut sealed = BytesMut::with_capacity(parts * SEALED_PART);
        let mut part = Vec::with_capacity(SEALED_PART);
        for left in (0..parts).rev() {
            let plain = self.pending.split_to(self.pending.len().min(PART));
            part.clear();
            part.extend_from_slice(&plain);
            let error = |error| failed(error, DATA);
            seal(&**cipher, self.number, is_last && left == 0, &mut part).map_err(error)?;
            sealed.extend_from_slice(&part);
            self.number += 1;
        }
        if sealed.is_empty() { Ok(()) } else { self.upload.write(sealed.freeze()).await }
    }
}

#[async_trait]
impl Upload for SealedUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ArtifactError> {
        self.pending.extend_from_slice(&bytes);
        self.flush(false).await
    }

    async fn commit(&mut self, name: &str) -> Result<(), ArtifactError> {
        self.flush(true).await?;
        self.cipher = None;
        self.upload.commit(&at(name)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_size_follows_from_the_sealed_one() {
        let sealed = |plain: usize| PREAMBLE + plain + plain.div_ceil(PART).max(1) * SEAL_OVERHEAD;
        for plain in [0, 1, PART - 1, PART, PART + 1, 2 * PART, 5 * PART + 17] {
            assert_eq!(plain_size(sealed(plain) as u64), Some(plain as u64), "{plain}");
        }
        for cut in
            [0, 1, PREAMBLE - 1, PREAMBLE, PREAMBLE + SEAL_OVERHEAD - 1, sealed(PART) + 1, sealed(PART) + 16]
        {
            assert_eq!(plain_size(cut as u64), None, "{cut}");
        }
        assert_eq!(plain_size(u64::MAX).map(|plain| plain < u64::MAX), Some(true));
    }
}

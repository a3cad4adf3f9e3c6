//! Asking one peer.

use std::io;

use bytes::Bytes;
use daa_core::digest::Digest;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::outline::{GROUP, VALUE, values_for};
use super::wire::{self, Ask, BUSY, DONE, Head, MISSING};
use super::{Misbehaved, Outline};

/// Why a peer did not give what was asked for.
#[derive(Debug)]
pub(super) enum Failure {
    Missing,
    Busy,
    TooLarge(u64),
    Lost(io::Error),
    Slow,
    Misbehaved(Misbehaved),
    /// Ours.
    Sink(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Misbehaved(Misbehaved::Garbage),
            _ => Self::Lost(error),
        }
    }
}

async fn ask(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    digest: &Digest,
    group: Option<u64>,
) -> Result<u64, Failure> {
    wire::send(io, &Ask { digest: Bytes::copy_from_slice(digest.as_bytes()), group }).await?;
    io.flush().await?;
    let head: Head = wire::receive(io).await?;
    match head.status {
        DONE => Ok(head.size),
        MISSING => Err(Failure::Missing),
        BUSY => Err(Failure::Busy),
        other => Err(Failure::Lost(io::Error::other(format!("the peer answers {other}")))),
    }
}

/// The outline of a content, and its last group, both verified.
pub(super) async fn outline(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    digest: &Digest,
    max_size: u64,
) -> Result<(Outline, Bytes), Failure> {
    let size = ask(io, digest, None).await?;
    let values = values_for(size, GROUP).filter(|_| size <= max_size);
    let values = values.and_then(|values| values.checked_mul(VALUE)).ok_or(Failure::TooLarge(size))?;
    let values = wire::read(io, values).await?;
    let last = if size == 0 { 0 } else { (size - 1) % GROUP + 1 };
    let last = wire::read(io, usize::try_from(last).map_err(io::Error::other)?).await?;
    let outline = Outline::verified(*digest, size, &values, &last, GROUP);
    let outline = outline.ok_or(Failure::Misbehaved(Misbehaved::WrongOutline))?;
    Ok((outline, last.into()))
}

/// A verified group.
pub(super) async fn group(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    outline: &Outline,
    number: u64,
) -> Result<Bytes, Failure> {
    if ask(io, &outline.digest(), Some(number)).await? != outline.size() {
        return Err(Failure::Misbehaved(Misbehaved::WrongOutline));
    }
    let range = outline.range(number);
    let len = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let bytes = wire::read(io, len).await?;
    if !outline.has(number, &bytes) {
        return Err(Failure::Misbehaved(Misbehaved::WrongBytes { group: number }));
    }
    Ok(bytes.into())
}

/// Reads bytes as what is asked, as an outline and as a group.
#[cfg(any(test, feature = "test-util"))]
pub(crate) async fn read_any(bytes: &[u8]) {
    let io = || tokio::io::join(bytes, tokio::io::sink());
    // Wrong or not, it ends.
    let _ = wire::receive::<Ask>(&mut io()).await;
    for digest in [Digest::of(b""), Digest::of(b"content")] {
        if let Ok((outline, last)) = outline(&mut io(), &digest, 1 << 30).await {
            assert!(outline.digest() == digest && outline.has(outline.groups() - 1, &last));
        }
    }
    let whole = Outline::of(b"content");
    if let Ok(bytes) = group(&mut io(), &whole, 0).await {
        assert_eq!(&bytes[..], b"content");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers one request with these bytes, and ends.
    async fn answered(answer: Vec<u8>) -> tokio::io::DuplexStream {
        let (ours, mut theirs) = tokio::io::duplex(4 << 20);
        theirs.write_all(&answer).await.unwrap();
        theirs.shutdown().await.unwrap();
        // What is asked has somewhere to go.
        tokio::spawn(async move { tokio::io::copy(&mut theirs, &mut tokio::io::sink()).await });
        ours
    }

    async fn head(status: u32, size: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        wire::send(&mut bytes, &Head { status, size }).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn an_answer_that_ends_early_is_lost_wherever_it_ends() {
        let content = vec![7; GROUP as usize + 10];
        let expected = Outline::of(&content);
        let whole =
            [&head(DONE, expected.size()).await, expected.values(), &content[GROUP as usize..]].concat();
        for end in 0..whole.len() {
            let mut io = answered(whole[..end].to_vec()).await;
            let failure = outline(&mut io, &expected.digest(), u64::MAX).await.unwrap_err();
            assert!(matches!(failure, Failure::Lost(_)), "{end}: {failure:?}");
        }
        let mut io = answered(whole).await;
        let (found, last) = outline(&mut io, &expected.digest(), u64::MAX).await.unwrap();
        assert_eq!((found, last.len()), (expected.clone(), 10));
        let mut io = answered([&head(DONE, expected.size()).await, &content[..9]].concat()).await;
        assert!(matches!(group(&mut io, &expected, 1).await, Err(Failure::Lost(_))));
    }

    #[tokio::test]
    async fn wrong_answers_are_held_against_the_peer() {
        let content = vec![7; GROUP as usize + 10];
        let expected = Outline::of(&content);
        let (size, last) = (expected.size(), &content[GROUP as usize..]);
        for (size, values, last) in [
            (size - 1, expected.values().to_vec(), &last[1..]),
            (size, vec![0; 64], last),
            (size, expected.values().to_vec(), &[8; 10]),
            (10, vec![], last),
            (0, vec![], &[]),
        ] {
            let mut io = answered([&head(DONE, size).await, &*values, last].concat()).await;
            let failure = outline(&mut io, &expected.digest(), u64::MAX).await.unwrap_err();
            let is_wrong = matches!(failure, Failure::Misbehaved(Misbehaved::WrongOutline));
            assert!(is_wrong, "{size}: {failure:?}");
        }
        let mut io = answered([&head(DONE, size).await, &[8; 10][..]].concat()).await;
        let failure = group(&mut io, &expected, 1).await.unwrap_err();
        assert!(matches!(failure, Failure::Misbehaved(Misbehaved::WrongBytes { group: 1 })), "{failure:?}");
        let mut io = answered(vec![255; 8]).await;
        let failure = group(&mut io, &expected, 1).await.unwrap_err();
        assert!(matches!(failure, Failure::Misbehaved(Misbehaved::Garbage)), "{failure:?}");
    }

    #[tokio::test]
    async fn what_is_too_large_is_not_read() {
        for size in [101, u64::MAX] {
            let mut io = answered(head(DONE, size).await).await;
            let failure = outline(&mut io, &Digest::of(b""), 100).await.unwrap_err();
            assert!(matches!(failure, Failure::TooLarge(found) if found == size), "{failure:?}");
        }
    }
}

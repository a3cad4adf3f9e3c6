//! Who gives contents to others.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use daa_core::digest::Digest;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::wire::{self, Ask, BUSY, DONE, FAILED, Head, MISSING};
use super::{Outline, Source};
use crate::shares::{Bounds, Shares};
use crate::stream::PeerStream;

/// How many streams are served at once, each with one group in memory; and how many of one peer.
const STREAMS: Bounds = Bounds { all: 64, of_peer: 8, sure: 0 };
/// How long a peer may ask nothing, and how long it may take to read an answer.
const IDLE: Duration = Duration::from_secs(60);
const SENDING: Duration = Duration::from_secs(60);

/// What a node gives to others.
#[derive(Clone)]
pub(crate) struct Sharing {
    sources: Arc<RwLock<Vec<Arc<dyn Source>>>>,
    streams: Shares,
}

impl Default for Sharing {
    fn default() -> Self {
        Self { sources: Arc::default(), streams: Shares::new(STREAMS) }
    }
}

impl Sharing {
    pub(crate) fn share(&self, source: Arc<dyn Source>) {
        self.sources.write().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    /// Answers what is asked on a stream.
    pub(crate) async fn serve(&self, mut stream: PeerStream) {
        let peer = stream.peer();
        let place = self.streams.take(peer, 1);
        if let Err(error) = self.answer(&mut stream, place.is_some()).await {
            tracing::debug!(%peer, %error, "a peer fetches no more");
        }
    }

    async fn answer(
        &self,
        io: &mut (impl AsyncRead + AsyncWrite + Unpin),
        has_place: bool,
    ) -> io::Result<()> {
        loop {
            let ask: Ask = timeout(IDLE, wire::receive(io)).await??;
            if !has_place {
                return timeout(SENDING, reply(io, BUSY, 0, &[])).await?;
            }
            match self.look_up(&ask).await {
                Ok(Some((outline, bytes))) => {
                    let values = if ask.group.is_none() { outline.values() } else { &[] };
                    timeout(SENDING, reply(io, DONE, outline.size(), &[values, &bytes])).await??;
                }
                Ok(None) => timeout(SENDING, reply(io, MISSING, 0, &[])).await??,
                Err(error) => {
                    tracing::warn!(%error, "what is shared cannot be read");
                    timeout(SENDING, reply(io, FAILED, 0, &[])).await??;
                }
            }
        }
    }

    async fn look_up(&self, ask: &Ask) -> io::Result<Option<(Arc<Outline>, Bytes)>> {
        let Ok(digest) = <[u8; 32]>::try_from(&*ask.digest) else { return Ok(None) };
        let digest = Digest::from_bytes(digest);
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner).clone();
        for source in sources {
            let Some(outline) = source.outline(&digest).await? else { continue };
            let number = ask.group.unwrap_or(outline.groups() - 1);
            if number >= outline.groups() {
                return Ok(None);
            }
            let range = outline.range(number);
            let len = range.end - range.start;
            let bytes = if len == 0 { Bytes::new() } else { source.read(&digest, range).await? };
            if bytes.len() as u64 != len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            return Ok(Some((outline, bytes)));
        }
        Ok(None)
    }
}

async fn reply(
    io: &mut (impl AsyncWrite + Unpin),
    status: u32,
    size: u64,
    parts: &[&[u8]],
) -> io::Result<()> {
    wire::send(io, &Head { status, size }).await?;
    for part in parts {
        io.write_all(part).await?;
    }
    io.flush().await
}

//! How requests and answers travel: one message each way, with its length before it.

use std::io;

use bytes::Bytes;
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::MAX_BODY;

/// The most bytes of a message: a body, and what stands around it.
const MAX: usize = MAX_BODY + 1_024;
/// For so many bytes room is made at once.
const STEP: usize = 64 << 10;

/// What is asked.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Ask {
    #[prost(string, tag = "1")]
    pub(super) method: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) body: Bytes,
    /// The time that is left, in milliseconds.
    #[prost(uint64, tag = "3")]
    pub(super) millis: u64,
    /// Nothing, or 16 bytes.
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) key: Bytes,
}

/// What is answered.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Answer {
    /// 0 where it was done.
    #[prost(uint32, tag = "1")]
    pub(super) status: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) body: Bytes,
    #[prost(string, tag = "3")]
    pub(super) reason: String,
}

/// Reads bytes as a request, and as an answer.
#[cfg(any(test, feature = "test-util"))]
pub(crate) async fn read_any(bytes: &[u8]) {
    let mut room = 2 * MAX;
    let mut has_room = |more| {
        room = room.saturating_sub(more);
        room > 0
    };
    // Wrong or not, it ends.
    let _ = receive::<Ask>(&mut &*bytes, &mut has_room).await;
    let _ = receive::<Answer>(&mut &*bytes, &mut has_room).await;
    assert!(room > 0, "it makes more room than two messages need");
}

pub(super) async fn send(io: &mut (impl AsyncWrite + Unpin), message: &impl Message) -> io::Result<()> {
    let bytes = message.encode_to_vec();
    let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    io.write_u32(len).await?;
    io.write_all(&bytes).await?;
    io.flush().await
}

/// Room is made as bytes come, and as far as `has_room` for them: else it ends with [`io::ErrorKind::QuotaExceeded`].
pub(super) async fn receive<M: Message + Default>(
    io: &mut (impl AsyncRead + Unpin),
    mut has_room: impl FnMut(usize) -> bool,
) -> io::Result<M> {
    let len = io.read_u32().await? as usize;
    if len > MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message of this length is none"));
    }
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let (before, step) = (bytes.len(), STEP.min(len - bytes.len()));
        if !has_room(step) {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        bytes.resize(before + step, 0);
        io.read_exact(bytes.get_mut(before..).unwrap_or_default()).await?;
    }
    M::decode(Bytes::from(bytes)).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

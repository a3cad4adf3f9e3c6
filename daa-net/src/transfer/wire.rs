//! How requests and answers travel: messages with their length before them, and then the bytes, whose number both sides know.

use std::io;

use bytes::Bytes;
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The most bytes of a message.
const MAX: usize = 256;
/// What is read before there is room made for more.
const STEP: usize = 64 << 10;

pub(super) const DONE: u32 = 0;
pub(super) const MISSING: u32 = 1;
pub(super) const BUSY: u32 = 2;
pub(super) const FAILED: u32 = 3;

/// What is wanted of a content.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Ask {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) digest: Bytes,
    /// The number of a group; without it the outline and the last group.
    #[prost(uint64, optional, tag = "2")]
    pub(super) group: Option<u64>,
}

/// What stands before the bytes.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Head {
    /// Bytes follow where it is [`DONE`].
    #[prost(uint32, tag = "1")]
    pub(super) status: u32,
    /// How many bytes the content has.
    #[prost(uint64, tag = "2")]
    pub(super) size: u64,
}

/// It is not flushed.
pub(super) async fn send(io: &mut (impl AsyncWrite + Unpin), message: &impl Message) -> io::Result<()> {
    let bytes = message.encode_to_vec();
    io.write_u32(u32::try_from(bytes.len()).map_err(io::Error::other)?).await?;
    io.write_all(&bytes).await
}

pub(super) async fn receive<M: Message + Default>(io: &mut (impl AsyncRead + Unpin)) -> io::Result<M> {
    let len = io.read_u32().await? as usize;
    if len > MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message of this length is none"));
    }
    let mut bytes = vec![0; len];
    io.read_exact(&mut bytes).await?;
    M::decode(&*bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// So many bytes. Room is made as they come.
pub(super) async fn read(io: &mut (impl AsyncRead + Unpin), len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len.min(STEP));
    io.take(len as u64).read_to_end(&mut bytes).await?;
    if bytes.len() == len { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

//! How requests and answers travel: one message each way, with its length before it.

use std::io;

use bytes::Bytes;
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::MAX_BODY;

/// The most bytes of a message: a body, and what stands around it.
const MAX: usize = MAX_BODY + 1_024;

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

pub(super) async fn send(io: &mut (impl AsyncWrite + Unpin), message: &impl Message) -> io::Result<()> {
    let bytes = message.encode_to_vec();
    let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    io.write_u32(len).await?;
    io.write_all(&bytes).await?;
    io.flush().await
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

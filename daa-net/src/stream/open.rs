//! How a stream begins: its number, and what it is for.

#[cfg(any(test, feature = "test-util"))]
#[expect(clippy::expect_used, reason = "a test that fails")]
mod arbitrary;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[cfg(any(test, feature = "test-util"))]
pub(crate) use arbitrary::read_any;
use bytes::Bytes;
use daa_crypto::{Context, FrameCipher, FrameError, FrameOpener, FrameSealer, HkdfSha256, Secret};
use prost::Message as _;
use tokio::io::AsyncReadExt as _;

use super::error::StreamError;
use super::frame::Kind;
use super::protocol::{Compression, Priority, Protection, Protocol, StreamOptions};
use super::read::{ReadError, Reader};
use super::write::Writer;
use super::{Carried, Parts, PeerStream, Pipe};
use crate::auth::Session;
use crate::node_id::NodeId;

const STREAM: Context = Context::new("daa-net stream v1");
/// How long who opened a stream may take to say what it is for.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Streams may come in another order than they were opened in, but not by more than this.
const WINDOW: u64 = 1 << 10;

/// What the first frame says.
#[derive(Clone, PartialEq, prost::Message)]
struct Open {
    #[prost(string, tag = "1")]
    protocol: String,
    #[prost(uint32, tag = "2")]
    priority: u32,
    #[prost(uint32, tag = "3")]
    protection: u32,
    #[prost(uint32, tag = "4")]
    compression: u32,
}

fn first_frame(protocol: &Protocol, options: StreamOptions) -> Open {
    Open {
        protocol: protocol.as_str().to_owned(),
        priority: match options.priority {
            Priority::Control => 0,
            Priority::Bulk => 1,
        },
        protection: match options.protection {
            Protection::Sealed => 0,
            Protection::Connection => 1,
        },
        compression: match options.compression {
            Compression::None => 0,
            Compression::Lz4 => 1,
        },
    }
}

/// What a session gives to its streams.
#[derive(Debug)]
pub(crate) struct Opening {
    peer: NodeId,
    cipher: FrameCipher,
    ours: HkdfSha256,
    theirs: HkdfSha256,
}

impl Opening {
    pub(crate) fn new(session: &Session) -> Self {
        let id = session.id();
        let root = |key: &Secret| HkdfSha256::extract(id.as_bytes(), key.as_bytes());
        let (peer, cipher) = (session.peer(), session.cipher());
        Self { peer, cipher, ours: root(session.send_key()), theirs: root(session.receive_key()) }
    }

    /// Of a stream: with the key of what is written, and with the one of what is read.
    fn halves(&self, write: &Secret, read: &Secret) -> Result<(Writer, Reader), FrameError> {
        let writer = Writer::new(FrameSealer::new(self.cipher, write)?);
        Ok((writer, Reader::new(FrameOpener::new(self.cipher, read)?)))
    }
}

/// The keys of a stream: of what who opened it writes, and of what the other one writes.
fn keys(root: &HkdfSha256, number: u64) -> (Secret, Secret) {
    let number = number.to_be_bytes();
    (root.derive(STREAM, &[&number, b"opener"]), root.derive(STREAM, &[&number, b"other"]))
}

/// The numbers of the peer's streams that were seen: each counts once.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// One more than the highest.
    next: u64,
    seen: BTreeSet<u64>,
}

impl Numbers {
    fn see(&mut self, number: u64) -> Result<(), StreamError> {
        let lowest = self.next.saturating_sub(WINDOW);
        if number < lowest || number == u64::MAX || !self.seen.insert(number) {
            return Err(StreamError::Replayed);
        }
        self.next = self.next.max(number + 1);
        let lowest = self.next.saturating_sub(WINDOW);
        while self.seen.first().is_some_and(|first| *first < lowest) {
            self.seen.pop_first();
        }
        Ok(())
    }
}

/// Opens a stream with a number that was not used before. The peer learns of it with the first thing that is flushed.
pub(crate) fn open(
    opening: &Opening,
    number: u64,
    carried: Carried,
    protocol: Protocol,
    options: StreamOptions,
) -> io::Result<PeerStream> {
    let (to_them, to_us) = keys(&opening.ours, number);
    let (mut writer, reader) = opening.halves(&to_them, &to_us).map_err(io::Error::other)?;
    writer.put_raw(&number.to_be_bytes());
    writer.put(Kind::Open, &first_frame(&protocol, options).encode_to_vec())?;
    Ok(PeerStream(Box::new(Parts::new(opening.peer, (protocol, options), (reader, writer), carried))))
}

/// Reads what the peer opened a stream for.
pub(crate) async fn accept(
    opening: &Opening,
    numbers: &Mutex<Numbers>,
    mut carried: Carried,
) -> io::Result<PeerStream> {
    let first = tokio::time::timeout(TIME_LIMIT, first(opening, numbers, &mut *carried.pipe));
    let (frame, reader, writer) = match first.await.unwrap_or(Err(StreamError::Slow.into())) {
        Ok(first) => first,
        Err(ReadError::Io(error)) => return Err(error),
        Err(ReadError::Stream(error)) => {
            if error.is_hostile() {
                carried.carrier.condemn(error);
            }
            return Err(error.into());
        }
    };
    let read = read_open(&frame);
    let (protocol, options) = read.inspect_err(|error| carried.carrier.condemn(*error))?;
    Ok(PeerStream(Box::new(Parts::new(opening.peer, (protocol, options), (reader, writer), carried))))
}

async fn first(
    opening: &Opening,
    numbers: &Mutex<Numbers>,
    pipe: &mut dyn Pipe,
) -> Result<(Bytes, Reader, Writer), ReadError> {
    let mut number = [0; 8];
    pipe.read_exact(&mut number).await.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::Stream(StreamError::CutOff),
        _ => ReadError::Io(error),
    })?;
    let number = u64::from_be_bytes(number);
    let (to_us, to_them) = keys(&opening.theirs, number);
    let (writer, mut reader) = opening.halves(&to_them, &to_us).map_err(io::Error::other)?;
    match poll_fn(|cx| reader.poll_frame(pipe, cx)).await? {
        Some(_) => {
            let frame = reader.take_frame();
            // Not before the frame has opened: nobody else can use a number up.
            numbers.lock().unwrap_or_else(PoisonError::into_inner).see(number)?;
            Ok((frame, reader, writer))
        }
        None => Err(StreamError::CutOff.into()),
    }
}

fn read_open(frame: &[u8]) -> Result<(Protocol, StreamOptions), StreamError> {
    let open = Open::decode(frame).map_err(|_| StreamError::Unexpected)?;
    let protocol = open.protocol.parse().map_err(|_| StreamError::Unexpected)?;
    let priority = if open.priority == 1 { Priority::Bulk } else { Priority::Control };
    let protection = match open.protection {
        0 => Protection::Sealed,
        1 => Protection::Connection,
        _ => return Err(StreamError::Unexpected),
    };
    let compression = match open.compression {
        0 => Compression::None,
        1 => Compression::Lz4,
        _ => return Err(StreamError::Unexpected),
    };
    Ok((protocol, StreamOptions { priority, protection, compression }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_counts_once_and_what_is_kept_is_bounded(numbers in prop::collection::vec(0..3_000_u64, 1..3_000)) {
            let (mut seen, mut all) = (Numbers::default(), BTreeSet::new());
            for number in numbers {
                let is_old = all.last().is_some_and(|last: &u64| number + WINDOW <= *last);
                prop_assert_eq!(seen.see(number).is_ok(), !is_old && !all.contains(&number), "{}", number);
                all.insert(number);
                prop_assert!(seen.seen.len() as u64 <= WINDOW);
            }
        }
    }
}

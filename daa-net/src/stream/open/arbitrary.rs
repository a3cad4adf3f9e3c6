//! Streams out of any bytes, for the fuzz target: what a peer that has proved itself may put on a line, and what must come of it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use daa_crypto::FRAME_TAG;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;
use crate::stream::packing::unpack;
use crate::stream::{Carrier, MAX_FRAME};

/// The bits of the first byte of a script: what follows the number is on the line as it is; the stream is not sealed; it is compressed;
/// its first frame is one of the script.
const RAW: u8 = 1;
const UNSEALED: u8 = 2;
const PACKED: u8 = 4;
const ODD: u8 = 8;

const NUMBER: u64 = 7;

/// Whether the connection was condemned.
#[derive(Debug, Default)]
struct Noted(AtomicBool);

impl Carrier for Noted {
    fn condemn(&self, _: StreamError) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A line on which everything has come, and is read in pieces of so many bytes.
struct Line {
    bytes: Bytes,
    piece: usize,
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = self.piece.min(self.bytes.len()).min(buffer.remaining());
        buffer.put_slice(&self.bytes.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a script says that is on the line.
struct Script {
    line: Vec<u8>,
    /// What is given to who reads it, and whether it ends as it should; nothing where that is not for the script to say.
    expected: Option<(Vec<u8>, bool)>,
}

/// Reads a script as `[flags, piece, frames...]`, each frame as `[kind, length in two bytes, bytes]`: whole frames, sealed where they are
/// to be, of any kind.
fn script(opening: &Opening, bytes: &[u8]) -> Option<(Script, usize)> {
    let (&[flags, piece], mut rest) = bytes.split_first_chunk::<2>()?;
    let mut line = NUMBER.to_be_bytes().to_vec();
    if flags & RAW != 0 {
        line.extend_from_slice(rest);
        return Some((Script { line, expected: None }, usize::from(piece) + 1));
    }
    let (to_them, _) = keys(&opening.ours, NUMBER);
    let mut sealer = Some(FrameSealer::new(opening.cipher, &to_them).ok()?);
    let is_unsealed = flags & UNSEALED != 0;
    let is_packed = flags & PACKED != 0;
    let open = Open {
        protocol: "/arbitrary/1".to_owned(),
        priority: 0,
        protection: is_unsealed.into(),
        compression: is_packed.into(),
    };
    let mut frames = Vec::new();
    if flags & ODD == 0 {
        frames.push((0, open.encode_to_vec()));
    }
    while let Some((&[kind, high, low], after)) = rest.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (frame, after) = after.split_at(len);
        frames.push((kind, frame.to_vec()));
        rest = after;
    }
    for (number, (kind, frame)) in frames.iter().enumerate() {
        if number == 1 && is_unsealed {
            sealer = None;
        }
        put(&mut line, sealer.as_mut(), *kind, frame.clone());
    }
    let expected = (flags & ODD == 0).then(|| meaning(frames.get(1..).unwrap_or_default(), is_packed));
    Some((Script { line, expected }, usize::from(piece) + 1))
}

fn put(line: &mut Vec<u8>, sealer: Option<&mut FrameSealer>, kind: u8, mut frame: Vec<u8>) {
    let [_, a, b, c] = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes();
    let header = [kind, a, b, c];
    let tag = sealer.map(|sealer| sealer.seal(&header, &mut frame).expect("a frame can be sealed"));
    line.extend_from_slice(&header);
    line.extend_from_slice(&frame);
    line.extend_from_slice(&tag.unwrap_or_default()[..if tag.is_some() { FRAME_TAG } else { 0 }]);
}

/// What whole frames say, and whether they end as they should.
fn meaning(frames: &[(u8, Vec<u8>)], is_packed: bool) -> (Vec<u8>, bool) {
    let (mut all, mut plain) = (Vec::new(), Vec::new());
    for (kind, frame) in frames {
        match (kind, frame.len()) {
            (1, 1..) => all.extend_from_slice(frame),
            (3, 1..) if is_packed && unpack(frame, &mut plain).is_some() => all.extend_from_slice(&plain),
            (2, 0) => return (all, true),
            _ => return (all, false),
        }
    }
    (all, false)
}

/// Reads bytes as a script of one end of a session, at the other end.
pub(crate) async fn read_any(opener: &Opening, other: &Opening, bytes: &[u8]) {
    let Some((script, piece)) = script(opener, bytes) else { return };
    let noted = Arc::new(Noted::default());
    let line = Line { bytes: script.line.into(), piece };
    let mut carried = Carried {
        pipe: Box::new(line),
        carrier: noted.clone(),
        lane: Arc::default(),
        is_bulk: Arc::default(),
        place: None,
    };
    let numbers = Mutex::default();
    let first = first(other, &numbers, &mut *carried.pipe).await;
    let Ok((frame, reader, writer)) = first else {
        assert!(script.expected.is_none(), "the first frame is one");
        return;
    };
    let Ok(open) = read_open(&frame) else {
        assert!(script.expected.is_none(), "the first frame says what the stream is for");
        return;
    };
    let (protocol, options) = (open.0.clone(), open.1);
    assert_eq!(read_open(&first_frame(&protocol, options).encode_to_vec()), Ok(open));
    let mut stream =
        PeerStream(Box::new(Parts::new(other.peer, (protocol, options), (reader, writer), carried)));
    let (mut all, mut part) = (Vec::new(), vec![0; 1 + piece * 7]);
    let end = loop {
        match stream.read(&mut part).await {
            Ok(0) => break Ok(()),
            Ok(len) => all.extend_from_slice(part.get(..len).unwrap_or_default()),
            Err(error) => break Err(error),
        }
    };
    assert!(all.len() <= (bytes.len() + 1) * MAX_FRAME);
    if let Some((expected, is_whole)) = script.expected {
        assert!(all == expected, "{} bytes, not {}", all.len(), expected.len());
        assert_eq!(end.is_ok(), is_whole, "{end:?}");
    }
    if let Err(error) = end {
        let is_cut = error.kind() == io::ErrorKind::UnexpectedEof;
        assert_eq!(noted.0.load(Ordering::Relaxed), !is_cut, "{error}");
        assert!(stream.read(&mut part).await.is_err(), "what went wrong is not forgotten");
    }
}

//! What an attacker on the line can do to a stream: end it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use daa_crypto::{CryptoSuite, FrameCipher, SignatureAlgorithm};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::open::{Numbers, Opening, accept, open};
use super::*;
use crate::auth::{Auth, Ends};
use crate::identity::NodeIdentity;

const CHAT: Protocol = Protocol::new("/test/chat/1");

#[derive(Debug, Default)]
struct Counted(AtomicU32);

impl Carrier for Counted {
    fn condemn(&self, _: StreamError) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Both ends of a session.
async fn session() -> (Opening, Opening) {
    session_with(FrameCipher::supported()).await
}

/// Both ends of a session whose nodes offer these ciphers.
async fn session_with(ciphers: &[FrameCipher]) -> (Opening, Opening) {
    let suite = CryptoSuite::new();
    let auth = || {
        let key = suite.generate_signing_key(SignatureAlgorithm::MlDsa65).unwrap();
        let identity = NodeIdentity::new(Arc::new(key)).unwrap();
        Auth::new(suite.clone(), identity, "test".parse().unwrap()).with_frame_ciphers(ciphers)
    };
    let (mut here, mut there) = duplex(64 << 10);
    let ends = Ends { ours: b"", theirs: b"" };
    let (alice, bob) = (auth(), auth());
    let (ours, theirs) =
        tokio::join!(alice.initiate_over(&mut here, ends, None), bob.respond_over(&mut there, ends));
    (Opening::new(&ours.unwrap()), Opening::new(&theirs.unwrap()))
}

/// What a stream with this number looks like on the line.
async fn recorded(opening: &Opening, number: u64, options: StreamOptions, writes: &[&[u8]]) -> Vec<u8> {
    let (here, mut there) = duplex(1 << 20);
    let carried = Carried {
        pipe: Box::new(here),
        carrier: Arc::new(Counted::default()),
        lane: Arc::default(),
        is_bulk: Arc::default(),
        place: None,
    };
    let mut stream = open(opening, number, carried, CHAT, options).unwrap();
    for bytes in writes {
        stream.write_all(bytes).await.unwrap();
        stream.flush().await.unwrap();
    }
    stream.shutdown().await.unwrap();
    drop(stream);
    let mut line = Vec::new();
    there.read_to_end(&mut line).await.unwrap();
    line
}

/// What who accepts it reads, and how often the connection was condemned.
async fn read(opening: &Opening, numbers: &Mutex<Numbers>, line: &[u8]) -> (io::Result<Vec<u8>>, u32) {
    let (here, mut there) = duplex(2 << 20);
    there.write_all(line).await.unwrap();
    there.shutdown().await.unwrap();
    let counted = Arc::new(Counted::default());
    let carried = Carried {
        pipe: Box::new(here),
        carrier: counted.clone(),
        lane: Arc::default(),
        is_bulk: Arc::default(),
        place: None,
    };
    let read = async {
        let mut stream = accept(opening, numbers, carried).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.map(|_| bytes)
    };
    (read.await, counted.0.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_changed_byte_of_a_sealed_stream_is_noticed_wherever_it_is() {
    for cipher in FrameCipher::supported() {
        every_change_is_noticed(session_with(&[*cipher]).await).await;
    }
}

async fn every_change_is_noticed((ours, theirs): (Opening, Opening)) {
    let line = recorded(&ours, 0, StreamOptions::default(), &[b"hello ", b"bob"]).await;
    let (whole, condemned) = read(&theirs, &Mutex::default(), &line).await;
    assert_eq!((whole.unwrap(), condemned), (b"hello bob".to_vec(), 0));
    for at in 0..line.len() {
        let mut changed = line.clone();
        changed[at] ^= 0x40;
        let (read, condemned) = read(&theirs, &Mutex::default(), &changed).await;
        let error = read.expect_err("it was not noticed");
        // A frame that says that it is longer looks cut off.
        let is_cut = error.kind() == io::ErrorKind::UnexpectedEof;
        assert_eq!(condemned == 1, !is_cut, "{at}: {error:?}");
    }
    for len in 0..line.len() {
        let (cut, _) = read(&theirs, &Mutex::default(), &line[..len]).await;
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{len}");
    }
}

#[tokio::test]
async fn a_stream_is_taken_once_from_its_opener_and_its_session() {
    let (ours, theirs) = session().await;
    let (_, others) = session().await;
    let line = recorded(&ours, 7, StreamOptions::default(), &[b"pay"]).await;
    let numbers = Mutex::default();
    assert_eq!(read(&theirs, &numbers, &line).await.0.unwrap(), b"pay");
    let (again, condemned) = read(&theirs, &numbers, &line).await;
    assert_eq!((again.unwrap_err().kind(), condemned), (io::ErrorKind::InvalidData, 1));
    // Back to who sent it, and into another session.
    for opening in [&ours, &others] {
        let (reflected, condemned) = read(opening, &Mutex::default(), &line).await;
        assert_eq!((reflected.unwrap_err().kind(), condemned), (io::ErrorKind::InvalidData, 1));
    }
    // What cannot be opened uses no number up.
    let forged = [&8_u64.to_be_bytes()[..], &line[8..]].concat();
    assert!(read(&theirs, &numbers, &forged).await.0.is_err());
    let next = recorded(&ours, 8, StreamOptions::default(), &[b"more"]).await;
    assert_eq!(read(&theirs, &numbers, &next).await.0.unwrap(), b"more");
}

#[tokio::test]
async fn frames_that_are_none_end_the_connection_and_cost_nothing() {
    let (ours, theirs) = session().await;
    let number = 0_u64.to_be_bytes();
    let long = [&number[..], &[0, 1, 0, 1]].concat();
    let unknown = [&number[..], &[9, 0, 0, 1, 0]].concat();
    let data_first = [&number[..], &[1, 0, 0, 1], &[0; 17]].concat();
    for line in [long, unknown, data_first] {
        let (read, condemned) = read(&theirs, &Mutex::default(), &line).await;
        assert_eq!((read.unwrap_err().kind(), condemned), (io::ErrorKind::InvalidData, 1), "{line:?}");
    }
    // Without seals the frames still have to be frames.
    let line = recorded(&ours, 1, StreamOptions::default().unsealed(), &[b"hello"]).await;
    assert!(line.windows(5).any(|bytes| bytes == b"hello"));
    let mut open_again = line.clone();
    let at = line.len() - 4 - 5 - 4;
    assert_eq!(open_again[at], 1);
    open_again[at] = 0;
    let (read, condemned) = read(&theirs, &Mutex::default(), &open_again).await;
    assert_eq!((read.unwrap_err().kind(), condemned), (io::ErrorKind::InvalidData, 1));
}

/// Whoever has a session may open many streams: what is kept of each before it is known what it is for is little.
#[tokio::test(start_paused = true)]
async fn the_first_frame_is_short_and_nothing_else_is_waited_for() {
    let (_, theirs) = session().await;
    for (header, is_refused) in [
        ([0, 0, 1, 0], false),
        ([0, 0, 1, 1], true),
        ([0, 1, 0, 0], true),
        ([1, 0, 0, 1], true),
        ([2, 0, 0, 0], true),
        ([3, 0, 0, 9], true),
    ] {
        let (here, mut there) = duplex(64);
        let counted = Arc::new(Counted::default());
        let carried = Carried {
            pipe: Box::new(here),
            carrier: counted.clone(),
            lane: Arc::default(),
            is_bulk: Arc::default(),
            place: None,
        };
        there.write_all(&[&[0; 8], &header[..]].concat()).await.unwrap();
        let began = tokio::time::Instant::now();
        let accepted = accept(&theirs, &Mutex::default(), carried).await.unwrap_err();
        // What may be the first frame is waited for until it is time.
        assert_eq!(accepted.kind() == io::ErrorKind::InvalidData, is_refused, "{header:?}");
        assert_eq!(began.elapsed().is_zero(), is_refused, "{header:?}");
        assert_eq!(counted.0.load(Ordering::SeqCst), u32::from(is_refused));
    }
}

#[tokio::test(start_paused = true)]
async fn who_opens_a_stream_and_says_nothing_is_not_waited_for() {
    let (_, theirs) = session().await;
    let (here, _there) = duplex(64);
    let carried = Carried {
        pipe: Box::new(here),
        carrier: Arc::new(Counted::default()),
        lane: Arc::default(),
        is_bulk: Arc::default(),
        place: None,
    };
    let began = tokio::time::Instant::now();
    let accepted = accept(&theirs, &Mutex::default(), carried).await;
    assert_eq!(accepted.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(began.elapsed().as_secs(), 10);
}

/// A stream on a line that takes so many bytes, and the other end of the line.
fn on(
    opening: &Opening,
    number: u64,
    lane: &Arc<Lane>,
    room: usize,
    options: StreamOptions,
) -> (PeerStream, tokio::io::DuplexStream) {
    let (here, there) = duplex(room);
    let carrier = Arc::new(Counted::default());
    let (lane, is_bulk) = (lane.clone(), Arc::default());
    let carried = Carried { pipe: Box::new(here), carrier, lane, is_bulk, place: None };
    (open(opening, number, carried, CHAT, options).unwrap(), there)
}

#[tokio::test(start_paused = true)]
async fn bulk_stands_back_while_control_waits_to_be_sent() {
    let (ours, _) = session().await;
    let lane = Arc::default();
    let (mut control, mut control_line) = on(&ours, 0, &lane, 1, StreamOptions::default());
    let (mut bulk, _bulk_line) = on(&ours, 1, &lane, 1 << 20, StreamOptions::default().bulk());
    bulk.write_all(b"before").await.unwrap();
    bulk.flush().await.unwrap();

    control.write_all(b"soon").await.unwrap();
    let mut flush = tokio_test::task::spawn(control.flush());
    assert!(flush.poll().is_pending());
    let mut write = tokio_test::task::spawn(bulk.write(b"after"));
    assert!(write.poll().is_pending());
    // Its bytes are taken from the line, and then it is the turn of the other.
    let mut line = [0; 256];
    while flush.poll().is_pending() {
        let _ = control_line.read(&mut line).await.unwrap();
        // A task may do only so much with pipes in one go, and then nothing is ready.
        tokio::task::yield_now().await;
    }
    assert!(write.is_woken());
    assert!(write.poll().is_ready());
}

#[tokio::test(start_paused = true)]
async fn bulk_does_not_wait_for_the_reader_of_a_control_stream() {
    let (ours, _) = session().await;
    let lane = Arc::default();
    let (mut stuck, _stuck_line) = on(&ours, 0, &lane, 1, StreamOptions::default());
    let (mut bulk, _bulk_line) = on(&ours, 1, &lane, 1 << 20, StreamOptions::default().bulk());
    stuck.write_all(b"soon").await.unwrap();
    let mut flush = tokio_test::task::spawn(stuck.flush());
    assert!(flush.poll().is_pending());
    let began = tokio::time::Instant::now();
    bulk.write_all(b"much").await.unwrap();
    assert_eq!(began.elapsed().as_millis(), 20);
    bulk.flush().await.unwrap();
    assert_eq!(began.elapsed().as_millis(), 20);
    // Nor for one that is gone.
    drop(flush);
    drop(stuck);
    bulk.write_all(b"more").await.unwrap();
    assert_eq!(began.elapsed().as_millis(), 20);
}

/// What is written in these pieces over a line with so much room, as it is read in pieces of so many bytes.
async fn carried(
    (ours, theirs): (Opening, Opening),
    options: StreamOptions,
    pieces: &[(usize, bool)],
    (room, read): (usize, usize),
) -> (Vec<u8>, Vec<u8>) {
    let (mut stream, there) = on(&ours, 0, &Arc::default(), room, options);
    let carried = Carried {
        pipe: Box::new(there),
        carrier: Arc::new(Counted::default()),
        lane: Arc::default(),
        is_bulk: Arc::default(),
        place: None,
    };
    let numbers = Mutex::default();
    let accept = accept(&theirs, &numbers, carried);
    let write = async {
        let mut all = Vec::new();
        for (number, (len, flush)) in pieces.iter().enumerate() {
            let piece: Vec<u8> = (0..*len).map(|at| (at + number * 7) as u8 ^ (at >> 8) as u8).collect();
            stream.write_all(&piece).await.unwrap();
            if *flush {
                stream.flush().await.unwrap();
            }
            all.extend_from_slice(&piece);
        }
        stream.shutdown().await.unwrap();
        all
    };
    let read = async {
        let mut stream = accept.await.unwrap();
        let (mut all, mut part) = (Vec::new(), vec![0; read]);
        while let len @ 1.. = stream.read(&mut part).await.unwrap() {
            all.extend_from_slice(&part[..len]);
        }
        all
    };
    tokio::join!(write, read)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_read_is_what_was_written_however_it_is_cut(
        pieces in prop::collection::vec((prop_oneof![0..300_usize, 60_000..70_000_usize, 0..700_000_usize], any::<bool>()), 0..6),
        room in prop_oneof![1..200_usize, 1_000..500_000_usize],
        read in prop_oneof![1..100_usize, 1..400_000_usize],
        is_sealed: bool,
        is_packed: bool,
        cipher in prop::sample::select(FrameCipher::supported()),
    ) {
        // A byte at a time takes long, and no more is to be learned from much of it.
        let most = if room.min(read) < 200 { 2_000 } else { usize::MAX };
        let pieces: Vec<_> = pieces.into_iter().map(|(len, flush)| (len.min(most), flush)).collect();
        let options = if is_sealed { StreamOptions::default() } else { StreamOptions::default().unsealed() };
        let options = if is_packed { options.compressed() } else { options };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (written, read) = runtime.block_on(async {
            carried(session_with(&[cipher]).await, options, &pieces, (room, read)).await
        });
        prop_assert!(written == read, "{} and {} bytes", written.len(), read.len());
    }
}

#[tokio::test]
async fn what_repeats_itself_is_shorter_on_the_line_and_packed_frames_come_only_where_they_were_agreed_on() {
    let (ours, theirs) = session().await;
    let text = b"observe, reason, act, reflect, adapt; ".repeat(1_000);
    for options in [StreamOptions::default(), StreamOptions::default().unsealed()] {
        let line = recorded(&ours, 0, options.compressed(), &[&text]).await;
        assert!(line.len() < text.len() / 10, "{}", line.len());
        assert_eq!(read(&theirs, &Mutex::default(), &line).await.0.unwrap(), text);
    }
    // Of an unsealed stream, where the first frame, with its tag, ends, the next one begins: said to be packed.
    let line = recorded(&ours, 1, StreamOptions::default().unsealed(), &[&text[..100]]).await;
    let at = line.len() - 4 - 100 - 4;
    assert_eq!(line[at], 1);
    let packed = [&line[..at], &[3], &line[at + 1..]].concat();
    let (read, condemned) = read(&theirs, &Mutex::default(), &packed).await;
    assert_eq!((read.unwrap_err().kind(), condemned), (io::ErrorKind::InvalidData, 1));
}

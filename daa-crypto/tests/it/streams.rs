//! Sealed streams: whole, or refused.

use std::io::{self, Read, Write};

use daa_crypto::{CHUNK, Context, DecapsulationKey, KemAlgorithm, OpenError, SealError, TAG};
use proptest::prelude::*;

use crate::{lenient, seed};

const ONE: Context = Context::new("daa-crypto test one");
const OTHER: Context = Context::new("daa-crypto test other");

fn key() -> DecapsulationKey {
    lenient().decapsulation_key_from_seed(KemAlgorithm::MlKem768, &seed(64)).expect("a key")
}

fn plaintext(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8 ^ (at / CHUNK) as u8).collect()
}

fn seal(key: &DecapsulationKey, plaintext: &[u8]) -> Vec<u8> {
    let mut writer = lenient().seal_to(key.encapsulation_key(), ONE, Vec::new()).expect("a writer");
    writer.write_all(plaintext).expect("written");
    writer.finish().expect("finished")
}

/// What comes out before the end or the error, and which.
fn open(key: &DecapsulationKey, context: Context, sealed: &[u8]) -> (Vec<u8>, io::Result<()>) {
    let mut opened = Vec::new();
    let found = lenient()
        .open_from(key, context, sealed)
        .and_then(|mut reader| reader.read_to_end(&mut opened).map(drop));
    (opened, found)
}

fn cause(error: &io::Error) -> OpenError {
    *error.get_ref().expect("a cause").downcast_ref().expect("an OpenError")
}

const HEADER: usize = 4 + 2 + 2 + 4 + 1088;

/// The chunks of a sealed stream, after its header.
fn chunks(sealed: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (header, rest) = sealed.split_at(HEADER);
    (header.to_vec(), rest.chunks(CHUNK + TAG).map(<[u8]>::to_vec).collect())
}

#[test]
fn streams_of_all_lengths_come_back() {
    let key = key();
    for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17] {
        let sealed = seal(&key, &plaintext(len));
        let expected = HEADER + len + len.div_ceil(CHUNK).max(1) * TAG;
        assert_eq!(sealed.len(), expected, "{len} bytes");
        let (opened, found) = open(&key, ONE, &sealed);
        assert!(found.is_ok() && opened == plaintext(len), "{len} bytes");
    }
}

#[test]
fn the_end_is_missed_wherever_it_is_cut() {
    let key = key();
    let sealed = seal(&key, &plaintext(2 * CHUNK + 100));
    let boundary = |chunks: usize| HEADER + chunks * (CHUNK + TAG);
    let mut cuts: Vec<usize> = (0..HEADER + 40).collect();
    cuts.extend([
        boundary(1) - 1,
        boundary(1),
        boundary(1) + 1,
        boundary(2) - 1,
        boundary(2),
        boundary(2) + TAG,
    ]);
    cuts.push(sealed.len() - 1);
    for cut in cuts {
        let (opened, found) = open(&key, ONE, &sealed[..cut]);
        let error = found.expect_err("it was cut");
        assert!(plaintext(2 * CHUNK + 100).starts_with(&opened), "cut at {cut}: what came out is authentic");
        assert_ne!(opened.len(), 2 * CHUNK + 100, "cut at {cut}: {error}");
    }
}

#[test]
fn chunks_that_are_moved_repeated_or_left_out_are_refused() {
    let key = key();
    let (header, all) = chunks(&seal(&key, &plaintext(3 * CHUNK + 5)));
    let (_, others) = chunks(&seal(&key, &plaintext(3 * CHUNK + 5)));
    let [a, b, c, d] = all.as_slice() else { panic!("four chunks") };
    let cases: [(&str, Vec<&Vec<u8>>); 8] = [
        ("exchanged", vec![b, a, c, d]),
        ("repeated", vec![a, a, b, c, d]),
        ("left out", vec![a, c, d]),
        ("the first left out", vec![b, c, d]),
        ("the last repeated", vec![a, b, c, d, d]),
        ("the last first", vec![d]),
        ("of another stream", vec![a, &others[1], c, d]),
        ("nothing but the header", vec![]),
    ];
    for (name, case) in cases {
        let bytes = case.into_iter().fold(header.clone(), |mut bytes, chunk| {
            bytes.extend_from_slice(chunk);
            bytes
        });
        let (_, found) = open(&key, ONE, &bytes);
        let cause = cause(&found.expect_err(name));
        assert!(matches!(cause, OpenError::Rejected | OpenError::Truncated), "{name}: {cause}");
    }
}

#[test]
fn a_changed_byte_or_context_or_key_is_refused() {
    let key = key();
    let sealed = seal(&key, &plaintext(CHUNK + 5));
    let ends = [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, HEADER - 1, HEADER, HEADER + CHUNK, HEADER + CHUNK + TAG];
    for at in ends.into_iter().chain([sealed.len() - 1]) {
        let mut changed = sealed.clone();
        changed[at] ^= 4;
        assert!(open(&key, ONE, &changed).1.is_err(), "byte {at}");
    }
    assert_eq!(cause(&open(&key, OTHER, &sealed).1.expect_err("another context")), OpenError::Rejected);
    let stranger = lenient().decapsulation_key_from_seed(KemAlgorithm::MlKem768, &[1; 64]).expect("a key");
    assert_eq!(cause(&open(&stranger, ONE, &sealed).1.expect_err("another key")), OpenError::Rejected);
}

/// One encoding for each stream: an empty last chunk behind a full one is not what a sealer writes.
#[test]
fn an_empty_chunk_at_the_end_is_refused() {
    let key = key();
    let mut sealer = lenient().stream_sealer(key.encapsulation_key(), ONE).expect("a sealer");
    let mut sealed = sealer.header().to_vec();
    sealed.extend(sealer.next(&plaintext(CHUNK)).expect("a chunk"));
    sealed.extend(sealer.last(&[]).expect("a chunk"));
    assert_eq!(cause(&open(&key, ONE, &sealed).1.expect_err("not canonical")), OpenError::Truncated);
}

#[test]
fn a_stream_that_was_not_finished_does_not_open() {
    let key = key();
    let mut sealed = Vec::new();
    {
        let mut writer = lenient().seal_to(key.encapsulation_key(), ONE, &mut sealed).expect("a writer");
        writer.write_all(&plaintext(2 * CHUNK)).expect("written");
    }
    let (opened, found) = open(&key, ONE, &sealed);
    assert!(found.is_err(), "{} bytes came out", opened.len());
}

#[test]
fn an_error_is_final() {
    let key = key();
    let mut sealed = seal(&key, &plaintext(2 * CHUNK));
    let at = HEADER + CHUNK + TAG + 9;
    sealed[at] ^= 1;
    let mut reader = lenient().open_from(&key, ONE, sealed.as_slice()).expect("a reader");
    let mut opened = Vec::new();
    assert!(reader.read_to_end(&mut opened).is_err());
    assert_eq!(opened.len(), CHUNK, "the first chunk is authentic");
    for _ in 0..3 {
        assert!(reader.read(&mut [0; 10]).is_err(), "never an end after an error");
    }
}

#[test]
fn chunks_of_the_wrong_length_are_not_sealed() {
    let key = key();
    let mut sealer = lenient().stream_sealer(key.encapsulation_key(), ONE).expect("a sealer");
    assert_eq!(sealer.next(&[0; 5]), Err(SealError::ChunkLength { found: 5 }));
    let found = sealer.last(&plaintext(CHUNK + 1));
    assert_eq!(found, Err(SealError::TooLong { max: CHUNK, found: CHUNK + 1 }));
}

/// A writer that fails once, in the middle.
struct Failing(usize);

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or_else(|| io::Error::other("full"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn after_a_failed_write_nothing_follows() {
    let key = key();
    let mut writer = lenient().seal_to(key.encapsulation_key(), ONE, Failing(HEADER + 10)).expect("a writer");
    writer.write_all(&plaintext(CHUNK)).expect("it waits");
    assert!(writer.write_all(b"more").is_err());
    assert!(writer.write_all(b"more").is_err());
    assert!(writer.finish().is_err());
}

/// Gives a few bytes at a time.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.1);
        self.0.read(&mut buffer[..len])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pieces_do_not_matter(len in 0..3 * CHUNK, write in 1..100_000_usize, read in 1..100_000_usize) {
        let key = key();
        let plaintext = plaintext(len);
        let mut writer = lenient().seal_to(key.encapsulation_key(), ONE, Vec::new()).expect("a writer");
        for piece in plaintext.chunks(write) {
            writer.write_all(piece).expect("written");
        }
        let sealed = writer.finish().expect("finished");
        let mut opened = Vec::new();
        let mut reader = lenient().open_from(&key, ONE, Trickle(&sealed, read)).expect("a reader");
        reader.read_to_end(&mut opened).expect("opened");
        prop_assert!(opened == plaintext);
    }
}

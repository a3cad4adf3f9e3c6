//! Frames are opened as they were sealed, in their order, and not otherwise.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use daa_crypto::{FRAME_TAG, FrameError, FrameOpener, FrameSealer, Secret};
use proptest::prelude::*;

fn both(key: [u8; 32]) -> (FrameSealer, FrameOpener) {
    let key = Secret::from_bytes(key);
    (FrameSealer::new(&key), FrameOpener::new(&key))
}

proptest! {
    #[test]
    fn frames_are_those_of_rfc_8439_with_their_number_as_the_nonce(
        key in any::<[u8; 32]>(),
        frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), prop::collection::vec(any::<u8>(), 0..300)), 1..6),
    ) {
        let (mut sealer, mut opener) = both(key);
        let oracle = ChaCha20Poly1305::new(&key.into());
        for (number, (header, plain)) in (0_u64..).zip(frames) {
            let mut frame = plain.clone();
            let tag = sealer.seal(&header, &mut frame).unwrap();
            let mut nonce = [0; 12];
            nonce[4..].copy_from_slice(&number.to_le_bytes());
            let sealed = oracle.encrypt(&nonce.into(), Payload { msg: &plain, aad: &header }).unwrap();
            prop_assert_eq!([&frame[..], &tag].concat(), sealed);
            opener.open(&header, &mut frame, &tag).unwrap();
            prop_assert_eq!(frame, plain);
        }
    }

    #[test]
    fn a_changed_bit_is_refused_and_nothing_opens_after_it(
        key in any::<[u8; 32]>(), plain in prop::collection::vec(any::<u8>(), 1..100), at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let (mut sealer, mut opener) = both(key);
        let mut whole = [b"head", &plain[..]].concat();
        let tag = sealer.seal(b"head", &mut whole[4..]).unwrap();
        whole.extend_from_slice(&tag);
        let good = whole.clone();
        whole[at.index(good.len())] ^= 1 << bit;
        for whole in [whole, good] {
            let (header, rest) = whole.split_at(4);
            let (frame, tag) = rest.split_at(plain.len());
            let tag: [u8; FRAME_TAG] = tag.try_into().unwrap();
            prop_assert_eq!(opener.open(header, &mut frame.to_vec(), &tag), Err(FrameError::Rejected));
        }
    }
}

#[test]
fn frames_are_not_left_out_repeated_or_reordered() {
    let sealed: Vec<_> = {
        let (mut sealer, _) = both([1; 32]);
        (0..3_u8)
            .map(|n| {
                let mut frame = [n; 4];
                let tag = sealer.seal(b"", &mut frame).unwrap();
                (frame, tag)
            })
            .collect()
    };
    for wrong in [&[1_usize][..], &[0, 0], &[0, 2], &[0, 1, 0]] {
        let (_, mut opener) = both([1; 32]);
        let (last, before) = wrong.split_last().unwrap();
        for at in before {
            let (mut frame, tag) = sealed[*at];
            opener.open(b"", &mut frame, &tag).unwrap();
        }
        let (mut frame, tag) = sealed[*last];
        assert_eq!(opener.open(b"", &mut frame, &tag), Err(FrameError::Rejected), "{wrong:?}");
    }
    let (_, mut other) = both([2; 32]);
    let (mut frame, tag) = sealed[0];
    assert_eq!(other.open(b"", &mut frame, &tag), Err(FrameError::Rejected));
}

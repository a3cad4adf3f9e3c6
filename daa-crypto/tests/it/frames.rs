//! Frames are opened as they were sealed, in their order, and not otherwise.

use aes_gcm::Aes256Gcm;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use daa_crypto::{Context, FRAME_TAG, FrameCipher, FrameError, FrameOpener, FrameSealer, HkdfSha256, Secret};
use proptest::prelude::*;

/// What is built in, whatever the processor.
fn built_in() -> Vec<FrameCipher> {
    let all = [FrameCipher::ChaCha20Poly1305, FrameCipher::Aes256Gcm];
    all.into_iter().filter(|cipher| FrameSealer::new(*cipher, &Secret::from_bytes([0; 32])).is_ok()).collect()
}

fn cipher() -> impl Strategy<Value = FrameCipher> {
    prop::sample::select(built_in())
}

fn both(cipher: FrameCipher, key: [u8; 32]) -> (FrameSealer, FrameOpener) {
    let key = Secret::from_bytes(key);
    (FrameSealer::new(cipher, &key).unwrap(), FrameOpener::new(cipher, &key).unwrap())
}

/// By another implementation.
fn oracle(cipher: FrameCipher, key: &[u8; 32], number: u64, header: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    let payload = Payload { msg: plain, aad: header };
    match cipher {
        FrameCipher::Aes256Gcm => Aes256Gcm::new(key.into()).encrypt(&nonce.into(), payload).unwrap(),
        _ => ChaCha20Poly1305::new(key.into()).encrypt(&nonce.into(), payload).unwrap(),
    }
}

proptest! {
    #[test]
    fn frames_are_those_of_the_standards_with_their_number_as_the_nonce(
        cipher in cipher(),
        key in any::<[u8; 32]>(),
        frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), prop::collection::vec(any::<u8>(), 0..300)), 1..6),
    ) {
        let (mut sealer, mut opener) = both(cipher, key);
        for (number, (header, plain)) in (0_u64..).zip(frames) {
            let mut frame = plain.clone();
            let tag = sealer.seal(&header, &mut frame).unwrap();
            prop_assert_eq!([&frame[..], &tag].concat(), oracle(cipher, &key, number, &header, &plain));
            opener.open(&header, &mut frame, &tag).unwrap();
            prop_assert_eq!(frame, plain);
        }
    }

    #[test]
    fn a_changed_bit_is_refused_and_nothing_opens_after_it(
        cipher in cipher(), key in any::<[u8; 32]>(), plain in prop::collection::vec(any::<u8>(), 1..100), at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let (mut sealer, mut opener) = both(cipher, key);
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
    for cipher in built_in() {
        let sealed: Vec<_> = {
            let (mut sealer, _) = both(cipher, [1; 32]);
            (0..3_u8)
                .map(|n| {
                    let mut frame = [n; 4];
                    let tag = sealer.seal(b"", &mut frame).unwrap();
                    (frame, tag)
                })
                .collect()
        };
        for wrong in [&[1_usize][..], &[0, 0], &[0, 2], &[0, 1, 0]] {
            let (_, mut opener) = both(cipher, [1; 32]);
            let (last, before) = wrong.split_last().unwrap();
            for at in before {
                let (mut frame, tag) = sealed[*at];
                opener.open(b"", &mut frame, &tag).unwrap();
            }
            let (mut frame, tag) = sealed[*last];
            assert_eq!(opener.open(b"", &mut frame, &tag), Err(FrameError::Rejected), "{wrong:?}");
        }
        let (_, mut other) = both(cipher, [2; 32]);
        let (mut frame, tag) = sealed[0];
        assert_eq!(other.open(b"", &mut frame, &tag), Err(FrameError::Rejected));
    }
}

#[test]
fn the_key_is_replaced_after_a_million_frames_on_both_sides() {
    let key = [3; 32];
    let next = HkdfSha256::extract(b"", &key).derive(Context::new("daa-crypto frames next key v1"), &[]);
    for cipher in built_in() {
        let (mut sealer, mut opener) = both(cipher, key);
        for number in 0..(1 << 20) + 3_u64 {
            let mut frame = [7];
            let tag = sealer.seal(b"", &mut frame).unwrap();
            if number >= (1 << 20) - 1 {
                let key = if number < 1 << 20 { &key } else { next.as_bytes() };
                assert_eq!([&frame[..], &tag].concat(), oracle(cipher, key, number, b"", &[7]), "{number}");
            }
            opener.open(b"", &mut frame, &tag).unwrap();
            assert_eq!(frame, [7]);
        }
    }
}

#[test]
fn what_is_supported_is_built_in_and_has_a_number() {
    for cipher in FrameCipher::supported() {
        assert!(built_in().contains(cipher));
        assert_eq!(FrameCipher::from_number(cipher.to_number()), Some(*cipher));
    }
    assert!(FrameCipher::supported().contains(&FrameCipher::default()));
    assert_eq!(FrameCipher::from_number(2), None);
}

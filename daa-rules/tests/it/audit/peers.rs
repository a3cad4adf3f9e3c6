//! Notes and keys, against `signed_note`: what the one signs and accepts, the other does too.

use daa_rules::audit::{Note, NoteVerifier as _, SecretKey, SignatureState};
use signed_note::{Note as Other, Signer as _, StandardSigner, StandardVerifier, VerifierList};

use super::world::key;

/// Whether the other implementation believes that the key signed the note.
fn other_accepts(bytes: &[u8], key: &SecretKey) -> bool {
    let verifier = StandardVerifier::new(&key.public_key().to_string()).unwrap();
    let known = VerifierList::new(vec![Box::new(verifier)]);
    Other::from_bytes(bytes).is_ok_and(|note| note.verify(&known).is_ok())
}

fn accepts(bytes: &[u8], key: &SecretKey) -> bool {
    Note::parse(bytes).is_ok_and(|note| note.state(key.public_key()) == SignatureState::Verified)
}

const TEXTS: [&str; 4] = [
    "example.org/treasury\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
    "a\n",
    "\n",
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned \u{e8} subito sera.\n",
];

#[test]
fn each_believes_what_the_other_signs() {
    for (seed, text) in (1..).zip(TEXTS) {
        let (ours, stranger) = (key(seed), key(99));
        let theirs = StandardSigner::new(&ours.to_secret_text()).unwrap();
        assert_eq!(theirs.key_id().to_be_bytes(), ours.public_key().key_id().to_bytes());
        let mut note = Note::new(text.to_owned()).unwrap();
        note.sign(&ours).unwrap();
        note.sign(&stranger).unwrap();
        assert!(other_accepts(note.to_string().as_bytes(), &ours), "{text}");
        let mut other = Other::new(text.as_bytes(), &[]).unwrap();
        other.add_sigs(&[&theirs]).unwrap();
        assert!(accepts(&other.to_bytes(), &ours), "{text}");
        // Ed25519 signs in one way only: what both write is the same.
        let mut alone = Note::new(text.to_owned()).unwrap();
        alone.sign(&ours).unwrap();
        assert_eq!(alone.to_string().into_bytes(), other.to_bytes());
    }
}

#[test]
fn both_refuse_the_same_changes() {
    let ours = key(1);
    for text in TEXTS {
        let mut note = Note::new(text.to_owned()).unwrap();
        note.sign(&ours).unwrap();
        let good = note.to_string().into_bytes();
        assert!(accepts(&good, &ours) && other_accepts(&good, &ours));
        let agree = |bytes: &[u8], what: &str| {
            let (here, there) = (accepts(bytes, &ours), other_accepts(bytes, &ours));
            assert_eq!(here, there, "{what} of {:?}", String::from_utf8_lossy(bytes));
        };
        for at in 0..good.len() {
            for flip in [0x01, 0x04, 0x20, 0x80] {
                let mut bytes = good.clone();
                bytes[at] ^= flip;
                agree(&bytes, "a change");
            }
            agree(&good[..at], "a beginning");
            let mut bytes = good.clone();
            bytes.remove(at);
            agree(&bytes, "a gap");
            for new in [b'\n', b' ', b'=', b'+', 0xe2] {
                let mut bytes = good.clone();
                bytes.insert(at, new);
                agree(&bytes, "an addition");
            }
        }
    }
}

//! Vectors of the drafts: X-Wing, and HQC behind its feature.

use serde::Deserialize;

use super::{Hex, load};
use crate::{CryptoSuite, KemAlgorithm, KemCiphertext};

#[derive(Deserialize)]
struct XWing {
    seed: Hex,
    eseed: Hex,
    ss: Hex,
    sk: Hex,
    pk: Hex,
    ct: Hex,
}

#[test]
fn x_wing() {
    let suite = CryptoSuite::new();
    let vectors = load::<Vec<XWing>>("x-wing");
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        assert_eq!(*vector.seed, *vector.sk, "the secret key is the seed");
        let key = suite.decapsulation_key_from_seed(KemAlgorithm::XWing, &vector.seed).expect("a key");
        assert_eq!(key.encapsulation_key().as_raw(), &*vector.pk);
        let ciphertext = KemCiphertext::from_raw(KemAlgorithm::XWing, &vector.ct).expect("a ciphertext");
        assert_eq!(suite.decapsulate(&key, &ciphertext).expect("a secret").as_bytes(), &*vector.ss);

        let public = x_wing::EncapsulationKey::try_from(&*vector.pk).expect("a public key");
        let randomness: [u8; 64] = (*vector.eseed).try_into().expect("64 bytes");
        let (ciphertext, secret) = public.encapsulate_deterministic((&randomness).into());
        assert_eq!((ciphertext.as_slice(), secret.as_slice()), (&*vector.ct, &*vector.ss));
    }
}

#[cfg(feature = "hqc")]
#[test]
fn hqc_192() {
    use hqc_kem::hqc192;
    use shake::{ExtendableOutput as _, Shake256, Update as _, XofReader as _};

    #[derive(Deserialize)]
    struct Vector {
        seed: Hex,
        pk: Hex,
        sk: Hex,
        ct: Hex,
        ss: Hex,
    }
    let suite = CryptoSuite::new().with_policy(crate::Policy::none().with_kem(KemAlgorithm::X25519Hqc192));
    let vectors = load::<Vec<Vector>>("hqc-192");
    assert_eq!(vectors.len(), 10);
    for vector in vectors {
        // The generator of the reference implementation: SHAKE256 of the seed and a byte of zero.
        let mut randomness = Shake256::default().chain(&*vector.seed).chain([0]).finalize_xof();
        let (mut seed, mut message, mut salt) = ([0; 32], [0; hqc192::MESSAGE_SIZE], [0; hqc192::SALT_SIZE]);
        randomness.read(&mut seed);
        randomness.read(&mut message);
        randomness.read(&mut salt);

        let (public, secret) = hqc192::generate_key_deterministic(&seed);
        assert_eq!((public.as_ref(), secret.as_ref()), (&*vector.pk, &*vector.sk));
        let (ciphertext, shared) = public.encapsulate_deterministic(&message, &salt).expect("a ciphertext");
        assert_eq!((ciphertext.as_ref(), shared.as_ref()), (&*vector.ct, &*vector.ss));
        assert_eq!(secret.decapsulate(&ciphertext).as_ref(), &*vector.ss);

        let hybrid = suite.decapsulation_key_from_seed(KemAlgorithm::X25519Hqc192, &[seed, [7; 32]].concat());
        let hybrid = hybrid.expect("a key");
        assert!(hybrid.encapsulation_key().as_raw().starts_with(&vector.pk), "its first half is HQC's key");
    }
}

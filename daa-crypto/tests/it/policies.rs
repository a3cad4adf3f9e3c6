//! Downgrades are refused wherever an algorithm enters.

use daa_crypto::{
    Algorithm, Argon2Params, Context, CryptoSuite, DecodeError, Fault, KemAlgorithm, KemCiphertext, KemError,
    KeyError, KeyFile, KeyFileError, KeyId, NotAccepted, OpenError, Passphrase, Policy, Reaction, SealError,
    Signature, SignatureAlgorithm, SigningKey, VerifyError,
};

use crate::{lenient, seed};

const TEST: Context = Context::new("daa-crypto test");

/// A suite that accepts one algorithm of each kind, and not the ones that are tried.
fn strict() -> CryptoSuite {
    let policy = Policy::none().with_signature(SignatureAlgorithm::MlDsa87).with_kem(KemAlgorithm::MlKem1024);
    CryptoSuite::new().with_policy(policy)
}

fn refused(error: NotAccepted) -> Algorithm {
    error.algorithm
}

#[test]
fn the_default_refuses_what_is_not_post_quantum_or_weaker_than_category_3() {
    let policy = Policy::default();
    let refused: Vec<_> =
        SignatureAlgorithm::ALL.iter().copied().filter(|&one| !policy.accepts_signature(one)).collect();
    use SignatureAlgorithm as A;
    assert_eq!(refused, [A::MlDsa44, A::Ed25519, A::MlDsa44Ed25519]);
    let kems: Vec<_> = KemAlgorithm::ALL.iter().copied().filter(|&one| policy.accepts_kem(one)).collect();
    assert_eq!(kems, [KemAlgorithm::MlKem768, KemAlgorithm::MlKem1024, KemAlgorithm::XWing]);
}

#[test]
fn signatures_of_a_refused_algorithm_are_neither_read_nor_verified_nor_made() {
    let (lenient, strict) = (lenient(), strict());
    for &algorithm in SignatureAlgorithm::ALL.iter().filter(|&&one| one != SignatureAlgorithm::MlDsa87) {
        let key = lenient.signing_key_from_seed(algorithm, &seed(algorithm.seed_len())).expect("a key");
        let signature = key.sign(TEST, b"message").expect("a signature");
        let expected = Algorithm::Signature(algorithm);

        let found = strict.decode_verifying_key(&key.verifying_key().encode());
        assert!(matches!(found, Err(DecodeError::NotAccepted(error)) if refused(error) == expected));
        let found = strict.decode_signature(&signature.encode());
        assert!(matches!(found, Err(DecodeError::NotAccepted(error)) if refused(error) == expected));
        let found = strict.verify(key.verifying_key(), TEST, b"message", &signature);
        assert!(matches!(found, Err(VerifyError::NotAccepted(error)) if refused(error) == expected));
        let found = strict.generate_signing_key(algorithm);
        assert!(matches!(found, Err(KeyError::NotAccepted(error)) if refused(error) == expected));
    }
}

#[test]
fn nothing_is_encapsulated_sealed_or_opened_with_a_refused_algorithm() {
    let (lenient, strict) = (lenient(), strict());
    for &algorithm in KemAlgorithm::ALL.iter().filter(|&&one| one != KemAlgorithm::MlKem1024) {
        let key = lenient.decapsulation_key_from_seed(algorithm, &seed(algorithm.seed_len())).expect("a key");
        let public = key.encapsulation_key();
        let (ciphertext, _) = lenient.encapsulate(public).expect("a secret");
        let sealed = lenient.seal(public, TEST, b"", b"message").expect("sealed");
        let header = lenient.stream_sealer(public, TEST).expect("a sealer").header().to_vec();
        let expected = Algorithm::Kem(algorithm);

        let found = strict.decode_encapsulation_key(&public.encode());
        assert!(matches!(found, Err(DecodeError::NotAccepted(error)) if refused(error) == expected));
        let found = strict.decode_kem_ciphertext(&ciphertext.encode());
        assert!(matches!(found, Err(DecodeError::NotAccepted(error)) if refused(error) == expected));
        let found = strict.encapsulate(public);
        assert!(matches!(found, Err(KemError::NotAccepted(error)) if refused(error) == expected));
        let found = strict.decapsulate(&key, &ciphertext);
        assert!(matches!(found, Err(KemError::NotAccepted(error)) if refused(error) == expected));
        let found = strict.generate_decapsulation_key(algorithm);
        assert!(matches!(found, Err(KeyError::NotAccepted(error)) if refused(error) == expected));
        let found = strict.seal(public, TEST, b"", b"message");
        assert!(matches!(found, Err(SealError::NotAccepted(error)) if refused(error) == expected));
        let found = strict.open(&key, TEST, b"", &sealed);
        assert!(
            matches!(found, Err(OpenError::Decode(DecodeError::NotAccepted(error))) if refused(error) == expected)
        );
        let found = strict.stream_sealer(public, TEST);
        assert!(matches!(found, Err(SealError::NotAccepted(error)) if refused(error) == expected));
        let found = strict.stream_opener(&key, TEST, &header);
        assert!(
            matches!(found, Err(OpenError::Decode(DecodeError::NotAccepted(error))) if refused(error) == expected)
        );
        let found = strict.open_from(&key, TEST, header.as_slice());
        assert!(found.is_err());
    }
}

#[test]
fn a_key_file_of_a_refused_algorithm_does_not_unlock() {
    let (lenient, strict) = (lenient(), strict());
    let key = lenient.signing_key_from_seed(SignatureAlgorithm::Ed25519, &seed(32)).expect("a key");
    let passphrase = Passphrase::new("passphrase");
    let file = KeyFile::lock(&key, &passphrase, Argon2Params::weakest()).expect("locked");
    let found = file.unlock::<SigningKey>(&strict, &passphrase);
    let expected = Algorithm::Signature(SignatureAlgorithm::Ed25519);
    assert!(
        matches!(found, Err(KeyFileError::Decode(DecodeError::NotAccepted(error))) if refused(error) == expected)
    );
}

/// What the caller chose is the caller's fault; what came in bytes is that of who made them.
#[test]
fn faults_are_whose_they_are() {
    let fault = |error: &dyn Reaction| error.fault();
    assert_eq!(fault(&Argon2Params::new(1, 2, 1).expect_err("too little")), Fault::Caller);
    let found = Signature::from_raw(SignatureAlgorithm::MlDsa65, b"short").expect_err("too short");
    assert_eq!(fault(&found), Fault::Caller);
    let found = KemCiphertext::from_raw(KemAlgorithm::XWing, b"short").expect_err("too short");
    assert_eq!(fault(&found), Fault::Caller);
    assert_eq!(fault(&"short".parse::<KeyId>().expect_err("too short")), Fault::Caller);
    let refused = CryptoSuite::new().decode_verifying_key(&[1, 1, 1, 0x21]).expect_err("refused");
    assert_eq!(fault(&refused), Fault::Peer, "a downgrade");
    let DecodeError::NotAccepted(by_itself) = refused else { panic!("{refused:?}") };
    assert_eq!(fault(&by_itself), Fault::Caller);
}

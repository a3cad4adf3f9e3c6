//! Mutual post-quantum handshakes of two nodes, on one core. Target: 1,000 a second, 10 KB.
//!
//! Both sides run in one thread, over no connection: what a handshake costs its two nodes together. Beside it the provider
//! called bare for what it cannot do without: two ML-DSA-65 signatures made and verified, one ML-KEM-768 key made, encapsulated
//! to and decapsulated with.

use std::hint::black_box;
use std::time::Instant;

use aws_lc_rs::kem::{DecapsulationKey, EncapsulationKey, ML_KEM_768};
use aws_lc_rs::signature::{KeyPair as _, ML_DSA_65, ML_DSA_65_SIGNING, PqdsaKeyPair, UnparsedPublicKey};
use daa_crypto::CryptoSuite;
use daa_net::NodeIdentity;
use daa_net::auth::{Auth, Ends};

use crate::line::{Better, Line};

const ROUNDS: usize = 15;
const EACH: usize = 100;

pub(crate) fn run() -> Vec<Line> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (alice, bob) = (auth(), auth());
    let (signer, verifier) = bare_keys();
    // The keys travel once.
    let first = runtime.block_on(meet(&alice, &bob));
    let (mut ours, mut bare, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        ours.push(rate(|| bytes = runtime.block_on(meet(&alice, &bob))));
        bare.push(rate(|| primitives(&signer, &verifier)));
    }
    let [ours, bare] = [ours, bare].map(median);
    vec![
        Line::alone("handshake", "mutual, both sides on one core", "/s", ours).beside(
            "its primitives called bare",
            bare,
            Better::Higher,
        ),
        Line::alone("handshake", "bytes, when both know the other's key", "bytes", bytes as f64),
        Line::alone("handshake", "bytes, the first time", "bytes", first as f64),
    ]
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn rate(mut work: impl FnMut()) -> f64 {
    let began = Instant::now();
    (0..EACH).for_each(|_| work());
    EACH as f64 / began.elapsed().as_secs_f64()
}

fn auth() -> Auth {
    let suite = CryptoSuite::new();
    let identity = NodeIdentity::generate(&suite).expect("an identity");
    Auth::new(suite, identity, "bench".parse().expect("a name"))
}

/// The bytes of the three messages.
async fn meet(alice: &Auth, bob: &Auth) -> usize {
    let here = Ends { ours: b"the end of alice", theirs: b"the end of bob" };
    let there = Ends { ours: here.theirs, theirs: here.ours };
    let (initiator, hello) = alice.initiate(here, Some(bob.node()), &mut rand::rng()).expect("a hello");
    let (responder, reply) = bob.respond(there, &hello, &mut rand::rng()).await.expect("a reply");
    let (ours, finish) = initiator.reply(&reply).await.expect("a finish");
    let theirs = responder.finish(&finish).expect("a session");
    assert_eq!(ours.id(), theirs.id());
    hello.len() + reply.len() + finish.len()
}

fn bare_keys() -> (PqdsaKeyPair, UnparsedPublicKey<Vec<u8>>) {
    let signer = PqdsaKeyPair::generate(&ML_DSA_65_SIGNING).expect("a key");
    let public = signer.public_key().as_ref().to_vec();
    (signer, UnparsedPublicKey::new(&ML_DSA_65, public))
}

fn primitives(signer: &PqdsaKeyPair, verifier: &UnparsedPublicKey<Vec<u8>>) {
    for message in [[1_u8; 64], [2; 64]] {
        let mut signature = vec![0; 3_309];
        signer.sign(&message, &mut signature).expect("a signature");
        verifier.verify(&message, &signature).expect("a right one");
    }
    let key = DecapsulationKey::generate(&ML_KEM_768).expect("a key");
    let public = key.encapsulation_key().expect("its public half").key_bytes().expect("its bytes");
    let public = EncapsulationKey::new(&ML_KEM_768, public.as_ref()).expect("a public key");
    let (ciphertext, secret) = public.encapsulate().expect("a secret");
    let again = key.decapsulate(ciphertext).expect("the secret");
    assert_eq!(black_box(secret.as_ref()), again.as_ref());
}

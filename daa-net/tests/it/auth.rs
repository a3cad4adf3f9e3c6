//! The handshake, between honest nodes and against others.

use std::sync::Arc;

use daa_core::fault::{Fault, Reaction};
use daa_crypto::{CryptoSuite, FrameCipher, SignatureAlgorithm};
use daa_net::auth::{Access, Auth, AuthError, Ends, MAX_MESSAGE, Refusal, Session};
use daa_net::{IdentityError, NodeIdentity};
use proptest::prelude::*;

use crate::nodes::{node, ready, rng};

const ALICE: u64 = 1;
const BOB: u64 = 2;
const EVE: u64 = 3;

const HERE: Ends<'_> = Ends { ours: b"alice's end", theirs: b"bob's end" };
const THERE: Ends<'_> = Ends { ours: b"bob's end", theirs: b"alice's end" };

fn auth(number: u64) -> Auth {
    Auth::new(CryptoSuite::new(), node(number), "net".parse().unwrap())
}

/// The sessions of both, and the bytes that travelled.
fn meet(alice: &Auth, bob: &Auth) -> (Session, Session, usize) {
    let (initiator, hello) = alice.initiate(HERE, Some(bob.node()), &mut rng(4)).unwrap();
    let (responder, reply) = ready(bob.respond(THERE, &hello, &mut rng(5))).unwrap();
    let (ours, finish) = ready(initiator.reply(&reply)).unwrap();
    let theirs = responder.finish(&finish).unwrap();
    (ours, theirs, hello.len() + reply.len() + finish.len())
}

#[test]
fn both_know_each_other_and_have_the_same_keys_and_no_others_do() {
    let (alice, bob) = (auth(ALICE), auth(BOB));
    let (ours, theirs, _) = meet(&alice, &bob);
    assert_eq!((ours.peer(), theirs.peer()), (bob.node(), alice.node()));
    assert_eq!(ours.peer_key(), node(BOB).key());
    assert_eq!(ours.id(), theirs.id());
    assert_eq!(ours.send_key(), theirs.receive_key());
    assert_eq!(ours.receive_key(), theirs.send_key());
    assert_ne!(ours.send_key(), ours.receive_key());
    let (again, _, _) = meet(&alice, &bob);
    assert_ne!(
        ours.id(),
        again.id(),
        "the same randomness of both sides, and another secret and other signatures"
    );
    assert_ne!(ours.send_key(), again.send_key());
}

#[test]
fn keys_travel_once_and_then_a_handshake_has_less_than_ten_kilobytes() {
    let (alice, bob) = (auth(ALICE), auth(BOB));
    let first = meet(&alice, &bob).2;
    let second = meet(&alice, &bob).2;
    let key = node(ALICE).key().encode().len();
    assert!(first - second >= 2 * key, "{first} {second}");
    assert!(second < 10_000, "{second}");
    let (alice, bob) = (auth(ALICE), auth(BOB));
    alice.remember(node(BOB).key()).unwrap();
    bob.remember(node(ALICE).key()).unwrap();
    assert_eq!(meet(&alice, &bob).2, second);
}

#[test]
fn frames_are_sealed_with_what_both_like_best_and_otherwise_with_what_everybody_has() {
    use FrameCipher::{Aes256Gcm, ChaCha20Poly1305};
    let (aes_first, only_chacha): (&[_], &[_]) = (&[Aes256Gcm, ChaCha20Poly1305], &[]);
    let has_aes = FrameCipher::supported().contains(&Aes256Gcm);
    for (of_alice, of_bob, found) in [
        (aes_first, aes_first, if has_aes { Aes256Gcm } else { ChaCha20Poly1305 }),
        (aes_first, only_chacha, ChaCha20Poly1305),
        (only_chacha, aes_first, ChaCha20Poly1305),
        (&[ChaCha20Poly1305, Aes256Gcm], aes_first, ChaCha20Poly1305),
        (aes_first, &[ChaCha20Poly1305, Aes256Gcm], ChaCha20Poly1305),
    ] {
        let (alice, bob) = (auth(ALICE).with_frame_ciphers(of_alice), auth(BOB).with_frame_ciphers(of_bob));
        let (ours, theirs, _) = meet(&alice, &bob);
        assert_eq!((ours.cipher(), theirs.cipher()), (found, found), "{of_alice:?} {of_bob:?}");
    }
}

#[test]
fn a_cipher_that_was_taken_out_of_the_hello_is_missed() {
    let (alice, bob) = (auth(ALICE), auth(BOB));
    let (initiator, hello) = alice.initiate(HERE, None, &mut rng(4)).unwrap();
    // The field of the ciphers is the last one, and as long as the one of a node that has no other cipher.
    let offered: Vec<u8> = FrameCipher::supported().iter().map(|cipher| cipher.to_number() as u8).collect();
    assert!(hello.ends_with(&offered));
    let other = vec![9; offered.len()];
    let less = [&hello[..hello.len() - offered.len()], &other].concat();
    let (_, reply) = ready(bob.respond(THERE, &less, &mut rng(5))).unwrap();
    assert!(matches!(ready(initiator.reply(&reply)), Err(AuthError::Signature(_))));

    // Nor is one taken that was not offered.
    let narrow = alice.with_frame_ciphers(&[]);
    let (initiator, hello) = narrow.initiate(HERE, None, &mut rng(4)).unwrap();
    let more = [&hello[..hello.len() - 1], &[FrameCipher::Aes256Gcm.to_number() as u8]].concat();
    let (_, reply) = ready(bob.respond(THERE, &more, &mut rng(5))).unwrap();
    let refused = ready(initiator.reply(&reply)).unwrap_err();
    let has_aes = FrameCipher::supported().contains(&FrameCipher::Aes256Gcm);
    assert!(if has_aes {
        matches!(refused, AuthError::Version)
    } else {
        matches!(refused, AuthError::Signature(_))
    });
}

#[test]
fn any_node_will_do_where_none_is_expected() {
    let (alice, bob) = (auth(ALICE), auth(BOB));
    let (initiator, hello) = alice.initiate(HERE, None, &mut rng(4)).unwrap();
    let (responder, reply) = ready(bob.respond(THERE, &hello, &mut rng(5))).unwrap();
    let (ours, finish) = ready(initiator.reply(&reply)).unwrap();
    assert_eq!(ours.peer(), bob.node());
    assert_eq!(responder.finish(&finish).unwrap().peer(), alice.node());
}

#[test]
fn who_is_not_expected_says_so_and_is_found_out_if_it_does_not() {
    let (alice, bob, eve) = (auth(ALICE), auth(BOB), auth(EVE));
    let (initiator, hello) = alice.initiate(HERE, Some(bob.node()), &mut rng(4)).unwrap();
    let refused = ready(eve.respond(THERE, &hello, &mut rng(5))).unwrap_err();
    assert!(
        matches!(refused, AuthError::NotExpected { expected, found } if (expected, found) == (bob.node(), eve.node()))
    );
    let told = ready(initiator.reply(&refused.to_message().unwrap())).unwrap_err();
    assert!(matches!(told, AuthError::Refused(Refusal::NotExpected)));

    // Eve lets herself be expected by somebody else, and passes that on.
    let (initiator, _) = alice.initiate(HERE, Some(bob.node()), &mut rng(4)).unwrap();
    let (_, other) = alice.initiate(HERE, None, &mut rng(4)).unwrap();
    let (_, reply) = ready(eve.respond(THERE, &other, &mut rng(5))).unwrap();
    let found = ready(initiator.reply(&reply)).unwrap_err();
    assert!(matches!(found, AuthError::NotExpected { found, .. } if found == eve.node()));
}

#[test]
fn networks_do_not_meet() {
    let other = Auth::new(CryptoSuite::new(), node(BOB), "another".parse().unwrap());
    let (initiator, hello) = auth(ALICE).initiate(HERE, None, &mut rng(4)).unwrap();
    let refused = ready(other.respond(THERE, &hello, &mut rng(5))).unwrap_err();
    assert!(matches!(refused, AuthError::Network));
    assert_eq!(refused.fault(), Fault::Peer);
    let told = ready(initiator.reply(&refused.to_message().unwrap())).unwrap_err();
    assert!(matches!(told, AuthError::Refused(Refusal::Network)));
}

#[test]
fn only_those_who_are_let_in_get_in() {
    let (alice, bob) = (auth(ALICE), auth(BOB));
    let strict = auth(BOB).with_access(Access::everybody().without(alice.node()));
    let (initiator, hello) = alice.initiate(HERE, None, &mut rng(4)).unwrap();
    let (responder, reply) = ready(strict.respond(THERE, &hello, &mut rng(5))).unwrap();
    let (_, finish) = ready(initiator.reply(&reply)).unwrap();
    let refused = responder.finish(&finish).unwrap_err();
    assert!(
        matches!(refused, AuthError::Access { node } if node == alice.node()),
        "when it is proved who it is"
    );
    assert_eq!(refused.to_message().map(|message| message.len()), None, "who is shut out is told nothing");

    let picky = auth(ALICE).with_access(Access::only([auth(EVE).node()]));
    let forbidden = picky.initiate(HERE, Some(bob.node()), &mut rng(4)).unwrap_err();
    assert!(matches!(forbidden, AuthError::Forbidden { .. }));
    assert_eq!(forbidden.fault(), Fault::Caller);
    let (initiator, hello) = picky.initiate(HERE, None, &mut rng(4)).unwrap();
    let (_, reply) = ready(bob.respond(THERE, &hello, &mut rng(5))).unwrap();
    assert!(matches!(ready(initiator.reply(&reply)), Err(AuthError::Access { node }) if node == bob.node()));
}

#[test]
fn a_node_does_not_talk_to_itself() {
    let alice = auth(ALICE);
    assert!(matches!(alice.initiate(HERE, Some(alice.node()), &mut rng(4)), Err(AuthError::Itself)));
    let (initiator, hello) = alice.initiate(HERE, None, &mut rng(4)).unwrap();
    assert!(matches!(ready(alice.respond(THERE, &hello, &mut rng(5))), Err(AuthError::Reflected)));
    assert!(matches!(ready(initiator.reply(&hello)), Err(AuthError::Unexpected)), "its own hello");
}

#[test]
fn a_handshake_is_of_one_connection() {
    let (alice, bob) = (auth(ALICE), auth(BOB));
    let (initiator, hello) = alice.initiate(HERE, None, &mut rng(4)).unwrap();
    // What carries Eve's connection to Bob has proved her end, not Alice's.
    let eves = Ends { ours: b"bob's end", theirs: b"eve's end" };
    let (_, reply) = ready(bob.respond(eves, &hello, &mut rng(5))).unwrap();
    assert!(matches!(ready(initiator.reply(&reply)), Err(AuthError::Signature(_))));

    let (initiator, hello) = alice.initiate(HERE, None, &mut rng(4)).unwrap();
    let swapped = Ends { ours: THERE.theirs, theirs: THERE.ours };
    let (_, reply) = ready(bob.respond(swapped, &hello, &mut rng(5))).unwrap();
    assert!(matches!(ready(initiator.reply(&reply)), Err(AuthError::Signature(_))));
}

#[test]
fn what_was_recorded_is_worth_nothing_later() {
    let (alice, bob) = (auth(ALICE), auth(BOB));
    let (initiator, hello) = alice.initiate(HERE, None, &mut rng(4)).unwrap();
    let (_, reply) = ready(bob.respond(THERE, &hello, &mut rng(5))).unwrap();
    let (_, finish) = ready(initiator.reply(&reply)).unwrap();

    let (later, _) = alice.initiate(HERE, None, &mut rng(6)).unwrap();
    assert!(matches!(ready(later.reply(&reply)), Err(AuthError::Signature(_))), "the reply");
    let (later, _) = ready(bob.respond(THERE, &hello, &mut rng(7))).unwrap();
    assert!(matches!(later.finish(&finish), Err(AuthError::Signature(_))), "hello and finish");
}

#[test]
fn nobody_is_another() {
    let (alice, bob, eve) = (auth(ALICE), auth(BOB), auth(EVE));
    // Eve says that she is Alice: her hello has another node in it.
    let as_alice = |bob: &Auth| {
        let (initiator, hello) = eve.initiate(HERE, None, &mut rng(4)).unwrap();
        let (own, stolen) = (eve.node(), alice.node());
        let hello = replaced(&hello, own.as_bytes(), stolen.as_bytes());
        let (responder, reply) = ready(bob.respond(THERE, &hello, &mut rng(5))).unwrap();
        // She does not have the transcript that Bob has signed, and cannot go on as she should.
        assert!(matches!(ready(initiator.reply(&reply)), Err(AuthError::Signature(_))));
        responder
    };
    let (initiator, hello) = eve.initiate(HERE, None, &mut rng(4)).unwrap();
    let (_, reply) = ready(bob.respond(THERE, &hello, &mut rng(5))).unwrap();
    let (_, finish) = ready(initiator.reply(&reply)).unwrap();
    let wrong = as_alice(&bob).finish(&finish).unwrap_err();
    assert!(
        matches!(wrong, AuthError::WrongKey { said, found } if (said, found) == (alice.node(), eve.node()))
    );

    // Bob knows Alice's key: then Eve's signature is not by it.
    bob.remember(node(ALICE).key()).unwrap();
    bob.remember(node(EVE).key()).unwrap();
    let (initiator, hello) = eve.initiate(HERE, None, &mut rng(4)).unwrap();
    let (_, reply) = ready(bob.respond(THERE, &hello, &mut rng(5))).unwrap();
    let (_, finish) = ready(initiator.reply(&reply)).unwrap();
    assert!(matches!(as_alice(&bob).finish(&finish), Err(AuthError::Signature(_))));
}

fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

#[test]
fn weak_keys_are_no_nodes() {
    let suite = CryptoSuite::new();
    let generous =
        suite.clone().with_policy(suite.policy().clone().with_signature(SignatureAlgorithm::MlDsa44));
    for algorithm in [SignatureAlgorithm::MlDsa44, SignatureAlgorithm::SlhDsaSha2_192f] {
        let key = generous.generate_signing_key_with(algorithm, &mut rng(8)).unwrap();
        assert_eq!(
            auth(BOB).remember(key.verifying_key()),
            Err(IdentityError::Algorithm { found: algorithm })
        );
        let refused = NodeIdentity::new(Arc::new(key)).unwrap_err();
        assert_eq!(refused, IdentityError::Algorithm { found: algorithm });
    }
}

#[test]
fn a_wrong_confirmation_is_no_session() {
    let (alice, bob) = (auth(ALICE), auth(BOB));
    for at in 0..32 {
        let (initiator, hello) = alice.initiate(HERE, None, &mut rng(4)).unwrap();
        let (responder, reply) = ready(bob.respond(THERE, &hello, &mut rng(5))).unwrap();
        let (_, mut finish) = ready(initiator.reply(&reply)).unwrap();
        // The last field of the message.
        let last = finish.len() - 32;
        finish[last + at] ^= 1;
        assert!(matches!(responder.finish(&finish), Err(AuthError::Confirmation)), "byte {at}");
    }
}

#[test]
fn messages_have_a_bound_and_a_place() {
    let (alice, bob) = (auth(ALICE), auth(BOB));
    let long = vec![0; MAX_MESSAGE + 1];
    assert!(matches!(ready(bob.respond(THERE, &long, &mut rng(5))), Err(AuthError::TooLong { .. })));
    let (initiator, hello) = alice.initiate(HERE, None, &mut rng(4)).unwrap();
    let (responder, reply) = ready(bob.respond(THERE, &hello, &mut rng(5))).unwrap();
    assert!(matches!(responder.finish(&hello), Err(AuthError::Unexpected)));
    let (responder, _) = ready(bob.respond(THERE, &hello, &mut rng(5))).unwrap();
    assert!(matches!(responder.finish(&reply), Err(AuthError::Unexpected)));
    assert!(matches!(ready(bob.respond(THERE, &reply, &mut rng(5))), Err(AuthError::Unexpected)));
    assert!(matches!(ready(initiator.reply(&long)), Err(AuthError::TooLong { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever changes a bit of any message gets no session that either side believes in: the one who reads the changed
    /// message fails, or, where it is the hello, the one who reads the answer.
    #[test]
    fn a_changed_bit_is_noticed(which in 0..3, at: prop::sample::Index, bit in 0..8_u8) {
        let (alice, bob) = (auth(ALICE), auth(BOB));
        let change = |message: &mut Vec<u8>, number| {
            if number == which {
                let at = at.index(message.len());
                message[at] ^= 1 << bit;
            }
        };
        let (initiator, mut hello) = alice.initiate(HERE, Some(bob.node()), &mut rng(4)).unwrap();
        change(&mut hello, 0);
        let Ok((responder, mut reply)) = ready(bob.respond(THERE, &hello, &mut rng(5))) else {
            prop_assert_eq!(which, 0);
            return Ok(());
        };
        change(&mut reply, 1);
        let Ok((_, mut finish)) = ready(initiator.reply(&reply)) else {
            prop_assert!(which < 2);
            return Ok(());
        };
        prop_assert_eq!(which, 2);
        change(&mut finish, 2);
        prop_assert!(responder.finish(&finish).is_err());
    }

    #[test]
    fn garbage_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600), cut: prop::sample::Index) {
        let (alice, bob) = (auth(ALICE), auth(BOB));
        prop_assert!(ready(bob.respond(THERE, &bytes, &mut rng(5))).is_err());
        let (initiator, hello) = alice.initiate(HERE, None, &mut rng(4)).unwrap();
        let (responder, reply) = ready(bob.respond(THERE, &hello, &mut rng(5))).unwrap();
        prop_assert!(ready(bob.respond(THERE, &hello[..cut.index(hello.len())], &mut rng(5))).is_err());
        prop_assert!(ready(initiator.reply(&reply[..cut.index(reply.len())])).is_err());
        prop_assert!(responder.finish(&bytes).is_err());
    }
}

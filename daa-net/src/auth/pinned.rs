//! The bytes of the handshake, as they are: whoever changes one of these speaks another version.

use bytes::Bytes;
use daa_core::seed::Seed;
use daa_crypto::{Context, CryptoSuite, FrameCipher, KemAlgorithm, Secret, SignatureAlgorithm};
use data_encoding::HEXLOWER;

use super::session::Keys;
use super::transcript::Transcript;
use super::wire::{self, Finish, Hello, Reply};
use super::{Auth, Ends};
use crate::identity::NodeIdentity;
use crate::testing::ready;

fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

fn hello() -> Hello {
    Hello {
        versions: vec![1],
        network: "net".to_owned(),
        node: Bytes::from_static(&[1; 32]),
        expected: Bytes::from_static(&[2; 32]),
        nonce: Bytes::from_static(&[3; 32]),
        kem: Bytes::from_static(b"kem"),
        knows_key: true,
        ciphers: vec![1, 0],
    }
}

fn reply() -> Reply {
    Reply {
        version: 1,
        nonce: Bytes::from_static(&[4; 32]),
        ciphertext: Bytes::from_static(b"ciphertext"),
        node: Bytes::from_static(&[2; 32]),
        key: Bytes::from_static(b"key"),
        knows_key: true,
        cipher: 1,
    }
}

#[test]
fn messages_stay_what_they_are() {
    use prost::Message as _;
    assert_eq!(hex(wire::hello(&hello()).0), HELLO);
    let body = Bytes::from(reply().encode_to_vec());
    assert_eq!(hex(wire::reply(body, b"signature".to_vec())), REPLY);
    let body = Bytes::from(Finish { key: Bytes::from_static(b"key") }.encode_to_vec());
    assert_eq!(hex(wire::finish(body, b"signature".to_vec(), &[5; 32])), FINISH);
    let refused = [super::Refusal::Network, super::Refusal::Version, super::Refusal::NotExpected];
    assert_eq!(refused.map(|one| hex(wire::refused(one))), ["22020801", "22020802", "22020803"]);
}

#[test]
fn transcript_and_keys_stay_what_they_are() {
    let mut transcript = Transcript::new(b"initiator", b"responder");
    assert_eq!(hex(transcript.hash()), TRANSCRIPT_OF_ENDS);
    for part in [b"hello".as_slice(), b"", b"reply"] {
        transcript.add(part);
    }
    assert_eq!(hex(transcript.hash()), TRANSCRIPT);
    let derive = || Keys::derive(&Secret::from_bytes([6; 32]), &[7; 32]);
    assert_eq!(hex(derive().confirmation.as_bytes()), CONFIRMATION);
    let key = identity(1).key().clone();
    let (ours, theirs) = (
        derive().of_initiator(key.clone(), 1, FrameCipher::default()),
        derive().of_responder(key, 1, FrameCipher::default()),
    );
    assert_eq!(hex(ours.send_key().as_bytes()), INITIATOR_KEY);
    assert_eq!(hex(ours.receive_key().as_bytes()), RESPONDER_KEY);
    assert_eq!((ours.send_key(), ours.receive_key()), (theirs.receive_key(), theirs.send_key()));
    assert_eq!([hex(ours.id().as_bytes()), hex(theirs.id().as_bytes())], [SESSION, SESSION]);
}

fn identity(seed: u8) -> NodeIdentity {
    let key = CryptoSuite::new().signing_key_from_seed(SignatureAlgorithm::MlDsa65, &[seed; 32]).unwrap();
    NodeIdentity::new(std::sync::Arc::new(key)).unwrap()
}

/// A whole handshake, and the same once more from the bytes that travelled, with the names written out: what is in the
/// transcript, who signs how much of it in which context, and what the keys are made of.
#[test]
fn a_handshake_is_made_of_these_parts_in_this_order() {
    let suite = CryptoSuite::new();
    // The same on every processor.
    let auth =
        |seed| Auth::new(suite.clone(), identity(seed), "net".parse().unwrap()).with_frame_ciphers(&[]);
    let (alice, bob) = (auth(1), auth(2));
    let here = Ends { ours: b"initiator", theirs: b"responder" };
    let there = Ends { ours: b"responder", theirs: b"initiator" };
    let rng = || Seed::from_u64(3).rng();
    let (initiator, hello) = alice.initiate(here, Some(bob.node()), &mut rng()).unwrap();
    assert_eq!(hex(blake3::hash(&hello).as_bytes()), HASH_OF_A_HELLO, "the whole hello of these seeds");
    let (responder, reply) = ready(bob.respond(there, &hello, &mut rng())).unwrap();
    let (ours, finish) = ready(initiator.reply(&reply)).unwrap();
    let theirs = responder.finish(&finish).unwrap();

    let (_, hello) = wire::read_hello(&hello).unwrap();
    let (said, reply) = wire::read_reply(&reply).unwrap();
    let (_, finish) = wire::read_finish(&finish).unwrap();
    let hash = |parts: &[&[u8]]| {
        let mut hasher = blake3::Hasher::new_derive_key("daa-net pq-auth 1 transcript");
        for part in [b"initiator".as_slice(), b"responder"].iter().chain(parts) {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
        }
        *hasher.finalize().as_bytes()
    };
    let until_reply = hash(&[&hello, &reply.body]);
    let signature = suite.decode_signature(&reply.signature).unwrap();
    let context = Context::new("daa-net pq-auth responder v1");
    suite.verify(identity(2).key(), context, &until_reply, &signature).unwrap();
    let until_finish = hash(&[&hello, &reply.body, &reply.signature, &finish.body]);
    let signature = suite.decode_signature(&finish.signature).unwrap();
    let context = Context::new("daa-net pq-auth initiator v1");
    suite.verify(identity(1).key(), context, &until_finish, &signature).unwrap();

    let kem = suite.generate_decapsulation_key_with(KemAlgorithm::MlKem768, &mut rng()).unwrap();
    let ciphertext = suite.decode_kem_ciphertext(&said.ciphertext).unwrap();
    let secret = suite.decapsulate(&kem, &ciphertext).unwrap();
    let all = hash(&[&hello, &reply.body, &reply.signature, &finish.body, &finish.signature]);
    let keys = Keys::derive(&secret, &all);
    assert_eq!(finish.confirmation, keys.confirmation.as_bytes().as_slice());
    let again = keys.of_initiator(identity(2).key().clone(), 1, FrameCipher::default());
    assert_eq!([again.id(), again.id()], [ours.id(), theirs.id()]);
    assert_eq!([again.send_key(), again.receive_key()], [ours.send_key(), ours.receive_key()]);
}

const HELLO: &str = "0a790a010112036e65741a200101010101010101010101010101010101010101010101010101010101010101222002020202020202020202020202020202020202020202020202020202020202022a20030303030303030303030303030303030303030303030303030303030303030332036b656d380142020100";
const REPLY: &str = "12680a5b0801122004040404040404040404040404040404040404040404040404040404040404041a0a63697068657274657874222002020202020202020202020202020202020202020202020202020202020202022a036b65793001380112097369676e6174757265";
const FINISH: &str = "1a340a050a036b657912097369676e61747572651a200505050505050505050505050505050505050505050505050505050505050505";
const TRANSCRIPT_OF_ENDS: &str = "89016af25a767148292ab2d52eaa627642ed80ed21b4245e09a7adb1dfd5ae76";
const TRANSCRIPT: &str = "69367d488ab671d4cacdd61a0c871dcbddc4dde40e3c52d7d1645e3ba698aed7";
const CONFIRMATION: &str = "5839a53ae533dca14dd1427a93252d7f70fcd609351102de1714fec99a3471f6";
const INITIATOR_KEY: &str = "0b9805a82264746eda122418920ad1a54cdffc0cb5efbfa405fbd39954cab377";
const RESPONDER_KEY: &str = "9458b64782ccb2ebcfdee34c41b7ccf4a46e65c00135bf39dab46c5db5e1357c";
const SESSION: &str = "3b184b675e2a698518fee6198d59ee1584ce363f824467532f26ca2a40b1ba34";
const HASH_OF_A_HELLO: &str = "4cfd3e1aac117955ff95533ac6e0a677ea902a03238b7d3e6989a7ecc1f9c95d";

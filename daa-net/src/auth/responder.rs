//! The side that answers.

use std::sync::Arc;

use bytes::Bytes;
use daa_crypto::{FrameCipher, KemAlgorithm, Secret, VerifyingKey};
use prost::Message as _;
use rand_core::CryptoRng;

use super::error::AuthError;
use super::initiator::received_key;
use super::session::{Keys, Session};
use super::transcript::Transcript;
use super::wire::{self, Hello, NONCE, Reply};
use super::{Ends, INITIATOR, RESPONDER, Shared, VERSIONS};
use crate::node_id::NodeId;

/// Of the versions and of the ciphers that a hello names, so many are looked at.
const MAX_OFFERED: usize = 16;

/// A handshake that was answered: it waits for the finish.
pub struct Responder {
    shared: Arc<Shared>,
    transcript: Transcript,
    secret: Secret,
    version: u32,
    cipher: FrameCipher,
    /// Who said hello.
    node: NodeId,
    /// The key that we said we know.
    known: Option<VerifyingKey>,
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responder").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Responder {
    pub(super) async fn begin(
        shared: Arc<Shared>,
        ends: Ends<'_>,
        hello: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Vec<u8>), AuthError> {
        let (hello, body) = wire::read_hello(hello)?;
        let (version, node) = check(&shared, &hello)?;
        let kem = shared.suite.decode_encapsulation_key(&hello.kem)?;
        if kem.algorithm() != KemAlgorithm::MlKem768 {
            return Err(AuthError::Version);
        }
        let mut transcript = Transcript::new(ends.theirs, ends.ours);
        transcript.add(&body);

        let (ciphertext, secret) = shared.suite.encapsulate(&kem)?;
        let known = shared.keys.key(&node);
        let cipher = choose(&shared.ciphers, &hello.ciphers);
        let mut nonce = [0; NONCE];
        rng.fill_bytes(&mut nonce);
        let identity = &shared.identity;
        // Only who was expected can be known.
        let is_known = hello.knows_key && !hello.expected.is_empty();
        let reply = Reply {
            version,
            nonce: Bytes::copy_from_slice(&nonce),
            ciphertext: ciphertext.encode().into(),
            node: Bytes::copy_from_slice(identity.node().as_bytes()),
            key: if is_known { Bytes::new() } else { identity.key().encode().into() },
            knows_key: known.is_some(),
            cipher: cipher.to_number(),
        };
        let body = Bytes::from(reply.encode_to_vec());
        transcript.add(&body);
        let signature = identity.signer().sign(RESPONDER, &transcript.hash()).await?.encode();
        transcript.add(&signature);
        let bytes = wire::reply(body, signature);
        Ok((Self { shared, transcript, secret, version, cipher, node, known }, bytes))
    }

    /// Reads the finish. Nothing that the other side sent counts before this is well.
    ///
    /// # Errors
    /// [`AuthError`]: the connection is to be closed.
    pub fn finish(mut self, finish: &[u8]) -> Result<Session, AuthError> {
        let (finish, signed) = wire::read_finish(finish)?;
        let key = received_key(&self.shared, self.node, self.known.as_ref(), &finish.key)?;
        let suite = &self.shared.suite;
        self.transcript.add(&signed.body);
        let signature = suite.decode_signature(&signed.signature)?;
        suite.verify(&key, INITIATOR, &self.transcript.hash(), &signature)?;
        self.transcript.add(&signed.signature);
        let keys = Keys::derive(&self.secret, &self.transcript.hash());
        let confirmation = Secret::from_bytes(wire::fixed("confirmation", &signed.confirmation)?);
        // In constant time.
        if confirmation != keys.confirmation {
            return Err(AuthError::Confirmation);
        }
        // Not before: who says whose hello it is tells nobody whom we let in.
        if !self.shared.access.lets_in(&self.node) {
            return Err(AuthError::Access { node: self.node });
        }
        self.shared.keys.put(&key);
        Ok(keys.of_responder(key, self.version, self.cipher))
    }
}

/// What frames are sealed with: what both like best, and otherwise what everybody has.
fn choose(ours: &[FrameCipher], offered: &[u32]) -> FrameCipher {
    let theirs = offered.iter().take(MAX_OFFERED).find_map(|number| FrameCipher::from_number(*number));
    theirs.filter(|cipher| ours.first() == Some(cipher)).unwrap_or_default()
}

/// Whether a hello is for us; before anything that costs.
fn check(shared: &Shared, hello: &Hello) -> Result<(u32, NodeId), AuthError> {
    if hello.network != shared.network.as_str() {
        return Err(AuthError::Network);
    }
    let offered = hello.versions.iter().take(MAX_OFFERED);
    let spoken = |version: &u32| offered.clone().any(|offered| offered == version);
    let version = VERSIONS.into_iter().find(spoken).ok_or(AuthError::Version)?;
    wire::fixed::<NONCE>("nonce", &hello.nonce)?;
    let (own, node) = (shared.identity.node(), wire::node(&hello.node)?);
    if node == own {
        return Err(AuthError::Reflected);
    }
    if !hello.expected.is_empty() {
        let expected = wire::node(&hello.expected)?;
        if expected != own {
            return Err(AuthError::NotExpected { expected, found: own });
        }
    }
    Ok((version, node))
}

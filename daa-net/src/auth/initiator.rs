//! The side that begins.

use std::sync::Arc;

use bytes::Bytes;
use daa_crypto::{DecapsulationKey, FrameCipher, KemAlgorithm, VerifyingKey};
use prost::Message as _;
use rand_core::CryptoRng;

use super::error::AuthError;
use super::session::{Keys, Session};
use super::transcript::Transcript;
use super::wire::{self, Finish, Hello, NONCE, Reply};
use super::{Ends, INITIATOR, RESPONDER, Shared, VERSIONS};
use crate::identity;
use crate::node_id::NodeId;

/// A handshake that was begun: it waits for the reply.
pub struct Initiator {
    shared: Arc<Shared>,
    transcript: Transcript,
    kem: DecapsulationKey,
    expected: Option<NodeId>,
    /// The key that we said we know.
    known: Option<VerifyingKey>,
}

impl std::fmt::Debug for Initiator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Initiator").field("expected", &self.expected).finish_non_exhaustive()
    }
}

impl Initiator {
    pub(super) fn begin(
        shared: Arc<Shared>,
        ends: Ends<'_>,
        expected: Option<NodeId>,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Vec<u8>), AuthError> {
        let own = shared.identity.node();
        if expected == Some(own) {
            return Err(AuthError::Itself);
        }
        if let Some(node) = expected.filter(|node| !shared.access.lets_in(node)) {
            return Err(AuthError::Forbidden { node });
        }
        let kem = shared.suite.generate_decapsulation_key_with(KemAlgorithm::MlKem768, rng)?;
        let known = expected.and_then(|node| shared.keys.key(&node));
        let mut nonce = [0; NONCE];
        rng.fill_bytes(&mut nonce);
        let (bytes, body) = wire::hello(&Hello {
            versions: VERSIONS.to_vec(),
            network: shared.network.to_string(),
            node: Bytes::copy_from_slice(own.as_bytes()),
            expected: expected.map_or_else(Bytes::new, |node| Bytes::copy_from_slice(node.as_bytes())),
            nonce: Bytes::copy_from_slice(&nonce),
            kem: kem.encapsulation_key().encode().into(),
            knows_key: known.is_some(),
            ciphers: shared.ciphers.iter().map(|cipher| cipher.to_number()).collect(),
        });
        let mut transcript = Transcript::new(ends.ours, ends.theirs);
        transcript.add(&body);
        Ok((Self { shared, transcript, kem, expected, known }, bytes))
    }

    /// Reads the reply: the session, and the finish to send. Whatever is sealed under the session may follow the finish at once.
    ///
    /// # Errors
    /// [`AuthError`]: the connection is to be closed; [`AuthError::to_message`] is what to tell the other side before.
    ///
    /// # Cancel safety
    /// To drop the future is to give the handshake up.
    pub async fn reply(mut self, reply: &[u8]) -> Result<(Session, Vec<u8>), AuthError> {
        let (reply, signed) = wire::read_reply(reply)?;
        if !VERSIONS.contains(&reply.version) {
            return Err(AuthError::Version);
        }
        let cipher =
            FrameCipher::from_number(reply.cipher).filter(|cipher| self.shared.ciphers.contains(cipher));
        let cipher = cipher.ok_or(AuthError::Version)?;
        wire::fixed::<NONCE>("nonce", &reply.nonce)?;
        let key = self.peer_key(&reply)?;
        let suite = &self.shared.suite;
        self.transcript.add(&signed.body);
        let signature = suite.decode_signature(&signed.signature)?;
        suite.verify(&key, RESPONDER, &self.transcript.hash(), &signature)?;
        self.transcript.add(&signed.signature);
        let secret = suite.decapsulate(&self.kem, &suite.decode_kem_ciphertext(&reply.ciphertext)?)?;

        let identity = &self.shared.identity;
        let own = if reply.knows_key { Bytes::new() } else { identity.key().encode().into() };
        let body = Bytes::from(Finish { key: own }.encode_to_vec());
        self.transcript.add(&body);
        let signature = identity.signer().sign(INITIATOR, &self.transcript.hash()).await?.encode();
        self.transcript.add(&signature);
        let keys = Keys::derive(&secret, &self.transcript.hash());
        let finish = wire::finish(body, signature, keys.confirmation.as_bytes());
        self.shared.keys.put(&key);
        Ok((keys.of_initiator(key, reply.version, cipher), finish))
    }

    /// The key of who replied, if that is somebody to talk to.
    fn peer_key(&self, reply: &Reply) -> Result<VerifyingKey, AuthError> {
        let node = wire::node(&reply.node)?;
        if node == self.shared.identity.node() {
            return Err(AuthError::Reflected);
        }
        if let Some(expected) = self.expected.filter(|expected| *expected != node) {
            return Err(AuthError::NotExpected { expected, found: node });
        }
        let key = received_key(&self.shared, node, self.known.as_ref(), &reply.key)?;
        if !self.shared.access.lets_in(&node) {
            return Err(AuthError::Access { node });
        }
        Ok(key)
    }
}

/// The key of a node: the one that we said we know, or the one that came.
pub(super) fn received_key(
    shared: &Shared,
    node: NodeId,
    known: Option<&VerifyingKey>,
    came: &[u8],
) -> Result<VerifyingKey, AuthError> {
    match (known, came.is_empty()) {
        (Some(key), true) => Ok(key.clone()),
        (None, false) => {
            let key = shared.suite.decode_verifying_key(came)?;
            identity::check(&key)?;
            match NodeId::of(&key) {
                found if found == node => Ok(key),
                found => Err(AuthError::WrongKey { said: node, found }),
            }
        }
        _ => Err(AuthError::MissingKey { node }),
    }
}

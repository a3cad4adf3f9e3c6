//! Checkpoints of an audit log under a post-quantum signature too.
//!
//! The log's own key is Ed25519, which a quantum computer would forge. A [`CheckpointSigner`] signs each checkpoint beside it, with a key
//! of [`crypto`](crate::crypto), by custom [ML-DSA-65](crate::crypto::SignatureAlgorithm::MlDsa65), and the [`CheckpointKey`] of it is what
//! an auditor demands: then a checkpoint counts only with both signatures, and one that was stripped of the second is refused.
//! Who does not know the second key passes its signature over.
//!
//! ```
//! # use std::sync::Arc;
//! use daa::audit::{CheckpointKey, CheckpointSigner};
//! use daa::crypto::{CryptoSuite, SignatureAlgorithm};
//! use daa::rules::audit::*;
//! # use daa::core::action::{Action, Context, Gate};
//! # use daa::core::{clock::SystemClock, event::MemoryEventStore};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! # let (store, clock) = (Arc::new(MemoryEventStore::new()), Arc::new(SystemClock::new()));
//! # let wish = Action::new("a".parse()?, "wish".parse()?, "alice".parse()?)?;
//! # let _ = Gate::builder(store.clone(), clock.clone()).build().authorize(wish, Context::new()).await;
//!
//! // Whoever keeps the log.
//! let key = SecretKey::generate("example.org/treasury".parse()?, KeyUse::Log);
//! let suite = CryptoSuite::new();
//! let second = suite.generate_signing_key(SignatureAlgorithm::MlDsa65)?;
//! let second = CheckpointSigner::new(suite, "example.org/treasury".parse()?, second);
//! let published = (key.public_key().to_string(), second.public_key().to_string());
//! # let (tiles, keeper) = (Arc::new(MemoryTiles::new()), Arc::new(KeeperInMemory::new()));
//! let parts = AuditParts { store, clock, tiles, keeper, key: Arc::new(key) };
//! let options = AuditOptions::new().with_second_key(Arc::new(second));
//! let mut log = AuditLog::open("treasury", parts, options).await?;
//! log.catch_up().await?;
//! let bundle = Bundle::of_records(log.reader(), &[0]).await?.to_string();
//!
//! // An auditor, who has the bundle and both public keys.
//! let (key, second) = published;
//! let second = CheckpointKey::read(&CryptoSuite::new(), &second)?;
//! let trust = Trust::in_log(key.parse()?)?.with_required(Arc::new(second));
//! let verified = Bundle::parse(bundle.as_bytes())?.verify(&trust)?;
//! assert_eq!(verified.records.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The program `daa-audit-pq` (feature `cli`) verifies such a bundle: `daa-audit-pq verify --key KEY --also SECOND bundle.json`.
//!
//! # Another second key
//!
//! A log signs with as many further keys as it is given. To replace one, sign with the old and the new one until the auditors have
//! the new one, which a [rotation](crate::crypto::Rotation) that the old one signed vouches for: [`CheckpointKey::follow`].
//! A bundle of before stays one for the key that signed it.
//!
//! # In notes
//!
//! C2SP signed-note has no byte for these signatures. (It has one for ML-DSA-44, `0x06`, which says what a witness says, at a time,
//! in a form and a context of its own.) So a key is, as it wants for such, the byte `0xff`, a longer identifier that collides with
//! nothing, and the key in the encoding of [`crypto`](crate::crypto), which says of which algorithm it is; the id of the key covers all of them. The
//! signature is that of the note's text in a [`Context`] of its own.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use daa_crypto::{
    Context, CryptoSuite, DecodeError, Rotation, RotationError, Signature, SigningKey, VerifyingKey,
};
use daa_rules::audit::{KeyId, KeyName, NoteError, NoteSigner, NoteVerifier, SignError};
use data_encoding::{BASE64, HEXLOWER};

/// What the second key signs is the text of a note, and nothing else.
const NOTE: Context = Context::new("daa audit note v1");
/// The byte of C2SP signed-note for signatures that it has none for.
const UNASSIGNED: u8 = 0xff;
/// What follows it, so that these are told from others.
const IDENTIFIER: &[u8] = b"daa crypto note v1\n";
/// Bytes of a text that is looked at for a key: the largest has 4 KiB.
const MAX_TEXT: usize = 8 << 10;

/// A text that is no [`CheckpointKey`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointKeyError {
    /// Not the parts of a key, between `+`.
    #[error("a public key is name+id+base64")]
    Format,
    /// Its name is not allowed.
    #[error("the name of the key is not allowed")]
    Name(#[from] NoteError),
    /// A key of another kind, such as the Ed25519 key of a log.
    #[error("it is no key of daa-crypto that signs notes")]
    Kind,
    /// The key itself, or its algorithm, is not accepted.
    #[error("the key is not accepted")]
    Key(#[from] DecodeError),
    /// The id is not that of name and key.
    #[error("the key's id is {actual}, its name and content have {expected}")]
    Id {
        /// The id of what it holds.
        expected: KeyId,
        /// The id that it says.
        actual: String,
    },
}

/// A public key that verifies checkpoints, beside that of the log. As text it is `name+id+base64`.
#[derive(Clone, Debug)]
pub struct CheckpointKey {
    suite: CryptoSuite,
    name: KeyName,
    id: KeyId,
    key: VerifyingKey,
    /// As its text and its id have it, from [`UNASSIGNED`] on.
    encoded: Vec<u8>,
}

impl CheckpointKey {
    /// A key by its name, by custom that of the log.
    #[must_use]
    pub fn new(suite: CryptoSuite, name: KeyName, key: VerifyingKey) -> Self {
        let mut encoded = vec![UNASSIGNED];
        encoded.extend_from_slice(IDENTIFIER);
        encoded.extend_from_slice(&key.encode());
        let id = KeyId::of(&name, UNASSIGNED, encoded.get(1..).unwrap_or_default());
        Self { suite, name, id, key, encoded }
    }

    /// Reads the text of a key. The policy of the suite says which algorithms are accepted, then and when it verifies.
    ///
    /// # Errors
    /// [`CheckpointKeyError`].
    pub fn read(suite: &CryptoSuite, text: &str) -> Result<Self, CheckpointKeyError> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(CheckpointKeyError::Format);
        }
        let (name, rest) = text.split_once('+').ok_or(CheckpointKeyError::Format)?;
        let (id, encoded) = rest.split_once('+').ok_or(CheckpointKeyError::Format)?;
        let name: KeyName = name.parse()?;
        let bytes = BASE64.decode(encoded.as_bytes()).map_err(|_| CheckpointKeyError::Format)?;
        let key = bytes.strip_prefix(&[UNASSIGNED]).and_then(|rest| rest.strip_prefix(IDENTIFIER));
        let key = suite.decode_verifying_key(key.ok_or(CheckpointKeyError::Kind)?)?;
        let read = Self::new(suite.clone(), name, key);
        if HEXLOWER.encode(&read.id.to_bytes()) != id {
            let actual = id.chars().take(16).collect();
            return Err(CheckpointKeyError::Id { expected: read.id, actual });
        }
        Ok(read)
    }

    /// The key to trust now, where this was the first one, and these are all rotations since.
    ///
    /// # Errors
    /// [`RotationError`] of the first that does not hold.
    pub fn follow(&self, rotations: &[Rotation]) -> Result<Self, RotationError> {
        let key = self.suite.follow(&self.key, rotations)?;
        Ok(Self::new(self.suite.clone(), self.name.clone(), key))
    }

    /// The key itself.
    #[must_use]
    pub const fn key(&self) -> &VerifyingKey {
        &self.key
    }
}

/// Reads the text of a [`CheckpointKey`] that the default [`CryptoSuite`] accepts: for programs that verify, such as `daa-audit-pq`.
///
/// # Errors
/// [`CheckpointKeyError`].
pub fn read_key(text: &str) -> Result<Arc<dyn NoteVerifier>, Box<dyn Error + Send + Sync>> {
    Ok(Arc::new(CheckpointKey::read(&CryptoSuite::new(), text)?))
}

impl fmt::Display for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, self.id, BASE64.encode_display(&self.encoded))
    }
}

impl PartialEq for CheckpointKey {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.encoded == other.encoded
    }
}

impl Eq for CheckpointKey {}

impl NoteVerifier for CheckpointKey {
    fn name(&self) -> &KeyName {
        &self.name
    }

    fn key_id(&self) -> KeyId {
        self.id
    }

    fn key_bytes(&self) -> &[u8] {
        self.key.as_raw()
    }

    fn verify(&self, text: &str, signature: &[u8]) -> bool {
        Signature::from_raw(self.key.algorithm(), signature)
            .is_ok_and(|it| self.suite.verify(&self.key, NOTE, text.as_bytes(), &it).is_ok())
    }
}

/// A secret key that signs checkpoints, beside that of the log: see
/// [`AuditOptions::with_second_key`](daa_rules::audit::AuditOptions::with_second_key). A log that cannot have its signature publishes no
/// checkpoint.
#[derive(Debug)]
pub struct CheckpointSigner {
    public: CheckpointKey,
    key: SigningKey,
}

impl CheckpointSigner {
    /// A key by its name, by custom that of the log.
    #[must_use]
    pub fn new(suite: CryptoSuite, name: KeyName, key: SigningKey) -> Self {
        Self { public: CheckpointKey::new(suite, name, key.verifying_key().clone()), key }
    }

    /// The public half, for those who verify.
    #[must_use]
    pub const fn public_key(&self) -> &CheckpointKey {
        &self.public
    }

    /// The key itself, such as to hand over to another one.
    #[must_use]
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }
}

impl NoteSigner for CheckpointSigner {
    fn name(&self) -> &KeyName {
        &self.public.name
    }

    fn key_id(&self) -> KeyId {
        self.public.id
    }

    fn public(&self) -> String {
        self.public.to_string()
    }

    fn sign(&self, text: &str) -> Result<Vec<u8>, SignError> {
        let signature = self.key.sign(NOTE, text.as_bytes());
        let signature = signature.map_err(|source| SignError::new(self.public.name.clone(), source))?;
        Ok(signature.as_raw().to_vec())
    }
}

#[cfg(test)]
mod tests;

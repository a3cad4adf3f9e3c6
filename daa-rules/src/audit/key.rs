//! Keys that sign notes: the log's and the witnesses'.
//!
//! Another algorithm is another implementation of [`NoteSigner`] and [`NoteVerifier`]; nothing else here knows of
//! Ed25519.

use std::fmt;
use std::str::FromStr;

use daa_core::clock::Timestamp;
use daa_core::fault::{Fault, Reaction, Retry};
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::base64;
use super::note::{KeyName, NoteError};

/// Tells keys of one name apart: the beginning of a hash over name, algorithm and public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(u32);

impl KeyId {
    /// The id of a key: C2SP signed-note, "Signatures".
    #[must_use]
    pub fn of(name: &KeyName, algorithm: u8, public: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(name.as_str()).chain_update([b'\n', algorithm]);
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash.chain_update(public).finalize());
        Self(u32::from_be_bytes([a, b, c, d]))
    }

    /// Wraps the four bytes that signatures begin with.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }

    /// The four bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Signs notes with a secret key.
pub trait NoteSigner: Send + Sync + fmt::Debug {
    /// The name of the key.
    fn name(&self) -> &KeyName;

    /// Which key of that name.
    fn key_id(&self) -> KeyId;

    /// The public half, as others are given it.
    fn public(&self) -> String;

    /// The signature of a note with this text.
    ///
    /// # Errors
    /// [`SignError`], such as when the key is in a device that does not answer.
    fn sign(&self, text: &str) -> Result<Vec<u8>, SignError>;
}

/// Verifies signatures on notes with a public key.
pub trait NoteVerifier: Send + Sync + fmt::Debug {
    /// The name of the key.
    fn name(&self) -> &KeyName;

    /// Which key of that name.
    fn key_id(&self) -> KeyId;

    /// The bytes of the public key, by which one key with two names is found out.
    fn key_bytes(&self) -> &[u8];

    /// Whether this is its signature of a note with this text. Must not panic, whatever the bytes.
    fn verify(&self, text: &str, signature: &[u8]) -> bool;
}

/// A key that did not sign.
#[derive(Debug, thiserror::Error)]
#[error("the key {name} did not sign")]
#[non_exhaustive]
pub struct SignError {
    /// The name of the key.
    pub name: KeyName,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl SignError {
    /// For those who implement a signer.
    #[must_use]
    pub fn new(name: KeyName, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { name, source: source.into() }
    }
}

impl Reaction for SignError {
    fn fault(&self) -> Fault {
        Fault::Environment
    }

    fn retry(&self) -> Retry {
        Retry::Later
    }
}

/// What the signatures of a key say. Each has its own byte, so that no signature of one can be taken for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyUse {
    /// The text of a note, in Ed25519: for the key of a log. Byte `0x01`.
    Log,
    /// That a checkpoint goes on from all that were seen before, at a time, in Ed25519: for the key of a witness. Byte
    /// `0x04`, as in C2SP tlog-cosignature.
    Witness,
}

impl KeyUse {
    const fn byte(self) -> u8 {
        match self {
            Self::Log => 0x01,
            Self::Witness => 0x04,
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Log),
            0x04 => Some(Self::Witness),
            _ => None,
        }
    }
}

/// What a witness signs begins with this.
pub(super) const COSIGNATURE: &str = "cosignature/v1";

fn cosigned(text: &str, seconds: u64) -> String {
    format!("{COSIGNATURE}\ntime {seconds}\n{text}")
}

/// A text that is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not the parts of a key, between `+`.
    #[error("a public key is name+id+base64, a secret one PRIVATE+KEY+name+id+base64")]
    Format,
    /// Its name is not allowed.
    #[error("the name of the key is not allowed")]
    Name(#[from] NoteError),
    /// The id is not that of name and key.
    #[error("the key's id is {actual}, its name and content have {expected}")]
    Id {
        /// The id of what it holds.
        expected: KeyId,
        /// The id that it says.
        actual: KeyId,
    },
    /// An algorithm that is not supported here.
    #[error("keys of algorithm {0:#04x} are not supported here")]
    Algorithm(u8),
    /// Bytes that are no Ed25519 key.
    #[error("the bytes are no Ed25519 key")]
    Content,
}

impl Reaction for KeyError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// The public half of an Ed25519 key, in text as `name+id+base64`: what is given to those who verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    name: KeyName,
    id: KeyId,
    usage: KeyUse,
    key: VerifyingKey,
}

impl PublicKey {
    fn new(name: KeyName, usage: KeyUse, key: VerifyingKey) -> Self {
        let id = KeyId::of(&name, usage.byte(), key.as_bytes());
        Self { name, id, usage, key }
    }

    /// What its signatures say.
    #[must_use]
    pub const fn usage(&self) -> KeyUse {
        self.usage
    }
}

impl NoteVerifier for PublicKey {
    fn name(&self) -> &KeyName {
        &self.name
    }

    fn key_id(&self) -> KeyId {
        self.id
    }

    fn key_bytes(&self) -> &[u8] {
        self.key.as_bytes()
    }

    fn verify(&self, text: &str, signature: &[u8]) -> bool {
        let strict = |text: &str, signature: &[u8]| {
            Signature::from_slice(signature)
                .is_ok_and(|it| self.key.verify_strict(text.as_bytes(), &it).is_ok())
        };
        match self.usage {
            KeyUse::Log => strict(text, signature),
            KeyUse::Witness => signature.split_first_chunk().is_some_and(|(seconds, signature)| {
                let seconds = u64::from_be_bytes(*seconds);
                i64::try_from(seconds).is_ok() && strict(&cosigned(text, seconds), signature)
            }),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![self.usage.byte()];
        bytes.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, self.id, BASE64.encode_display(&bytes))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let Parts { name, id, usage, bytes } = parts(text)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Content)?;
        // A key of small order verifies signatures of anything.
        if key.is_weak() {
            return Err(KeyError::Content);
        }
        Self::new(name, usage, key).checked(id)
    }
}

impl PublicKey {
    fn checked(self, actual: KeyId) -> Result<Self, KeyError> {
        if self.id == actual { Ok(self) } else { Err(KeyError::Id { expected: self.id, actual }) }
    }
}

/// What a key's text says.
struct Parts {
    name: KeyName,
    id: KeyId,
    usage: KeyUse,
    bytes: Zeroizing<[u8; 32]>,
}

/// Reads `name+id+base64`.
fn parts(text: &str) -> Result<Parts, KeyError> {
    let (name, rest) = text.trim().split_once('+').ok_or(KeyError::Format)?;
    let (id, encoded) = rest.split_once('+').ok_or(KeyError::Format)?;
    // Checked first, so that nothing long is decoded: 33 bytes in base64.
    if id.len() != 8 || encoded.len() > 4096 {
        return Err(KeyError::Format);
    }
    let id = HEXLOWER.decode(id.as_bytes()).ok().and_then(|id| id.try_into().ok());
    let id = KeyId::from_bytes(id.ok_or(KeyError::Format)?);
    let bytes = Zeroizing::new(base64::decode(encoded).ok_or(KeyError::Format)?);
    let (algorithm, key) = bytes.split_first().ok_or(KeyError::Format)?;
    let usage = KeyUse::of(*algorithm).ok_or(KeyError::Algorithm(*algorithm))?;
    let key = Zeroizing::new(<[u8; 32]>::try_from(key).map_err(|_| KeyError::Content)?);
    Ok(Parts { name: name.parse()?, id, usage, bytes: key })
}

const SECRET: &str = "PRIVATE+KEY+";

/// An Ed25519 key, in text as `PRIVATE+KEY+name+id+base64`. Its bytes are overwritten when it is dropped.
#[derive(Clone)]
pub struct SecretKey {
    public: PublicKey,
    key: SigningKey,
}

impl SecretKey {
    /// The key of 32 bytes that nobody can guess.
    #[must_use]
    pub fn from_seed(name: KeyName, usage: KeyUse, seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        Self { public: PublicKey::new(name, usage, key.verifying_key()), key }
    }

    /// A new key, of the operating system's randomness.
    #[must_use]
    pub fn generate(name: KeyName, usage: KeyUse) -> Self {
        Self::from_seed(name, usage, &Zeroizing::new(rand::random()))
    }

    /// The public half.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The whole key as text, to be kept where nobody else reads.
    #[must_use]
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(vec![self.public.usage.byte()]);
        bytes.extend_from_slice(self.key.as_bytes());
        let encoded = Zeroizing::new(BASE64.encode(&bytes));
        Zeroizing::new(format!("{SECRET}{}+{}+{}", self.public.name, self.public.id, *encoded))
    }

    /// The signature of a witness under a checkpoint, made at a time.
    pub(super) fn cosign(&self, text: &str, at: Timestamp) -> Vec<u8> {
        let seconds = at.as_millis() / 1000;
        let mut signature = seconds.to_be_bytes().to_vec();
        signature.extend_from_slice(&self.key.sign(cosigned(text, seconds).as_bytes()).to_bytes());
        signature
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({}+{})", self.public.name, self.public.id)
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let Parts { name, id, usage, bytes: seed } =
            parts(text.trim().strip_prefix(SECRET).ok_or(KeyError::Format)?)?;
        let key = Self::from_seed(name, usage, &seed);
        key.public.clone().checked(id).map(|_| key)
    }
}

/// A witness's key is refused here: what it signs says when, and is made by
/// [`Witness`](super::Witness) alone.
impl NoteSigner for SecretKey {
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
        match self.public.usage {
            KeyUse::Log => Ok(self.key.sign(text.as_bytes()).to_bytes().to_vec()),
            KeyUse::Witness => Err(SignError::new(self.public.name.clone(), "it is the key of a witness")),
        }
    }
}

//! Signed notes, as C2SP signed-note has them: text, a blank line, and signatures by name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use data_encoding::BASE64;

use super::base64;
use super::key::{KeyId, NoteSigner, NoteVerifier, SignError};

/// The largest note, in bytes: room for dozens of post-quantum signatures.
pub const MAX_NOTE: usize = 256 << 10;
/// The most signatures on a note.
pub const MAX_SIGNATURES: usize = 64;
/// The longest name of a key, in bytes.
const MAX_NAME: usize = 200;

/// The name of a key, by custom a URL without a scheme, such as `example.org/agents/treasury`. A log is known by the
/// name of its key: its origin.
///
/// 1 to 200 bytes without spaces, control characters and `+`; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(Arc<str>);

impl KeyName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
        if text.is_empty() || text.len() > MAX_NAME || !text.chars().all(allowed) {
            return Err(NoteError::Name { len: text.len() });
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<&str> for KeyName {
    type Error = NoteError;

    fn try_from(text: &str) -> Result<Self, NoteError> {
        text.parse()
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no signed note, or cannot become one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// More than [`MAX_NOTE`] bytes.
    #[error("a note has at most {MAX_NOTE} bytes, this one has {actual}")]
    TooLarge {
        /// How many it has.
        actual: usize,
    },
    /// Bytes that are not UTF-8.
    #[error("a note is UTF-8")]
    Encoding,
    /// A control character other than a new line.
    #[error("a note has no control characters but new lines, this one has {found:?}")]
    Control {
        /// The first of them.
        found: char,
    },
    /// The text is empty, or does not end with a new line.
    #[error("the text of a note ends with a new line")]
    Unterminated,
    /// No blank line, or nothing behind it.
    #[error("a note has a blank line, and signatures behind it")]
    Unsigned,
    /// More than [`MAX_SIGNATURES`] signatures.
    #[error("a note has at most {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// A line behind the blank line that is no signature.
    #[error("line {line} of the signatures is not a dash, a name and base64")]
    Signature {
        /// Which line, from 1.
        line: usize,
    },
    /// A name of a key that is not allowed.
    #[error(
        "a key's name of {len} bytes: 1 to {MAX_NAME} are allowed, and no spaces, control characters or plus"
    )]
    Name {
        /// How long it is.
        len: usize,
    },
}

/// A signature on a note, of a key that may not be known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoteSignature {
    pub(super) name: KeyName,
    pub(super) key: KeyId,
    pub(super) signature: Vec<u8>,
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.key.to_bytes().to_vec();
        bytes.extend_from_slice(&self.signature);
        writeln!(f, "{DASH}{} {}", self.name, BASE64.encode_display(&bytes))
    }
}

/// What a line of a signature begins with.
const DASH: &str = "\u{2014} ";

/// A text with signatures. What it says must not be believed before a signature of a known key was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// What a note holds of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureState {
    /// No signature of it.
    Absent,
    /// A signature of it that is right.
    Verified,
    /// A signature in its name that is wrong.
    Wrong,
}

impl Note {
    /// A text that is to be signed.
    ///
    /// # Errors
    /// [`NoteError`] when no note can have this text.
    pub fn new(text: String) -> Result<Self, NoteError> {
        check_text(&text)?;
        Ok(Self { text, signatures: Vec::new() })
    }

    /// Reads a note, and verifies nothing.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE {
            return Err(NoteError::TooLarge { actual: bytes.len() });
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| NoteError::Encoding)?;
        let end = whole.rfind("\n\n").ok_or(NoteError::Unsigned)?;
        let (text, rest) = whole.split_at_checked(end + 1).ok_or(NoteError::Unsigned)?;
        check_text(text)?;
        let lines = rest.strip_prefix('\n').and_then(|rest| rest.strip_suffix('\n'));
        let lines = lines.ok_or(NoteError::Unsigned)?;
        let mut signatures = Vec::new();
        for (at, line) in lines.split('\n').enumerate() {
            if signatures.len() == MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(signature(line).ok_or(NoteError::Signature { line: at + 1 })?);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The text, with the new line at its end.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds the signature of a key.
    ///
    /// # Errors
    /// [`SignError`] of the key.
    pub fn sign(&mut self, signer: &dyn NoteSigner) -> Result<(), SignError> {
        let signature = signer.sign(&self.text)?;
        let name = signer.name().clone();
        self.signatures.push(NoteSignature { name, key: signer.key_id(), signature });
        Ok(())
    }

    /// Adds lines of signatures, such as a witness answers with. Those that are there already are left out.
    ///
    /// # Errors
    /// [`NoteError`] for what is no signature, and beyond [`MAX_SIGNATURES`].
    pub fn add_signatures(&mut self, lines: &str) -> Result<(), NoteError> {
        let lines = lines.strip_suffix('\n').unwrap_or(lines);
        for (at, line) in lines.split('\n').enumerate() {
            let new = signature(line).ok_or(NoteError::Signature { line: at + 1 })?;
            if self.signatures.contains(&new) {
                continue;
            }
            if self.signatures.len() >= MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            self.signatures.push(new);
        }
        Ok(())
    }

    /// The last signature, as a line.
    pub(super) fn last_line(&self) -> String {
        self.signatures.last().map(ToString::to_string).unwrap_or_default()
    }

    /// The signatures in the name of a key.
    fn of<'a>(&'a self, key: &'a dyn NoteVerifier) -> impl Iterator<Item = &'a NoteSignature> {
        self.signatures.iter().filter(|it| it.key == key.key_id() && it.name == *key.name())
    }

    /// What the note holds of a key. Of several signatures in its name all have to be right.
    #[must_use]
    pub fn state(&self, key: &dyn NoteVerifier) -> SignatureState {
        let mut state = SignatureState::Absent;
        for signature in self.of(key) {
            if !key.verify(&self.text, &signature.signature) {
                return SignatureState::Wrong;
            }
            state = SignatureState::Verified;
        }
        state
    }

    /// When a witness signed, in seconds since the Unix epoch; unverified.
    pub(super) fn cosigned_at(&self, key: &dyn NoteVerifier) -> Option<u64> {
        let signature = self.of(key).last()?;
        signature.signature.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| write!(f, "{signature}"))
    }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if text.len() > MAX_NOTE {
        return Err(NoteError::TooLarge { actual: text.len() });
    }
    if let Some(found) = text.chars().find(|c| *c < ' ' && *c != '\n') {
        return Err(NoteError::Control { found });
    }
    if text.ends_with('\n') { Ok(()) } else { Err(NoteError::Unterminated) }
}

fn signature(line: &str) -> Option<NoteSignature> {
    let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = base64::decode(encoded)?;
    let (key, signature) = bytes.split_first_chunk()?;
    let (name, key) = (name.parse().ok()?, KeyId::from_bytes(*key));
    (!signature.is_empty()).then(|| NoteSignature { name, key, signature: signature.to_vec() })
}

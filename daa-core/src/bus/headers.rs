//! What travels beside a payload.

use std::collections::BTreeMap;

use crate::fault::{Fault, Reaction, Retry};

/// The most headers of a message.
pub const MAX_HEADERS: usize = 64;
/// The most bytes of all names and values of a message's headers (16 KiB).
pub const MAX_HEADER_BYTES: usize = 16 << 10;
/// The longest name of a header, in bytes.
const MAX_NAME_LEN: usize = 64;
/// What brokers and their adapters use themselves.
const RESERVED: [&str; 3] = ["daa-", "nats-", "x-"];

/// The headers of a message, by name.
///
/// A name has 1 to 64 characters of `a-z 0-9 - _ .`, and does not begin with `daa-`, `nats-` or `x-`, which belong
/// to the brokers. A value is text without control characters. Bounded by [`MAX_HEADERS`] and
/// [`MAX_HEADER_BYTES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    entries: BTreeMap<Box<str>, Box<str>>,
    bytes: usize,
}

impl Headers {
    /// No headers.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: BTreeMap::new(), bytes: 0 }
    }

    /// Sets a header; what was there under that name is replaced.
    ///
    /// # Errors
    /// [`HeaderError`] when the name or the value is not allowed, or the bounds are exceeded. Nothing changes then.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        check_name(name)?;
        if let Some(found) = value.chars().find(|c| c.is_control()) {
            return Err(HeaderError::Value { name: name.to_owned(), found });
        }
        let replaced = self.get(name).map_or(0, |old| name.len() + old.len());
        let bytes = self.bytes - replaced + name.len() + value.len();
        let len = self.len() + usize::from(replaced == 0);
        if bytes > MAX_HEADER_BYTES || len > MAX_HEADERS {
            return Err(HeaderError::TooMany { headers: len, bytes });
        }
        self.entries.insert(name.into(), value.into());
        self.bytes = bytes;
        Ok(())
    }

    /// The value of a header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(|value| &**value)
    }

    /// All headers, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn check_name(name: &str) -> Result<(), HeaderError> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MAX_NAME_LEN || !name.bytes().all(allowed) {
        return Err(HeaderError::Name { name: name.to_owned() });
    }
    if RESERVED.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(HeaderError::Reserved { name: name.to_owned() });
    }
    Ok(())
}

/// What cannot be a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A name outside of the alphabet, empty or too long.
    #[error("header name {name:?} is not 1 to {MAX_NAME_LEN} characters of a-z 0-9 - _ .")]
    Name {
        /// The name.
        name: String,
    },
    /// A name that belongs to the brokers.
    #[error("header name {name:?} begins with one of {RESERVED:?}, which belong to the brokers")]
    Reserved {
        /// The name.
        name: String,
    },
    /// A value with a control character.
    #[error("the value of header {name:?} has the control character {found:?}")]
    Value {
        /// The name of the header.
        name: String,
        /// The first such character.
        found: char,
    },
    /// There would be too many.
    #[error(
        "{headers} headers of {bytes} bytes are more than {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes"
    )]
    TooMany {
        /// How many there would be.
        headers: usize,
        /// How many bytes they would have.
        bytes: usize,
    },
}

impl Reaction for HeaderError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

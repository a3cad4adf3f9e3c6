//! What is spoken on a stream, and how it is treated.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::error::ParseProtocolError;

/// Names what is spoken on a stream: `/acme/prices/1`.
///
/// At most [`MAX`](Self::MAX) bytes of lower-case letters, digits, `.`, `-`, `_` and `/`; begins with `/`. A change that the other
/// side would misread is another name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(Cow<'static, str>);

impl Protocol {
    /// The most bytes of a name.
    pub const MAX: usize = 64;

    /// A name that is known when the program is compiled.
    ///
    /// # Panics
    /// If it is none; where it is evaluated in a constant, that is an error of the compiler.
    #[must_use]
    #[expect(clippy::panic, reason = "in a constant, which is where it is for")]
    pub const fn new(name: &'static str) -> Self {
        if !is_name(name) {
            panic!("not the name of a protocol");
        }
        Self(Cow::Borrowed(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[expect(clippy::indexing_slicing, reason = "constant functions have no iterators; the bound is looked at")]
const fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.len() < 2 || bytes.len() > Protocol::MAX || bytes[0] != b'/' {
        return false;
    }
    let mut at = 0;
    while at < bytes.len() {
        if !matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'/') {
            return false;
        }
        at += 1;
    }
    true
}

impl FromStr for Protocol {
    type Err = ParseProtocolError;

    fn from_str(name: &str) -> Result<Self, ParseProtocolError> {
        if is_name(name) { Ok(Self(Cow::Owned(name.to_owned()))) } else { Err(ParseProtocolError) }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Protocol({})", self.0)
    }
}

/// Who goes first when a connection is busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "two kinds, for good")]
pub enum Priority {
    /// Small and soon: requests, membership, what others wait for.
    #[default]
    Control,
    /// Much and whenever: it stands back while something of [`Control`](Self::Control) waits to be sent.
    Bulk,
}

/// What protects the bytes of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "two kinds, for good")]
pub enum Protection {
    /// The keys of the session, on top of what the connection does.
    #[default]
    Sealed,
    /// What the connection does: TLS or QUIC over the internet, nothing in memory. For what is public, or sealed as a whole,
    /// and verified against its hash.
    Connection,
}

/// Whether what is written is compressed before it is sealed.
///
/// What an attacker can write into a stream, beside a secret that stays the same, tells by its length how alike the two are (the
/// attack CRIME): compress no such streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// Each frame by itself with LZ4, unless that makes it longer.
    Lz4,
}

/// How a stream is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StreamOptions {
    /// Who goes first.
    pub priority: Priority,
    /// What protects it.
    pub protection: Protection,
    /// Whether it is compressed, in both directions.
    pub compression: Compression,
}

impl StreamOptions {
    /// Much, and whenever.
    #[must_use]
    pub const fn bulk(mut self) -> Self {
        self.priority = Priority::Bulk;
        self
    }

    /// Protected by the connection only.
    #[must_use]
    pub const fn unsealed(mut self) -> Self {
        self.protection = Protection::Connection;
        self
    }

    /// Compressed. See [`Compression`] for what not to compress.
    #[must_use]
    pub const fn compressed(mut self) -> Self {
        self.compression = Compression::Lz4;
        self
    }
}

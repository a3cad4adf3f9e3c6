//! What a signature, a key or a message is for: domain separation.

use std::fmt;

/// A name for one use of a key, such as `"daa-net node record v1"`.
///
/// A signature, a sealed message or a derived key of one context means nothing in another. Choose one that is unique
/// to the protocol and the message, and has a version.
///
/// ```
/// use daa_crypto::Context;
///
/// const RECORD: Context = Context::new("my-protocol record v1");
/// assert_eq!(RECORD.as_str(), "my-protocol record v1");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Context(&'static str);

impl Context {
    /// Names a use. In a `const` a mistake is found when it is compiled.
    ///
    /// # Panics
    /// When the name is empty, or longer than 255 bytes.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(!name.is_empty() && name.len() <= 255, "a context has between 1 and 255 bytes");
        Self(name)
    }

    /// The name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        self.0
    }

    pub(crate) const fn as_bytes(&self) -> &'static [u8] {
        self.0.as_bytes()
    }

    /// Its length, which fits into a byte.
    #[expect(clippy::cast_possible_truncation, reason = "`new` sees to it")]
    pub(crate) const fn len(&self) -> u8 {
        self.0.len() as u8
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({:?})", self.0)
    }
}

//! What the keys of one system begin with.

use super::options::RedisOptionsError;

const MAX: usize = 48;

/// The beginning of every key.
#[derive(Clone, Debug)]
pub(super) struct Namespace(String);

impl Default for Namespace {
    fn default() -> Self {
        Self("daa".to_owned())
    }
}

impl Namespace {
    pub(super) fn new(text: &str) -> Result<Self, RedisOptionsError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if text.is_empty() || text.len() > MAX || !text.bytes().all(allowed) {
            return Err(RedisOptionsError::Namespace { namespace: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }

    /// The key of `name`, among those of one `kind`.
    pub(super) fn key(&self, kind: &str, name: &[u8]) -> Vec<u8> {
        [self.0.as_bytes(), b":", kind.as_bytes(), b":", name].concat()
    }
}

//! The ids of traces and spans: lower-case hexadecimal, never all zero.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::error::TraceError;
use crate::digest::DigestBuilder;

macro_rules! trace_ids {
    ($($(#[$doc:meta])* $name:ident, $len:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Wraps the bytes of an id.
            ///
            /// # Errors
            #[doc = concat!("[`TraceError::", stringify!($name), "`] when all of them are zero.")]
            pub fn from_bytes(bytes: [u8; $len]) -> Result<Self, TraceError> {
                if bytes == [0; $len] { Err(TraceError::$name) } else { Ok(Self(bytes)) }
            }

            /// Its bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// The beginning of a digest.
            pub(super) fn derive(place: DigestBuilder) -> Self {
                let digest = place.finish();
                let mut bytes = [0; $len];
                bytes.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
                // All zero means "none"; that a digest begins so is not to be expected, but possible.
                Self::from_bytes(bytes).unwrap_or(Self([1; $len]))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl FromStr for $name {
            type Err = TraceError;

            fn from_str(text: &str) -> Result<Self, TraceError> {
                hex(text).ok_or(TraceError::$name).and_then(Self::from_bytes)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

trace_ids! {
    /// Names one trace: 16 bytes, shown as 32 lower-case hexadecimal digits, never all zero.
    TraceId, 16;
    /// Names one span of a trace: 8 bytes, shown as 16 lower-case hexadecimal digits, never all zero.
    SpanId, 8;
}

/// Exactly `N` bytes in lower-case hexadecimal.
pub(super) fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut digits = text.bytes();
    let mut bytes = [0; N];
    for byte in &mut bytes {
        *byte = nibble(digits.next()?)? << 4 | nibble(digits.next()?)?;
    }
    digits.next().is_none().then_some(bytes)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

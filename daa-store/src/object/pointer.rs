//! What the object of a blob holds: its bytes, or where they are.

use bytes::Bytes;

const INLINE: u8 = 0;
const ELSEWHERE: u8 = 1;
const ID: usize = 16;
/// The size of an object that may be a pointer.
pub(super) const POINTER: u64 = 1 + ID as u64 + 8;

/// The last byte of an object with the bytes of a blob: behind them, so that they are aligned in files and memory.
pub(super) const INLINE_MARK: Bytes = Bytes::from_static(&[INLINE]);

/// Where the bytes of a blob are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pointer {
    pub(super) upload: UploadId,
    pub(super) size: u64,
}

/// An upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct UploadId([u8; ID]);

impl UploadId {
    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    /// From the name of its object.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let id = u128::from_str_radix(text, 16).ok().map(|id| Self(id.to_be_bytes()))?;
        (id.to_string() == text).then_some(id)
    }
}

impl std::fmt::Display for UploadId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl Pointer {
    pub(super) fn to_bytes(self) -> Bytes {
        [&self.upload.0[..], &self.size.to_le_bytes(), &[ELSEWHERE]].concat().into()
    }
}

/// What an object holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    Inline(Bytes),
    Elsewhere(Pointer),
}

impl Content {
    /// `None` for what is not ours.
    pub(super) fn parse(mut object: Bytes) -> Option<Self> {
        let mark = *object.last()?;
        object.truncate(object.len() - 1);
        match mark {
            INLINE => Some(Self::Inline(object)),
            ELSEWHERE if object.len() as u64 + 1 == POINTER => {
                let (upload, size) = object.split_first_chunk::<ID>()?;
                let size = u64::from_le_bytes(size.try_into().ok()?);
                Some(Self::Elsewhere(Pointer { upload: UploadId(*upload), size }))
            }
            _ => None,
        }
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Elsewhere(pointer) => pointer.size,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pointers_round_trip_and_nothing_else_is_one(
            id in any::<u128>(), size in any::<u64>(), other in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let pointer = Pointer { upload: UploadId(id.to_be_bytes()), size };
            prop_assert_eq!(pointer.to_bytes().len() as u64, POINTER);
            prop_assert_eq!(Content::parse(pointer.to_bytes()), Some(Content::Elsewhere(pointer)));
            prop_assert_eq!(UploadId::parse(&pointer.upload.to_string()), Some(pointer.upload));
            match Content::parse(other.clone().into()) {
                Some(Content::Inline(bytes)) => prop_assert_eq!(&other[..other.len() - 1], &bytes[..]),
                Some(Content::Elsewhere(pointer)) => prop_assert_eq!(&other[..], &pointer.to_bytes()[..]),
                None => prop_assert!(other.last().is_none_or(|last| *last > 0)),
            }
        }
    }
}

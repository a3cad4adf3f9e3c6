//! Frames that are compressed: three bytes that say how long it was, and a block of LZ4.

use super::MAX_FRAME;

/// What says how long it was.
const LEN: usize = 3;
/// Less is hardly worth it.
const LEAST: usize = 64;

/// Compresses one frame after the other, each by itself.
#[derive(Debug, Default)]
pub(super) struct Packer {
    packed: Vec<u8>,
}

impl Packer {
    /// What is in a frame, shorter; `None` if it would not be.
    pub(super) fn pack(&mut self, plain: &[u8]) -> Option<&[u8]> {
        if plain.len() < LEAST {
            return None;
        }
        self.packed.resize(LEN + lz4_flex::block::get_maximum_output_size(plain.len()), 0);
        let (head, body) = self.packed.split_first_chunk_mut::<LEN>()?;
        let [_, len @ ..] = u32::try_from(plain.len()).ok()?.to_be_bytes();
        *head = len;
        let packed = lz4_flex::block::compress_into(plain, body).ok()?;
        self.packed.get(..LEN + packed).filter(|packed| packed.len() < plain.len())
    }
}

/// What was in a frame, in the place of what is in `plain`; `None` for what nobody packed.
pub(super) fn unpack(packed: &[u8], plain: &mut Vec<u8>) -> Option<()> {
    let (&[a, b, c], body) = packed.split_first_chunk::<LEN>()?;
    let len = u32::from_be_bytes([0, a, b, c]) as usize;
    if len == 0 || len > MAX_FRAME {
        return None;
    }
    plain.clear();
    plain.resize(len, 0);
    (lz4_flex::block::decompress_into(body, plain).ok()? == len).then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_says_no_more_than_it_has() {
        let mut packer = Packer::default();
        let plain = vec![7; MAX_FRAME];
        let packed = packer.pack(&plain).unwrap().to_vec();
        assert!(packed.len() < 1_000);
        let mut out = Vec::new();
        unpack(&packed, &mut out).unwrap();
        assert_eq!(out, plain);
        for len in [0, 1, MAX_FRAME as u32 - 1, MAX_FRAME as u32 + 1, 0xff_ffff] {
            let lie = [&len.to_be_bytes()[1..], &packed[LEN..]].concat();
            assert_eq!(unpack(&lie, &mut out), None, "{len}");
            assert!(out.capacity() <= MAX_FRAME);
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(plain in prop::collection::vec(0..4_u8, 0..3_000)) {
            let mut packer = Packer::default();
            if let Some(packed) = packer.pack(&plain) {
                prop_assert!(packed.len() < plain.len());
                let mut out = vec![9; 5];
                unpack(packed, &mut out).unwrap();
                prop_assert_eq!(out, plain);
            }
        }

        #[test]
        fn noise_is_not_made_longer_and_reads_as_nothing_that_is(noise in prop::collection::vec(any::<u8>(), 0..3_000)) {
            let mut packer = Packer::default();
            prop_assert!(packer.pack(&noise).is_none_or(|packed| packed.len() < noise.len()));
            let mut out = Vec::new();
            let _ = unpack(&noise, &mut out);
            prop_assert!(out.len() <= MAX_FRAME);
        }
    }
}

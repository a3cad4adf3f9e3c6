//! A range coder for index sets: within a fraction of a percent of log2 C(n, k) bits.
//!
//! Position by position, "is it in the set?" is coded with the probability (left to find)/(left to look at), which
//! is the enumerative distribution exactly. The coder is the carry-propagating one of LZMA (Martin, 1979).

use crate::wire::DecodeError;

const TOP: u32 = 1 << 24;

/// Writes decisions.
#[derive(Debug)]
pub(super) struct Encoder {
    low: u64,
    range: u32,
    cache: u8,
    pending: u64,
    out: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { low: 0, range: u32::MAX, cache: 0, pending: 1, out: Vec::new() }
    }

    /// Codes a sorted set of distinct positions below `len`.
    pub(super) fn set(&mut self, len: u32, positions: &[u32]) {
        let mut wanted = positions.iter().copied().peekable();
        let mut left = u32::try_from(positions.len()).unwrap_or(len);
        for position in 0..len {
            let remaining = len - position;
            if left == 0 || left == remaining {
                break;
            }
            let hit = wanted.next_if_eq(&position).is_some();
            self.decide(hit, left, remaining);
            left -= u32::from(hit);
        }
    }

    /// Codes one decision that is true in `part` of `whole` cases, 0 < part < whole ≤ 2¹⁵.
    fn decide(&mut self, hit: bool, part: u32, whole: u32) {
        let bound = self.range / whole * part;
        if hit {
            self.range = bound;
        } else {
            self.low += u64::from(bound);
            self.range -= bound;
        }
        while self.range < TOP {
            self.range <<= 8;
            self.shift();
        }
    }

    fn shift(&mut self) {
        let carry = (self.low >> 32) as u8;
        if self.low < 0xff00_0000 || carry != 0 {
            let mut byte = self.cache;
            while self.pending > 0 {
                self.out.push(byte.wrapping_add(carry));
                byte = 0xff;
                self.pending -= 1;
            }
            self.cache = (self.low >> 24) as u8;
        }
        self.pending += 1;
        self.low = (self.low & 0x00ff_ffff) << 8;
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        for _ in 0..5 {
            self.shift();
        }
        self.out
    }
}

/// Reads decisions back.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    range: u32,
    code: u32,
    input: std::slice::Iter<'a, u8>,
    len: usize,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut decoder = Self { range: u32::MAX, code: 0, input: bytes.iter(), len: bytes.len() };
        if decoder.byte()? != 0 {
            return Err(DecodeError::Invalid { what: "index stream" });
        }
        for _ in 0..4 {
            decoder.code = decoder.code << 8 | u32::from(decoder.byte()?);
        }
        Ok(decoder)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.input.next().copied().ok_or(DecodeError::Truncated { len: self.len, wanted: 1 })
    }

    /// Reads `count` distinct positions below `len`, sorted, each handed to `found`.
    pub(super) fn set(
        &mut self,
        len: u32,
        count: u32,
        mut found: impl FnMut(u32),
    ) -> Result<(), DecodeError> {
        let mut left = count;
        for position in 0..len {
            let remaining = len - position;
            if left == 0 {
                break;
            }
            let hit = left >= remaining || self.decide(left, remaining)?;
            if hit {
                found(position);
                left -= 1;
            }
        }
        Ok(())
    }

    fn decide(&mut self, part: u32, whole: u32) -> Result<bool, DecodeError> {
        let bound = self.range / whole * part;
        let hit = self.code < bound;
        if hit {
            self.range = bound;
        } else {
            self.code -= bound;
            self.range -= bound;
        }
        while self.range < TOP {
            self.range <<= 8;
            self.code = self.code << 8 | u32::from(self.byte()?);
        }
        Ok(hit)
    }

    pub(super) fn end(self) -> Result<(), DecodeError> {
        match self.input.len() {
            0 => Ok(()),
            count => Err(DecodeError::Trailing { count }),
        }
    }
}

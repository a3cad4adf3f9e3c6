//! Everything that travelled, in order.

/// A hash over everything that travelled so far, each part with its length before it, and over the ends of the connection.
pub(super) struct Transcript(blake3::Hasher);

impl Transcript {
    pub(super) fn new(initiator: &[u8], responder: &[u8]) -> Self {
        let mut transcript = Self(blake3::Hasher::new_derive_key("daa-net pq-auth 1 transcript"));
        transcript.add(initiator);
        transcript.add(responder);
        transcript
    }

    pub(super) fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_be_bytes()).update(part);
    }

    /// The hash of what was added so far.
    pub(super) fn hash(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

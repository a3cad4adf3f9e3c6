//! Quorum, audits and bounds.

use daa_core::digest::Digest;
use serde::{Deserialize, Serialize};

/// The parameters of the round protocol.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProtocolConfig {
    /// How many members must be live for the first round to open; 1 to `max_members`.
    pub min_members: u32,
    /// How many agents may ever join; at most 4096.
    pub max_members: u32,
    /// Share of a round's members that suffices at a deadline, above 0, at most 1.
    pub quorum: f64,
    /// Share of accepted submissions that is audited by lot, 0 to 1.
    pub audit_share: f64,
    /// How many more rounds than one aggregate before an audit is due; see the [module's documentation](super).
    pub audit_lag: u32,
    /// Whose update is this many times longer than the median is audited for certain; above 1.
    pub suspicion: f64,
}

impl Default for ProtocolConfig {
    /// One member suffices, at most 256, two thirds at a deadline, a quarter audited, one round of lag, suspicion
    /// at four times the median.
    fn default() -> Self {
        Self {
            min_members: 1,
            max_members: 256,
            quorum: 2.0 / 3.0,
            audit_share: 0.25,
            audit_lag: 1,
            suspicion: 4.0,
        }
    }
}

impl ProtocolConfig {
    /// The name of the first field that is out of range.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let checks = [
            ("max_members", (1..=4096).contains(&self.max_members)),
            ("min_members", (1..=self.max_members).contains(&self.min_members)),
            ("quorum", self.quorum > 0.0 && self.quorum <= 1.0),
            ("audit_share", (0.0..=1.0).contains(&self.audit_share)),
            ("audit_lag", self.audit_lag <= 64),
            ("suspicion", self.suspicion > 1.0 && self.suspicion.is_finite()),
        ];
        checks.into_iter().find(|(_, sound)| !sound).map_or(Ok(()), |(field, _)| Err(field))
    }

    /// How many of `members` suffice at a deadline; at least one.
    pub(super) fn quorum_of(&self, members: usize) -> usize {
        share_of(self.quorum, members).max(1)
    }

    /// How many of `members` are audited by lot.
    pub(super) fn audits_of(&self, members: usize) -> usize {
        share_of(self.audit_share, members)
    }

    /// Identifies the parameters.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::builder("daa round protocol v1")
            .number(u64::from(self.min_members))
            .number(u64::from(self.max_members))
            .number(self.quorum.to_bits())
            .number(self.audit_share.to_bits())
            .number(u64::from(self.audit_lag))
            .number(self.suspicion.to_bits())
            .finish()
    }
}

/// The share, rounded up; a rounding error below a millionth does not add one.
fn share_of(share: f64, of: usize) -> usize {
    ((share * of as f64 - 1e-6).ceil().max(0.0) as usize).min(of)
}

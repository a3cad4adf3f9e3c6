//! What a permission is bound to, as a rule says it.

use daa_core::action::{Obligation, Request};
use daa_core::digest::DigestBuilder;

use crate::condition::Amount;

/// What a permit binds an action to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Duties {
    /// It costs no more than this.
    pub(crate) limit: Option<Amount>,
    /// Each attempt is logged, with this remark.
    pub(crate) log: Option<String>,
    /// Parameters that are not shown, by their dotted paths.
    pub(crate) redact: Vec<String>,
}

impl Duties {
    pub(crate) const fn is_empty(&self) -> bool {
        !self.bind() && self.redact.is_empty()
    }

    /// Whether they bind the effect, and not only those who show the action.
    pub(crate) const fn bind(&self) -> bool {
        self.limit.is_some() || self.log.is_some()
    }

    /// What the gate is told beside what is to be redacted; `Err` where the limit is in another currency than the action.
    pub(crate) fn obligations(&self, request: &Request<'_>) -> Result<Vec<Obligation>, String> {
        let mut all: Vec<Obligation> = self.log.iter().cloned().map(Obligation::Log).collect();
        if let (Some(limit), Some(cost)) = (&self.limit, request.action.max_cost()) {
            if limit.code() != cost.currency().code() {
                return Err(format!("its limit is in {}, the action costs {cost}", limit.code()));
            }
            // A limit that does not fit is higher than any cost.
            all.extend(limit.within(cost.currency()).map(Obligation::MaxCost));
        }
        Ok(all)
    }

    /// Adds it to a digest, where there is any.
    pub(crate) fn describe(&self, out: &mut DigestBuilder) {
        if let Some(limit) = &self.limit {
            let (whole, fraction) = limit.parts();
            out.add(b"limit");
            out.add(&whole.to_le_bytes());
            out.add(&fraction.to_le_bytes());
            out.add(limit.code().as_bytes());
        }
        if let Some(log) = &self.log {
            out.add(b"log");
            out.add(log.as_bytes());
        }
        if !self.redact.is_empty() {
            out.add(b"redact");
            out.add(&(self.redact.len() as u64).to_le_bytes());
            self.redact.iter().for_each(|path| out.add(path.as_bytes()));
        }
    }
}

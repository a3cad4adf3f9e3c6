//! What a permission is bound to.

use serde::{Deserialize, Serialize};

use crate::amount::Money;

/// What a permission is bound to. The gate sees to it; what it cannot see to is not permitted. Those who show what is on
/// record see to [`Self::Redact`], which binds them also where an action is denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Obligation {
    /// It costs no more than this, whatever was asked for: no more is reserved, and what it costs beyond it is an
    /// overrun that nobody has paid. An action in another currency is not permitted.
    MaxCost(Money),
    /// Each attempt is written to the log of the process (`tracing`, at level info), with this remark.
    Log(String),
    /// These parameters, by their dotted paths, are not shown to anybody but the executor: see
    /// [`ActionEvent::redacted`](super::ActionEvent::redacted).
    Redact(Vec<String>),
}

/// The most that an action may cost under its obligations: `None` where one of them is in another currency.
pub(super) fn lowered(cost: Money, obligations: &[Obligation]) -> Option<Money> {
    obligations.iter().try_fold(cost, |cost, obligation| match obligation {
        Obligation::MaxCost(limit) if limit.currency() == cost.currency() => {
            Some(if limit.amount() < cost.amount() { *limit } else { cost })
        }
        Obligation::MaxCost(_) => None,
        Obligation::Log(_) | Obligation::Redact(_) => Some(cost),
    })
}

//! How much of one budget is used.

use std::collections::BTreeMap;

use daa_core::clock::Timestamp;

use crate::budget::{Period, Window};

/// The moment of a spending, and a number that tells apart those of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SpendKey {
    pub(super) at: Timestamp,
    pub(super) number: u64,
}

/// What counts against one budget. Moments never go back.
#[derive(Clone, Debug)]
pub(super) enum Usage {
    PerAction,
    Total { used: u128 },
    Fixed { window: Window, number: u64, used: u128 },
    Rolling { window: Window, entries: BTreeMap<SpendKey, u128>, used: u128 },
}

/// What a change of a [`Usage`] replaced.
#[derive(Clone, Copy, Debug)]
pub(super) enum UsageBefore {
    Nothing,
    Used { number: u64, used: u128 },
    Entry { key: SpendKey, amount: u128 },
}

impl Usage {
    pub(super) const fn new(period: Period) -> Self {
        match period {
            Period::PerAction => Self::PerAction,
            Period::Total => Self::Total { used: 0 },
            Period::Fixed(window) => Self::Fixed { window, number: 0, used: 0 },
            Period::Rolling(window) => Self::Rolling { window, entries: BTreeMap::new(), used: 0 },
        }
    }

    /// What counts at `at`.
    pub(super) fn used(&self, at: Timestamp) -> u128 {
        match self {
            Self::PerAction => 0,
            Self::Total { used } => *used,
            Self::Fixed { window, number, used } if window.number(at) == *number => *used,
            Self::Fixed { .. } => 0,
            Self::Rolling { window, entries, used } => {
                let passed: u128 = match first_counting(*window, at) {
                    Some(first) => entries.range(..first).map(|(_, amount)| amount).sum(),
                    None => 0,
                };
                used.saturating_sub(passed)
            }
        }
    }

    /// Adds a spending that was checked to fit.
    pub(super) fn charge(&mut self, key: SpendKey, amount: u128) -> UsageBefore {
        match self {
            Self::PerAction => UsageBefore::Nothing,
            Self::Total { used } => {
                let before = UsageBefore::Used { number: 0, used: *used };
                *used = used.saturating_add(amount);
                before
            }
            Self::Fixed { window, number, used } => {
                let before = UsageBefore::Used { number: *number, used: *used };
                let present = window.number(key.at);
                let kept = if present == *number { *used } else { 0 };
                (*number, *used) = (present, kept.saturating_add(amount));
                before
            }
            Self::Rolling { .. } => self.set_entry(key, amount),
        }
    }

    /// Takes `back` of a spending out again, where it still counts.
    pub(super) fn refund(&mut self, key: SpendKey, back: u128) -> UsageBefore {
        match self {
            Self::PerAction => UsageBefore::Nothing,
            Self::Total { used } => {
                let before = UsageBefore::Used { number: 0, used: *used };
                *used = used.saturating_sub(back);
                before
            }
            Self::Fixed { window, number, used } => {
                if window.number(key.at) != *number {
                    return UsageBefore::Nothing;
                }
                let before = UsageBefore::Used { number: *number, used: *used };
                *used = used.saturating_sub(back);
                before
            }
            Self::Rolling { entries, .. } => match entries.get(&key) {
                Some(&amount) => self.set_entry(key, amount.saturating_sub(back)),
                None => UsageBefore::Nothing,
            },
        }
    }

    /// Undoes a [`charge`](Self::charge) or a [`refund`](Self::refund).
    pub(super) fn restore(&mut self, before: UsageBefore) {
        match (self, before) {
            (Self::Total { used }, UsageBefore::Used { used: old, .. }) => *used = old,
            (Self::Fixed { number, used, .. }, UsageBefore::Used { number: old_number, used: old }) => {
                (*number, *used) = (old_number, old);
            }
            (usage @ Self::Rolling { .. }, UsageBefore::Entry { key, amount }) => {
                usage.set_entry(key, amount);
            }
            _ => {}
        }
    }

    /// Forgets what can count no more, since moments never go back behind `at`.
    pub(super) fn prune(&mut self, at: Timestamp) {
        let Self::Rolling { window, entries, used } = self else { return };
        let Some(first) = first_counting(*window, at) else { return };
        while let Some(entry) = entries.first_entry().filter(|entry| *entry.key() < first) {
            *used = used.saturating_sub(entry.remove());
        }
    }

    fn set_entry(&mut self, key: SpendKey, amount: u128) -> UsageBefore {
        let Self::Rolling { entries, used, .. } = self else { return UsageBefore::Nothing };
        let old = if amount == 0 { entries.remove(&key) } else { entries.insert(key, amount) };
        let old = old.unwrap_or_default();
        *used = used.saturating_sub(old).saturating_add(amount);
        UsageBefore::Entry { key, amount: old }
    }
}

/// The first spending that counts in the window that ends at `at`; `None` when all do.
fn first_counting(window: Window, at: Timestamp) -> Option<SpendKey> {
    let passed = at.as_millis().checked_sub(window.as_millis())?;
    Some(SpendKey { at: Timestamp::from_millis(passed.saturating_add(1)), number: 0 })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_rolling_window_keeps_only_what_can_still_count() {
        let window = Window::new(Duration::from_millis(10)).unwrap();
        let mut usage = Usage::new(Period::Rolling(window));
        for millis in 0..1_000 {
            let at = Timestamp::from_millis(millis);
            usage.charge(SpendKey { at, number: millis }, 3);
            usage.prune(at);
            let Usage::Rolling { entries, used, .. } = &usage else { panic!("a rolling window") };
            assert!(entries.len() <= 10);
            assert_eq!((*used, usage.used(at)), (entries.len() as u128 * 3, *used));
        }
    }
}

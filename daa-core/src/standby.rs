//! When one who stands by takes over from one who was active. Pure: it is told what was seen, and when.

use std::time::Duration;

use crate::clock::Timestamp;

/// Watches somebody else's work, by the watcher's own clock: no two clocks are compared.
#[derive(Debug)]
pub(crate) struct Vigil {
    patience: Duration,
    /// Work that was seen not to be done; `None` while there is none.
    seen: Option<Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    mark: u64,
    since: Timestamp,
}

/// What follows from a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Look again then.
    Wait(Timestamp),
    /// There is work, and whoever was to do it has not moved for too long.
    TakeOver,
}

impl Vigil {
    pub(crate) const fn new(patience: Duration) -> Self {
        Self { patience, seen: None }
    }

    /// `mark` changes with whatever the active one does; `pending` says whether there is work for it.
    pub(crate) fn look(&mut self, mark: u64, pending: bool, now: Timestamp) -> Verdict {
        let since = self.seen.filter(|seen| seen.mark == mark).map_or(now, |seen| seen.since);
        self.seen = pending.then_some(Seen { mark, since });
        match pending {
            true if now >= since + self.patience => Verdict::TakeOver,
            true => Verdict::Wait(since + self.patience),
            false => Verdict::Wait(now + self.patience),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn takes_over_only_from_one_who_has_work_and_does_not_move() {
        let mut vigil = Vigil::new(SECOND);
        assert_eq!(vigil.look(7, true, at(100)), Verdict::Wait(at(1_100)));
        assert_eq!(vigil.look(7, true, at(1_099)), Verdict::Wait(at(1_100)));
        assert_eq!(vigil.look(8, true, at(1_100)), Verdict::Wait(at(2_100)), "it moved");
        assert_eq!(vigil.look(8, false, at(2_200)), Verdict::Wait(at(3_200)), "nothing to do");
        assert_eq!(vigil.look(8, true, at(9_000)), Verdict::Wait(at(10_000)), "the work is new");
        assert_eq!(vigil.look(8, true, at(10_000)), Verdict::TakeOver);
    }
}

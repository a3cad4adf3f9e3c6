//! Whether a recorded history of appends and reads is linearizable.
//!
//! Each operation has to take effect at one point between its call and its answer, as if there were one log
//! (Herlihy and Wing, 1990). A log gives the witness itself: an append takes effect at its position, a read of the
//! whole log at the head that it saw. What is refused takes effect somewhere while its stream had the version that
//! the refusal names. So the check needs no search: it tries that one order.

use std::collections::BTreeMap;

/// One operation; moments by one clock.
#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) called: u64,
    pub(super) answered: u64,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// One event for this stream, at this position.
    Appended { stream: u32, position: u64 },
    /// Refused: the stream had this version.
    Conflict { stream: u32, actual: u64 },
    /// All streams, up to this position.
    Read { head: u64 },
}

/// Checks a history against the streams of the events in the log, in order.
///
/// # Errors
/// What cannot have been so.
pub(super) fn check(log: &[u32], history: &[Op]) -> Result<(), String> {
    let mut order: Vec<Op> = history.to_vec();
    order.sort_by_key(|op| op.answered);
    let mut regions: BTreeMap<(u32, u64), (u64, u64)> = BTreeMap::new();
    let mut versions: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for (position, &stream) in (1_u64..).zip(log) {
        let (version, since) = versions.insert(stream, (0, position)).unwrap_or((0, 0));
        regions.insert((stream, version), (since, position - 1));
        versions.insert(stream, (version + 1, position));
    }
    for (stream, (version, since)) in versions {
        regions.insert((stream, version), (since, log.len() as u64));
    }
    // Where each operation takes effect: appends and reads where they say, what is refused as early as it can.
    let mut placed: Vec<(Op, u64, bool)> = Vec::new();
    for op in order {
        let floor = placed.iter().filter(|(before, ..)| before.answered < op.called);
        let floor = floor.map(|&(_, at, _)| at).max().unwrap_or(0);
        let (at, appends) = match op.what {
            What::Appended { stream, position } => {
                if log.get(position as usize - 1) != Some(&stream) {
                    return Err(format!("{op:?} is not in the log"));
                }
                (position, true)
            }
            What::Read { head } if head > log.len() as u64 => return Err(format!("{op:?} saw too much")),
            What::Read { head } => (head, false),
            What::Conflict { stream, actual } => match regions.get(&(stream, actual)) {
                Some(&(from, to)) if from.max(floor) <= to => (from.max(floor), false),
                region => return Err(format!("{op:?} was true in {region:?}, and came after {floor}")),
            },
        };
        placed.push((op, at, appends));
    }
    for (at, (op, place, appends)) in placed.iter().enumerate() {
        for (before, earlier, _) in placed.iter().take(at).filter(|(before, ..)| before.answered < op.called)
        {
            // An append takes a place of its own; what only looks may look at the same place.
            if earlier > place || (*appends && earlier == place) {
                return Err(format!("{op:?} at {place} came after {before:?} at {earlier}"));
            }
        }
    }
    Ok(())
}

mod tests {
    use super::*;

    fn op(called: u64, answered: u64, what: What) -> Op {
        Op { called, answered, what }
    }

    const fn appended(stream: u32, position: u64) -> What {
        What::Appended { stream, position }
    }

    #[test]
    fn overlapping_operations_may_take_effect_in_any_order() {
        let history = [op(1, 9, appended(1, 2)), op(2, 8, appended(2, 1)), op(3, 10, What::Read { head: 1 })];
        assert_eq!(check(&[2, 1], &history), Ok(()));
    }

    #[test]
    fn an_append_that_was_answered_before_another_began_stands_before_it() {
        let history = [op(1, 2, appended(1, 2)), op(3, 4, appended(2, 1))];
        assert!(check(&[2, 1], &history).is_err());
    }

    #[test]
    fn a_read_sees_what_was_acknowledged_before_it_began_and_nothing_that_began_after_it() {
        assert!(check(&[1], &[op(1, 2, appended(1, 1)), op(3, 4, What::Read { head: 0 })]).is_err());
        assert!(check(&[1], &[op(1, 2, What::Read { head: 1 }), op(3, 4, appended(1, 1))]).is_err());
    }

    #[test]
    fn a_refusal_names_a_version_that_the_stream_had_meanwhile() {
        let stale = What::Conflict { stream: 1, actual: 1 };
        let twice = [op(1, 2, appended(1, 1)), op(3, 4, appended(1, 2)), op(5, 6, stale.clone())];
        assert!(check(&[1, 1], &twice).is_err());
        let between = [op(1, 2, appended(1, 1)), op(3, 6, appended(1, 2)), op(5, 7, stale)];
        assert_eq!(check(&[1, 1], &between), Ok(()));
    }
}

//! Which messages of a key were handled. Pure.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::event::{Position, Version};

/// How many handled messages of each key an inbox knows.
///
/// It is part of what is recorded: a smaller number in a later version would forget what an earlier one still knew.
pub const REMEMBERED: usize = 1_024;

/// What is recorded of a handled message.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) position: Position,
    /// The highest position that is not among the remembered any more, this mark included.
    pub(super) floor: Position,
}

/// The messages of one key that were handled, as its stream says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The version of the stream.
    pub(super) version: Version,
    pub(super) floor: Position,
    /// In the order in which they were handled.
    latest: VecDeque<Position>,
}

/// What is known of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    New {
        late: bool,
    },
    Repeated,
    /// Neither can be told.
    TooOld,
}

impl Marks {
    /// Nothing yet, of a stream that is read behind this version.
    pub(super) fn behind(version: Version) -> Self {
        Self { version, ..Self::default() }
    }

    /// What is known of the message at `position`.
    pub(super) fn of(&self, position: Position) -> Known {
        // What comes again is most often among the last.
        if self.latest.iter().rev().any(|&handled| handled == position) {
            return Known::Repeated;
        }
        if position <= self.floor {
            return Known::TooOld;
        }
        Known::New { late: self.latest.iter().any(|&handled| handled > position) }
    }

    /// The mark of a message that is handled now.
    pub(super) fn next(&self, position: Position) -> Mark {
        let leaves = self.latest.front().filter(|_| self.latest.len() >= REMEMBERED);
        Mark { position, floor: leaves.map_or(self.floor, |&oldest| oldest.max(self.floor)) }
    }

    /// Takes up the mark at `version`.
    pub(super) fn add(&mut self, mark: Mark, version: Version) {
        self.version = version;
        self.floor = mark.floor;
        self.latest.push_back(mark.position);
        if self.latest.len() > REMEMBERED {
            self.latest.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn handle(marks: &mut Marks, position: Position) -> Mark {
        let mark = marks.next(position);
        marks.add(mark, marks.version.next());
        mark
    }

    #[test]
    fn what_was_held_up_is_new_and_what_comes_again_is_not() {
        let mut marks = Marks::default();
        let at = Position::new;
        for position in [10, 20, 40] {
            assert_eq!(marks.of(at(position)), Known::New { late: false });
            handle(&mut marks, at(position));
        }
        assert_eq!(marks.of(at(20)), Known::Repeated);
        assert_eq!(marks.of(at(30)), Known::New { late: true });
        handle(&mut marks, at(30));
        assert_eq!(marks.of(at(30)), Known::Repeated);
        assert_eq!(marks.of(at(50)), Known::New { late: false });
    }

    proptest! {
        /// Whatever comes, in whatever order: nothing handled is new, and nothing unhandled is a repetition.
        #[test]
        fn never_takes_one_for_the_other(seed in prop::collection::vec(1_u64..3_000, 1..4_000)) {
            let (mut marks, mut handled, mut log) = (Marks::default(), HashSet::new(), Vec::new());
            for (nth, jump) in seed.into_iter().enumerate() {
                // Mostly ahead, sometimes far back.
                let position = Position::new(if nth % 7 == 0 { jump } else { nth as u64 + 1 });
                match marks.of(position) {
                    Known::New { .. } => {
                        prop_assert!(handled.insert(position), "{position} twice");
                        log.push(handle(&mut marks, position));
                    }
                    Known::Repeated => prop_assert!(handled.contains(&position)),
                    Known::TooOld => prop_assert!(position <= marks.floor),
                }
            }
            // Read back from the end of its stream, it is the same.
            let mut again = Marks::default();
            let skipped = log.len().saturating_sub(REMEMBERED);
            for (mark, version) in log.iter().zip(1..).skip(skipped) {
                again.add(*mark, Version::new(version));
            }
            prop_assert_eq!(again, marks);
        }
    }
}

//! Who is let in that calls.
//!
//! The first packet of a call is cheap, and its source is easily made up. What follows from it is not cheap: keys, a signature, a
//! connection that waits for its handshake. So of those whose address is not proved a few may go on, few of one subnet in a second,
//! and the others are sent a retry, which costs no memory, and which only who is at that address can answer.

use std::net::SocketAddr;
use std::sync::Arc;

use daa_core::clock::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::quota::{Quotas, Rate};
use crate::subnet::Subnet;

/// How many handshakes go on at a time.
const HANDSHAKES: usize = 256;
/// How many of them with somebody whose address is not proved.
const UNPROVED: usize = 32;
/// How many may come from one subnet without a proof, in a second and at once. With the time that a handshake may take, these are
/// fewer than a subnet may have strangers: who makes sources up does not take the places of those who are there.
const OF_SUBNET: Rate = Rate::per_second(1, 4);

/// What somebody who calls is told.
#[derive(Debug)]
pub(super) enum Answer {
    /// Go on.
    Accept(Place),
    /// Prove that you are there.
    Retry,
    /// There is no room.
    Refuse,
    /// Nothing: there is no room even for those who are there.
    Ignore,
}

/// A handshake that goes on.
#[derive(Debug)]
pub(super) struct Place {
    _handshake: OwnedSemaphorePermit,
    _unproved: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
pub(super) struct Admission {
    handshakes: Arc<Semaphore>,
    unproved: Arc<Semaphore>,
    of_subnets: Quotas<Subnet>,
    began: Instant,
}

impl Admission {
    pub(super) fn new() -> Self {
        Self {
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
            unproved: Arc::new(Semaphore::new(UNPROVED)),
            of_subnets: Quotas::new(OF_SUBNET),
            began: Instant::now(),
        }
    }

    /// How many handshakes more there may be.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.handshakes.available_permits()
    }

    pub(super) fn admit(&mut self, remote: SocketAddr, is_proved: bool, now: Instant) -> Answer {
        let Ok(handshake) = Arc::clone(&self.handshakes).try_acquire_owned() else {
            return if is_proved { Answer::Refuse } else { Answer::Ignore };
        };
        if is_proved {
            return Answer::Accept(Place { _handshake: handshake, _unproved: None });
        }
        let Ok(unproved) = Arc::clone(&self.unproved).try_acquire_owned() else { return Answer::Retry };
        let millis = u64::try_from(now.duration_since(self.began).as_millis()).unwrap_or(u64::MAX);
        let now = Timestamp::from_millis(millis);
        match self.of_subnets.take(Subnet::of_ip(remote.ip()), 1, now) {
            Ok(()) => Answer::Accept(Place { _handshake: handshake, _unproved: Some(unproved) }),
            Err(_) => Answer::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(subnet: u8, host: u8) -> SocketAddr {
        SocketAddr::from(([198, 51, subnet, host], 4001))
    }

    fn is_accepted(answer: &Answer) -> bool {
        matches!(answer, Answer::Accept(_))
    }

    #[test]
    fn of_one_subnet_a_few_are_let_in_and_the_others_have_to_prove_where_they_are() {
        let mut admission = Admission::new();
        let now = admission.began;
        let answers: Vec<_> = (0..100).map(|host| admission.admit(at(1, host), false, now)).collect();
        assert_eq!(answers.iter().filter(|answer| is_accepted(answer)).count(), 4);
        assert!(answers.iter().skip(4).all(|answer| matches!(answer, Answer::Retry)));
        assert!(is_accepted(&admission.admit(at(1, 7), true, now)), "who has proved it is let in");
        assert!(is_accepted(&admission.admit(at(2, 7), false, now)), "others do not suffer");
        let later = now + Duration::from_secs(2);
        let answers = [7, 8, 9].map(|host| is_accepted(&admission.admit(at(1, host), false, later)));
        assert_eq!(answers, [true, true, false]);
    }

    #[test]
    fn of_all_there_are_so_many_handshakes_whatever_was_made_up() {
        let mut admission = Admission::new();
        let now = admission.began;
        let mut places = Vec::new();
        let mut accepted = |admission: &mut Admission, answer| match answer {
            Answer::Accept(place) => {
                places.push(place);
                assert!(admission.handshakes.available_permits() < HANDSHAKES);
                None
            }
            answer => Some(answer),
        };
        for subnet in 0..32 {
            let answer = admission.admit(at(subnet, 1), false, now);
            assert!(accepted(&mut admission, answer).is_none());
        }
        let answer = admission.admit(at(99, 1), false, now);
        assert!(matches!(accepted(&mut admission, answer), Some(Answer::Retry)));
        for host in 0..224 {
            let answer = admission.admit(at(100, host), true, now);
            assert!(accepted(&mut admission, answer).is_none());
        }
        let answers = [true, false].map(|is_proved| admission.admit(at(101, 1), is_proved, now));
        assert!(matches!(answers, [Answer::Refuse, Answer::Ignore]));
        places.clear();
        assert!(is_accepted(&admission.admit(at(102, 1), false, now)));
    }
}

//! The answers to requests that may come again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::wire::Answer;
use super::{IdempotencyKey, Status};
use crate::node_id::NodeId;

/// How long an answer is kept, from when it was asked for: longer than any deadline.
const KEPT: Duration = Duration::from_secs(1_200);
/// How many answers are kept, and how many bytes of them; of one peer at most an eighth of these.
const MAX_ANSWERS: usize = 4_096;
const MAX_BYTES: usize = 16 << 20;
const SHARE: usize = 8;

/// Which request: who asks for what, and its key.
pub(super) type Which = (NodeId, String, IdempotencyKey);

#[derive(Debug, Default)]
struct Kept {
    answers: HashMap<Which, watch::Receiver<Option<Answer>>>,
    order: VecDeque<(Which, Instant)>,
    of_peers: HashMap<NodeId, usize>,
    bytes: usize,
}

/// What is being worked on, or was done.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers(Arc<Mutex<Kept>>);

/// What is to be done with a request.
pub(super) enum Turn {
    /// It is the first: to be worked on, and told here.
    First(watch::Sender<Option<Answer>>),
    /// It is being worked on, or was.
    Again(watch::Receiver<Option<Answer>>),
    /// There is no room to remember it.
    NoRoom,
}

impl Answers {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn turn(&self, which: Which) -> Turn {
        let mut kept = self.kept();
        kept.expire(Instant::now());
        if let Some(known) = kept.answers.get(&which) {
            // Who worked on it may have failed without a word: then it is worked on anew.
            if known.borrow().is_some() || known.has_changed().is_ok() {
                return Turn::Again(known.clone());
            }
            kept.remove(&which);
        }
        let of_peer = kept.of_peers.get(&which.0).copied().unwrap_or_default();
        if kept.answers.len() >= MAX_ANSWERS || of_peer >= MAX_ANSWERS / SHARE || kept.bytes >= MAX_BYTES {
            return Turn::NoRoom;
        }
        let (tell, told) = watch::channel(None);
        *kept.of_peers.entry(which.0).or_default() += 1;
        kept.order.push_back((which.clone(), Instant::now() + KEPT));
        kept.answers.insert(which, told);
        Turn::First(tell)
    }

    /// It is done: the answer is told and kept, unless it is that it cannot be done now.
    pub(super) fn done(&self, which: &Which, tell: &watch::Sender<Option<Answer>>, answer: Answer) {
        let mut kept = self.kept();
        let passes = answer.status == Status::Unavailable.to_number();
        kept.bytes = kept.bytes.saturating_add(answer.body.len());
        tell.send_replace(Some(answer));
        if passes {
            kept.remove(which);
        }
    }
}

impl Kept {
    fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(_, until)| *until <= now) {
            let Some((which, _)) = self.order.pop_front() else { return };
            self.remove(&which);
        }
    }

    fn remove(&mut self, which: &Which) {
        let Some(told) = self.answers.remove(which) else { return };
        self.order.retain(|(other, _)| other != which);
        let len = told.borrow().as_ref().map_or(0, |answer| answer.body.len());
        self.bytes = self.bytes.saturating_sub(len);
        if let Some(count) = self.of_peers.get_mut(&which.0) {
            *count -= 1;
            if *count == 0 {
                self.of_peers.remove(&which.0);
            }
        }
    }
}

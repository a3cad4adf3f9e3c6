//! The answers to the messages of one channel.
//!
//! A task of each channel sends them, in order. While it waits until some are written, others come together, and most of
//! those are sent as one: what was acknowledged below every message that is not answered yet.

use std::collections::BTreeSet;

use daa_core::bus::BusError;
use futures_util::future::join_all;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::{Channel, ChannelStatus};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::link::ANSWER_WITHIN;
use crate::bus::broker;

/// The number that the broker gave to a delivery; it counts those of a channel from 1.
pub(super) type Tag = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Acknowledged(Tag),
    /// It goes back to its queue.
    Returned(Tag),
}

/// What is sent to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Acknowledged(Tag),
    /// Up to this one.
    AllAcknowledged(Tag),
    Returned(Tag),
}

/// Takes the answers.
#[derive(Debug)]
pub(super) struct Answers {
    status: ChannelStatus,
    sender: mpsc::Sender<Answer>,
}

impl Answers {
    /// `prefetched`: how many messages are unanswered at most. The task ends when this is gone and what it took is sent.
    pub(super) fn of(channel: Channel, prefetched: usize) -> (Self, JoinHandle<()>) {
        let (sender, answers) = mpsc::channel(prefetched);
        let status = channel.status().clone();
        let told = tokio::spawn(send(channel, answers));
        (Self { status, sender }, told)
    }

    /// Whether the broker waits for answers: it has taken the messages back when the channel is gone.
    pub(super) fn are_awaited(&self) -> bool {
        self.status.connected()
    }

    pub(super) fn give(&self, answer: Answer) -> Result<(), BusError> {
        let lost = || broker("answer a message")("its connection was lost".into());
        if !self.are_awaited() {
            return Err(lost());
        }
        // There is room for the answers to all messages.
        self.sender.try_send(answer).map_err(|_| lost())
    }
}

async fn send(channel: Channel, mut answers: mpsc::Receiver<Answer>) {
    let (mut ledger, mut given) = (Ledger::default(), Vec::new());
    while answers.recv_many(&mut given, usize::MAX).await > 0 {
        // Each is under way in its turn before any of them is waited for.
        let told = join_all(ledger.settle(&given).into_iter().map(|told| tell(&channel, told)));
        match timeout(ANSWER_WITHIN, told).await {
            Ok(told) => {
                if let Some(error) = told.into_iter().find_map(Result::err) {
                    tracing::debug!(%error, "messages were not answered and come again");
                }
            }
            // They are under way nevertheless, unless the connection is lost.
            Err(_) => tracing::debug!("the broker is slow to take answers"),
        }
        given.clear();
    }
}

async fn tell(channel: &Channel, told: Told) -> Result<(), lapin::Error> {
    let again = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
    match told {
        Told::Acknowledged(tag) => channel.basic_ack(tag, BasicAckOptions::default()).await,
        Told::AllAcknowledged(tag) => channel.basic_ack(tag, BasicAckOptions { multiple: true }).await,
        Told::Returned(tag) => channel.basic_nack(tag, again).await,
    }
}

/// Which messages of a channel are answered.
#[derive(Debug, Default)]
struct Ledger {
    /// The highest answered one.
    highest: Tag,
    /// Those below it that are not answered: delivered, or about to be looked at.
    open: BTreeSet<Tag>,
}

impl Ledger {
    fn close(&mut self, tag: Tag) {
        if tag <= self.highest {
            self.open.remove(&tag);
        } else {
            self.open.extend(self.highest + 1..tag);
            self.highest = tag;
        }
    }

    /// The fewest words for these answers. What goes back does so first: acknowledging all would include it.
    fn settle(&mut self, given: &[Answer]) -> Vec<Told> {
        let (mut told, mut acknowledged) = (Vec::new(), Vec::new());
        for answer in given {
            match *answer {
                Answer::Acknowledged(tag) => {
                    self.close(tag);
                    acknowledged.push(tag);
                }
                Answer::Returned(tag) => {
                    self.close(tag);
                    told.push(Told::Returned(tag));
                }
            }
        }
        let lowest_open = self.open.first().copied().unwrap_or(Tag::MAX);
        let all = acknowledged.iter().copied().filter(|tag| *tag < lowest_open).max();
        told.extend(acknowledged.into_iter().filter(|tag| *tag > lowest_open).map(Told::Acknowledged));
        told.extend(all.map(Told::AllAcknowledged));
        told
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_answered_in_turn_is_acknowledged_at_once() {
        let mut ledger = Ledger::default();
        let given = [1, 2, 3].map(Answer::Acknowledged);
        assert_eq!(ledger.settle(&given), [Told::AllAcknowledged(3)]);
        assert_eq!(ledger.settle(&[Answer::Acknowledged(4)]), [Told::AllAcknowledged(4)]);
    }

    #[test]
    fn what_is_not_answered_is_left_out() {
        let mut ledger = Ledger::default();
        let given = [Answer::Acknowledged(3), Answer::Returned(1), Answer::Acknowledged(5)];
        let told = [Told::Returned(1), Told::Acknowledged(3), Told::Acknowledged(5)];
        assert_eq!(ledger.settle(&given), told);
        assert_eq!(ledger.settle(&[Answer::Acknowledged(2)]), [Told::AllAcknowledged(2)]);
        assert_eq!(ledger.settle(&[Answer::Acknowledged(7)]), [Told::Acknowledged(7)]);
    }

    /// A broker, which refuses what it does not wait for.
    #[derive(Debug, Default)]
    struct Broker {
        unanswered: BTreeSet<Tag>,
        acknowledged: BTreeSet<Tag>,
        returned: BTreeSet<Tag>,
    }

    impl Broker {
        fn hear(&mut self, told: Told) {
            let (Told::Acknowledged(tag) | Told::AllAcknowledged(tag) | Told::Returned(tag)) = told;
            assert!(self.unanswered.contains(&tag), "{told:?} of {self:?}");
            match told {
                Told::Acknowledged(_) => drop(self.acknowledged.insert(tag)),
                Told::Returned(_) => drop(self.returned.insert(tag)),
                Told::AllAcknowledged(_) => {
                    self.acknowledged.extend(self.unanswered.range(..=tag));
                    self.unanswered.retain(|other| *other > tag);
                }
            }
            self.unanswered.remove(&tag);
        }
    }

    proptest! {
        #[test]
        fn the_broker_hears_each_answer_once(
            order in Just((1..40).collect::<Vec<Tag>>()).prop_shuffle(),
            returns in prop::collection::vec(any::<bool>(), 40),
            turns in prop::collection::vec(1_usize..6, 40),
            answered in 0_usize..40,
        ) {
            let mut broker = Broker { unanswered: order.iter().copied().collect(), ..Broker::default() };
            let answers: Vec<Answer> = order.iter().take(answered).map(|tag| {
                let back = returns[usize::try_from(*tag).unwrap()];
                if back { Answer::Returned(*tag) } else { Answer::Acknowledged(*tag) }
            }).collect();
            let (mut ledger, mut rest) = (Ledger::default(), &answers[..]);
            for turn in turns {
                let (now, later) = rest.split_at(turn.min(rest.len()));
                ledger.settle(now).into_iter().for_each(|told| broker.hear(told));
                rest = later;
            }
            let of = |wanted: bool| -> BTreeSet<Tag> {
                answers.iter().filter_map(|answer| match *answer {
                    Answer::Acknowledged(tag) => wanted.then_some(tag),
                    Answer::Returned(tag) => (!wanted).then_some(tag),
                }).collect()
            };
            prop_assert_eq!(broker.acknowledged, of(true));
            prop_assert_eq!(broker.returned, of(false));
        }
    }
}

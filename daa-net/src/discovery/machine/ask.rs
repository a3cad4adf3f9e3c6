//! Requests that are under way: who was asked, until when to wait, and what comes of the answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use daa_core::clock::Timestamp;

use super::super::LookupId;
use super::super::key::Key;
use super::super::pace::Paced;
use super::super::rtt::{HARD, RoundTrip};
use super::super::wire::{Body, Find, Kept, Knows, Message, Stored, Want, prefix};
use super::Discovery;
use crate::machine::{Effect, MessageError};
use crate::node_id::NodeId;

/// How many requests that are over are remembered, so that an answer which is late, or comes twice, is not held against who
/// sends it.
const OVER: usize = 4_096;
/// How many peers are asked for themselves at a time.
const ACQUAINTANCES: usize = 64;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Lookup(LookupId, Want),
    /// To see who it is, and whether it is there.
    Acquaintance,
    /// To have something kept.
    Keep(LookupId),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) peer: NodeId,
    pub(super) purpose: Purpose,
    sent: Timestamp,
    /// An answer then takes one round trip, and several otherwise.
    was_connected: bool,
    is_slow: bool,
    /// When it is slow, or, if it is, over.
    due: Timestamp,
    over: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Asking {
    last: u64,
    requests: BTreeMap<u64, Request>,
    due: BTreeSet<(Timestamp, u64)>,
    over: BTreeSet<(u64, NodeId)>,
    over_in_order: VecDeque<(u64, NodeId)>,
    connected: RoundTrip,
    first: RoundTrip,
}

impl Asking {
    /// The next moment at which something is over, or slow.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A request that is slow by now, or over.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<(u64, bool)> {
        let (at, id) = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        self.due.remove(&(at, id));
        let request = self.requests.get_mut(&id)?;
        let is_over = request.is_slow || request.over <= now;
        if !is_over {
            (request.is_slow, request.due) = (true, request.over);
            self.due.insert((request.over, id));
        }
        Some((id, is_over))
    }

    /// The requests that this peer has not answered.
    pub(super) fn of(&self, peer: &NodeId) -> Vec<u64> {
        self.requests.iter().filter(|(_, request)| request.peer == *peer).map(|(id, _)| *id).collect()
    }

    #[cfg(test)]
    pub(super) fn purpose(&self, id: u64) -> Option<Purpose> {
        self.requests.get(&id).map(|request| request.purpose)
    }

    fn begin(&mut self, peer: NodeId, purpose: Purpose, was_connected: bool, now: Timestamp) -> u64 {
        self.last += 1;
        let trip = if was_connected { &self.connected } else { &self.first };
        let over = now + HARD;
        let due = over.min(now + trip.patience());
        let request = Request { peer, purpose, sent: now, was_connected, is_slow: false, due, over };
        self.requests.insert(self.last, request);
        self.due.insert((due, self.last));
        self.last
    }

    /// The request that a peer answers; nothing, if the answer is late or the second one.
    ///
    /// # Errors
    /// It was not asked.
    fn answered_by(&self, from: NodeId, id: u64) -> Result<Option<Request>, MessageError> {
        match self.requests.get(&id) {
            Some(request) if request.peer == from => Ok(Some(*request)),
            _ if self.over.contains(&(id, from)) => Ok(None),
            _ => Err(MessageError { what: "an answer that nobody asked for" }),
        }
    }

    /// The request is over, because of an answer or because there is none.
    fn end(&mut self, id: u64) -> Option<Request> {
        let request = self.requests.remove(&id)?;
        self.due.remove(&(request.due, id));
        let over = (id, request.peer);
        self.over.insert(over);
        self.over_in_order.push_back(over);
        if self.over_in_order.len() > OVER
            && let Some(oldest) = self.over_in_order.pop_front()
        {
            self.over.remove(&oldest);
        }
        Some(request)
    }

    fn took(&mut self, request: &Request, now: Timestamp) {
        let trip = if request.was_connected { &mut self.connected } else { &mut self.first };
        trip.sample(now.since(request.sent));
    }
}

impl Discovery {
    pub(super) fn ask(&mut self, peer: NodeId, purpose: Purpose, body: Body, now: Timestamp) {
        let was_connected = self.connected.contains_key(&peer);
        let id = self.asking.begin(peer, purpose, was_connected, now);
        let message = Message { id, body }.encode();
        self.effects.push_back(Effect::Send { to: peer, message });
    }

    pub(super) fn ask_to_keep(&mut self, peer: NodeId, lookup: LookupId, stored: Stored, now: Timestamp) {
        self.ask(peer, Purpose::Keep(lookup), Body::Store(stored), now);
    }

    /// Asks a peer for its own record, which is the one nearest to its own place.
    pub(super) fn acquaint(&mut self, peer: NodeId, now: Timestamp) {
        let asked = self.asking.requests.values().filter(|request| request.purpose == Purpose::Acquaintance);
        let (count, is_asked) = asked
            .fold((0, false), |(count, is_asked), request| (count + 1, is_asked || request.peer == peer));
        if is_asked || count >= ACQUAINTANCES || peer == self.node {
            return;
        }
        let known = self.record(&peer, now);
        let knows = known.map(|record| Knows { prefix: prefix(&peer), version: record.record().version });
        let find =
            Find { target: Key::from(peer), want: Want::Nodes, count: 1, knows: knows.into_iter().collect() };
        self.ask(peer, Purpose::Acquaintance, Body::Find(find), now);
    }

    /// As [`acquaint`](Self::acquaint), for whom nobody has asked lately.
    pub(super) fn introduce(&mut self, peer: NodeId, now: Timestamp) {
        if self.table.has_room_for(&peer) && self.introductions.take(peer, now) == Paced::Allowed {
            self.acquaint(peer, now);
        }
    }

    /// A request that belongs to an answer, of the kind that the answer is of.
    pub(super) fn answered(
        &self,
        from: NodeId,
        id: u64,
        is_kept: bool,
    ) -> Result<Option<Request>, MessageError> {
        let request = self.asking.answered_by(from, id)?;
        if request.is_some_and(|request| matches!(request.purpose, Purpose::Keep(_)) != is_kept) {
            return Err(MessageError { what: "an answer to something else than was asked" });
        }
        Ok(request)
    }

    /// A good answer came.
    pub(super) fn settle(&mut self, id: u64, now: Timestamp) {
        if let Some(request) = self.asking.end(id) {
            self.asking.took(&request, now);
            self.alive(request.peer, now);
            if request.was_connected {
                self.table.took(&request.peer, now.since(request.sent));
            }
        }
    }

    pub(super) fn kept(
        &mut self,
        from: NodeId,
        id: u64,
        kept: Kept,
        now: Timestamp,
    ) -> Result<(), MessageError> {
        let Some(request) = self.answered(from, id, true)? else { return Ok(()) };
        self.settle(id, now);
        if let Purpose::Keep(lookup) = request.purpose {
            self.is_kept(lookup, from, kept == Kept::Yes, now);
        }
        Ok(())
    }

    /// No answer will come.
    pub(super) fn no_answer(&mut self, id: u64, now: Timestamp) {
        let Some(request) = self.asking.end(id) else { return };
        self.table.failed(&request.peer);
        match request.purpose {
            Purpose::Lookup(lookup, _) => {
                if let Some(running) = self.running.get_mut(&lookup) {
                    running.lookup.failed(&request.peer);
                    self.advance(lookup, now);
                }
            }
            Purpose::Keep(lookup) => self.is_kept(lookup, request.peer, false, now),
            Purpose::Acquaintance => {}
        }
    }

    /// An answer takes longer than answers do.
    pub(super) fn is_slow(&mut self, id: u64, now: Timestamp) {
        let request = self.asking.requests.get(&id).copied();
        if let Some(Request { peer, purpose: Purpose::Lookup(lookup, _), .. }) = request
            && let Some(running) = self.running.get_mut(&lookup)
        {
            running.lookup.slow(&peer);
            self.advance(lookup, now);
        }
    }
}

//! Statements and records, asked for, given and taken.

use bytes::Bytes;
use daa_core::clock::Timestamp;

use super::statement::{Kind, SignedStatement, Unverified};
use super::wire::{Claim, Item, Message, Standing};
use super::{Entry, MemberState, Membership, MembershipEvent, Output, Phase, UNASKED};
use crate::machine::{Effect, MessageError};
use crate::node_id::NodeId;
use crate::record::{Offered, RecordError, SignedRecord};

/// The most bytes of items in a message.
const MAX_BYTES: usize = super::wire::MAX_MESSAGE - 1_024;

/// What was verified of an item; nothing where it is not new.
struct Verified {
    node: NodeId,
    statement: Option<SignedStatement>,
    record: Option<SignedRecord>,
}

impl Membership {
    /// Asks a peer for what it says it has.
    pub(super) fn ask_more(&mut self, peer: NodeId, now: Timestamp) {
        let nodes = self.wants.next(&peer, now, &self.options);
        let known = |node: &NodeId| {
            let entry = self.members.get(node);
            let incarnation = entry.map_or(0, Entry::incarnation);
            let record = entry.map_or(0, |entry| entry.record);
            Claim { node: *node, incarnation, record, standing: Standing::Alive }
        };
        let claims: Vec<_> = nodes.iter().map(known).collect();
        if !claims.is_empty() {
            self.send(peer, Message::Want { claims });
        }
    }

    /// What there is of a node, its record only where that is newer than what is known.
    pub(super) fn item(&self, node: &NodeId, known: Option<u64>, now: Timestamp) -> Option<Item> {
        let (statement, record) = if *node == self.node() {
            (self.own.as_ref()?, Some(&self.record))
        } else {
            (&self.members.get(node)?.statement, self.book.record(node, now))
        };
        let newer = known.map(|known| record.filter(|record| record.record().version > known));
        let record = newer.flatten().map_or_else(Bytes::new, |record| record.as_bytes().clone());
        Some(Item { statement: statement.as_bytes().clone(), record })
    }

    /// Gives a peer what it asks for.
    pub(super) fn give(&mut self, to: NodeId, claims: &[Claim], now: Timestamp) -> Result<(), MessageError> {
        self.quotas.take(to, 2 * claims.len() as u64, now)?;
        let (mut items, mut bytes) = (Vec::new(), 0);
        for claim in claims {
            let Some(item) = self.item(&claim.node, Some(claim.record), now) else { continue };
            let len = item.statement.len() + item.record.len();
            if bytes + len > MAX_BYTES {
                self.send(to, Message::Have { items: std::mem::take(&mut items) });
                bytes = 0;
            }
            bytes += len;
            items.push(item);
        }
        if !items.is_empty() {
            self.send(to, Message::Have { items });
        }
        Ok(())
    }

    /// Takes what was asked for, or what a peer says of itself, or shows of what this node has said.
    pub(super) fn take(&mut self, from: NodeId, items: &[Item], now: Timestamp) -> Result<(), MessageError> {
        let mut all = Vec::new();
        for item in items {
            match self.verify(from, item, now) {
                Ok(verified) => all.push(verified),
                Err(error) => {
                    // It is asked nothing for a while, so that what it sends has its price again.
                    self.wants.silence(&from, now, &self.options);
                    return Err(error);
                }
            }
        }
        for verified in all {
            self.wants.remove(&verified.node, &from);
            self.adopt(from, verified, now);
        }
        self.contact(from, now);
        self.ask_more(from, now);
        Ok(())
    }

    fn verify(&mut self, from: NodeId, item: &Item, now: Timestamp) -> Result<Verified, MessageError> {
        let wrong = |what| Err(MessageError { what });
        let Some(read) = Unverified::read(&item.statement, &self.network) else {
            return wrong("no statement");
        };
        let (node, incarnation) = (read.statement.node, read.statement.incarnation);
        let is_me = node == self.node();
        let none = Verified { node, statement: None, record: None };
        if !self.wants.is_asked(&node, &from) {
            self.quotas.take(from, UNASKED, now)?;
            // An answer that is late, or comes twice, is no offence.
            if node != from && !is_me {
                return Ok(none);
            }
        }
        if is_me {
            let record = self.verify_own(&item.record, now)?;
            if incarnation <= self.incarnation {
                return Ok(Verified { record, ..none });
            }
            let Some(statement) = read.verify(&self.suite, self.record.key()) else {
                return wrong("a statement that its node has not signed");
            };
            return Ok(Verified { statement: Some(statement), record, ..none });
        }
        let record = self.verify_record(node, &item.record, now)?;
        let known = self.members.get(&node);
        if known.is_some_and(|known| incarnation <= known.incarnation()) || read.is_early(now) {
            return Ok(Verified { record, ..none });
        }
        let Some(key) = record.as_ref().map(SignedRecord::key).or(known.map(|known| &known.key)) else {
            return Ok(none);
        };
        match read.verify(&self.suite, key) {
            Some(statement) => Ok(Verified { node, statement: Some(statement), record }),
            None => wrong("a statement that its node has not signed"),
        }
    }

    fn verify_record(
        &self,
        node: NodeId,
        bytes: &Bytes,
        now: Timestamp,
    ) -> Result<Option<SignedRecord>, MessageError> {
        let known = self.book.record(&node, now);
        if bytes.is_empty() || known.is_some_and(|known| known.as_bytes() == bytes) {
            return Ok(None);
        }
        match SignedRecord::verify(&self.suite, &self.network, bytes, now) {
            Ok(record) if record.node() == node => Ok(Some(record)),
            // Clocks differ: who passes it on may see it otherwise.
            Err(RecordError::Early { .. } | RecordError::Expired { .. }) => Ok(None),
            _ => Err(MessageError { what: "a record that is not of its node" }),
        }
    }

    /// A record of this node that is newer than the one it knows.
    fn verify_own(&self, bytes: &Bytes, now: Timestamp) -> Result<Option<SignedRecord>, MessageError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let verify = |now| SignedRecord::verify(&self.suite, &self.network, bytes, now);
        let read = match verify(now) {
            // The clock was set back: what counts is whether it is this node's.
            Err(RecordError::Early { issued, .. }) => verify(issued),
            read => read,
        };
        match read {
            Ok(record) if record.node() == self.node() => {
                Ok(Some(record).filter(|record| record.record().version > self.record.record().version))
            }
            Err(RecordError::Expired { .. }) => Ok(None),
            _ => Err(MessageError { what: "a record that is not of its node" }),
        }
    }

    fn adopt(&mut self, from: NodeId, verified: Verified, now: Timestamp) {
        let Verified { node, statement, record } = verified;
        if node == self.node() {
            // It was there before, with a clock that was ahead.
            if let Some(record) = record {
                self.effects.push_back(Effect::Tell(Output::Renew(record.record().version)));
            }
            if let Some(statement) = statement
                && self.phase == Phase::Here
            {
                self.incarnation = self.incarnation.max(statement.statement().incarnation);
                self.signing = None;
                self.state(Kind::Alive, now);
                self.accusers.insert(from);
            }
            return;
        }
        if self.members.contains_key(&node) {
            if let Some(record) = record {
                self.take_record(node, record, now);
            }
            if let Some(statement) = statement {
                self.restate(node, statement, now);
            }
        } else if let (Some(statement), Some(record)) = (statement, record) {
            self.admit(from, statement, record, now);
        }
    }

    fn take_record(&mut self, node: NodeId, record: SignedRecord, now: Timestamp) {
        let version = record.record().version;
        let is_taken = matches!(self.book.offer(record, now), Ok(Offered::New | Offered::Newer));
        if is_taken && let Some(entry) = self.members.get_mut(&node) {
            entry.record = entry.record.max(version);
            self.spread(&node);
            self.tell(MembershipEvent::RecordChanged(node));
        }
    }

    fn restate(&mut self, node: NodeId, statement: SignedStatement, now: Timestamp) {
        let kind = statement.statement().kind;
        let Some(entry) = self.members.get_mut(&node) else { return };
        let before = entry.state;
        entry.statement = statement;
        entry.state = match kind {
            Kind::Alive => MemberState::Alive,
            Kind::Left => MemberState::Left,
        };
        if entry.state != before {
            entry.since = now;
        }
        self.suspects.remove(&node);
        self.spread(&node);
        match (before, kind) {
            (MemberState::Dead | MemberState::Left, Kind::Alive) => {
                self.probes.insert(node, &mut self.rng);
                self.tell(MembershipEvent::Joined(node));
            }
            (MemberState::Suspect, Kind::Alive) => self.tell(MembershipEvent::Refuted(node)),
            (MemberState::Left, Kind::Left) | (MemberState::Alive, Kind::Alive) => {}
            (_, Kind::Left) => self.tell(MembershipEvent::Left(node)),
        }
    }

    fn admit(&mut self, from: NodeId, statement: SignedStatement, record: SignedRecord, now: Timestamp) {
        let (node, key, version) = (record.node(), record.key().clone(), record.record().version);
        if statement.statement().kind != Kind::Alive || !self.make_room() {
            return;
        }
        self.book.keep(node);
        // The book knows more of the past than the members do.
        if self.book.offer(record, now).is_err() {
            return self.book.release(&node);
        }
        let (state, heard) = (MemberState::Alive, (node == from).then_some(now));
        let entry = Entry { key, statement, state, since: now, heard, record: version, synced: None };
        self.members.insert(node, entry);
        self.probes.insert(node, &mut self.rng);
        self.spread(&node);
        self.tell(MembershipEvent::Joined(node));
        if node == from {
            self.sync(from, now);
        }
    }
}

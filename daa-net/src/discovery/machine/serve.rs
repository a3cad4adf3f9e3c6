//! What a node does for others.

use std::collections::BTreeMap;

use daa_core::clock::Timestamp;

use super::super::key::Key;
use super::super::pace::Paced;
use super::super::table::K;
use super::super::wire::{Body, Entry, Filling, Find, Kept, Message, Stored, Want, prefix};
use super::search::Goal;
use super::{Discovery, ProviderStore};
use crate::machine::{Effect, MessageError};
use crate::names::{NameError, Put, SignedName};
use crate::node_id::NodeId;
use crate::record::{RecordError, SignedRecord};

impl Discovery {
    pub(super) fn find(
        &mut self,
        from: NodeId,
        id: u64,
        find: &Find,
        now: Timestamp,
    ) -> Result<(), MessageError> {
        match self.finds.take(from, now) {
            Paced::Allowed => {}
            Paced::TooOften => return Err(MessageError { what: "more requests than a peer may send" }),
            // It asks another one.
            Paced::Crowded => return Ok(()),
        }
        let name = self.names.at(&find.target, now).filter(|_| find.want == Want::Name);
        let mut filling = Filling::new(name.map(|name| name.as_bytes().clone()).unwrap_or_default());
        if find.want == Want::Providers {
            let providers = self.providers.providers(&find.target, &from, now);
            filling.providers(providers.into_iter().map(entry));
        }
        let knows: BTreeMap<_, _> = find.knows.iter().map(|knows| (knows.prefix, knows.version)).collect();
        for record in self.nearest(&find.target, find.count, &from, now) {
            let known = knows.get(&prefix(&record.node()));
            let is_known = known.is_some_and(|version| *version >= record.record().version);
            filling.node(entry(record), is_known);
        }
        let body = Body::Found(filling.done());
        self.effects.push_back(Effect::Send { to: from, message: Message { id, body }.encode() });
        self.introduce(from, now);
        Ok(())
    }

    pub(super) fn store(
        &mut self,
        from: NodeId,
        id: u64,
        stored: Stored,
        now: Timestamp,
    ) -> Result<(), MessageError> {
        match self.stores.take(from, now) {
            Paced::Allowed => {}
            Paced::TooOften => return Err(MessageError { what: "more to keep than a peer may send" }),
            Paced::Crowded => return Ok(()),
        }
        let is_kept = match stored {
            Stored::Provider { key, record } => self.store_provider(from, key, &record, now)?,
            Stored::Name { record } => self.store_name(from, &record, now)?,
        };
        let body = Body::Kept(if is_kept { Kept::Yes } else { Kept::No });
        self.effects.push_back(Effect::Send { to: from, message: Message { id, body }.encode() });
        self.introduce(from, now);
        Ok(())
    }

    /// Whether this node is among those who keep what belongs to a place: not many that it knows are nearer. Some are, without
    /// harm: who looks for the place does not know exactly the same nodes.
    pub(super) fn is_near(&self, key: &Key) -> bool {
        self.table.nearer(key) < 2 * K
    }

    fn store_provider(
        &mut self,
        from: NodeId,
        key: Key,
        record: &[u8],
        now: Timestamp,
    ) -> Result<bool, MessageError> {
        if !self.is_near(&key) {
            return Ok(false);
        }
        let Some(record) = self.verified(&from, record, now)? else { return Ok(false) };
        if record.node() != from {
            return Err(MessageError { what: "somebody else as a provider" });
        }
        if !ProviderStore::offers(&self.network, &record, &key) {
            return Err(MessageError { what: "a provider of something else" });
        }
        let Some(newest) = self.offer(record.clone(), None, now) else { return Ok(false) };
        let subnets = self.subnets_of(&newest);
        Ok(newest.record().version <= record.record().version
            && self.providers.put(key, &newest, &subnets, now))
    }

    fn store_name(&mut self, from: NodeId, record: &[u8], now: Timestamp) -> Result<bool, MessageError> {
        if self.names.has(record) {
            return Ok(true);
        }
        let Some(name) = self.verified_name(record, now)? else { return Ok(false) };
        Ok(self.keep_name(name, from, now))
    }

    /// Keeps a name, if this node is near its place. Of a name that nothing is known of, those near it are asked: it may have an
    /// owner since before this node came here.
    pub(super) fn keep_name(&mut self, name: SignedName, from: NodeId, now: Timestamp) -> bool {
        let label = name.record().name.clone();
        let key = Key::of_name(&self.network, label.label());
        if !self.is_near(&key) {
            return false;
        }
        let is_new = self.names.held(&label).is_none();
        if is_new && self.confirmations.take(from, now) != Paced::Allowed {
            return false;
        }
        match self.names.put(name, from, now) {
            Put::Kept => true,
            Put::Refused => false,
            Put::Unsure => {
                if self.start(key, Want::Name, Goal::Confirm(label.clone()), now).is_err() {
                    self.names.forget(&label);
                    return false;
                }
                true
            }
        }
    }

    /// A record of a name from outside, verified; nothing when it is not good at this time.
    ///
    /// # Errors
    /// It is none: whoever sent it did not look.
    pub(super) fn verified_name(
        &self,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Option<SignedName>, MessageError> {
        match SignedName::verify(&self.suite, &self.network, bytes, now) {
            Ok(name) => Ok(Some(name)),
            Err(NameError::Early { .. } | NameError::Expired { .. }) => Ok(None),
            Err(_) => Err(MessageError { what: "a record of a name that does not hold" }),
        }
    }

    /// The records nearest to a place, this node's own among them, without that of who asks.
    fn nearest(&self, target: &Key, count: usize, asker: &NodeId, now: Timestamp) -> Vec<&SignedRecord> {
        let contacts = self.table.closest(target, count + 1).into_iter().map(|contact| &contact.record);
        let own = self.own.iter();
        let mut all: Vec<_> = contacts
            .chain(own)
            .filter(|record| record.is_current(now) && record.node() != *asker)
            .map(|record| (Key::from(record.node()).distance(target), record))
            .collect();
        all.sort_unstable_by_key(|(distance, _)| *distance);
        all.into_iter().take(count).map(|(_, record)| record).collect()
    }

    /// A record from outside, verified unless it is known; nothing when it is not good at this time.
    ///
    /// # Errors
    /// It is none, or somebody else's: whoever sent it did not look.
    pub(super) fn verified(
        &self,
        node: &NodeId,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Option<SignedRecord>, MessageError> {
        let known = self.book.record(node, now).or_else(|| self.in_use(node));
        if let Some(known) = known.filter(|known| known.as_bytes() == bytes) {
            return Ok(known.is_current(now).then(|| known.clone()));
        }
        match SignedRecord::verify(&self.suite, &self.network, bytes, now) {
            Ok(record) if record.node() == *node => Ok(Some(record)),
            Ok(_) => Err(MessageError { what: "the record of another node than it is said to be of" }),
            Err(RecordError::Early { .. } | RecordError::Expired { .. }) => Ok(None),
            Err(_) => Err(MessageError { what: "a record that does not hold" }),
        }
    }
}

pub(super) fn entry(record: &SignedRecord) -> Entry {
    Entry { node: record.node(), record: record.as_bytes().clone() }
}

//! What is done without being asked: tables are filled, contacts looked at, and what is provided is told again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use daa_core::clock::Timestamp;

use super::super::key::Key;
use super::super::provider::REPUBLISH;
use super::super::wire::Want;
use super::super::{Event, QUIET, REFRESH, UPKEEP};
use super::Discovery;
use super::search::Goal;
use crate::names::{Name, SignedName};
use crate::record::SignedRecord;

/// How many contacts are looked at in one turn.
const CHECKS: usize = 8;
/// How many publications are begun in one turn.
const PUBLICATIONS: usize = 8;
/// When a publication came to nothing, it is tried again after this.
const AGAIN: Duration = Duration::from_secs(60);

/// When there are contacts again, their neighbours are found within this.
const SOON: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Upkeep {
    turn: Timestamp,
    refresh: Timestamp,
    /// Buckets that are to be filled, one after the other.
    buckets: VecDeque<u8>,
    /// When what the node offers is to be told again.
    provide: BTreeMap<Key, Timestamp>,
    renew: Option<Timestamp>,
    /// Names that others keep: when to tell them again, and when they are to be renewed.
    register: BTreeMap<Key, (Name, Timestamp)>,
    renew_names: BTreeMap<Name, Timestamp>,
}

impl Upkeep {
    /// The next moment at which there is something to do.
    pub(super) fn next(&self) -> Timestamp {
        let provide = self.provide.values().copied();
        let register = self.register.values().map(|(_, at)| *at);
        let renew = self.renew_names.values().copied().chain(self.renew);
        provide.chain(register).chain(renew).fold(self.turn, Timestamp::min)
    }

    pub(super) fn own_record(&mut self, record: &SignedRecord, keys: BTreeSet<Key>, now: Timestamp) {
        let record = record.record();
        self.renew = Some(record.issued + record.expires.since(record.issued) * 2 / 3);
        self.provide = keys.into_iter().map(|key| (key, now)).collect();
    }

    /// What belongs to a key was told: to be told again, and sooner if nobody keeps it.
    pub(super) fn published(&mut self, key: &Key, by: usize, now: Timestamp) {
        if let Some(at) = self.provide.get_mut(key) {
            *at = now + if by == 0 { AGAIN } else { REPUBLISH };
        }
        if let Some((_, at)) = self.register.get_mut(key) {
            *at = now + if by == 0 { AGAIN } else { REPUBLISH };
        }
    }

    /// What waited for contacts is told soon.
    pub(super) fn hasten(&mut self, now: Timestamp) {
        let soon = now + SOON;
        let register = self.register.values_mut().map(|(_, at)| at);
        for at in self.provide.values_mut().chain(register) {
            *at = soon.min(*at);
        }
    }

    pub(super) fn registered(&mut self, name: &SignedName, key: Key, now: Timestamp) {
        let record = name.record();
        let renew = record.issued + record.expires.since(record.issued) * 2 / 3;
        self.renew_names.insert(record.name.clone(), renew);
        self.register.insert(key, (record.name.clone(), now));
    }

    pub(super) fn unregistered(&mut self, name: &Name, key: &Key) {
        self.register.remove(key);
        self.renew_names.remove(name);
    }
}

impl Discovery {
    pub(super) fn upkeep(&mut self, now: Timestamp) {
        if self.upkeep.renew.is_some_and(|at| at <= now) {
            // Until there is one.
            self.upkeep.renew = Some(now + UPKEEP);
            self.tell(Event::Renew);
        }
        self.provide_due(now);
        self.register_due(now);
        if self.upkeep.turn > now {
            return;
        }
        self.upkeep.turn = now + UPKEEP;
        self.book.expire(now);
        self.providers.expire(now);
        self.names.expire(now);
        if self.table.len() == 0 {
            for peer in self.seeds.clone() {
                self.acquaint(peer, now);
            }
        }
        let quiet = Timestamp::from_millis(now.as_millis().saturating_sub(millis(QUIET)));
        for peer in self.table.to_check(quiet, now + QUIET, CHECKS) {
            self.acquaint(peer, now);
        }
        if self.upkeep.refresh <= now {
            self.join(now);
        }
    }

    /// Looks for its own place, and then for one in each bucket that is farther off than its nearest contact.
    pub(super) fn join(&mut self, now: Timestamp) {
        self.upkeep.refresh = now + REFRESH;
        if self.table.len() == 0 {
            return;
        }
        self.upkeep.buckets = (0..=self.table.deepest().unwrap_or_default()).collect();
        // When there are too many lookups, the next turn will do.
        if self.start(self.node.into(), Want::Nodes, Goal::Refresh, now).is_err() {
            self.upkeep.refresh = now + UPKEEP;
        }
    }

    /// Fills the next bucket.
    pub(super) fn refresh_next(&mut self, now: Timestamp) {
        let Some(bucket) = self.upkeep.buckets.pop_back() else { return };
        let target = Key::from(self.node).at_prefix(bucket, self.draw());
        if self.start(target, Want::Nodes, Goal::Refresh, now).is_err() {
            self.upkeep.buckets.clear();
        }
    }

    fn provide_due(&mut self, now: Timestamp) {
        let due: Vec<_> =
            self.upkeep.provide.iter().filter(|(_, at)| **at <= now).map(|(key, _)| *key).collect();
        for (turn, key) in due.into_iter().enumerate() {
            let is_on = turn < PUBLICATIONS
                && self.table.len() > 0
                && self.start(key, Want::Nodes, Goal::Provide, now).is_ok();
            // It is told when it is over; until then, it is not due.
            let again = now + if is_on { REPUBLISH } else { AGAIN };
            self.upkeep.provide.insert(key, again);
        }
    }
}

impl Discovery {
    fn register_due(&mut self, now: Timestamp) {
        let over: Vec<_> = self.registered.values().filter(|name| !name.is_current(now)).cloned().collect();
        over.iter().for_each(|name| self.unregister(&name.record().name));
        let renew: Vec<_> = self.upkeep.renew_names.iter_mut().filter(|(_, at)| **at <= now).collect();
        let mut told = Vec::new();
        for (name, at) in renew {
            // Until there is a newer one.
            *at = now + REPUBLISH;
            told.push(name.clone());
        }
        told.into_iter().for_each(|name| self.tell(Event::RenewName(name)));
        let due = self.upkeep.register.iter().filter(|(_, (_, at))| *at <= now);
        let due: Vec<_> = due.map(|(key, (name, _))| (*key, name.clone())).collect();
        for (turn, (key, name)) in due.into_iter().enumerate() {
            let is_on = turn < PUBLICATIONS
                && self.table.len() > 0
                && self.start(key, Want::Nodes, Goal::Register(name.clone()), now).is_ok();
            let again = now + if is_on { REPUBLISH } else { AGAIN };
            self.upkeep.register.insert(key, (name, again));
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

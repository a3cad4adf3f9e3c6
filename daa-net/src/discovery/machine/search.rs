//! Lookups of this node: from their start to what is done with what they find.

use std::collections::{BTreeMap, BTreeSet};

use daa_core::clock::Timestamp;

use super::super::key::Key;
use super::super::lookup::Lookup;
use super::super::provider::{ProviderRecord, ProviderStore};
use super::super::table::K;
use super::super::wire::{Body, Entry, Find, Found as Answer, Stored, Want};
use super::super::{Busy, Event, Found, LookupId};
use super::ask::Purpose;
use super::{Discovery, LOOKUPS};
use crate::machine::MessageError;
use crate::names::{Name, SignedName, Vote, decide, most};
use crate::node_id::NodeId;
use crate::record::{OfferError, Service, SignedRecord};

/// How many providers a path may name.
const PROVIDERS: usize = 64;
/// How many lookups may wait for each that may be under way.
const WAITING: usize = 8;

/// How many are asked whose a name is that was brought.
const CONFIRMERS: usize = 9;

/// What a lookup is for.
#[derive(Clone, Debug)]
pub(super) enum Goal {
    /// To tell what it finds: nodes, or providers of this service.
    Told(Option<Service>),
    /// To fill the table.
    Refresh,
    /// To have the own record kept at a key.
    Provide,
    /// To tell what a name leads to.
    Name(Name),
    /// To have a name kept.
    Register(Name),
    /// To see whether a name that was brought is somebody else's, by those who are known to be near.
    Confirm(Name),
}

impl Goal {
    /// How many nodes those who are asked may name.
    const fn count(&self) -> usize {
        if matches!(self, Self::Confirm(_)) { 0 } else { K }
    }
}

/// A lookup that is under way, and then what is to be stored where it ended.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) lookup: Lookup,
    goal: Goal,
    /// By node: of two records the newer one.
    providers: BTreeMap<NodeId, SignedRecord>,
    /// How many providers each path has named.
    named: BTreeMap<usize, usize>,
    /// What each of those who were asked has of a name.
    names: BTreeMap<NodeId, SignedName>,
    /// Who was asked to keep something, and has not answered.
    keeping: BTreeSet<NodeId>,
    kept: usize,
    /// The lookup is over, and only those who keep something are waited for.
    is_over: bool,
}

impl Discovery {
    pub(super) fn start(
        &mut self,
        target: Key,
        want: Want,
        goal: Goal,
        now: Timestamp,
    ) -> Result<LookupId, Busy> {
        if self.waiting.len() >= self.options.lookups * WAITING {
            return Err(Busy);
        }
        self.last_lookup += 1;
        let id = LookupId(self.last_lookup);
        self.waiting.push_back((id, target, want, goal));
        self.start_waiting(now);
        Ok(id)
    }

    /// When a lookup that waits may begin, if it waits for its time.
    pub(super) fn next_lookup(&self) -> Option<Timestamp> {
        let waits = !self.waiting.is_empty() && self.running.len() < self.options.lookups;
        waits.then(|| self.begun.ready(LOOKUPS))
    }

    pub(super) fn start_waiting(&mut self, now: Timestamp) {
        while self.running.len() < self.options.lookups
            && let Some(begun) = self.begun.and(1, LOOKUPS, now)
            && let Some((id, target, want, goal)) = self.waiting.pop_front()
        {
            self.begun = begun;
            let seeds = if goal.count() == 0 { CONFIRMERS } else { K };
            let seeds: Vec<_> = self
                .table
                .closest(&target, seeds)
                .into_iter()
                .map(|contact| contact.record.clone())
                .collect();
            let (ways, limits) = ((self.options.paths, self.options.parallel), self.options.subnets);
            let running = Running {
                lookup: Lookup::new(target, want, self.node, ways, limits, seeds),
                goal,
                providers: BTreeMap::new(),
                named: BTreeMap::new(),
                names: BTreeMap::new(),
                keeping: BTreeSet::new(),
                kept: 0,
                is_over: false,
            };
            self.running.insert(id, running);
            self.advance(id, now);
        }
    }

    /// Asks whom a lookup wants to be asked, and ends it when it wants nobody.
    pub(super) fn advance(&mut self, id: LookupId, now: Timestamp) {
        let Some(running) = self.running.get_mut(&id).filter(|running| !running.is_over) else { return };
        let (lookup, count) = (&mut running.lookup, running.goal.count());
        let asked: Vec<_> = std::iter::from_fn(|| lookup.next()).collect();
        let find = Find { target: *lookup.target(), want: lookup.want(), count, knows: lookup.knows() };
        let (want, is_done) = (lookup.want(), lookup.is_done());
        for peer in asked {
            self.ask(peer, Purpose::Lookup(id, want), Body::Find(find.clone()), now);
        }
        if is_done {
            self.end(id, now);
        }
    }

    /// An answer to a lookup, or of somebody who was asked for itself.
    pub(super) fn found(
        &mut self,
        from: NodeId,
        id: u64,
        answer: Answer,
        now: Timestamp,
    ) -> Result<(), MessageError> {
        let Some(request) = self.answered(from, id, false)? else { return Ok(()) };
        let (lookup, want) = match request.purpose {
            Purpose::Lookup(lookup, want) => (Some(lookup), want),
            _ => (None, Want::Nodes),
        };
        if (want != Want::Providers && !answer.providers.is_empty())
            || (want != Want::Name && !answer.name.is_empty())
            || (lookup.is_none() && answer.nodes.len() > 1)
        {
            return Err(MessageError { what: "an answer with more than was asked for" });
        }
        let target =
            lookup.and_then(|lookup| self.running.get(&lookup)).map(|running| *running.lookup.target());
        if lookup.is_some() && target.is_none() {
            // The lookup did not wait for it.
            self.settle(id, now);
            return Ok(());
        }
        // All of it is looked at before any of it is believed.
        let nodes = self.all_verified(&answer.nodes, now)?;
        let providers = self.all_verified(&answer.providers, now)?;
        if let Some(key) = target
            && providers.iter().any(|record| !ProviderStore::offers(&self.network, record, &key))
        {
            return Err(MessageError { what: "a provider of something else" });
        }
        let name = match &answer.name[..] {
            [] => None,
            bytes => self.verified_name(bytes, now)?,
        };
        let is_other = |name: &SignedName| {
            let key = Key::of_name(&self.network, name.record().name.label());
            target.is_some_and(|target| target != key)
        };
        if name.as_ref().is_some_and(is_other) {
            return Err(MessageError { what: "another name than was asked for" });
        }
        let named: Vec<_> = answer.named.iter().filter_map(|node| self.record(node, now)).collect();
        let nodes: Vec<_> =
            nodes.into_iter().filter_map(|record| self.offer(record, Some(from), now)).chain(named).collect();
        let providers: Vec<_> =
            providers.into_iter().filter_map(|record| self.offer(record, Some(from), now)).collect();
        self.settle(id, now);
        let Some(lookup) = lookup else { return Ok(()) };
        let observed = self.observed_at(&from).cloned();
        if let Some(running) = self.running.get_mut(&lookup) {
            running.gather(&from, providers);
            running.names.extend(name.map(|name| (from, name)));
            // Whoever was to name nobody, named nobody.
            let nodes = if running.goal.count() == 0 { Vec::new() } else { nodes };
            running.lookup.answered(&from, observed, nodes);
        }
        self.advance(lookup, now);
        Ok(())
    }

    fn all_verified(&self, entries: &[Entry], now: Timestamp) -> Result<Vec<SignedRecord>, MessageError> {
        let mut seen = BTreeSet::new();
        let mut records = Vec::with_capacity(entries.len());
        for entry in entries {
            if !seen.insert(entry.node) {
                return Err(MessageError { what: "a node twice in an answer" });
            }
            records.extend(self.verified(&entry.node, &entry.record, now)?);
        }
        Ok(records)
    }

    /// Puts a record into the book, and gives the newest of its node.
    pub(super) fn offer(
        &mut self,
        record: SignedRecord,
        teller: Option<NodeId>,
        now: Timestamp,
    ) -> Option<SignedRecord> {
        let node = record.node();
        let offered = match teller {
            None => self.book.offer(record.clone(), now),
            Some(teller) => self.book.offer_from(teller, record.clone(), now),
        };
        match offered {
            Ok(_) | Err(OfferError::Full { .. }) => Some(record),
            Err(OfferError::Conflict(conflict)) => {
                let known = conflict.known.clone();
                self.tell(Event::Conflict(conflict));
                known.is_current(now).then_some(known)
            }
            // What is known goes before what is told.
            Err(_) => self.book.record(&node, now).cloned(),
        }
    }

    /// A lookup has found what it could.
    fn end(&mut self, id: LookupId, now: Timestamp) {
        let Some(running) = self.running.get_mut(&id) else { return };
        running.is_over = true;
        let key = *running.lookup.target();
        match running.goal.clone() {
            Goal::Told(None) => {
                let found = Found::Nodes(running.lookup.closest());
                self.tell(Event::Found { lookup: id, found });
                self.over(id, now);
            }
            Goal::Told(Some(service)) => {
                let told = running.providers.values().cloned();
                let told: Vec<_> =
                    told.filter_map(|record| ProviderRecord::new(service.clone(), record).ok()).collect();
                let nodes: BTreeSet<_> = told.iter().map(ProviderRecord::node).collect();
                let kept = self.kept_providers(&service, now).into_iter();
                let kept = kept.filter(|kept| !nodes.contains(&kept.node())).collect::<Vec<_>>();
                let found = Found::Providers(told.into_iter().chain(kept).collect());
                self.tell(Event::Found { lookup: id, found });
                self.over(id, now);
            }
            Goal::Refresh => {
                self.over(id, now);
                self.refresh_next(now);
            }
            Goal::Provide => self.provide_at(id, key, now),
            Goal::Name(name) => {
                let own = self.names.name(&name, now).cloned();
                let found = Found::Name(decide(&running.votes(), own, now));
                self.tell(Event::Found { lookup: id, found });
                self.over(id, now);
            }
            Goal::Register(name) => self.register_at(id, &name, now),
            Goal::Confirm(name) => {
                // Few who say that it is somebody else's are not heard: they may be liars, and the others not know it yet.
                let found = most(running.votes().iter(), now);
                self.names.confirm(&name, found);
                self.over(id, now);
            }
        }
    }

    /// Has the own record kept where the lookup ended.
    fn provide_at(&mut self, id: LookupId, key: Key, now: Timestamp) {
        let Some(own) = self.own.clone() else { return self.over(id, now) };
        if self.is_near(&key) {
            // Who asks this node itself finds it too.
            let subnets = self.subnets_of(&own);
            self.providers.put(key, &own, &subnets, now);
        }
        self.keep_at(id, &Stored::Provider { key, record: own.as_bytes().clone() }, now);
    }

    /// Has a name kept where the lookup ended.
    fn register_at(&mut self, id: LookupId, name: &Name, now: Timestamp) {
        let Some(name) = self.registered.get(name).cloned() else { return self.over(id, now) };
        self.keep_at(id, &Stored::Name { record: name.as_bytes().clone() }, now);
        self.keep_name(name, self.node, now);
    }

    fn keep_at(&mut self, id: LookupId, stored: &Stored, now: Timestamp) {
        let Some(running) = self.running.get_mut(&id) else { return };
        let keepers = running.lookup.spread();
        running.keeping = keepers.iter().copied().collect();
        for keeper in &keepers {
            self.ask_to_keep(*keeper, id, stored.clone(), now);
        }
        if keepers.is_empty() {
            self.is_published(id, now);
        }
    }

    /// One of those who were to keep something does, or does not.
    pub(super) fn is_kept(&mut self, id: LookupId, by: NodeId, is_kept: bool, now: Timestamp) {
        let Some(running) = self.running.get_mut(&id) else { return };
        if running.keeping.remove(&by) && is_kept {
            running.kept += 1;
        }
        if running.keeping.is_empty() {
            self.is_published(id, now);
        }
    }

    fn is_published(&mut self, id: LookupId, now: Timestamp) {
        let Some(running) = self.running.get(&id) else { return };
        let (key, by) = (*running.lookup.target(), running.kept);
        self.upkeep.published(&key, by, now);
        self.tell(Event::Stored { lookup: id, by });
        self.over(id, now);
    }

    fn over(&mut self, id: LookupId, now: Timestamp) {
        self.running.remove(&id);
        self.start_waiting(now);
    }
}

impl Running {
    /// What those nearest to the place of a name have of it, path by path.
    fn votes(&self) -> Vec<Vote> {
        let of_path = |path| {
            let nodes = self.lookup.closest_of(path).into_iter();
            nodes.map(move |node| Vote { path, name: self.names.get(&node).cloned() })
        };
        self.lookup.answered_paths().into_iter().flat_map(of_path).collect()
    }

    fn gather(&mut self, from: &NodeId, providers: Vec<SignedRecord>) {
        let Some(path) = self.lookup.path_of(from) else { return };
        let named = self.named.entry(path).or_default();
        for record in providers {
            let known = self.providers.get(&record.node());
            let is_newer = known.is_none_or(|known| known.record().version < record.record().version);
            if known.is_none() {
                if *named >= PROVIDERS {
                    continue;
                }
                *named += 1;
            }
            if is_newer {
                self.providers.insert(record.node(), record);
            }
        }
    }
}

//! Who subscribes to what.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::slot::Slot;
use crate::bus::error::BusError;
use crate::bus::options::{GroupName, SubscribeOptions};
use crate::bus::published::SubscriptionId;
use crate::id::Topic;

/// The most subscriptions of one bus, groups counted once.
const MAX_SUBSCRIPTIONS: usize = 4096;
/// For how many topics it is remembered who wants them.
const MAX_ROUTES: usize = 1024;

/// Who wants a topic.
pub(super) type Route = Arc<[Arc<Slot>]>;

#[derive(Debug, Default)]
pub(super) struct Registry {
    slots: BTreeMap<SubscriptionId, Arc<Slot>>,
    groups: BTreeMap<GroupName, Arc<Slot>>,
    /// Who wants what was published lately; forgotten when subscriptions change.
    routes: HashMap<Topic, Route>,
    made: u64,
    closed: bool,
}

impl Registry {
    pub(super) fn all(&self) -> Vec<Arc<Slot>> {
        self.slots.values().cloned().collect()
    }

    pub(super) fn route(&mut self, topic: &Topic) -> Result<Route, BusError> {
        if self.closed {
            return Err(BusError::Closed);
        }
        if let Some(route) = self.routes.get(topic) {
            return Ok(route.clone());
        }
        let slots = self.slots.values().filter(|slot| slot.options().pattern().matches(topic));
        let route: Route = slots.cloned().collect();
        if self.routes.len() >= MAX_ROUTES {
            self.routes.clear();
        }
        self.routes.insert(topic.clone(), route.clone());
        Ok(route)
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// The slot of the group, or a new one.
    pub(super) fn join(&mut self, options: SubscribeOptions) -> Result<Arc<Slot>, BusError> {
        if self.closed {
            return Err(BusError::Closed);
        }
        let existing = options.group().and_then(|group| self.groups.get_key_value(group));
        let slot = match existing {
            Some((_, slot)) if *slot.options() == options => slot.clone(),
            Some((group, _)) => return Err(BusError::GroupMismatch { group: group.clone() }),
            None => self.add(options)?,
        };
        slot.join();
        Ok(slot)
    }

    fn add(&mut self, options: SubscribeOptions) -> Result<Arc<Slot>, BusError> {
        if self.slots.len() >= MAX_SUBSCRIPTIONS {
            return Err(BusError::TooManySubscriptions { limit: MAX_SUBSCRIPTIONS });
        }
        self.made += 1;
        let id = SubscriptionId::new(self.made);
        let slot = Arc::new(Slot::new(id, options));
        self.slots.insert(id, slot.clone());
        self.routes.clear();
        if let Some(group) = slot.options().group() {
            self.groups.insert(group.clone(), slot.clone());
        }
        Ok(slot)
    }

    pub(super) fn remove_group(&mut self, group: &GroupName) -> Result<Arc<Slot>, BusError> {
        let slot = self.groups.get(group).ok_or_else(|| BusError::NoGroup { group: group.clone() })?.clone();
        self.remove(&slot);
        Ok(slot)
    }

    pub(super) fn remove(&mut self, slot: &Slot) {
        self.routes.clear();
        self.slots.remove(&slot.id());
        if let Some(group) = slot.options().group() {
            // After a cut the name may belong to a new group.
            if self.groups.get(group).is_some_and(|current| current.id() == slot.id()) {
                self.groups.remove(group);
            }
        }
    }

    /// Where the dead letters of a subscription go back to: to itself, or to the group that has its name now.
    pub(super) fn find(&self, id: SubscriptionId, group: Option<&GroupName>) -> Option<&Arc<Slot>> {
        self.slots.get(&id).or_else(|| self.groups.get(group?))
    }

    /// Takes nothing any more, and returns whom to tell.
    pub(super) fn close(&mut self) -> Vec<Arc<Slot>> {
        self.closed = true;
        self.all()
    }
}

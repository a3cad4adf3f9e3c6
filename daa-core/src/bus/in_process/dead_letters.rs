//! The latest dead letters of a bus.

use std::collections::BTreeMap;

use super::registry::Registry;
use crate::bus::dead_letter::{DeadLetter, DeadLetterId};
use crate::bus::error::BusError;
use crate::bus::history::{MAX_PAGE, MAX_PAGE_BYTES};
use crate::bus::published::SubscriptionId;

/// How many are kept.
const MAX_DEAD_LETTERS: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct DeadLetters {
    kept: BTreeMap<DeadLetterId, (SubscriptionId, DeadLetter)>,
    made: u64,
    lost: u64,
}

impl DeadLetters {
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn add(&mut self, from: SubscriptionId, letter: impl FnOnce(DeadLetterId) -> DeadLetter) {
        if self.kept.len() >= MAX_DEAD_LETTERS && self.kept.pop_first().is_some() {
            self.lost += 1;
        }
        self.made += 1;
        let id = DeadLetterId::new(self.made);
        self.kept.insert(id, (from, letter(id)));
    }

    pub(super) fn list(&self, after: Option<DeadLetterId>, limit: usize) -> Vec<DeadLetter> {
        let behind = self.kept.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
        let letters = behind.map(|(_, (_, letter))| letter).take(limit.min(MAX_PAGE));
        let mut bytes = 0;
        let within = letters.take_while(|letter| {
            let fits = bytes < MAX_PAGE_BYTES;
            bytes += letter.message.payload().len();
            fits
        });
        within.cloned().collect()
    }

    pub(super) fn redrive(&mut self, id: DeadLetterId, registry: &Registry) -> Result<(), BusError> {
        let (from, letter) = self.kept.get(&id).ok_or(BusError::NoDeadLetter { id })?;
        let slot = registry.find(*from, letter.group.as_ref()).ok_or(BusError::SubscriptionEnded { id })?;
        if !slot.put_back(&letter.message) {
            return Err(BusError::QueueFull { id, capacity: slot.options().capacity() });
        }
        self.kept.remove(&id);
        Ok(())
    }
}

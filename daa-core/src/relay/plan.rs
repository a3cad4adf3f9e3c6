//! What is published of a page of events, and in which order. Pure.

use std::collections::HashMap;

use super::error::{RelayError, Unmappable};
use super::journal::{Skipped, is_own};
use super::mapping::{Mapping, MappingError};
use super::relayed::Relayed;
use crate::bus::Message;
use crate::event::{OnPoison, Position, RecordedEvent};
use crate::failure_text::error_text;
use crate::id::{OrderingKey, RelayName};

/// What is published of a page.
#[derive(Debug)]
pub(super) struct Plan {
    /// Messages of one key each, in order; the lanes do not wait for each other.
    pub(super) lanes: Vec<Vec<Message>>,
    /// Everything up to here is dealt with once the lanes are published.
    pub(super) end: Position,
    pub(super) left_out: u64,
    pub(super) erased: u64,
    pub(super) skipped: Vec<Skipped>,
    /// What stands behind the end, and stops the relay.
    pub(super) poison: Option<RelayError>,
}

/// What an event comes to.
#[derive(Debug)]
pub(super) enum Fate {
    Publish(Message),
    /// Not for this relay to tell.
    Own,
    LeftOut,
    Erased,
    Poison(Unmappable),
}

/// What an event comes to.
pub(super) fn fate(name: &RelayName, mapping: &dyn Mapping, event: &RecordedEvent) -> Fate {
    if is_own(&event.stream) {
        return Fate::Own;
    }
    if event.is_erased() {
        return Fate::Erased;
    }
    let mapped = match mapping.map(event) {
        Ok(Some(message)) => Relayed::new(name, event).put_on(message).map_err(MappingError::from),
        Ok(None) => return Fate::LeftOut,
        Err(error) => Err(error),
    };
    match mapped {
        Ok(message) => match message.check() {
            Ok(()) => Fate::Publish(message),
            Err(error) => Fate::Poison(error.into()),
        },
        Err(error) => Fate::Poison(error.into()),
    }
}

/// What is published of the events behind `after`.
pub(super) fn plan(
    name: &RelayName,
    mapping: &dyn Mapping,
    on_poison: OnPoison,
    after: Position,
    events: &[RecordedEvent],
) -> Plan {
    let (lanes, skipped) = (Vec::new(), Vec::new());
    let mut plan = Plan { lanes, end: after, left_out: 0, erased: 0, skipped, poison: None };
    let mut by_key: HashMap<OrderingKey, usize> = HashMap::new();
    for event in events {
        match fate(name, mapping, event) {
            Fate::Publish(message) => plan.put(message, &mut by_key),
            Fate::Own => {}
            Fate::LeftOut => plan.left_out += 1,
            Fate::Erased => plan.erased += 1,
            Fate::Poison(source) => {
                let RecordedEvent { position, stream, kind, .. } = event.clone();
                if on_poison == OnPoison::Stop {
                    plan.poison = Some(RelayError::Poison { position, stream, kind, source });
                    return plan;
                }
                let reason = error_text(&source);
                plan.skipped.push(Skipped { position, stream, kind, reason });
            }
        }
        plan.end = event.position;
    }
    plan
}

impl Plan {
    fn put(&mut self, message: Message, by_key: &mut HashMap<OrderingKey, usize>) {
        let new = self.lanes.len();
        let at = message.key().map_or(new, |key| *by_key.entry(key.clone()).or_insert(new));
        match self.lanes.get_mut(at) {
            Some(lane) => lane.push(message),
            None => self.lanes.push(vec![message]),
        }
    }

    /// Whether it leaves anything to be recorded at once.
    pub(super) const fn does_something(&self) -> bool {
        !self.lanes.is_empty() || !self.skipped.is_empty()
    }
}

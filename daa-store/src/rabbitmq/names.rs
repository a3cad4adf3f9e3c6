//! What things of a bus are called on the broker.

use daa_core::bus::{Message, TopicPattern};
use daa_core::id::Topic;
use lapin::message::Delivery;

use crate::bus::{BusName, Lane, Member};

/// The names of one bus.
#[derive(Clone, Debug)]
pub(super) struct Names {
    name: BusName,
    partitions: u16,
}

impl Names {
    pub(super) const fn new(name: BusName, partitions: u16) -> Self {
        Self { name, partitions }
    }

    pub(super) fn exchange(&self) -> String {
        self.name.as_str().to_owned()
    }

    pub(super) fn history(&self) -> String {
        format!("{}.history", self.name)
    }

    pub(super) fn dead(&self) -> String {
        format!("{}.dead", self.name)
    }

    /// A queue that carries nothing but what everybody agrees on.
    pub(super) fn terms(&self) -> (String, String) {
        (format!("{}.terms", self.name), format!("daa-bus/1 partitions={}", self.partitions))
    }

    pub(super) fn lanes(&self) -> impl Iterator<Item = Lane> {
        Lane::all(self.partitions)
    }

    pub(super) fn queue(&self, member: &Member, lane: Lane) -> String {
        format!("{}.{}.{}", self.name, member.as_str(), lane.part())
    }

    /// Where a message waits after so many attempts.
    pub(super) fn waiting(&self, member: &Member, attempt: u32) -> String {
        format!("{}.{}.w{attempt}", self.name, member.as_str())
    }

    pub(super) fn routing_key(&self, message: &Message) -> String {
        let lane = Lane::of(message.key(), self.partitions).part();
        [&*lane, ".", message.topic().as_str()].concat()
    }

    /// The topic of what came through the exchange. What was put into a queue directly has it in a field.
    pub(super) fn topic<'a>(&self, delivery: &'a Delivery) -> Option<&'a str> {
        if delivery.exchange.as_str() != self.name.as_str() {
            return None;
        }
        delivery.routing_key.as_str().split_once('.').map(|(_, topic)| topic)
    }

    /// Topic exchanges say `#` for any number of parts, none included.
    pub(super) fn binding(lane: Lane, pattern: &TopicPattern) -> String {
        let pattern = pattern.to_string();
        let pattern = match pattern.strip_suffix('>') {
            Some(start) => format!("{start}*.#"),
            None => pattern,
        };
        format!("{}.{pattern}", lane.part())
    }

    /// The queue of a reply; a hostile topic reaches nothing but such queues.
    pub(super) fn inbox(&self, reply_to: &Topic) -> String {
        format!("{}.i.{reply_to}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_bindings() {
        let binding = |pattern: &str| Names::binding(Lane::Unkeyed, &pattern.parse().unwrap());
        assert_eq!(binding("a.*.c"), "u.a.*.c");
        assert_eq!(binding("a.>"), "u.a.*.#");
        assert_eq!(binding(">"), "u.*.#");
    }
}

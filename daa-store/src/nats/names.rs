//! What things of a bus are called on the server.

use std::borrow::Cow;

use daa_core::bus::{Message, TopicPattern};
use daa_core::id::Topic;

use crate::bus::{BusName, Lane, Member};

/// The names of one bus.
#[derive(Clone, Debug)]
pub(super) struct Names {
    name: BusName,
    partitions: u16,
}

/// What one consumer of a group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneKind {
    Messages(Lane),
    /// Dead letters that are driven again.
    Redriven,
}

impl LaneKind {
    /// Whether one message at a time is worked on.
    pub(super) const fn is_sequential(self) -> bool {
        !matches!(self, Self::Messages(Lane::Unkeyed))
    }

    fn part(self) -> Cow<'static, str> {
        match self {
            Self::Messages(lane) => lane.part(),
            Self::Redriven => Cow::Borrowed("r"),
        }
    }
}

impl Names {
    pub(super) const fn new(name: BusName, partitions: u16) -> Self {
        Self { name, partitions }
    }

    pub(super) fn consumer(member: &Member, lane: LaneKind) -> String {
        format!("{}-{}", member.as_str(), lane.part())
    }

    pub(super) fn stream(&self) -> String {
        self.name.as_str().to_owned()
    }

    pub(super) fn dead_stream(&self) -> String {
        format!("{}-dead", self.name)
    }

    pub(super) fn stream_subjects(&self) -> Vec<String> {
        vec![format!("{}.m.>", self.name), format!("{}.r.>", self.name)]
    }

    pub(super) fn dead_subjects(&self) -> Vec<String> {
        vec![format!("{}.d.>", self.name)]
    }

    pub(super) fn lanes(&self) -> impl Iterator<Item = LaneKind> {
        Lane::all(self.partitions).map(LaneKind::Messages).chain([LaneKind::Redriven])
    }

    pub(super) fn message(&self, message: &Message) -> String {
        let lane = Lane::of(message.key(), self.partitions).part();
        [self.name.as_str(), ".m.", &lane, ".", message.topic().as_str()].concat()
    }

    /// The topic in the subject of a message.
    pub(super) fn topic<'a>(&self, subject: &'a str) -> Option<&'a str> {
        let behind = subject.strip_prefix(self.name.as_str())?.strip_prefix(".m.")?;
        behind.split_once('.').map(|(_, topic)| topic)
    }

    pub(super) fn filter(&self, lane: LaneKind, pattern: &TopicPattern, member: &Member) -> String {
        match lane {
            LaneKind::Redriven => self.redriven(member),
            lane => format!("{}.m.{}.{pattern}", self.name, lane.part()),
        }
    }

    /// Matching messages of all lanes.
    pub(super) fn history(&self, pattern: &TopicPattern) -> String {
        format!("{}.m.*.{pattern}", self.name)
    }

    pub(super) fn redriven(&self, member: &Member) -> String {
        format!("{}.r.{}", self.name, member.as_str())
    }

    pub(super) fn dead(&self, member: &Member) -> String {
        format!("{}.d.{}", self.name, member.as_str())
    }

    pub(super) fn all_dead(&self) -> String {
        format!("{}.d.>", self.name)
    }

    pub(super) fn member_of_dead(&self, subject: &str) -> Option<Member> {
        let part = subject.strip_prefix(self.name.as_str())?.strip_prefix(".d.")?;
        Some(Member::from_part(part))
    }

    /// Outside of the streams, so that a hostile one reaches nothing but inboxes.
    pub(super) fn inbox(&self, reply_to: &Topic) -> String {
        format!("{}.i.{reply_to}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new("bus".parse().unwrap(), 4)
    }

    #[test]
    fn a_subject_tells_the_topic_and_a_key_stays_in_its_lane() {
        let plain = Message::new("a.b/c".parse().unwrap(), "");
        assert_eq!(names().message(&plain), "bus.m.u.a.b/c");
        let keyed = plain.with_key("customer/17".parse().unwrap());
        // Another lane than last year would break the order of what is under way.
        assert_eq!(names().message(&keyed), "bus.m.k0.a.b/c");
        assert_eq!(names().topic("bus.m.k2.a.b/c"), Some("a.b/c"));
        assert_eq!(names().topic("other.m.k2.a"), None);
        assert_eq!(names().topic("bus.r.g-a"), None);
    }

    #[test]
    fn groups_do_not_share_consumers() {
        let name = |group: &str, lane| Names::consumer(&Member::group(&group.parse().unwrap()), lane);
        assert_eq!(name("a.b", LaneKind::Messages(Lane::Unkeyed)), "g-a=2Eb-u");
        assert_ne!(name("a", LaneKind::Messages(Lane::Unkeyed)), name("a-u", LaneKind::Redriven));
        assert_ne!(
            name("a-k1", LaneKind::Messages(Lane::Unkeyed)),
            name("a", LaneKind::Messages(Lane::Partition(1)))
        );
    }
}

//! What can be chosen about membership.

use std::time::Duration;

/// What can be chosen about membership. All nodes of a network should choose the same intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MembershipOptions {
    pub(super) probe_interval: Duration,
    pub(super) probe_timeout: Duration,
    pub(super) sync_interval: Duration,
    pub(super) members: usize,
}

impl Default for MembershipOptions {
    /// A member is probed each second and answers within half of it, all is compared with somebody each 30 s, and there are at
    /// most 2,000 members (some 25 MB).
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            sync_interval: Duration::from_secs(30),
            members: 2_000,
        }
    }
}

impl MembershipOptions {
    /// How often a member is probed, at least 10 ms; an answer has half as long.
    #[must_use]
    pub fn with_probe_interval(mut self, interval: Duration) -> Self {
        self.probe_interval = interval.max(Duration::from_millis(10));
        self.probe_timeout = self.probe_interval / 2;
        self
    }

    /// How often all that is known is compared with another member's, at least 10 ms.
    #[must_use]
    pub fn with_sync_interval(mut self, interval: Duration) -> Self {
        self.sync_interval = interval.max(Duration::from_millis(10));
        self
    }

    /// The most members that are known at once, dead ones included, at least one.
    #[must_use]
    pub fn with_members(mut self, members: usize) -> Self {
        self.members = members.max(1);
        self
    }
}

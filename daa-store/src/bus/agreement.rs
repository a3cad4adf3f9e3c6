//! What the members of a group agree on.

use daa_core::bus::{Backoff, GroupName, SubscribeOptions, TopicPattern};

/// What a subscription is about; members of a group share it.
#[derive(Clone, Debug)]
pub(crate) struct Agreement {
    pub(crate) pattern: TopicPattern,
    pub(crate) group: Option<GroupName>,
    pub(crate) max_attempts: u32,
    pub(crate) backoff: Backoff,
}

impl Agreement {
    pub(crate) fn of(options: &SubscribeOptions) -> Self {
        Self {
            pattern: options.pattern().clone(),
            group: options.group().cloned(),
            max_attempts: options.max_attempts(),
            backoff: *options.backoff(),
        }
    }

    /// Two members agree when this is the same.
    pub(crate) fn terms(&self) -> String {
        let Self { pattern, max_attempts, backoff, .. } = self;
        let (first, longest) = (backoff.first().as_millis(), backoff.longest().as_millis());
        format!("daa-bus/1 {pattern} attempts={max_attempts} backoff={first}..{longest}ms")
    }
}

//! Who shares the messages of a subscription.

use daa_core::bus::GroupName;

use super::escape_name;

/// The name of a group, or of a subscription without one, as part of the names of what a broker has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member(String);

impl Member {
    /// The group, or a subscription of its own under a name that nobody else uses.
    pub(crate) fn of(group: Option<&GroupName>, unique: impl FnOnce() -> String) -> Self {
        match group {
            Some(group) => Self::group(group),
            None => Self(format!("s-{}", escape_name(&unique()))),
        }
    }

    pub(crate) fn group(group: &GroupName) -> Self {
        Self(format!("g-{}", escape_name(group.as_str())))
    }

    /// As it is in a name on the broker.
    pub(crate) fn from_part(part: &str) -> Self {
        Self(part.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

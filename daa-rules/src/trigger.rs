//! Rules that do something: what triggers them, and what they do then.

mod case;
mod effect;
mod fire;
mod machine;
mod parameter;
mod schedule;
mod stimulus;
mod template;
mod text;
mod threshold;
mod trial;

use std::fmt;
use std::time::Duration;

use daa_core::digest::{Digest, DigestBuilder};
use daa_core::id::RuleId;

pub(crate) use case::Happened;
pub use case::{ExplainedTrigger, TriggerCase, TriggerExplanation};
pub(crate) use effect::{Cost, Effects, Emit, Notify, SetParameter};
pub use fire::{Emitted, Notified};
pub use machine::LeftOut;
pub(crate) use machine::{Given, Pending, State, Step, Turn};
pub use parameter::{Parameter, ParameterError};
pub use schedule::CronTrigger;
pub use stimulus::Cause;
pub(crate) use stimulus::{NoStimulus, Stimulus};
pub(crate) use template::{Member, Piece, Template};
pub use threshold::Threshold;

use crate::condition::Condition;
use crate::diagnostic::Location;
use crate::limits::Limits;
use crate::pattern::KindPattern;
use crate::ruleset::Place;

/// What triggers a rule that does something.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Trigger {
    /// A decision on an action of such a kind is on record.
    Decision(KindPattern),
    /// An event of such a kind is on record.
    Event(KindPattern),
    /// A time comes.
    Schedule(CronTrigger),
    /// A value crosses a bound.
    Threshold(Box<Threshold>),
}

/// How often a rule may fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rate {
    /// So often,
    pub times: u32,
    /// in a span of this length that begins with a firing.
    pub span: Duration,
}

impl Default for Rate {
    fn default() -> Self {
        Self { times: Limits::RATE, span: Duration::from_secs(Limits::RATE_SECONDS) }
    }
}

/// A rule that emits an action, notifies or sets parameters when it is triggered.
#[derive(Clone, Debug)]
pub struct TriggeredRule {
    pub(crate) id: RuleId,
    pub(crate) trigger: Trigger,
    pub(crate) when: Option<String>,
    pub(crate) condition: Option<Condition>,
    pub(crate) effects: Effects,
    pub(crate) rate: Rate,
    pub(crate) at: Place,
    pub(crate) when_at: Place,
    digest: Digest,
    key: Digest,
}

impl TriggeredRule {
    pub(crate) fn new(
        (id, at): (RuleId, Place),
        trigger: Trigger,
        (when, when_at): (Option<(String, Condition)>, Place),
        effects: Effects,
        rate: Rate,
    ) -> Self {
        let (when, condition) = when.unzip();
        let mut key = Digest::builder("daa trigger v1").field(id.as_str().as_bytes());
        trigger.describe(&mut key);
        let (digest, key) = (Digest::of(b""), key.finish());
        let mut rule = Self { id, trigger, when, condition, effects, rate, at, when_at, digest, key };
        let mut out = Digest::builder("daa triggered rule v1");
        rule.describe(&mut out);
        rule.digest = out.finish();
        rule
    }

    /// Its name. A rule that decides on actions may have the same one: it is the same rule.
    #[must_use]
    pub const fn id(&self) -> &RuleId {
        &self.id
    }

    /// What triggers it.
    #[must_use]
    pub const fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// Its condition as it was written; `None` where it fires whenever it is triggered.
    #[must_use]
    pub fn when(&self) -> Option<&str> {
        self.when.as_deref()
    }

    /// How often it may fire.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Where it stands in the source that it was read from.
    #[must_use]
    pub const fn location(&self) -> Location {
        self.at.0
    }

    /// The hash of everything that it says, its name included. Actions that it emits are named by it.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The hash of its name and of what triggers it: how far that was considered outlives a change of what the rule does.
    pub(crate) const fn key(&self) -> Digest {
        self.key
    }

    pub(crate) fn describe(&self, out: &mut DigestBuilder) {
        out.add(self.id.as_str().as_bytes());
        self.trigger.describe(out);
        match &self.condition {
            None => out.add(b"always"),
            Some(condition) => {
                out.add(b"when");
                condition.digest(out);
            }
        }
        self.effects.describe(out);
        out.add(&self.rate.times.to_le_bytes());
        out.add(&self.rate.span.as_millis().to_le_bytes());
    }

    /// What has to be known before it can be told whether it fires, and what it does then.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &str> {
        let value = match &self.trigger {
            Trigger::Threshold(threshold) => Some(threshold.value()),
            _ => None,
        };
        let own = self.condition.iter().chain(value).flat_map(Condition::given);
        own.chain(self.effects.expressions().into_iter().flat_map(Condition::given))
    }
}

impl Trigger {
    fn describe(&self, out: &mut DigestBuilder) {
        match self {
            Self::Decision(on) => {
                out.add(b"decision");
                out.add(on.to_string().as_bytes());
            }
            Self::Event(on) => {
                out.add(b"event");
                out.add(on.to_string().as_bytes());
            }
            Self::Schedule(cron) => {
                out.add(b"schedule");
                out.add(cron.to_string().as_bytes());
            }
            Self::Threshold(threshold) => {
                out.add(b"threshold");
                threshold.describe(out);
            }
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decision(on) => write!(f, "decision on {on}"),
            Self::Event(on) => write!(f, "event {on}"),
            Self::Schedule(cron) => write!(f, "schedule {cron}"),
            Self::Threshold(threshold) => threshold.fmt(f),
        }
    }
}

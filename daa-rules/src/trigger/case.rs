//! Something that happened, as somebody wrote it down: what triggered rules are asked in a test or a simulation.

use std::collections::BTreeMap;

use daa_core::action::{ActionEvent, Context};
use daa_core::clock::Timestamp;
use daa_core::event::RecordedEvent;
use daa_core::id::{EventKind, RuleId, StreamId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::trial::Trial;
use super::{Stimulus, Trigger, TriggeredRule};
use crate::case::{Case, CaseError, flat};
use crate::condition::Budget;
use crate::coverage::Coverage;
use crate::diagnostic::Location;
use crate::explain::{Part, RuleOutcome};
use crate::limits::Limits;
use crate::ruleset::Ruleset;
use crate::runner::Fired;

/// Something that happened, by itself: an event, some time, or the values of a threshold.
///
/// ```
/// use daa_rules::{Ruleset, TriggerCase};
///
/// let rules = Ruleset::from_toml(r#"
///     [event.deposit]
///     data = { units = "int" }
///     [notification.large]
///     [[rule]]
///     id = "tell"
///     on = { event = "deposit" }
///     when = "event.data.units > 100"
///     notify = { name = "large", text = "a deposit of ${event.data.units}" }
/// "#)?;
/// let case = TriggerCase::from_json(r#"{ "event": { "kind": "deposit", "data": { "units": 500 } } }"#)?;
/// let explanation = rules.explain_trigger(&case);
/// assert_eq!(explanation.fired[0].notified.as_ref().map(|told| &*told.text), Some("a deposit of 500"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TriggerCase {
    pub(crate) happened: Happened,
    pub(super) given: Context,
    pub(super) now: Timestamp,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Happened {
    Event {
        kind: EventKind,
        stream: StreamId,
        data: Map<String, Value>,
    },
    /// Time passed, from a moment, which is not looked at, to another one, which is.
    Time {
        from: Timestamp,
        to: Timestamp,
    },
    /// A threshold had these values, one after the other.
    Values {
        rule: RuleId,
        values: Vec<Value>,
    },
    /// An action was decided on.
    Decision(Box<Case>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    event: Option<WrittenEvent>,
    #[serde(default)]
    schedule: Option<WrittenTime>,
    #[serde(default)]
    threshold: Option<WrittenValues>,
    #[serde(default)]
    given: BTreeMap<String, Map<String, Value>>,
    #[serde(default)]
    now: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEvent {
    kind: String,
    #[serde(default = "some_stream")]
    stream: String,
    #[serde(default)]
    data: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTime {
    from: Moment,
    to: Moment,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenValues {
    rule: String,
    values: Vec<Value>,
}

/// Milliseconds since 1970, or text such as `2026-03-29T01:00:00Z`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Millis(u64),
    Text(String),
}

impl Moment {
    fn timestamp(self) -> Result<Timestamp, CaseError> {
        let text = match self {
            Self::Millis(millis) => return Ok(Timestamp::from_millis(millis)),
            Self::Text(text) => text,
        };
        let moment = humantime::parse_rfc3339_weak(&text).ok();
        let since = moment.and_then(|moment| moment.duration_since(std::time::UNIX_EPOCH).ok());
        let millis = since.and_then(|since| u64::try_from(since.as_millis()).ok());
        millis
            .map(Timestamp::from_millis)
            .ok_or_else(|| CaseError::Time { text: text.chars().take(64).collect() })
    }
}

fn some_stream() -> String {
    "case".to_owned()
}

/// What rules do about something, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TriggerExplanation {
    /// The rules that are triggered by it, in the order in which it happened and in which they stand.
    pub rules: Vec<ExplainedTrigger>,
    /// Those that fired, with what they did.
    pub fired: Vec<Fired>,
    /// Whether more would have happened than [`Limits::OCCURRENCES`] allow, and was not looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// What a rule that does something came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExplainedTrigger {
    /// The rule.
    pub id: RuleId,
    /// Where it stands in the source that it was read from.
    pub at: Location,
    /// What triggers it.
    pub trigger: String,
    /// Whether its condition held.
    #[serde(flatten)]
    pub outcome: RuleOutcome,
    /// Its condition with the values of its parts; `None` where it always holds.
    pub condition: Option<Part>,
}

impl TriggerCase {
    /// Reads what happened, one of
    /// - `{"event": {"kind", "stream", "data": {...}}}`,
    /// - `{"schedule": {"from", "to"}}`: milliseconds since 1970, or text such as `"2026-03-29T01:00:00Z"`,
    /// - `{"threshold": {"rule", "values": [...]}}`,
    ///
    /// beside it `given`, as in a [`Case`](crate::Case), and `now`, in milliseconds.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn from_json(text: &str) -> Result<Self, CaseError> {
        Self::from_value(serde_json::from_str(text)?)
    }

    pub(crate) fn from_value(value: Value) -> Result<Self, CaseError> {
        let Written { event, schedule, threshold, given, now } = serde_json::from_value(value)?;
        let name = |field| move |source| CaseError::Name { field, source };
        let happened = match (event, schedule, threshold) {
            (Some(event), None, None) => Happened::Event {
                kind: event.kind.parse().map_err(name("kind"))?,
                stream: event.stream.parse().map_err(name("stream"))?,
                data: event.data,
            },
            (None, Some(time), None) => {
                Happened::Time { from: time.from.timestamp()?, to: time.to.timestamp()? }
            }
            (None, None, Some(values)) => {
                Happened::Values { rule: values.rule.parse().map_err(name("rule"))?, values: values.values }
            }
            _ => return Err(CaseError::Nothing),
        };
        Ok(Self { happened, given: flat(given), now: Timestamp::from_millis(now) })
    }

    /// A decision on an action, as the rules make it.
    pub(crate) fn decision(case: Case) -> Self {
        let (given, now) = (Context::NONE, case.request().now);
        Self { happened: Happened::Decision(Box::new(case)), given, now }
    }
}

impl Ruleset {
    /// What these rules do about something that happened, and why.
    #[must_use]
    pub fn explain_trigger(&self, case: &TriggerCase) -> TriggerExplanation {
        self.tried(case, &mut Coverage::of(self), &mut { Limits::OCCURRENCES_IN_ALL })
    }

    /// The same, counted; `left` is how often something may still be looked at.
    pub(crate) fn tried(
        &self,
        case: &TriggerCase,
        coverage: &mut Coverage,
        left: &mut usize,
    ) -> TriggerExplanation {
        Trial::new(self, case, coverage, left).told(case)
    }

    /// Why a rule fired that is on record; `None` where there is no such rule. A rule that a decision triggered needs
    /// the event of that decision.
    #[must_use]
    pub fn explain_fired(&self, fired: &Fired, decision: Option<&RecordedEvent>) -> Option<ExplainedTrigger> {
        let rule = self.triggered().iter().find(|rule| *rule.id() == fired.rule)?;
        let stimulus = self.stimulus_of(rule, fired, decision)?;
        Some(explained(rule, &stimulus, &mut Budget::new()))
    }

    /// What a rule that fired saw.
    pub(crate) fn stimulus_of(
        &self,
        rule: &TriggeredRule,
        fired: &Fired,
        decision: Option<&RecordedEvent>,
    ) -> Option<Stimulus> {
        let stimulus = match (rule.trigger(), decision) {
            (Trigger::Decision(_), Some(recorded)) => {
                let event = ActionEvent::read(recorded).ok().flatten()?;
                Stimulus::decision(&event, recorded, recorded.at)
            }
            (Trigger::Decision(_), None) => None,
            _ => Stimulus::schedule(Timestamp::EPOCH, Timestamp::EPOCH).ok(),
        };
        stimulus.map(|stimulus| stimulus.with_given(&fired.given))
    }
}

/// What a rule comes to, as it may be shown.
pub(super) fn explained(rule: &TriggeredRule, stimulus: &Stimulus, budget: &mut Budget) -> ExplainedTrigger {
    let outcome = match rule.holds(&stimulus.request(), budget) {
        Ok(true) => RuleOutcome::Matched,
        Ok(false) => RuleOutcome::NotMatched,
        Err(why) => RuleOutcome::Indeterminate { why: why.to_string() },
    };
    ExplainedTrigger {
        id: rule.id().clone(),
        at: rule.location(),
        trigger: rule.trigger().to_string(),
        condition: rule.condition.as_ref().map(|condition| Part::of(condition.trace(&stimulus.told()))),
        outcome,
    }
}

//! What may trigger rules: something that is on record, a time that came, a value that crossed a bound.

use std::borrow::Cow;

use daa_core::action::{Action, ActionError, ActionEvent, Context, Decision, RESERVED_IDS, Request};
use daa_core::clock::Timestamp;
use daa_core::event::{Position, RecordedEvent};
use daa_core::id::{ActionId, EventKind, IdError, SourceId, StreamId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Trigger, TriggeredRule};
use crate::explain::{Decided, effect};
use crate::parameters::{PARAMETERS_STREAM, ParametersSet, SET, Values};
use crate::ruleset::Ruleset;
use crate::runner::{FIRED, NOTIFICATIONS_STREAM, NOTIFIED, Notification, STATE};

/// What triggered a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// A decision on an action.
    Decision {
        /// Where it stands in the log.
        position: Position,
        /// The action.
        action: ActionId,
    },
    /// An event.
    Event {
        /// Where it stands in the log.
        position: Position,
        /// Its kind.
        kind: EventKind,
        /// Its stream.
        stream: StreamId,
    },
    /// An occurrence of a schedule.
    Schedule {
        /// When it was.
        at: Timestamp,
    },
    /// A value that reached its bound.
    Threshold {
        /// How many thresholds were crossed until then, this one included, as the runner of this name has seen.
        #[serde(alias = "times")]
        number: u64,
        /// The runner.
        runner: String,
    },
}

impl Cause {
    /// Where it stands in the log; `None` for times and thresholds.
    #[must_use]
    pub const fn position(&self) -> Option<Position> {
        match self {
            Self::Decision { position, .. } | Self::Event { position, .. } => Some(*position),
            Self::Schedule { .. } | Self::Threshold { .. } => None,
        }
    }

    /// What the identity of an emitted action is made of.
    pub(crate) fn name(&self) -> [String; 3] {
        let none = String::new;
        match self {
            Self::Decision { position, .. } => ["decision".to_owned(), position.to_string(), none()],
            Self::Event { position, .. } => ["event".to_owned(), position.to_string(), none()],
            Self::Schedule { at } => ["schedule".to_owned(), at.as_millis().to_string(), none()],
            Self::Threshold { number, runner } => ["crossing".to_owned(), number.to_string(), runner.clone()],
        }
    }
}

/// Something that may trigger rules, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Stimulus {
    pub(crate) cause: Cause,
    /// The action that was decided on, or one that stands for what happened; it is never submitted.
    pub(crate) action: Action,
    /// The action as it may be shown.
    told: Action,
    pub(crate) context: Context,
    /// What conditions see.
    pub(crate) given: Context,
    /// What notifications see.
    told_given: Context,
    /// Whether that is less.
    redacts: bool,
    pub(crate) now: Timestamp,
    /// How long the chain of causes is that led here.
    pub(crate) depth: u8,
}

/// The name of what stands for something that is no action.
const NOBODY: &str = "rules";

fn stand_in(kind: &str) -> Result<Action, NoStimulus> {
    Ok(Action::new(NOBODY.parse()?, kind.parse()?, NOBODY.parse()?)?)
}

/// Why nothing can be made of a recorded event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoStimulus {
    #[error("a constant is no name")]
    Name(#[from] IdError),
    #[error("a constant is no action")]
    Action(#[from] ActionError),
}

impl Stimulus {
    fn new(cause: Cause, action: Action, context: Context, given: Context, now: Timestamp) -> Self {
        let (told, told_given) = (action.clone(), given.clone());
        Self { cause, action, told, context, given, told_given, redacts: false, now, depth: 0 }
    }

    /// A time that came.
    pub(crate) fn schedule(at: Timestamp, now: Timestamp) -> Result<Self, NoStimulus> {
        let given = Context::new().with("schedule.at", at.as_millis());
        Ok(Self::new(Cause::Schedule { at }, stand_in("rules.schedule")?, Context::NONE, given, now))
    }

    /// A value that reached its bound.
    pub(crate) fn threshold(
        value: Value,
        number: u64,
        runner: &str,
        now: Timestamp,
    ) -> Result<Self, NoStimulus> {
        let given = Context::new().with("threshold.value", value);
        let cause = Cause::Threshold { number, runner: runner.to_owned() };
        Ok(Self::new(cause, stand_in("rules.threshold")?, Context::NONE, given, now))
    }

    /// A decision on an action, as the event of it says. What it was given is what the rules see now.
    pub(crate) fn decision(event: &ActionEvent, recorded: &RecordedEvent, now: Timestamp) -> Option<Self> {
        let Decided { action, context, verdict, .. } = Decided::of(event)?;
        let decision = match &verdict.decision {
            // The rules permitted it, and the treasury did not cover it.
            Decision::Permit if matches!(event, ActionEvent::Refused { .. }) => "deny",
            decision => effect(decision).name(),
        };
        let rules: Vec<Value> = verdict.rules.iter().map(|rule| rule.as_str().into()).collect();
        let given = verdict.given.clone().with("decision.effect", decision).with("decision.rules", rules);
        let cause = Cause::Decision { position: recorded.position, action: action.id().clone() };
        // What let it be decided so leads to whatever follows.
        let context = context.clone().with_sources(given.sources().cloned());
        let mut stimulus = Self::new(cause, action.clone(), context, given, now);
        stimulus.told = action.redacted(&verdict.obligations, salt(event));
        stimulus.redacts = stimulus.told != stimulus.action;
        stimulus.depth = depth_of(recorded);
        Some(stimulus)
    }

    /// An event. Of its data it has what these rules ask for.
    pub(crate) fn event<'r>(
        recorded: &RecordedEvent,
        sources: impl IntoIterator<Item = SourceId>,
        rules: impl Iterator<Item = &'r TriggeredRule>,
        now: Timestamp,
    ) -> Result<Self, NoStimulus> {
        let data = recorded.json::<Map<String, Value>>().unwrap_or_default();
        let shown = match ActionEvent::read(recorded) {
            Ok(Some(event)) => match serde_json::to_value(event.redacted()) {
                Ok(Value::Object(shown)) => shown,
                _ => Map::new(),
            },
            _ => data.clone(),
        };
        let cause = Cause::Event {
            position: recorded.position,
            kind: recorded.kind.clone(),
            stream: recorded.stream.clone(),
        };
        let about = |data: &Map<String, Value>, names: &[String]| {
            let given = Context::new()
                .with("event.kind", recorded.kind.as_str())
                .with("event.stream", recorded.stream.as_str())
                .with("event.at", recorded.at.as_millis());
            names
                .iter()
                .filter_map(|name| Some((name, data.get(name)?)))
                .fold(given, |given, (name, value)| given.with(format!("event.data.{name}"), value.clone()))
        };
        let names = rules.flat_map(TriggeredRule::needs).filter_map(|need| need.strip_prefix("event.data."));
        let mut names: Vec<String> = names.map(ToOwned::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        let context = Context::new().with_sources(sources);
        let given = about(&data, &names);
        let mut stimulus = Self::new(cause, stand_in("rules.event")?, context, given, now);
        stimulus.told_given = about(&shown, &names);
        stimulus.redacts = stimulus.told_given != stimulus.given;
        stimulus.depth = depth_of(recorded);
        Ok(stimulus)
    }

    /// The same with more that was gathered for it.
    pub(crate) fn with_given(mut self, gathered: &Context) -> Self {
        for (name, value) in gathered.facts() {
            self.given = self.given.with(name.to_owned(), value.clone());
            self.told_given = self.told_given.with(name.to_owned(), value.clone());
        }
        self
    }

    /// As a rule sees it: marked by the untrusted sources of the parameters that the rule reads.
    pub(crate) fn seen_with(&self, rule: &TriggeredRule, parameters: &Values) -> Cow<'_, Self> {
        // A decision has on record what it was given, and where that came from.
        if matches!(self.cause, Cause::Decision { .. }) {
            return Cow::Borrowed(self);
        }
        let names = rule.needs().filter_map(|need| need.strip_prefix("parameter."));
        let mut sources = parameters.sources_of(names).cloned().peekable();
        if sources.peek().is_none() {
            return Cow::Borrowed(self);
        }
        let context = self.context.clone().with_sources(sources);
        Cow::Owned(Self { context, ..self.clone() })
    }

    /// What conditions and actions are made of.
    pub(crate) fn request(&self) -> Request<'_> {
        Request::new(&self.action, &self.context, self.now).with_given(&self.given)
    }

    /// What notifications are made of.
    pub(crate) fn told(&self) -> Request<'_> {
        Request::new(&self.told, &self.context, self.now).with_given(&self.told_given)
    }

    /// Whether what notifications are made of is not all that there is.
    pub(crate) const fn redacts(&self) -> bool {
        self.redacts
    }

    /// What a rule saw of what was given, as it may be shown.
    pub(crate) fn seen_by(&self, rule: &TriggeredRule) -> Context {
        let mut seen = Context::new();
        for need in rule.needs() {
            for name in [need.to_owned(), format!("{need}.problem"), format!("{need}.at")] {
                if let Some(value) = self.told_given.fact(&name) {
                    seen = seen.with(name, value.clone());
                }
            }
        }
        match self.told_given.fact("parameter.version") {
            Some(version) if rule.needs().any(|need| need.starts_with("parameter.")) => {
                seen.with("parameter.version", version.clone())
            }
            _ => seen,
        }
    }
}

fn salt(event: &ActionEvent) -> Option<&daa_core::action::Salt> {
    match event {
        ActionEvent::Permitted { salt, .. }
        | ActionEvent::Withheld { salt, .. }
        | ActionEvent::Refused { salt, .. } => salt.as_ref(),
        _ => None,
    }
}

/// How long the chain of causes is that led to an event; 0 where no rule did. Only what is where the runner writes it, and ids
/// that nobody else may use, say so.
fn depth_of(recorded: &RecordedEvent) -> u8 {
    let depth = match (recorded.kind.as_str(), recorded.stream.as_str()) {
        (SET, PARAMETERS_STREAM) => ParametersSet::read(recorded).ok().flatten().map(|set| set.depth),
        (NOTIFIED, NOTIFICATIONS_STREAM) => {
            Notification::read(recorded).ok().flatten().map(|notification| notification.depth)
        }
        _ => {
            let id = recorded.stream.as_str().strip_prefix("action/");
            let rest = id.and_then(|id| id.strip_prefix(RESERVED_IDS));
            rest.and_then(|rest| rest.split_once('/')?.0.parse().ok())
        }
    };
    depth.unwrap_or_default()
}

impl Ruleset {
    /// Whether an event may trigger anything; most do not, and are not decoded.
    pub(crate) fn is_triggered_by(&self, kind: &str) -> bool {
        !matches!(kind, FIRED | STATE)
            && self.triggered().iter().any(|rule| match rule.trigger() {
                Trigger::Event(on) => on.covers_text(kind),
                Trigger::Decision(_) => is_decision(kind),
                Trigger::Schedule(_) | Trigger::Threshold(_) => false,
            })
    }

    /// The rules that an event of this kind triggers.
    pub(crate) fn triggered_by_event<'r>(
        &'r self,
        kind: &'r str,
    ) -> impl Iterator<Item = &'r TriggeredRule> + Clone {
        self.triggered().iter().filter(move |rule| match rule.trigger() {
            Trigger::Event(on) => !matches!(kind, FIRED | STATE) && on.covers_text(kind),
            _ => false,
        })
    }

    /// The rules that a decision on an action of this kind triggers.
    pub(crate) fn triggered_by_decision<'r>(
        &'r self,
        action: &'r Action,
    ) -> impl Iterator<Item = &'r TriggeredRule> + Clone {
        self.triggered().iter().filter(move |rule| match rule.trigger() {
            Trigger::Decision(on) => on.matches(action.kind()),
            _ => false,
        })
    }
}

fn is_decision(kind: &str) -> bool {
    matches!(kind, "action.permitted.v1" | "action.withheld.v1" | "action.refused.v1")
}

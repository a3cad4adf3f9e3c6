//! From an event of a store to its record.
//!
//! The content of events is bound as it stands in the store, byte by byte, and not as this version of the library reads
//! it: what it does not know yet is bound all the same.

use std::borrow::Cow;
use std::fmt;

use daa_core::action::{Endorsement, Salt};
use daa_core::digest::Digest;
use daa_core::event::{Position, RecordedEvent};
use daa_core::id::{AgentId, RuleId};
use daa_core::workflow::TraceContext;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Commitments, Content, Decided, FORMAT, Record, bounded};
use crate::audit::commitment::{Commitment, Disclosure, Part};
use crate::audit::journal::ROTATED;

/// How many rules of a decision stand in its record: so no record is too large.
const MAX_RULES: usize = 64;

/// The kinds of events about rules that are recorded. What rules count follows from the actions, and is not.
const RULES: [&str; 2] = ["rules.installed.v1", "rules.source.v1"];

/// The kinds of events about actions and logs whose content everybody may know. Like that of rules, it is bound without
/// a salt.
const PUBLIC: [&str; 3] = ["action.attempted.v1", "action.expired.v1", ROTATED];

/// What to do with events that have content and no salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsalted {
    /// They are bound by their plain digest.
    Bind,
    /// Up to this position they are not bound.
    LeaveUntil(Position),
}

/// An event as it is read for its record.
#[derive(Debug)]
pub(crate) struct Reading<'e> {
    event: &'e RecordedEvent,
    body: Body<'e>,
    content: Content,
}

impl<'e> Reading<'e> {
    /// Whether an event is recorded at all: what is about actions and rules is, and what becomes of this log.
    pub(crate) fn is_recorded(event: &RecordedEvent, own: &str) -> bool {
        let kind = event.kind.as_str();
        let erased = event.is_erased() && event.stream.as_str().starts_with("action/");
        let rotated = kind == ROTATED && event.stream.as_str() == own;
        kind.starts_with("action.") || RULES.contains(&kind) || rotated || erased
    }

    /// Reads an event, whatever is in it: there is a record of everything.
    pub(crate) fn of(event: &'e RecordedEvent, unsalted: Unsalted) -> Self {
        if event.is_erased() {
            return Self { event, body: Body::default(), content: Content::Erased };
        }
        let kind = event.kind.as_str();
        let decoded = serde_json::from_slice(&event.payload).ok().map(|Tagged(body)| body);
        // What is about rules is bound as a whole, whatever its shape.
        let public = RULES.contains(&kind) || PUBLIC.contains(&kind) && decoded.is_some();
        let content = match &decoded {
            Some(body) if body.salt.is_some() => Content::Blinded,
            _ if public => Content::Public,
            None => Content::Undecoded,
            Some(_) if matches!(unsalted, Unsalted::LeaveUntil(last) if event.position <= last) => {
                Content::Unbound
            }
            Some(_) => Content::Unblinded,
        };
        Self { event, body: decoded.unwrap_or_default(), content }
    }

    /// Reads an event as it was read for a record.
    pub(crate) fn again(event: &'e RecordedEvent, record: &Record) -> Self {
        let left = record.content == Content::Unbound;
        Self::of(event, if left { Unsalted::LeaveUntil(event.position) } else { Unsalted::Bind })
    }

    /// The record of the event.
    pub(crate) fn record(&self) -> Record {
        let RecordedEvent { position, stream, version, kind, at, .. } = self.event;
        let verdict = self.body.verdict.as_ref();
        let installed = self.body.rules.is_some().then_some(self.body.digest.as_ref()).flatten();
        let ruleset = verdict.map(|it| &it.ruleset).or(installed);
        let trace = self.body.context.and_then(trace_of);
        Record {
            actor: self.body.action.as_ref().map(|action| action.actor.clone()),
            approval: self.body.endorsement.clone().map(Into::into),
            at: bounded(*at),
            attempt: self.body.attempt,
            commitments: self.commitments(),
            content: self.content,
            decision: verdict.map(|verdict| verdict.decision),
            format: FORMAT,
            kind: kind.clone(),
            position: *position,
            rules: verdict.map(|verdict| verdict.rules.iter().take(MAX_RULES).cloned().collect()),
            ruleset: ruleset.copied(),
            span: trace.as_ref().map(TraceContext::span_id),
            stream: stream.clone(),
            trace: trace.as_ref().map(TraceContext::trace_id),
            version: *version,
        }
    }

    fn commitments(&self) -> Commitments {
        let mut bound = Commitments::default();
        match (self.content, &self.body.salt) {
            (Content::Public | Content::Unblinded | Content::Undecoded, _) => {
                bound.event = Some(Commitment::public(&self.event.payload))
            }
            (Content::Blinded, Some(salt)) => {
                for (part, content) in self.parts() {
                    *bound.slot(part) = Some(Commitment::of(part, salt, content.as_bytes()));
                }
                bound.event = Some(Commitment::of(Part::Event, salt, &self.event.payload));
            }
            _ => {}
        }
        bound
    }

    /// What the event says, part by part.
    fn parts(&self) -> Vec<(Part, Cow<'_, str>)> {
        let body = &self.body;
        let raw = |part, value: Option<&'e RawValue>| value.map(|value| (part, Cow::Borrowed(value.get())));
        let digest = body.digest.map(|digest| (Part::Digest, Cow::Owned(digest.to_string())));
        let reason = body.verdict.as_ref().and_then(|verdict| verdict.reason);
        [
            raw(Part::Action, body.action.as_ref().map(|action| action.raw)),
            raw(Part::Context, body.context),
            digest,
            raw(Part::Error, body.error),
            raw(Part::Outcome, body.outcome),
            raw(Part::Reason, reason),
            raw(Part::Refusal, body.refusal),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Some parts with their salts, as far as the event has them.
    pub(crate) fn disclose(&self, wanted: &[Part]) -> Vec<Disclosure> {
        let Some(salt) = self.body.salt.as_ref().filter(|_| self.content == Content::Blinded) else {
            return Vec::new();
        };
        let mut parts = self.parts();
        if let Ok(all) = std::str::from_utf8(&self.event.payload) {
            parts.push((Part::Event, Cow::Borrowed(all)));
        }
        parts.retain(|(part, _)| wanted.contains(part));
        parts.iter().map(|(part, content)| Disclosure::new(*part, salt, content)).collect()
    }
}

/// What records are made of in the events of actions and rules. What else they hold is bound with the whole.
#[derive(Debug, Default, Deserialize)]
struct Body<'e> {
    #[serde(borrow)]
    action: Option<ActionBody<'e>>,
    #[serde(borrow)]
    context: Option<&'e RawValue>,
    digest: Option<Digest>,
    #[serde(borrow)]
    verdict: Option<VerdictBody<'e>>,
    endorsement: Option<Endorsement>,
    #[serde(borrow)]
    outcome: Option<&'e RawValue>,
    #[serde(borrow)]
    error: Option<&'e RawValue>,
    #[serde(borrow)]
    refusal: Option<&'e RawValue>,
    attempt: Option<u32>,
    /// How many rules an installed ruleset has: tells its digest from that of an action.
    #[serde(borrow)]
    rules: Option<&'e RawValue>,
    salt: Option<Salt>,
}

#[derive(Debug, Deserialize)]
struct VerdictBody<'e> {
    decision: Decided,
    #[serde(borrow)]
    reason: Option<&'e RawValue>,
    ruleset: Digest,
    rules: Vec<RuleId>,
}

/// The trace that a context names. One that is not valid says nothing.
fn trace_of(context: &RawValue) -> Option<TraceContext> {
    const NAME: &str = "plan.trace";
    #[derive(Deserialize)]
    struct Named<'e> {
        #[serde(borrow, rename = "plan.trace")]
        trace: Option<&'e RawValue>,
    }
    // Most contexts name none: they need not be read.
    if !context.get().contains(NAME) {
        return None;
    }
    let Named { trace } = serde_json::from_str(context.get()).ok()?;
    serde_json::from_str(trace?.get()).ok()
}

/// The bytes of an action, and whose it is.
#[derive(Debug)]
struct ActionBody<'e> {
    raw: &'e RawValue,
    actor: AgentId,
}

impl<'de: 'e, 'e> Deserialize<'de> for ActionBody<'e> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Actor {
            actor: AgentId,
        }
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        let Actor { actor } = serde_json::from_str(raw.get()).map_err(de::Error::custom)?;
        Ok(Self { raw, actor })
    }
}

/// An event as the project's enums are written: `{"name": {…}}`, or `"name"` where there is nothing to say.
struct Tagged<'e>(Body<'e>);

impl<'de> Deserialize<'de> for Tagged<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;

        impl<'de> Visitor<'de> for One {
            type Value = Tagged<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event: its name, or an object with one field of that name")
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Tagged(Body::default()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let entry = map.next_entry::<de::IgnoredAny, Body<'de>>()?;
                let (_, body) = entry.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                match map.next_key::<de::IgnoredAny>()? {
                    None => Ok(Tagged(body)),
                    Some(_) => Err(de::Error::invalid_length(2, &self)),
                }
            }
        }

        deserializer.deserialize_any(One)
    }
}

//! What is known about the situation in which an action is wanted.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::request::{ActionError, check_size, most_json, most_text};
use crate::id::SourceId;
use crate::workflow::{MAX_TRACEPARENT_LEN, TraceContext};

/// What is known beside the action: named facts about the agent and its world, for the rules; where the data came from
/// that led to it; and the distributed trace that it belongs to, for those who follow it from system to system.
///
/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Context(Option<Arc<Known>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    facts: BTreeMap<Cow<'static, str>, Value>,
    sources: BTreeSet<SourceId>,
    trace: Option<TraceContext>,
}

/// The name under which a context says where its data came from. No ruleset can declare a fact of this name.
const SOURCES: &str = "plan.sources";
/// The name under which a context says which trace the action belongs to. It is no fact either: rules do not see it.
const TRACE: &str = "plan.trace";

impl PartialEq for Context {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => one == other,
            _ => self.is_empty() && other.is_empty(),
        }
    }
}

impl Eq for Context {}

impl Serialize for Context {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sources = self.sources().len();
        let len = self.facts().count() + usize::from(sources > 0) + usize::from(self.trace().is_some());
        let mut map = serializer.serialize_map(Some(len))?;
        for (name, value) in self.facts() {
            map.serialize_entry(name, value)?;
        }
        if sources > 0 {
            map.serialize_entry(SOURCES, &Sources(self))?;
        }
        if let Some(trace) = self.trace() {
            map.serialize_entry(TRACE, trace)?;
        }
        map.end()
    }
}

struct Sources<'a>(&'a Context);

impl Serialize for Sources<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.sources())
    }
}

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let facts = BTreeMap::<String, Value>::deserialize(deserializer)?;
        Ok(facts.into_iter().fold(Self::NONE, |context, (name, value)| context.with(name, value)))
    }
}

impl Context {
    /// No facts.
    pub const NONE: Self = Self(None);

    /// No facts.
    #[must_use]
    pub const fn new() -> Self {
        Self::NONE
    }

    /// Adds a fact; an earlier one of the same name is replaced. `plan.sources` is no fact: it adds
    /// [sources](Self::with_source), and takes none away. Neither is `plan.trace`: it sets the [trace](Self::with_trace),
    /// and one that is not valid is left out, as the recommendation wants.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        let (name, value) = (name.into(), value.into());
        if name == SOURCES {
            return self.with_sources(sources_of(&value));
        }
        if name == TRACE {
            return match serde_json::from_value(value) {
                Ok(trace) => self.with_trace(trace),
                Err(_) => self,
            };
        }
        self.known().facts.insert(name, value);
        self
    }

    /// Says that data of an untrusted source led to the action. Sources are only ever added: whoever passes a context
    /// on cannot make it look cleaner than it is.
    #[must_use]
    pub fn with_source(self, source: SourceId) -> Self {
        self.with_sources([source])
    }

    /// As [`Self::with_source`], for several.
    #[must_use]
    pub fn with_sources(mut self, sources: impl IntoIterator<Item = SourceId>) -> Self {
        let mut sources = sources.into_iter().peekable();
        if sources.peek().is_some() {
            self.known().sources.extend(sources);
        }
        self
    }

    /// The untrusted sources of the data that led to the action, in order; none where all of it is trusted.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = &SourceId> {
        static NO_SOURCES: BTreeSet<SourceId> = BTreeSet::new();
        self.0.as_ref().map_or(&NO_SOURCES, |known| &known.sources).iter()
    }

    /// Says which distributed trace the action belongs to, such as that of the request that led to it. It is written down
    /// with the decision, given to the executor, and stands in the audit log, so that what an agent did can be found from
    /// what led to it, and the other way round. Rules do not see it.
    #[must_use]
    pub fn with_trace(mut self, trace: TraceContext) -> Self {
        self.known().trace = Some(trace);
        self
    }

    /// The trace that the action belongs to.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.0.as_ref()?.trace.as_ref()
    }

    /// Whether there is neither a fact nor a source nor a trace.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|known| **known == Known::default())
    }

    /// A fact.
    #[must_use]
    pub fn fact(&self, name: &str) -> Option<&Value> {
        self.0.as_ref()?.facts.get(name)
    }

    /// All facts, by name.
    pub fn facts(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().flat_map(|known| &known.facts).map(|(name, value)| (&**name, value))
    }

    /// Whether it has the same facts; where they came from does not matter, nor does the trace.
    pub(crate) fn same_facts(&self, other: &Self) -> bool {
        self.facts().eq(other.facts())
    }

    fn known(&mut self) -> &mut Known {
        Arc::make_mut(self.0.get_or_insert_default())
    }

    pub(crate) fn check(&self) -> Result<(), ActionError> {
        let mut most = 2;
        for (name, value) in self.facts() {
            most += most_text(name) + 2 + most_json("context", value, 0)?;
        }
        most += self.sources().map(|source| source.as_str().len() + 3).sum::<usize>() + SOURCES.len() + 6;
        // Both headers of a trace within their bounds, escaped, and their names.
        most += self.trace().map_or(0, |trace| {
            most_text(TRACE)
                + 2 * MAX_TRACEPARENT_LEN
                + trace.state().map_or(0, |state| most_text(state.as_str()))
        });
        check_size("context", self, most)
    }
}

/// The sources that a value names. What is no name of one is a source that nobody knows.
fn sources_of(value: &Value) -> Vec<SourceId> {
    let one = |value: &Value| {
        let named = value.as_str().and_then(|name| SourceId::new(name).ok());
        named.or_else(|| SourceId::new("unknown").ok())
    };
    match value {
        Value::Array(values) => values.iter().filter_map(one).collect(),
        Value::Null => Vec::new(),
        value => one(value).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sources_are_only_ever_added() {
        let mail = || SourceId::new("mail").unwrap();
        let marked = Context::new().with("a", 1).with_source(mail());
        let names = |context: &Context| context.sources().map(ToString::to_string).collect::<Vec<_>>();
        for value in [json!(null), json!([]), json!(["mail"]), json!("mail")] {
            assert_eq!(names(&marked.clone().with("plan.sources", value)), ["mail"]);
        }
        let more = marked.clone().with("plan.sources", json!(["web", 3]));
        assert_eq!(names(&more), ["mail", "unknown", "web"]);
        assert_eq!(more.fact("plan.sources"), None);
        let back: Context = serde_json::from_str(&serde_json::to_string(&more).unwrap()).unwrap();
        assert_eq!(back, more);
        assert_eq!(serde_json::to_value(Context::new().with("a", 1)).unwrap(), json!({ "a": 1 }));
        assert_eq!(serde_json::from_str::<Context>("{}").unwrap(), Context::new());
        assert_ne!(marked, Context::new().with("a", 1));
    }

    #[test]
    fn a_trace_is_passed_on_as_its_two_headers_and_is_no_fact() {
        let headers = ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "congo=t61rcWkgMzE");
        let trace = TraceContext::from_headers(headers.0, Some(headers.1)).unwrap();
        let context = Context::new().with("a", 1).with_trace(trace.clone());
        let text = serde_json::to_value(&context).unwrap();
        let written = json!({ "traceparent": headers.0, "tracestate": headers.1 });
        assert_eq!(text, json!({ "a": 1, "plan.trace": written }));
        let back: Context = serde_json::from_value(text).unwrap();
        assert_eq!((&back, back.trace()), (&context, Some(&trace)));
        assert_eq!((context.fact("plan.trace"), context.facts().count()), (None, 1));
        assert!(context.same_facts(&Context::new().with("a", 1)));
        assert!(!Context::new().with_trace(trace).is_empty());
        // What came from outside and is no trace does not spoil the action.
        let spoilt = Context::new().with("plan.trace", json!({ "traceparent": "00-0-0-00" }));
        assert_eq!(spoilt, Context::new());
        context.check().unwrap();
    }
}

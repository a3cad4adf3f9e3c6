//! A ruleset: checked, compiled, and named by the hash of its content.

mod check;
mod duty;
mod read;
mod undecided;

use std::fmt;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use daa_core::action::Request;
use daa_core::digest::{Digest, DigestBuilder};
use daa_core::id::RuleId;
use serde::{Deserialize, Serialize};

use crate::attribute::{Attribute, Members};
use crate::condition::{Budget, Condition, Guard, Indeterminate};
use crate::diagnostic::Location;
use crate::document::{self, Misfit, Node};
use crate::engine::Index;
use crate::error::RulesetError;
use crate::limits::Limits;
use crate::memory::Counter;
use crate::pattern::KindPattern;
use crate::provider::ProvidedFact;
use crate::rule_test::{RuleTest, TriggerTest};
use crate::schema::Schema;
use crate::trigger::{Parameter, TriggeredRule};

pub(crate) use duty::Duties;
pub use undecided::OnIndeterminate;

/// What a rule does when it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// The action may be done, unless another rule denies or escalates it.
    Permit,
    /// The action may not be done, whatever other rules say.
    Deny,
    /// Somebody else decides, unless another rule denies it.
    Escalate,
}

impl Effect {
    pub(crate) const NAMES: &'static str = "permit, deny, escalate";

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "permit" => Self::Permit,
            "deny" => Self::Deny,
            "escalate" => Self::Escalate,
            _ => return None,
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
            Self::Escalate => "escalate",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(crate) id: RuleId,
    pub(crate) on: KindPattern,
    pub(crate) when: Option<String>,
    pub(crate) condition: Option<Condition>,
    pub(crate) effect: Effect,
    pub(crate) reason: Option<String>,
    pub(crate) priority: i64,
    pub(crate) on_indeterminate: OnIndeterminate,
    pub(crate) duties: Duties,
    /// Where its name, or else the rule itself, stands.
    pub(crate) at: Place,
    /// Where its condition stands.
    pub(crate) when_at: Place,
}

/// Where something stands. It has no meaning: rules that say the same are the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place(pub(crate) Location);

impl Rule {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> &RuleId {
        &self.id
    }

    /// Which actions it is about.
    #[must_use]
    pub const fn on(&self) -> &KindPattern {
        &self.on
    }

    /// Its condition as it was written; `None` when it always matches.
    #[must_use]
    pub fn when(&self) -> Option<&str> {
        self.when.as_deref()
    }

    /// What it does when it matches.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.effect
    }

    /// What people are told when it denies or escalates.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// What it does when its condition cannot be decided.
    #[must_use]
    pub const fn on_indeterminate(&self) -> OnIndeterminate {
        self.on_indeterminate
    }

    /// The highest is reported first.
    #[must_use]
    pub const fn priority(&self) -> i64 {
        self.priority
    }

    /// What it says, whatever it is called, and whatever people are told.
    pub(crate) fn meaning(&self) -> Digest {
        let mut out = Digest::builder("daa rule v1").field(self.on.to_string().as_bytes());
        out.add(self.effect.name().as_bytes());
        self.condition.iter().for_each(|condition| condition.digest(&mut out));
        self.on_indeterminate.describe(self.effect, &mut out);
        self.duties.describe(&mut out);
        out.finish()
    }

    pub(crate) fn guards(&self) -> &[Guard] {
        self.condition.as_ref().map(Condition::guards).unwrap_or_default()
    }

    /// Whether it matches. A guard that is false decides before anything else, and takes no steps.
    pub(crate) fn holds(&self, request: &Request<'_>, budget: &mut Budget) -> Result<bool, Indeterminate> {
        match &self.condition {
            None => Ok(true),
            Some(condition) if condition.guards().iter().any(|guard| guard.is_false(request)) => Ok(false),
            Some(condition) => condition.holds(request, budget),
        }
    }

    /// Where it stands in the source that it was read from.
    #[must_use]
    pub const fn location(&self) -> Location {
        self.at.0
    }
}

/// Rules that were read, checked against the declared attributes, and compiled. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ruleset {
    name: String,
    version: u64,
    schema: Arc<Schema>,
    /// In the order of the file.
    rules: Arc<[Rule]>,
    pub(crate) tests: Arc<[RuleTest]>,
    pub(crate) trigger_tests: Arc<[TriggerTest]>,
    index: Arc<Index>,
    /// The places of the rules that hide something.
    redacting: Arc<[usize]>,
    /// Those that do something, in the order of the file. No decision looks at them.
    triggered: Arc<[TriggeredRule]>,
    gathered: Arc<Gathered>,
    digest: Digest,
    /// As it was written.
    source: Arc<str>,
    language: Language,
}

/// What a ruleset is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Language {
    /// TOML.
    Toml,
    /// YAML, or JSON.
    Yaml,
}

impl Language {
    fn of(extension: &str) -> Option<Self> {
        match extension {
            "toml" => Some(Self::Toml),
            "yaml" | "yml" | "json" => Some(Self::Yaml),
            _ => None,
        }
    }
}

/// What is gathered for the decisions of a ruleset.
#[derive(Clone, Debug, Default)]
struct Gathered {
    /// What was seen before windows.
    counters: Vec<Counter>,
    provided: Vec<ProvidedFact>,
    parameters: Vec<Parameter>,
}

impl Gathered {
    /// Adds everything that has a meaning. A ruleset for which nothing is gathered has the digest that it had before
    /// anything could be.
    fn describe(&self, out: &mut DigestBuilder) {
        if !self.counters.is_empty() {
            out.add(b"counters");
            out.add(&(self.counters.len() as u64).to_le_bytes());
            self.counters.iter().for_each(|counter| counter.describe(out));
        }
        if !self.provided.is_empty() {
            out.add(b"provided");
            out.add(&(self.provided.len() as u64).to_le_bytes());
            for fact in &self.provided {
                out.add(fact.path.as_bytes());
                out.add(fact.provider.as_bytes());
                out.add(&fact.max_age.as_millis().to_le_bytes());
            }
        }
        if !self.parameters.is_empty() {
            out.add(b"parameters");
            out.add(&(self.parameters.len() as u64).to_le_bytes());
            self.parameters.iter().for_each(|parameter| parameter.describe(out));
        }
    }
}

/// The stack that a ruleset is read on, in bytes; only what is used of it costs memory.
const STACK: usize = 64 << 20;

impl Ruleset {
    /// Reads TOML.
    ///
    /// # Errors
    /// [`RulesetError`], which says at which line and column what is wrong.
    pub fn from_toml(source: &str) -> Result<Self, RulesetError> {
        Self::read(Language::Toml, source)
    }

    /// Reads YAML, or JSON.
    ///
    /// # Errors
    /// [`RulesetError`], which says at which line and column what is wrong.
    #[cfg(feature = "yaml")]
    pub fn from_yaml(source: &str) -> Result<Self, RulesetError> {
        Self::read(Language::Yaml, source)
    }

    /// Reads a file; its extension says which language it is in: `toml`, `yaml`, `yml` or `json`.
    ///
    /// # Errors
    /// [`RulesetError`], which names the file, and says at which line and column what is wrong.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, RulesetError> {
        let path = path.as_ref();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let language = Language::of(extension).filter(|language| parser(*language).is_some());
        let language = language.ok_or_else(|| RulesetError::Extension {
            path: path.to_owned(),
            expected: if cfg!(feature = "yaml") { ".toml, .yaml, .yml, .json" } else { ".toml" },
        })?;
        let unread = |source| RulesetError::Read { path: path.to_owned(), source };
        let mut source = String::new();
        // One byte more than allowed, so that a file that is too large is noticed and never held.
        let limit = Limits::SOURCE as u64 + 1;
        let file = std::fs::File::open(path).map_err(unread)?;
        file.take(limit).read_to_string(&mut source).map_err(unread)?;
        let in_file = |source| RulesetError::File { path: path.to_owned(), source: Box::new(source) };
        Self::read(language, &source).map_err(in_file)
    }

    /// Reads a source in some language.
    ///
    /// # Errors
    /// [`RulesetError`], which says at which line and column what is wrong.
    pub fn read(language: Language, source: &str) -> Result<Self, RulesetError> {
        let parse = parser(language).ok_or(RulesetError::Language { language })?;
        if source.len() > Limits::SOURCE {
            return Err(RulesetError::TooLarge { actual: source.len() as u64, limit: Limits::SOURCE });
        }
        on_a_deep_stack(|| {
            let ruleset = read::ruleset(source, parse(source));
            let ruleset = ruleset.map_err(|problems| RulesetError::Invalid { problems })?;
            Ok(Self { source: source.into(), language, ..ruleset })
        })
    }

    /// As it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it was written in.
    #[must_use]
    pub const fn language(&self) -> Language {
        self.language
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number that its author gave it.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The hash of its content: of everything that has a meaning, and of nothing else. Spaces, comments, and the
    /// language it is written in do not matter.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The rules, in the order of the file.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules that do something when they are triggered, in the order of the file.
    #[must_use]
    pub fn triggered(&self) -> &[TriggeredRule] {
        &self.triggered
    }

    /// The parameters, by their names.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.gathered.parameters
    }

    /// The parameter of this name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters().iter().find(|parameter| parameter.name == name)
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The facts that conditions may use.
    pub fn context(&self) -> impl Iterator<Item = Attribute> + '_ {
        self.schema.context.iter().cloned()
    }

    /// The parameters that conditions may use, of kinds that declare none of their own; `None` when they may use any.
    #[must_use]
    pub fn params(&self) -> Option<impl Iterator<Item = Attribute> + '_> {
        self.schema.params.as_ref().map(|params| params.iter().cloned())
    }

    /// What it counts: first what was seen, because windows may ask for it.
    pub(crate) fn counters(&self) -> &[Counter] {
        &self.gathered.counters
    }

    /// The facts that providers tell.
    pub(crate) fn provided(&self) -> &[ProvidedFact] {
        &self.gathered.provided
    }

    fn new(
        (name, version): (String, u64),
        schema: Schema,
        gathered: Gathered,
        rules: Vec<Rule>,
        triggered: Vec<TriggeredRule>,
        (tests, trigger_tests): (Vec<RuleTest>, Vec<TriggerTest>),
    ) -> Self {
        let digest = digest((&name, version), &schema, &gathered, &rules, &triggered);
        let index = Arc::new(Index::new(&rules));
        let hides = |(at, rule): (usize, &Rule)| (!rule.duties.redact.is_empty()).then_some(at);
        let redacting = rules.iter().enumerate().filter_map(hides).collect();
        Self {
            name,
            version,
            schema: Arc::new(schema),
            rules: rules.into(),
            tests: tests.into(),
            trigger_tests: trigger_tests.into(),
            index,
            redacting,
            triggered: triggered.into(),
            gathered: Arc::new(gathered),
            digest,
            source: "".into(),
            language: Language::Toml,
        }
    }

    /// The rules that hide something.
    pub(crate) fn redacting(&self) -> impl Iterator<Item = &Rule> {
        self.redacting.iter().filter_map(|&at| self.rules.get(at))
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }
}

/// Reads on a thread of its own, whose stack is deep enough for the deepest nesting that is allowed. The parsers recurse,
/// and the caller's stack may be nearly used up, or that of a small worker thread.
fn on_a_deep_stack(
    read: impl FnOnce() -> Result<Ruleset, RulesetError> + Send,
) -> Result<Ruleset, RulesetError> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("ruleset".to_owned()).stack_size(STACK);
        let thread = builder.spawn_scoped(scope, read).map_err(|source| RulesetError::Thread { source })?;
        let gone = |_| RulesetError::Thread { source: std::io::Error::other("the thread panicked") };
        thread.join().unwrap_or_else(|panic| Err(gone(panic)))
    })
}

/// Reads one language.
type Parse = fn(&str) -> Result<Node, Misfit>;

/// `None` where this build cannot read it.
const fn parser(language: Language) -> Option<Parse> {
    match language {
        Language::Toml => Some(document::parse_toml),
        #[cfg(feature = "yaml")]
        Language::Yaml => Some(document::parse_yaml),
        #[cfg(not(feature = "yaml"))]
        Language::Yaml => None,
    }
}

fn declared(out: &mut DigestBuilder, members: &Members) {
    out.add(&(members.iter().len() as u64).to_le_bytes());
    for Attribute { name, kind, optional } in members.iter() {
        out.add(name.as_bytes());
        out.add(kind.to_string().as_bytes());
        if *optional {
            out.add(b"?");
        }
    }
}

fn digest(
    (name, version): (&str, u64),
    schema: &Schema,
    gathered: &Gathered,
    rules: &[Rule],
    triggered: &[TriggeredRule],
) -> Digest {
    let mut out = Digest::builder("daa ruleset v1").field(name.as_bytes()).number(version);
    declared(&mut out, &schema.context);
    out.add(if schema.params.is_some() { b"params" } else { b"any params" });
    if let Some(params) = &schema.params {
        declared(&mut out, params);
    }
    if !schema.kinds.is_empty() {
        out.add(b"kinds");
        out.add(&(schema.kinds.len() as u64).to_le_bytes());
        for kind in &schema.kinds {
            out.add(kind.pattern.to_string().as_bytes());
            out.add(if kind.params.is_some() { b"params" } else { b"any params" });
            kind.params.iter().for_each(|params| declared(&mut out, params));
        }
    }
    gathered.describe(&mut out);
    out.add(&(rules.len() as u64).to_le_bytes());
    for rule in rules {
        out.add(rule.id.as_str().as_bytes());
        out.add(rule.on.to_string().as_bytes());
        out.add(rule.effect.name().as_bytes());
        out.add(&rule.priority.to_le_bytes());
        out.add(if rule.reason.is_some() { b"reason" } else { b"no reason" });
        out.add(rule.reason.as_deref().unwrap_or_default().as_bytes());
        rule.on_indeterminate.describe(rule.effect, &mut out);
        rule.duties.describe(&mut out);
        match &rule.condition {
            None => out.add(b"always"),
            Some(condition) => {
                out.add(b"when");
                condition.digest(&mut out);
            }
        }
    }
    // A ruleset without any has the digest that it had before there could be one.
    if !schema.events.is_empty() {
        out.add(b"events");
        out.add(&(schema.events.len() as u64).to_le_bytes());
        for kind in &schema.events {
            out.add(kind.pattern.to_string().as_bytes());
            out.add(kind.untrusted.as_ref().map_or("", |source| source.as_str()).as_bytes());
            kind.params.iter().for_each(|data| declared(&mut out, data));
        }
    }
    if !schema.notifications.is_empty() {
        out.add(b"notifications");
        out.add(&(schema.notifications.len() as u64).to_le_bytes());
        for (name, fields) in &schema.notifications {
            out.add(name.as_bytes());
            declared(&mut out, fields);
        }
    }
    if !triggered.is_empty() {
        out.add(b"triggered");
        out.add(&(triggered.len() as u64).to_le_bytes());
        triggered.iter().for_each(|rule| rule.describe(&mut out));
    }
    out.finish()
}

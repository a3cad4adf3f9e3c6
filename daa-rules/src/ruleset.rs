//! A ruleset: checked, compiled, and named by the hash of its content.

mod read;

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use daa_core::digest::Digest;
use daa_core::id::RuleId;

use crate::condition::Condition;
use crate::document::{self, Misfit, Node};
use crate::error::RulesetError;
use crate::limits::Limits;
use crate::pattern::KindPattern;
use crate::schema::{Attribute, AttributeType, Schema};

/// What a rule does when it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
}

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

    /// The highest is reported first.
    #[must_use]
    pub const fn priority(&self) -> i64 {
        self.priority
    }
}

/// Rules that were read, checked against the declared attributes, and compiled.
#[derive(Clone, Debug)]
pub struct Ruleset {
    name: String,
    version: u64,
    schema: Schema,
    /// In the order of the file.
    rules: Vec<Rule>,
    digest: Digest,
}

/// The stack that a ruleset is read on, in bytes; only what is used of it costs memory.
const STACK: usize = 64 << 20;

impl Ruleset {
    /// Reads TOML.
    ///
    /// # Errors
    /// [`RulesetError`], which says at which line and column what is wrong.
    pub fn from_toml(source: &str) -> Result<Self, RulesetError> {
        Self::parse(source, document::parse_toml)
    }

    /// Reads YAML, or JSON.
    ///
    /// # Errors
    /// [`RulesetError`], which says at which line and column what is wrong.
    #[cfg(feature = "yaml")]
    pub fn from_yaml(source: &str) -> Result<Self, RulesetError> {
        Self::parse(source, document::parse_yaml)
    }

    /// Reads a file; its extension says which language it is in: `toml`, `yaml`, `yml` or `json`.
    ///
    /// # Errors
    /// [`RulesetError`], which names the file, and says at which line and column what is wrong.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, RulesetError> {
        let path = path.as_ref();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let parse = parser(extension).ok_or_else(|| RulesetError::Extension {
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
        Self::parse(&source, parse).map_err(in_file)
    }

    fn parse(source: &str, parse: Parse) -> Result<Self, RulesetError> {
        if source.len() > Limits::SOURCE {
            return Err(RulesetError::TooLarge { actual: source.len() as u64, limit: Limits::SOURCE });
        }
        on_a_deep_stack(|| {
            let located = |misfit: Misfit| misfit.problem.at(source, misfit.offset);
            let root = parse(source).map_err(located)?;
            read::ruleset(source, &root).map_err(located)
        })
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

    /// The facts that conditions may use.
    pub fn context(&self) -> impl Iterator<Item = Attribute> {
        attributes(&self.schema.context)
    }

    /// The parameters that conditions may use; `None` when they may use any.
    #[must_use]
    pub fn params(&self) -> Option<impl Iterator<Item = Attribute>> {
        self.schema.params.as_ref().map(attributes)
    }

    fn new(name: String, version: u64, schema: Schema, rules: Vec<Rule>) -> Self {
        let digest = digest(&name, version, &schema, &rules);
        Self { name, version, schema, rules, digest }
    }
}

/// Reads one language.
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

type Parse = fn(&str) -> Result<Node, Misfit>;

fn parser(extension: &str) -> Option<Parse> {
    match extension {
        "toml" => Some(document::parse_toml),
        #[cfg(feature = "yaml")]
        "yaml" | "yml" | "json" => Some(document::parse_yaml),
        _ => None,
    }
}

fn attributes(
    declared: &std::collections::BTreeMap<String, AttributeType>,
) -> impl Iterator<Item = Attribute> + use<> {
    let all: Vec<_> =
        declared.iter().map(|(name, kind)| Attribute { name: name.clone(), kind: *kind }).collect();
    all.into_iter()
}

fn digest(name: &str, version: u64, schema: &Schema, rules: &[Rule]) -> Digest {
    let mut out = Digest::builder("daa ruleset v1").field(name.as_bytes()).number(version);
    let declared = |out: &mut daa_core::digest::DigestBuilder, attributes: &_| {
        let attributes: &std::collections::BTreeMap<String, AttributeType> = attributes;
        out.add(&(attributes.len() as u64).to_le_bytes());
        for (name, kind) in attributes {
            out.add(name.as_bytes());
            out.add(kind.name().as_bytes());
        }
    };
    declared(&mut out, &schema.context);
    out.add(if schema.params.is_some() { b"params" } else { b"any params" });
    if let Some(params) = &schema.params {
        declared(&mut out, params);
    }
    out.add(&(rules.len() as u64).to_le_bytes());
    for rule in rules {
        out.add(rule.id.as_str().as_bytes());
        out.add(rule.on.to_string().as_bytes());
        out.add(rule.effect.name().as_bytes());
        out.add(&rule.priority.to_le_bytes());
        out.add(if rule.reason.is_some() { b"reason" } else { b"no reason" });
        out.add(rule.reason.as_deref().unwrap_or_default().as_bytes());
        match &rule.condition {
            None => out.add(b"always"),
            Some(condition) => {
                out.add(b"when");
                condition.digest(&mut out);
            }
        }
    }
    out.finish()
}

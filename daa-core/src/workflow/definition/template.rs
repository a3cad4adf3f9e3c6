//! Templates: JSON with references in it.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// JSON with references to what a run knows.
///
/// Text that is one reference, `"${input.cents}"`, becomes the value itself, whatever its type; references within
/// other text, `"order ${input.id}"`, are put into it; `$${` stands for `${`. References begin with `input`, `vars`,
/// `run`, the name of a step (its output) and, where they make sense, `item`, `index` and `last`; what follows are
/// fields and, for lists, indexes: `${check.reasons.0}`. What is not there is null.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    source: Value,
    node: Node,
}

/// A template, parsed.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::workflow) enum Node {
    Literal(Value),
    Reference(Path),
    Text(Vec<Piece>),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
    /// Text with a reference that cannot be read; the definition is refused for it.
    Malformed(String),
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::workflow) enum Piece {
    Text(String),
    Reference(Path),
}

/// Where a value is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::workflow) struct Path {
    pub(in crate::workflow) root: String,
    pub(in crate::workflow) fields: Vec<String>,
}

/// What references are looked up in.
pub(in crate::workflow) trait Scope {
    /// The value that a reference begins with; `None` stands for null.
    fn root(&self, name: &str) -> Option<Cow<'_, Value>>;
}

/// What a template yields, borrowed where it can be.
pub(in crate::workflow) type Resolved<'a> = Cow<'a, Value>;

impl Template {
    /// The template of null.
    pub(super) const NULL: Self = Self { source: Value::Null, node: Node::Literal(Value::Null) };

    /// A template. Whether its references can be read, and lead somewhere, is checked with the definition.
    #[must_use]
    pub fn new(source: impl Into<Value>) -> Self {
        let source = source.into();
        let node = Node::parse(&source);
        Self { source, node }
    }

    /// The template that yields exactly `value`, whatever its text looks like.
    pub(in crate::workflow) fn literal(value: Value) -> Self {
        Self { source: escaped(&value), node: Node::Literal(value) }
    }

    /// The template as it was written.
    #[must_use]
    pub const fn source(&self) -> &Value {
        &self.source
    }

    pub(in crate::workflow) const fn node(&self) -> &Node {
        &self.node
    }

    /// Whether it refers to a step of this name.
    pub(in crate::workflow) fn refers_to(&self, step: &str) -> bool {
        let mut found = false;
        self.node().references(&mut |path| found |= path.root == step);
        found
    }

    pub(super) const fn is_null(&self) -> bool {
        matches!(self.node, Node::Literal(Value::Null))
    }
}

/// The value with every `${` written as `$${`.
fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("${", "$${")),
        Value::Array(items) => items.iter().map(escaped).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), escaped(item))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

impl Default for Template {
    fn default() -> Self {
        Self::NULL
    }
}

impl From<&str> for Template {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<Value> for Template {
    fn from(value: Value) -> Self {
        Self::new(value)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::new)
    }
}

impl Node {
    fn parse(source: &Value) -> Self {
        match source {
            Value::String(text) => Self::text(text),
            Value::Array(items) => {
                let nodes: Vec<Self> = items.iter().map(Self::parse).collect();
                if nodes.iter().all(Self::is_literal) {
                    Self::Literal(nodes.into_iter().filter_map(Self::into_literal).collect())
                } else {
                    Self::List(nodes)
                }
            }
            Value::Object(map) => {
                let nodes: Vec<_> = map.iter().map(|(key, item)| (key.clone(), Self::parse(item))).collect();
                if nodes.iter().all(|(_, node)| node.is_literal()) {
                    let literal = |(key, node): (String, Self)| Some((key, node.into_literal()?));
                    Self::Literal(Value::Object(nodes.into_iter().filter_map(literal).collect()))
                } else {
                    Self::Object(nodes)
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Literal(source.clone()),
        }
    }

    const fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    fn into_literal(self) -> Option<Value> {
        match self {
            Self::Literal(value) => Some(value),
            _ => None,
        }
    }

    fn text(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                plain.push_str(before);
                plain.push_str("${");
                rest = behind;
                continue;
            }
            plain.push_str(before);
            let parsed = behind.split_once('}').and_then(|(path, rest)| Some((Path::parse(path)?, rest)));
            let Some((path, behind)) = parsed else { return Self::Malformed(text.to_owned()) };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Reference(path));
            rest = behind;
        }
        plain.push_str(rest);
        match pieces.as_slice() {
            [] => return Self::Literal(Value::String(plain)),
            [Piece::Reference(path)] if plain.is_empty() => return Self::Reference(path.clone()),
            _ => {}
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Self::Text(pieces)
    }

    /// What it yields in `scope`.
    pub(in crate::workflow) fn resolve<'a>(&'a self, scope: &'a dyn Scope) -> Resolved<'a> {
        match self {
            Self::Literal(value) => Cow::Borrowed(value),
            Self::Reference(path) => path.resolve(scope),
            Self::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(plain) => text.push_str(plain),
                        Piece::Reference(path) => match &*path.resolve(scope) {
                            Value::String(value) => text.push_str(value),
                            // Writing to a string does not fail.
                            value => drop(write!(text, "{value}")),
                        },
                    }
                }
                Cow::Owned(Value::String(text))
            }
            Self::List(nodes) => {
                Cow::Owned(nodes.iter().map(|node| node.resolve(scope).into_owned()).collect())
            }
            Self::Object(nodes) => {
                let items = nodes.iter().map(|(key, node)| (key.clone(), node.resolve(scope).into_owned()));
                Cow::Owned(Value::Object(items.collect::<Map<_, _>>()))
            }
            // Refused with its definition.
            Self::Malformed(_) => Cow::Owned(Value::Null),
        }
    }

    /// Its references.
    pub(in crate::workflow) fn references(&self, visit: &mut dyn FnMut(&Path)) {
        match self {
            Self::Literal(_) | Self::Malformed(_) => {}
            Self::Reference(path) => visit(path),
            Self::Text(pieces) => pieces.iter().for_each(|piece| {
                if let Piece::Reference(path) = piece {
                    visit(path);
                }
            }),
            Self::List(nodes) => nodes.iter().for_each(|node| node.references(visit)),
            Self::Object(nodes) => nodes.iter().for_each(|(_, node)| node.references(visit)),
        }
    }
}

impl Path {
    /// Reads `root.field.0`; `None` when a part is empty or has a character that no name has.
    pub(in crate::workflow) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('.').map(str::to_owned);
        let path = Self { root: parts.next()?, fields: parts.collect() };
        let allowed = |part: &String| {
            !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
        };
        (allowed(&path.root) && path.fields.iter().all(allowed)).then_some(path)
    }

    pub(in crate::workflow) fn resolve<'a>(&self, scope: &'a dyn Scope) -> Cow<'a, Value> {
        match scope.root(&self.root) {
            Some(Cow::Borrowed(root)) => self.within(root).map_or(Cow::Owned(Value::Null), Cow::Borrowed),
            Some(Cow::Owned(root)) => Cow::Owned(self.within(&root).cloned().unwrap_or_default()),
            None => Cow::Owned(Value::Null),
        }
    }

    fn within<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.fields.iter().try_fold(root, |value, field| match value {
            Value::Object(map) => map.get(field),
            Value::Array(items) => items.get(field.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

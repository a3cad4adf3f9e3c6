//! What type a reference has, and where it may be written.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::compiled::RESERVED;
use super::graph::Bits;
use super::{Cause, Field, Node, OnFailure, Path, Step, Type, Workflow};
use crate::suggest::nearest;

/// What all references of a definition may lead to.
#[derive(Debug)]
pub(super) struct Known<'w> {
    input: &'w Type,
    vars: Type,
    run: Type,
    steps: HashMap<&'w str, (usize, Type)>,
}

/// What references may lead to at one place.
#[derive(Clone, Debug)]
pub(super) struct Around<'k> {
    known: &'k Known<'k>,
    pub(super) steps: Visible<'k>,
    /// What `${item}` is.
    pub(super) item: Option<Type>,
    /// Whether there is `${index}`.
    pub(super) index: bool,
    /// What `${last}` is.
    pub(super) last: Option<Type>,
}

/// The steps whose output is known at a place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Visible<'k> {
    /// All: the place makes its step wait for them.
    All,
    /// None has run yet.
    None,
    /// The step itself, as what one doing of it gave, and those before it.
    Before { own: &'k Step, ancestors: &'k Bits },
}

impl<'w> Known<'w> {
    pub(super) fn new(workflow: &'w Workflow) -> Self {
        let vars = workflow.vars.iter();
        let vars: BTreeMap<String, Field> =
            vars.map(|(name, var)| (name.clone(), Field { of: var.of.clone(), optional: false })).collect();
        let mut steps = HashMap::new();
        for (at, step) in workflow.steps.iter().enumerate() {
            steps.entry(step.name.as_str()).or_insert_with(|| (at, output(step)));
        }
        Self {
            input: &workflow.input,
            vars: Type::Object(vars),
            run: Type::object([("id", Type::String), ("workflow", Type::String)]),
            steps,
        }
    }

    /// What may be seen from outside of loops.
    pub(super) const fn around(&'w self, steps: Visible<'w>) -> Around<'w> {
        Around { known: self, steps, item: None, index: false, last: None }
    }

    /// The complaint about a step that does not exist.
    pub(super) fn no_step(&self, name: &str, roots: &[&'static str]) -> Cause {
        let names = self.steps.keys().copied();
        let mut known: Vec<&str> = names.collect();
        known.sort_unstable();
        known.extend(roots);
        Cause::UnknownStep { name: name.to_owned(), suggestion: nearest(name, known) }
    }

    pub(super) fn has_step(&self, name: &str) -> bool {
        self.steps.contains_key(name)
    }
}

/// What the output of a step is when it is settled.
pub(super) fn output(step: &Step) -> Type {
    let of = if step.each.is_some() { Type::list(step.gives.clone()) } else { step.gives.clone() };
    let may_be_null = step.when.is_some() || step.on_failure == OnFailure::Continue;
    if may_be_null { of.or_null() } else { of }
}

impl Around<'_> {
    /// The type of what a reference leads to.
    ///
    /// An item of a list counts as there: that an index is within its list is seen when a run checks the value.
    pub(super) fn of(&self, path: &Path) -> Result<Type, Cause> {
        let mut of = self.root(&path.root)?;
        let mut walked = path.root.clone();
        for field in &path.fields {
            of = within(&of, &walked, field)?;
            walked = format!("{walked}.{field}");
        }
        Ok(of)
    }

    fn root(&self, name: &str) -> Result<Type, Cause> {
        let outside = || Cause::OutsideLoop { root: name.to_owned() };
        match name {
            "input" => Ok(self.known.input.clone()),
            "vars" => Ok(self.known.vars.clone()),
            "run" => Ok(self.known.run.clone()),
            "item" => self.item.clone().ok_or_else(outside),
            "index" => self.index.then_some(Type::Integer).ok_or_else(outside),
            "last" => self.last.clone().ok_or_else(outside),
            name => self.step(name),
        }
    }

    fn step(&self, name: &str) -> Result<Type, Cause> {
        let Some((at, of)) = self.known.steps.get(name) else {
            return Err(self.known.no_step(name, &RESERVED));
        };
        match self.steps {
            Visible::All => Ok(of.clone()),
            Visible::None => Err(Cause::TooEarly { step: name.to_owned() }),
            Visible::Before { own, .. } if own.name.as_str() == name => Ok(own.gives.clone()),
            Visible::Before { ancestors, .. } if ancestors.contains(*at) => Ok(of.clone()),
            Visible::Before { .. } => Err(Cause::UndoReference { step: name.to_owned() }),
        }
    }

    /// The type of what a template yields; what cannot be said is `any`.
    pub(super) fn infer(&self, node: &Node) -> Type {
        match node {
            Node::Literal(value) => literal(value),
            Node::Reference(path) => self.of(path).unwrap_or_default(),
            Node::Text(_) => Type::String,
            Node::List(nodes) => {
                let of = nodes.iter().map(|node| self.infer(node)).reduce(Type::join);
                Type::list(of.unwrap_or_default())
            }
            Node::Object(nodes) => {
                let field = |(name, node): &(String, Node)| {
                    (name.clone(), Field { of: self.infer(node), optional: false })
                };
                Type::Object(nodes.iter().map(field).collect())
            }
            Node::Malformed(_) => Type::Any,
        }
    }
}

fn within(of: &Type, walked: &str, field: &str) -> Result<Type, Cause> {
    let unknown =
        |suggestion| Cause::UnknownField { of: walked.to_owned(), field: field.to_owned(), suggestion };
    match of {
        Type::Any => Ok(Type::Any),
        Type::Optional(of) => within(of, walked, field).map(Type::or_null),
        Type::List(of) if field.parse::<usize>().is_ok() => Ok((**of).clone()),
        Type::Object(fields) => match fields.get(field) {
            Some(Field { of, optional: false }) => Ok(of.clone()),
            Some(Field { of, optional: true }) => Ok(of.clone().or_null()),
            None => Err(unknown(nearest(field, fields.keys().map(String::as_str)))),
        },
        Type::Bool | Type::Integer | Type::Number | Type::String | Type::List(_) => Err(unknown(None)),
    }
}

fn literal(value: &Value) -> Type {
    match value {
        // Null is a value of every type that may be null.
        Value::Null => Type::optional(Type::Any),
        Value::Bool(_) => Type::Bool,
        Value::Number(number) if number.is_f64() => Type::Number,
        Value::Number(_) => Type::Integer,
        Value::String(_) => Type::String,
        Value::Array(items) => Type::list(items.iter().map(literal).reduce(Type::join).unwrap_or_default()),
        Value::Object(map) => {
            let field = |(name, value): (&String, &Value)| {
                (name.clone(), Field { of: literal(value), optional: false })
            };
            Type::Object(map.iter().map(field).collect())
        }
    }
}

//! Templates: JSON in which texts are expressions, and texts with expressions in them.

use daa_core::action::Request;
use daa_core::digest::DigestBuilder;
use serde_json::{Map, Value};

use crate::attribute::Type;
use crate::condition::{Budget, Condition, Indeterminate, fits};

/// A value with expressions in it.
#[derive(Clone, Debug)]
pub(crate) enum Template {
    Literal(Value),
    Expression(Condition),
    List(Vec<Self>),
    Table(Vec<(String, Self)>),
}

/// A declared value, and what it is filled with.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) kind: Type,
    pub(crate) template: Template,
}

/// A part of a text.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Plain(String),
    Expression(Condition),
}

impl Template {
    /// Whether it could be of a type. What is given is looked at when the template is filled; `Err` says what it is
    /// instead.
    pub(crate) fn could_be(&self, declared: &Type) -> Result<(), String> {
        match self {
            Self::Literal(value) => fits(value, declared).map_err(ToOwned::to_owned),
            Self::Expression(expression) => {
                let kind = expression.kind();
                // A number that may have a fraction is no whole number, whatever it is.
                let never = *kind == Type::Double && matches!(declared, Type::Int | Type::UInt);
                if kind.meets(declared) && !never { Ok(()) } else { Err(kind.to_string()) }
            }
            Self::List(items) => match declared {
                Type::Any => Ok(()),
                Type::List(of) => items.iter().try_for_each(|item| item.could_be(of)),
                _ => Err("a list".to_owned()),
            },
            Self::Table(members) => match declared {
                Type::Any => Ok(()),
                Type::Map(of) => members.iter().try_for_each(|(_, member)| member.could_be(of)),
                Type::Record(declared) => members.iter().try_for_each(|(name, member)| {
                    declared.attribute(name).map_or(Ok(()), |found| member.could_be(&found.kind))
                }),
                _ => Err("a table".to_owned()),
            },
        }
    }

    pub(crate) fn fill(&self, request: &Request<'_>, budget: &mut Budget) -> Result<Value, Indeterminate> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::Expression(expression) => expression.json(request, budget)?,
            Self::List(items) => {
                Value::Array(items.iter().map(|item| item.fill(request, budget)).collect::<Result<_, _>>()?)
            }
            Self::Table(members) => {
                let members =
                    members.iter().map(|(name, member)| Ok((name.clone(), member.fill(request, budget)?)));
                Value::Object(members.collect::<Result<Map<_, _>, Indeterminate>>()?)
            }
        })
    }

    pub(crate) fn expressions<'t>(&'t self, all: &mut Vec<&'t Condition>) {
        match self {
            Self::Literal(_) => {}
            Self::Expression(expression) => all.push(expression),
            Self::List(items) => items.iter().for_each(|item| item.expressions(all)),
            Self::Table(members) => members.iter().for_each(|(_, member)| member.expressions(all)),
        }
    }

    pub(crate) fn describe(&self, out: &mut DigestBuilder) {
        match self {
            Self::Literal(value) => {
                out.add(b"literal");
                out.add(value.to_string().as_bytes());
            }
            Self::Expression(expression) => {
                out.add(b"expression");
                expression.digest(out);
            }
            Self::List(items) => {
                out.add(b"list");
                out.add(&(items.len() as u64).to_le_bytes());
                items.iter().for_each(|item| item.describe(out));
            }
            Self::Table(members) => {
                out.add(b"table");
                out.add(&(members.len() as u64).to_le_bytes());
                for (name, member) in members {
                    out.add(name.as_bytes());
                    member.describe(out);
                }
            }
        }
    }
}

impl Member {
    /// Its value, which is of its type.
    pub(crate) fn fill(&self, request: &Request<'_>, budget: &mut Budget) -> Result<Value, Indeterminate> {
        let value = self.template.fill(request, budget)?;
        fits(&value, &self.kind).map_err(|found| Indeterminate::Declared {
            name: self.name.as_str().into(),
            declared: self.kind.clone(),
            found,
        })?;
        Ok(value)
    }

    /// All of them, as an object.
    pub(crate) fn fill_all(
        all: &[Self],
        request: &Request<'_>,
        budget: &mut Budget,
    ) -> Result<Map<String, Value>, Indeterminate> {
        all.iter().map(|member| Ok((member.name.clone(), member.fill(request, budget)?))).collect()
    }

    pub(crate) fn describe_all(all: &[Self], out: &mut DigestBuilder) {
        out.add(&(all.len() as u64).to_le_bytes());
        for member in all {
            out.add(member.name.as_bytes());
            out.add(member.kind.to_string().as_bytes());
            member.template.describe(out);
        }
    }
}

impl Piece {
    /// The text that it makes.
    pub(crate) fn fill(&self, request: &Request<'_>, budget: &mut Budget) -> Result<String, Indeterminate> {
        match self {
            Self::Plain(plain) => Ok(plain.clone()),
            Self::Expression(expression) => match expression.json(request, budget)? {
                Value::String(value) => Ok(value),
                value @ (Value::Bool(_) | Value::Number(_)) => Ok(value.to_string()),
                _ => Err(Indeterminate::Operand { operator: "a text", operand: "what is no text" }),
            },
        }
    }

    pub(crate) fn describe_all(all: &[Self], out: &mut DigestBuilder) {
        out.add(&(all.len() as u64).to_le_bytes());
        for piece in all {
            match piece {
                Self::Plain(plain) => {
                    out.add(b"plain");
                    out.add(plain.as_bytes());
                }
                Self::Expression(expression) => {
                    out.add(b"expression");
                    expression.digest(out);
                }
            }
        }
    }
}

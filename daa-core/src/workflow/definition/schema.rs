//! Types of inputs and outputs.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// What a value may be.
///
/// Written as JSON or YAML: `any`, `bool`, `integer`, `number`, `string`; with a question mark for what may be null,
/// `string?`; a list as `[string]`; an object by its fields, `{ sku: string, "note?": string }`, where a question
/// mark behind the name says that the field may be missing. A list or an object that may be null is written in a
/// question mark, `{ "?": [string] }`. An object may have fields that its type does not name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Type {
    /// Anything, also null.
    #[default]
    Any,
    /// True or false.
    Bool,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// Text.
    String,
    /// A list of values of one type.
    List(Box<Self>),
    /// An object with at least these fields.
    Object(BTreeMap<String, Field>),
    /// A value of the type, or null.
    Optional(Box<Self>),
}

/// A field of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its type.
    pub of: Type,
    /// Whether it may be missing.
    pub optional: bool,
}

/// A value that is not of its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} is {found}, expected {expected}")]
#[non_exhaustive]
pub struct Mismatch {
    /// Where: a path such as `input.items.0.sku`.
    pub place: String,
    /// What is there.
    pub found: String,
    /// What should be.
    pub expected: Type,
}

impl Type {
    /// A list.
    #[must_use]
    pub fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    /// The type, or null.
    #[must_use]
    pub fn optional(of: Self) -> Self {
        Self::Optional(Box::new(of))
    }

    /// An object with these fields; a name with a question mark at its end may be missing.
    #[must_use]
    pub fn object<N: Into<String>>(fields: impl IntoIterator<Item = (N, Self)>) -> Self {
        let field = |(name, of): (N, Self)| {
            let mut name = name.into();
            let optional = name.ends_with('?');
            if optional {
                name.pop();
            }
            (name, Field { of, optional })
        };
        Self::Object(fields.into_iter().map(field).collect())
    }

    /// Checks a value; `place` is what the value is called in the error.
    ///
    /// # Errors
    /// [`Mismatch`]: the first place where the value is not of its type.
    pub fn check(&self, place: &str, value: &Value) -> Result<(), Mismatch> {
        let wrong = |found: &str| {
            Err(Mismatch { place: place.to_owned(), found: found.to_owned(), expected: self.clone() })
        };
        match (self, value) {
            (Self::Any, _) | (Self::Bool, Value::Bool(_)) | (Self::String, Value::String(_)) => Ok(()),
            (Self::Optional(_), Value::Null) => Ok(()),
            (Self::Optional(of), value) => of.check(place, value),
            (Self::Number, Value::Number(_)) => Ok(()),
            (Self::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(()),
            (Self::Integer, Value::Number(_)) => wrong("a number that is not whole"),
            (Self::List(of), Value::Array(items)) => {
                items.iter().enumerate().try_for_each(|(at, item)| of.check(&format!("{place}.{at}"), item))
            }
            (Self::Object(fields), Value::Object(map)) => {
                fields.iter().try_for_each(|(name, field)| match map.get(name) {
                    Some(value) => field.of.check(&format!("{place}.{name}"), value),
                    None if field.optional => Ok(()),
                    None => Err(Mismatch {
                        place: format!("{place}.{name}"),
                        found: "missing".to_owned(),
                        expected: field.of.clone(),
                    }),
                })
            }
            (_, Value::Null) => wrong("null"),
            (_, Value::Bool(_)) => wrong("a boolean"),
            (_, Value::Number(_)) => wrong("a number"),
            (_, Value::String(_)) => wrong("text"),
            (_, Value::Array(_)) => wrong("a list"),
            (_, Value::Object(_)) => wrong("an object"),
        }
    }

    fn to_value(&self) -> Value {
        match self {
            Self::List(of) => Value::Array(vec![of.to_value()]),
            Self::Object(fields) => {
                let field = |(name, field): (&String, &Field)| {
                    let mark = if field.optional { "?" } else { "" };
                    (format!("{name}{mark}"), field.of.to_value())
                };
                Value::Object(fields.iter().map(field).collect::<Map<_, _>>())
            }
            Self::Optional(of) => match of.to_value() {
                Value::String(name) if !name.ends_with('?') => Value::String(format!("{name}?")),
                other => serde_json::json!({ "?": other }),
            },
            Self::Any => "any".into(),
            Self::Bool => "bool".into(),
            Self::Integer => "integer".into(),
            Self::Number => "number".into(),
            Self::String => "string".into(),
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "any" => Some(Self::Any),
            "bool" => Some(Self::Bool),
            "integer" => Some(Self::Integer),
            "number" => Some(Self::Number),
            "string" => Some(Self::String),
            _ => None,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_value() {
            Value::String(name) => f.write_str(&name),
            other => write!(f, "{other}"),
        }
    }
}

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Form)
    }
}

/// Reads a type from the form that it is written in.
struct Form;

impl<'de> Visitor<'de> for Form {
    type Value = Type;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a type: any, bool, integer, number, string, a list as [type], an object as { field: type }",
        )
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Type, E> {
        let of = name.strip_suffix('?');
        let found = Type::named(of.unwrap_or(name));
        let found = found.ok_or_else(|| E::invalid_value(Unexpected::Str(name), &self))?;
        Ok(if of.is_some() { Type::optional(found) } else { found })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Type, A::Error> {
        let one = "a list type with one item type";
        let of = items.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &one))?;
        match items.next_element::<de::IgnoredAny>()? {
            None => Ok(Type::list(of)),
            Some(_) => Err(de::Error::invalid_length(2, &one)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Type, A::Error> {
        let mut fields = BTreeMap::new();
        let mut whole = None;
        while let Some(key) = map.next_key::<String>()? {
            let (name, optional) = match key.strip_suffix('?') {
                Some(name) => (name.to_owned(), true),
                None => (key, false),
            };
            let of = map.next_value()?;
            if name.is_empty() && optional {
                whole = Some(of);
            } else if fields.insert(name.clone(), Field { of, optional }).is_some() {
                return Err(de::Error::custom(format!("field {name:?} is there twice")));
            }
        }
        match whole {
            None => Ok(Type::Object(fields)),
            Some(of) if fields.is_empty() => Ok(Type::optional(of)),
            Some(_) => Err(de::Error::custom("a type in a question mark has no fields beside it")),
        }
    }
}

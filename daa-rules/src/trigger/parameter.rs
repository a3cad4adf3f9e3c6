//! Parameters: values that rules set and conditions read.

use std::cmp::Ordering;

use daa_core::digest::DigestBuilder;
use serde_json::Value;

use crate::attribute::Type;
use crate::condition::{fits, order};
use crate::limits::Limits;

/// A value that rules set, people set, and conditions read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Parameter {
    /// What it is called.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// What it is until somebody sets it.
    pub value: Value,
    /// The least that it can be.
    pub min: Option<Value>,
    /// The most that it can be.
    pub max: Option<Value>,
}

/// Why a parameter cannot have a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// No ruleset that governs declares it.
    #[error("there is no parameter {name:?}")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// It is not of its type.
    #[error("parameter {name} is declared as {declared}, this is {found}")]
    Type {
        /// Its name.
        name: String,
        /// The declared type.
        declared: String,
        /// What it would be.
        found: &'static str,
    },
    /// It is beyond its bounds.
    #[error("parameter {name} cannot be {value}: it is between {min} and {max}")]
    Bounds {
        /// Its name.
        name: String,
        /// What it would be.
        value: String,
        /// The least that it can be; `-` where it has no bound.
        min: String,
        /// The most that it can be; `-` where it has no bound.
        max: String,
    },
    /// It is too large.
    #[error("parameter {name} takes {actual} bytes, at most {} are allowed", Limits::PARAMETER)]
    TooLarge {
        /// Its name.
        name: String,
        /// Its size in bytes of JSON.
        actual: usize,
    },
}

impl Parameter {
    /// Whether it can be this.
    ///
    /// # Errors
    /// [`ParameterError`], which says why not.
    pub fn check(&self, value: &Value) -> Result<(), ParameterError> {
        let name = || self.name.clone();
        let actual = value.to_string().len();
        if actual > Limits::PARAMETER {
            return Err(ParameterError::TooLarge { name: name(), actual });
        }
        let declared = || self.kind.to_string();
        fits(value, &self.kind).map_err(|found| ParameterError::Type {
            name: name(),
            declared: declared(),
            found,
        })?;
        let within = |bound: &Option<Value>, beyond| {
            bound
                .as_ref()
                .is_none_or(|bound| order(&self.kind, value, bound).is_some_and(|order| order != beyond))
        };
        if within(&self.min, Ordering::Less) && within(&self.max, Ordering::Greater) {
            return Ok(());
        }
        let shown = |bound: &Option<Value>| bound.as_ref().map_or_else(|| "-".to_owned(), Value::to_string);
        let value = value.to_string().chars().take(64).collect();
        Err(ParameterError::Bounds { name: name(), value, min: shown(&self.min), max: shown(&self.max) })
    }

    pub(crate) fn describe(&self, out: &mut DigestBuilder) {
        out.add(self.name.as_bytes());
        out.add(self.kind.to_string().as_bytes());
        out.add(self.value.to_string().as_bytes());
        for bound in [&self.min, &self.max] {
            out.add(bound.as_ref().map(Value::to_string).unwrap_or_default().as_bytes());
        }
    }
}

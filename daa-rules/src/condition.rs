//! Conditions: the only place that knows how expressions are written and evaluated.
//!
//! CEL text is parsed by the `cel` crate. What comes out is checked against the schema and compiled into a tree
//! of our own, which is evaluated in place over the JSON of the request: nothing is converted, every step is
//! counted, and money stays exact.

mod compile;
mod decimal;
mod encode;
mod evaluate;
mod expression;
mod function;
mod operator;
mod shape;
mod value;

pub(crate) use evaluate::{Budget, Indeterminate};

use daa_core::action::Request;
use daa_core::digest::DigestBuilder;

use crate::error::Problem;
use crate::schema::Schema;

/// A compiled condition.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    root: expression::Expression,
}

/// What is wrong with a condition, and at which of its characters.
#[derive(Debug)]
pub(crate) struct ConditionError {
    pub(crate) index: usize,
    pub(crate) problem: Problem,
}

impl Condition {
    pub(crate) fn compile(text: &str, schema: &Schema) -> Result<Self, ConditionError> {
        shape::check(text)?;
        compile::compile(text, schema).map(|root| Self { root })
    }

    /// Whether it holds.
    pub(crate) fn holds(&self, request: &Request<'_>, budget: &mut Budget) -> Result<bool, Indeterminate> {
        evaluate::holds(&self.root, request, budget)
    }

    /// Adds everything that matters to a digest; spaces and comments do not.
    pub(crate) fn digest(&self, builder: &mut DigestBuilder) {
        encode::encode(&self.root, builder);
    }
}

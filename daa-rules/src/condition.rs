//! Conditions: the only place that knows how expressions are written and evaluated.
//!
//! CEL text is parsed by the `cel` crate. What comes out is checked against the schema and compiled into a tree
//! of our own, which is evaluated in place over the JSON of the request: nothing is converted, every step is
//! counted, and money stays exact.

mod about;
mod check;
mod compile;
mod decimal;
mod encode;
mod evaluate;
mod expression;
mod function;
mod guard;
mod json;
mod logic;
mod operator;
mod parse;
mod print;
mod shape;
mod trace;
mod value;

pub(crate) use about::About;
pub(crate) use evaluate::{Budget, Indeterminate};
pub(crate) use guard::{Guard, Literal, Seen, Subject, Wanted};
pub(crate) use logic::{Logic, Never};
pub(crate) use print::CUT;
pub(crate) use trace::Traced;

use daa_core::action::Request;
use daa_core::amount::Money;
use daa_core::digest::DigestBuilder;
use serde_json::Value as Json;

use compile::{Compiled, Wants};
pub(crate) use decimal::Decimal as Amount;
use decimal::Decimal;
use expression::{ActionField, Expression};
pub(crate) use json::{fits, order};
use value::Value;

use crate::attribute::Type;
use crate::memory::Quantity;
use crate::problem::Problem;
use crate::schema::{Params, Schema};

/// A compiled condition.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    root: Expression,
    kind: Type,
    guards: Vec<Guard>,
    /// What has to be gathered before it can be evaluated.
    given: Vec<String>,
}

/// What can be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Number(Quantity),
    /// An amount, and the code of its currency.
    Money(Quantity, String),
}

/// What actions can have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Text(String),
    Int(i128),
    Bool(bool),
}

/// What is wrong with a condition, and at which of its characters.
#[derive(Debug)]
pub(crate) struct ConditionError {
    pub(crate) index: usize,
    pub(crate) problem: Problem,
}

impl ConditionError {
    const fn at(index: usize, problem: Problem) -> Self {
        Self { index, problem }
    }

    /// The same behind so many characters more.
    pub(crate) fn moved(self, characters: usize) -> Self {
        Self { index: self.index + characters, ..self }
    }
}

impl Condition {
    /// Compiles a condition over these parameters, or says everything that is wrong with it.
    pub(crate) fn compile(
        text: &str,
        schema: &Schema,
        params: &Params<'_>,
    ) -> Result<Self, Vec<ConditionError>> {
        Self::compile_about(text, schema, &About::Action(params.clone()))
    }

    /// Compiles a condition about what may be no action, or says everything that is wrong with it.
    pub(crate) fn compile_about(
        text: &str,
        schema: &Schema,
        about: &About<'_>,
    ) -> Result<Self, Vec<ConditionError>> {
        shape::check(text).map_err(|error| vec![error])?;
        let Compiled { root, kind, given } = compile::compile(text, schema, about, Wants::Condition)?;
        Ok(Self { guards: guard::guards(&root), root, kind, given })
    }

    /// Compiles an expression of any type.
    pub(crate) fn compile_value(
        text: &str,
        schema: &Schema,
        params: &Params<'_>,
    ) -> Result<Self, Vec<ConditionError>> {
        Self::compile_value_about(text, schema, &About::Action(params.clone()))
    }

    /// Compiles an expression of any type about what may be no action.
    pub(crate) fn compile_value_about(
        text: &str,
        schema: &Schema,
        about: &About<'_>,
    ) -> Result<Self, Vec<ConditionError>> {
        shape::check(text).map_err(|error| vec![error])?;
        let Compiled { root, kind, given } = compile::compile(text, schema, about, Wants::Anything)?;
        Ok(Self { guards: Vec::new(), root, kind, given })
    }

    /// What has to be gathered before it can be evaluated, such as `window.daily`.
    pub(crate) fn given(&self) -> impl Iterator<Item = &str> {
        self.given.iter().map(String::as_str)
    }

    /// Whether it is what an action may cost, and nothing else.
    pub(crate) const fn is_cost(&self) -> bool {
        matches!(self.root, Expression::Action(ActionField::Cost))
    }

    /// The type of what it yields.
    pub(crate) const fn kind(&self) -> &Type {
        &self.kind
    }

    /// What it yields, to be counted.
    pub(crate) fn amount(
        &self,
        request: &Request<'_>,
        budget: &mut Budget,
    ) -> Result<Counted, Indeterminate> {
        let value = evaluate::value(&self.root, request, budget)?;
        if let Some(money) = value.money() {
            let amount = money.quantity().ok_or(Indeterminate::NotAnAmount("money"))?;
            return Ok(Counted::Money(amount, money.code().to_owned()));
        }
        let number = match value {
            Value::Int(int) => u128::try_from(int).ok(),
            Value::UInt(uint) => Some(uint.into()),
            _ => None,
        };
        let number = number.and_then(|number| Quantity::new(number, 0));
        number.map(Counted::Number).ok_or_else(|| Indeterminate::NotAnAmount(value.type_name()))
    }

    /// What it yields, to be compared with what it yields for other actions.
    pub(crate) fn key(&self, request: &Request<'_>, budget: &mut Budget) -> Result<Key, Indeterminate> {
        match evaluate::value(&self.root, request, budget)? {
            Value::Text(text) => Ok(Key::Text(text.into_owned())),
            Value::Int(int) => Ok(Key::Int(int.into())),
            Value::UInt(uint) => Ok(Key::Int(uint.into())),
            Value::Bool(bool) => Ok(Key::Bool(bool)),
            other => Err(Indeterminate::NotAKey(other.type_name())),
        }
    }

    /// What it yields, as JSON.
    pub(crate) fn json(&self, request: &Request<'_>, budget: &mut Budget) -> Result<Json, Indeterminate> {
        json::json(&evaluate::value(&self.root, request, budget)?)
    }

    /// Whether it holds.
    pub(crate) fn holds(&self, request: &Request<'_>, budget: &mut Budget) -> Result<bool, Indeterminate> {
        evaluate::holds(&self.root, request, budget)
    }

    /// What must be so for it to be true, as far as that can be seen without evaluating it.
    pub(crate) fn guards(&self) -> &[Guard] {
        &self.guards
    }

    /// What can be said of it without a request; where `kind` is told, one about an action of this kind. No condition
    /// is always true.
    pub(crate) fn logic<'c>(condition: Option<&'c Self>, kind: Option<&str>) -> Result<Logic<'c>, Never> {
        Logic::of(condition.map(|condition| &condition.root), kind)
    }

    /// What each of its parts comes to.
    pub(crate) fn trace(&self, request: &Request<'_>) -> Traced {
        trace::trace(&self.root, request)
    }

    /// Adds everything that matters to a digest; spaces and comments do not.
    pub(crate) fn digest(&self, builder: &mut DigestBuilder) {
        encode::encode(&self.root, builder);
    }
}

/// How much money is, without its currency.
pub(crate) fn quantity(money: Money) -> Option<Quantity> {
    Decimal::of(money)?.quantity()
}

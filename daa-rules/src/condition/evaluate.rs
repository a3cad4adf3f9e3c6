//! Evaluation: a walk over the compiled condition, every step of which is counted.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use daa_core::action::{Context, Request};
use daa_core::id::SourceId;

use super::decimal::Decimal;
use super::expression::{ActionField, Declared, Expression, Fold, PlanField};
use super::function;
use super::operator;
use super::print::shown;
use super::value::{List, Value};
use crate::attribute::Type;
use crate::limits::Limits;

/// Why a condition has no value. It is written down and shown, so it tells no values: what is to be hidden may be among them.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Indeterminate {
    #[error("{0} is missing")]
    Missing(Arc<str>),
    #[error("member {0} is missing")]
    Member(Arc<str>),
    #[error("the member that is asked for is missing")]
    NoMember,
    #[error("{name} is declared as {declared}, but is {found}")]
    Declared { name: Arc<str>, declared: Type, found: &'static str },
    #[error("{left} {operator} {right} is not defined")]
    Operands { operator: &'static str, left: &'static str, right: &'static str },
    #[error("{operator} of {operand} is not defined")]
    Operand { operator: &'static str, operand: &'static str },
    #[error("money of different currencies cannot be compared")]
    Currencies,
    #[error("{0} overflows")]
    Overflow(&'static str),
    #[error("division by zero")]
    DivisionByZero,
    #[error("{0} of this text is not defined")]
    Conversion(&'static str),
    #[error("the list has no element at this index")]
    Index,
    #[error("the condition is {0}, neither true nor false")]
    NotBool(&'static str),
    #[error("it takes more than {} steps", Limits::STEPS)]
    Steps,
    #[error("the rules before it took all {} steps of the decision", Limits::DECISION_STEPS)]
    DecisionSteps,
    #[error("{path} is not known: {why}")]
    Unknown { path: Arc<str>, why: String },
    #[error("{0} is neither a number nor money that can be counted")]
    NotAnAmount(&'static str),
    #[error("{0} is no key; a key is a string, an integer or a boolean")]
    NotAKey(&'static str),
    #[error("it builds more than {} bytes or elements", Limits::BUILT)]
    Built,
}

/// How many steps are left.
#[derive(Debug)]
pub(crate) struct Budget {
    decision: u32,
    condition: u32,
}

impl Budget {
    pub(crate) const fn new() -> Self {
        Self { decision: Limits::DECISION_STEPS, condition: 0 }
    }

    fn begin(&mut self) -> Result<(), Indeterminate> {
        if self.decision == 0 {
            return Err(Indeterminate::DecisionSteps);
        }
        self.condition = Limits::STEPS.min(self.decision);
        Ok(())
    }

    /// Takes one step.
    pub(crate) fn step(&mut self) -> Result<(), Indeterminate> {
        self.steps(1)
    }

    /// Takes the steps for looking at so many bytes.
    pub(crate) fn text(&mut self, bytes: usize) -> Result<(), Indeterminate> {
        self.steps(u32::try_from(bytes / 256).unwrap_or(u32::MAX))
    }

    /// Takes several steps. Once they do not suffice, none ever do again, so that no operator can absorb it.
    pub(crate) fn steps(&mut self, steps: u32) -> Result<(), Indeterminate> {
        let left = self.condition.checked_sub(steps);
        self.decision = self.decision.saturating_sub(steps.min(self.condition));
        self.condition = left.unwrap_or(0);
        if left.is_some() { Ok(()) } else { Err(Indeterminate::Steps) }
    }

    const fn is_spent(&self) -> bool {
        self.condition == 0
    }
}

type Evaluated<'a> = Result<Value<'a>, Indeterminate>;

/// Whether a condition holds.
pub(crate) fn holds(
    root: &Expression,
    request: &Request<'_>,
    budget: &mut Budget,
) -> Result<bool, Indeterminate> {
    budget.begin()?;
    let mut walk = Walk { request, budget, locals: Vec::new() };
    let value = walk.value(root);
    if walk.budget.is_spent() {
        return Err(Indeterminate::Steps);
    }
    match value? {
        Value::Bool(bool) => Ok(bool),
        other => Err(Indeterminate::NotBool(other.type_name())),
    }
}

/// The value of an expression by itself.
pub(super) fn value<'a>(
    root: &'a Expression,
    request: &'a Request<'a>,
    budget: &mut Budget,
) -> Evaluated<'a> {
    budget.begin()?;
    let mut walk = Walk { request, budget, locals: Vec::new() };
    let value = walk.value(root)?;
    if walk.budget.is_spent() { Err(Indeterminate::Steps) } else { Ok(value) }
}

struct Walk<'a, 'b> {
    request: &'a Request<'a>,
    budget: &'b mut Budget,
    /// The variables of the macros around the current expression, the innermost last. An accumulator may be
    /// indeterminate.
    locals: Vec<Evaluated<'a>>,
}

impl<'a> Walk<'a, '_> {
    fn value(&mut self, expression: &'a Expression) -> Evaluated<'a> {
        self.budget.step()?;
        Ok(match expression {
            Expression::Null => Value::Null,
            Expression::Bool(bool) => Value::Bool(*bool),
            Expression::Int(int) => Value::Int(*int),
            Expression::UInt(uint) => Value::UInt(*uint),
            Expression::Double(double) => Value::Double(*double),
            Expression::Text(text) => Value::Text(Cow::Borrowed(text)),
            Expression::Money(money) => Value::Money(*money),
            Expression::Action(field) => return self.action(*field),
            Expression::Fact(fact) => return self.fact(fact),
            Expression::Param(param) => return self.param(param),
            Expression::Given(attribute) => return declared(self.gathered(&attribute.path)?, attribute),
            Expression::Owner(owners) => {
                let owner = owners.of(self.request.action.actor());
                Value::Text(Cow::Borrowed(
                    owner.ok_or_else(|| Indeterminate::Missing("action.owner".into()))?,
                ))
            }
            Expression::Plan(PlanField::Tainted) => Value::Bool(self.sources().next().is_some()),
            Expression::Plan(PlanField::Sources) => {
                let names: BTreeSet<&str> = self.sources().map(SourceId::as_str).collect();
                let names = names.into_iter().map(|name| Value::Text(Cow::Borrowed(name)));
                Value::List(List::Built(names.collect()))
            }
            Expression::Local(place) => {
                let missing = || Err(Indeterminate::Missing("a variable".into()));
                return self.locals.get(*place).cloned().unwrap_or_else(missing);
            }
            Expression::Field(of, name) => return field(&self.value(of)?, name),
            Expression::Typed(of, kind) => {
                let value = self.value(of)?;
                return conform(value, kind).map_err(|found| declared_otherwise(of, kind, found));
            }
            Expression::Has(what) => return self.has(what).map(Value::Bool),
            Expression::Index(of, index) => {
                let of = self.value(of)?;
                let index = self.value(index)?;
                return operator::index(&of, &index);
            }
            Expression::List(items) => {
                let items: Result<Rc<[_]>, _> = items.iter().map(|item| self.value(item)).collect();
                Value::List(List::Built(items?))
            }
            Expression::Not(of) => Value::Bool(!self.bool("!", of)?),
            Expression::Negate(of) => return operator::negate(&self.value(of)?),
            Expression::And(left, right) => return self.connect("&&", left, right, false),
            Expression::Or(left, right) => return self.connect("||", left, right, true),
            Expression::If(parts) => {
                let [condition, yes, no] = &**parts;
                return if self.bool("?:", condition)? { self.value(yes) } else { self.value(no) };
            }
            Expression::Binary(operator, left, right) => {
                let left = self.value(left)?;
                let right = self.value(right)?;
                return operator::binary(*operator, left, right, self.budget);
            }
            Expression::Call(function, arguments) => {
                let mut values = arguments.iter().map(|argument| self.value(argument));
                let (first, second) = (values.next().transpose()?, values.next().transpose()?);
                drop(values);
                return function::call(*function, first, second, self.budget);
            }
            Expression::Fold(fold) => return self.fold(fold),
            Expression::NotFalse(of) => Value::Bool(!matches!(self.value(of), Ok(Value::Bool(false)))),
        })
    }

    /// The untrusted sources of what led to the action, and of the parameters that were given.
    fn sources(&self) -> impl Iterator<Item = &'a SourceId> {
        let given = self.request.given.into_iter().flat_map(Context::sources);
        self.request.context.sources().chain(given)
    }

    fn bool(&mut self, operator: &'static str, of: &'a Expression) -> Result<bool, Indeterminate> {
        match self.value(of)? {
            Value::Bool(bool) => Ok(bool),
            other => Err(Indeterminate::Operand { operator, operand: other.type_name() }),
        }
    }

    /// `&&` and `||`: either operand alone decides when it has the deciding value, even where the other one is
    /// indeterminate.
    fn connect(
        &mut self,
        operator: &'static str,
        left: &'a Expression,
        right: &'a Expression,
        deciding: bool,
    ) -> Evaluated<'a> {
        let left = self.bool(operator, left);
        if left == Ok(deciding) {
            return Ok(Value::Bool(deciding));
        }
        let right = self.bool(operator, right)?;
        if right == deciding {
            return Ok(Value::Bool(deciding));
        }
        left.map(Value::Bool)
    }

    fn action(&self, field: ActionField) -> Evaluated<'a> {
        let action = self.request.action;
        Ok(match field {
            ActionField::Id => Value::Text(Cow::Borrowed(action.id().as_str())),
            ActionField::Kind => Value::Text(Cow::Borrowed(action.kind().as_str())),
            ActionField::Actor => Value::Text(Cow::Borrowed(action.actor().as_str())),
            ActionField::Params => Value::of(action.params()),
            ActionField::Cost => {
                let missing = || Indeterminate::Missing("action.cost".into());
                Value::Cost(action.max_cost().ok_or_else(missing)?)
            }
        })
    }

    fn fact(&self, fact: &Declared) -> Evaluated<'a> {
        declared(self.request.context.fact(fact.name()), fact)
    }

    fn param(&self, param: &Declared) -> Evaluated<'a> {
        declared(self.request.action.params().get(param.name()), param)
    }

    /// What was gathered under a name, if anything; where it could not be, why.
    fn gathered(&self, path: &Arc<str>) -> Result<Option<&'a serde_json::Value>, Indeterminate> {
        let unknown = |why: &str| Indeterminate::Unknown { path: Arc::clone(path), why: why.to_owned() };
        let facts = self.request.given.ok_or_else(|| unknown("nobody gathered it"))?;
        if let Some(value) = facts.fact(path) {
            return Ok(Some(value));
        }
        match facts.fact(&format!("{path}.problem")) {
            Some(why) => Err(unknown(why.as_str().unwrap_or_default())),
            None => Ok(None),
        }
    }

    fn has(&mut self, what: &'a Expression) -> Result<bool, Indeterminate> {
        match what {
            Expression::Given(attribute) => self.gathered(&attribute.path).map(|value| value.is_some()),
            Expression::Action(ActionField::Cost) => Ok(self.request.action.max_cost().is_some()),
            Expression::Owner(owners) => Ok(owners.of(self.request.action.actor()).is_some()),
            Expression::Fact(fact) => Ok(self.request.context.fact(fact.name()).is_some()),
            Expression::Param(param) => Ok(self.request.action.params().get(param.name()).is_some()),
            Expression::Field(of, name) => match self.value(of)? {
                Value::Map(map) => Ok(map.contains_key(&**name)),
                of => field(&of, name).map(|_| true),
            },
            other => self.value(other).map(|_| true),
        }
    }

    fn fold(&mut self, fold: &'a Fold) -> Evaluated<'a> {
        let range = self.value(&fold.range)?;
        let mut accumulator = self.value(&fold.initial);
        let floor = self.locals.len();
        let items = operator::items(&range)?;
        for item in items {
            self.locals.push(Ok(item));
            self.locals.push(accumulator);
            let more = self.bool("loop", &fold.condition);
            let next = if more == Ok(true) { Some(self.value(&fold.step)) } else { None };
            accumulator = self.locals.pop().unwrap_or(Ok(Value::Null));
            self.locals.truncate(floor);
            more?;
            // Without this a spent budget would still walk to the end of a long list.
            self.budget.step()?;
            match next {
                Some(value) => accumulator = value,
                None => break,
            }
        }
        self.locals.push(Ok(Value::Null));
        self.locals.push(accumulator);
        let result = self.value(&fold.result);
        self.locals.truncate(floor);
        result
    }
}

fn declared<'a>(value: Option<&'a serde_json::Value>, attribute: &Declared) -> Evaluated<'a> {
    let json = value.ok_or_else(|| Indeterminate::Missing(Arc::clone(&attribute.path)))?;
    conform(Value::of(json), &attribute.kind).map_err(|found| Indeterminate::Declared {
        name: Arc::clone(&attribute.path),
        declared: attribute.kind.clone(),
        found,
    })
}

/// The value as one of a declared type; on failure what it is instead.
///
/// A whole number that is declared as a double is one, so that arithmetic does not depend on its notation; text that
/// is declared as money is an amount.
pub(super) fn conform<'a>(value: Value<'a>, kind: &Type) -> Result<Value<'a>, &'static str> {
    let fits = match (kind, &value) {
        (Type::Any, _) => true,
        (Type::Double, Value::Int(int)) => return Ok(Value::Double(*int as f64)),
        (Type::Double, Value::UInt(uint)) => return Ok(Value::Double(*uint as f64)),
        (Type::UInt, Value::Int(int)) => return u64::try_from(*int).map(Value::UInt).map_err(|_| "negative"),
        (Type::Money, Value::Text(text)) => {
            return Decimal::parse(text).map(Value::Money).ok_or("a string that is no amount");
        }
        (Type::Enum(all), Value::Text(text)) => {
            return if all.iter().any(|one| **one == **text) { Ok(value) } else { Err("another string") };
        }
        (Type::Null, Value::Null)
        | (Type::Bool, Value::Bool(_))
        | (Type::Int, Value::Int(_) | Value::UInt(_))
        | (Type::UInt, Value::UInt(_))
        | (Type::Double, Value::Double(_))
        | (Type::String, Value::Text(_))
        | (Type::Money, Value::Money(_) | Value::Cost(_))
        | (Type::List(_), Value::List(_))
        | (Type::Map(_) | Type::Record(_), Value::Map(_)) => true,
        _ => false,
    };
    if fits { Ok(value) } else { Err(value.type_name()) }
}

fn declared_otherwise(of: &Expression, declared: &Type, found: &'static str) -> Indeterminate {
    Indeterminate::Declared { name: shown(of, &[]).into(), declared: declared.clone(), found }
}

/// A member of a map, or a property of money.
fn field<'a>(of: &Value<'a>, name: &Arc<str>) -> Evaluated<'a> {
    match of {
        Value::Map(map) => {
            map.get(&**name).map(Value::of).ok_or_else(|| Indeterminate::Member(Arc::clone(name)))
        }
        Value::Cost(money) => match &**name {
            "units" => {
                let units = money.amount().units();
                let int = i64::try_from(units).map(Value::Int);
                int.or_else(|_| u64::try_from(units).map(Value::UInt))
                    .map_err(|_| Indeterminate::Overflow("action.cost.units"))
            }
            "currency" => Ok(Value::Text(Cow::Owned(money.currency().code().to_owned()))),
            "decimals" => Ok(Value::Int(money.currency().decimals().into())),
            _ => Err(Indeterminate::Missing(format!("action.cost.{name}").into())),
        },
        other => Err(Indeterminate::Operand { operator: "member access", operand: other.type_name() }),
    }
}

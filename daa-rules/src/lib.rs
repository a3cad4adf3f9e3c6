//! Rules that govern what an agent may do: CEL conditions, default deny, hashed versions.
//!
//! A [`Ruleset`] is a short TOML or YAML file; a [`RulesEngine`] decides by it, and is the
//! [`Policy`](daa_core::action::Policy) of a [`Gate`](daa_core::action::Gate).
//!
//! ```
//! use std::sync::Arc;
//! use daa_core::action::{Action, Context, Decision, Gate, Policy, Request};
//! use daa_core::clock::Timestamp;
//! use daa_rules::{RulesEngine, Ruleset};
//!
//! let rules = Ruleset::from_toml(r#"
//!     [context]
//!     trusted = "bool"
//!
//!     [[rule]]
//!     id = "small-payments"
//!     on = "payment.*"
//!     when = 'context.trusted && action.cost <= money("12.50 USDC")'
//!     effect = "permit"
//!
//!     [[rule]]
//!     id = "large-payments"
//!     on = "payment.*"
//!     when = 'action.cost > money("12.50 USDC")'
//!     effect = "escalate"
//!     reason = "a person approves payments above 12.50 USDC"
//! "#)?;
//! let engine = RulesEngine::new(rules);
//!
//! let usdc = daa_core::amount::Currency::new("USDC", 6)?;
//! let action = Action::new("pay-1".try_into()?, "payment.send".try_into()?, "alice".try_into()?)?
//!     .with_max_cost(usdc.parse("12.50")?);
//! let context = Context::new().with("trusted", true);
//! let verdict = engine.decide(&Request::new(&action, &context, Timestamp::EPOCH));
//! assert_eq!(verdict.decision, Decision::Permit);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The file
//!
//! The shortest useful one permits one kind of action, and nothing else:
//!
//! ```toml
//! [[rule]]
//! on = "greet"
//! effect = "permit"
//! ```
//!
//! | key | meaning |
//! |---|---|
//! | `name` | what the ruleset is called; `rules` by default |
//! | `version` | a number of the author's choice, 0 by default |
//! | `[context]` | the facts that conditions may use, each with its type: `bool`, `int`, `double`, `string`, `list`, `map` or `any` |
//! | `[params]` | the same for the parameters of actions; without this table conditions may use any parameter |
//! | `[[rule]]` | the rules, at most [`Limits::RULES`] |
//! | `rule.id` | its name, unique; by default `rule-N`, where N is its place in the file, from 1 |
//! | `rule.on` | the kind of action, or a prefix and `*`, such as `payment.*`, or `*` |
//! | `rule.when` | a condition; without one the rule always matches |
//! | `rule.effect` | `permit`, `deny` or `escalate` |
//! | `rule.reason` | what a person is told when the rule denies or escalates |
//! | `rule.priority` | a whole number, 0 by default; the highest is reported first. It never changes the decision |
//!
//! In YAML the rules are the list `rule`. JSON is YAML too.
//!
//! # How it decides
//!
//! Nothing is permitted unless a rule permits it. Among the rules that match, *deny* overrides *escalate*, and
//! *escalate* overrides *permit*, whatever their order and priority.
//!
//! A condition that cannot be decided is **indeterminate**: an attribute is missing or of another type than
//! declared, operands do not fit each other, a number overflows, a limit is reached. A permit that is
//! indeterminate does not permit; a deny or an escalation that is indeterminate denies. The reason of the
//! decision names the rule, and says what was wrong. As in CEL, `false && x` is false and `true || x` is true
//! even where `x` is indeterminate.
//!
//! # Conditions
//!
//! A condition is an expression of the [Common Expression Language](https://cel.dev) that yields true or false
//! over
//!
//! - `action.id`, `action.kind`, `action.actor`: strings;
//! - `action.params`, the parameters, such as `action.params.to`;
//! - `action.cost`, the most the action may cost; missing where it costs nothing, so test `has(action.cost)`
//!   first where that is possible;
//! - `context.NAME`: only what `[context]` declares.
//!
//! Operators, literals, lists, `has`, `all`, `exists`, `exists_one`, `map`, `filter`, and the functions `size`,
//! `startsWith`, `endsWith`, `contains`, `int`, `uint`, `double`, `string` and `money` are supported. Regular
//! expressions, map and message literals, bytes, dates and durations are not: such a rule is refused when it is
//! loaded.
//!
//! **Money is exact.** `action.cost` is money, and compares with `money("12.50 USDC")` without any rounding;
//! money of another currency is not comparable, so the condition is indeterminate. `action.cost.units` is the
//! number of smallest units as an integer (indeterminate beyond 64 bits), `action.cost.currency` and
//! `action.cost.decimals` say of what. Floating-point numbers never enter.
//!
//! # Bounds
//!
//! [`Limits`] bounds the size of the source, the number of rules, the length, size and depth of a condition, and
//! the steps that one condition and one decision may take, so that a hostile ruleset can at worst deny.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::dbg_macro,
        clippy::print_stdout
    )
)]

mod condition;
mod document;
mod engine;
mod error;
mod event;
mod limits;
mod pattern;
mod ruleset;
mod schema;

pub use engine::RulesEngine;
pub use error::{Location, Problem, RulesetError};
pub use event::{InstallError, RULES_STREAM, RulesetEvent};
pub use limits::Limits;
pub use pattern::KindPattern;
pub use ruleset::{Effect, Rule, Ruleset};
pub use schema::{Attribute, AttributeType};

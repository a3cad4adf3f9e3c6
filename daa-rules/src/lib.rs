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
//! | `[context]` | the facts that conditions may use, each with its type, see below |
//! | `[params]` | the same for the parameters of actions; without this table conditions may use any parameter |
//! | `[provided]` | the facts that a [`ContextProvider`] tells: `provider`, its name, and `max_age`, how old they may be |
//! | `[seen.NAME]` | remembers when actions were first permitted: `on`, `when`, `per` |
//! | `[window.NAME]` | counts what is permitted over time: `on`, `when`, `sum`, `per`, `span`, or `calendar` and `zone` |
//! | `[sequence.NAME]` | what was done lately, in an order: `per`, `within`, `in_a_row`, `[[sequence.NAME.step]]` |
//! | `[owner]` | whom agents belong to, such as `acme = ["alice", "bob"]` |
//! | `[parameter.NAME]` | a value that rules and people set: `type`, `value` (until somebody sets it), `min`, `max` |
//! | `[event."KIND"]` | what events of a kind hold, or of the kinds of a prefix: `data`, `untrusted` |
//! | `[notification.NAME]` | the fields of a notification, each with its type |
//! | `[action."KIND".params]` | the same for actions of one kind, or of the kinds of a prefix such as `payment.*` |
//! | `[[rule]]` | the rules, at most [`Limits::RULES`] |
//! | `rule.id` | its name, unique; by default `rule-N`, where N is its place in the file, from 1 |
//! | `rule.on` | the kind of action, or a prefix and `*`, such as `payment.*`, or `*` |
//! | `rule.when` | a condition; without one the rule always matches |
//! | `rule.effect` | `permit`, `deny` or `escalate` |
//! | `rule.reason` | what a person is told when the rule denies or escalates |
//! | `rule.on_indeterminate` | what it does when its condition cannot be decided: `deny`, `escalate`, `permit`, `skip` |
//! | `rule.limit` | where it permits or escalates: the action costs no more than this, such as `"100 USDC"` |
//! | `rule.log` | where it permits or escalates: each attempt is logged, with this remark |
//! | `rule.redact` | parameters that are not shown to anybody but the executor, such as `["action.params.iban"]`; where the action is not permitted, by whatever rule about its kind |
//! | `rule.emit`, `rule.notify`, `rule.set`, `rule.rate` | what it does once a decision is on record, see below |
//! | `rule.priority` | a whole number, 0 by default; the highest is reported first. It never changes the decision |
//!
//! | `[[table]]` | decision tables: rows that are rules, see below |
//! | `[[test]]` | a request, and what must be decided: `name`, `action` (see [`Case`]), `context`, `given`, `now`, `expect`, `rules`; or `event`, `schedule`, `threshold` (see [`TriggerCase`]); and `fires`, `emits`, `notifies`, `sets`; see [`Ruleset::test`] |
//!
//! In YAML the rules are the list `rule`. JSON is YAML too.
//!
//! # Types
//!
//! `bool`, `int`, `uint`, `double`, `string`, `money`, `list`, `map`, `any`, `list(TYPE)` and `map(TYPE)` are written as
//! text; a list of texts such as `["eu", "us"]` is a string that is one of these; a table such as
//! `{ name = "string" }` is a record; a list of one table is a list of such records. What may be missing has a `?`
//! behind its type or its name.
//!
//! Every condition is checked when the ruleset is read: unknown attributes, operands and arguments of the wrong type,
//! and what is not true or false are refused, all of them at once, each with its place and a suggestion.
//! [`Ruleset::check`] tells of rules that never match or never count. `any` is looked at when a rule is used; so is
//! everything that a request brings.
//!
//! # Tables
//!
//! A `[[table]]` has an `id` (by default `table-N`), `on`, a list of expressions as `inputs`, and `[[table.row]]`s. A row
//! is a rule named `TABLE/ROW`, whose `when` is a list with one test for each input: an operator and a value, such as
//! `>= 10` or `in ["eu", "us"]`, a value alone, which the input must equal, or `-` where it does not matter. It has
//! an `effect`, or else the table's, and may have `id`, `reason` and `priority`. Which row wins is decided as among all
//! rules.
//!
//! ```toml
//! [[table]]
//! id = "fees"
//! on = "payment.*"
//! inputs = ["action.params.region", "action.cost"]
//! [[table.row]]
//! when = ['"eu"', '<= money("10 USDC")']
//! effect = "permit"
//! [[table.row]]
//! when = ['-', '> money("10 USDC")']
//! effect = "escalate"
//! ```
//!
//! # Rules that do something
//!
//! A rule without `effect`, and with `emit`, `notify` or `set`, does something when it is triggered: `on` is a kind of action
//! (once a decision on it is on record), `{ event = "KIND" }`, `{ cron = "0 2 * * *", zone = "Europe/Berlin" }`, or
//! `{ value = "window.daily", above = "400 USDC", clear = "300 USDC" }`.
//!
//! ```toml
//! [event."balance.changed"]
//! data = { account = "string", units = "int" }
//! [parameter.floor]
//! type = "int"
//! value = 10
//! [notification.low]
//! account = "string"
//!
//! [[rule]]
//! id = "top-up"
//! on = { event = "balance.changed" }
//! when = "event.data.units < parameter.floor"
//! emit = { kind = "top_up", params = { account = "event.data.account", units = "parameter.floor" } }
//! notify = { name = "low", text = "${event.data.account} is low", data = { account = "event.data.account" } }
//!
//! [[test]]
//! event = { kind = "balance.changed", data = { account = "a", units = 3 } }
//! fires = ["top-up"]
//! emits = [{ kind = "top_up", params = { account = "a", units = 10 } }]
//! ```
//!
//! In `params`, `data` and `set` a text is an expression, and anything else stands for itself; `cost` is an expression too,
//! beside `decimals`, those of its currency. All have types, and must fit what is declared. What is emitted is submitted to the
//! gate like any other action.
//!
//! A [`TriggerRunner`] does it: it follows the event store, keeps its place, and does what a rule does about one cause
//! once, whatever crashes. [`RulesEngine::set_parameters`] sets parameters by hand; a decision uses one version of them.
//!
//! # How it decides
//!
//! Nothing is permitted unless a rule permits it. Among the rules that match, *deny* overrides *escalate*, and
//! *escalate* overrides *permit*, whatever their order and priority.
//!
//! A condition that cannot be decided is **indeterminate**: an attribute is missing or of another type than
//! declared, operands do not fit each other, a number overflows, a limit is reached. A permit that is
//! indeterminate does not permit; a deny or an escalation that is indeterminate denies, unless the rule says
//! otherwise. The reason of the
//! decision names the rule, and says what was wrong. As in CEL, `false && x` is false and `true || x` is true
//! even where `x` is indeterminate.
//!
//! # Conditions
//!
//! A condition is an expression of the [Common Expression Language](https://cel.dev) that yields true or false
//! over
//!
//! - `action.id`, `action.kind`, `action.actor`: strings;
//! - `action.owner`: whom the actor belongs to, where `[owner]` declares anybody; missing where it is nobody's;
//! - `action.params`, the parameters, such as `action.params.to`;
//! - `action.cost`, the most the action may cost; missing where it costs nothing, so test `has(action.cost)`
//!   first where that is possible;
//! - `context.NAME`: only what `[context]` declares;
//! - `parameter.NAME`: what a parameter is;
//! - `plan.tainted`, whether data of an untrusted source led to the action, or to a parameter that the rules about it use, and
//!   `plan.sources`, their names;
//! - `window.NAME`: what counts in a window, this action excluded;
//! - `seen.NAME`: the seconds since the first action with this key was permitted; missing where there was none;
//! - `sequence.NAME`: whether the action is the last step of a sequence.
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
//! # Limits over time
//!
//! ```toml
//! [window.daily]
//! on = "payment.*"
//! sum = "action.cost"
//! per = ["action.actor"]
//! span = "24h"
//!
//! [[rule]]
//! on = "payment.*"
//! when = 'window.daily + action.cost <= money("500 USDC")'
//! effect = "permit"
//! ```
//!
//! An engine with a [memory](RulesEngine::with_memory) counts what the gate permits, in the same append as the decision. So a
//! limit is exact: after any crash, with any number of processes on one store, and when another ruleset with the same
//! window takes over. An action counts with what it may cost, and once it has ended with what it did cost; one that
//! took no effect does not count. With `calendar = "day"` and `zone = "Europe/Berlin"` instead of the span, it counts until the
//! day ends.
//!
//! # Sequences
//!
//! ```
//! # daa_rules::Ruleset::from_toml(r#"
//! # [[rule]]
//! # on = "price.read"
//! # effect = "permit"
//! [sequence.elsewhere]
//! per = ["action.actor"]
//! within = "5m"
//! [[sequence.elsewhere.step]]
//! on = "price.read"
//! other = ["action.params.venue"]
//! [[sequence.elsewhere.step]]
//! on = "swap"
//!
//! [[rule]]
//! on = "swap"
//! when = "sequence.elsewhere"
//! effect = "escalate"
//! reason = "a swap right after the price at another venue was read"
//! # "#)?;
//! # Ok::<(), daa_rules::RulesetError>(())
//! ```
//!
//! The last step is the action at hand; those before it are what was permitted lately, with `outcome = "failed"` or
//! `"succeeded"` where that matters, `times = 3`, and `same` or `other` for what they have in common with the last step.
//! `in_a_row = true`: nothing that the sequence speaks of lies between. An engine with a memory keeps them like limits.
//!
//! # Speed
//!
//! Rules are found by the kind of action, and by the equality tests in their conditions: rules that ask for another
//! value of an attribute are not looked at. A test such as `context.region == "eu"` beside others (`&&`) is looked at
//! before them, and takes no steps.
//!
//! # Explanations
//!
//! [`Ruleset::explain`] tells which rules matched, and what each part of their conditions saw;
//! [`Ruleset::explain_recorded`] does so for a decision on record, and [`Backtest`] decides a whole [`Journal`] again.
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

mod attribute;
#[cfg(feature = "audit")]
pub mod audit;
#[cfg(feature = "cedar")]
pub mod authorisation;
mod backtest;
mod cache;
mod case;
mod condition;
mod coverage;
mod diagnostic;
mod document;
mod engine;
mod error;
mod event;
mod explain;
mod journal;
mod limits;
mod memory;
mod owners;
mod parameters;
mod pattern;
mod problem;
mod provider;
mod reload;
mod rule_test;
mod ruleset;
mod runner;
mod schema;
mod trigger;

pub use attribute::{Attribute, Members, Type};
pub use backtest::{Backtest, BacktestReport, Change, ChangedDecision, FiringChange, Firings};
pub use cache::RulesetCache;
pub use case::{Case, CaseError};
pub use coverage::{Coverage, RuleCoverage};
pub use diagnostic::{Diagnostic, Location, Severity};
pub use engine::RulesEngine;
pub use error::RulesetError;
pub use event::{InstallError, RULES_STREAM, RulesetEvent, Written};
pub use explain::{Decided, ExplainedRule, Explanation, Part, Recorded, RuleOutcome};
pub use journal::{Journal, JournalError, export, export_for, write_event};
pub use limits::Limits;
pub use memory::MemoryError;
pub use parameters::{PARAMETERS_STREAM, ParametersSet, SetError};
pub use pattern::KindPattern;
pub use problem::Problem;
pub use provider::{ContextProvider, Provided, Providers};
pub use reload::{RefusedRuleset, Reload, RulesFile, RulesFollower};
pub use rule_test::{RuleTest, TestOutcome, TestReport, TriggerOutcome, TriggerTest};
pub use ruleset::{Effect, Language, OnIndeterminate, Rule, Ruleset};
pub use runner::{
    FIRED_STREAMS, Fired, NOTIFICATIONS_STREAM, Notification, Pass, RunnerError, TriggerRunner,
};
pub use trigger::{
    Cause, CronTrigger, Emitted, ExplainedTrigger, LeftOut, Notified, Parameter, ParameterError, Rate,
    Threshold, Trigger, TriggerCase, TriggerExplanation, TriggeredRule,
};

//! Authorisation with [Cedar](https://www.cedarpolicy.com): who may do what to what, by roles and by attributes.
//!
//! [`Policies`] are a file in Cedar, checked against a schema when they are read. [`Entities`] are the people, agents and
//! services that act, the roles and teams that they are in, and what they act on. Both are events in one stream of the
//! store. An [`Authoriser`] decides by them, as the policy of a gate: alone, or together with the [rules](crate::RulesEngine) by
//! [`AllOf`](daa_core::action::AllOf), where each can deny.
//!
//! ```
//! # use std::sync::Arc;
//! use daa_core::action::{Action, Context, Decision, Policy, Request};
//! use daa_core::clock::Timestamp;
//! use daa_core::event::MemoryEventStore;
//! use daa_rules::authorisation::*;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let authoriser = Authoriser::open(Arc::new(MemoryEventStore::new())).await?;
//! let (root, now) = ("root".parse()?, Timestamp::EPOCH);
//! let policies = Policies::read("", r#"
//!     @id("operators-join")
//!     permit (principal in DAA::Role::"operator", action in DAA::Action::"swarm", resource);
//! "#)?;
//! authoriser.install(policies, &root, now).await?;
//!
//! let operator = EntityId::role("operator")?;
//! let node = EntityId::agent(&"node-1".parse()?);
//! let changes = vec![
//!     EntityChange::Put(Entity::new(operator.clone())),
//!     EntityChange::Put(Entity::new(node.clone()).in_group(operator.clone())),
//! ];
//! authoriser.change(changes, &root, now).await?;
//!
//! let join = Action::new("join-1".parse()?, "swarm.join".parse()?, "node-1".parse()?)?;
//! let context = Context::new();
//! let verdict = authoriser.decide(&Request::new(&join, &context, now));
//! assert_eq!(verdict.decision, Decision::Permit);
//! assert_eq!(verdict.rules, ["cedar/operators-join".parse()?]);
//!
//! authoriser.change(vec![EntityChange::Revoke { from: node, group: operator }], &root, now).await?;
//! let verdict = authoriser.decide(&Request::new(&join, &context, now));
//! assert!(matches!(verdict.decision, Decision::Deny { .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a policy sees
//!
//! | in Cedar | is |
//! |---|---|
//! | `principal` | the entity whose id is the action's actor; whoever is no entity is denied |
//! | `action` | the declared action whose name is the kind, such as `DAA::Action::"swarm.join"`; what is not declared is denied |
//! | `resource` | what the parameter names that the schema says (`@resource("to")`), or `DAA::System::"daa"` |
//! | `context.params` | of the action's parameters, those that the schema declares |
//! | `context.cost` | the most the action may cost: `units`, `currency`, `decimals`; missing where it costs nothing |
//! | `context.plan` | `tainted` and `sources`: where the data came from that led to the action |
//! | `context.NAME` | the fact of this name, where the schema declares it |
//!
//! # How it decides
//!
//! As Cedar does: what no policy permits is denied, and one that forbids overrides all that permit. And where any policy
//! cannot be evaluated, because something that it looks at is missing or a number overflows, the action is denied, and the
//! reason says which and why: it might have forbidden.
//!
//! The design, and what is not there: `docs/design/authorisation.md`.

mod authoriser;
mod cache;
mod entities;
mod entity;
mod error;
mod event;
mod explain;
mod file;
mod fold;
mod limits;
mod policies;
mod problem;
mod scan;
mod schema;
mod shape;
mod snapshot;

pub use authoriser::Authoriser;
pub use entities::Entities;
pub use entity::{Entity, EntityChange, EntityId};
pub use error::{AuthorisationError, EntityError, PoliciesError, Text};
pub use event::{AUTHORISATION_STREAM, AuthorisationEvent};
pub use explain::{AuthorisationExplanation, ExplainedPolicy, ExplainedQuestion};
pub use file::{PoliciesFile, PoliciesReload};
pub use fold::RefusedPolicies;
pub use limits::AuthorisationLimits;
pub use policies::{Policies, PolicyInfo};
pub use problem::PolicyProblem;
pub use schema::SHIPPED_SCHEMA;
pub use snapshot::Authorisation;

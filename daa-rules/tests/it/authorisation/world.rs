//! A small bank: its schema, its policies, and those who work there.

use std::sync::Arc;

use daa_core::action::{Action, Context, Decision, Policy, Request, Verdict};
use daa_core::amount::Currency;
use daa_core::clock::Timestamp;
use daa_core::event::{EventStore, MemoryEventStore, Version};
use daa_core::id::AgentId;
use daa_rules::authorisation::{AuthorisationError, Authoriser, Entity, EntityChange, EntityId, Policies};
use serde_json::{Value, json};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

pub(crate) const SCHEMA: &str = r#"
namespace Bank {
    entity Branch;
    entity Account in [Branch] { owner: DAA::Person, frozen: Bool, limit?: Long } tags String;
    type Pay = { to: Account, amount: Long, note?: String };
    action payment;
    @resource("to")
    action "payment.send" in [payment] appliesTo {
        principal: [DAA::Person, DAA::Agent],
        resource: [Account],
        context: { params: Pay, cost?: DAA::Cost, plan: DAA::Plan, hour?: Long },
    };
    @resource("account")
    action "account.close" appliesTo {
        principal: [DAA::Person],
        resource: [Account],
        context: { params: { account: Account } },
    };
    action "report.write" appliesTo {
        principal: [DAA::Person, DAA::Agent, DAA::Service],
        resource: [DAA::System],
    };
}
"#;

pub(crate) const POLICIES: &str = r#"
@id("treasurers-pay")
permit (principal in DAA::Role::"treasurer", action in Bank::Action::"payment", resource in Bank::Branch::"north")
when { context.params.amount <= 1000 };

@id("owners")
permit (principal is DAA::Person, action, resource is Bank::Account)
when { resource.owner == principal };

@id("agents-of-owners")
permit (principal is DAA::Agent, action == Bank::Action::"payment.send", resource)
when { principal has owner && resource.owner == principal.owner && context has cost && context.cost.units < 100 };

@id("frozen")
@reason("the account is frozen")
forbid (principal, action, resource is Bank::Account)
when { resource.frozen };

@id("tainted")
forbid (principal is DAA::Agent, action == Bank::Action::"payment.send", resource)
when { context.plan.tainted };

@id("over-the-limit")
forbid (principal, action == Bank::Action::"payment.send", resource)
when { resource has limit && context.params.amount * 2 > resource.limit };

@id("reports")
permit (principal, action == Bank::Action::"report.write", resource)
when { principal in DAA::Team::"staff" };
"#;

pub(crate) fn name(text: &str) -> AgentId {
    text.parse().unwrap()
}

pub(crate) fn person(id: &str) -> EntityId {
    EntityId::person(&name(id))
}

pub(crate) fn agent(id: &str) -> EntityId {
    EntityId::agent(&name(id))
}

pub(crate) fn role(id: &str) -> EntityId {
    EntityId::role(id).unwrap()
}

pub(crate) fn team(id: &str) -> EntityId {
    EntityId::team(id).unwrap()
}

pub(crate) fn account(id: &str) -> EntityId {
    EntityId::new("Bank::Account", id).unwrap()
}

pub(crate) fn branch(id: &str) -> EntityId {
    EntityId::new("Bank::Branch", id).unwrap()
}

pub(crate) fn account_of(id: &str, owner: &str) -> Entity {
    let owner = json!({ "type": "DAA::Person", "id": owner });
    Entity::new(account(id)).with_attribute("owner", owner).with_attribute("frozen", false)
}

/// Those who are there at first.
pub(crate) fn staff() -> Vec<Entity> {
    vec![
        Entity::new(role("treasurer")),
        Entity::new(role("chief")).in_group(role("treasurer")),
        Entity::new(team("staff")),
        Entity::new(branch("north")),
        Entity::new(branch("south")),
        Entity::new(person("alice")).in_group(role("treasurer")).in_group(team("staff")),
        Entity::new(person("carol")).in_group(role("chief")),
        Entity::new(person("bob")).in_group(team("staff")),
        Entity::new(agent("bot")).with_attribute("owner", json!({ "type": "DAA::Person", "id": "bob" })),
        account_of("n1", "bob").in_group(branch("north")),
        account_of("s1", "bob").in_group(branch("south")),
        account_of("ice", "bob").in_group(branch("north")).with_attribute("frozen", true),
        account_of("small", "carol").in_group(branch("north")).with_attribute("limit", 100),
    ]
}

pub(crate) struct World {
    pub(crate) store: Arc<MemoryEventStore>,
    pub(crate) authoriser: Authoriser,
}

impl World {
    /// The bank, with its policies and its staff.
    pub(crate) async fn open() -> Self {
        Self::with(SCHEMA, POLICIES, staff()).await
    }

    pub(crate) async fn with(schema: &str, policies: &str, entities: Vec<Entity>) -> Self {
        let store = Arc::new(MemoryEventStore::new());
        let authoriser = Authoriser::open(store.clone()).await.unwrap();
        let world = Self { store, authoriser };
        world.install(schema, policies).await.unwrap();
        world.change(entities.into_iter().map(EntityChange::Put).collect()).await.unwrap();
        world
    }

    /// Another process on the same store.
    pub(crate) async fn other(&self) -> Authoriser {
        let store: Arc<dyn EventStore> = self.store.clone();
        Authoriser::open(store).await.unwrap()
    }

    pub(crate) async fn install(&self, schema: &str, policies: &str) -> Result<Version, AuthorisationError> {
        let policies = Policies::read(schema, policies).unwrap();
        self.authoriser.install(policies, &name("root"), NOW).await
    }

    pub(crate) async fn change(&self, changes: Vec<EntityChange>) -> Result<Version, AuthorisationError> {
        self.authoriser.change(changes, &name("root"), NOW).await
    }

    pub(crate) fn verdict(&self, action: &Action, context: &Context) -> Verdict {
        self.authoriser.decide(&Request::new(action, context, NOW))
    }

    pub(crate) fn decision(&self, action: &Action) -> Decision {
        self.verdict(action, &Context::new()).decision
    }

    /// Who permitted or denied, by the names of policies; the first says what.
    pub(crate) fn told(&self, action: &Action) -> String {
        let verdict = self.verdict(action, &Context::new());
        let decision = match verdict.decision {
            Decision::Permit => "permit",
            Decision::Deny { .. } => "deny",
            Decision::Escalate { .. } => "escalate",
        };
        verdict.rules.iter().fold(decision.to_owned(), |told, rule| format!("{told} {rule}"))
    }
}

pub(crate) fn action(kind: &str, actor: &str, params: Value) -> Action {
    let action = Action::new("a-1".parse().unwrap(), kind.parse().unwrap(), name(actor)).unwrap();
    action.with_params(params).unwrap()
}

pub(crate) fn pay(actor: &str, to: &str, amount: i64) -> Action {
    action("payment.send", actor, json!({ "to": to, "amount": amount, "undeclared": [1.5, null] }))
}

pub(crate) fn costing(action: Action, units: u128) -> Action {
    action.with_max_cost(Currency::new("USDC", 6).unwrap().units(units))
}

pub(crate) fn reason(decision: &Decision) -> &str {
    match decision {
        Decision::Deny { reason } => reason,
        other => panic!("{other:?}"),
    }
}

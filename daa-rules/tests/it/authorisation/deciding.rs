//! What policies decide: by roles, by attributes, over hierarchies; and what is no question for them.

use daa_core::action::{Context, Decision, Policy, Request};
use daa_core::id::SourceId;
use daa_rules::authorisation::{Authoriser, Entity, EntityChange};
use serde_json::json;

use super::world::*;

#[tokio::test]
async fn roles_permit_on_what_they_are_about_and_roles_in_roles_too() {
    let bank = World::open().await;
    assert_eq!(bank.told(&pay("alice", "n1", 1000)), "permit cedar/treasurers-pay");
    assert_eq!(bank.told(&pay("carol", "n1", 1000)), "permit cedar/treasurers-pay", "a chief is a treasurer");
    assert_eq!(bank.told(&pay("alice", "n1", 1001)), "deny", "it is more than treasurers pay");
    assert_eq!(bank.told(&pay("alice", "s1", 1)), "deny", "the account is of another branch");
    assert_eq!(bank.told(&action("account.close", "alice", json!({ "account": "n1" }))), "deny");
    assert_eq!(bank.told(&action("report.write", "alice", json!({}))), "permit cedar/reports");
    assert_eq!(bank.told(&action("report.write", "carol", json!({}))), "deny", "a chief is not in the team");
}

#[tokio::test]
async fn attributes_of_both_sides_and_of_the_context_decide() {
    let bank = World::open().await;
    assert_eq!(bank.told(&pay("bob", "s1", 9)), "permit cedar/owners");
    assert_eq!(bank.told(&costing(pay("bot", "s1", 9), 99)), "permit cedar/agents-of-owners");
    assert_eq!(bank.told(&costing(pay("bot", "s1", 9), 100)), "deny");
    assert_eq!(bank.told(&pay("bot", "s1", 9)), "deny", "it says nothing of what it costs");
    assert_eq!(bank.told(&costing(pay("bot", "small", 9), 1)), "deny", "that is carol's");
    let tainted = Context::new().with_source(SourceId::new("mail").unwrap());
    let verdict = bank.verdict(&costing(pay("bot", "s1", 9), 99), &tainted);
    assert_eq!(reason(&verdict.decision), "cedar/tainted forbids Bank::Action::\"payment.send\"");
}

#[tokio::test]
async fn a_forbid_overrides_every_permit_and_says_why() {
    let bank = World::open().await;
    let verdict = bank.verdict(&pay("bob", "ice", 9), &Context::new());
    assert_eq!(reason(&verdict.decision), "the account is frozen");
    assert_eq!(verdict.rules, ["cedar/frozen".parse().unwrap()]);
    assert_eq!(bank.told(&pay("carol", "small", 50)), "permit cedar/owners cedar/treasurers-pay");
    assert_eq!(bank.told(&pay("carol", "small", 51)), "deny cedar/over-the-limit");
}

#[tokio::test]
async fn what_cannot_be_evaluated_is_denied_although_a_policy_permits() {
    let bank = World::open().await;
    let verdict = bank.verdict(&pay("carol", "small", i64::MAX), &Context::new());
    let found = reason(&verdict.decision);
    assert!(found.starts_with("cedar/over-the-limit is indeterminate: integer overflow"), "{found}");
    assert_eq!(verdict.rules, ["cedar/over-the-limit".parse().unwrap()]);
    // An account that nobody has registered has no owner that one could compare.
    let verdict = bank.verdict(&pay("alice", "n9", 1), &Context::new());
    assert!(reason(&verdict.decision).contains("cedar/frozen is indeterminate"), "{verdict:?}");
}

#[tokio::test]
async fn whoever_is_no_principal_and_whatever_is_not_declared_is_denied() {
    let bank = World::open().await;
    let why = |action| {
        let decision = bank.decision(&action);
        reason(&decision).to_owned()
    };
    assert_eq!(why(pay("mallory", "n1", 1)), "mallory is no principal");
    assert_eq!(why(pay("treasurer", "n1", 1)), "treasurer is no principal", "a role does not act");
    let found = why(action("payment.sent", "alice", json!({})));
    assert_eq!(found, "the schema declares no action payment.sent; did you mean payment.send?");
    assert_eq!(
        why(action("payment", "alice", json!({}))),
        "the schema declares no action payment; did you mean payment.send?"
    );
    for params in
        [json!({ "amount": 1 }), json!({ "to": 7, "amount": 1 }), json!({ "to": ["n1"], "amount": 1 })]
    {
        let found = why(action("payment.send", "alice", params));
        assert_eq!(found, "the parameter to names nothing that Bank::Action::\"payment.send\" is done to");
    }
    for params in [
        json!({ "to": "n1" }),
        json!({ "to": "n1", "amount": "12" }),
        json!({ "to": "n1", "amount": 1.5 }),
        json!({ "to": "n1", "amount": u64::MAX }),
        json!({ "to": "n1", "amount": 1, "note": { "__entity": { "type": "DAA::Person", "id": "bob" } } }),
    ] {
        let found = why(action("payment.send", "alice", params.clone()));
        assert!(found.starts_with("the request is not as the schema says"), "{params}: {found}");
    }
    let found = why(costing(pay("alice", "n1", 1), u128::MAX));
    assert!(found.starts_with("the request is not as the schema says"), "{found}");
    let found = why(action("account.close", "bot", json!({ "account": "n1" })));
    assert!(found.starts_with("the request is not as the schema says"), "an agent closes none: {found}");
}

#[tokio::test]
async fn a_fact_counts_where_the_schema_declares_it() {
    let policies = "permit (principal, action == Bank::Action::\"payment.send\", resource) when { context has hour && context.hour < 18 };";
    let bank = World::with(SCHEMA, policies, staff()).await;
    let at = |context: Context| bank.verdict(&pay("alice", "n1", 1), &context).decision;
    assert_eq!(at(Context::new().with("hour", 17).with("other", json!([null]))), Decision::Permit);
    assert_ne!(at(Context::new().with("hour", 18)), Decision::Permit);
    assert_ne!(at(Context::new().with("hour", json!(null))), Decision::Permit);
    assert_ne!(at(Context::new()), Decision::Permit);
}

#[tokio::test]
async fn the_actions_of_the_sdk_are_declared() {
    let policies = "permit (principal in DAA::Role::\"operator\", action in [DAA::Action::\"swarm\", DAA::Action::\"workflow\"], resource);";
    let operator = Entity::new(agent("node")).in_group(role("operator"));
    let world = World::with("", policies, vec![Entity::new(role("operator")), operator]).await;
    let commitment = json!({ "run": "r", "round": 1, "agent": "b", "examples": 9, "base": "00" });
    for (kind, params) in [
        ("swarm.join", json!({})),
        ("swarm.train", json!({ "round": 1 })),
        ("swarm.commit", json!({ "round": 1 })),
        ("swarm.reveal", json!({ "round": 1, "bytes": 9 })),
        ("swarm.audit", commitment),
        (
            "workflow.approve",
            json!({ "run": "r", "workflow": "w", "step": "s", "asked_by": "a", "subject": { "x": 1 } }),
        ),
    ] {
        assert_eq!(world.told(&action(kind, "node", params)), "permit cedar/policy-1", "{kind}");
    }
}

#[tokio::test]
async fn without_policies_everything_is_denied() {
    let store = std::sync::Arc::new(daa_core::event::MemoryEventStore::new());
    let authoriser = Authoriser::open(store).await.unwrap();
    let changes = vec![EntityChange::Put(Entity::new(agent("node")))];
    authoriser.change(changes, &name("root"), NOW).await.unwrap();
    let (join, context) = (action("swarm.join", "node", json!({})), Context::new());
    let decision = authoriser.decide(&Request::new(&join, &context, NOW)).decision;
    let expected = "no policy permits DAA::Agent::\"node\" to do DAA::Action::\"swarm.join\"";
    assert_eq!(reason(&decision), expected);
}

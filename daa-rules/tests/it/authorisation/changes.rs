//! Decisions that are kept: the same as those that are made anew, and gone with what they were made of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use daa_core::action::{
    Action, ActionEvent, Context, Decision, Gate, GateError, Policy, PolicyMemory as _, Request,
};
use daa_core::clock::ManualClock;
use daa_core::event::{EventStore, PageSize, Position, Version};
use daa_rules::authorisation::{
    AUTHORISATION_STREAM, Authorisation, AuthorisationEvent, Authoriser, EntityChange, Policies,
};

use super::gate::named;
use super::world::*;

fn grant() -> EntityChange {
    EntityChange::Grant { to: person("bob"), group: role("treasurer") }
}

fn revoke() -> EntityChange {
    EntityChange::Revoke { from: person("bob"), group: role("treasurer") }
}

/// A payment that bob may make while he is a treasurer.
fn payment() -> Action {
    let entity = || pay("bob", "c1", 7);
    entity()
}

async fn bank() -> World {
    let bank = World::open().await;
    bank.change(vec![EntityChange::Put(account_of("c1", "carol").in_group(branch("north")))]).await.unwrap();
    bank
}

#[tokio::test]
async fn a_question_is_kept_once_and_a_change_forgets_all() {
    let bank = bank().await;
    let cached = || bank.authoriser.authorisation().cached();
    assert_eq!(cached(), 0);
    for _ in 0..3 {
        assert_eq!(bank.told(&payment()), "deny");
        assert_eq!(bank.told(&named("another-id", &payment())), "deny");
    }
    assert_eq!(cached(), 1, "the id of an action is nothing that policies see");
    assert_eq!(bank.told(&pay("bob", "n1", 7)), "permit cedar/owners");
    assert_eq!(cached(), 2);
    bank.change(vec![grant()]).await.unwrap();
    assert_eq!(cached(), 0);
    assert_eq!(bank.told(&payment()), "permit cedar/treasurers-pay");
    bank.change(vec![revoke()]).await.unwrap();
    assert_eq!(bank.told(&payment()), "deny");
    bank.install(SCHEMA, "permit (principal, action, resource);").await.unwrap();
    assert_eq!(bank.told(&payment()), "permit cedar/policy-1");
    bank.install(SCHEMA, POLICIES).await.unwrap();
    assert_eq!(bank.told(&payment()), "deny");
}

#[tokio::test]
async fn everything_that_an_answer_depends_on_is_part_of_the_question() {
    let bank = bank().await;
    let tainted = Context::new().with_source("mail".parse().unwrap());
    let questions = [
        (costing(pay("bot", "s1", 9), 1), Context::new()),
        (costing(pay("bot", "s1", 9), 100), Context::new()),
        (costing(pay("bot", "s1", 9), 1), tainted),
        (costing(pay("bot", "n1", 9), 1), Context::new()),
        (costing(pay("bot", "s1", 8), 1), Context::new()),
        (costing(pay("bob", "s1", 8), 1), Context::new()),
        (costing(pay("bob", "s1", 8), 1), Context::new().with("hour", 3)),
        (action("account.close", "bob", serde_json::json!({ "account": "s1" })), Context::new()),
    ];
    let fresh = || async { Authorisation::read(&*bank.store, None).await.unwrap() };
    for turn in 0..2 {
        for (number, (action, context)) in questions.iter().enumerate() {
            let request = Request::new(action, context, NOW);
            let anew = fresh().await.decide(&request);
            assert_eq!(bank.authoriser.decide(&request), anew);
            let cached = bank.authoriser.authorisation().cached();
            assert_eq!(cached, if turn == 0 { number + 1 } else { questions.len() });
        }
    }
}

/// The decisions on record, each with whether bob was a treasurer when it was appended, and at the version on which it rests.
async fn decisions(store: &dyn EventStore) -> Vec<(Decision, bool, bool)> {
    let (mut treasurer, mut at_version) = (false, vec![false]);
    let mut found = Vec::new();
    let mut read = Position::START;
    loop {
        let page = store.read_all(read, PageSize::default()).await.unwrap();
        let Some(last) = page.last() else { return found };
        read = last.position;
        for event in &page {
            if event.stream.as_str() == AUTHORISATION_STREAM {
                if let Some(AuthorisationEvent::Changed { changes, .. }) =
                    AuthorisationEvent::read(event).unwrap()
                {
                    match changes.last() {
                        Some(EntityChange::Grant { .. }) => treasurer = true,
                        Some(EntityChange::Revoke { .. }) => treasurer = false,
                        _ => {}
                    }
                }
                at_version.push(treasurer);
                assert_eq!(event.version, Version::new(at_version.len() as u64 - 1));
            }
            if let Some(ActionEvent::Permitted { verdict, .. } | ActionEvent::Withheld { verdict, .. }) =
                ActionEvent::read(event).unwrap()
            {
                let version = Authorisation::recorded_version(&verdict).unwrap().get();
                found.push((verdict.decision, treasurer, at_version[usize::try_from(version).unwrap()]));
            }
        }
    }
}

fn gate(store: &Arc<daa_core::event::MemoryEventStore>, authoriser: &Authoriser) -> Gate {
    Gate::builder(store.clone(), Arc::new(ManualClock::new(NOW)))
        .with_policy(Arc::new(authoriser.clone()))
        .build()
}

async fn ask(gate: &Gate, id: &str) -> bool {
    match gate.authorize(named(id, &payment()), Context::new()).await {
        Ok(_) => true,
        Err(GateError::Denied { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

/// Asks as fast as it can while the role comes and goes. After each change, nothing by what was before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_stale_is_permitted_while_roles_come_and_go() {
    let bank = bank().await;
    let stop = Arc::new(AtomicBool::new(false));
    let askers: Vec<_> = (0..3)
        .map(|asker| {
            let (gate, stop) = (gate(&bank.store, &bank.authoriser), stop.clone());
            tokio::spawn(async move {
                let mut asked = 0;
                while !stop.load(Ordering::Relaxed) || asked < 20 {
                    ask(&gate, &format!("a{asker}-{asked}")).await;
                    asked += 1;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let own = gate(&bank.store, &bank.authoriser);
    for turn in 0..60 {
        bank.change(vec![grant()]).await.unwrap();
        assert!(ask(&own, &format!("granted-{turn}")).await);
        bank.change(vec![revoke()]).await.unwrap();
        // From here to the next grant no permission is appended at all.
        let revoked = bank.store.head().await.unwrap();
        assert!(!ask(&own, &format!("revoked-{turn}")).await);
        for event in bank.store.read_all(revoked, PageSize::default()).await.unwrap() {
            let permitted = matches!(ActionEvent::read(&event).unwrap(), Some(ActionEvent::Permitted { .. }));
            assert!(!permitted, "a stale permission behind the change");
        }
    }
    stop.store(true, Ordering::Relaxed);
    for asker in askers {
        asker.await.unwrap();
    }
    let decisions = decisions(&*bank.store).await;
    assert!(decisions.len() >= 180);
    for (decision, _, at_version) in &decisions {
        assert_eq!(
            *decision == Decision::Permit,
            *at_version,
            "a decision is that of the version on which it rests"
        );
    }
}

/// Two processes: each change is seen by whatever begins after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_another_process_changed_counts_for_whatever_begins_afterwards() {
    let bank = bank().await;
    let other = bank.other().await;
    let (here, there) = (gate(&bank.store, &bank.authoriser), gate(&bank.store, &other));
    for turn in 0..30 {
        let changer = if turn % 2 == 0 { &bank.authoriser } else { &other };
        changer.change(vec![grant()], &name("root"), NOW).await.unwrap();
        assert!(ask(&here, &format!("h{turn}")).await && ask(&there, &format!("t{turn}")).await);
        changer.change(vec![revoke()], &name("root"), NOW).await.unwrap();
        assert!(!ask(&here, &format!("hr{turn}")).await && !ask(&there, &format!("tr{turn}")).await);
    }
    for (decision, treasurer, at_version) in decisions(&*bank.store).await {
        assert_eq!((decision == Decision::Permit, treasurer), (at_version, at_version));
    }
}

/// A decision that is under way keeps a change from being done, and is not kept by it from ending.
#[tokio::test]
async fn a_change_waits_for_the_decisions_that_were_begun_before_it() {
    let bank = bank().await;
    bank.change(vec![grant()]).await.unwrap();
    let (payment, context) = (payment(), Context::new());
    let request = Request::new(&payment, &context, NOW);
    let mut under_way = bank.authoriser.begin().await.unwrap();
    let changing = {
        let authoriser = bank.authoriser.clone();
        tokio::spawn(async move { authoriser.change(vec![revoke()], &name("root"), NOW).await.unwrap() })
    };
    // The change is on record, so others see it.
    while bank
        .authoriser
        .authorisation()
        .entities()
        .entity(&person("bob"))
        .unwrap()
        .groups()
        .contains(&role("treasurer"))
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        under_way.decide(&request).await.unwrap().decision,
        Decision::Permit,
        "one version to the end"
    );
    let mut after = bank.authoriser.begin().await.unwrap();
    assert_ne!(after.decide(&request).await.unwrap().decision, Decision::Permit, "and nobody waits to begin");
    drop(after);
    tokio::task::yield_now().await;
    assert!(!changing.is_finished());
    drop(under_way);
    changing.await.unwrap();
}

#[tokio::test]
async fn a_change_that_rests_on_what_another_process_changed_is_checked_again() {
    let bank = bank().await;
    let other = bank.other().await;
    let remove = EntityChange::Remove(person("bob"));
    other.change(vec![remove], &name("root"), NOW).await.unwrap();
    let error = bank.change(vec![grant()]).await.unwrap_err();
    assert!(error.to_string().contains("not accepted"), "{error}");
    let policies = Policies::read(SCHEMA, POLICIES).unwrap();
    let (one, two) = (bank.authoriser.clone(), other.clone());
    let (root, put) = (name("root"), |n: usize| {
        vec![EntityChange::Put(daa_rules::authorisation::Entity::new(person(&format!("p{n}"))))]
    });
    let before = bank.authoriser.refresh().await.unwrap().entities().iter().len();
    let many = (0..20).map(|n| {
        let (authoriser, root, put) =
            (if n % 2 == 0 { one.clone() } else { two.clone() }, root.clone(), put(n));
        tokio::spawn(async move { authoriser.change(put, &root, NOW).await.unwrap() })
    });
    for change in many.collect::<Vec<_>>() {
        change.await.unwrap();
    }
    bank.authoriser.install(policies, &root, NOW).await.unwrap();
    assert_eq!(bank.authoriser.authorisation().entities().iter().len(), before + 20, "none was lost");
}

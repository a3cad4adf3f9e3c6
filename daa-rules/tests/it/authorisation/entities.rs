//! Changes of entities: what is right is on record, what is wrong changes nothing.

use daa_core::event::{EventStore, PageSize, Version};
use daa_core::fault::{Fault, Reaction};
use daa_rules::authorisation::{
    AUTHORISATION_STREAM, Authorisation, AuthorisationError, AuthorisationEvent, AuthorisationLimits, Entity,
    EntityChange, EntityError, EntityId,
};
use serde_json::json;

use super::world::*;

async fn refused(world: &World, changes: Vec<EntityChange>) -> EntityError {
    let before = world.authoriser.authorisation().version();
    let error = match world.change(changes).await.unwrap_err() {
        AuthorisationError::Entity(error) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(error.fault(), Fault::Caller);
    assert_eq!(world.authoriser.refresh().await.unwrap().version(), before, "nothing is on record");
    error
}

fn put(entity: Entity) -> Vec<EntityChange> {
    vec![EntityChange::Put(entity)]
}

#[tokio::test]
async fn who_has_which_role_is_read_back_from_the_store() {
    let bank = World::open().await;
    let grant = EntityChange::Grant { to: person("bob"), group: role("treasurer") };
    let version = bank.change(vec![grant.clone()]).await.unwrap();
    assert_eq!(bank.told(&pay("bob", "n1", 9)), "permit cedar/owners cedar/treasurers-pay");
    let again = Authorisation::read(&*bank.store, None).await.unwrap();
    assert_eq!(again.version(), version);
    assert!(again.entities().iter().eq(bank.authoriser.authorisation().entities().iter()));
    let before = Authorisation::read(&*bank.store, Some(Version::new(version.get() - 1))).await.unwrap();
    assert!(!before.entities().entity(&person("bob")).unwrap().groups().contains(&role("treasurer")));
    let stream = AUTHORISATION_STREAM.parse().unwrap();
    let last = bank.store.read_stream(&stream, before.version(), PageSize::new(9)).await.unwrap();
    let event = AuthorisationEvent::read(&last[0]).unwrap().unwrap();
    assert_eq!(event, AuthorisationEvent::Changed { changes: vec![grant], by: name("root") });
    assert_eq!(last[0].at, NOW);
}

#[tokio::test]
async fn granting_and_revoking_twice_is_as_once() {
    let bank = World::open().await;
    let grant = EntityChange::Grant { to: person("bob"), group: role("treasurer") };
    let revoke = EntityChange::Revoke { from: person("bob"), group: role("treasurer") };
    bank.change(vec![grant.clone(), grant, revoke.clone(), revoke]).await.unwrap();
    assert_eq!(bank.told(&pay("bob", "n1", 9)), "permit cedar/owners");
}

#[tokio::test]
async fn what_is_not_there_is_refused_with_what_was_probably_meant() {
    let bank = World::open().await;
    let told = |error: EntityError| error.to_string();
    let error =
        refused(&bank, vec![EntityChange::Grant { to: person("bob"), group: role("treasurers") }]).await;
    assert_eq!(told(error), "there is no DAA::Role::\"treasurers\"; did you mean DAA::Role::\"treasurer\"?");
    let error =
        refused(&bank, vec![EntityChange::Revoke { from: person("bobb"), group: role("treasurer") }]).await;
    assert_eq!(told(error), "there is no DAA::Person::\"bobb\"; did you mean DAA::Person::\"bob\"?");
    let error = refused(&bank, vec![EntityChange::Remove(person("nobody-at-all"))]).await;
    assert_eq!(told(error), "there is no DAA::Person::\"nobody-at-all\"");
    let error = refused(&bank, put(Entity::new(person("dave")).in_group(role("cheif")))).await;
    assert_eq!(told(error), "there is no DAA::Role::\"cheif\"; did you mean DAA::Role::\"chief\"?");
    let error = refused(&bank, put(Entity::new(EntityId::new("DAA::Persom", "dave").unwrap()))).await;
    assert_eq!(told(error), "the schema declares no type DAA::Persom; did you mean DAA::Person?");
    assert!(matches!(refused(&bank, Vec::new()).await, EntityError::Nothing));
}

#[tokio::test]
async fn an_entity_is_as_the_schema_says_or_it_is_refused() {
    let bank = World::open().await;
    let wrong = [
        Entity::new(account("x")).with_attribute("frozen", false),
        account_of("x", "bob").with_attribute("frozen", "no"),
        account_of("x", "bob").with_attribute("colour", "red"),
        account_of("x", "bob").with_attribute("owner", json!({ "type": "DAA::Agent", "id": "bot" })),
        account_of("x", "bob").with_tag("since", 1),
        account_of("x", "bob").with_attribute("limit", 1.5),
        account_of("x", "bob").in_group(role("treasurer")),
        Entity::new(role("x")).with_tag("a", "b"),
    ];
    for entity in wrong {
        let error = refused(&bank, put(entity.clone())).await;
        assert!(
            matches!(&error, EntityError::Misfit { entity: found, .. } if found == entity.id()),
            "{entity:?}: {error}"
        );
    }
    bank.change(put(account_of("x", "bob").with_tag("since", "1999"))).await.unwrap();
}

#[tokio::test]
async fn nobody_is_in_themselves_on_whatever_way() {
    let bank = World::open().await;
    let error =
        refused(&bank, vec![EntityChange::Grant { to: role("treasurer"), group: role("chief") }]).await;
    assert!(matches!(error, EntityError::Cycle { .. }), "{error}");
    let error = refused(&bank, put(Entity::new(role("own")).in_group(role("own")))).await;
    assert!(matches!(error, EntityError::Cycle { .. }), "{error}");
}

#[tokio::test]
async fn a_role_that_somebody_has_stays_unless_that_goes_too() {
    let bank = World::open().await;
    let error = refused(&bank, vec![EntityChange::Remove(role("chief"))]).await;
    assert_eq!(error.to_string(), "DAA::Person::\"carol\" is in DAA::Role::\"chief\", which therefore stays");
    let revoke = EntityChange::Revoke { from: person("carol"), group: role("chief") };
    bank.change(vec![revoke, EntityChange::Remove(role("chief"))]).await.unwrap();
    assert_eq!(bank.told(&pay("carol", "n1", 1)), "deny");
}

#[tokio::test]
async fn a_name_acts_for_one_principal_alone() {
    let bank = World::open().await;
    let error = refused(&bank, put(Entity::new(agent("alice")))).await;
    assert!(matches!(error, EntityError::SameActor { .. }), "{error}");
    let odd = EntityId::new("DAA::Person", "two words").unwrap();
    assert!(matches!(refused(&bank, put(Entity::new(odd))).await, EntityError::Actor { .. }));
    bank.change(put(Entity::new(EntityId::new("Bank::Account", "alice").unwrap())
        .with_attribute("owner", json!({ "type": "DAA::Person", "id": "alice" }))
        .with_attribute("frozen", false)))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_too_much_is_refused() {
    let world = World::with("", "", vec![Entity::new(role("r0"))]).await;
    let limit = |error: EntityError| match error {
        EntityError::Limit { what, .. } => what,
        other => panic!("{other}"),
    };
    let chain = |last: usize| {
        (1..=last).map(|n| {
            EntityChange::Put(Entity::new(role(&format!("r{n}"))).in_group(role(&format!("r{}", n - 1))))
        })
    };
    let depth = AuthorisationLimits::DEPTH;
    assert_eq!(limit(refused(&world, chain(depth + 1).collect()).await), "roles and teams above each other");
    world.change(chain(depth).collect()).await.unwrap();
    let groups = (0..=AuthorisationLimits::PARENTS).map(|n| role(&format!("g{n}")));
    let many = groups.clone().fold(Entity::new(person("p")), Entity::in_group);
    assert_eq!(limit(refused(&world, put(many)).await), "roles and teams that an entity is directly in");
    let large = Entity::new(person("p")).with_tag("t", "x".repeat(AuthorisationLimits::ENTITY));
    assert_eq!(limit(refused(&world, put(large)).await), "bytes of an entity");
    let changes = vec![EntityChange::Put(Entity::new(person("p"))); AuthorisationLimits::CHANGES + 1];
    assert_eq!(limit(refused(&world, changes).await), "changes");
    let heavy = (0..60).map(|n| Entity::new(person(&format!("p{n}"))).with_tag("t", "x".repeat(10_000)));
    let heavy = heavy.map(EntityChange::Put).collect();
    assert_eq!(limit(refused(&world, heavy).await), "bytes of changes that are made together");
}

#[tokio::test]
async fn a_schema_that_the_entities_do_not_fit_is_refused() {
    let bank = World::open().await;
    let schema = SCHEMA.replace("frozen: Bool,", "frozen: Bool, since: Long,");
    let error = bank.install(&schema, POLICIES).await.unwrap_err();
    assert!(matches!(error, AuthorisationError::Schema(EntityError::Misfit { .. })), "{error}");
    assert_eq!(bank.told(&pay("alice", "n1", 1)), "permit cedar/treasurers-pay", "the old ones govern");
    bank.install(&SCHEMA.replace("frozen: Bool,", "frozen: Bool, since?: Long,"), POLICIES).await.unwrap();
    assert_eq!(bank.told(&pay("alice", "n1", 1)), "permit cedar/treasurers-pay");
}

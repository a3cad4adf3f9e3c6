//! What was read at once is what was read event by event, and is put together once.

use daa_core::clock::Timestamp;
use daa_core::event::{Batch, ExpectedVersion, MemoryEventStore, StreamWrite};

use super::super::entities::tests::BUILT;
use super::super::{Entity, EntityChange, EntityId};
use super::*;

fn role(n: usize) -> EntityId {
    EntityId::role(&format!("r{n}")).unwrap()
}

fn put(n: usize) -> EntityChange {
    EntityChange::Put(Entity::new(role(n)))
}

fn grant(to: usize, group: usize) -> EntityChange {
    EntityChange::Grant { to: role(to), group: role(group) }
}

fn revoke(from: usize, group: usize) -> EntityChange {
    EntityChange::Revoke { from: role(from), group: role(group) }
}

/// Writes changes to the record as somebody may who does not check them.
async fn record(store: &MemoryEventStore, changes: &[EntityChange]) {
    for change in changes {
        let by = "root".parse().unwrap();
        let event = AuthorisationEvent::Changed { changes: vec![change.clone()], by };
        let events = vec![event.to_new(Timestamp::EPOCH).unwrap()];
        let write = StreamWrite::new(stream().unwrap(), ExpectedVersion::Any, events);
        store.append(Batch::new().with(write)).await.unwrap();
    }
}

async fn install(store: &MemoryEventStore, schema: &str, policies: &str) {
    let policies = Policies::read(schema, policies).unwrap();
    let by = "root".parse().unwrap();
    let events = AuthorisationEvent::installing(&policies, &by, Timestamp::EPOCH).unwrap();
    let write = StreamWrite::new(stream().unwrap(), ExpectedVersion::Any, events);
    store.append(Batch::new().with(write)).await.unwrap();
}

/// How often all entities were looked at together, and what came of it.
async fn opened(store: &MemoryEventStore) -> (usize, Fold) {
    let before = BUILT.get();
    let mut fold = Fold::new().unwrap();
    fold.read(store, None).await.unwrap();
    (BUILT.get() - before, fold)
}

#[tokio::test]
async fn entities_are_put_together_once_however_many_changes_there_were() {
    let store = MemoryEventStore::new();
    install(&store, "", "permit (principal, action, resource);").await;
    for changes in [3, 300] {
        record(&store, &(0..changes).map(put).collect::<Vec<_>>()).await;
        install(&store, "", &format!("// {changes}\npermit (principal, action, resource);")).await;
        let (built, fold) = opened(&store).await;
        assert_eq!((built, fold.authorisation.entities().iter().len()), (1, changes));
    }
    // Another schema is another question to all of them.
    install(&store, "namespace A { entity B; }", "").await;
    assert_eq!(opened(&store).await.0, 2);
}

#[tokio::test]
async fn what_is_known_at_a_version_does_not_depend_on_how_it_was_read() {
    let store = MemoryEventStore::new();
    // Nobody appends a circle who looks first; it is there, and goes again.
    let circle = [put(0), put(1), grant(0, 1), grant(1, 0), put(2), revoke(1, 0), grant(2, 0)];
    record(&store, &circle).await;
    install(&store, "namespace A { entity B; }", "permit (principal, action, resource);").await;
    record(&store, &[EntityChange::Remove(role(1)), EntityChange::Remove(role(7)), put(3)]).await;
    let mut step = Fold::new().unwrap();
    let mut unknown = Vec::new();
    for version in 1..=opened(&store).await.1.version.get() {
        let version = Version::new(version);
        step.read(&store, Some(version)).await.unwrap();
        let at_once = Authorisation::read(&store, Some(version)).await.unwrap();
        let (known, stepped) = (&at_once, &step.authorisation);
        assert_eq!((known.version(), stepped.version()), (version, version));
        assert_eq!(known.unreadable(), stepped.unreadable(), "{version}");
        assert_eq!(known.policies(), stepped.policies(), "{version}");
        if known.unreadable().is_none() {
            assert!(known.entities().iter().eq(stepped.entities().iter()), "{version}");
        } else {
            unknown.push(version.get());
        }
    }
    let last = step.authorisation.unreadable().unwrap();
    // The circle, until it is gone; a role that is removed while others are in it; and from the removal of what never was on.
    assert_eq!(unknown, [4, 5, 11, 12, 13], "{last}");
    assert!(last.starts_with("the change at version 12 cannot be read"), "{last}");
}

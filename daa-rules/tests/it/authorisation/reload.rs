//! Policies that are replaced while they govern: by those of a file, and by those that another process installs.

use std::sync::Arc;

use daa_core::clock::ManualClock;
use daa_core::event::{Batch, EventStore, ExpectedVersion, NewEvent};
use daa_core::fault::{Fault, Reaction};
use daa_rules::authorisation::{
    AUTHORISATION_STREAM, AuthorisationError, PoliciesFile, PoliciesReload, RefusedPolicies,
};
use serde_json::json;

use super::world::*;

const ALL: &str = "permit (principal, action, resource);";

#[tokio::test]
async fn a_file_governs_and_what_is_wrong_in_it_does_not() {
    let bank = World::open().await;
    let dir = tempfile::tempdir().unwrap();
    let (policies, schema) = (dir.path().join("bank.cedar"), dir.path().join("bank.cedarschema"));
    std::fs::write(&schema, SCHEMA).unwrap();
    std::fs::write(&policies, POLICIES).unwrap();
    let clock = Arc::new(ManualClock::new(NOW));
    let mut file =
        PoliciesFile::new(&policies, bank.authoriser.clone(), clock, name("files")).with_schema(&schema);
    assert!(matches!(file.look().await, PoliciesReload::Unchanged), "these govern already");
    std::fs::write(&policies, ALL).unwrap();
    assert!(matches!(file.look().await, PoliciesReload::Switched { .. }));
    assert_eq!(bank.told(&pay("alice", "s1", 1)), "permit cedar/policy-1");
    assert!(matches!(file.look().await, PoliciesReload::Unchanged));
    std::fs::write(&policies, "permit (principal").unwrap();
    assert!(matches!(file.look().await, PoliciesReload::Refused(AuthorisationError::Policies(_))));
    assert!(matches!(file.look().await, PoliciesReload::Unchanged), "the same is told once");
    std::fs::remove_file(&policies).unwrap();
    assert!(
        matches!(file.look().await, PoliciesReload::Refused(error) if error.fault() == Fault::Environment)
    );
    assert_eq!(bank.told(&pay("alice", "s1", 1)), "permit cedar/policy-1", "the old ones govern");
    std::fs::write(&policies, POLICIES).unwrap();
    assert!(matches!(file.look().await, PoliciesReload::Switched { .. }));
    assert_eq!(bank.told(&pay("alice", "s1", 1)), "deny");
    std::fs::write(&schema, SCHEMA.replace("frozen: Bool,", "frozen: Bool, since: Long,")).unwrap();
    assert!(matches!(file.look().await, PoliciesReload::Refused(AuthorisationError::Schema(_))));
}

#[tokio::test]
async fn other_processes_switch_too() {
    let bank = World::open().await;
    let other = bank.other().await;
    bank.install(SCHEMA, ALL).await.unwrap();
    let seen = other.refresh().await.unwrap();
    assert_eq!(seen.policies().digest(), bank.authoriser.authorisation().policies().digest());
    assert_eq!(seen.policies().source(), ALL);
    assert!(other.refused().is_none());
}

async fn append(bank: &World, kind: &str, payload: serde_json::Value) {
    let event = NewEvent::json(kind.parse().unwrap(), NOW, &payload).unwrap();
    let stream = AUTHORISATION_STREAM.parse().unwrap();
    bank.store.append(Batch::new().with_event(stream, ExpectedVersion::Any, event)).await.unwrap();
}

fn installed(digest: &str, format: u32, policies: usize) -> serde_json::Value {
    json!({ "installed": { "digest": digest, "format": format, "schema": 0, "policies": policies, "by": "mallory" } })
}

#[tokio::test]
async fn policies_on_record_that_cannot_be_taken_leave_the_old_ones_governing() {
    let bank = World::open().await;
    let digest = "00".repeat(32);
    let text = |text: &str| json!({ "source": { "text": text } });
    let expect = async |wanted: fn(&RefusedPolicies) -> bool| {
        bank.authoriser.refresh().await.unwrap();
        let refused = bank.authoriser.refused().unwrap();
        assert!(wanted(&refused), "{refused}");
        assert_eq!(bank.told(&pay("alice", "n1", 1)), "permit cedar/treasurers-pay");
    };
    append(&bank, "authorisation.installed.v1", installed(&digest, 1, 1)).await;
    expect(|refused| matches!(refused, RefusedPolicies::NoSource { .. })).await;
    append(&bank, "authorisation.source.v1", text(ALL)).await;
    append(&bank, "authorisation.installed.v1", installed(&digest, 1, 1)).await;
    expect(|refused| matches!(refused, RefusedPolicies::Others { .. })).await;
    append(&bank, "authorisation.source.v1", text("permit (principal")).await;
    append(&bank, "authorisation.installed.v1", installed(&digest, 1, 1)).await;
    expect(|refused| matches!(refused, RefusedPolicies::Policies(_))).await;
    append(&bank, "authorisation.installed.v1", installed(&digest, 2, 0)).await;
    expect(|refused| matches!(refused, RefusedPolicies::TooNew { format: 2 })).await;
    bank.install(SCHEMA, ALL).await.unwrap();
    assert!(bank.authoriser.refused().is_none());
    assert_eq!(bank.told(&pay("alice", "s1", 1)), "permit cedar/policy-1");
}

#[tokio::test]
async fn after_a_change_of_entities_that_cannot_be_read_everything_is_denied() {
    for (kind, payload) in [
        (
            "authorisation.changed.v1",
            json!({ "changed": { "changes": [{ "promote": "bob" }], "by": "root" } }),
        ),
        (
            "authorisation.changed.v1",
            json!({ "changed": { "changes": [{ "remove": { "type": "DAA::Role", "id": "chief" } }], "by": "root" } }),
        ),
        (
            "authorisation.changed.v1",
            json!({ "changed": { "changes": [{ "remove": { "type": "no type", "id": "x" } }], "by": "root" } }),
        ),
        ("authorisation.changed.v2", json!({})),
    ] {
        let bank = World::open().await;
        assert_eq!(bank.told(&pay("alice", "n1", 1)), "permit cedar/treasurers-pay");
        append(&bank, kind, payload.clone()).await;
        let after = bank.authoriser.refresh().await.unwrap();
        assert!(after.unreadable().is_some(), "{payload}");
        let decision = bank.decision(&pay("alice", "n1", 1));
        assert!(reason(&decision).starts_with("policies or entities are not known"), "{decision:?}");
        let error = bank
            .change(vec![daa_rules::authorisation::EntityChange::Remove(person("bob"))])
            .await
            .unwrap_err();
        assert!(matches!(error, AuthorisationError::Unreadable { .. }));
        assert!(bank.install(SCHEMA, ALL).await.is_err());
        let again = bank.other().await;
        assert!(again.authorisation().unreadable().is_some(), "and after a restart");
    }
}

#[tokio::test]
async fn erased_history_is_not_taken_for_none() {
    let bank = World::open().await;
    let stream = AUTHORISATION_STREAM.parse().unwrap();
    bank.store.erase(&stream, bank.authoriser.authorisation().version()).await.unwrap();
    assert!(bank.other().await.authorisation().unreadable().is_some());
}

//! The program `daa-audit-pq`, as an auditor has it: with a bundle and public keys.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use daa::audit::CheckpointSigner;
use daa::core::action::{Action, Context, Gate};
use daa::core::clock::SystemClock;
use daa::core::event::MemoryEventStore;
use daa::crypto::{CryptoSuite, SignatureAlgorithm};
use daa::rules::audit::{
    AuditLog, AuditOptions, AuditParts, Bundle, FolderTiles, KeeperInMemory, KeyUse, NoteSigner as _,
    SecretKey,
};

const NAME: &str = "example.org/treasury";

/// The exit code, and what is said.
fn verify(bundle: &Path, keys: &[&str]) -> (Option<i32>, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_daa-audit-pq")).arg("verify").arg(bundle).args(keys).output();
    let output = output.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn an_auditor_who_demands_the_second_signature_refuses_a_bundle_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, clock) = (Arc::new(MemoryEventStore::new()), Arc::new(SystemClock::new()));
    let wish = Action::new("a".parse().unwrap(), "wish".parse().unwrap(), "alice".parse().unwrap()).unwrap();
    let gate = Gate::builder(store.clone(), clock.clone()).build();
    gate.authorize(wish, Context::new()).await.unwrap_err();
    let key = SecretKey::generate(NAME.parse().unwrap(), KeyUse::Log);
    let public = key.public_key().to_string();
    let signer = || {
        let suite = CryptoSuite::new();
        let key = suite.generate_signing_key(SignatureAlgorithm::MlDsa65).unwrap();
        CheckpointSigner::new(suite, NAME.parse().unwrap(), key)
    };
    let (second, other) = (signer(), signer().public());
    let also = second.public();
    let parts = |key: SecretKey| AuditParts {
        store: store.clone(),
        clock: clock.clone(),
        tiles: Arc::new(FolderTiles::new(dir.path().join("log"))),
        keeper: Arc::new(KeeperInMemory::new()),
        key: Arc::new(key),
    };
    let bundled =
        |log: AuditLog| async move { Bundle::of_records(log.reader(), &[0]).await.unwrap().to_string() };

    let mut plain = AuditLog::open("treasury", parts(key.clone()), AuditOptions::new()).await.unwrap();
    plain.catch_up().await.unwrap();
    let without = dir.path().join("without.json");
    std::fs::write(&without, bundled(plain).await).unwrap();
    let options = AuditOptions::new().with_second_key(Arc::new(second));
    let log = AuditLog::open("treasury", parts(key), options).await.unwrap();
    let with = dir.path().join("with.json");
    std::fs::write(&with, bundled(log).await).unwrap();

    let demanding = ["--key", &public, "--also", &also];
    let (code, said) = verify(&with, &demanding);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = verify(&without, &demanding);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is not signed by example.org/treasury"), "{said}");
    // Another key did not sign it either, and what is no key is told.
    assert_eq!(verify(&with, &["--key", &public, "--also", &other]).0, Some(1));
    let (code, said) = verify(&with, &["--key", &public, "--also", "a+b"]);
    assert_eq!((code, said.contains("name+id+base64")), (Some(2), true), "{said}");
    // Who demands nothing more is content with both.
    for bundle in [&with, &without] {
        assert_eq!(verify(bundle, &["--key", &public]).0, Some(0));
    }
}

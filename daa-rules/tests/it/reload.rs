//! Rules that are replaced while they govern, from files and from the store.

use std::sync::Arc;
use std::time::Duration;

use daa_core::clock::{Clock as _, ManualClock, Timestamp};
use daa_core::event::{Batch, EventStore, ExpectedVersion, MemoryEventStore, NewEvent};
use daa_core::shutdown::ShutdownTrigger;
use daa_rules::{RULES_STREAM, RefusedRuleset, Reload, RulesEngine, RulesFile, RulesFollower, Ruleset};
use serde_json::json;

fn named(name: &str) -> Ruleset {
    Ruleset::from_toml(&format!("name = '{name}'\n[[rule]]\non = 'x'\neffect = 'permit'\n")).unwrap()
}

fn engine() -> RulesEngine {
    RulesEngine::new(named("first"))
}

fn is_switched(reload: &Reload) -> bool {
    matches!(reload, Reload::Switched { .. })
}

#[tokio::test]
async fn a_file_governs_from_the_look_on_that_finds_it_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.toml");
    let engine = engine();
    let mut file = RulesFile::new(&path, engine.clone(), Arc::new(ManualClock::default()));
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    assert!(matches!(file.look().await, Reload::Refused(RefusedRuleset::Ruleset(_))), "there is none");
    assert!(matches!(file.look().await, Reload::Unchanged), "that was told before");
    write(named("first").source());
    assert!(matches!(file.look().await, Reload::Unchanged), "it governs already");
    write(named("second").source());
    let (before, now) = (named("first").digest(), named("second").digest());
    let reload = file.look().await;
    assert!(
        matches!(reload, Reload::Switched { before: b, now: n } if (b, n) == (before, now)),
        "{reload:?}"
    );
    assert!(matches!(file.look().await, Reload::Unchanged));
    // Half of a file is no ruleset, and what is wrong with it is told once.
    let whole = named("third").source().to_owned();
    write(whole.split_at(whole.len() - 5).0);
    let Reload::Refused(RefusedRuleset::Ruleset(error)) = file.look().await else { panic!("it is accepted") };
    assert!(error.to_string().contains("rules.toml: line 4"), "{error}");
    assert!(matches!(file.look().await, Reload::Unchanged));
    assert_eq!(engine.ruleset().name(), "second");
    write(&whole);
    assert!(is_switched(&file.look().await));
    assert_eq!(engine.ruleset().name(), "third");
    // A comment has no meaning.
    write(&format!("# a comment\n{whole}"));
    assert!(matches!(file.look().await, Reload::Unchanged));
}

#[tokio::test]
async fn what_one_process_installs_governs_in_all_who_follow() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let (one, other) = (engine(), engine());
    let mut follower = RulesFollower::new(other.clone(), store.clone());
    assert!(matches!(follower.look().await, Ok(Reload::Unchanged)));
    for name in ["second", "third"] {
        one.install(&*store, named(name), Timestamp::EPOCH).await.unwrap();
    }
    assert!(is_switched(&follower.look().await.unwrap()));
    assert_eq!(other.ruleset().name(), "third");
    assert_eq!(other.ruleset().digest(), one.ruleset().digest());
    // Whoever comes later finds what governs.
    let late = engine();
    assert!(is_switched(&RulesFollower::new(late.clone(), store.clone()).look().await.unwrap()));
    assert_eq!(late.ruleset().name(), "third");
    // Back to what governed before.
    one.install(&*store, named("second"), Timestamp::EPOCH).await.unwrap();
    assert!(is_switched(&follower.look().await.unwrap()));
    assert!(matches!(follower.look().await, Ok(Reload::Unchanged)));
    assert_eq!(other.ruleset().name(), "second");
}

#[tokio::test]
async fn a_file_that_was_gone_for_a_moment_brings_back_no_older_rules() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.toml");
    let (engine, elsewhere) = (engine(), engine());
    let clock = Arc::new(ManualClock::default());
    let mut file = RulesFile::new(&path, engine.clone(), clock).with_store(store.clone());
    let mut follower = RulesFollower::new(engine.clone(), store.clone());
    std::fs::write(&path, named("old").source()).unwrap();
    assert!(is_switched(&file.look().await));
    elsewhere.install(&*store, named("new"), Timestamp::EPOCH).await.unwrap();
    assert!(is_switched(&follower.look().await.unwrap()));
    // An editor takes the file away, writes half of another one, and puts back what was there.
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(file.look().await, Reload::Refused(_)));
    std::fs::write(&path, "[[rule]]\non = ").unwrap();
    assert!(matches!(file.look().await, Reload::Refused(_)));
    std::fs::write(&path, named("old").source()).unwrap();
    assert!(matches!(file.look().await, Reload::Unchanged));
    assert!(matches!(follower.look().await, Ok(Reload::Unchanged)));
    assert_eq!(engine.ruleset().name(), "new");
    // What is new in the file governs.
    std::fs::write(&path, named("newest").source()).unwrap();
    assert!(is_switched(&file.look().await));
    assert_eq!(engine.ruleset().name(), "newest");
}

#[tokio::test]
async fn parts_that_belong_to_nothing_do_not_keep_a_good_ruleset_out() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let one = engine();
    one.install(&*store, named("second"), Timestamp::EPOCH).await.unwrap();
    // One part that nobody can read, and more than a source may have.
    append(&*store, "rules.source.v1", &json!({ "sauce": 1 })).await;
    for _ in 0..40 {
        let text = "#".repeat(120 << 10);
        append(&*store, "rules.source.v1", &json!({ "source": { "text": text } })).await;
    }
    one.install(&*store, named("third"), Timestamp::EPOCH).await.unwrap();
    let other = engine();
    let mut follower = RulesFollower::new(other.clone(), store.clone());
    let reload = follower.look().await.unwrap();
    assert!(is_switched(&reload), "{reload:?}");
    assert_eq!(other.ruleset().name(), "third");
    // What comes last and is no good is told, and what was good before governs, for those too who come now.
    append(&*store, "rules.source.v1", &json!({ "source": { "text": "[[rule]]" } })).await;
    let digest = named("fourth").digest().to_string();
    let written = json!({ "format": 1, "language": "toml", "parts": 1 });
    let installed = json!({ "name": "n", "version": 0, "digest": digest, "rules": 1, "written": written });
    append(&*store, "rules.installed.v1", &json!({ "installed": installed })).await;
    let late = engine();
    let mut follower = RulesFollower::new(late.clone(), store.clone());
    let reload = follower.look().await.unwrap();
    assert!(matches!(reload, Reload::Refused(RefusedRuleset::Ruleset(_))), "{reload:?}");
    assert_eq!(late.ruleset().name(), "third");
    assert!(matches!(follower.look().await, Ok(Reload::Unchanged)));
}

#[tokio::test]
async fn a_long_source_is_on_record_as_it_is() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let long = format!("# {}\n{}", "ä€🦀".repeat(60_000), named("long").source());
    let ruleset = Ruleset::from_toml(&long).unwrap();
    engine().install(&*store, ruleset.clone(), Timestamp::EPOCH).await.unwrap();
    let other = engine();
    assert!(is_switched(&RulesFollower::new(other.clone(), store).look().await.unwrap()));
    assert_eq!((other.ruleset().source(), other.ruleset().digest()), (long.as_str(), ruleset.digest()));
}

async fn append(store: &dyn EventStore, kind: &str, content: &serde_json::Value) {
    let event = NewEvent::json(kind.parse().unwrap(), Timestamp::EPOCH, content).unwrap();
    let batch = Batch::new().with_event(RULES_STREAM.parse().unwrap(), ExpectedVersion::Any, event);
    store.append(batch).await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_too_new_or_not_what_it_says_is_refused_and_the_old_rules_govern() {
    let digest = named("second").digest();
    let source = named("second").source().to_owned();
    let installed = |format: u32, parts: usize, digest: &str| {
        let written = json!({ "format": format, "language": "toml", "parts": parts });
        json!({ "installed": { "name": "n", "version": 0, "digest": digest, "rules": 1, "written": written } })
    };
    let part = |text: &str| json!({ "source": { "text": text } });
    type Expected = fn(&RefusedRuleset) -> bool;
    let other = named("other").digest().to_string();
    let cases: [(Vec<(&str, serde_json::Value)>, Expected); 7] = [
        (vec![("source", part(&source)), ("installed", installed(2, 1, &digest.to_string()))], |error| {
            matches!(error, RefusedRuleset::TooNew { format: 2 })
        }),
        (vec![("source", part("[[rule]]")), ("installed", installed(1, 1, &digest.to_string()))], |error| {
            matches!(error, RefusedRuleset::Ruleset(_))
        }),
        (vec![("source", part(&source)), ("installed", installed(1, 1, &other))], |error| {
            matches!(error, RefusedRuleset::OtherSource { .. })
        }),
        (vec![("installed", installed(1, 1, &digest.to_string()))], |error| {
            matches!(error, RefusedRuleset::NoSource { .. })
        }),
        (vec![("source", part(&source)), ("installed", installed(1, 2, &digest.to_string()))], |error| {
            matches!(error, RefusedRuleset::NoSource { .. })
        }),
        (vec![("source", part(&source)), ("installed", json!({ "digest": 3 }))], |error| {
            matches!(error, RefusedRuleset::Damaged(_))
        }),
        (
            vec![(
                "installed",
                json!({ "installed": { "name": "n", "version": 0, "digest": other, "rules": 1 } }),
            )],
            |error| matches!(error, RefusedRuleset::NoSource { .. }),
        ),
    ];
    for (events, expected) in cases {
        let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
        let engine = engine();
        let mut follower = RulesFollower::new(engine.clone(), store.clone());
        for (kind, content) in &events {
            append(&*store, &format!("rules.{kind}.v1"), content).await;
        }
        let Reload::Refused(error) = follower.look().await.unwrap() else {
            panic!("{events:?} are accepted")
        };
        assert!(expected(&error), "{error:?} of {events:?}");
        assert_eq!(engine.ruleset().name(), "first");
        assert!(matches!(follower.look().await, Ok(Reload::Unchanged)));
        // It does not stand in the way of what comes next.
        RulesEngine::new(named("x")).install(&*store, named("second"), Timestamp::EPOCH).await.unwrap();
        assert!(is_switched(&follower.look().await.unwrap()));
        assert_eq!(engine.ruleset().name(), "second");
    }
}

#[tokio::test]
async fn a_file_that_is_followed_is_installed_for_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.toml");
    std::fs::write(&path, named("second").source()).unwrap();
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let clock = ManualClock::default();
    let (here, there) = (engine(), engine());
    let file = RulesFile::new(&path, here.clone(), Arc::new(clock.clone())).with_store(store.clone());
    let (trigger, shutdown) = ShutdownTrigger::new();
    let (news, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let told = news.clone();
    let every = Duration::from_secs(5);
    let files = tokio::spawn(file.follow(every, shutdown.clone(), move |reload| {
        told.send(("file", format!("{reload:?}"))).unwrap();
    }));
    assert_eq!(heard.recv().await.unwrap().0, "file");
    let follower = RulesFollower::new(there.clone(), store);
    let stores = tokio::spawn(follower.follow(Arc::new(clock.clone()), every, shutdown, move |reload| {
        news.send(("store", format!("{reload:?}"))).unwrap();
    }));
    assert_eq!(heard.recv().await.unwrap().0, "store");
    assert_eq!((here.ruleset().name(), there.ruleset().name()), ("second", "second"));
    std::fs::write(&path, named("third").source()).unwrap();
    while there.ruleset().name() != "third" {
        clock.advance(every);
        tokio::task::yield_now().await;
    }
    assert_eq!(here.ruleset().name(), "third");
    assert!(clock.now() > Timestamp::EPOCH);
    trigger.trigger();
    files.await.unwrap();
    stores.await.unwrap();
}

use std::sync::Arc;

use daa_core::action::{ExecuteError, Executor, Outcome, Reconciled};
use daa_core::clock::ManualClock;
use daa_core::resilience::ExecutorExt;

use super::support::{Scripted, action, cause, done, gate, interrupted, rejected, submit, unavailable};

#[tokio::test]
async fn falls_back_when_nothing_happened() {
    let gate = gate(&ManualClock::default());
    let (primary, fallback) =
        (Scripted::new([unavailable(), rejected()]), Scripted::new([done("b"), done("b")]));
    let wrapped = primary.with_fallback(fallback);
    for id in [1, 2] {
        assert_eq!(submit(&gate, id, &wrapped).await.unwrap().outcome.output, "b");
    }
    assert_eq!(submit(&gate, 3, &wrapped).await.unwrap().outcome.output, "ok");
}

#[tokio::test]
async fn never_falls_back_after_an_unknown_effect() {
    let gate = gate(&ManualClock::default());
    let fallback = Arc::new(Scripted::default());
    let wrapped = Scripted::new([interrupted()]).with_fallback(fallback.clone());
    let error = cause(submit(&gate, 1, &wrapped).await);
    assert!(matches!(error, ExecuteError::Interrupted { .. }));
    assert_eq!(fallback.calls(), 0);
}

#[tokio::test]
async fn reconciles_with_whichever_took_effect() {
    use Reconciled::{Completed, NotFound, Unknown};
    let completed = || Completed(Outcome::new("ok"));
    let cases = [
        (completed(), NotFound, completed()),
        (NotFound, completed(), completed()),
        (Unknown, completed(), completed()),
        (NotFound, NotFound, NotFound),
        (NotFound, Unknown, Unknown),
        (Unknown, NotFound, Unknown),
    ];
    for (primary, fallback, expected) in cases {
        let wrapped = Scripted::default()
            .with_reconciled(primary)
            .with_fallback(Scripted::default().with_reconciled(fallback));
        assert_eq!(wrapped.reconcile(&action("a")).await.unwrap(), expected);
    }
    let cannot_tell = Scripted::default().with_fallback(Scripted::default().with_reconciled(NotFound));
    assert!(cannot_tell.reconcile(&action("a")).await.is_err());
}

#[test]
fn the_first_compensation_counts() {
    let undo = |id| Scripted::default().with_compensation(action(id));
    let of = |executor: &dyn Executor| executor.compensation(&action("a"), &Outcome::default());
    assert_eq!(of(&undo("u1").with_fallback(undo("u2"))), Some(action("u1")));
    assert_eq!(of(&Scripted::default().with_fallback(undo("u2"))), Some(action("u2")));
}

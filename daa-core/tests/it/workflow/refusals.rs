//! Bad input: refused by a typed error, and the run is as it was.

use std::time::Duration;

use daa_core::action::{Action, MAX_PARAMS};
use daa_core::digest::Digest;
use daa_core::id::RunId;
use daa_core::workflow::testing::Script;
use daa_core::workflow::{
    Answer, ApprovalRequest, FailureCause, Refused, Request, RunOutcome, RunState, RunView, Start, Step,
    StepError, StepStatus, Task, Type, Variable, Wait, Workflow, WorkflowError,
};
use serde_json::{Value, json};

use super::world::{Bench, Serving, alice, completed};

fn workflow() -> Workflow {
    Workflow::new("w".parse().unwrap())
}

fn action(name: &str, kind: &str) -> Step {
    Step::action(name.parse().unwrap(), kind.parse().unwrap(), json!({}))
}

fn task(name: &str) -> Task {
    Task::new(name.parse().unwrap(), 0)
}

/// A run that waits, and its worker.
struct Waiting {
    bench: Bench,
    run: RunId,
    serving: Serving,
}

impl Waiting {
    async fn new(workflow: Workflow, input: Value) -> Self {
        Self::on(Bench::new(), workflow, input).await
    }

    async fn on(bench: Bench, workflow: Workflow, input: Value) -> Self {
        let serving = bench.serve("main");
        let run = bench.start("run-1", &workflow, input).await;
        bench.clock.sleep(Duration::from_secs(1)).await;
        Self { bench, run, serving }
    }

    async fn view(&self) -> RunView {
        self.bench.engine.view(&self.run).await.unwrap()
    }

    /// Asks for something that is refused, and checks that the run is as it was.
    async fn refused(&self, request: Request) -> Refused {
        let (before, events) = (self.view().await, self.bench.engine.history(&self.run).await.unwrap());
        let error = self.bench.engine.request(&self.run, request).await.unwrap_err();
        assert_eq!(self.view().await, before);
        assert_eq!(self.bench.engine.history(&self.run).await.unwrap(), events);
        match error {
            WorkflowError::Refused(refused) => refused,
            error => panic!("{error:?}"),
        }
    }

    async fn asked(&self) -> ApprovalRequest {
        let view = self.view().await;
        let (_, request, _) = view.approvals().next().expect("a request for approval");
        request.clone()
    }

    async fn ends(self) -> RunOutcome {
        let ended =
            tokio::time::timeout(Duration::from_secs(3600), self.bench.engine.outcome(&self.run)).await;
        self.serving.stop().await.unwrap();
        ended.expect("the run ends").unwrap()
    }
}

fn approval() -> Workflow {
    let step =
        Step::approval("ask".parse().unwrap(), json!({ "pay": "${input.cents}" }), Duration::from_secs(60));
    workflow().with_step(step).with_step(action("pay", "a").with_after("ask".parse().unwrap()))
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_unknown() {
    let bench = Bench::new();
    let nobody: RunId = "nobody".parse().unwrap();
    assert!(
        matches!(bench.engine.view(&nobody).await, Err(WorkflowError::UnknownRun { run }) if run == nobody)
    );
    assert!(matches!(bench.engine.history(&nobody).await, Err(WorkflowError::UnknownRun { .. })));
    assert!(matches!(bench.engine.outcome(&nobody).await, Err(WorkflowError::UnknownRun { .. })));
    assert!(matches!(bench.engine.pause(&nobody, "").await, Err(WorkflowError::UnknownRun { .. })));
    assert!(matches!(bench.engine.query(&nobody, "input").await, Err(WorkflowError::UnknownRun { .. })));
    let start = Start::new(nobody, "w".parse().unwrap(), alice(), json!(null));
    let error = bench.engine.start(start).await.unwrap_err();
    assert!(matches!(error, WorkflowError::UnknownWorkflow { name } if name.as_str() == "w"));
}

#[tokio::test(start_paused = true)]
async fn an_input_that_does_not_fit_starts_nothing() {
    let bench = Bench::new();
    let typed = workflow().with_input(Type::object([("n", Type::Integer)])).with_step(action("one", "a"));
    bench.engine.register(typed).await.unwrap();
    let start = |run: &str, input: Value| {
        bench.engine.start(Start::new(run.parse().unwrap(), "w".parse().unwrap(), alice(), input))
    };
    let error = start("run-1", json!({ "n": "one" })).await.unwrap_err();
    let WorkflowError::Input(mismatch) = error else { panic!("{error:?}") };
    assert_eq!(mismatch.place, "input.n");
    let error = start("run-1", json!({ "n": 1, "more": "x".repeat(MAX_PARAMS) })).await.unwrap_err();
    assert!(
        matches!(error, WorkflowError::InputTooLarge { actual, limit: MAX_PARAMS } if actual > MAX_PARAMS)
    );
    let error = start(&"r".repeat(111), json!({ "n": 1 })).await.unwrap_err();
    assert!(matches!(error, WorkflowError::Id { .. }), "{error:?}");
    let error = bench.engine.view(&"run-1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, WorkflowError::UnknownRun { .. }));
    assert_eq!(bench.engine.metrics().runs_started, 0);
    start("run-1", json!({ "n": 1 })).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_for_approval_is_answered_once_by_whoever_may_and_about_what_is_asked() {
    let step =
        Step::approval("ask".parse().unwrap(), json!({ "pay": "${input.cents}" }), Duration::from_secs(60));
    let listed = step.with_approvers([alice(), "mallory".parse().unwrap()]);
    let flow = workflow().with_step(listed).with_step(action("pay", "a").with_after("ask".parse().unwrap()));
    let waiting = Waiting::new(flow, json!({ "cents": 5 })).await;
    let asked = waiting.asked().await;
    let answer =
        |by: &str, subject| Request::Answer(Answer::approve(task("ask"), subject, by.parse().unwrap()));
    let other = Digest::of(b"something else");
    let refused = waiting.refused(answer("alice", other)).await;
    assert_eq!(refused, Refused::Changed { asked: asked.subject, answered: other });
    let refused = waiting.refused(answer("bob", asked.subject)).await;
    let entitled = |refused: &Refused, who: &str, why: &str| matches!(refused, Refused::NotEntitled { by, reason, .. } if by.as_str() == who && reason == why);
    assert!(entitled(&refused, "bob", "the request names others"), "{refused:?}");
    let refused = waiting.refused(answer("mallory", asked.subject)).await;
    assert!(entitled(&refused, "mallory", "not you"), "{refused:?}");
    let none = Request::Answer(Answer::approve(task("pay"), asked.subject, alice()));
    assert_eq!(waiting.refused(none).await, Refused::NotAsked { task: task("pay") });
    let none = Request::Answer(Answer::approve(task("nowhere"), asked.subject, alice()));
    assert_eq!(waiting.refused(none).await, Refused::NotAsked { task: task("nowhere") });
    let long = Answer::approve(task("ask"), asked.subject, alice()).with_comment("x".repeat(5_000));
    let refused = waiting.refused(Request::Answer(long)).await;
    assert_eq!(refused, Refused::TooLarge { what: "comment", actual: 5_000, limit: 4_096 });
    waiting.bench.engine.request(&waiting.run, answer("alice", asked.subject)).await.unwrap();
    let refused = waiting.refused(answer("alice", asked.subject)).await;
    assert_eq!(refused, Refused::Answered { by: alice() });
    assert_eq!(waiting.bench.outside.log(), [""; 0], "the worker has not come to it yet");
    assert_eq!(waiting.ends().await, completed(Value::Null));
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_two_people_at_once_counts_once() {
    let waiting = Waiting::new(approval(), json!({ "cents": 5 })).await;
    let asked = waiting.asked().await;
    let engine = &waiting.bench.engine;
    let yes = Answer::approve(task("ask"), asked.subject, alice());
    let no = Answer::turn_down(task("ask"), asked.subject, "bob".parse().unwrap());
    let (yes, no) = tokio::join!(engine.answer(&waiting.run, yes), engine.answer(&waiting.run, no));
    assert!(yes.is_ok() != no.is_ok(), "{yes:?} {no:?}");
    let refused = yes.err().or(no.err()).unwrap();
    assert!(matches!(refused, WorkflowError::Refused(Refused::Answered { .. })), "{refused:?}");
    waiting.ends().await;
}

#[tokio::test(start_paused = true)]
async fn under_changed_rules_approval_is_asked_for_again() {
    let waiting = Waiting::new(approval(), json!({ "cents": 5 })).await;
    let first = waiting.asked().await;
    waiting.serving.stop().await.unwrap();
    // The process comes back with other rules.
    let before = &waiting.bench;
    let bench = Bench::on(before.store.clone(), before.clock.clone(), before.outside.clone(), "rules 2");
    let serving = bench.serve("main");
    bench.clock.sleep(Duration::from_secs(1)).await;
    let run = waiting.run;
    let answer = Answer::approve(task("ask"), first.subject, alice());
    let error = bench.engine.answer(&run, answer).await.unwrap_err();
    let WorkflowError::Refused(Refused::RulesChanged { asked, current }) = error else { panic!("{error:?}") };
    assert_eq!((asked, current), (Digest::of(b"rules 1"), Digest::of(b"rules 2")));
    bench.clock.sleep(Duration::from_secs(1)).await;
    let waiting = Waiting { bench, run, serving };
    let again = waiting.asked().await;
    assert_eq!((again.number, again.ruleset, again.subject), (2, Digest::of(b"rules 2"), first.subject));
    let answer = Answer::approve(task("ask"), again.subject, alice());
    waiting.bench.engine.answer(&waiting.run, answer).await.unwrap();
    assert_eq!(waiting.ends().await, completed(Value::Null));
}

#[tokio::test(start_paused = true)]
async fn an_expired_request_fails_its_step() {
    let bench = Bench::new();
    let run = bench.start("run-1", &approval(), json!({ "cents": 5 })).await;
    let first = bench.serve("main");
    bench.clock.sleep(Duration::from_secs(1)).await;
    let view = bench.engine.view(&run).await.unwrap();
    let subject = view.approvals().next().unwrap().1.subject;
    // Nobody is there when it expires.
    first.stop().await.unwrap();
    bench.clock.sleep(Duration::from_secs(60)).await;
    let late = bench.engine.answer(&run, Answer::approve(task("ask"), subject, alice())).await;
    assert!(matches!(late, Err(WorkflowError::Refused(Refused::Expired))), "{late:?}");
    assert_eq!(bench.engine.view(&run).await.unwrap(), view);
    let waiting = Waiting { serving: bench.serve("main"), bench, run };
    let outcome = waiting.ends().await;
    let RunOutcome::RolledBack { cause: FailureCause::Step { error, .. }, .. } = outcome else { panic!() };
    assert_eq!(error, StepError::NotApproved);
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_is_turned_down_fails_its_step() {
    let waiting = Waiting::new(approval(), json!({ "cents": 5 })).await;
    let answer =
        Answer::turn_down(task("ask"), waiting.asked().await.subject, alice()).with_comment("too much");
    waiting.bench.engine.answer(&waiting.run, answer).await.unwrap();
    let RunOutcome::RolledBack { cause: FailureCause::Step { error, .. }, .. } = waiting.ends().await else {
        panic!()
    };
    assert_eq!(error, StepError::TurnedDown { by: alice(), comment: "too much".to_owned() });
}

fn signal() -> Workflow {
    let wait = Step::signal("wait".parse().unwrap(), "go".parse().unwrap()).with_gives(Type::Integer);
    workflow()
        .with_var("ceiling", Variable::new(Type::Integer, 1))
        .with_step(wait)
        .with_output(json!({ "went": "${wait}", "ceiling": "${vars.ceiling}" }))
}

#[tokio::test(start_paused = true)]
async fn signals_and_updates_are_of_their_types() {
    let waiting = Waiting::new(signal(), json!(null)).await;
    let send = |signal: &str, payload: Value, key: Option<String>| Request::Signal {
        signal: signal.parse().unwrap(),
        payload,
        key,
    };
    let refused = waiting.refused(send("stop", json!(1), None)).await;
    assert_eq!(refused, Refused::NoSuchSignal { signal: "stop".parse().unwrap() });
    let refused = waiting.refused(send("go", json!("one"), None)).await;
    assert!(matches!(refused, Refused::Mismatch(mismatch) if mismatch.place == "go"));
    let refused = waiting.refused(send("go", json!(1), Some("k".repeat(201)))).await;
    assert_eq!(refused, Refused::TooLarge { what: "key", actual: 201, limit: 200 });
    let update = |var: &str, value: Value| Request::Update { var: var.to_owned(), value };
    let refused = waiting.refused(update("floor", json!(1))).await;
    assert_eq!(refused, Refused::NoSuchVariable { var: "floor".to_owned() });
    let refused = waiting.refused(update("ceiling", json!("high"))).await;
    assert!(matches!(refused, Refused::Mismatch(mismatch) if mismatch.place == "vars.ceiling"));
    assert_eq!(waiting.refused(Request::Resume).await, Refused::NotPaused);
    let reason = "x".repeat(5_000);
    let refused = waiting.refused(Request::Pause { reason: reason.clone() }).await;
    assert_eq!(refused, Refused::TooLarge { what: "reason", actual: 5_000, limit: 4_096 });
    let refused = waiting.refused(Request::Cancel { by: alice(), reason }).await;
    assert!(matches!(refused, Refused::TooLarge { what: "reason", .. }));
    assert_eq!(waiting.view().await.state, RunState::Running);
    let engine = &waiting.bench.engine;
    engine.update(&waiting.run, "ceiling", json!(9)).await.unwrap();
    engine.request(&waiting.run, send("go", json!(7), None)).await.unwrap();
    assert_eq!(waiting.ends().await, completed(json!({ "went": 7, "ceiling": 9 })));
}

#[tokio::test(start_paused = true)]
async fn a_payload_or_a_value_beyond_the_limit_is_refused() {
    let wait = Step::signal("wait".parse().unwrap(), "go".parse().unwrap());
    let flow = workflow().with_var("text", Variable::new(Type::String, "")).with_step(wait);
    let waiting = Waiting::new(flow, json!(null)).await;
    let large = json!("x".repeat(MAX_PARAMS));
    let signal = Request::Signal { signal: "go".parse().unwrap(), payload: large.clone(), key: None };
    let refused = waiting.refused(signal).await;
    assert!(matches!(refused, Refused::TooLarge { what: "payload", limit: MAX_PARAMS, .. }));
    let refused = waiting.refused(Request::Update { var: "text".to_owned(), value: large }).await;
    assert!(matches!(refused, Refused::TooLarge { what: "value", limit: MAX_PARAMS, .. }));
    waiting.bench.engine.signal(&waiting.run, "go".parse().unwrap(), json!(null), None).await.unwrap();
    assert_eq!(waiting.ends().await, completed(Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_ended_takes_nothing() {
    let waiting = Waiting::new(signal(), json!(null)).await;
    waiting.bench.engine.signal(&waiting.run, "go".parse().unwrap(), json!(1), None).await.unwrap();
    waiting.bench.engine.outcome(&waiting.run).await.unwrap();
    let answer = Answer::approve(task("wait"), Digest::of(b"x"), alice());
    let requests = [
        Request::Signal { signal: "go".parse().unwrap(), payload: json!(1), key: None },
        Request::Answer(answer),
        Request::Update { var: "ceiling".to_owned(), value: json!(1) },
        Request::Pause { reason: String::new() },
        Request::Resume,
        Request::Cancel { by: alice(), reason: String::new() },
    ];
    for request in requests {
        assert_eq!(waiting.refused(request).await, Refused::Ended);
    }
    waiting.ends().await;
}

/// Whether an error is the one that was expected.
type Judge = fn(&StepError) -> bool;

#[tokio::test(start_paused = true)]
async fn an_output_that_is_of_no_use_is_undone() {
    let large = || json!("x".repeat(MAX_PARAMS));
    let cases: [(Script, Judge); 3] = [
        (
            Script::succeed("text"),
            |error| matches!(error, StepError::Mismatch(text) if text.contains("expected integer")),
        ),
        (Script::succeed(large()), |error| matches!(error, StepError::OutputOutOfBounds(_))),
        // The same, when the executor is asked afterwards.
        (Script::lose_answer(large()), |error| matches!(error, StepError::OutputOutOfBounds(_))),
    ];
    for (script, expected) in cases {
        let bench = Bench::new();
        bench.outside.script("a", [script]);
        let one =
            action("one", "a").with_gives(Type::Integer).with_undo("refund".parse().unwrap(), json!({}));
        let outcome = bench.run(&workflow().with_step(one), json!(null)).await;
        let RunOutcome::RolledBack { cause: FailureCause::Step { error, .. }, left } = outcome else {
            panic!()
        };
        assert!(expected(&error), "{error:?}");
        assert_eq!(left, []);
        assert_eq!(bench.outside.log(), ["run-1/one", "run-1/one/undo"]);
    }
}

#[tokio::test(start_paused = true)]
async fn parameters_that_do_not_fit_are_never_performed() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::succeed("text")]);
    let takes = Type::object([("n", Type::Integer)]);
    let two = Step::action("two".parse().unwrap(), "b".parse().unwrap(), json!({ "n": "${one}" }))
        .with_takes(takes);
    let outcome = bench.run(&workflow().with_step(action("one", "a")).with_step(two), json!(null)).await;
    let RunOutcome::RolledBack { cause: FailureCause::Step { error, .. }, .. } = outcome else { panic!() };
    assert!(matches!(error, StepError::Mismatch(text) if text.contains("with.n")));
    assert_eq!(bench.outside.log(), ["run-1/one"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_rules_deny_is_never_performed() {
    let bench = Bench::new();
    let outcome = bench.run(&workflow().with_step(action("one", "deny.it")), json!(null)).await;
    let RunOutcome::RolledBack { cause: FailureCause::Step { error, .. }, .. } = outcome else { panic!() };
    assert_eq!(error, StepError::Denied { reason: "denied by kind".to_owned(), rules: Vec::new() });
    assert_eq!(bench.outside.calls("run-1/one"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_action_nobody_performs_fails_its_step() {
    let bench = Bench::new();
    let outcome = bench.run(&workflow().with_step(action("one", "unheard.of")), json!(null)).await;
    let RunOutcome::RolledBack { cause: FailureCause::Step { error, .. }, .. } = outcome else { panic!() };
    assert!(matches!(error, StepError::Executor(text) if text.contains("no executor")));
}

#[tokio::test(start_paused = true)]
async fn an_action_that_the_rules_escalate_waits_for_approval_of_exactly_this_action() {
    let flow = workflow().with_step(action("one", "escalate.it")).with_output("${one}");
    let waiting = Waiting::new(flow, json!(null)).await;
    waiting.bench.outside.script("escalate.it", [Script::succeed("approved")]);
    let status = waiting.view().await.step(&"one".parse().unwrap()).unwrap().status.clone();
    assert!(matches!(status, StepStatus::Waiting { on: Wait::Approval(_), .. }), "{status:?}");
    let asked = waiting.asked().await;
    assert_eq!(asked.reason, "ask somebody");
    let mallory = Answer::approve(task("one"), asked.subject, "mallory".parse().unwrap());
    let refused = waiting.refused(Request::Answer(mallory)).await;
    assert!(matches!(refused, Refused::NotEntitled { reason, .. } if reason == "not you"));
    assert_eq!(waiting.bench.outside.calls("run-1/one"), 0);
    let answer = Answer::approve(task("one"), asked.subject, alice());
    waiting.bench.engine.answer(&waiting.run, answer).await.unwrap();
    assert_eq!(waiting.ends().await, completed("approved"));
}

#[tokio::test(start_paused = true)]
async fn an_approval_of_another_action_than_the_one_that_waits_is_refused() {
    let of_x =
        Step::action("one".parse().unwrap(), "escalate.it".parse().unwrap(), json!({ "x": "${vars.x}" }));
    let flow = workflow().with_var("x", Variable::new(Type::Integer, 1)).with_step(of_x);
    let waiting = Waiting::new(flow, json!(null)).await;
    let asked = waiting.asked().await;
    let like = |params: Value| {
        let action = Action::new("run-1/one".parse().unwrap(), "escalate.it".parse().unwrap(), alice());
        action.unwrap().with_params(params).unwrap().digest()
    };
    assert_eq!(asked.subject, like(json!({ "x": 1 })));
    waiting.bench.engine.update(&waiting.run, "x", 2).await.unwrap();
    // Neither something else, nor what it would be if it were asked for now.
    for other in [Digest::of(b"other"), like(json!({ "x": 2 }))] {
        let answer = Answer::approve(task("one"), other, "bob".parse().unwrap());
        let refused = waiting.refused(Request::Answer(answer)).await;
        assert_eq!(refused, Refused::Changed { asked: asked.subject, answered: other });
    }
    let answer = Answer::approve(task("one"), asked.subject, "bob".parse().unwrap());
    waiting.bench.engine.answer(&waiting.run, answer).await.unwrap();
    assert_eq!(waiting.bench.engine.outcome(&waiting.run).await.unwrap(), completed(json!(null)));
    assert_eq!(waiting.bench.outside.effects()[0].params, json!({ "x": 1 }));
}

#[tokio::test(start_paused = true)]
async fn an_approval_of_what_a_variable_has_changed_since_is_refused_and_asked_again() {
    let bench = Bench::new();
    let flow = Workflow::new("pay".parse().unwrap())
        .with_var("amount", Variable::new(Type::Integer, 1))
        .with_step(Step::approval(
            "ask".parse().unwrap(),
            json!({ "pay": "${vars.amount}" }),
            Duration::from_secs(60),
        ));
    let serving = bench.serve("main");
    let run = bench.start("run-1", &flow, json!(null)).await;
    bench.clock.sleep(Duration::from_secs(1)).await;
    let asked = |view: &RunView| view.approvals().next().unwrap().1.subject;
    let before = asked(&bench.engine.view(&run).await.unwrap());
    bench.engine.update(&run, "amount", 1_000_000).await.unwrap();
    let answer = |subject| Answer::approve(task("ask"), subject, "bob".parse().unwrap());
    let refused = bench.engine.answer(&run, answer(before)).await;
    assert!(matches!(refused, Err(WorkflowError::Refused(Refused::Changed { .. }))), "{refused:?}");
    bench.clock.sleep(Duration::from_secs(1)).await;
    let after = asked(&bench.engine.view(&run).await.unwrap());
    assert_ne!(before, after, "it is asked again, for what it is now");
    bench.engine.answer(&run, answer(after)).await.unwrap();
    assert!(matches!(bench.engine.outcome(&run).await.unwrap(), RunOutcome::Completed { .. }));
    serving.stop().await.unwrap();
}

use serde_json::{Value, json};

use super::super::{Cause, DefinitionErrors, Retry, Step, Type, Workflow};
use super::{unchecked, wrong};

/// A workflow with the steps `first` (an action that gives `{ id: string, score: integer, list: [string] }`) and,
/// behind it, the one that is tested.
fn with_step(step: Value) -> Value {
    let gives = json!({ "id": "string", "score": "integer", "list": ["string"] });
    json!({
        "workflow": "w",
        "input": { "name": "string", "cents": "integer", "tags": ["string"], "note?": "string" },
        "vars": { "top": { "type": "number", "value": 1 } },
        "steps": [{ "step": "first", "action": { "kind": "k" }, "gives": gives }, step],
    })
}

fn action(with: Value, takes: Value) -> Value {
    json!({ "step": "s", "action": { "kind": "k", "with": with, "takes": takes } })
}

fn merged(mut step: Value, more: Value) -> Value {
    step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    step
}

/// The only problem of a step, and its place in it.
#[track_caller]
fn only(step: Value) -> (String, Cause) {
    let found = wrong(with_step(step));
    let [(place, cause)] = found.as_slice() else { panic!("one problem, not {found:?}") };
    (place.strip_prefix("steps.s").unwrap_or(place).trim_start_matches('.').to_owned(), cause.clone())
}

#[track_caller]
fn fine(step: Value) {
    assert_eq!(wrong(with_step(step)), []);
}

fn mismatch(found: &str, expected: Type) -> Cause {
    Cause::Mismatch { found: found.to_owned(), expected }
}

#[test]
fn references_must_lead_somewhere() {
    let unknown = |name: &str, suggestion: &str| Cause::UnknownStep {
        name: name.to_owned(),
        suggestion: (!suggestion.is_empty()).then(|| suggestion.to_owned()),
    };
    let field = |of: &str, field: &str, suggestion: &str| Cause::UnknownField {
        of: of.to_owned(),
        field: field.to_owned(),
        suggestion: (!suggestion.is_empty()).then(|| suggestion.to_owned()),
    };
    let cases = [
        ("${frist.id}", unknown("frist", "first")),
        ("${inputs.name}", unknown("inputs", "input")),
        ("${zzz}", unknown("zzz", "")),
        ("${input.nmae}", field("input", "nmae", "name")),
        ("${input.name.length}", field("input.name", "length", "")),
        ("${input.tags.first}", field("input.tags", "first", "")),
        ("${vars.tpo}", field("vars", "tpo", "top")),
        ("${run.name}", field("run", "name", "")),
        ("hello ${first.di}", field("first", "di", "id")),
        ("${item}", Cause::OutsideLoop { root: "item".to_owned() }),
        ("${index}", Cause::OutsideLoop { root: "index".to_owned() }),
        ("${last.x}", Cause::OutsideLoop { root: "last".to_owned() }),
        ("${}", Cause::Reference { text: "${}".to_owned() }),
        ("${a b}", Cause::Reference { text: "${a b}".to_owned() }),
        ("${first", Cause::Reference { text: "${first".to_owned() }),
    ];
    for (text, cause) in cases {
        assert_eq!(
            only(action(json!({ "a": [text] }), json!("any"))),
            ("with.a.0".to_owned(), cause),
            "{text}"
        );
    }
    for text in ["${run.id}", "${run.workflow}", "${input.tags.0}", "$${none}", "${vars.top} ${first.score}"]
    {
        fine(action(json!(text), json!("any")));
    }
}

#[test]
fn templates_must_yield_what_is_taken() {
    let takes = json!({ "cents": "integer", "name?": "string", "tags?": ["string"], "in?": { "x": "bool" } });
    let cases = [
        (json!({ "cents": "${input.cents}", "tags": ["${first.id}", "b"] }), None),
        (json!({ "cents": 1, "more": "${input.tags}" }), None),
        (json!({ "cents": "${input.name}" }), Some(("with.cents", mismatch("string", Type::Integer)))),
        (json!({ "cents": "${vars.top}" }), Some(("with.cents", mismatch("number", Type::Integer)))),
        (json!({ "cents": "a ${input.cents}" }), Some(("with.cents", mismatch("string", Type::Integer)))),
        (
            json!({ "cents": 1.5 }),
            Some(("with.cents", mismatch("a number that is not whole", Type::Integer))),
        ),
        (json!({ "name": "${input.name}" }), Some(("with.cents", mismatch("missing", Type::Integer)))),
        (
            json!({ "cents": 1, "name": "${input.note}" }),
            Some(("with.name", mismatch("string?", Type::String))),
        ),
        (
            json!({ "cents": 1, "tags": ["a", "${input.cents}"] }),
            Some(("with.tags.1", mismatch("integer", Type::String))),
        ),
        (
            json!({ "cents": 1, "tags": { "a": "${input.name}" } }),
            Some(("with.tags", mismatch("an object", Type::list(Type::String)))),
        ),
        (
            json!({ "cents": 1, "in": { "x": "${input.name}" } }),
            Some(("with.in.x", mismatch("string", Type::Bool))),
        ),
    ];
    for (with, expected) in cases {
        let step = action(with.clone(), takes.clone());
        match expected {
            None => fine(step),
            Some((place, cause)) => assert_eq!(only(step), (place.to_owned(), cause), "{with}"),
        }
    }
    assert_eq!(only(action(json!(["${input.name}"]), takes)).1, {
        let fields = [("cents", Type::Integer), ("name?", Type::String)];
        let more = [("tags?", Type::list(Type::String)), ("in?", Type::object([("x", Type::Bool)]))];
        mismatch("a list", Type::object(fields.into_iter().chain(more)))
    });
}

#[test]
fn what_may_be_skipped_or_may_fail_may_be_null() {
    let base = |more: Value| {
        let mut all = with_step(merged(
            json!({ "step": "maybe", "action": { "kind": "k" }, "gives": "integer" }),
            more,
        ));
        let user = json!({ "step": "s", "action": { "kind": "k", "with": "${maybe}", "takes": "integer" } });
        all["steps"].as_array_mut().unwrap().push(user);
        wrong(all)
    };
    assert_eq!(base(json!({})), []);
    let null = [("steps.s.with".to_owned(), mismatch("integer?", Type::Integer))];
    assert_eq!(base(json!({ "when": { "present": "${input.note}" } })), null);
    assert_eq!(base(json!({ "on_failure": "continue" })), null);
    let list = [("steps.s.with".to_owned(), mismatch("[\"integer\"]", Type::Integer))];
    assert_eq!(base(json!({ "each": { "of": "${input.tags}" } })), list);
}

#[test]
fn loops_have_their_own_names() {
    let each = json!({ "each": { "of": "${input.tags}" } });
    fine(merged(action(json!(["${item}", "${index}"]), json!("any")), each.clone()));
    let (place, cause) = only(merged(action(json!("${item}"), json!("integer")), each.clone()));
    assert_eq!((place.as_str(), cause), ("with", mismatch("string", Type::Integer)));
    let outside = Cause::OutsideLoop { root: "last".to_owned() };
    assert_eq!(
        only(merged(action(json!("${last}"), json!("any")), each.clone())),
        ("with".to_owned(), outside)
    );
    let when = json!({ "when": { "present": "${item}" } });
    let outside = Cause::OutsideLoop { root: "item".to_owned() };
    assert_eq!(only(merged(merged(action(json!(1), json!("any")), each.clone()), when)).1, outside);

    let until = json!({ "until": { "gt": ["${last}", 3] }, "at_most": 9 });
    let repeat = json!({ "repeat": until, "gives": "integer" });
    fine(merged(action(json!(["${last}", "${index}"]), json!(["integer?"])), repeat.clone()));
    let first = only(merged(action(json!("${last}"), json!("integer")), repeat.clone()));
    assert_eq!(first, ("with".to_owned(), mismatch("integer?", Type::Integer)));
    assert_eq!(
        only(merged(merged(action(json!(1), json!("any")), each), repeat)),
        ("repeat".to_owned(), Cause::TwoLoops)
    );

    let no_list = json!({ "each": { "of": "${input.name}" } });
    let cause = mismatch("string", Type::list(Type::Any));
    assert_eq!(only(merged(action(json!(1), json!("any")), no_list)), ("each.of".to_owned(), cause));
}

#[test]
fn a_loop_is_bounded() {
    let times = |at_most: u32| {
        let repeat = json!({ "until": { "gt": ["${last}", 3] }, "at_most": at_most });
        merged(action(json!(1), json!("any")), json!({ "repeat": repeat, "gives": "integer" }))
    };
    fine(times(1_000));
    let cause = Cause::TooManyTimes { found: 1_001, max: 1_000 };
    assert_eq!(only(times(1_001)), ("repeat.at_most".to_owned(), cause));
}

#[test]
fn conditions_compare_what_can_be_compared() {
    let when = |condition: Value| merged(action(json!(1), json!("any")), json!({ "when": condition }));
    for condition in [
        json!({ "gt": ["${first.score}", 1.5] }),
        json!({ "lt": ["${input.name}", "m"] }),
        json!({ "eq": ["${input.note}", null] }),
        json!({ "in": ["${input.name}", "${input.tags}"] }),
        json!({ "all": [{ "not": { "present": "${input.note}" } }, { "any": [] }] }),
    ] {
        fine(when(condition));
    }
    let not = |left, right| Cause::NotComparable { left, right };
    let cases = [
        (json!({ "gt": ["${first.score}", "700"] }), "gt", not(Type::Integer, Type::String)),
        (json!({ "all": [{ "le": [true, "${vars.top}"] }] }), "all.0.le", not(Type::Bool, Type::Number)),
        (json!({ "lt": [true, false] }), "lt", not(Type::Bool, Type::Bool)),
        (json!({ "not": { "eq": ["${input.cents}", "1"] } }), "not.eq", not(Type::Integer, Type::String)),
        (json!({ "in": [1, "${input.tags}"] }), "in", not(Type::Integer, Type::list(Type::String))),
        (json!({ "in": ["x", "${input.name}"] }), "in", not(Type::String, Type::String)),
        (json!({ "true": "${input.name}" }), "true", mismatch("string", Type::optional(Type::Bool))),
    ];
    for (condition, place, cause) in cases {
        assert_eq!(only(when(condition)), (format!("when.{place}"), cause));
    }
}

#[test]
fn an_undo_refers_to_what_has_run() {
    let undo = |with: &str| {
        let undo =
            json!({ "undo": { "action": { "kind": "u", "with": with } }, "gives": { "id": "string" } });
        let mut all = with_step(merged(action(json!("${first.id}"), json!("any")), undo));
        let later = json!({ "step": "later", "after": ["s"], "action": { "kind": "k" } });
        all["steps"].as_array_mut().unwrap().push(later);
        wrong(all)
    };
    for with in ["${s.id}", "${first.id}", "${input.name} ${vars.top} ${run.id}"] {
        assert_eq!(undo(with), [], "{with}");
    }
    let place = || "steps.s.undo.with".to_owned();
    assert_eq!(undo("${later}"), [(place(), Cause::UndoReference { step: "later".to_owned() })]);
    let field = Cause::UnknownField { of: "s".to_owned(), field: "x".to_owned(), suggestion: None };
    assert_eq!(undo("${s.x}"), [(place(), field)]);
    assert_eq!(undo("${item}"), [(place(), Cause::OutsideLoop { root: "item".to_owned() })]);
    let sleep = json!({ "step": "s", "sleep": "1s", "undo": "nothing" });
    assert_eq!(only(sleep), ("undo".to_owned(), Cause::UndoOfNoAction));
    // What is two steps before has run too.
    let mut all = with_step(json!({ "step": "s", "after": ["first"], "sleep": "1s" }));
    let undo = json!({ "action": { "kind": "u", "with": "${first.id}" } });
    let last = json!({ "step": "third", "after": ["s"], "action": { "kind": "k" }, "undo": undo });
    all["steps"].as_array_mut().unwrap().push(last);
    assert_eq!(wrong(all), []);
}

#[test]
fn where_each_action_must_be_undone_silence_is_refused() {
    let mut all = with_step(json!({ "step": "s", "sleep": "1s" }));
    all["undo_required"] = json!(true);
    let cause = Cause::UndoUnsaid { step: "first".try_into().unwrap() };
    assert_eq!(wrong(all.clone()), [("steps.first.undo".to_owned(), cause)]);
    all["steps"][0]["undo"] = json!("nothing");
    assert_eq!(wrong(all), []);
}

#[test]
fn names_are_short_plain_and_unique() {
    let named = |name: &str| {
        wrong(with_step(json!({ "step": name, "sleep": "1s" })))
            .first()
            .map(|(place, cause)| (place.clone(), cause.clone()))
    };
    let bad = |name: &str| Some(("steps.1.step".to_owned(), Cause::Name { name: name.to_owned(), max: 60 }));
    let long = format!("a{}", "b".repeat(60));
    for name in ["Upper", "1st", "a.b", "-a", "a/b", &long] {
        assert_eq!(named(name), bad(name));
    }
    assert_eq!(named(&"a".repeat(60)), None);
    let duplicate = Cause::DuplicateStep { name: "first".try_into().unwrap() };
    assert_eq!(named("first"), Some(("steps.1.step".to_owned(), duplicate)));
    for name in ["input", "vars", "run", "item", "index", "last", "undo", "approval"] {
        let taken = Cause::ReservedName { name: name.to_owned() };
        assert_eq!(named(name), Some((format!("steps.{name}.step"), taken)));
    }
    let mut all = with_step(json!({ "step": "s", "sleep": "1s" }));
    all["vars"]["No"] = json!({ "type": "string", "value": 1 });
    let found = wrong(all);
    assert_eq!(found[0], ("vars.No".to_owned(), Cause::Name { name: "No".to_owned(), max: 60 }));
    assert_eq!(found[1], ("vars.No.value".to_owned(), mismatch("a number", Type::String)));
}

#[test]
fn times_retries_and_limits_make_sense() {
    let act = |more: Value| merged(action(json!(1), json!("any")), more);
    let at = |place: &str, cause: Cause| (place.to_owned(), cause);
    let cases = [
        (act(json!({ "deadline": "0s" })), at("deadline", Cause::NoTime)),
        (act(json!({ "deadline": "11years" })), at("deadline", Cause::TooLong)),
        (json!({ "step": "s", "sleep": "11years" }), at("sleep", Cause::TooLong)),
        (json!({ "step": "s", "until": "soon" }), at("until", mismatch("text", Type::Integer))),
        (json!({ "step": "s", "approval": { "of": 1, "within": "0s" } }), at("within", Cause::NoTime)),
        (act(json!({ "heartbeat": "0s" })), at("heartbeat", Cause::NoTime)),
        (
            act(json!({ "retry": { "tries": 2, "factor": 0.5 } })),
            at("retry.factor", Cause::RetryFactor { found: 0.5 }),
        ),
        (
            act(json!({ "retry": { "tries": 2, "jitter": 1.5 } })),
            at("retry.jitter", Cause::RetryJitter { found: 1.5 }),
        ),
        (act(json!({ "retry": { "tries": 2, "first": "1h" } })), at("retry.longest", Cause::RetryWaits)),
        (act(json!({ "retry": { "tries": 2, "longest": "99years" } })), at("retry.longest", Cause::TooLong)),
        (
            act(json!({ "retry": { "tries": null, "first": "0s" } })),
            at("retry.first", Cause::RetryWithoutWait),
        ),
        (act(json!({ "limit": { "key": "k" } })), at("limit", Cause::NoLimit)),
        (
            act(json!({ "limit": { "key": 1, "at_once": 1 } })),
            at("limit.key", mismatch("a number", Type::String)),
        ),
        (
            act(json!({ "limit": { "key": "k", "rate": { "count": 1, "per": "0s" } } })),
            at("limit.rate.per", Cause::NoTime),
        ),
        (
            act(json!({ "limit": { "key": "k", "rate": { "count": 100_001, "per": "1s" } } })),
            at("limit.rate.count", Cause::RateTooLarge { found: 100_001, max: 100_000 }),
        ),
        (act(json!({ "after": ["s"] })), at("after.0", Cause::DependsOnItself)),
        (
            act(json!({ "after": ["frist"] })),
            at(
                "after.0",
                Cause::UnknownStep { name: "frist".to_owned(), suggestion: Some("first".to_owned()) },
            ),
        ),
        (action(json!("${s}"), json!("any")), at("", Cause::DependsOnItself)),
    ];
    for (step, expected) in cases {
        assert_eq!(only(step.clone()), expected, "{step}");
    }
    let step = Step::action("a".try_into().unwrap(), "k".try_into().unwrap(), json!(1));
    let endless = step.with_retry(Retry::times(2).with_factor(f64::INFINITY));
    let errors = Workflow::new("w".try_into().unwrap()).with_step(endless).check().unwrap_err();
    assert_eq!(errors.problems()[0].cause, Cause::RetryFactor { found: f64::INFINITY });
}

/// Every field of a step against every kind.
#[test]
fn what_means_nothing_for_a_kind_of_step_is_refused() {
    let kinds = [
        ("action", json!({ "kind": "k" })),
        ("sleep", json!("1s")),
        ("until", json!(7)),
        ("signal", json!({ "name": "go" })),
        ("approval", json!({ "of": 1, "within": "1h" })),
        ("workflow", json!({ "name": "other" })),
    ];
    let any = |_: &'static str, _: &'static str| None;
    let actions =
        |kind: &'static str, what: &'static str| (kind != "action").then_some(Cause::OnlyActions { what });
    let not_of = |kinds: &'static [&'static str]| {
        move |kind: &'static str, what: &'static str| {
            kinds.contains(&kind).then_some(Cause::NotOfThisKind { what, kind })
        }
    };
    type Refused = Box<dyn Fn(&'static str, &'static str) -> Option<Cause>>;
    let fields: [(&str, Value, Refused); 13] = [
        ("after", json!(["first"]), Box::new(any)),
        ("when", json!({ "present": "${input.note}" }), Box::new(any)),
        ("each", json!({ "of": "${input.tags}", "at_once": 1 }), Box::new(any)),
        ("repeat", json!({ "until": { "true": true }, "at_most": 2 }), Box::new(any)),
        ("on_failure", json!("continue"), Box::new(any)),
        ("retry", json!({ "tries": 2 }), Box::new(actions)),
        ("try_timeout", json!("1s"), Box::new(actions)),
        ("heartbeat", json!("1s"), Box::new(actions)),
        ("undo", json!("nothing"), Box::new(|kind, _| (kind != "action").then_some(Cause::UndoOfNoAction))),
        (
            "undo",
            json!({ "action": { "kind": "k" } }),
            Box::new(|kind, _| (kind != "action").then_some(Cause::UndoOfNoAction)),
        ),
        ("deadline", json!("1h"), Box::new(not_of(&["sleep", "until"]))),
        ("limit", json!({ "key": "k", "at_once": 1 }), Box::new(not_of(&["sleep", "until", "signal"]))),
        ("gives", json!({ "by": "string" }), Box::new(not_of(&["sleep", "until"]))),
    ];
    for (kind, what) in kinds {
        for (field, value, refused) in &fields {
            let step = json!({ "step": "s", kind: what, *field: value });
            match refused(kind, field) {
                None => fine(step),
                Some(cause) => assert_eq!(only(step.clone()), ((*field).to_owned(), cause), "{step}"),
            }
        }
    }
    let answer =
        json!({ "step": "s", "approval": { "of": 1, "within": "1h" }, "gives": { "who": "string" } });
    assert!(matches!(only(answer), (place, Cause::Mismatch { .. }) if place == "gives"));
}

#[test]
fn a_retry_says_how_many_tries() {
    let read = |retry: Value| serde_json::from_value::<Retry>(retry);
    assert_eq!(read(json!({ "tries": null })).unwrap(), Retry::forever());
    assert_eq!(read(json!({ "tries": 3 })).unwrap(), Retry::times(3));
    let waits = read(json!({ "first": "5s" })).unwrap_err().to_string();
    assert_eq!(
        waits,
        "a retry says how many tries there are: tries: 5, or tries: null for as many as it takes"
    );
    for retry in [Retry::default(), Retry::forever(), Retry::times(3).with_jitter(0.0)] {
        assert_eq!(read(serde_json::to_value(&retry).unwrap()).unwrap(), retry);
    }
    let step = r#"{
  "workflow": "w",
  "steps": [{ "step": "s", "action": { "kind": "k" },
    "undo": { "action": { "kind": "u",
      "retry": { "first": "5s" } } } }]
}"#;
    let said = Workflow::from_json(step).unwrap_err().to_string();
    assert!(said.starts_with("5:16: steps.s.undo.retry") && said.contains("how many tries"), "{said}");
}

#[test]
fn costs_are_money() {
    let cost = |cost: Value| json!({ "step": "s", "action": { "kind": "k", "max_cost": cost } });
    fine(cost(serde_json::to_value(crate::amount::Currency::new("EUR", 2).unwrap().units(3)).unwrap()));
    assert_eq!(only(cost(json!("1 EUR"))).0, "max_cost");
    assert_eq!(
        only(cost(json!({ "amount": 1, "currency": { "code": "EUR", "decimals": 2 } }))).0,
        "max_cost.amount"
    );
    assert_eq!(only(cost(json!({ "amount": "${input.name}", "currency": {} }))).0, "max_cost.currency.code");
}

#[test]
fn what_belongs_to_the_whole_is_checked_too() {
    let mut all = with_step(json!({ "step": "s", "sleep": "1s" }));
    all["output"] = json!({ "score": "${first.id}" });
    all["gives"] = json!({ "score": "integer" });
    all["limit"] = json!({ "key": "${first.id}", "at_once": 1 });
    all["deadline"] = json!("0s");
    let expected = [
        ("output.score".to_owned(), mismatch("string", Type::Integer)),
        ("deadline".to_owned(), Cause::NoTime),
        ("limit.key".to_owned(), Cause::TooEarly { step: "first".to_owned() }),
    ];
    assert_eq!(wrong(all), expected);
    let field = crate::workflow::Field { of: Type::Any, optional: false };
    let odd = Type::Object([("a?".to_owned(), field)].into());
    let mut workflow = unchecked(with_step(json!({ "step": "s", "sleep": "1s" })));
    workflow.gives = Type::list(odd);
    let errors = workflow.check().unwrap_err();
    assert!(
        errors.problems().iter().any(|problem| problem.cause == Cause::FieldName { name: "a?".to_owned() })
    );
}

#[test]
fn a_definition_is_bounded() {
    let sleeps = |count: usize| {
        let steps: Vec<Value> =
            (0..count).map(|at| json!({ "step": format!("s{at}"), "sleep": "1s" })).collect();
        json!({ "workflow": "w", "steps": steps })
    };
    assert_eq!(wrong(sleeps(0)), [("the definition".to_owned(), Cause::NoSteps)]);
    assert_eq!(wrong(sleeps(1000)), []);
    let many = Cause::TooManySteps { found: 1001, max: 1000 };
    assert_eq!(wrong(sleeps(1001)), [("the definition".to_owned(), many)]);
    let long = wrong(with_step(action(json!("x".repeat(257 * 1024)), json!("any"))));
    assert!(matches!(long[0].1, Cause::TooLarge { max: 262_144, .. }), "{}", long.len());
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(wrong(with_step(action(deep, json!("any"))))[0].1, Cause::TooDeep { max: 32 });
    let mut bad = sleeps(80);
    bad["steps"].as_array_mut().unwrap().iter_mut().for_each(|step| step["sleep"] = json!("12years"));
    let errors = unchecked(bad).check().unwrap_err();
    assert_eq!((errors.problems().len(), errors.left_out()), (DefinitionErrors::MAX, 30));
    assert!(errors.to_string().ends_with("and 30 more"));
}

#[test]
fn everything_is_said_at_once_and_in_words() {
    let errors = unchecked(with_step(json!({
        "step": "s",
        "action": { "kind": "k", "with": { "n": "${input.nmae}" }, "takes": { "n": "string", "m": "bool" } },
        "after": ["frist"],
    })));
    let text = errors.check().unwrap_err().to_string();
    let expected = "steps.s.after.0: there is no step \"frist\"; did you mean \"first\"?\n\
                    steps.s.with.n: input has no field \"nmae\"; did you mean \"name\"?\n\
                    steps.s.with.m: this is missing, expected bool";
    assert_eq!(text, expected);
}

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Flaw, Workflow};
use super::POLL;

#[cfg(feature = "yaml")]
use super::{APPROVAL, FAN_OUT, ORDER};

fn message(text: &str) -> String {
    Workflow::from_json(text).unwrap_err().with_file("a.json").to_string()
}

#[test]
fn what_is_no_definition_is_refused_with_its_place() {
    let cases = [
        ("{\n \"workflow\": \"w\",,\n}", "a.json:2:18: the definition: key must be a string"),
        (
            "{\"workflow\": \"w\", \"steps\": [], \"workflow\": \"x\"}",
            "a.json:1:32: workflow: key \"workflow\" is there twice",
        ),
        ("{\"steps\": []}", "a.json:1:1: the definition: key \"workflow\" is missing"),
        ("[]", "a.json:1:1: the definition: invalid type: a list, expected an object"),
        (
            "{\"workflow\": 7, \"steps\": []}",
            "a.json:1:14: workflow: invalid type: integer `7`, expected a string",
        ),
        (
            "{\"workflow\": \"w\",\n \"steps\": [{\"step\": \"s\", \"sleeep\": \"1s\"}]}",
            "a.json:2:26: steps.s.sleeep: unknown \"sleeep\", expected one of step, action, sleep, until, signal, approval, \
             workflow, after, when, each, repeat, gives, retry, try_timeout, heartbeat, deadline, undo, on_failure, \
             limit; did you mean \"sleep\"?",
        ),
        (
            "{\"workflow\": \"w\", \"steps\": [{\"step\": \"s\", \"sleep\": \"1 parsec\"}]}",
            "a.json:1:52: steps.s.sleep: \"1 parsec\": unknown time unit \"parsec\", supported units: ns, us/µs, ms, sec, min, \
             hours, days, weeks, months, years (and few variations)",
        ),
        (
            "{\"workflow\": \"w\", \"steps\": [{\"step\": \"s\", \"action\": {\"kind\": \"k\", \"takes\": {\"a\": [\"txt\"]}}}]}",
            "a.json:1:83: steps.s.takes.a.0: invalid value: string \"txt\", expected a type: any, bool, integer, number, \
             string, a list as [type], an object as { field: type }",
        ),
        (
            "{\"workflow\": \"w\", \"steps\": [{\"step\": \"s\", \"sleep\": \"1s\", \"when\": {\"gt\": [1]}}]}",
            "a.json:1:73: steps.s.when.gt: invalid type: a list, expected a list of 2",
        ),
        (
            "{\"workflow\": \"w\", \"steps\": [{\"step\": \"s\", \"sleep\": \"1s\", \"undo\": \"nthing\"}]}",
            "a.json:1:66: steps.s.undo: unknown \"nthing\", expected one of unsaid, nothing, action; did you mean \"nothing\"?",
        ),
        (
            "{\"workflow\": \"w\", \"steps\": [{\"step\": \"s\", \"action\": {\"kind\": \"k\", \"with\": 18446744073709551616}}]}",
            "a.json:1:75: steps.0.with: 18446744073709551616 is no number that can be kept exactly: 64 bits for a whole \
             number, finite for others",
        ),
    ];
    for (text, expected) in cases {
        let found = message(text);
        assert_eq!(found, expected, "{text}");
    }
    assert!(message(&"[".repeat(100_000)).contains("EOF"));
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    assert!(message(&deep).ends_with("values are nested at most 32 deep"));
    let errors = Workflow::from_json(&" ".repeat(300_000)).unwrap_err();
    assert!(matches!(errors.problems()[0].flaw, Flaw::TooLarge { found: 300_000, .. }));
}

#[test]
fn examples_are_accepted() {
    let poll = Workflow::from_json(POLL).unwrap();
    assert_eq!(poll.steps.len(), 3);
    #[cfg(feature = "yaml")]
    for (text, steps) in [(ORDER, 4), (APPROVAL, 4), (FAN_OUT, 3)] {
        let workflow = Workflow::from_yaml(text).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(workflow.steps.len(), steps);
        let json = serde_json::to_string_pretty(&workflow).unwrap();
        assert_eq!(Workflow::from_json(&json).unwrap().digest(), workflow.digest());
    }
}

#[cfg(feature = "yaml")]
mod yaml {
    use super::*;

    fn message(text: &str) -> String {
        Workflow::from_yaml(text).unwrap_err().with_file("order.yaml").to_string()
    }

    #[test]
    fn mistakes_are_found_where_they_stand() {
        let cases = [
            (
                "cents: \"${input.cents}\" }",
                "cents: \"${input.cnets}\" }",
                "order.yaml:27:46: steps.charge.with.cents: input has no field \"cnets\"; did you mean \"cents\"?",
            ),
            (
                "cents: \"${input.cents}\" }",
                "cents: \"${input.customer}\" }",
                "order.yaml:27:46: steps.charge.with.cents: this is string, expected integer",
            ),
            (
                "    undo: nothing\n  - step: thank",
                "  - step: thank",
                "order.yaml:33:5: steps.ship.undo: step \"ship\" does not say how it is undone: undo: nothing, or undo: { action: … }",
            ),
            (
                "after: [reserve]",
                "after: [resreve]",
                "order.yaml:24:13: steps.charge.after.0: there is no step \"resreve\"; did you mean \"reserve\"?",
            ),
            (
                "payment: \"${charge.payment}\", of",
                "payment: \"${thank.x}\", of",
                "order.yaml:32:44: steps.charge.undo.with.payment: an undo refers to its own step and to those before it, \"thank\" is not one of them",
            ),
            (
                "try_timeout: 30s",
                "try_timeuot: 30s",
                "order.yaml:30:5: steps.charge.try_timeuot: unknown \"try_timeuot\"",
            ),
            (
                "    try_timeout: 30s",
                "    gives: any",
                "order.yaml:30:5: steps.1.gives: key \"gives\" is there twice",
            ),
            (
                "count: integer }]\n  cents",
                "count: int }]\n  cents",
                "order.yaml:7:33: input.items.0.count: invalid value: string \"int\"",
            ),
            (
                "about: Reserve",
                "about: &a Reserve",
                "order.yaml:3:11: about: anchors, aliases and tags are not allowed",
            ),
            (
                "about: Reserve",
                "about: !!str Reserve",
                "order.yaml:3:14: about: anchors, aliases and tags are not allowed",
            ),
        ];
        for (right, wrong, expected) in cases {
            assert!(ORDER.contains(right), "{right}");
            let found = message(&ORDER.replacen(right, wrong, 1));
            let found = found.lines().next().unwrap_or_default();
            assert!(found.starts_with(expected), "{found}\n{expected}");
        }
    }

    #[test]
    fn other_than_one_plain_document_is_refused() {
        let cases = [
            ("", "order.yaml:1:1: the definition: invalid type: null, expected an object"),
            (
                "a: 1\n---\nb: 2\n",
                "order.yaml:2:1: the definition: a definition is one document, a second one begins here",
            ),
            ("? [a]\n: 1\n", "order.yaml:1:3: the definition: a key is text"),
            ("workflow: *a\n", "order.yaml:1:11: workflow: while parsing node, found unknown anchor"),
            ("workflow: .inf\n", "order.yaml:1:11: workflow: .inf is no number"),
        ];
        for (text, expected) in cases {
            let found = message(text);
            assert!(found.starts_with(expected), "{found}\n{expected}");
        }
        assert!(message("a: [").contains("order.yaml:"));
    }

    #[test]
    fn no_text_takes_long() {
        let begin = std::time::Instant::now();
        for bomb in ["[", "{", "- ", "? ", "a: {", "'", "\"", "|\n", "&a ", "!t ", "# ", "a:\n", "[{"] {
            let text = bomb.repeat(200_000 / bomb.len());
            assert!(Workflow::from_yaml(&text).is_err(), "{bomb:?}");
        }
        let flat = format!("workflow: w\nsteps: []\ninput: [{}]", "1, ".repeat(60_000));
        assert!(Workflow::from_yaml(&flat).is_err());
        let keys: String = (0..20_000).map(|at| format!("k{at}: 1\n")).collect();
        assert!(Workflow::from_yaml(&keys).is_err());
        assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    }

    #[test]
    fn all_problems_come_from_top_to_bottom() {
        let text =
            ORDER.replace("deadline: 2days", "deadline: 0s").replace("${ship.parcel}", "${ship.parcle}");
        let errors = Workflow::from_yaml(&text).unwrap_err();
        let lines: Vec<usize> = errors.problems().iter().map(|problem| problem.position.line).collect();
        assert_eq!(lines, [11, 42, 45]);
    }
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaves = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        "\\PC{0,6}|[\"\\\\\n\t/]{0,3}".prop_map(Value::from),
    ];
    leaves.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("\\PC{0,4}|\"", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever parameters a definition has, both readers read what serde_json reads.
    #[test]
    fn values_are_read_as_they_are(value in json_values(), pretty in any::<bool>()) {
        let text = json!({ "workflow": "w", "steps": [{ "step": "s", "action": { "kind": "k", "with": value } }] });
        let text = if pretty { serde_json::to_string_pretty(&text) } else { serde_json::to_string(&text) }.unwrap();
        let expected = serde_json::from_str::<Workflow>(&text).unwrap();
        if expected.check().is_ok() {
            prop_assert_eq!(&Workflow::from_json(&text).unwrap(), &expected);
            #[cfg(feature = "yaml")]
            if !text.chars().any(|char| char.is_control() && char != '\n' || !char.is_ascii()) {
                prop_assert_eq!(&Workflow::from_yaml(&text).unwrap(), &expected);
            }
        }
    }

    #[test]
    fn no_text_makes_a_reader_fall_over(text in "[\\[\\]{}:,\"'&*!|>#\n a-c0-9.\\\\$-]{0,60}") {
        drop(Workflow::from_json(&text));
        #[cfg(feature = "yaml")]
        drop(Workflow::from_yaml(&text));
    }

    #[test]
    fn a_damaged_definition_makes_no_reader_fall_over(at in 0usize..400, put in "\\PC{0,3}") {
        let mut text = POLL.to_owned();
        let at = at.min(text.len());
        text.replace_range(at..(at + 1).min(POLL.len()), &put);
        drop(Workflow::from_json(&text));
        #[cfg(feature = "yaml")]
        drop(Workflow::from_yaml(&text));
    }
}

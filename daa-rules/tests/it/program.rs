//! The program `daa-rules`, run as a process.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const RULES: &str = "[context]\nhour = 'int'\n[[rule]]\nid = 'day'\non = 'pay'\neffect = 'permit'\nwhen = 'context.hour < 18'\n\
                     [[test]]\nname = 'morning'\naction = { kind = 'pay' }\ncontext = { hour = 8 }\nexpect = 'permit'\n";

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daa-rules"));
    let Output { status, stdout, stderr } = command.current_dir(folder).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

#[test]
fn checks_and_shows_the_line() {
    let wrong = RULES.replace("context.hour", "context.hous");
    let never = RULES.replace("context.hour < 18", "context.hour < 18 && context.hour > 20");
    let files = folder(&[("good.toml", RULES), ("wrong.toml", &wrong), ("never.toml", &never)]);
    let run = |arguments: &[&str]| run(files.path(), arguments);
    let (code, out, _) = run(&["check", "good.toml"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("good.toml: 1 rules, "), "{out}");
    let (code, out, _) = run(&["check", "good.toml", "wrong.toml", "never.toml"]);
    assert_eq!(code, 1);
    let expected = "wrong.toml\n\
        error: unknown attribute context.hous: [context] declares hour; did you mean \"hour\"?\n \
        --> line 7, column 17\n  |\n7 | when = 'context.hous < 18'\n  |                 ^\n\n\
        never.toml\n\
        warning: rule day never matches: nothing is all of context.hour < 18, context.hour > 20\n \
        --> line 7, column 8\n  |\n7 | when = 'context.hour < 18 && context.hour > 20'\n  |        ^\n\n";
    assert!(out.ends_with(expected), "{out}");
    let (code, out, _) = run(&["check", "--json", "wrong.toml"]);
    let data: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &data["diagnostics"][0]["line"]), (1, &7.into()));
    assert_eq!(data["diagnostics"][0]["suggestion"], "hour");
}

#[test]
fn ends_with_two_when_it_is_used_wrongly() {
    let files = folder(&[("good.toml", RULES)]);
    for arguments in [
        vec![],
        vec!["chek"],
        vec!["check"],
        vec!["check", "none.toml"],
        vec!["check", "good.txt"],
        vec!["simulate", "good.toml", "none.json"],
        vec!["backtest", "good.toml", "none.jsonl"],
        vec!["backtest", "good.toml", "good.toml"],
    ] {
        let (code, _, error) = run(files.path(), &arguments);
        assert_eq!(code, 2, "{arguments:?}");
        assert!(!error.is_empty());
    }
}

#[test]
fn tests_pass_or_fail() {
    let fails = format!(
        "{RULES}[[test]]\naction = {{ kind = 'pay' }}\ncontext = {{ hour = 20 }}\nexpect = 'permit'\nrules = ['day']\n"
    );
    let files = folder(&[("good.toml", RULES), ("fails.toml", &fails), ("wrong.toml", "rule = 3")]);
    let (code, out, _) = run(files.path(), &["test", "good.toml"]);
    assert_eq!((code, out.as_str()), (0, "ok     morning\n1 tests, 0 failed\n"));
    let (code, out, _) = run(files.path(), &["test", "fails.toml"]);
    assert_eq!(code, 1);
    let expected = "FAILED test-2 (fails.toml, line 13)\n         expected permit by [day], found deny by []\n         no rule permits pay\n2 tests, 1 failed\n";
    assert!(out.ends_with(expected), "{out}");
    let (code, out, _) = run(files.path(), &["test", "wrong.toml"]);
    assert_eq!(code, 1);
    assert!(out.contains("rule must be a list of rules"), "{out}");
    let (_, out, _) = run(files.path(), &["test", "--json", "fails.toml"]);
    let data: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&data["outcomes"][1]["passed"], &data["coverage"]["rules"][0]["matched"]),
        (&false.into(), &1.into())
    );
}

#[test]
fn simulates_explains_and_decides_again() {
    let event = |id: &str, position: u64, hour: u64, decision: &str| {
        let action = serde_json::json!({ "id": id, "kind": "pay", "actor": "a", "params": {} });
        let digest = "00".repeat(32);
        let mut verdict = serde_json::json!({ "decision": decision, "ruleset": digest, "rules": [] });
        if decision == "deny" {
            verdict["reason"] = "no".into();
        }
        let event = serde_json::json!({ "withheld": { "action": action, "digest": digest, "context": { "hour": hour }, "verdict": verdict } });
        let line = serde_json::json!({ "position": position, "stream": format!("action/{id}"), "version": 1, "kind": "action.withheld.v1", "at": 1, "event": event });
        format!("{line}\n")
    };
    let journal = format!("{}{}", event("a-1", 4, 8, "deny"), event("a-2", 5, 20, "deny"));
    let request = r#"{"action": {"kind": "pay"}, "context": {"hour": 9}}"#;
    let files = folder(&[("good.toml", RULES), ("journal.jsonl", &journal), ("request.json", request)]);
    let run = |arguments: &[&str]| run(files.path(), arguments);
    let (code, out, _) = run(&["simulate", "good.toml", "request.json"]);
    let expected = "pay: permit\n* rule day (permit, line 4) matched\n    true <- context.hour < 18\n      9 <- context.hour\n";
    assert_eq!((code, out.as_str()), (0, expected));
    let (code, out, _) = run(&["explain", "good.toml", "journal.jsonl", "--action", "a-1"]);
    assert_eq!(code, 1);
    assert!(
        out.starts_with("a-1 at 4\npay: permit\n  on record: deny, because no, by other rules (00000000)\n"),
        "{out}"
    );
    assert!(!out.contains("a-2"));
    assert_eq!(run(&["explain", "good.toml", "journal.jsonl", "--position", "9"]).0, 1);
    let (code, out, _) = run(&["backtest", "good.toml", "journal.jsonl"]);
    let expected = "2 decisions, 1 of them would be the same; 2 were made by other rules\n\
                    1 times deny would be permit, such as\n  a-1 at 4: permit\n";
    assert_eq!((code, out.as_str()), (1, expected));
    let (_, out, _) = run(&["backtest", "--json", "good.toml", "journal.jsonl"]);
    let data: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&data["decisions"], &data["changes"][0]["was"]), (&2.into(), &"deny".into()));
}

/// A rule that does something.
const TELLS: &str = "[event.e]\ndata = { n = 'int' }\n[notification.n]\n[[rule]]\nid = 'tell'\non = { event = 'e' }\n\
                     when = 'event.data.n > 1'\nnotify = { name = 'n', text = 'it is ${event.data.n}' }\n\
                     [[test]]\nname = 'two'\nevent = { kind = 'e', data = { n = 2 } }\nfires = ['tell']\n";

#[test]
fn tests_and_simulates_what_rules_do() {
    let wrong = TELLS.replace("fires = ['tell']", "fires = []");
    let happened = "{\"event\": {\"kind\": \"e\", \"data\": {\"n\": 3}}}";
    let files = folder(&[("good.toml", TELLS), ("wrong.toml", &wrong), ("event.json", happened)]);
    let run = |arguments: &[&str]| run(files.path(), arguments);
    let (code, out, _) = run(&["test", "good.toml"]);
    assert_eq!((code, out.as_str()), (0, "ok     two\n1 tests, 0 failed\n"));
    let (code, out, _) = run(&["test", "wrong.toml"]);
    assert_eq!(code, 1);
    let expected = "FAILED two (wrong.toml, line 10)\n         expected firing of []\n         fires [\"tell\"]\n1 tests, 1 failed\n";
    assert!(out.starts_with(expected), "{out}");
    let (code, out, _) = run(&["simulate", "good.toml", "event.json"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("rule tell (event e, line 5) matched\n"), "{out}");
    assert!(out.ends_with("* rule tell fired\n    notifies n: it is 3\n"), "{out}");
}

#[test]
fn explains_and_tests_again_what_rules_did() {
    // What a runner writes; `export_for` makes such a journal.
    let digest = "0".repeat(64);
    let event = r#"{"position":1,"stream":"s","version":1,"kind":"e","at":0,"event":{"n":2}}"#;
    let fired = format!(
        r#"{{"position":2,"stream":"rules.fired/main","version":1,"kind":"rules.fired.v1","at":0,"event":{{"rule":"tell","ruleset":"{digest}","cause":{{"event":{{"position":1,"kind":"e","stream":"s"}}}},"depth":1,"given":{{"event.data.n":2}},"notified":{{"name":"n","text":"it is 2","data":{{}}}}}}}}"#
    );
    let journal = format!("{event}\n{fired}\n");
    let other = TELLS.replace("event.data.n > 1", "event.data.n > 2");
    let files = folder(&[("good.toml", TELLS), ("other.toml", &other), ("journal.jsonl", &journal)]);
    let run = |arguments: &[&str]| run(files.path(), arguments);
    let (code, out, _) = run(&["explain", "good.toml", "journal.jsonl"]);
    assert_eq!(code, 0);
    assert!(
        out.starts_with("tell at 2\nrule tell (event e, line 5) matched\n    true <- event.data.n > 1\n"),
        "{out}"
    );
    assert!(out.contains("      2 <- event.data.n\n* rule tell fired\n    notifies n: it is 2\n"), "{out}");
    let (code, out, _) = run(&["backtest", "good.toml", "journal.jsonl"]);
    assert_eq!(code, 0);
    assert!(out.contains("1 times a rule fired, 1 of them it would again, 0 not; 0 times"), "{out}");
    let (code, out, _) = run(&["backtest", "other.toml", "journal.jsonl"]);
    assert_eq!(code, 1);
    assert!(out.contains("  tell at 1 would not fire\n"), "{out}");
}

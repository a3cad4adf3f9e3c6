//! Hostile policies and schemas are refused; they neither hang nor exhaust the process, nor its stack.

use daa_core::action::{Context, Decision};
use daa_rules::authorisation::{AuthorisationLimits, Policies};

use super::world::*;

fn when(condition: &str) -> String {
    format!("permit (principal, action, resource) when {{ {condition} }};")
}

fn told(policies: &str) -> String {
    Policies::read("", policies).unwrap_err().to_string()
}

#[test]
fn what_is_too_long_too_many_or_too_deep_is_refused_before_it_is_parsed() {
    let nesting = "levels of brackets in a policy: at most 48 are allowed";
    for open in ["(", "[", "{", "{ a: ", "[(", "if (true) then ("] {
        assert!(told(&when(&open.repeat(100))).ends_with(nesting), "{open}");
    }
    assert!(told(&when(&"1 + ".repeat(2000))).ends_with("bytes in a policy: at most 4096 are allowed"));
    let one = "permit (principal, action, resource);";
    assert!(Policies::read("", &one.repeat(AuthorisationLimits::POLICIES)).is_ok());
    assert!(
        told(&one.repeat(AuthorisationLimits::POLICIES + 1)).ends_with("policies: at most 1000 are allowed")
    );
    assert!(told(&" ".repeat(AuthorisationLimits::SOURCE + 1)).contains("at most 1048576 are allowed"));
    let deep = format!("type A = {}Long{};", "Set<".repeat(60), ">".repeat(60));
    let error = Policies::read(&deep, "").unwrap_err().to_string();
    assert!(error.ends_with("levels of brackets in a schema: at most 48 are allowed"), "{error}");
}

/// What becomes of a payment under a policy.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// The policy is not accepted; it is told that, among other things.
    Refused(&'static str),
    Permitted,
    /// It is told this, among other things.
    Denied(&'static str),
}

#[tokio::test]
async fn the_longest_chains_are_refused_or_decided_on_a_small_stack() {
    use Fate::{Denied, Permitted, Refused};
    let nested = |depth: usize, open: &str, close: &str| {
        let value = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        format!("{value} == {value}")
    };
    let chains = [
        // What is denied without a reason here is false, or too deep: that depends on how this was compiled.
        ("1+".repeat(1900) + "1 == 1", Denied("")),
        ("if true then ".repeat(160) + "false" + &" else true".repeat(160), Denied("")),
        ("context.params".to_owned() + &".a".repeat(1900), Refused("not found")),
        ("true&&".repeat(650) + "true", Permitted),
        ("true||".repeat(650) + "true", Permitted),
        ("!".repeat(4000) + "true", Refused("too many occurrences of `!`")),
        ("-".repeat(4000) + "1 == 1", Refused("too many occurrences of `-`")),
        ("if true then ".repeat(20) + "true" + &" else false".repeat(20), Permitted),
        ("1 < ".repeat(900) + "1", Refused("multiple relational operators")),
        (nested(45, "(", ")"), Permitted),
        (nested(10, "[", "]"), Permitted),
        (nested(10, "{a: ", "}"), Permitted),
        (nested(45, "[", "]").replace("==", "!="), Denied("")),
        (nested(45, "{a: ", "}").replace("==", "!="), Denied("")),
        (format!("\"{}\" like \"{}\"", "a".repeat(1500), "a*".repeat(700)), Permitted),
        ("principal has a".to_owned() + &".a".repeat(1900), Denied("no policy permits")),
    ];
    let bank = World::open().await;
    let handle = tokio::runtime::Handle::current();
    // As small as that of a worker of a runtime.
    let small = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        for (chain, fate) in chains {
            let found = becomes(&bank, &handle, &chain);
            let is = match (fate, &found) {
                (Refused(tells), Err(told)) => told.contains(tells),
                (Denied(tells), Ok(Decision::Deny { reason })) => reason.contains(tells),
                (Permitted, Ok(Decision::Permit)) => true,
                _ => false,
            };
            let start: String = chain.chars().take(20).collect();
            assert!(is, "{start}: {fate:?}, and not {found:?}");
        }
    });
    tokio::task::spawn_blocking(move || small.unwrap().join().unwrap()).await.unwrap();
}

/// What is decided on a payment under a condition, or what is told of the policy.
fn becomes(bank: &World, handle: &tokio::runtime::Handle, condition: &str) -> Result<Decision, String> {
    let read = Policies::read(SCHEMA, &when(condition)).map_err(|error| error.to_string())?;
    handle.block_on(bank.authoriser.install(read, &name("root"), NOW)).unwrap();
    Ok(bank.verdict(&pay("alice", "n1", 1), &Context::new()).decision)
}

#[tokio::test]
async fn what_a_request_brings_cannot_pass_as_anything_else() {
    let policies = "permit (principal, action == Bank::Action::\"payment.send\", resource) when { context.params has note && context.params.note like \"*ok*\" };";
    let bank = World::with(SCHEMA, policies, staff()).await;
    let with = |note: serde_json::Value| {
        let params = serde_json::json!({ "to": "n1", "amount": 1, "note": note });
        bank.decision(&action("payment.send", "alice", params))
    };
    assert_eq!(with("ok".into()), Decision::Permit);
    for note in [
        serde_json::json!({ "__extn": { "fn": "ip", "arg": "ok" } }),
        serde_json::json!({ "__expr": "\"ok\"" }),
        serde_json::json!({ "__entity": { "type": "DAA::Person", "id": "ok" } }),
        serde_json::json!(["ok"]),
    ] {
        assert!(matches!(with(note.clone()), Decision::Deny { .. }), "{note}");
    }
    let long = "x".repeat(60_000);
    assert!(reason(&with(serde_json::json!([long]))).chars().count() <= AuthorisationLimits::REASON + 1);
}

//! What is decided, and what is said about it.

use daa_core::action::{Context, Decision};
use daa_core::amount::Currency;
use serde_json::json;

use crate::{decide, deny, free_action, payment, permit_when};

#[test]
fn the_three_line_ruleset_permits_one_kind_and_nothing_else() {
    let rules = "[[rule]]\non = \"greet\"\neffect = \"permit\"\n";
    let verdict = decide(rules, &free_action("greet", json!({})), &Context::new());
    assert_eq!(verdict.decision, Decision::Permit);
    assert_eq!(verdict.rules, ["rule-1".parse().unwrap()]);
    let verdict = decide(rules, &free_action("greet.loudly", json!({})), &Context::new());
    assert_eq!((verdict.decision, verdict.rules), (deny("no rule permits greet.loudly"), vec![]));
}

#[test]
fn nothing_is_permitted_without_rules() {
    assert_eq!(decide("", &payment(), &Context::new()).decision, deny("no rule permits payment.send"));
}

#[test]
fn deny_overrides_escalate_overrides_permit_in_any_order() {
    let rule = |effect: &str| {
        format!("[[rule]]\nid='{effect}'\non='*'\neffect='{effect}'\nreason='because {effect}'\n")
    };
    let all = |effects: &[&str]| effects.iter().map(|effect| rule(effect)).collect::<String>();
    let escalated = Decision::Escalate { reason: "because escalate".to_owned() };
    let table = [
        (vec!["permit"], Decision::Permit),
        (vec!["permit", "escalate"], escalated.clone()),
        (vec!["escalate", "permit"], escalated),
        (vec!["deny", "permit", "escalate"], deny("because deny")),
        (vec!["permit", "escalate", "deny"], deny("because deny")),
    ];
    for (effects, expected) in table {
        let verdict = decide(&all(&effects), &payment(), &Context::new());
        assert_eq!(verdict.decision, expected, "{effects:?}");
        let strength =
            |effect: &&&str| ["deny", "escalate", "permit"].iter().position(|name| name == *effect);
        let mut sorted: Vec<_> = effects.iter().collect();
        sorted.sort_by_key(strength);
        assert_eq!(verdict.rules, sorted.iter().map(|id| id.parse().unwrap()).collect::<Vec<_>>());
    }
}

#[test]
fn priority_chooses_what_is_reported_and_never_the_decision() {
    let rules = "[[rule]]\nid='a'\non='*'\neffect='deny'\n[[rule]]\nid='b'\non='payment.*'\neffect='deny'\npriority=1\n\
                 [[rule]]\nid='c'\non='payment.send'\neffect='permit'\npriority=9\n";
    let verdict = decide(rules, &payment(), &Context::new());
    assert_eq!(verdict.decision, deny("rule b denies payment.send"));
    assert_eq!(verdict.rules, ["b", "a", "c"].map(|id| id.parse().unwrap()));
}

#[test]
fn indeterminate_never_permits_and_otherwise_denies() {
    let table = [
        (
            "permit",
            "no rule permits payment.send; rule rule-1 (permit) is indeterminate: action.params.x is missing",
        ),
        ("deny", "rule rule-1 (deny) is indeterminate: action.params.x is missing"),
        ("escalate", "rule rule-1 (escalate) is indeterminate: action.params.x is missing"),
    ];
    for (effect, reason) in table {
        let rules = format!("[[rule]]\non='*'\neffect='{effect}'\nwhen='action.params.x == 1'\n");
        assert_eq!(decide(&rules, &payment(), &Context::new()).decision, deny(reason));
        // The same beside a rule that permits: an indeterminate permit is no more than absent.
        let rules = format!("{rules}[[rule]]\nid='p'\non='*'\neffect='permit'\n");
        let expected = if effect == "permit" { Decision::Permit } else { deny(reason) };
        assert_eq!(decide(&rules, &payment(), &Context::new()).decision, expected);
    }
}

#[test]
fn says_why_a_condition_is_indeterminate() {
    let context = Context::new().with("n", "three").with("big", u64::MAX).with("i", i64::MAX);
    let declared = "[context]\nn='int'\nbig='int'\ni='int'\nmissing='bool'\n";
    let table = [
        ("context.n > 1", "context.n is declared as int, but is string"),
        ("context.missing", "context.missing is missing"),
        ("context.i + 1 > 0", "+ overflows"),
        ("-context.i - 2 > 0", "- overflows"),
        ("context.i * 2 > 0", "* overflows"),
        ("action.params.n / 0 == 1", "division by zero"),
        ("action.params.n % 0 == 1", "division by zero"),
        ("action.params.to > 1", "string > int is not defined"),
        ("action.params.n + 1u == 4u", "int + uint is not defined"),
        ("action.params.deep.y == 1", "member y is missing"),
        ("action.params.to.y == 1", "member access of string is not defined"),
        ("action.params.tags[2] == \"c\"", "the list has no element at this index"),
        ("action.params.tags[-1] == \"c\"", "the list has no element at this index"),
        ("!action.params.n", "! of int is not defined"),
        ("action.params.n && true", "&& of int is not defined"),
        ("action.params.n ? true : false", "?: of int is not defined"),
        ("action.params.n", "the condition is int, neither true nor false"),
        ("action.params.n.exists(x, true)", "a macro of int is not defined"),
        ("int(action.params.to) == 1", "int of this text is not defined"),
        ("money(action.params.to) < action.cost", "money of this text is not defined"),
        ("action.cost < money(\"1 EUR\")", "money of different currencies cannot be compared"),
        ("action.cost == action.params.n", "money == int is not defined"),
        ("action.cost < action.params.n", "money < int is not defined"),
        ("size(action.params.n) == 1", "size of int is not defined"),
        ("action.params.n.startsWith(\"a\")", "int startsWith string is not defined"),
    ];
    for (condition, why) in table {
        let verdict = decide(&(permit_when(condition) + declared), &payment(), &context);
        let reason = format!("no rule permits payment.send; rule rule-1 (permit) is indeterminate: {why}");
        assert_eq!(verdict.decision, deny(&reason), "{condition}");
    }
}

#[test]
fn conditions_hold_or_do_not() {
    let declared = "[context]\ntrusted='bool'\nscore='double'\nnothing='any'\nabsent='int'\n";
    let context = Context::new().with("trusted", true).with("score", 2).with("nothing", json!(null));
    let hold = [
        "action.id == 'a-1' && action.kind == 'payment.send' && action.actor == 'alice'",
        "action.params.to == 'bob' && action.params['to'] == 'bob'",
        "action.params.n in [1, 2, 3] && !(4 in [1, 2, 3])",
        "'to' in action.params && !('from' in action.params)",
        "action.params.deep.x == 1 && action.params.deep['x'] == 1",
        "action.params.n == 3.0 && action.params.n == 3u && action.params.n < 3.5",
        "action.params.n != '3'",
        "action.params.tags == ['a', 'b'] && action.params.tags + ['c'] == ['a', 'b', 'c']",
        "action.params.tags[0] == 'a' && size(action.params.tags) == 2",
        "action.params.tags.exists(t, t == 'b') && !action.params.tags.all(t, t == 'b')",
        "action.params.tags.exists_one(t, t == 'b') && action.params.tags.map(t, t + '!') == ['a!', 'b!']",
        "action.params.tags.filter(t, t > 'a') == ['b']",
        "action.params.tags.exists(t, ['b', 'c'].exists(u, u == t))",
        "[[1, 2], [3]].all(l, l.all(x, x > 0) && size(l) > 0)",
        "action.params.exists(key, key == 'to')",
        "has(action.params.to) && !has(action.params.x) && has(action.cost) && !has(context.absent)",
        "has(action.params.deep.x) && !has(action.params.deep.y)",
        "context.score == 2.0 && context.score / 4.0 == 0.5",
        "context.nothing == null && has(context.nothing)",
        "context.trusted || context.absent == 1",
        "context.absent == 1 || context.trusted",
        "!(false && context.absent == 1) && !(context.absent == 1 && false)",
        "[context.absent, 1].size() == 2 || true",
        "['x', 1].exists(x, x > 0)",
        "!['x', 0].all(x, x > 0)",
        "7 / 2 == 3 && 7 % 2 == 1 && -7 / 2 == -3 && 2 + 3 * 4 == 14 && 7 - 2 == 5",
        "'abc'.startsWith('ab') && 'abc'.endsWith('bc') && 'abc'.contains('b') && size('äö') == 2",
        "int('7') == 7 && string(7) == '7' && double('1.5') == 1.5 && uint(7) == 7u && int(1.9) == 1",
        "true ? true : context.absent == 1",
        "9223372036854775807 + 0 > 0 && -9223372036854775808 < 0",
    ];
    for condition in hold {
        let condition = condition.replace('\'', "\"");
        let verdict = decide(&(permit_when(&condition) + declared), &payment(), &context);
        assert_eq!(verdict.decision, Decision::Permit, "{condition}");
        let verdict = decide(&(permit_when(&format!("!({condition})")) + declared), &payment(), &context);
        assert_eq!(verdict.decision, deny("no rule permits payment.send"), "!({condition})");
    }
}

#[test]
fn money_is_compared_exactly() {
    let usdc = Currency::new("USDC", 6).unwrap();
    let wei = Currency::new("ETH", 18).unwrap();
    let holds = |condition: &str, money| {
        let action = free_action("payment.send", json!({ "limit": "0.1 ETH" })).with_max_cost(money);
        decide(&permit_when(condition), &action, &Context::new()).decision == Decision::Permit
    };
    let limit = usdc.parse("12.50").unwrap().amount().units();
    assert!(holds("action.cost <= money(\"12.50 USDC\")", usdc.units(limit)));
    assert!(holds("action.cost == money(\"12.5 USDC\")", usdc.units(limit)));
    assert!(!holds("action.cost <= money(\"12.50 USDC\")", usdc.units(limit + 1)));
    assert!(!holds("action.cost <= money(\"12.50 EUR\")", usdc.units(limit)));
    // One unit above 2^53, where a float would round.
    assert!(!holds("action.cost <= money(\"0.009007199254740992 ETH\")", wei.units((1 << 53) + 1)));
    assert!(holds("action.cost <= money(\"0.009007199254740993 ETH\")", wei.units((1 << 53) + 1)));
    assert!(holds("action.cost < money(action.params.limit)", wei.units(1)));
    assert!(holds("action.cost.units == 12500000 && action.cost.currency == \"USDC\"", usdc.units(limit)));
    assert!(holds("action.cost.decimals == 6", usdc.units(limit)));
    assert!(holds("action.cost.units == 18446744073709551615u", wei.units(u64::MAX.into())));
    assert!(!holds("action.cost.units >= 0", wei.units(1 << 64)), "beyond 64 bits it is indeterminate");
    assert!(holds("action.cost > money(\"18 ETH\")", wei.units(1 << 64)), "but money has no such limit");
}

#[test]
fn what_costs_nothing_has_no_cost() {
    let free = free_action("payment.send", json!({}));
    let verdict = decide(&permit_when("action.cost <= money(\"1 USDC\")"), &free, &Context::new());
    let why = "no rule permits payment.send; rule rule-1 (permit) is indeterminate: action.cost is missing";
    assert_eq!(verdict.decision, deny(why));
    let guarded = permit_when("!has(action.cost) || action.cost <= money(\"1 USDC\")");
    assert_eq!(decide(&guarded, &free, &Context::new()).decision, Decision::Permit);
    assert_eq!(decide(&guarded, &payment(), &Context::new()).decision, deny("no rule permits payment.send"));
}

#[test]
fn patterns_cover_what_begins_alike() {
    for (pattern, kind, covers) in [
        ("payment.*", "payment.send", true),
        ("payment.*", "payment", false),
        ("payment*", "payments", true),
        ("*", "x", true),
        ("payment.send", "payment.send.fast", false),
        ("payment.send*", "payment.send", true),
    ] {
        let rules = format!("[[rule]]\non='{pattern}'\neffect='permit'\n");
        let verdict = decide(&rules, &free_action(kind, json!({})), &Context::new());
        assert_eq!(verdict.decision == Decision::Permit, covers, "{pattern} {kind}");
    }
}

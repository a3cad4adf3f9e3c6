//! What is not to be shown is not: in journals, explanations and notifications.

use daa_core::action::{ActionEvent, Obligation};
use daa_core::event::{PageSize, Position};
use daa_rules::{Decided, Journal, ParametersSet, Ruleset, export};
use serde_json::json;

use super::world::{World, settle};

const SECRET: &str = "DE02120300000000202051";

const RULES: &str = r#"
[event."action.*"]
data = { permitted = "any?", withheld = "any?" }
[notification.n]
iban = "any"
[[rule]]
id = "send"
on = "pay"
effect = "permit"
redact = ["action.params.to.iban"]
when = 'action.params.to.iban.startsWith("DE") && size(action.params.to.iban) < 30 && action.params.n < 10'
notify = { name = "n", text = "to ${action.params.n}", data = { iban = "action.params.to.iban" } }
emit = { kind = "refund", params = { iban = "action.params.to.iban" } }
[[rule]]
on = "refund"
effect = "deny"
redact = ["action.params.iban"]
[[rule]]
on = { event = "action.*" }
when = "has(event.data.permitted) || has(event.data.withheld)"
notify = { name = "n", text = "seen", data = { iban = "has(event.data.permitted) ? event.data.permitted.action.params : event.data.withheld.action.params" } }
"#;

#[tokio::test]
async fn nothing_that_leaves_the_journal_has_it() {
    let world = World::new(RULES);
    let mut runner = world.begun().await;
    assert!(world.submit("a", "pay", json!({ "to": { "iban": SECRET, "name": "bob" }, "n": 3 })).await);
    settle(&mut runner).await.unwrap();
    // The executor saw it, and so does the journal in the store.
    assert_eq!(world.outside.done()[0].1["to"]["iban"], SECRET);
    let all = world.store.read_all(Position::START, PageSize::new(1_000)).await.unwrap();
    let permitted = all.iter().find_map(|event| match ActionEvent::read(event).unwrap()? {
        ActionEvent::Permitted { action, verdict, .. } => Some((action, verdict)),
        _ => None,
    });
    let (action, verdict) = permitted.unwrap();
    assert_eq!(action.params()["to"]["iban"], SECRET);
    assert_eq!(verdict.obligations, [Obligation::Redact(vec!["to.iban".to_owned()])]);
    let withheld = all.iter().find_map(|event| match ActionEvent::read(event).unwrap()? {
        ActionEvent::Withheld { action, verdict, .. } => Some((action, verdict)),
        _ => None,
    });
    let (refund, verdict) = withheld.unwrap();
    assert_eq!(refund.params()["iban"], SECRET, "an emitted action has what it needs");
    assert_eq!(
        verdict.obligations,
        [Obligation::Redact(vec!["iban".to_owned()])],
        "denied actions are bound too"
    );

    let mut file = Vec::new();
    export(&*world.store, &mut file).await.unwrap();
    let text = String::from_utf8(file.clone()).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    assert!(text.contains("\"name\":\"bob\""));
    let exported =
        Journal::new(&*file).find_map(|event| match ActionEvent::read(&event.unwrap()).unwrap()? {
            ActionEvent::Permitted { action, digest, .. } => Some((action, digest)),
            _ => None,
        });
    let (shown, digest) = exported.unwrap();
    let mark = shown.params()["to"]["iban"]["redacted"].as_str().unwrap();
    assert_eq!(mark.len(), 64, "a commitment, blinded by the salt of the event");
    assert_eq!(digest, shown.digest(), "which the digest commits to");
    assert!(!text.contains(&action.digest().to_string()), "and not to what could be guessed");
    let with_salt = all
        .iter()
        .filter(|event| event.json::<serde_json::Value>().unwrap().to_string().contains("\"salt\""));
    assert!(with_salt.count() >= 2, "which the journal has");
    for line in text.lines().filter(|line| line.contains("\"redacted\"")) {
        assert!(!line.contains("salt"), "and what left it has not: {line}");
    }

    let told = serde_json::to_string(&world.notified().await).unwrap();
    assert!(!told.contains(SECRET), "{told}");
    assert_eq!(world.notified().await.len(), 3);
    assert!(told.contains(mark), "it is the same mark everywhere: {told}");
}

#[tokio::test]
async fn a_long_condition_hides_as_much_as_a_short_one() {
    let long: Vec<String> = (0..12).map(|number| format!("action.params.n < {}", 100 + number)).collect();
    let rules = RULES.replace("when = 'action", &format!("when = '{} && action", long.join(" && ")));
    let world = World::new(&rules);
    world.submit("a", "pay", json!({ "to": { "iban": SECRET }, "n": 3 })).await;
    let rules = Ruleset::from_toml(&rules).unwrap();
    let all = world.store.read_all(Position::START, PageSize::new(1_000)).await.unwrap();
    let told = all.iter().find_map(|recorded| {
        let event = ActionEvent::read(recorded).unwrap()?;
        let explanation = rules.explain_recorded(&Decided::of(&event)?, recorded.at);
        Some(format!("{explanation}{}", serde_json::to_string(&explanation).unwrap()))
    });
    let told = told.unwrap();
    assert!(told.contains('…') && told.contains("redacted <- size(action.params.to.iban)"), "{told}");
    assert!(!told.contains(SECRET), "{told}");
}

#[tokio::test]
async fn an_explanation_shows_what_was_true_and_not_what_it_was() {
    let world = World::new(RULES);
    for (id, params) in [
        ("a", json!({ "to": { "iban": SECRET }, "n": 3 })),
        ("b", json!({ "to": { "iban": SECRET }, "n": 30 })),
    ] {
        world.submit(id, "pay", params).await;
    }
    let rules = Ruleset::from_toml(RULES).unwrap();
    let all = world.store.read_all(Position::START, PageSize::new(1_000)).await.unwrap();
    let told: Vec<String> = all
        .iter()
        .filter_map(|recorded| {
            let event = ActionEvent::read(recorded).unwrap()?;
            let explanation = rules.explain_recorded(&Decided::of(&event)?, recorded.at);
            Some(format!("{explanation}{}", serde_json::to_string(&explanation).unwrap()))
        })
        .collect();
    assert!(!told[0].contains(SECRET) && !told[0].contains(&SECRET.len().to_string()), "{}", told[0]);
    assert!(told[0].contains("redacted <- size(action.params.to.iban)"), "{}", told[0]);
    assert!(told[0].contains("true <- action.params.to.iban.startsWith"), "{}", told[0]);
    assert!(told[0].contains("3 <- action.params.n"), "{}", told[0]);
}

/// All that an export, explanations and notifications show.
async fn shown(world: &World, rules: &Ruleset) -> String {
    let mut file = Vec::new();
    export(&*world.store, &mut file).await.unwrap();
    let mut text = String::from_utf8(file).unwrap();
    for recorded in world.store.read_all(Position::START, PageSize::new(1_000)).await.unwrap() {
        let Some(event) = ActionEvent::read(&recorded).unwrap() else { continue };
        let Some(decided) = Decided::of(&event) else { continue };
        let explanation = rules.explain_recorded(&decided, recorded.at);
        text += &format!("{explanation}{}", serde_json::to_string(&explanation).unwrap());
    }
    text
}

#[tokio::test]
async fn what_is_not_permitted_is_hidden_by_all_rules_about_the_kind() {
    let permit = "[[rule]]\non = 'pay'\neffect = 'permit'\nwhen = 'action.params.n < 10'\nredact = ['action.params.iban']\n";
    let escalate = "[[rule]]\non = 'pay'\neffect = 'escalate'\nwhen = 'action.params.n > 100'\nredact = ['action.params.name']\n";
    let other = "[[rule]]\non = 'other'\neffect = 'permit'\nredact = ['action.params.n']\n";
    let rules = [permit, escalate, other].concat();
    let world = World::new(&rules);
    for (id, n) in [("small", json!(1)), ("large", json!(30)), ("very", json!(101)), ("odd", json!("x"))] {
        world.submit(id, "pay", json!({ "iban": SECRET, "name": "bob", "n": n })).await;
    }
    let all = world.store.read_all(Position::START, PageSize::new(1_000)).await.unwrap();
    let hidden = all.iter().filter_map(|event| {
        let event = ActionEvent::read(event).unwrap()?;
        Some(Decided::of(&event)?.verdict.obligations.clone())
    });
    let both = Obligation::Redact(vec!["iban".to_owned(), "name".to_owned()]);
    let one = Obligation::Redact(vec!["iban".to_owned()]);
    // Where it is permitted, those that permit it, and those of which nobody knows.
    assert_eq!(hidden.collect::<Vec<_>>(), [vec![one], vec![both.clone()], vec![both.clone()], vec![both]]);
    let text = shown(&world, &Ruleset::from_toml(&rules).unwrap()).await;
    assert!(!text.contains(SECRET), "{text}");
}

#[tokio::test]
async fn what_is_permitted_is_hidden_by_rules_that_could_not_be_decided() {
    let rules = "[[rule]]\non = 'pay'\neffect = 'permit'\n\
                 [[rule]]\non = 'pay'\neffect = 'permit'\nwhen = 'action.params.n < 10'\nredact = ['action.params.iban']\n";
    let world = World::new(rules);
    assert!(world.submit("a", "pay", json!({ "iban": SECRET })).await);
    assert!(world.submit("b", "pay", json!({ "iban": "open", "n": 10 })).await);
    let text = shown(&world, &Ruleset::from_toml(rules).unwrap()).await;
    assert!(!text.contains(SECRET) && text.contains("open"), "{text}");
}

#[tokio::test]
async fn no_text_that_is_recorded_tells_what_is_hidden() {
    for condition in [
        "int(action.params.iban) > 3",
        "uint(action.params.iban) > 3u",
        "double(action.params.iban) > 3.0",
        "money(action.params.iban) > money('1 USD')",
        "money(action.params.price) > money('1 USD')",
        "context.map[action.params.iban] == 1",
        "[1, 2][action.params.code] == 1",
        "action.params.iban > 3",
    ] {
        let rules = format!(
            "[context]\nmap = 'map(int)'\n[event.\"action.*\"]\n[notification.n]\ntext = 'any?'\n\
             [[rule]]\non = 'pay'\neffect = 'permit'\nredact = ['action.params.iban', 'action.params.price', 'action.params.code']\n\
             when = '''{}'''\n[[rule]]\non = 'see'\neffect = 'permit'\nredact = ['action.params.iban']\n\
             [[rule]]\nid = 'does'\non = 'pay'\nnotify = {{ name = 'n', text = '${{int(action.params.iban)}}' }}\n",
            condition.replace('\'', "\"")
        );
        let world = World::new(&rules);
        let mut runner = world.begun().await;
        let context = daa_core::action::Context::new().with("map", json!({ "a": 1 }));
        let params = json!({ "iban": SECRET, "price": "5 SECRETS", "code": 424_242 });
        let action = crate::free_action("pay", params);
        let refused = world.gate.submit(action, context, &*world.outside).await.unwrap_err();
        settle(&mut runner).await.unwrap();
        let text =
            format!("{refused:?} {refused} {}", shown(&world, &Ruleset::from_toml(&rules).unwrap()).await);
        for secret in [SECRET, "SECRETS", "424242"] {
            assert!(!text.contains(secret), "{condition}: {text}");
        }
    }
}

#[tokio::test]
async fn what_is_hidden_is_not_set() {
    let rules = r#"
[parameter.last]
type = "string"
value = ""
max = "A"
[parameter.size]
type = "int"
value = 0
[parameter.n]
type = "int"
value = 0
[[rule]]
id = "pay"
on = "pay"
effect = "permit"
redact = ["action.params.iban"]
[[rule]]
id = "copy"
on = "pay"
set = { last = "action.params.iban" }
[[rule]]
id = "measure"
on = "pay"
set = { n = "action.params.n", size = "size(action.params.iban)" }
[[rule]]
id = "count"
on = "pay"
set = { n = "action.params.n + 1" }
"#;
    let world = World::new(&rules.replace("max = \"A\"\n", ""));
    let mut runner = world.begun().await;
    assert!(world.submit("a", "pay", json!({ "iban": SECRET, "n": 3 })).await);
    settle(&mut runner).await.unwrap();
    let fired = world.fired().await;
    let problem = "what it sets rests on what is redacted, and parameters are shown";
    let problems: Vec<_> = fired.iter().map(|fired| fired.problem.as_deref()).collect();
    assert_eq!(problems, [Some(problem), Some(problem), None]);
    let all = world.store.read_all(Position::START, PageSize::new(1_000)).await.unwrap();
    let set: Vec<_> = all.iter().filter_map(|event| ParametersSet::read(event).unwrap()).collect();
    assert_eq!(serde_json::to_value(&set[0].values).unwrap(), json!({ "n": 4 }));
    let text = shown(&world, &Ruleset::from_toml(&rules.replace("max = \"A\"\n", "")).unwrap()).await;
    assert!(!text.contains(SECRET), "{text}");
}

#[tokio::test]
async fn rules_that_hide_less_do_not_explain_more() {
    let rules = "[[rule]]\non = 'pay'\neffect = 'permit'\nwhen = 'action.params.iban != \"x\"'\nredact = ['action.params.iban']\n";
    let world = World::new(rules);
    assert!(world.submit("a", "pay", json!({ "iban": SECRET })).await);
    let open = Ruleset::from_toml(&rules.replace("redact = ['action.params.iban']\n", "")).unwrap();
    let text = shown(&world, &open).await;
    assert!(text.contains("redacted <- action.params.iban") && !text.contains(SECRET), "{text}");
}

#[tokio::test]
async fn an_export_does_not_tell_by_what_it_was_counted() {
    let rules = "[window.per_account]\non = 'pay'\nper = ['action.params.iban']\nspan = '1h'\n\
                 [[rule]]\non = 'pay'\neffect = 'permit'\nwhen = 'window.per_account < 3'\nredact = ['action.params.iban']\n";
    let world = World::new(rules);
    assert!(world.submit("a", "pay", json!({ "iban": SECRET })).await);
    let all = world.store.read_all(Position::START, PageSize::new(1_000)).await.unwrap();
    assert!(all.iter().any(|event| event.stream.as_str().starts_with("rules.window/")), "it is counted");
    for explains in [rules, &rules.replace("redact = ['action.params.iban']\n", "")] {
        let text = shown(&world, &Ruleset::from_toml(explains).unwrap()).await;
        assert!(!text.contains("rules.window/") && text.contains("window.per_account"), "{text}");
    }
}

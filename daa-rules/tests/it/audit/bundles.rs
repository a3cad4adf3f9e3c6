//! Bundles: what is in them is checked, all of it, and within bounds.

use daa_rules::audit::{
    Bundle, BundleError, MAX_BUNDLE, MAX_RECORDS, Part, Record, RecordError, VerifyError,
};
use serde_json::{Value, json};

use super::world::World;

async fn bundle() -> (World, Value) {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay_often("pay", 3).await;
    log.catch_up().await.unwrap();
    let mut bundle = Bundle::of_records(&world.reader(), &[0, 4]).await.unwrap();
    bundle.disclose(&*world.store, 0, &[Part::Action, Part::Digest]).await.unwrap();
    (world, serde_json::from_str(&bundle.to_string()).unwrap())
}

fn verify(world: &World, bundle: &Value) -> Result<usize, VerifyError> {
    let parsed = Bundle::parse(bundle.to_string().as_bytes())?;
    parsed.verify(&world.trust()).map(|verified| verified.records.len())
}

#[tokio::test]
async fn each_part_of_a_bundle_is_checked() {
    let (world, good) = bundle().await;
    assert_eq!(verify(&world, &good).unwrap(), 2);
    let record = good["records"][0]["record"].as_str().unwrap().to_owned();
    let changes: [(&str, Value); 11] = [
        ("/records/0/index", json!(1)),
        ("/records/0/record", json!(record.replace("alice", "mallory"))),
        ("/records/0/record", json!(record.replace("\"permit\"", "\"deny\""))),
        ("/records/0/proof/0", good["records"][0]["proof"][1].clone()),
        ("/records/0/proof", json!([])),
        ("/records/0/disclosures/0/content", json!("{}")),
        ("/records/0/disclosures/0/salt", good["records"][0]["disclosures"][1]["salt"].clone()),
        ("/records/0/disclosures/0/part", json!("context")),
        ("/records/0/disclosures/0/part", json!("outcome")),
        ("/checkpoint", json!(good["checkpoint"].as_str().unwrap().replace("\n9\n", "\n8\n"))),
        ("/format", json!("daa-audit-bundle/v2")),
    ];
    for (place, value) in changes {
        let mut changed = good.clone();
        let slot = changed.pointer_mut(place).unwrap();
        assert_ne!(*slot, value, "{place}");
        *slot = value;
        assert!(verify(&world, &changed).is_err(), "{place} is not checked");
    }
    let mut more = good.clone();
    more["comment"] = json!("fields that nobody checks are not allowed");
    assert!(matches!(verify(&world, &more), Err(VerifyError::Json(_))));
    let mut none = good;
    none["records"] = json!([]);
    assert!(matches!(verify(&world, &none), Err(VerifyError::Empty)));
}

#[tokio::test]
async fn what_is_too_large_or_too_much_is_refused_before_it_is_worked_on() {
    let (world, good) = bundle().await;
    let large = vec![b' '; MAX_BUNDLE + 1];
    assert!(matches!(Bundle::parse(&large), Err(VerifyError::TooLarge { .. })));
    let with = |place: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(place).unwrap() = value;
        changed
    };
    let entry = json!({ "index": 0, "record": "", "proof": [] });
    let many = with("/records", json!(vec![entry; MAX_RECORDS + 1]));
    assert!(matches!(verify(&world, &many), Err(VerifyError::TooMany { what: "records", .. })));
    let shown = good["records"][0]["disclosures"][0].clone();
    let many = with("/records/0/disclosures", json!(vec![shown; 17]));
    assert!(matches!(verify(&world, &many), Err(VerifyError::TooMany { .. })));
    let long = with("/records/0/proof", json!(vec![good["records"][0]["proof"][0].clone(); 65]));
    assert!(matches!(verify(&world, &long), Err(VerifyError::Json(_))));
    let reader = world.reader();
    let error = Bundle::of_records(&reader, &vec![0; MAX_RECORDS + 1]).await.unwrap_err();
    assert!(matches!(error, BundleError::TooMany { .. }));
    let error = Bundle::of_records(&reader, &[9]).await.unwrap_err();
    assert!(matches!(error, BundleError::Files(_)), "{error}");
}

#[tokio::test]
async fn there_is_one_way_to_write_a_record_and_it_is_that_of_rfc_8785() {
    let (_, good) = bundle().await;
    for entry in good["records"].as_array().unwrap() {
        let text = entry["record"].as_str().unwrap();
        let record = Record::decode(text.as_bytes()).unwrap();
        assert_eq!(record.encode().unwrap(), text.as_bytes());
        // Canonical JSON: sorted names, no spaces.
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(sorted(&value), text);
        for other in [
            format!(" {text}"),
            format!("{text}\n"),
            text.replacen("\"format\":1", "\"format\":01", 1),
            text.replacen("\"format\":1", "\"format\":2", 1),
            text.replacen("action", "\\u0061ction", 1),
            text.replacen("{\"", "{\"attempt\":null,\"", 1),
            text.replacen(":", ": ", 1),
        ] {
            assert_ne!(other, text);
            let error = Record::decode(other.as_bytes()).unwrap_err();
            let refused = matches!(
                error,
                RecordError::Json(_) | RecordError::NotCanonical | RecordError::Format { .. }
            );
            assert!(refused, "{error}");
        }
    }
}

fn sorted(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut names: Vec<_> = map.keys().collect();
            names.sort();
            let fields: Vec<_> =
                names.iter().map(|name| format!("{}:{}", json!(name), sorted(&map[name.as_str()]))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(sorted).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[tokio::test]
async fn a_part_of_another_event_is_not_shown_for_this_one() {
    let (world, mut good) = bundle().await;
    let mut other = Bundle::of_records(&world.reader(), &[3]).await.unwrap();
    other.disclose(&*world.store, 3, &[Part::Action]).await.unwrap();
    let other: Value = serde_json::from_str(&other.to_string()).unwrap();
    good["records"][0]["disclosures"] = other["records"][0]["disclosures"].clone();
    assert!(matches!(verify(&world, &good), Err(VerifyError::Disclosure { index: 0, .. })));
}

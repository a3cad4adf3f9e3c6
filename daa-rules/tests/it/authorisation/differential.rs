//! The same as Cedar called bare, on random policies, entities and requests.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context as CedarContext, Decision as Bare, Entities, Entity as BareEntity, EntityUid,
    PolicySet, Request as BareRequest, RestrictedExpression,
};
use daa_core::action::{Context, Decision};
use daa_core::id::SourceId;
use daa_rules::authorisation::{Entity, EntityChange};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::*;

const PEOPLE: [&str; 3] = ["p0", "p1", "p2"];
const ROLES: [&str; 4] = ["r0", "r1", "r2", "r3"];
const ACCOUNTS: [&str; 3] = ["a0", "a1", "a2"];

/// An entity that can be made for both sides.
#[derive(Clone, Debug)]
enum Made {
    Role { id: &'static str, above: Vec<&'static str> },
    Person { id: &'static str, roles: Vec<&'static str>, tag: Option<&'static str> },
    Account { id: &'static str, north: bool, owner: &'static str, frozen: bool, limit: Option<i64> },
}

impl Made {
    fn ours(&self) -> Entity {
        match self {
            Self::Role { id, above } => {
                above.iter().fold(Entity::new(role(id)), |it, above| it.in_group(role(above)))
            }
            Self::Person { id, roles, tag } => {
                let person = roles.iter().fold(Entity::new(person(id)), |it, has| it.in_group(role(has)));
                tag.iter().fold(person, |it, tag| it.with_tag("level", *tag))
            }
            Self::Account { id, north, owner, frozen, limit } => {
                let place = branch(if *north { "north" } else { "south" });
                let account = account_of(id, owner).in_group(place).with_attribute("frozen", *frozen);
                limit.iter().fold(account, |it, limit| it.with_attribute("limit", *limit))
            }
        }
    }

    fn bare(&self) -> BareEntity {
        let set = |uids: &mut dyn Iterator<Item = String>| {
            uids.map(|uid| uid.parse().unwrap()).collect::<HashSet<EntityUid>>()
        };
        match self {
            Self::Role { id, above } => BareEntity::new_no_attrs(
                uid("DAA::Role", id),
                set(&mut above.iter().map(|id| format!("DAA::Role::\"{id}\""))),
            ),
            Self::Person { id, roles, tag } => {
                let parents = set(&mut roles.iter().map(|id| format!("DAA::Role::\"{id}\"")));
                let tags = tag
                    .iter()
                    .map(|tag| ("level".to_owned(), RestrictedExpression::new_string((*tag).to_owned())));
                BareEntity::new_with_tags(uid("DAA::Person", id), [], parents, tags).unwrap()
            }
            Self::Account { id, north, owner, frozen, limit } => {
                let place = if *north { "north" } else { "south" };
                let mut attributes = HashMap::from([
                    ("owner".to_owned(), RestrictedExpression::new_entity_uid(uid("DAA::Person", owner))),
                    ("frozen".to_owned(), RestrictedExpression::new_bool(*frozen)),
                ]);
                attributes
                    .extend(limit.map(|limit| ("limit".to_owned(), RestrictedExpression::new_long(limit))));
                BareEntity::new(
                    uid("Bank::Account", id),
                    attributes,
                    HashSet::from([uid("Bank::Branch", place)]),
                )
                .unwrap()
            }
        }
    }
}

fn uid(kind: &str, id: &str) -> EntityUid {
    format!("{kind}::\"{id}\"").parse().unwrap()
}

fn roles() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(&ROLES[..], 0..3)
}

fn entities() -> impl Strategy<Value = Vec<Made>> {
    // A role is in roles of higher numbers alone, so there is no cycle.
    let above = prop::collection::vec(any::<[bool; 4]>(), 4);
    let people =
        prop::collection::vec((roles(), prop::option::of(prop::sample::select(vec!["low", "high"]))), 3);
    let limit = prop::option::of(prop::sample::select(vec![-1, 0, 10, i64::MAX]));
    let accounts = prop::collection::vec((any::<bool>(), 0..3_usize, any::<bool>(), limit), 3);
    (above, people, accounts).prop_map(|(above, people, accounts)| {
        let role = |(n, above): (usize, [bool; 4])| Made::Role {
            id: ROLES[n],
            above: (n + 1..4).filter(|m| above[*m]).map(|m| ROLES[m]).collect(),
        };
        let mut made: Vec<_> = above.into_iter().enumerate().map(role).collect();
        made.extend(people.into_iter().zip(PEOPLE).map(|((roles, tag), id)| Made::Person { id, roles, tag }));
        made.extend(accounts.into_iter().zip(ACCOUNTS).map(|((north, owner, frozen, limit), id)| {
            Made::Account { id, north, owner: PEOPLE[owner], frozen, limit }
        }));
        made
    })
}

fn policy() -> impl Strategy<Value = String> {
    let principal = prop_oneof![
        Just("principal".to_owned()),
        Just("principal is DAA::Person".to_owned()),
        prop::sample::select(&ROLES[..]).prop_map(|role| format!("principal in DAA::Role::\"{role}\"")),
        prop::sample::select(&PEOPLE[..]).prop_map(|id| format!("principal == DAA::Person::\"{id}\"")),
    ];
    let action = prop::sample::select(vec![
        "action == Bank::Action::\"payment.send\"",
        "action in Bank::Action::\"payment\"",
    ]);
    let resource = prop::sample::select(vec![
        "resource",
        "resource in Bank::Branch::\"north\"",
        "resource == Bank::Account::\"a1\"",
    ]);
    let condition = prop::sample::select(vec![
        "true",
        "resource.owner == principal",
        "resource.frozen",
        "resource has limit && context.params.amount <= resource.limit",
        "resource has limit && resource.limit + context.params.amount > 20",
        "context.plan.tainted",
        "context.plan.sources.contains(\"mail\")",
        "context has cost && context.cost.units * 2 > context.params.amount",
        "context has hour && context.hour >= 8",
        "principal is DAA::Person && principal.hasTag(\"level\") && principal.getTag(\"level\") == \"high\"",
        "principal in resource.owner",
        "context.params.to == resource",
        "context.params has note && context.params.note like \"a*\"",
    ]);
    let effect = prop::sample::select(vec!["permit", "permit", "forbid"]);
    let clause = prop::sample::select(vec!["when", "unless"]);
    (effect, principal, action, resource, prop::collection::vec((clause, condition), 0..3)).prop_map(
        |(effect, principal, action, resource, clauses)| {
            let clauses: String =
                clauses.iter().map(|(clause, condition)| format!(" {clause} {{ {condition} }}")).collect();
            format!("{effect} ({principal}, {action}, {resource}){clauses};\n")
        },
    )
}

#[derive(Clone, Debug)]
struct Asked {
    who: usize,
    to: &'static str,
    amount: i64,
    note: Option<&'static str>,
    cost: Option<u64>,
    hour: Option<i64>,
    sources: Vec<&'static str>,
}

fn asked() -> impl Strategy<Value = Asked> {
    (
        0..3_usize,
        // One account is not registered.
        prop::sample::select(vec!["a0", "a1", "a2", "a9"]),
        prop::sample::select(vec![0, 5, 10, 11, i64::MAX, i64::MIN]),
        prop::option::of(prop::sample::select(vec!["abc", "", "xa"])),
        prop::option::of(prop::sample::select(vec![0, 3, 11, u64::MAX / 2, u64::MAX])),
        prop::option::of(0..24_i64),
        prop::sample::subsequence(vec!["mail", "web"], 0..3),
    )
        .prop_map(|(who, to, amount, note, cost, hour, sources)| Asked {
            who,
            to,
            amount,
            note,
            cost,
            hour,
            sources,
        })
}

impl Asked {
    fn ours(&self) -> (daa_core::action::Action, Context) {
        let mut params = json!({ "to": self.to, "amount": self.amount, "more": { "x": 0.5 } });
        if let Some(note) = self.note {
            params["note"] = Value::from(note);
        }
        let payment = action("payment.send", PEOPLE[self.who], params);
        let payment = self.cost.iter().fold(payment, |it, units| costing(it, u128::from(*units)));
        let context =
            self.hour.iter().fold(Context::new().with("other", 1), |it, hour| it.with("hour", *hour));
        (payment, context.with_sources(self.sources.iter().map(|name| SourceId::new(name).unwrap())))
    }

    /// The context as a person would write it for Cedar, without JSON and without a schema; `None` for a cost that Cedar cannot
    /// count.
    fn bare(&self) -> Option<CedarContext> {
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let record = |fields: Vec<(&str, RestrictedExpression)>| {
            RestrictedExpression::new_record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)))
                .unwrap()
        };
        let mut params = vec![
            ("to", RestrictedExpression::new_entity_uid(uid("Bank::Account", self.to))),
            ("amount", RestrictedExpression::new_long(self.amount)),
        ];
        params.extend(self.note.map(|note| ("note", text(note))));
        let plan = record(vec![
            ("tainted", RestrictedExpression::new_bool(!self.sources.is_empty())),
            ("sources", RestrictedExpression::new_set(self.sources.iter().map(|name| text(name)))),
        ]);
        let mut fields = vec![("params".to_owned(), record(params)), ("plan".to_owned(), plan)];
        if let Some(units) = self.cost {
            let units = RestrictedExpression::new_long(i64::try_from(units).ok()?);
            let cost = record(vec![
                ("units", units),
                ("currency", text("USDC")),
                ("decimals", RestrictedExpression::new_long(6)),
            ]);
            fields.push(("cost".to_owned(), cost));
        }
        fields.extend(self.hour.map(|hour| ("hour".to_owned(), RestrictedExpression::new_long(hour))));
        Some(CedarContext::from_pairs(fields).unwrap())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn decides_as_cedar_does_and_denies_where_cedar_has_errors(
        policies in prop::collection::vec(policy(), 0..10),
        before in entities(),
        made in entities(),
        requests in prop::collection::vec(asked(), 10..40),
    ) {
        let source = policies.concat();
        // What validation refuses is none of this test's business; the policies above pass it.
        let set: PolicySet = source.parse().unwrap();
        let schema = cedar_policy::Schema::from_cedarschema_str(&format!("{}{SCHEMA}", daa_rules::authorisation::SHIPPED_SCHEMA)).unwrap().0;
        let branches = ["north", "south"].map(|id| BareEntity::with_uid(uid("Bank::Branch", id)));
        let bare = made.iter().map(Made::bare).chain(branches);
        let bare = Entities::from_entities(bare.chain(schema.action_entities().unwrap()), None).unwrap();
        crate::runtime().block_on(async {
            let places = [Entity::new(branch("north")), Entity::new(branch("south"))];
            let all = places.into_iter().chain(before.iter().map(Made::ours)).collect();
            let world = World::with(SCHEMA, &source, all).await;
            // Whatever was so before, and was asked about, has no effect.
            for asked in &requests {
                let (action, context) = asked.ours();
                world.verdict(&action, &context);
            }
            world.change(made.iter().map(|made| EntityChange::Put(made.ours())).collect()).await.unwrap();
            for _ in 0..2 {
                for asked in &requests {
                    let (action, context) = asked.ours();
                    let verdict = world.verdict(&action, &context);
                    let Some(bare_context) = asked.bare() else {
                        assert!(matches!(verdict.decision, Decision::Deny { .. }));
                        continue;
                    };
                    let (who, what) = (uid("DAA::Person", PEOPLE[asked.who]), uid("Bank::Action", "payment.send"));
                    let to = uid("Bank::Account", asked.to);
                    let request = BareRequest::new(who, what, to, bare_context, None).unwrap();
                    let answer = Authorizer::new().is_authorized(&request, &set, &bare);
                    let errors = answer.diagnostics().errors().count();
                    let expected = answer.decision() == Bare::Allow && errors == 0;
                    assert_eq!(verdict.decision == Decision::Permit, expected, "{asked:?}: {verdict:?}");
                    if errors == 0 {
                        let name = |id: &cedar_policy::PolicyId| {
                            let place: usize = id.to_string()["policy".len()..].parse().unwrap();
                            format!("cedar/policy-{}", place + 1)
                        };
                        let mut reasons: Vec<_> = answer.diagnostics().reason().map(name).collect();
                        reasons.sort();
                        let found: Vec<_> = verdict.rules.iter().map(ToString::to_string).collect();
                        assert_eq!(found, reasons);
                    }
                }
            }
        });
    }
}

use std::sync::OnceLock;

use super::super::table::K;
use super::super::testing::{HOUR, NOW, address, at, crowd, identity, issue, network, record};
use super::super::wire::{Entry, Find, Found as Answer, Kept, Stored};
use super::super::{Found, RankOptions, rank, wire};
use super::*;
use crate::identity::NodeIdentity;

const SECOND: Duration = Duration::from_secs(1);

fn me() -> NodeIdentity {
    identity(1)
}

fn people() -> &'static [SignedRecord] {
    static PEOPLE: OnceLock<Vec<SignedRecord>> = OnceLock::new();
    PEOPLE.get_or_init(|| crowd(60))
}

fn machine() -> Discovery {
    let (options, book) = (DiscoveryOptions::default(), BookOptions::default().with_records(200));
    Discovery::new(CryptoSuite::new(), network(), me().node(), options, book, Seed::from_u64(1))
}

/// What it wants to send, and to whom; what it tells.
fn drain(machine: &mut Discovery) -> (Vec<(NodeId, Message)>, Vec<Event>) {
    let (mut sent, mut told) = (Vec::new(), Vec::new());
    while let Some(effect) = machine.poll() {
        match effect {
            Effect::Send { to, message } => sent.push((to, Message::decode(&message).unwrap())),
            Effect::Tell(event) => told.push(event),
        }
    }
    (sent, told)
}

fn entry(record: &SignedRecord) -> Entry {
    serve::entry(record)
}

fn answer(id: u64, nodes: &[SignedRecord]) -> Vec<u8> {
    let answer = Answer { nodes: nodes.iter().map(entry).collect(), ..Answer::default() };
    Message { id, body: Body::Found(answer) }.encode().to_vec()
}

/// A machine that knows these.
fn knowing(contacts: &[SignedRecord]) -> Discovery {
    let mut machine = machine();
    machine.set_own(at(&me(), 5_000), NOW);
    for record in contacts {
        machine.learn(record.clone(), None, NOW);
        for (to, Message { id, .. }) in drain(&mut machine).0 {
            if to == record.node() && matches!(machine.asking.purpose(id), Some(ask::Purpose::Acquaintance)) {
                machine.receive(to, &answer(id, std::slice::from_ref(record)), NOW).unwrap();
            }
        }
    }
    // Whoever was asked because of that does not answer.
    machine.wake(NOW + SECOND * 10);
    machine.wake(NOW + SECOND * 20);
    drain(&mut machine);
    machine
}

fn find(count: usize) -> Vec<u8> {
    let find = Find { target: Key::from(me().node()), want: Want::Nodes, count, knows: Vec::new() };
    Message { id: 9, body: Body::Find(find) }.encode().to_vec()
}

#[test]
fn who_asks_is_answered_with_the_nearest_and_with_this_node() {
    let mut machine = knowing(&people()[..5]);
    machine.receive(people()[0].node(), &find(20), NOW).unwrap();
    let (sent, _) = drain(&mut machine);
    let (to, message) = &sent[0];
    assert_eq!((*to, message.id), (people()[0].node(), 9));
    let Body::Found(found) = &message.body else { panic!("{message:?}") };
    let nodes: Vec<_> = found.nodes.iter().map(|entry| entry.node).collect();
    assert_eq!(nodes.len(), 5, "four others and this one: {nodes:?}");
    assert_eq!(nodes[0], me().node(), "nearest to itself");
    assert!(!nodes.contains(&people()[0].node()), "who asks knows itself");
}

#[test]
fn what_the_asker_knows_does_not_travel_unless_it_is_newer() {
    let mut machine = knowing(&people()[..5]);
    let known =
        |record: &SignedRecord, version| wire::Knows { prefix: wire::prefix(&record.node()), version };
    let knows = vec![known(&people()[1], 1), known(&people()[2], 0)];
    let find = Find { target: Key::from(me().node()), want: Want::Nodes, count: 20, knows };
    let message = Message { id: 9, body: Body::Find(find) }.encode();
    machine.receive(people()[0].node(), &message, NOW).unwrap();
    let (sent, _) = drain(&mut machine);
    let Body::Found(found) = &sent[0].1.body else { panic!() };
    assert_eq!(found.named, [people()[1].node()]);
    assert!(found.nodes.iter().any(|entry| entry.node == people()[2].node()));
}

#[test]
fn an_answer_that_nobody_asked_for_is_refused_and_one_that_is_late_is_not() {
    let mut machine = knowing(&people()[..5]);
    let mut refused =
        |from: &SignedRecord, id| machine.receive(from.node(), &answer(id, &[]), NOW).unwrap_err().what;
    assert_eq!(refused(&people()[0], 77_777), "an answer that nobody asked for");
    machine.find_node(people()[9].node(), NOW + SECOND * 21).unwrap();
    let (sent, _) = drain(&mut machine);
    let (to, Message { id, .. }) = &sent[0];
    let other = people().iter().find(|record| record.node() != *to).unwrap();
    let wrong = machine.receive(other.node(), &answer(*id, &[]), NOW).unwrap_err();
    assert_eq!(wrong.what, "an answer that nobody asked for", "it was somebody else's to give");
    let kept = Message { id: *id, body: Body::Kept(Kept::Yes) }.encode();
    let wrong = machine.receive(*to, &kept, NOW).unwrap_err();
    assert_eq!(wrong.what, "an answer to something else than was asked");
    machine.receive(*to, &answer(*id, &[]), NOW + SECOND * 22).unwrap();
    machine.receive(*to, &answer(*id, &[]), NOW + SECOND * 22).unwrap();
    // The others are given up, and answer then.
    machine.wake(NOW + SECOND * 60);
    machine.wake(NOW + SECOND * 120);
    let (to, Message { id, .. }) = &sent[1];
    machine.receive(*to, &answer(*id, &[]), NOW + SECOND * 121).unwrap();
}

/// What is wrong with this answer to a lookup.
fn refused(body: Answer) -> &'static str {
    let mut machine = knowing(&people()[..5]);
    machine.find_node(people()[9].node(), NOW + SECOND * 21).unwrap();
    let (to, Message { id, .. }) = drain(&mut machine).0.remove(0);
    let records = machine.book.len();
    let message = Message { id, body: Body::Found(body) }.encode();
    let error = machine.receive(to, &message, NOW + SECOND * 22).unwrap_err();
    assert_eq!(machine.book.len(), records, "nothing of it is believed");
    error.what
}

#[test]
fn an_answer_that_lies_is_refused_as_a_whole() {
    let good = entry(&people()[30]);
    let with = |more: Entry| Answer { nodes: vec![good.clone(), more], ..Answer::default() };
    let swapped = Entry { node: people()[32].node(), record: people()[31].as_bytes().clone() };
    assert_eq!(refused(with(swapped)), "the record of another node than it is said to be of");
    assert_eq!(refused(with(good.clone())), "a node twice in an answer");
    let mut bytes = people()[31].as_bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let changed = Entry { node: people()[31].node(), record: bytes.into() };
    assert_eq!(refused(with(changed)), "a record that does not hold");
    let providers = Answer { providers: vec![good], ..Answer::default() };
    assert_eq!(refused(providers), "an answer with more than was asked for");
    let name = Answer { name: vec![1].into(), ..Answer::default() };
    assert_eq!(refused(name), "an answer with more than was asked for");
}

#[test]
fn who_floods_is_refused_and_costs_no_memory() {
    let mut machine = knowing(&people()[..5]);
    let flooder = identity(77).node();
    let answered = (0..10_000).filter(|_| machine.receive(flooder, &find(1), NOW).is_ok()).count();
    assert_eq!(answered, 200);
    let (sent, _) = drain(&mut machine);
    assert_eq!(sent.len(), 200 + 1, "the answers, and one question who it is");
    let key = Key::of_service(&network(), &"training".parse().unwrap());
    let stored = Stored::Provider { key, record: vec![0; 16 << 10].into() };
    let message = Message { id: 1, body: Body::Store(stored) }.encode();
    let errors: Vec<_> =
        (0..1_000).map(|_| machine.receive(flooder, &message, NOW).unwrap_err().what).collect();
    let verified = errors.iter().filter(|what| **what == "a record that does not hold").count();
    assert_eq!(verified, 64, "the others are refused before they are looked at");
}

#[test]
fn garbage_frames_that_are_too_long_and_replays_change_nothing() {
    let mut machine = knowing(&people()[..5]);
    let from = people()[0].node();
    let before = format!("{:?}", (&machine.table, &machine.book, &machine.providers, &machine.asking));
    let mut rng = Seed::from_u64(3).rng();
    for length in (0..200).chain([wire::MAX_MESSAGE + 1, 10 << 20]) {
        let mut garbage = vec![0; length];
        rand_core::Rng::fill_bytes(&mut rng, &mut garbage);
        let _ = machine.receive(from, &garbage, NOW + SECOND * 21);
    }
    assert!(drain(&mut machine).0.is_empty());
    assert_eq!(format!("{:?}", (&machine.table, &machine.book, &machine.providers, &machine.asking)), before);

    // What was good once: an answer, and a provider that somebody else brings.
    let key = Key::of_service(&network(), &"training".parse().unwrap());
    let provider = record(1).with_address(address(1)).with_service("training".parse().unwrap());
    let provider = issue(provider, &identity(1_002));
    let stored = Stored::Provider { key, record: provider.as_bytes().clone() };
    let stored = Message { id: 1, body: Body::Store(stored) }.encode();
    machine.receive(provider.node(), &stored, NOW + SECOND * 21).unwrap();
    assert_eq!(machine.providers.sizes(), (0, 0, 0), "another record of the same version");
    let (sent, told) = drain(&mut machine);
    assert_eq!(sent[0].1.body, Body::Kept(Kept::No));
    assert!(matches!(&told[..], [Event::Conflict(_)]));
    let other = machine.receive(from, &stored, NOW + SECOND * 21).unwrap_err();
    assert_eq!(other.what, "the record of another node than it is said to be of");
}

#[test]
fn one_host_does_not_take_a_service_by_claiming_to_be_everywhere() {
    let training: Service = "training".parse().unwrap();
    let (mut machine, host) = (machine(), address(9_000));
    machine.set_own(at(&me(), 5_000), NOW);
    let key = Key::of_service(&network(), &training);
    for who in 2_000..2_020 {
        let claims = record(1).with_address(address(who as u32)).with_service(training.clone());
        let provider = issue(claims, &identity(who));
        machine.connected(provider.node(), NOW);
        machine.observed(provider.node(), &host);
        let stored = Stored::Provider { key, record: provider.as_bytes().clone() };
        let stored = Message { id: 1, body: Body::Store(stored) }.encode();
        machine.receive(provider.node(), &stored, NOW).unwrap();
    }
    assert_eq!(machine.kept_providers(&training, NOW).len(), 8);
}

/// Nobody sees where a node behind a relay is. Each claims a subnet of its own, and comes through a relay of another owner.
#[test]
fn those_behind_relays_are_one_subnet_whatever_they_claim() {
    let training: Service = "training".parse().unwrap();
    let mut machine = machine();
    machine.set_own(at(&me(), 5_000), NOW);
    let key = Key::of_service(&network(), &training);
    for who in 2_000..2_020_u32 {
        let claims = record(1).with_address(address(who)).with_service(training.clone());
        let provider = issue(claims, &identity(who.into()));
        let node = provider.node();
        machine.connected(node, NOW);
        machine.observed(node, &address(10_000 + who).with(multiaddr::Protocol::P2pCircuit));
        if who == 2_019 {
            // One got through to this node since, and was seen.
            machine.observed(node, &address(who));
        }
        let stored = Stored::Provider { key, record: provider.as_bytes().clone() };
        let stored = Message { id: 1, body: Body::Store(stored) }.encode();
        machine.receive(node, &stored, NOW).unwrap();
        drain(&mut machine);
        machine.table.seen(provider, machine.observed_at(&node).cloned().as_ref(), NOW);
    }
    assert_eq!(machine.kept_providers(&training, NOW).len(), 8 + 1);
    assert!(machine.table.len() <= 10 + 1, "{} contacts", machine.table.len());
}

#[test]
fn lookups_have_a_bound() {
    let mut machine = knowing(&people()[..5]);
    let now = NOW + SECOND * 21;
    let begun = (0..1_000).filter(|_| machine.find_node(people()[9].node(), now).is_ok()).count();
    assert!(begun <= 32 + 32 * 8, "{begun}");
    assert_eq!((machine.running.len(), machine.waiting.len()), (32, 32 * 8));
}

#[test]
fn a_lookup_without_contacts_ends_at_once() {
    let mut machine = machine();
    let id = machine.find_node(people()[9].node(), NOW).unwrap();
    let (sent, told) = drain(&mut machine);
    assert!(sent.is_empty());
    assert!(
        matches!(&told[..], [Event::Found { lookup, found: Found::Nodes(nodes) }] if *lookup == id && nodes.is_empty())
    );
}

#[test]
fn the_own_record_is_to_be_renewed_in_its_last_third() {
    let mut machine = machine();
    machine.set_own(issue(record(1).with_address(address(1)), &me()), NOW);
    let renews = |machine: &mut Discovery, at: Timestamp| {
        machine.wake(at);
        drain(machine).1.iter().filter(|event| matches!(event, Event::Renew)).count()
    };
    assert_eq!(renews(&mut machine, NOW + HOUR * 15), 0);
    assert!(machine.next_wake().unwrap() <= NOW + HOUR * 16);
    assert_eq!(renews(&mut machine, NOW + HOUR * 16), 1);
    assert_eq!(renews(&mut machine, NOW + HOUR * 16 + SECOND), 0);
    assert_eq!(renews(&mut machine, NOW + HOUR * 16 + SECOND * 61), 1, "until there is a newer one");
    let mut newer = record(2).with_address(address(1));
    (newer.issued, newer.expires) = (NOW + HOUR * 17, NOW + HOUR * 41);
    machine.set_own(issue(newer, &me()), NOW + HOUR * 17);
    assert_eq!(renews(&mut machine, NOW + HOUR * 20), 0);
}

#[test]
fn two_records_of_one_version_are_told() {
    let mut machine = knowing(&people()[..5]);
    let liar = identity(1_004);
    let other = issue(record(1).with_address(address(4_000)), &liar);
    machine.find_node(people()[9].node(), NOW + SECOND * 21).unwrap();
    let (to, Message { id, .. }) = drain(&mut machine).0.remove(0);
    machine.receive(to, &answer(id, &[other]), NOW + SECOND * 22).unwrap();
    let (_, told) = drain(&mut machine);
    assert!(
        matches!(&told[..], [Event::Conflict(conflict)] if conflict.known.node() == liar.node()),
        "{told:?}"
    );
}

#[test]
fn who_asks_and_is_not_known_is_asked_who_it_is() {
    let mut machine = knowing(&people()[..5]);
    let stranger = &people()[40];
    machine.receive(stranger.node(), &find(1), NOW + SECOND * 21).unwrap();
    let (sent, _) = drain(&mut machine);
    let (_, Message { id, body }) =
        sent.iter().find(|(_, message)| matches!(message.body, Body::Find(_))).unwrap();
    let Body::Find(asked) = body else { panic!() };
    assert_eq!((asked.target, asked.count), (Key::from(stranger.node()), 1));
    machine
        .receive(stranger.node(), &answer(*id, std::slice::from_ref(stranger)), NOW + SECOND * 21)
        .unwrap();
    assert!(machine.table.contact(&stranger.node()).is_some());
    // More than one is more than was asked for.
    machine.receive(people()[41].node(), &find(1), NOW + SECOND * 21).unwrap();
    let (sent, _) = drain(&mut machine);
    let (_, Message { id, .. }) =
        sent.iter().find(|(_, message)| matches!(message.body, Body::Find(_))).unwrap();
    let wrong = machine.receive(people()[41].node(), &answer(*id, &people()[41..43]), NOW + SECOND * 21);
    assert_eq!(wrong.unwrap_err().what, "an answer with more than was asked for");
    assert!(machine.table.len() <= 6 && K > 6);
}

#[test]
fn a_contact_is_asked_for_its_record_before_that_ends_and_goes_when_there_is_none() {
    let contact = identity(1_000);
    let mut machine = knowing(&people()[..1]);
    let mut at = NOW;
    let mut asked = Vec::new();
    while at < NOW + HOUR * 24 {
        at = at + Duration::from_secs(60);
        machine.wake(at);
        for (to, Message { id, body }) in drain(&mut machine).0 {
            let Body::Find(find) = body else { continue };
            if find.count == 1 {
                asked.push(at);
            }
            // It has nothing newer.
            let named = Answer { named: vec![contact.node()], ..Answer::default() };
            machine.receive(to, &Message { id, body: Body::Found(named) }.encode(), at).unwrap();
        }
    }
    assert!(asked.iter().filter(|at| **at > NOW + HOUR * 23).count() >= 10, "{}", asked.len());
    assert!(machine.table.closest(&Key::from(contact.node()), 1).is_empty());

    let mut machine = knowing(&people()[..1]);
    machine.wake(NOW + HOUR * 23 + Duration::from_secs(3_000));
    let mut newer = record(2).with_address(address(1));
    (newer.issued, newer.expires) = (NOW + HOUR * 20, NOW + HOUR * 44);
    let newer = issue(newer, &contact);
    for (to, Message { id, .. }) in drain(&mut machine).0 {
        let _ = machine.receive(to, &answer(id, std::slice::from_ref(&newer)), NOW + HOUR * 24);
    }
    let kept = machine.table.contact(&contact.node()).unwrap();
    assert_eq!(kept.record.record().version, 2);
}

#[test]
fn what_is_known_of_a_service_here_is_a_list_of_candidates() {
    let training: Service = "training".parse().unwrap();
    let offering = |who: u64| {
        let record = record(1).with_address(address(who as u32)).with_service(training.clone());
        issue(record, &identity(who))
    };
    let mut machine = knowing(&people()[..5]);
    machine.learn(offering(300), None, NOW);
    machine.learn(offering(301), Some(people()[0].node()), NOW);
    let found = rank(me().node(), &training, machine.candidates(&training, NOW), RankOptions::default(), NOW);
    let nodes: BTreeSet<_> = found.iter().map(|found| found.record.node()).collect();
    assert_eq!(nodes, [300, 301].map(|who| identity(who).node()).into());
    assert!(found.iter().all(|found| found.sightings.contains(&Sighting::Book)));
}

#[test]
fn the_contacts_that_answered_last_are_those_to_begin_with_next_time() {
    let machine = knowing(&people()[..5]);
    let list = machine.good_peers();
    let nodes: BTreeSet<_> = list.peers().iter().map(|peer| peer.node).collect();
    let used = machine.table.closest(&Key::from(me().node()), K).into_iter().map(|contact| contact.node());
    assert_eq!(nodes, used.collect());
    assert!(nodes.len() >= 4);
    assert_eq!(BootstrapList::decode(&list.encode()), Ok(list));
}

#[test]
fn who_is_connected_is_asked_who_it_is_once() {
    let mut machine = knowing(&people()[..5]);
    let stranger = people()[40].node();
    for second in [21, 30, 40] {
        machine.connected(stranger, NOW + SECOND * second);
        machine.disconnected(stranger, NOW + SECOND * (second + 1));
    }
    let asked: Vec<_> = drain(&mut machine).0.into_iter().map(|(to, _)| to).collect();
    assert_eq!(asked, [stranger]);
    machine.connected(people()[0].node(), NOW + SECOND * 50);
    assert!(drain(&mut machine).0.is_empty(), "it is a contact");
}

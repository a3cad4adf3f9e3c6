//! Peers that forge, flood, replay, and promise what they do not keep.

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::gossip::score::{GOSSIP, IGNORED};
use crate::gossip::wire::{Frame, Have, Subscriptions, max_frame, pack};
use crate::machine::{Effect, Machine as _};

const PUPPET: usize = 30;

fn frame(messages: Vec<Bytes>) -> Frame {
    Frame { messages, ..Frame::default() }
}

pub(super) fn interested() -> Frame {
    let subscriptions = Subscriptions { version: 1, topics: vec![topic().to_string()] };
    Frame { subscriptions: Some(subscriptions), graft: vec![topic().to_string()], ..Frame::default() }
}

/// So many nodes, and a hostile one that is in the mesh of all that take it.
fn with_puppet(seed: u64, count: usize) -> World {
    let mut world = world(seed, count, count, Link::rtt(50));
    world.add_puppet(node(PUPPET));
    for of in nodes(count) {
        world.connect(node(PUPPET), of);
        world.send_as(node(PUPPET), of, interested().encode_to_vec());
    }
    world.run_for(3_000);
    world
}

/// A node with one peer, outside of a simulation.
fn alone() -> Gossip {
    let mut machine = machine(0, 1, BEGIN, Validation::Signature);
    machine.connected(node(1), BEGIN);
    machine.receive(node(1), &interested().encode_to_vec(), BEGIN).unwrap();
    (0..4).for_each(|of| machine.remember(identity(of).key()));
    drain(&mut machine);
    machine
}

fn drain(machine: &mut Gossip) -> (usize, Vec<MessageId>) {
    let (mut bytes, mut told) = (0, Vec::new());
    while let Some(effect) = machine.poll() {
        match effect {
            Effect::Send { message, .. } => bytes += message.len(),
            Effect::Tell(GossipEvent::Message { id, .. }) => told.push(id),
            Effect::Tell(GossipEvent::Misbehaved(_)) => {}
        }
    }
    (bytes, told)
}

fn give(machine: &mut Gossip, messages: Vec<Bytes>, now: Timestamp) -> Result<usize, &'static str> {
    machine.receive(node(1), &frame(messages).encode_to_vec(), now).map_err(|error| error.what)?;
    Ok(drain(machine).1.len())
}

/// The bytes of a message with its signature replaced by that of another.
fn forged(of: usize, by: usize, number: u64, now: Timestamp) -> Bytes {
    sign(of, "forged", number, now).with_signature_of(&sign(by, "mine", number, now)).encode()
}

#[test]
fn nothing_is_told_that_its_author_has_not_signed() {
    let machine = &mut alone();
    let not_signed = Err("a message that its author has not signed");
    assert_eq!(give(machine, vec![forged(2, 1, 1, BEGIN)], BEGIN), not_signed);
    let good = sign(2, "text", 1, BEGIN);
    let elsewhere = "elsewhere".parse().unwrap();
    let other = SignedMessage::sign(identity(2), &elsewhere, topic(), Bytes::new(), 1, BEGIN);
    let other = ready(other).unwrap().encode();
    assert_eq!(give(machine, vec![other], BEGIN), Err("no message of this network"));
    assert_eq!(give(machine, vec![good.encode()], BEGIN), Ok(1), "the forgery is not in its way");
    assert!(machine.score(&node(1)) < 0.0);
    assert_eq!(give(machine, vec![forged(2, 1, 2, BEGIN)], BEGIN), not_signed);
    assert!(machine.score(&node(1)) < IGNORED);
    assert_eq!(
        give(machine, vec![sign(2, "more", 3, BEGIN).encode()], BEGIN),
        Err("of a peer that misbehaved")
    );
    // It does not help to come again, but time does.
    machine.disconnected(node(1), BEGIN);
    machine.connected(node(1), BEGIN);
    assert_eq!(
        give(machine, vec![sign(2, "more", 3, BEGIN).encode()], BEGIN),
        Err("of a peer that misbehaved")
    );
    for second in 1..300 {
        machine.wake(BEGIN + Duration::from_secs(second));
    }
    drain(machine);
    let later = BEGIN + Duration::from_secs(300);
    assert_eq!(give(machine, vec![sign(2, "more", 3, later).encode()], later), Ok(1));
}

#[test]
fn what_is_old_or_known_is_not_told_again() {
    let machine = &mut alone();
    let signed = sign(2, "text", 1, BEGIN);
    assert_eq!(give(machine, vec![signed.encode(), signed.encode()], BEGIN), Ok(1));
    // Another signature over the same.
    let again = sign(2, "text", 1, BEGIN);
    assert_ne!(again.encode(), signed.encode());
    assert_eq!(give(machine, vec![again.encode()], BEGIN), Ok(0));
    for second in [1, 60, 119, 120, 200, 400] {
        let now = BEGIN + Duration::from_secs(second);
        machine.wake(now);
        drain(machine);
        assert_eq!(give(machine, vec![signed.encode()], now), Ok(0));
    }
    let now = BEGIN + Duration::from_secs(400);
    assert_eq!(machine.seen.len(), 0);
    assert_eq!(give(machine, vec![sign(2, "text", 2, now + Duration::from_secs(61)).encode()], now), Ok(0));
    assert_eq!(give(machine, vec![sign(2, "text", 2, now + Duration::from_secs(60)).encode()], now), Ok(1));
    assert!(machine.score(&node(1)) > 0.0, "clocks differ: nobody is to blame");
}

#[test]
fn what_made_room_is_not_told_again() {
    let key = identity(0).key().clone();
    let few = options().with_seen(32).with_cached(20_000);
    let mut machine = Gossip::new(few, CryptoSuite::new(), network(), key, Seed::from_u64(1), BEGIN);
    machine.subscribe(topic(), Validation::Signature, BEGIN).unwrap();
    machine.connected(node(1), BEGIN);
    (0..40).for_each(|of| machine.remember(identity(of).key()));
    drain(&mut machine);
    let at = |number: u64| BEGIN + Duration::from_millis(number);
    let all: Vec<_> = (0..120_u64)
        .map(|number| sign(1 + number as usize % 39, "text", number, at(number)).encode())
        .collect();
    let each = all.iter().zip((0..).map(at));
    let told: usize = each.map(|(one, now)| give(&mut machine, vec![one.clone()], now).unwrap()).sum();
    assert_eq!(told, 120);
    assert!(machine.seen.len() == 32 && machine.cache.bytes() <= 20_000);
    let again: usize = all.iter().map(|one| give(&mut machine, vec![one.clone()], at(120)).unwrap()).sum();
    assert_eq!(again, 0, "however little is remembered");
}

#[test]
fn a_flooder_is_cut_off_and_the_others_go_on() {
    let mut world = with_puppet(2, 8);
    for number in 0..400_u64 {
        world.after(number * 10, move |world| {
            let now = world.clock(node(0));
            // Good messages, but far too many.
            let messages: Vec<_> =
                (0..8).map(|more| sign(PUPPET, "flood", number * 8 + more, now).encode()).collect();
            for of in nodes(8) {
                world.send_as(node(PUPPET), of, frame(messages.clone()).encode_to_vec());
            }
        });
    }
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(publish(&mut world, node(number as usize % 8), number));
        world.run_for(500);
    }
    assert_eq!(misbehaved(&world), BTreeSet::from([node(PUPPET)]));
    for (_, machine) in world.machines() {
        assert!(!machine.topics[&topic()].mesh.contains(&node(PUPPET)));
        assert!(machine.received.len() <= 9 && machine.scores.len() <= 9);
    }
    let all = deliveries(&world);
    let heard = |id: &MessageId| all.keys().filter(|(of, _)| of == id).count();
    assert!(ids.iter().all(|id| heard(id) == 7));
    let of_puppet = all.keys().filter(|(id, _)| !ids.contains(id)).count() / 8;
    assert!(of_puppet <= 900, "{of_puppet} of 3,200: what an author may at once, and a second");
}

#[test]
fn whoever_does_not_keep_promises_is_shown_and_asked_nothing() {
    let machine = &mut alone();
    let (mut asked, mut worst) = (0, 0.0_f64);
    for second in 0..60_u64 {
        let now = BEGIN + Duration::from_secs(second);
        machine.wake(now);
        drain(machine);
        let ids: Vec<[u8; 32]> = (0..512_u64)
            .map(|number| *blake3::hash(&(second * 1_000 + number).to_le_bytes()).as_bytes())
            .collect();
        let have = vec![Have { topic: topic().to_string(), ids: pack(&ids) }];
        let taken = machine.receive(node(1), &Frame { have, ..Frame::default() }.encode_to_vec(), now);
        taken.unwrap();
        asked += drain(machine).0;
        assert!(machine.promises.len() <= 4 * 256);
        worst = worst.min(machine.score(&node(1)));
    }
    assert!(worst < GOSSIP && machine.score(&node(1)) < 0.0, "{worst}");
    assert_eq!(mesh(machine), 0);
    // Now and then it may try again.
    assert!(asked < 15 * 256 * 33, "{asked} bytes asked");
}

#[test]
fn a_key_that_is_withheld_is_asked_of_another() {
    let machine = &mut machine(0, 1, BEGIN, Validation::Signature);
    for of in [1, 2, 4] {
        machine.connected(node(of), BEGIN);
    }
    let signed = sign(3, "text", 1, BEGIN);
    let bad = signed.with_signature_of(&sign(1, "text", 1, BEGIN));
    let send = |machine: &mut Gossip, from: usize, message: Frame, now| {
        machine.receive(node(from), &message.encode_to_vec(), now).unwrap();
        drain(machine).1.len()
    };
    // Which one is signed shows later.
    send(machine, 1, frame(vec![bad.encode()]), BEGIN);
    send(machine, 4, frame(vec![bad.encode()]), BEGIN);
    send(machine, 2, frame(vec![signed.encode()]), BEGIN);
    assert_eq!(machine.parked.len(), 3);
    let key = Frame { keys: vec![identity(3).key().encode().into()], ..Frame::default() };
    assert_eq!(send(machine, 2, key.clone(), BEGIN), 0, "it was not asked");
    let later = BEGIN + Duration::from_secs(4);
    machine.wake(later);
    let asked: Vec<_> = std::iter::from_fn(|| machine.poll()).collect();
    let is_asked = |effect: &Effect<GossipEvent>| match effect {
        Effect::Send { to, message } => {
            *to == node(2) && Frame::decode(&**message).unwrap().want_keys == node(3).as_bytes()[..]
        }
        Effect::Tell(_) => false,
    };
    assert!(asked.iter().any(is_asked));
    assert_eq!(send(machine, 2, key, later), 1);
    assert_eq!(machine.parked.len(), 0);
}

#[test]
fn what_waits_for_keys_is_bounded() {
    let machine = &mut machine(0, 1, BEGIN, Validation::Signature);
    machine.connected(node(1), BEGIN);
    for number in 0..200 {
        let signed = sign(2 + number as usize % 20, &"x".repeat(10_000), number, BEGIN);
        let _ = machine.receive(node(1), &frame(vec![signed.encode()]).encode_to_vec(), BEGIN);
    }
    assert_eq!(machine.parked.len(), 64);
    machine.wake(BEGIN + Duration::from_secs(4));
    assert_eq!(machine.parked.len(), 0);
}

#[test]
fn whoever_joins_where_it_was_sent_away_is_cut_off() {
    let machine = &mut alone();
    let graft = Frame { graft: vec![topic().to_string()], ..Frame::default() };
    assert_eq!(mesh(machine), 1);
    let prune = wire_prune();
    machine.receive(node(1), &prune.encode_to_vec(), BEGIN).unwrap();
    assert_eq!(mesh(machine), 0);
    let mut refused = 0;
    for _ in 0..10 {
        refused += u32::from(machine.receive(node(1), &graft.encode_to_vec(), BEGIN).is_err());
        assert_eq!(mesh(machine), 0);
    }
    assert!(refused > 0);
}

#[test]
fn who_withholds_keys_is_not_waited_for_any_more() {
    let machine = &mut machine(0, 1, BEGIN, Validation::Signature);
    machine.connected(node(1), BEGIN);
    let mut waited = 0;
    for second in 0..200 {
        let now = BEGIN + Duration::from_secs(second);
        machine.wake(now);
        for author in 2..6 {
            let signed = sign(author, "text", second, now);
            machine.receive(node(1), &frame(vec![signed.encode()]).encode_to_vec(), now).unwrap();
        }
        waited += u32::from(machine.parked.len() > 0);
    }
    assert!((1..60).contains(&waited), "{waited} of 200 seconds");
}

#[test]
fn who_crowds_a_mesh_and_brings_nothing_does_not_keep_it() {
    let mut world = Simulation::new(3);
    let puppets: Vec<_> = (40..54).map(node).collect();
    puppets.iter().for_each(|puppet| world.add_puppet(*puppet));
    for of in 0..8 {
        world.add(node(of), machine(of, 3, BEGIN, Validation::Signature), Skew::default());
        for puppet in &puppets {
            world.connect(*puppet, node(of));
            world.send_as(*puppet, node(of), interested().encode_to_vec());
        }
    }
    world.run_for(300);
    let honest = |world: &World| {
        let of = |(_, machine): (NodeId, &Gossip)| {
            machine.topics[&topic()].mesh.iter().filter(|peer| !puppets.contains(peer)).count()
        };
        world.machines().map(of).collect::<Vec<_>>()
    };
    for machine in world.machines().map(|(_, machine)| machine) {
        assert!((6..=8).contains(&mesh(machine)), "the others have no room: {}", mesh(machine));
    }
    assert_eq!(honest(&world), [0; 8], "they came first");
    for one in nodes(8) {
        nodes(8).into_iter().filter(|other| one < *other).for_each(|other| world.connect(one, other));
    }
    let mut ids = Vec::new();
    for number in 0..150 {
        ids.push(publish(&mut world, node(number as usize % 8), number));
        world.run_for(4_000);
    }
    let all = deliveries(&world);
    assert!(ids.iter().all(|id| all.keys().filter(|(of, _)| of == id).count() == 7));
    assert!(honest(&world).into_iter().sum::<usize>() >= 8 * 4, "{:?}", honest(&world));
}

#[test]
fn a_forged_copy_is_not_in_the_way_of_a_good_one() {
    let machine = &mut machine(0, 1, BEGIN, Validation::Signature);
    [1, 2].into_iter().for_each(|of| machine.connected(node(of), BEGIN));
    let signed = sign(3, "text", 1, BEGIN);
    let bad = signed.with_signature_of(&sign(1, "text", 1, BEGIN));
    for (from, copy) in [(1, &bad), (2, &signed)] {
        machine.receive(node(from), &frame(vec![copy.encode()]).encode_to_vec(), BEGIN).unwrap();
    }
    drain(machine);
    let key = Frame { keys: vec![identity(3).key().encode().into()], ..Frame::default() };
    machine.receive(node(1), &key.encode_to_vec(), BEGIN).unwrap();
    assert_eq!(drain(machine).1, [signed.id()]);
    assert!(machine.score(&node(1)) < 0.0 && machine.score(&node(2)) > 0.0);
}

#[test]
fn who_says_that_it_is_later_pushes_out_nobody_who_says_what_time_it_is() {
    let key = identity(0).key().clone();
    let few = options().with_seen(64);
    let mut machine = Gossip::new(few, CryptoSuite::new(), network(), key, Seed::from_u64(1), BEGIN);
    machine.subscribe(topic(), Validation::Signature, BEGIN).unwrap();
    machine.connected(node(1), BEGIN);
    (0..40).for_each(|of| machine.remember(identity(of).key()));
    let at = |millis: u64| BEGIN + Duration::from_millis(millis);
    let mut all = Vec::new();
    for number in 0..120_u64 {
        // As late as may be, then later by less and less.
        let early = sign(4 + number as usize % 30, "early", number, at(60_000 - number * 500)).encode();
        all.push(early.clone());
        give(&mut machine, vec![early], BEGIN).unwrap();
        if number % 10 == 0 {
            let honest = sign(34 + number as usize / 40, "now", number, BEGIN).encode();
            all.push(honest.clone());
            assert_eq!(give(&mut machine, vec![honest], at(50)), Ok(1), "after {number}");
            // Clocks differ.
            let ahead = sign(37 + number as usize / 40, "ahead", number, at(250)).encode();
            all.push(ahead.clone());
            let expected = usize::from(number <= 70);
            assert_eq!(give(&mut machine, vec![ahead], at(50)), Ok(expected), "an eighth of 64; {number}");
        }
    }
    let again: usize = all.iter().map(|one| give(&mut machine, vec![one.clone()], at(50)).unwrap()).sum();
    assert_eq!(again, 0, "nothing is told twice");
    assert!(machine.seen.len() <= 64);
}

#[test]
fn peers_and_authors_have_their_rates() {
    let key = identity(0).key().clone();
    let slow = options().with_rates(20, 2).with_lifetime(Duration::from_secs(30));
    let mut machine = Gossip::new(slow, CryptoSuite::new(), network(), key, Seed::from_u64(1), BEGIN);
    machine.subscribe(topic(), Validation::Signature, BEGIN).unwrap();
    machine.connected(node(1), BEGIN);
    (0..8).for_each(|of| machine.remember(identity(of).key()));
    let told = |machine: &mut Gossip, of: usize, number, now| {
        give(machine, vec![sign(of, "text", number, now).encode()], now)
    };
    let of_one: usize = (0..20).map(|number| told(&mut machine, 2, number, BEGIN).unwrap()).sum();
    assert_eq!(of_one, 10, "at once");
    let later = BEGIN + Duration::from_secs(2);
    let of_one: usize = (20..40).map(|number| told(&mut machine, 2, number, later).unwrap()).sum();
    assert_eq!(of_one, 4, "two a second");
    assert_eq!(told(&mut machine, 3, 1, later), Ok(1), "others are not concerned");
    let refused = (40..200).find(|number| told(&mut machine, 2, *number, later).is_err());
    assert!((60..110).contains(&refused.unwrap()), "{refused:?}");
    let old = sign(4, "text", 1, later).encode();
    assert_eq!(give(&mut machine, vec![old], later + Duration::from_secs(30)), Ok(0));
}

/// Identities cost nothing: many that each keep to their rate have more to say than a peer may pass on.
#[test]
fn many_authors_do_not_set_those_who_pass_on_their_messages_against_each_other() {
    let (count, authors) = (6, 4);
    let mut world: World = Simulation::new(1).with_link(Link::rtt(50));
    let few = options().with_rates(20, 10);
    for of in 0..count {
        let (key, seed) = (identity(of).key().clone(), Seed::from_u64(1).nth(of as u64));
        let mut machine = Gossip::new(few, CryptoSuite::new(), network(), key, seed, BEGIN);
        machine.subscribe(topic(), Validation::Signature, BEGIN).unwrap();
        (0..count).for_each(|of| machine.remember(identity(of).key()));
        world.add(node(of), machine, Skew::default());
    }
    (0..count).for_each(|of| (of + 1..count).for_each(|other| world.connect(node(of), node(other))));
    world.run_for(3_000);
    let mut ids = Vec::new();
    for round in 0..240 {
        ids.extend((0..authors).map(|of| publish(&mut world, node(of), round)));
        world.run_for(125);
    }
    world.run_for(30_000);
    assert!(misbehaved(&world).is_empty());
    let all = deliveries(&world);
    let missed =
        ids.iter().map(|id| count - 1 - all.keys().filter(|(of, _)| of == id).count()).sum::<usize>();
    assert_eq!(missed, 0, "what is not sent at once is shown and asked for");
    assert!(all.values().all(|times| times.len() == 1));
}

fn wire_prune() -> Frame {
    let prune = vec![crate::gossip::wire::Prune { topic: topic().to_string(), backoff: u64::MAX }];
    Frame { prune, ..Frame::default() }
}

#[test]
fn what_is_too_much_for_a_frame_is_not_read() {
    let refused = |bytes: &[u8]| alone().receive(node(1), bytes, BEGIN).unwrap_err().what;
    assert_eq!(refused(&vec![0; max_frame(options().max_payload) + 1]), "too long");
    let more = "more entries than a frame has";
    assert_eq!(refused(&frame(vec![Bytes::new(); 65]).encode_to_vec()), more);
    let have = vec![Have { topic: topic().to_string(), ids: vec![0; 32 * 513].into() }];
    assert_eq!(refused(&Frame { have, ..Frame::default() }.encode_to_vec()), more);
    let graft = vec!["t".to_owned(); 65];
    assert_eq!(refused(&Frame { graft, ..Frame::default() }.encode_to_vec()), more);
    assert_eq!(
        refused(&Frame { want: vec![0; 33].into(), ..Frame::default() }.encode_to_vec()),
        "ids of another length"
    );
    let big = sign(2, &"a".repeat((16 << 10) + 1), 1, BEGIN).encode();
    assert_eq!(refused(&frame(vec![big]).encode_to_vec()), "no message of this network");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_and_changed_bits_tell_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        bit: prop::sample::Index,
    ) {
        let machine = &mut alone();
        let _ = machine.receive(node(1), &bytes, BEGIN);
        let mut changed = sign(2, "text", 1, BEGIN).encode().to_vec();
        let at = bit.index(changed.len() * 8);
        changed[at / 8] ^= 1 << (at % 8);
        let _ = give(machine, vec![changed.into()], BEGIN);
        prop_assert_eq!(machine.seen.len(), 0);
        prop_assert_eq!(machine.cache.bytes(), 0);
    }
}

//! Members that lie, flood, and forge.

use bytes::Bytes;
use daa_core::clock::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::machine::{Effect, Machine as _};
use crate::membership::statement::{Kind, SignedStatement, Statement};
use crate::membership::wire::{Claim, Item, MAX_MESSAGE, Message, Standing};
use crate::testing::{BEGIN, record};

const LIAR: usize = 20;

fn claim(of: NodeId, incarnation: u64, standing: Standing) -> Claim {
    Claim { node: of, incarnation, record: 0, standing }
}

fn signed(of: usize, incarnation: u64, kind: Kind) -> SignedStatement {
    let statement = Statement { node: node(of), incarnation, kind };
    ready(statement.sign(testing::identity(of), &network())).unwrap()
}

fn item(statement: &SignedStatement, record: Option<&Bytes>) -> Item {
    Item { statement: statement.as_bytes().clone(), record: record.cloned().unwrap_or_default() }
}

/// So many nodes, and one that takes part and lies.
fn with_liar(seed: u64, count: usize) -> World {
    let mut world = settled(seed, count, Link::rtt(50));
    world.add_puppet(node(LIAR));
    let now = world.clock(node(0)).as_millis();
    let itself = item(&signed(LIAR, now, Kind::Alive), Some(record(LIAR, 1).as_bytes()));
    for of in 0..count {
        world.send_as(node(LIAR), node(of), Message::Have { items: vec![itself.clone()] }.encode());
    }
    world.run_for(500);
    assert!(all_see(&world, MemberState::Alive, &[node(LIAR)]), "{}", view(&world));
    world
}

#[test]
fn whoever_declares_everybody_dead_kills_nobody() {
    let mut world = with_liar(1, 8);
    for round in 0..120 {
        world.after(round * 500, move |world| {
            for to in 0..8 {
                let now = world.clock(node(to)).as_millis();
                let about = |of: usize| {
                    let machine = world.machine(node(to));
                    let known = machine.members.get(&node(of)).map_or(now, |entry| entry.incarnation());
                    [known, u64::MAX].map(|incarnation| claim(node(of), incarnation, Standing::Accused))
                };
                let claims: Vec<_> = (0..8).flat_map(about).collect();
                world.send_as(node(LIAR), node(to), Message::Ping { number: round, claims }.encode());
            }
        });
    }
    world.run_for(60_000);
    assert_eq!(count(&world, |event| died(event) && event != MembershipEvent::Died(node(LIAR))), 0);
    assert!(is_whole(&world), "{}", view(&world));
    // Nobody jumped to where the liar wanted it.
    for (eye, machine) in world.machines() {
        assert!(machine.incarnation <= world.clock(eye).as_millis() + 1_000);
        assert!(machine.probes.health.0 == 0, "nor does it doubt itself");
    }
}

#[test]
fn what_is_said_of_a_dead_member_does_not_bring_it_back() {
    let mut world = with_liar(2, 6);
    let before = world.machine(node(0)).members[&node(4)].statement.clone();
    world.crash(node(4));
    assert!(
        world.run_until(90_000, |world| all_see(world, MemberState::Dead, &[node(4)])),
        "{}",
        view(&world)
    );
    for incarnation in [before.statement().incarnation, before.statement().incarnation + 1, u64::MAX] {
        let claims = vec![claim(node(4), incarnation, Standing::Alive)];
        world.send_as(node(LIAR), node(0), Message::Ping { number: 1, claims }.encode());
        world.run_for(500);
        // It is asked for proof, and has one that it made itself, or an old one.
        let forged = Statement { node: node(4), incarnation, kind: Kind::Alive };
        let forged = ready(forged.sign(testing::identity(LIAR), &network())).unwrap();
        for statement in [&forged, &before] {
            let items = vec![item(statement, None)];
            world.send_as(node(LIAR), node(0), Message::Have { items }.encode());
            world.run_for(200);
        }
        world.run_for(6_000);
        assert_eq!(state(&world, node(4), node(0)), Some(MemberState::Dead));
    }
    assert!(world.traffic(node(0)).refused >= 1);
}

/// A node that has settled, outside of a simulation, and one of its members.
fn alone() -> Membership {
    let mut machine =
        Membership::new(options(), CryptoSuite::new(), network(), record(0, 1), Seed::from_u64(1), BEGIN);
    machine.signed(signed(0, BEGIN.as_millis(), Kind::Alive), BEGIN);
    let items = vec![item(&signed(1, 5, Kind::Alive), Some(record(1, 3).as_bytes()))];
    machine.receive(node(1), &Message::Have { items }.encode(), BEGIN).unwrap();
    assert_eq!(machine.member(&node(1)).unwrap().state, MemberState::Alive);
    machine
}

fn have(machine: &mut Membership, from: usize, items: Vec<Item>) -> Result<(), &'static str> {
    machine.receive(node(from), &Message::Have { items }.encode(), BEGIN).map_err(|error| error.what)
}

#[test]
fn nothing_is_believed_that_its_node_has_not_signed() {
    let machine = &mut alone();
    let (its, newer) = (record(2, 1), signed(2, 9, Kind::Alive));
    assert_eq!(have(machine, 1, vec![item(&newer, Some(its.as_bytes()))]), Ok(()), "nobody asked");
    assert!(machine.member(&node(2)).is_none());
    // Of another, in its name.
    let forged = Statement { node: node(2), incarnation: 9, kind: Kind::Alive };
    let forged = ready(forged.sign(testing::identity(3), &network())).unwrap();
    assert_eq!(
        have(machine, 2, vec![item(&forged, Some(its.as_bytes()))]),
        Err("a statement that its node has not signed")
    );
    let elsewhere = Statement { node: node(2), incarnation: 9, kind: Kind::Alive };
    let elsewhere = ready(elsewhere.sign(testing::identity(2), &"other".parse().unwrap())).unwrap();
    assert_eq!(have(machine, 2, vec![item(&elsewhere, Some(its.as_bytes()))]), Err("no statement"));
    assert_eq!(
        have(machine, 2, vec![item(&newer, Some(record(3, 1).as_bytes()))]),
        Err("a record that is not of its node")
    );
    assert!(machine.member(&node(2)).is_none());
    // Without a record there is no key.
    assert_eq!(have(machine, 2, vec![item(&newer, None)]), Ok(()));
    assert!(machine.member(&node(2)).is_none());
    assert_eq!(have(machine, 2, vec![item(&newer, Some(its.as_bytes()))]), Ok(()));
    assert!(machine.member(&node(2)).is_some());
}

#[test]
fn a_record_never_goes_back_and_an_early_statement_waits() {
    let machine = &mut alone();
    have(machine, 1, vec![item(&signed(1, 6, Kind::Alive), Some(record(1, 2).as_bytes()))]).unwrap();
    assert_eq!(machine.record(&node(1), BEGIN).unwrap().record().version, 3);
    have(machine, 1, vec![item(&signed(1, 7, Kind::Alive), Some(record(1, 4).as_bytes()))]).unwrap();
    assert_eq!(machine.record(&node(1), BEGIN).unwrap().record().version, 4);
    have(machine, 1, vec![item(&signed(1, 6, Kind::Left), None)]).unwrap();
    assert_eq!(machine.members[&node(1)].incarnation(), 7);
    have(machine, 1, vec![item(&signed(1, u64::MAX, Kind::Left), None)]).unwrap();
    assert_eq!(machine.members[&node(1)].incarnation(), 7);
    have(machine, 1, vec![item(&signed(1, 8, Kind::Left), None)]).unwrap();
    assert_eq!(machine.member(&node(1)).unwrap().state, MemberState::Left);
}

/// What a machine wants, in bytes to others and statements to sign.
fn drain(machine: &mut Membership) -> (usize, usize) {
    let (mut bytes, mut statements) = (0, 0);
    while let Some(effect) = machine.poll() {
        match effect {
            Effect::Send { message, .. } => bytes += message.len(),
            Effect::Tell(Output::Sign(_)) => statements += 1,
            Effect::Tell(Output::Event(_) | Output::Renew(_)) => {}
        }
    }
    (bytes, statements)
}

#[test]
fn a_flood_is_cut_off_and_leaves_nothing_behind() {
    let machine = &mut alone();
    drain(machine);
    let own = machine.own.as_ref().unwrap().statement().incarnation;
    let (mut taken, mut bytes, mut statements) = (0, 0, 0);
    for number in 0..20_000_u64 {
        let mut name = [7; 32];
        name[..8].copy_from_slice(&number.to_le_bytes());
        let mut claims: Vec<_> = (0..14_u8)
            .map(|byte| {
                name[9] = byte;
                claim(NodeId::from_bytes(name), u64::MAX, Standing::Alive)
            })
            .collect();
        claims.push(claim(node(0), own, Standing::Accused));
        claims.push(claim(node(1), 1, Standing::Alive));
        let message = match number % 3 {
            0 => Message::Ping { number, claims },
            1 => Message::Want { claims: vec![claim(node(0), 0, Standing::Alive); 16] },
            _ => Message::Ask { number, target: node(1) },
        };
        // All within a second.
        let now = BEGIN + Duration::from_millis(number / 20);
        taken += u32::from(machine.receive(node(1), &message.encode(), now).is_ok());
        let (sent, signed) = drain(machine);
        bytes += sent;
        statements += signed;
    }
    assert!(taken <= 500, "{taken}");
    assert!(statements <= 2, "{statements}");
    assert!(bytes < 2 << 20, "{bytes}");
    assert!(machine.wants.len() <= 512, "of one peer");
    assert_eq!(machine.members.len(), 1);
    let later = BEGIN + Duration::from_secs(20);
    for second in 0..40 {
        machine.wake(later + Duration::from_secs(second));
    }
    assert_eq!((machine.wants.len(), machine.quotas.len()), (0, 0));
}

#[test]
fn who_pings_all_the_time_does_not_use_up_what_others_are_to_hear() {
    let machine = &mut alone();
    let news = machine.rumours.len();
    assert!(news > 0);
    for number in 0..200 {
        let ping = Message::Ping { number, claims: Vec::new() }.encode();
        machine.receive(node(2), &ping, BEGIN).unwrap();
        machine.connected(node(3), BEGIN);
    }
    assert_eq!(machine.rumours.len(), news);
}

#[test]
fn who_answers_with_what_does_not_hold_is_asked_no_more_for_a_while() {
    let machine = &mut alone();
    let hint = Message::Ping { number: 1, claims: vec![claim(node(3), 9, Standing::Alive)] }.encode();
    machine.receive(node(2), &hint, BEGIN).unwrap();
    assert!(machine.wants.is_asked(&node(3), &node(2)));
    let forged = Statement { node: node(3), incarnation: 9, kind: Kind::Alive };
    let forged = ready(forged.sign(testing::identity(2), &network())).unwrap();
    let items = vec![item(&forged, Some(record(3, 1).as_bytes()))];
    assert_eq!(have(machine, 2, items), Err("a statement that its node has not signed"));
    machine.receive(node(2), &hint, BEGIN).unwrap();
    assert_eq!(machine.wants.len(), 0);
    machine.receive(node(4), &hint, BEGIN).unwrap();
    assert!(machine.wants.is_asked(&node(3), &node(4)), "of another");
}

#[test]
fn whoever_accuses_all_the_time_makes_a_node_sign_once_in_an_interval() {
    let machine = &mut alone();
    let mut statements = 0;
    for at in 0..1_000 {
        let now = BEGIN + Duration::from_millis(at * 10);
        let own = machine.own.as_ref().unwrap().statement().incarnation;
        let claims = vec![claim(node(0), own, Standing::Accused)];
        // One accuser alone would be out of tokens.
        let from = node(2 + at as usize % 8);
        machine.receive(from, &Message::Ping { number: at, claims }.encode(), now).unwrap();
        machine.wake(now);
        while let Some(effect) = machine.poll() {
            match effect {
                Effect::Tell(Output::Sign(statement)) => {
                    statements += 1;
                    machine.signed(signed(0, statement.incarnation, statement.kind), now);
                }
                Effect::Send { to, message } if to == node(1) => {
                    if let Message::Ping { number, .. } = Message::decode(&message).unwrap() {
                        let ack = Message::Ack { number, claims: Vec::new() }.encode();
                        machine.receive(to, &ack, now).unwrap();
                    }
                }
                _ => {}
            }
        }
        assert!(at < 500 || machine.probes.health.0 == 0, "who is answered does not doubt itself");
    }
    assert!((9..=11).contains(&statements), "{statements}");
}

#[test]
fn a_hint_that_a_dead_member_lives_leads_to_a_probe_and_no_more() {
    let machine = &mut alone();
    let now = &mut Timestamp::from_millis(BEGIN.as_millis());
    let pings = |machine: &mut Membership, now: &mut Timestamp, seconds: u64| {
        let mut pings = 0;
        for _ in 0..seconds * 10 {
            *now = *now + Duration::from_millis(100);
            machine.wake(*now);
            while let Some(effect) = machine.poll() {
                pings += u32::from(matches!(effect, Effect::Send { to, .. } if to == node(1)));
            }
        }
        pings
    };
    pings(machine, now, 120);
    assert_eq!(machine.member(&node(1)).unwrap().state, MemberState::Dead);
    // The dead are probed each ten seconds.
    while pings(machine, now, 1) == 0 {}
    assert_eq!(pings(machine, now, 9), 0);
    while pings(machine, now, 1) == 0 {}
    let hint = Message::Ping { number: 1, claims: vec![claim(node(1), 5, Standing::Alive)] }.encode();
    machine.receive(node(2), &hint, *now).unwrap();
    assert_eq!(pings(machine, now, 9), 1);
    assert_eq!(machine.member(&node(1)).unwrap().state, MemberState::Dead);
}

#[test]
fn what_is_too_much_for_a_message_is_not_read() {
    let machine = &mut alone();
    let refused =
        |machine: &mut Membership, bytes: &[u8]| machine.receive(node(1), bytes, BEGIN).unwrap_err().what;
    assert_eq!(refused(machine, &vec![0; MAX_MESSAGE + 1]), "too long");
    let many = vec![claim(node(3), 1, Standing::Alive); 17];
    let more = "more entries than a message has";
    assert_eq!(refused(machine, &Message::Ping { number: 1, claims: many.clone() }.encode()), more);
    assert_eq!(refused(machine, &Message::Want { claims: many }.encode()), more);
    let nothing = Item { statement: Bytes::new(), record: Bytes::new() };
    assert_eq!(refused(machine, &Message::Have { items: vec![nothing.clone(); 17] }.encode()), more);
    assert_eq!(refused(machine, &Message::Have { items: vec![nothing] }.encode()), "no statement");
    assert_eq!(refused(machine, b""), "of an unknown kind");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_changes_nothing(bytes in prop::collection::vec(any::<u8>(), 0..300), bit: prop::sample::Index) {
        let machine = &mut alone();
        let _ = machine.receive(node(1), &bytes, BEGIN);
        let claims = vec![claim(node(0), 1, Standing::Alive), claim(node(1), 5, Standing::Accused)];
        let mut changed = Message::Sync { from: node(0), to: node(1), claims }.encode().to_vec();
        let at = bit.index(changed.len() * 8);
        changed[at / 8] ^= 1 << (at % 8);
        let _ = machine.receive(node(1), &changed, BEGIN);
        prop_assert_eq!(machine.members.len(), 1);
        prop_assert_eq!(machine.member(&node(1)).unwrap().state, MemberState::Alive);
    }

    #[test]
    fn a_changed_bit_in_a_statement_is_noticed(at: prop::sample::Index) {
        let machine = &mut alone();
        let mut bytes = signed(1, 9, Kind::Left).as_bytes().to_vec();
        let at = at.index(bytes.len() * 8);
        bytes[at / 8] ^= 1 << (at % 8);
        let _ = have(machine, 1, vec![Item { statement: bytes.into(), record: Bytes::new() }]);
        prop_assert_eq!(machine.members[&node(1)].incarnation(), 5);
    }
}

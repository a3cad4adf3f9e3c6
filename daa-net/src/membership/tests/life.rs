//! Members that come, change, die, go and come back.

use super::*;

#[test]
fn all_get_to_know_each_other_by_one_seed() {
    let world = settled(1, 12, Link::rtt(50));
    assert!(world.now() < 30_000, "{} ms", world.now());
    assert_eq!(count(&world, |event| matches!(event, MembershipEvent::Joined(_))), 12 * 11);
    for (eye, machine) in world.machines() {
        assert_eq!(machine.members().count(), 11);
        let known = nodes(12).into_iter().filter(|of| *of != eye);
        assert!(known.into_iter().all(|of| machine.record(&of, world.clock(eye)).is_some()));
    }
}

#[test]
fn a_quiet_network_suspects_nobody() {
    let mut world = settled(2, 8, Link::rtt(50));
    world.run_for(300_000);
    assert_eq!(count(&world, suspected), 0);
    let bytes: u64 = nodes(8).into_iter().map(|node| world.traffic(node).bytes).sum();
    let each = bytes * 1_000 / world.now() / 8;
    assert!(each < 4_000, "{each} bytes a second");
}

#[test]
fn a_member_that_crashed_is_dead_for_all_soon_and_nobody_else() {
    let mut world = settled(3, 10, Link::rtt(50).with_drop(20));
    let (crashed, at) = (node(4), world.now());
    world.crash(crashed);
    assert!(
        world.run_until(60_000, |world| all_see(world, MemberState::Dead, &[crashed])),
        "{}",
        view(&world)
    );
    let first = events(&world).find(|(_, _, event)| died(*event)).unwrap().0 - at;
    assert!(first > 4_000, "the shortest suspicion, not {first} ms");
    world.run_for(120_000);
    assert!(events(&world).all(|(_, _, event)| !died(event) || event == MembershipEvent::Died(crashed)));
    assert!(is_whole(&world), "{}", view(&world));
}

#[test]
fn sixty_nodes_find_each_other_and_the_dead_though_links_lose_messages() {
    let mut world = settled(10, 60, Link::rtt(50).with_drop(30));
    assert!(world.now() < 60_000, "{} ms", world.now());
    world.run_for(60_000);
    let (at, dead) = (world.now(), [node(20), node(30), node(40)]);
    dead.into_iter().for_each(|node| drop(world.crash(node)));
    assert!(world.run_until(90_000, |world| all_see(world, MemberState::Dead, &dead)), "{}", view(&world));
    println!("60 nodes: all dead are found by all after {} ms", world.now() - at);
    assert!(
        events(&world)
            .all(|(_, _, event)| dead.iter().any(|of| event == MembershipEvent::Died(*of)) || !died(event))
    );
}

#[test]
fn shorter_intervals_find_the_dead_sooner() {
    let mut world = world(3, Link::rtt(50));
    let quick = options().with_probe_interval(Duration::from_millis(250));
    for of in 0..6 {
        let (record, seed) = (testing::record(of, 1), Seed::from_u64(3).nth(of as u64));
        let mut machine = Membership::new(quick, CryptoSuite::new(), network(), record, seed, testing::BEGIN);
        machine.join([node(0)]);
        world.add(node(of), machine, Skew::default());
    }
    assert!(world.run_until(10_000, is_whole), "{}", view(&world));
    world.crash(node(4));
    let is_known = |world: &World| all_see(world, MemberState::Dead, &[node(4)]);
    assert!(world.run_until(6_000, is_known), "{}", view(&world));
}

#[test]
fn one_that_comes_back_is_known_again() {
    let mut world = settled(4, 6, Link::rtt(50));
    world.crash(node(4));
    assert!(world.run_until(60_000, |world| all_see(world, MemberState::Dead, &[node(4)])));
    let again = machine(4, 1, &world, 4, Skew::default());
    world.restart(node(4), again);
    assert!(world.run_until(60_000, is_whole), "{}", view(&world));
}

#[test]
fn one_that_comes_back_with_its_clock_set_back_is_shown_what_it_said() {
    let mut world = settled(5, 6, Link::rtt(50));
    // It refutes, far ahead.
    world.crash(node(4));
    assert!(world.run_until(60_000, |world| all_see(world, MemberState::Dead, &[node(4)])));
    let slow = Skew::new(-3_600_000, 0);
    let mut again = machine(4, 1, &world, 5, slow);
    // Its record is of the future for that clock, but not for those of the others.
    again.join([node(2)]);
    world.set_skew(node(4), slow);
    world.restart(node(4), again);
    let others: Vec<_> = nodes(6).into_iter().filter(|of| *of != node(4)).collect();
    let is_back =
        |world: &World| others.iter().all(|eye| state(world, node(4), *eye) == Some(MemberState::Alive));
    assert!(world.run_until(60_000, is_back), "{}", view(&world));
}

#[test]
fn one_that_comes_back_with_its_clock_set_back_issues_a_newer_record_than_others_have() {
    let mut world = settled(5, 6, Link::rtt(50));
    world.with(node(4), |machine, _| machine.set_record(testing::record(4, 5)));
    let others: Vec<_> = nodes(6).into_iter().filter(|of| *of != node(4)).collect();
    let version = |world: &World, eye: NodeId| {
        world.machine(eye).record(&node(4), world.clock(eye)).map(|record| record.record().version)
    };
    let all_have = |world: &World, wanted| others.iter().all(|eye| version(world, *eye) == Some(wanted));
    assert!(world.run_until(30_000, |world| all_have(world, 5)));
    world.crash(node(4));
    world.run_for(10_000);
    let slow = Skew::new(-3_600_000, 0);
    // It knows nothing of what it was.
    let mut again = machine(4, 2, &world, 5, slow);
    again.join([node(2)]);
    world.set_skew(node(4), slow);
    world.restart(node(4), again);
    let never_back = |world: &World| {
        assert!(others.iter().all(|eye| version(world, *eye) >= Some(5)), "{}", view(world));
        all_have(world, 6)
    };
    assert!(world.run_until(60_000, never_back), "{}", view(&world));
}

#[test]
fn one_that_goes_is_not_missed() {
    let mut world = settled(6, 8, Link::rtt(50));
    world.with(node(3), |machine, now| machine.leave(now));
    world.run_for(100);
    assert!(world.machine(node(3)).has_left());
    world.crash(node(3));
    assert!(
        world.run_until(60_000, |world| all_see(world, MemberState::Left, &[node(3)])),
        "{}",
        view(&world)
    );
    assert_eq!(count(&world, |event| event == MembershipEvent::Left(node(3))), 7);
    assert_eq!(count(&world, died), 0);
    world.run_for(60_000);
    let again = machine(3, 1, &world, 7, Skew::default());
    world.restart(node(3), again);
    assert!(world.run_until(60_000, is_whole), "{}", view(&world));
}

#[test]
fn a_new_record_reaches_all() {
    let mut world = settled(7, 10, Link::rtt(50));
    world.with(node(3), |machine, _| machine.set_record(testing::record(3, 5)));
    world.with(node(3), |machine, _| machine.set_record(testing::record(3, 4)));
    let have = |world: &World, version| {
        let others = world.machines().filter(|(eye, _)| *eye != node(3));
        let mut versions =
            others.map(|(eye, machine)| machine.record(&node(3), world.clock(eye)).unwrap().record().version);
        versions.all(|seen| seen == version)
    };
    assert!(world.run_until(30_000, |world| have(world, 5)));
    assert_eq!(count(&world, |event| event == MembershipEvent::RecordChanged(node(3))), 9);
}

#[test]
fn a_partition_that_lasted_heals() {
    let mut world = settled(8, 10, Link::rtt(50));
    let (left, right) = (nodes(10)[..4].to_vec(), nodes(10)[4..].to_vec());
    world.partition(&[&left, &right]);
    let is_apart = |world: &World| {
        let sees = |eye: &NodeId, of: &NodeId, what| eye == of || state(world, *of, *eye) == Some(what);
        left.iter().all(|eye| right.iter().all(|of| sees(eye, of, MemberState::Dead)))
            && right.iter().all(|eye| left.iter().all(|of| sees(eye, of, MemberState::Dead)))
            && left.iter().all(|eye| left.iter().all(|of| sees(eye, of, MemberState::Alive)))
    };
    assert!(world.run_until(240_000, is_apart), "{}", view(&world));
    world.heal();
    assert!(world.run_until(120_000, is_whole), "{}", view(&world));
}

#[test]
fn there_are_never_more_members_than_there_may_be() {
    let mut world = world(9, Link::rtt(50));
    for of in 0..12 {
        let record = testing::record(of, 1);
        let few = options().with_members(if of == 0 { 5 } else { 100 });
        let seed = Seed::from_u64(9).nth(of as u64);
        let mut machine = Membership::new(few, CryptoSuite::new(), network(), record, seed, testing::BEGIN);
        machine.join([node(0), node(1)]);
        world.add(node(of), machine, Skew::default());
    }
    world.run_for(30_000);
    assert_eq!(world.machine(node(0)).members().count(), 5);
    assert_eq!(world.machine(node(2)).members().count(), 11);
    // Who is gone makes room.
    let gone = world.machine(node(0)).members().next().unwrap().node;
    world.crash(gone);
    world.run_for(120_000);
    assert_eq!(state(&world, gone, node(0)), None);
    assert_eq!(
        world.machine(node(0)).members().filter(|member| member.state == MemberState::Alive).count(),
        5
    );
}

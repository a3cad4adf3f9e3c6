//! The corpus of the fuzz targets, and bytes near it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use daa_core::clock::Timestamp;
use daa_core::seed::Seed;
use daa_crypto::CryptoSuite;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{BEGIN, decoders, identity, identity_of, network, node, ready, record};
use crate::auth::{Auth, Ends};
use crate::discovery::{BootstrapList, BootstrapPeer, Discovery, DiscoveryOptions};
use crate::gossip::{Gossip, GossipOptions, SignedMessage, Topic, Validation};
use crate::machine::{Effect, Machine};
use crate::membership::{Membership, MembershipOptions, Output};
use crate::names::{Claim, NameRecord, Title};
use crate::node_id::NodeId;
use crate::record::{BookOptions, Service, Tier};
use crate::topology::{Neighbourhood, TopologyOptions};

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 12] = [
    ("auth", decoders::auth),
    ("bootstrap", decoders::bootstrap),
    ("discovery", decoders::discovery),
    ("gossip", decoders::gossip),
    ("machines", decoders::machines),
    ("membership", decoders::membership),
    ("name_record", decoders::name_record),
    ("node_record", decoders::node_record),
    ("requests", decoders::requests),
    ("streams", decoders::streams),
    ("topology", decoders::topology),
    ("transfers", decoders::transfers),
];

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join("corpus").join(target)
}

fn files(target: &str) -> Vec<Vec<u8>> {
    let folder = fs::read_dir(corpus(target)).expect("a corpus");
    let mut paths: Vec<_> = folder.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).expect("bytes")).collect()
}

#[test]
fn every_target_holds_on_its_corpus() {
    for (name, target) in TARGETS {
        let files = files(name);
        assert!(!files.is_empty(), "{name} has a corpus");
        files.iter().for_each(|bytes| target(bytes));
    }
}

/// Every target near its own corpus: cut, doubled, and with changed bytes.
#[test]
fn every_target_holds_near_its_corpus() {
    for (name, target) in TARGETS {
        for bytes in files(name) {
            let ends = [0, 1, 2, bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(1)];
            ends.into_iter().for_each(|end| target(&bytes[..end.min(bytes.len())]));
            target(&[&bytes[..], &bytes[..]].concat());
            for at in (0..8).chain([bytes.len() / 2, bytes.len().saturating_sub(1)]) {
                let mut changed = bytes.clone();
                if let Some(byte) = changed.get_mut(at) {
                    *byte ^= 0x81;
                    target(&changed);
                }
            }
        }
    }
}

/// Every target on what was written for another.
#[test]
fn every_target_holds_on_every_corpus() {
    for (name, _) in TARGETS {
        for bytes in files(name).iter().take(4) {
            TARGETS.iter().for_each(|(_, target)| target(bytes));
        }
    }
}

/// What two machines say to each other, as the second one hears it.
fn overheard<M: Machine>(
    mut one: M,
    mut other: M,
    tell: impl Fn(&mut M, NodeId, M::Event, Timestamp),
    mut say: impl FnMut(&mut M, Timestamp),
) -> Vec<Bytes> {
    let (first, second) = (node(1), node(0));
    let (mut now, mut heard) = (BEGIN, Vec::new());
    one.connected(second, now);
    other.connected(first, now);
    for round in 0..200 {
        now = now + Duration::from_millis(250);
        for machine in [&mut one, &mut other] {
            if machine.next_wake().is_some_and(|wake| wake <= now) {
                machine.wake(now);
            }
        }
        if round == 100 {
            say(&mut one, now);
        }
        let mut is_busy = true;
        while is_busy {
            is_busy = false;
            is_busy |= step((first, second), &mut one, &mut other, &tell, now, &mut heard);
            is_busy |= step((second, first), &mut other, &mut one, &tell, now, &mut Vec::new());
        }
    }
    heard.sort_by_key(Bytes::len);
    heard.dedup_by_key(|message| (message.len(), message.first().copied()));
    heard
}

fn step<M: Machine>(
    (from, to): (NodeId, NodeId),
    machine: &mut M,
    peer: &mut M,
    tell: impl Fn(&mut M, NodeId, M::Event, Timestamp),
    now: Timestamp,
    heard: &mut Vec<Bytes>,
) -> bool {
    let mut is_busy = false;
    while let Some(effect) = machine.poll() {
        is_busy = true;
        match effect {
            Effect::Send { to: whom, message } if whom == to => {
                heard.push(message.clone());
                peer.receive(from, &message, now).expect("what an honest machine says");
            }
            Effect::Send { .. } => {}
            Effect::Tell(event) => tell(machine, from, event, now),
        }
    }
    is_busy
}

/// Writes the beginnings of the corpus anew, after a change of an encoding:
/// `cargo test -p daa-net --lib -- --ignored writes_the_corpus`.
#[test]
#[ignore = "writes files that are kept"]
fn writes_the_corpus() {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(corpus(target)).expect("a folder");
        fs::write(corpus(target).join(name), bytes).expect("written");
    };
    let suite = CryptoSuite::new;
    let membership = |of| {
        let (options, seed) = (MembershipOptions::default(), Seed::from_u64(of as u64));
        Membership::new(options, suite(), network(), record(of, 1), seed, BEGIN)
    };
    let sign = |machine: &mut Membership, of: NodeId, output, now| {
        if let Output::Sign(statement) = output {
            machine.signed(ready(statement.sign(identity_of(of), &network())).expect("signed"), now);
        }
    };
    let said = overheard(membership(1), membership(0), sign, |machine, now| machine.leave(now));
    let topic: Topic = "topic".parse().expect("a topic");
    let gossip = |of: usize| {
        let (key, seed) = (identity(of).key().clone(), Seed::from_u64(of as u64));
        let mut gossip = Gossip::new(GossipOptions::default(), suite(), network(), key, seed, BEGIN);
        gossip.subscribe(topic.clone(), Validation::Signature, BEGIN).expect("room for one");
        gossip
    };
    let published = overheard(
        gossip(1),
        gossip(0),
        |_, _, _, _| (),
        |machine, now| {
            let payload = Bytes::from_static(b"hello");
            let network = network();
            let message = SignedMessage::sign(identity(1), &network, topic.clone(), payload, 1, now);
            machine.publish(ready(message).expect("signed"), now).expect("published");
        },
    );
    let training: Service = "training".parse().expect("a service");
    let offer = |of: usize| {
        let record = record(of, 1).record().clone().with_service(training.clone());
        ready(
            record
                .with_address("/ip4/192.0.2.1/tcp/1".parse().expect("an address"))
                .issue(identity(of), &network()),
        )
    };
    let title = Title::new(Claim::work(&network(), &"treasury.dark".parse().expect("a name"), node(1)));
    let named = |title: Title, version, by: usize| {
        let life = Duration::from_secs(3_600);
        let name = NameRecord::new(title.name().clone(), node(3), version, BEGIN, life)
            .with_property("about", "money");
        ready(name.issue(identity(by), &network(), title)).expect("a record")
    };
    let discovery = |of: usize| {
        let (options, book) = (DiscoveryOptions::default(), BookOptions::default());
        let mut discovery =
            Discovery::new(suite(), network(), node(of), options, book, Seed::from_u64(of as u64));
        discovery.set_own(offer(of).expect("a record"), BEGIN);
        discovery
    };
    let asked = overheard(
        discovery(1),
        discovery(0),
        |_, _, _, _| (),
        |machine, now| {
            machine.find_providers(training.clone(), now).expect("room for one");
            machine.register(named(title.clone(), 1, 1), now).expect("room for one");
        },
    );
    let neighbourhood = |of: usize, tier| {
        let me = (node(of), tier, Default::default());
        let mut machine =
            Neighbourhood::new(TopologyOptions::default(), me, Seed::from_u64(of as u64), BEGIN);
        let other = if tier == Tier::Leaf { Tier::RegionalHub } else { Tier::Leaf };
        machine.set_member(node(1 - of), other, Default::default(), BEGIN);
        machine
    };
    let (leaf, hub) = (neighbourhood(1, Tier::Leaf), neighbourhood(0, Tier::RegionalHub));
    let pinged = overheard(leaf, hub, |_, _, _, _| (), |_, _| ());
    let all = [("membership", said), ("gossip", published), ("discovery", asked), ("topology", pinged)];
    for (which, (target, messages)) in all.iter().enumerate() {
        assert!(!messages.is_empty(), "{target}");
        let mut script = vec![u8::try_from(which).expect("few")];
        for (number, message) in messages.iter().take(12).enumerate() {
            write(target, &number.to_string(), message);
            let len = message.len().min(0xfff);
            script.extend([0, 0, 0, 3 | (len >> 8 << 4) as u8, 0, len as u8]);
            script.extend_from_slice(&message[..len]);
            script.extend([2, 0, 10]);
        }
        write("machines", target, &script);
    }

    for (number, record) in [record(1, 1), offer(2).expect("a record")].iter().enumerate() {
        write("node_record", &number.to_string(), record.as_bytes());
    }
    let list = BootstrapList::new([BootstrapPeer::from(&offer(2).expect("a record"))]);
    write("bootstrap", "0", &list.encode());
    let moved = ready(title.clone().transfer(identity(1), &network(), node(2))).expect("a title");
    for (name, record) in [("claimed", named(title, 1, 1)), ("moved", named(moved, 2, 2))] {
        write("name_record", name, record.as_bytes());
    }
    let ends = Ends { ours: b"ours", theirs: b"theirs" };
    let auth = |of: usize| Auth::new(suite(), identity(of).clone(), network());
    let mut rng = StdRng::seed_from_u64(2);
    let (initiator, hello) = auth(1).initiate(ends, Some(node(0)), &mut rng).expect("a hello");
    let other = Ends { ours: ends.theirs, theirs: ends.ours };
    let (_, reply) = ready(auth(0).respond(other, &hello, &mut rng)).expect("a reply");
    let (_, finish) = ready(initiator.reply(&reply)).expect("a finish");
    for (which, (name, message)) in
        [("hello", hello), ("reply", reply), ("finish", finish)].into_iter().enumerate()
    {
        write("auth", name, &[&[which as u8], &message[..]].concat());
    }
    let framed = |message: &[u8]| [&(message.len() as u32).to_be_bytes(), message].concat();
    write("requests", "ask", &framed(b"\x0a\x06echo/1\x12\x05hello\x18\xe8\x07\x22\x10sixteen bytes!!!"));
    write("requests", "answer", &framed(b"\x08\x02\x1a\x06nobody"));
    let (data, end) = (b"\x01\0\x05hello".as_slice(), b"\x02\0\0".as_slice());
    let packed = [&[0, 1, 44], &lz4_flex::block::compress(&[7; 300])[..]].concat();
    let packed = [&[3, 0, packed.len() as u8], &packed[..]].concat();
    for (flags, name) in [(0, "sealed"), (2, "unsealed"), (4, "packed"), (6, "packed-unsealed")] {
        let frames = if flags & 4 == 0 { [data, data, end].concat() } else { [&packed, data, end].concat() };
        write("streams", name, &[&[flags, 0xff], &frames[..]].concat());
    }
    write("streams", "cut", &[&[0, 2], data].concat());
    write("streams", "odd", &[&[8, 0xff, 0, 0, 14], b"\x0a\x0c/arbitrary/2".as_slice(), data, end].concat());
    write("streams", "raw", &[[1, 0xff].as_slice(), &[0, 0, 0, 20], &[7; 36]].concat());
    write("transfers", "content", &[&framed(b"\x10\x07")[..], b"content"].concat());
    write("transfers", "missing", &framed(b"\x08\x01"));
    write("transfers", "ask", &framed(&[b"\x0a\x20", &[7; 32][..], b"\x10\x01"].concat()));
}

//! What each reader of bytes must do with any bytes: refuse them, or take them for what it can write the same way again; never
//! panic, and never want more done than its bounds say. The fuzz targets, and a test over their corpus, call these.

use std::sync::OnceLock;
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::seed::Seed;
use daa_crypto::CryptoSuite;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::nodes::{BEGIN, identity, network, node, ready, record};
use crate::auth::{Auth, Ends};
use crate::discovery::{BootstrapList, Discovery, DiscoveryOptions};
use crate::gossip::{Gossip, GossipOptions, Topic, Validation};
use crate::machine::{Effect, Machine};
use crate::membership::{Membership, MembershipOptions, Output};
use crate::names::SignedName;
use crate::node_id::NodeId;
use crate::record::{BookOptions, SignedRecord, Tier};
use crate::stream::{self, Opening};
use crate::topology::{Neighbourhood, TopologyOptions};
use crate::{rpc, transfer};

/// The most bytes that one message may make a machine send.
const ANSWER: usize = 1 << 20;

const ENDS: Ends<'static> = Ends { ours: b"ours", theirs: b"theirs" };

fn auth_of(of: usize) -> Auth {
    Auth::new(CryptoSuite::new(), identity(of).clone(), network())
}

/// Messages of the handshake, as each side may get them. What was not made for this moment proves nothing.
///
/// # Panics
/// When a reader does not do what it must.
pub fn auth(bytes: &[u8]) {
    let (ours, theirs) = (auth_of(0), auth_of(1));
    let mut rng = StdRng::seed_from_u64(1);
    let Some((which, message)) = bytes.split_first() else { return };
    match which % 3 {
        0 => {
            if let Ok((responder, reply)) = ready(ours.respond(ENDS, message, &mut rng)) {
                assert!(reply.len() <= crate::auth::MAX_MESSAGE);
                assert!(responder.finish(message).is_err(), "a hello proves nothing");
            }
        }
        1 => {
            let (initiator, _) = ours.initiate(ENDS, Some(node(1)), &mut rng).expect("a key");
            assert!(ready(initiator.reply(message)).is_err(), "a reply to another hello proves nothing");
        }
        _ => {
            let (_, hello) = theirs.initiate(ENDS, None, &mut rng).expect("a key");
            let (responder, _) = ready(ours.respond(ENDS, &hello, &mut rng)).expect("a reply");
            assert!(responder.finish(message).is_err(), "a finish of another handshake proves nothing");
        }
    }
}

/// Records of nodes.
///
/// # Panics
/// When the reader does not do what it must.
pub fn node_record(bytes: &[u8]) {
    let verify = |bytes: &[u8]| SignedRecord::verify(&CryptoSuite::new(), &network(), bytes, BEGIN);
    if let Ok(read) = verify(bytes) {
        let again = verify(read.as_bytes()).expect("what was read once");
        assert_eq!((again.node(), again.record()), (read.node(), read.record()));
        assert_eq!(again.as_bytes(), read.as_bytes());
    }
}

/// Records of names.
///
/// # Panics
/// When the reader does not do what it must.
pub fn name_record(bytes: &[u8]) {
    let verify = |bytes: &[u8]| SignedName::verify(&CryptoSuite::new(), &network(), bytes, BEGIN);
    if let Ok(read) = verify(bytes) {
        let again = verify(read.as_bytes()).expect("what was read once");
        assert_eq!((again.owner(), again.record()), (read.owner(), read.record()));
        assert_eq!(SignedName::peek(bytes).as_ref(), Some(&read.record().name));
    }
}

/// Lists of first peers.
///
/// # Panics
/// When the reader does not do what it must.
pub fn bootstrap(bytes: &[u8]) {
    if let Ok(read) = BootstrapList::decode(bytes) {
        assert_eq!(BootstrapList::decode(&read.encode()), Ok(read));
    }
}

/// Does all that a machine wants; how many bytes it wants to be sent.
fn drain<M: Machine>(machine: &mut M, mut tell: impl FnMut(&mut M, M::Event)) -> usize {
    let mut sent = 0;
    while let Some(effect) = machine.poll() {
        match effect {
            Effect::Send { message, .. } => sent += message.len(),
            Effect::Tell(event) => tell(machine, event),
        }
    }
    sent
}

fn hears<M: Machine>(machine: &mut M, bytes: &[u8]) {
    drain(machine, |_, _| ());
    // What is wrong counts against who says it.
    let _ = machine.receive(node(1), bytes, BEGIN);
    let sent = drain(machine, |_, _| ());
    assert!(sent <= ANSWER, "{} bytes make it send {sent}", bytes.len());
    machine.wake(BEGIN + Duration::from_secs(1));
    drain(machine, |_, _| ());
}

fn a_membership(now: Timestamp) -> Membership {
    let options = MembershipOptions::default();
    Membership::new(options, CryptoSuite::new(), network(), record(0, 1), Seed::from_u64(1), now)
}

fn a_gossip(now: Timestamp) -> Gossip {
    let key = identity(0).key().clone();
    let mut gossip =
        Gossip::new(GossipOptions::default(), CryptoSuite::new(), network(), key, Seed::from_u64(1), now);
    let topic: Topic = "topic".parse().expect("a topic");
    gossip.subscribe(topic, Validation::Signature, now).expect("room for one");
    gossip.remember(identity(2).key());
    gossip
}

fn a_discovery(now: Timestamp) -> Discovery {
    let (options, book) = (DiscoveryOptions::default(), BookOptions::default());
    let mut discovery =
        Discovery::new(CryptoSuite::new(), network(), node(0), options, book, Seed::from_u64(1));
    discovery.set_own(record(0, 1), now);
    discovery
}

fn a_neighbourhood(now: Timestamp) -> Neighbourhood {
    let me = (node(0), Tier::RegionalHub, Default::default());
    let mut neighbourhood = Neighbourhood::new(TopologyOptions::default(), me, Seed::from_u64(1), now);
    neighbourhood.set_member(node(1), Tier::Leaf, Default::default(), now);
    neighbourhood.set_member(node(2), Tier::SuperNode, Default::default(), now);
    neighbourhood
}

/// Messages of membership, with the statements and records in them.
///
/// # Panics
/// When the machine does not do what it must.
pub fn membership(bytes: &[u8]) {
    hears(&mut a_membership(BEGIN), bytes);
}

/// Frames of gossip, with the messages and keys in them.
///
/// # Panics
/// When the machine does not do what it must.
pub fn gossip(bytes: &[u8]) {
    let mut gossip = a_gossip(BEGIN);
    gossip.connected(node(1), BEGIN);
    hears(&mut gossip, bytes);
}

/// Messages of discovery, with the records of nodes and names in them.
///
/// # Panics
/// When the machine does not do what it must.
pub fn discovery(bytes: &[u8]) {
    let mut discovery = a_discovery(BEGIN);
    // Its first request has the number 1, and may be answered.
    discovery.bootstrap([node(1)], BEGIN);
    hears(&mut discovery, bytes);
}

/// Messages of topology.
///
/// # Panics
/// When the machine does not do what it must.
pub fn topology(bytes: &[u8]) {
    hears(&mut a_neighbourhood(BEGIN), bytes);
}

/// Requests and their answers.
///
/// # Panics
/// When a reader does not do what it must.
pub fn requests(bytes: &[u8]) {
    ready(rpc::read_any(bytes));
}

/// Both ends of a session: handshakes cost time, and what is read in one is read in any.
fn ends() -> &'static (Opening, Opening) {
    static OPENINGS: OnceLock<(Opening, Opening)> = OnceLock::new();
    OPENINGS.get_or_init(|| {
        let mut rng = StdRng::seed_from_u64(1);
        let other = Ends { ours: ENDS.theirs, theirs: ENDS.ours };
        let (initiator, hello) = auth_of(1).initiate(ENDS, Some(node(0)), &mut rng).expect("a hello");
        let (responder, reply) = ready(auth_of(0).respond(other, &hello, &mut rng)).expect("a reply");
        let (initiator, finish) = ready(initiator.reply(&reply)).expect("a finish");
        let responder = responder.finish(&finish).expect("a session");
        (Opening::new(&initiator), Opening::new(&responder))
    })
}

/// What a peer that has proved itself may put on a stream: frames that are sealed, and any that are not.
///
/// # Panics
/// When the reader does not do what it must.
pub fn streams(bytes: &[u8]) {
    let (opener, other) = ends();
    ready(stream::read_any(opener, other, bytes));
}

/// What is asked and answered where contents are fetched.
///
/// # Panics
/// When a reader does not do what it must.
pub fn transfers(bytes: &[u8]) {
    ready(transfer::read_any(bytes));
}

/// Any messages of any peers, in any order, with connections that come and go and time that passes: all that the bytes say happens to
/// one machine.
///
/// # Panics
/// When a machine does not do what it must.
pub fn machines(bytes: &[u8]) {
    let Some((which, script)) = bytes.split_first() else { return };
    match which % 4 {
        0 => {
            let sign = |machine: &mut Membership, output, now| {
                if let Output::Sign(statement) = output {
                    machine.signed(ready(statement.sign(identity(0), &network())).expect("signed"), now);
                }
            };
            drive(&mut a_membership(BEGIN), script, sign);
        }
        1 => drive(&mut a_gossip(BEGIN), script, |_, _, _| ()),
        2 => drive(&mut a_discovery(BEGIN), script, |_, _, _| ()),
        _ => drive(&mut a_neighbourhood(BEGIN), script, |_, _, _| ()),
    }
}

fn drive<M: Machine>(machine: &mut M, mut script: &[u8], tell: impl Fn(&mut M, M::Event, Timestamp)) {
    let mut now = BEGIN;
    while let [what, who, len, rest @ ..] = script {
        let peer: NodeId = node(1 + usize::from(who % 4));
        let len = usize::from(*len) + usize::from(what >> 4) * 256;
        let (message, after) = rest.split_at(len.min(rest.len()));
        script = after;
        match what % 8 {
            0 => machine.connected(peer, now),
            1 => machine.disconnected(peer, now),
            2 => {
                now = now + Duration::from_millis(len as u64 * 100);
                // What is due by then, one after the other, as often as it may be.
                for _ in 0..16 {
                    match machine.next_wake() {
                        Some(wake) if wake <= now => machine.wake(now),
                        _ => break,
                    }
                    drain(machine, |machine, event| tell(machine, event, now));
                }
            }
            _ => drop(machine.receive(peer, message, now)),
        }
        let sent = drain(machine, |machine, event| tell(machine, event, now));
        assert!(sent <= ANSWER, "it wants to send {sent} bytes");
    }
}

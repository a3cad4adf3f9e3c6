//! What holds on every transport.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use daa_core::clock::{Clock as _, SystemClock};
use daa_net::gossip::{Topic, Validation, Verdict};
use daa_net::names::{Claim, DarkAddress, Name, NameRecord, Title};
use daa_net::record::{Service, Tier};
use daa_net::rpc::prost::Message;
use daa_net::rpc::{CallError, CallOptions, IdempotencyKey, Method, Refusal, Status};
use daa_net::stream::{Protocol, StreamOptions};
use daa_net::transport::ConnectError;
use daa_net::{
    BootstrapList, MemberState, MembershipOptions, Node, NodeDiscovery as _, NodeError, NodeEvent, NodeId,
    NodeOptions, Topology, TopologyOptions,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, oneshot};

use crate::support::{World, auth, identity};

/// Soon enough for a test, and late enough for a slow machine.
fn options() -> NodeOptions {
    NodeOptions::new().with_membership(
        MembershipOptions::default()
            .with_probe_interval(Duration::from_millis(200))
            .with_sync_interval(Duration::from_millis(500)),
    )
}

async fn node(world: &World, options: NodeOptions) -> Node {
    let auth = auth();
    let transport = world.join(auth.clone()).await;
    Node::start(&auth, transport, options).await.unwrap()
}

/// Waits until this node sees a member so.
async fn sees(node: &Node, member: NodeId, state: MemberState) {
    let mut events = node.events();
    while !node.members().iter().any(|found| found.node == member && found.state == state) {
        events.recv().await.unwrap();
    }
}

async fn pair(world: &World) -> (Node, Node) {
    let (a, b) = (node(world, options()).await, node(world, options()).await);
    a.join(&b.addresses()).await.unwrap();
    sees(&a, b.id(), MemberState::Alive).await;
    sees(&b, a.id(), MemberState::Alive).await;
    (a, b)
}

pub(super) async fn all_members_learn_of_each_other_through_one(world: World) {
    let first = node(&world, options()).await;
    let mut nodes = vec![first.clone()];
    for _ in 0..4 {
        let next = node(&world, options()).await;
        assert_eq!(next.join(&first.addresses()).await.unwrap(), first.id());
        nodes.push(next);
    }
    for node in &nodes {
        for other in nodes.iter().filter(|other| other.id() != node.id()) {
            sees(node, other.id(), MemberState::Alive).await;
            assert_eq!(node.record_of(&other.id()).unwrap().node(), other.id());
        }
    }
}

pub(super) async fn who_leaves_has_left_and_who_crashes_has_died(world: World) {
    let (a, b) = pair(&world).await;
    let c = node(&world, options()).await;
    c.join(&a.addresses()).await.unwrap();
    sees(&b, c.id(), MemberState::Alive).await;
    let gone = c.id();
    c.leave().await;
    sees(&a, gone, MemberState::Left).await;
    sees(&b, gone, MemberState::Left).await;
    assert!(c.join(&a.addresses()).await.is_err());

    let dead = b.id();
    drop(b);
    sees(&a, dead, MemberState::Dead).await;
}

pub(super) async fn a_service_is_found_and_asked(world: World) {
    let service: Service = "prices".parse().unwrap();
    let (a, b) = (node(&world, options()).await, node(&world, options().offering(service.clone())).await);
    b.answer::<Double, _>(async |from, Number { value }| {
        assert_ne!(from, NodeId::from_bytes([0; 32]));
        Ok(Number { value: value * 2 })
    });
    b.join(&a.addresses()).await.unwrap();
    let found = a.wait_for(&service).await.unwrap();
    assert_eq!(found, b.id());
    assert_eq!(a.offering(&"other".parse().unwrap()), []);
    let doubled = a.ask::<Double>(found, &Number { value: 21 }, CallOptions::default()).await.unwrap();
    assert_eq!(doubled.value, 42);
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Number {
    #[prost(uint64, tag = "1")]
    value: u64,
}

pub(super) struct Double;

impl Method for Double {
    const NAME: &'static str = "double/1";
    type Request = Number;
    type Response = Number;
}

pub(super) async fn what_cannot_be_answered_is_refused(world: World) {
    let (a, b) = pair(&world).await;
    b.answer::<Double, _>(async |_, number| Ok(number));
    b.serve("picky/1", async |request| Err(Refusal::new(Status::Denied, format!("not {}", request.from))));
    b.serve(
        "panics/1",
        async |request| if request.body.is_empty() { Ok(request.body) } else { panic!("on purpose") },
    );
    b.serve("long/1", async |_| Ok(vec![0; (1 << 20) + 1].into()));
    let ask = async |method: &str, body: &'static [u8]| {
        a.call(b.id(), method, body.into(), CallOptions::default()).await
    };
    let status = |asked: Result<bytes::Bytes, CallError>| match asked {
        Err(CallError::Refused(refusal)) => refusal.status,
        other => panic!("{other:?}"),
    };
    assert_eq!(status(ask("nobody/1", b"").await), Status::Unknown);
    assert_eq!(status(ask("double/1", b"\xff\xff").await), Status::Invalid);
    assert_eq!(status(ask("long/1", b"").await), Status::Failed);
    match ask("picky/1", b"").await {
        Err(CallError::Refused(refusal)) => {
            assert_eq!(refusal, Refusal::new(Status::Denied, format!("not {}", a.id())))
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(ask("panics/1", b"now").await, Err(CallError::Lost(_))));
    assert_eq!(ask("panics/1", b"").await.unwrap(), "");
    let long = vec![0; (1 << 20) + 1].into();
    let long = a.call(b.id(), "double/1", long, CallOptions::default()).await;
    assert!(matches!(long, Err(CallError::TooLong { .. })));
    let nobody = NodeId::from_bytes([9; 32]);
    let nobody = a.call(nobody, "double/1", "".into(), CallOptions::default()).await;
    assert!(matches!(nobody, Err(CallError::Unreachable(_))), "{nobody:?}");
}

/// Tells when it is dropped.
struct Told(Option<oneshot::Sender<()>>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.take().unwrap().send(());
    }
}

pub(super) async fn who_does_not_wait_any_more_stops_the_work(world: World) {
    let (a, b) = pair(&world).await;
    let (began, ended) = (Arc::new(Notify::new()), Arc::new(std::sync::Mutex::new(None)));
    let (tell, told) = oneshot::channel();
    *ended.lock().unwrap() = Some(tell);
    let seen = began.clone();
    b.serve("waits/1", move |_| {
        let guard = Told(ended.lock().unwrap().take());
        let seen = seen.clone();
        async move {
            seen.notify_one();
            std::future::pending::<()>().await;
            drop(guard);
            Ok("".into())
        }
    });
    let call = {
        let (a, b) = (a.clone(), b.id());
        tokio::spawn(async move { a.call(b, "waits/1", "".into(), CallOptions::default()).await })
    };
    began.notified().await;
    call.abort();
    told.await.unwrap();
}

pub(super) async fn a_deadline_ends_it_on_both_sides(world: World) {
    let (a, b) = pair(&world).await;
    let (tell, told) = oneshot::channel();
    let tell = std::sync::Mutex::new(Some(tell));
    b.serve("waits/1", move |request| {
        assert!(request.deadline <= Duration::from_millis(300));
        let guard = Told(tell.lock().unwrap().take());
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok("".into())
        }
    });
    let options = CallOptions::default().within(Duration::from_millis(300));
    match a.call(b.id(), "waits/1", "".into(), options).await {
        Err(CallError::Expired) => {}
        Err(CallError::Refused(refusal)) => assert_eq!(refusal.status, Status::Expired),
        other => panic!("{other:?}"),
    }
    told.await.unwrap();
}

pub(super) async fn a_request_with_a_key_is_worked_on_once(world: World) {
    let (a, b) = pair(&world).await;
    let count = Arc::new(AtomicU32::new(0));
    let counted = count.clone();
    b.serve("count/1", move |_| {
        let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            tokio::task::yield_now().await;
            Ok(number.to_string().into())
        }
    });
    let key = IdempotencyKey::random();
    let ask = || a.call(b.id(), "count/1", "".into(), CallOptions::default().once(key));
    let (first, second) = tokio::join!(ask(), ask());
    assert_eq!((first.unwrap(), second.unwrap(), ask().await.unwrap()), ("1".into(), "1".into(), "1".into()));
    let other = CallOptions::default().once(IdempotencyKey::random());
    assert_eq!(a.call(b.id(), "count/1", "".into(), other).await.unwrap(), "2");
    assert_eq!(a.call(b.id(), "count/1", "".into(), CallOptions::default()).await.unwrap(), "3");
}

pub(super) async fn a_request_with_a_key_survives_a_lost_connection(world: World) {
    let a = node(&world, options()).await;
    let auth = auth();
    let transport = world.join(auth.clone()).await;
    let b = Node::start(&auth, transport.clone(), options()).await.unwrap();
    b.join(&a.addresses()).await.unwrap();
    sees(&a, b.id(), MemberState::Alive).await;
    let (count, go) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
    let (counted, came) = (count.clone(), Arc::new(Notify::new()));
    let (wait, tell) = (go.clone(), came.clone());
    b.serve("slow/1", move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let (wait, tell) = (wait.clone(), tell.clone());
        async move {
            tell.notify_one();
            wait.notified().await;
            Ok("done".into())
        }
    });
    let call = {
        let (a, b) = (a.clone(), b.id());
        let options = CallOptions::default().once(IdempotencyKey::random()).within(Duration::from_secs(60));
        tokio::spawn(async move { a.call(b, "slow/1", "".into(), options).await })
    };
    came.notified().await;
    transport.disconnect(a.id()).await;
    go.notify_one();
    assert_eq!(call.await.unwrap().unwrap(), "done");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

pub(super) async fn streams_go_to_who_takes_them(world: World) {
    const CHAT: Protocol = Protocol::new("/test/chat/1");
    let (a, b) = pair(&world).await;
    let reserved = b.accept(Protocol::new("/daa/mine/1"));
    assert!(matches!(reserved, Err(NodeError::Reserved { .. })));
    let mut came = b.accept(CHAT).unwrap();
    let mut ours = a.open(b.id(), CHAT, StreamOptions::default()).await.unwrap();
    ours.write_all(b"hello").await.unwrap();
    ours.shutdown().await.unwrap();
    let mut text = String::new();
    came.recv().await.unwrap().read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
    drop(came);
    let mut refused = a.open(b.id(), CHAT, StreamOptions::default()).await.unwrap();
    refused.write_all(b"hello").await.unwrap();
    refused.flush().await.unwrap();
    assert!(refused.read_to_string(&mut text).await.is_err());
}

pub(super) async fn who_talks_garbage_is_disconnected(world: World) {
    let (a, b) = pair(&world).await;
    let hostile = world.join(auth()).await;
    hostile.connect(Some(a.id()), &a.addresses()).await.unwrap();
    let control = Protocol::new("/daa/control/1");
    let mut stream = hostile.open(a.id(), control.clone(), StreamOptions::default()).await.unwrap();
    // Of a machine that there is not yet: passed over.
    stream.write_all(&[0, 0, 0, 2, 200, 1]).await.unwrap();
    for _ in 0..20 {
        stream.write_all(&[0, 0, 0, 3, 1, 255, 255]).await.unwrap();
    }
    stream.flush().await.unwrap();
    crate::support::connected(&*hostile, a.id()).await;
    crate::support::disconnected(&*hostile, a.id()).await;
    // Honest traffic goes on.
    b.serve("echo/1", async |request| Ok(request.body));
    assert_eq!(a.call(b.id(), "echo/1", "hello".into(), CallOptions::default()).await.unwrap(), "hello");
    // What says that it is longer than any.
    hostile.connect(Some(a.id()), &a.addresses()).await.unwrap();
    let mut stream = hostile.open(a.id(), control, StreamOptions::default()).await.unwrap();
    stream.write_all(&[255; 4]).await.unwrap();
    stream.flush().await.unwrap();
    let mut nothing = Vec::new();
    assert!(stream.read_to_end(&mut nothing).await.is_err());
}

pub(super) async fn what_is_said_on_a_topic_is_heard_by_all_who_listen(world: World) {
    let topic: Topic = "news".parse().unwrap();
    let (a, b) = pair(&world).await;
    let c = node(&world, options()).await;
    c.join(&b.addresses()).await.unwrap();
    sees(&c, a.id(), MemberState::Alive).await;
    let mut at_b = b.subscribe(topic.clone(), Validation::Signature).await.unwrap();
    let mut at_c = c.subscribe(topic.clone(), Validation::Application).await.unwrap();
    let mut said = Vec::new();
    for number in 0..20_u8 {
        said.push((a.publish(topic.clone(), vec![number].into()).await.unwrap(), vec![number]));
    }
    for heard in [&mut at_b, &mut at_c] {
        let mut all = Vec::new();
        for _ in 0..20 {
            let heard = heard.next().await.unwrap();
            assert_eq!((heard.message.author, &heard.message.topic), (a.id(), &topic));
            all.push((heard.id, heard.message.payload.to_vec()));
        }
        all.sort_by(|one, other| one.1.cmp(&other.1));
        assert_eq!(all, said);
    }
    for (id, _) in said {
        c.validated(id, Verdict::Accept).await.unwrap();
    }
    let long = a.publish(topic.clone(), vec![0; 2 << 20].into()).await;
    assert!(matches!(long, Err(NodeError::Publish(_))), "{long:?}");
    let large = a.publish(topic, vec![7; 64 << 10].into()).await.unwrap();
    let heard = at_b.next().await.unwrap();
    assert_eq!((heard.id, heard.message.payload.len()), (large, 64 << 10));
}

pub(super) async fn services_nodes_and_names_are_found(world: World) {
    let service: Service = "training".parse().unwrap();
    let (a, b) = pair(&world).await;
    let c = node(&world, options().offering(service.clone())).await;
    c.join(&b.addresses()).await.unwrap();
    sees(&a, c.id(), MemberState::Alive).await;

    let found = loop {
        let found = a.discover_nodes(&service).await.unwrap();
        if !found.is_empty() {
            break found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(found.iter().map(|found| found.record.node()).collect::<Vec<_>>(), [c.id()]);
    assert_eq!(a.discover_nodes(&"other".parse().unwrap()).await.unwrap().len(), 0);
    let record = loop {
        if let Some(record) = a.look_up(c.id()).await.unwrap() {
            break record;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(record.node(), c.id());

    // A name that leads to another node.
    let owner = identity();
    let name: Name = "treasury.dark".parse().unwrap();
    let network = "test".parse().unwrap();
    let claim = Claim::work(&network, &name, owner.node());
    let now = SystemClock::new().now();
    let record = NameRecord::new(name.clone(), c.id(), 1, now, Duration::from_secs(3_600));
    let signed = record.issue(&owner, &network, Title::new(claim)).await.unwrap();
    a.register(signed).await.unwrap();
    let address: DarkAddress = "treasury.dark".parse().unwrap();
    let target = loop {
        match b.resolve(&address).await {
            Ok(target) => break target,
            Err(NodeError::NoSuchName { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error:?}"),
        }
    };
    assert_eq!(target, c.id());
    assert_eq!(b.resolve(&a.id().to_string().parse().unwrap()).await.unwrap(), a.id());
}

pub(super) async fn who_was_there_before_finds_the_network_again(world: World) {
    let (a, b) = pair(&world).await;
    let known = loop {
        let known = a.known_peers().await.unwrap();
        if !known.peers().is_empty() {
            break known;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(known.peers()[0].node, b.id());
    let known = BootstrapList::decode(&known.encode()).unwrap();
    let again = node(&world, options().knowing(known)).await;
    sees(&again, b.id(), MemberState::Alive).await;
    sees(&again, a.id(), MemberState::Alive).await;
}

pub(super) async fn leaves_of_a_hub_that_goes_find_another(world: World) {
    // What would be chosen follows from how fast this machine is.
    let topology = TopologyOptions::default()
        .with_interval(Duration::from_millis(200))
        .with_capacity(6)
        .always(Topology::Hierarchical);
    let mut hubs = Vec::new();
    for _ in 0..4 {
        hubs.push(node(&world, options().with_topology(topology).with_tier(Tier::RegionalHub)).await);
    }
    // So many that a hierarchy is best however slow the machine is: there are too many for a mesh, and a ring has longer ways.
    let mut leaves = Vec::new();
    for _ in 0..6 {
        leaves.push(node(&world, options().with_topology(topology)).await);
    }
    let leaf = &leaves[0];
    for node in hubs[1..].iter().chain(&leaves) {
        // On a busy machine it may take a second try.
        while node.join(&hubs[0].addresses()).await.is_err() {}
    }
    let mut events = leaf.events();
    let is_home = |at: &[NodeId]| at.len() == 2 && at.iter().all(|at| hubs.iter().any(|hub| hub.id() == *at));
    while !is_home(&leaf.neighbours()) {
        events.recv().await.unwrap();
    }
    let gone = leaf.neighbours()[0];
    hubs.iter().find(|hub| hub.id() == gone).unwrap().leave().await;
    while leaf.neighbours().contains(&gone) || !is_home(&leaf.neighbours()) {
        events.recv().await.unwrap();
    }
}

pub(super) async fn who_is_called_by_its_id_is_found_again_and_nobody_else(world: World) {
    let a = node(&world, options()).await;
    let auth = auth();
    let transport = world.join(auth.clone()).await;
    let b = Node::start(&auth, transport.clone(), options()).await.unwrap();
    b.serve("echo/1", async |asked| Ok(asked.body));
    let wrong = a.connect(identity().node(), &b.addresses()).await.unwrap_err();
    assert!(matches!(wrong, ConnectError::Handshake(_)), "{wrong:?}");

    a.connect(b.id(), &b.addresses()).await.unwrap();
    let mut events = a.events();
    assert_eq!(a.call(b.id(), "echo/1", "one".into(), CallOptions::default()).await.unwrap(), "one");
    // The other side ends the connection: the next request makes another one.
    transport.disconnect(a.id()).await;
    while events.recv().await.unwrap() != NodeEvent::Disconnected(b.id()) {}
    assert_eq!(a.call(b.id(), "echo/1", "two".into(), CallOptions::default()).await.unwrap(), "two");
}

pub(super) async fn who_waits_is_told_when_the_node_has_ended(world: World) {
    const CHAT: Protocol = Protocol::new("/test/chat/1");
    let a = node(&world, options()).await;
    let (mut events, mut came) = (a.events(), a.accept(CHAT).unwrap());
    let waits = {
        let a = a.clone();
        tokio::spawn(async move { a.wait_for(&"nobody".parse().unwrap()).await })
    };
    a.leave().await;
    assert!(matches!(waits.await.unwrap(), Err(NodeError::Closed)));
    while events.recv().await.is_ok() {}
    assert!(came.recv().await.is_none());
    assert!(a.events().recv().await.is_err());
    assert!(matches!(a.accept(CHAT), Err(NodeError::Closed)));
}

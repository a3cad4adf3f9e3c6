use proptest::prelude::*;

use super::*;

fn entry(max: usize) -> impl Strategy<Value = Entry> {
    (any::<[u8; 32]>(), any::<u8>(), 0..max).prop_map(|(node, byte, len)| Entry {
        node: NodeId::from_bytes(node),
        record: vec![byte; len].into(),
    })
}

fn found() -> impl Strategy<Value = Found> {
    let entries = || prop::collection::vec(entry(50), 0..MAX_ENTRIES);
    let named = prop::collection::vec(any::<[u8; 32]>().prop_map(NodeId::from_bytes), 0..MAX_ENTRIES);
    (entries(), named, entries(), prop::collection::vec(any::<u8>(), 0..50), any::<u32>()).prop_map(
        |(nodes, named, providers, name, left_out)| Found {
            nodes,
            named,
            providers,
            name: name.into(),
            left_out,
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    let key = || any::<[u8; 32]>().prop_map(Key::from_bytes);
    let bytes = || prop::collection::vec(any::<u8>(), 0..50).prop_map(Bytes::from);
    let want = prop_oneof![Just(Want::Nodes), Just(Want::Providers), Just(Want::Name)];
    let knows = (any::<u64>(), any::<u64>()).prop_map(|(prefix, version)| Knows { prefix, version });
    prop_oneof![
        (key(), want, 0..=K, prop::collection::vec(knows, 0..=MAX_KNOWS))
            .prop_map(|(target, want, count, knows)| Body::Find(Find { target, want, count, knows })),
        found().prop_map(Body::Found),
        (key(), bytes()).prop_map(|(key, record)| Body::Store(Stored::Provider { key, record })),
        bytes().prop_map(|record| Body::Store(Stored::Name { record })),
        prop_oneof![Just(Kept::Yes), Just(Kept::No)].prop_map(Body::Kept),
    ]
}

proptest! {
    #[test]
    fn what_is_sent_is_read(id: u64, body in body()) {
        let message = Message { id, body };
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn garbage_is_an_error_or_a_message_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(Message { body: Body::Found(found), .. }) = Message::decode(&bytes) {
            prop_assert!(found.nodes.len() <= MAX_ENTRIES);
        }
    }

    #[test]
    fn an_answer_is_never_too_long_and_says_what_it_leaves_out(
        name in 0..70_000_usize,
        providers in prop::collection::vec(entry(16_384), 0..30),
        nodes in prop::collection::vec((entry(16_384), any::<bool>()), 0..20),
    ) {
        let offered = providers.len() + nodes.len();
        let mut filling = Filling::new(vec![0; name].into());
        filling.providers(providers);
        nodes.into_iter().for_each(|(entry, is_known)| filling.node(entry, is_known));
        let found = filling.done();
        let listed = found.providers.len() + found.nodes.len() + found.named.len();
        prop_assert_eq!(listed + found.left_out as usize, offered);
        let message = Message { id: u64::MAX, body: Body::Found(found) };
        prop_assert!(message.encode().len() <= MAX_MESSAGE);
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
}

#[test]
fn bounds_hold_before_anything_is_believed() {
    let refused = |body| Message::decode(&Message { id: 1, body }.encode()).unwrap_err();
    let entry = Entry { node: NodeId::from_bytes([1; 32]), record: Bytes::new() };
    let many = Found { nodes: vec![entry; MAX_ENTRIES + 1], ..Found::default() };
    assert_eq!(refused(Body::Found(many)).what, "more records than an answer has");
    let named = Found { named: vec![NodeId::from_bytes([1; 32]); MAX_ENTRIES + 1], ..Found::default() };
    assert_eq!(refused(Body::Found(named)).what, "more nodes than an answer has");
    let knows = vec![Knows { prefix: 1, version: 1 }; MAX_KNOWS + 1];
    let find = Find { target: Key::from_bytes([1; 32]), want: Want::Nodes, count: 20, knows };
    assert_eq!(refused(Body::Find(find)).what, "more known nodes than a request has");
    let long = Body::Store(Stored::Name { record: vec![0; MAX_MESSAGE].into() });
    assert_eq!(refused(long).what, "longer than any of discovery");
}

//! Records as they travel.

use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::fault::{Reaction, Retry};
use daa_crypto::{CryptoSuite, KemAlgorithm};
use daa_net::record::{
    ContentError, IssueError, MAX_ADDRESSES, MAX_LIFE, MAX_RECORD, MAX_SERVICES, MAX_SKEW, RecordError, Role,
    Service, SignedRecord, Tier,
};
use proptest::prelude::*;

use crate::nodes::{HOUR, NOW, issue, network, node, ready, record, rng};

fn verify(bytes: &[u8], now: Timestamp) -> Result<SignedRecord, RecordError> {
    SignedRecord::verify(&CryptoSuite::new(), &network(), bytes, now)
}

fn full() -> SignedRecord {
    let record = record(3)
        .with_address("/ip4/192.0.2.1/udp/4001/quic-v1".parse().unwrap())
        .with_address("/dns4/node.example/tcp/443/wss".parse().unwrap())
        .with_role(Role::Agent)
        .with_role(Role::Bridge)
        .with_tier(Tier::RegionalHub)
        .with_service("training".parse().unwrap());
    issue(record, &node(1))
}

#[test]
fn what_was_issued_is_read_back() {
    let issued = full();
    let read = verify(issued.as_bytes(), NOW).unwrap();
    assert_eq!(read.record(), issued.record());
    assert_eq!((read.node(), read.key()), (node(1).node(), node(1).key()));
    assert_eq!(read.as_bytes(), issued.as_bytes());
    assert!(issued.as_bytes().len() < MAX_RECORD / 2);
}

#[test]
fn time_is_looked_at() {
    let issued = full();
    let at = |now| verify(issued.as_bytes(), now);
    assert!(at(NOW + (HOUR - Duration::from_millis(1))).is_ok());
    assert!(matches!(at(NOW + HOUR), Err(RecordError::Expired { .. })));
    let early = |ahead: Duration| issue(record_at(NOW + ahead), &node(1));
    assert!(verify(early(MAX_SKEW).as_bytes(), NOW).is_ok());
    let too_early = early(MAX_SKEW + Duration::from_millis(1));
    let refused = verify(too_early.as_bytes(), NOW).unwrap_err();
    assert!(matches!(refused, RecordError::Early { .. }));
    assert_eq!(refused.retry(), Retry::After(Duration::from_millis(1)));
}

fn record_at(issued: Timestamp) -> daa_net::NodeRecord {
    daa_net::NodeRecord::new(1, issued, HOUR, record(1).kem)
}

#[test]
fn bounds_hold_for_who_issues() {
    let refused = |record: daa_net::NodeRecord| match ready(record.issue(&node(1), &network())) {
        Err(IssueError::Content(error)) => error,
        other => panic!("{other:?}"),
    };
    let addresses = (0..=MAX_ADDRESSES as u16).fold(record(1), |record, port| {
        record.with_address(format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap())
    });
    assert!(matches!(refused(addresses), ContentError::TooMany { what: "addresses", count: 17, .. }));
    let services = (0..=MAX_SERVICES)
        .fold(record(1), |record, number| record.with_service(format!("s{number}").parse().unwrap()));
    assert!(matches!(refused(services), ContentError::TooMany { what: "services", count: 33, .. }));
    let long = format!("/dns4/{}/tcp/1", "a".repeat(300)).parse().unwrap();
    assert!(matches!(refused(record(1).with_address(long)), ContentError::Address { .. }));
    let weak =
        CryptoSuite::new().generate_decapsulation_key_with(KemAlgorithm::MlKem768, &mut rng(7)).unwrap();
    let mut other = record(1);
    other.kem = weak.encapsulation_key().clone();
    assert_eq!(refused(other), ContentError::Kem { found: KemAlgorithm::MlKem768 });
    let mut life = record(1);
    life.expires = life.issued;
    assert!(matches!(refused(life.clone()), ContentError::Life { .. }));
    life.expires = life.issued + MAX_LIFE + Duration::from_millis(1);
    assert!(matches!(refused(life), ContentError::Life { .. }));
}

#[test]
fn what_is_too_large_is_not_read() {
    let huge = vec![0x0a; MAX_RECORD + 1];
    assert!(matches!(verify(&huge, NOW), Err(RecordError::Content(ContentError::Size { .. }))));
}

#[test]
fn a_service_has_a_name() {
    for text in ["", "a b", "A", "ü", &"a".repeat(65)] {
        assert!(text.parse::<Service>().is_err(), "{text:?}");
    }
    assert_eq!("model/llama-3.1_x".parse::<Service>().unwrap().as_str(), "model/llama-3.1_x");
}

#[test]
fn a_record_is_of_one_network() {
    let (issued, other) = (full(), "another".parse().unwrap());
    let refused = SignedRecord::verify(&CryptoSuite::new(), &other, issued.as_bytes(), NOW).unwrap_err();
    assert!(matches!(refused, RecordError::Network));
}

/// A field of Protocol Buffers that no version has yet: number 100, a number.
const UNKNOWN: [u8; 3] = [0xa0, 0x06, 0x01];

#[test]
fn what_a_later_version_adds_outside_of_the_signature_is_not_passed_on() {
    let issued = full();
    let more = [issued.as_bytes(), &UNKNOWN[..]].concat();
    assert_eq!(verify(&more, NOW).unwrap().as_bytes(), issued.as_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_bit_is_noticed(at: prop::sample::Index, bit in 0..8_u8) {
        let issued = full();
        let mut bytes = issued.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(verify(&bytes, NOW).is_err(), "byte {at}");
    }

    #[test]
    fn garbage_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600), cut: prop::sample::Index) {
        prop_assert!(verify(&bytes, NOW).is_err());
        let issued = full();
        let cut = cut.index(issued.as_bytes().len());
        prop_assert!(verify(&issued.as_bytes()[..cut], NOW).is_err());
    }
}

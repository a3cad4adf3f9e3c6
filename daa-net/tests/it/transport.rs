//! Transports: the same on memory, and on libp2p over each of its carriers.

mod conformance;
#[cfg(target_os = "linux")]
mod flood;
mod hostile;
mod internet;
mod stock;

/// One test on each transport.
macro_rules! on_all {
    ($($test:ident),* $(,)?) => {
        mod memory { $( #[tokio::test] async fn $test() { super::conformance::$test(crate::support::World::memory()).await } )* }
        mod quic { $( #[tokio::test] async fn $test() { super::conformance::$test(crate::support::World::libp2p(&["/ip4/127.0.0.1/udp/0/quic-v1"])).await } )* }
        mod tcp { $( #[tokio::test] async fn $test() { super::conformance::$test(crate::support::World::libp2p(&["/ip4/127.0.0.1/tcp/0"])).await } )* }
        mod websocket { $( #[tokio::test] async fn $test() { super::conformance::$test(crate::support::World::libp2p(&["/ip4/127.0.0.1/tcp/0/ws"])).await } )* }
    };
}

on_all!(
    bytes_go_both_ways_in_order,
    what_was_written_before_the_end_is_not_lost,
    a_stream_that_was_dropped_does_not_look_finished,
    who_does_not_read_slows_only_its_own_stream,
    streams_end_with_their_connection,
    only_the_expected_node_will_do,
    other_networks_and_those_that_are_denied_stay_out,
    who_is_connected_is_not_called_again,
    both_may_call_at_once,
    unsealed_streams_carry_the_same_bytes,
    there_are_so_many_streams_and_no_more,
    a_closed_transport_says_so,
);

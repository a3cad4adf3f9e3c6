//! Nodes on transports: members, requests, streams.

mod conformance;
mod found;
mod transfer;

/// One test on each transport.
macro_rules! on_all {
    ($suite:ident: $($test:ident),* $(,)?) => {
        mod memory { $( #[tokio::test] async fn $test() { super::super::$suite::$test(crate::support::World::memory()).await } )* }
        mod quic { $( #[tokio::test] async fn $test() { super::super::$suite::$test(crate::support::World::libp2p(&["/ip4/127.0.0.1/udp/0/quic-v1"])).await } )* }
    };
}

mod nodes {
    on_all!(
     conformance:
        all_members_learn_of_each_other_through_one,
        who_leaves_has_left_and_who_crashes_has_died,
        a_service_is_found_and_asked,
        what_cannot_be_answered_is_refused,
        who_does_not_wait_any_more_stops_the_work,
        a_deadline_ends_it_on_both_sides,
        a_request_with_a_key_is_worked_on_once,
        a_request_with_a_key_survives_a_lost_connection,
        streams_go_to_who_takes_them,
        who_talks_garbage_is_disconnected,
        what_is_said_on_a_topic_is_heard_by_all_who_listen,
        services_nodes_and_names_are_found,
        leaves_of_a_hub_that_goes_find_another,
        who_was_there_before_finds_the_network_again,
        who_is_called_by_its_id_is_found_again_and_nobody_else,
        who_waits_is_told_when_the_node_has_ended,
    );
}

mod contents {
    on_all!(
     transfer:
     contents_of_all_sizes_arrive,
     who_lies_is_named_and_the_others_suffice,
     who_fails_or_is_away_is_given_up,
     what_was_left_in_the_middle_goes_on,
     who_ends_in_the_middle_is_replaced,
     no_more_groups_are_in_memory_than_was_said,
     artefacts_are_shared_as_they_come_and_go,
    );
}

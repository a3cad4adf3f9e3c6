//! The conformance suite of [`EventStore`](super::EventStore).

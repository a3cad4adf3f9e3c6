//! The conformance suite of [`Artifacts`](super::Artifacts).

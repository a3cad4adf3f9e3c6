//! It keeps the contract.

use std::sync::Arc;

use daa_core::artifact::NamedArtifacts;

use super::support::{Server, bucket};

fn fresh() -> (Arc<Server>, Arc<dyn NamedArtifacts>) {
    let server = Server::shared();
    let artifacts = bucket(server.address).open().unwrap();
    (server, Arc::new(artifacts))
}

daa_core::artifacts_conformance!(fresh());

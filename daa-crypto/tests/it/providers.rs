//! Each provider keeps the contract.

use daa_crypto::provider::{Libcrux, default_provider};
use daa_crypto::testing::provider_conformance;

#[test]
fn libcrux() {
    provider_conformance(&Libcrux::new());
}

#[test]
fn the_default() {
    let provider = default_provider();
    assert_eq!(provider.name(), if cfg!(feature = "aws-lc") { "aws-lc" } else { "libcrux" });
    provider_conformance(&*provider);
}

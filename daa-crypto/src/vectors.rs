//! The standards' vectors, for whatever is offered.

mod acvp_ml_dsa;
mod acvp_ml_kem;
mod acvp_slh_dsa;
mod differential;
mod drafts;
mod wycheproof_ml_dsa;
mod wycheproof_ml_kem;
mod wycheproof_rest;

use std::io::Read as _;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::provider::{Libcrux, Provider};

/// Every provider of this build.
fn providers() -> Vec<Arc<dyn Provider>> {
    vec![
        Arc::new(Libcrux::new()),
        #[cfg(feature = "aws-lc")]
        Arc::new(crate::provider::AwsLc::new()),
    ]
}

/// Bytes that are written in hexadecimal digits.
#[derive(Debug, Default)]
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes());
        bytes.map(Self).map_err(serde::de::Error::custom)
    }
}

impl std::ops::Deref for Hex {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Reads a file of `tests/vectors`.
fn load<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/vectors/{name}.json.zst", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut json = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(file)
        .expect("a zstd file")
        .read_to_end(&mut json)
        .expect("a whole zstd file");
    serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A file of the ACVP server.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Acvp<G> {
    test_groups: Vec<G>,
}

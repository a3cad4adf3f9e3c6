//! temp
use serde::{Deserialize, Serialize};
/// temp
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Default)]
pub struct ProtocolConfig {}
impl ProtocolConfig {
    pub(crate) fn check(&self) -> Result<(), &'static str> { Ok(()) }
    pub(crate) fn digest(&self) -> daa_core::digest::Digest { daa_core::digest::Digest::of(b"") }
}

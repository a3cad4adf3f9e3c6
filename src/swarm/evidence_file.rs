//! Evidence as one file that a third party can recheck with nothing else.

use bytes::Bytes;
use daa_compute::ComputeBackend;
use daa_compute::evidence::{Evidence, Ruling, recheck};
use daa_compute::replay::Exhibits;
use daa_core::artifact::Artifacts;
use daa_core::digest::Digest;
use serde::{Deserialize, Serialize};

use super::error::SwarmError;

/// The largest evidence file, in bytes (1 GiB).
const MAX_FILE: usize = 1 << 30;
const FORMAT: &str = "daa evidence v1";

/// Everything that shows that an update was forged: what the accused committed to, what follows from it, and the
/// artefacts that both rest on. One JSON file; bytes as hexadecimal digits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceFile {
    format: String,
    /// The digest that the slash in the ledger names.
    digest: Digest,
    evidence: Evidence,
    base: String,
    shard: String,
    residual: String,
    update: String,
}

impl EvidenceFile {
    /// Collects the evidence of a digest, and the artefacts that it names.
    ///
    /// # Errors
    /// [`SwarmError::Missing`] when one is not there any more.
    pub async fn collect(artifacts: &dyn Artifacts, digest: Digest) -> Result<Self, SwarmError> {
        let missing = SwarmError::Missing { what: "evidence", digest };
        let evidence = Evidence::decode(&artifacts.get(&digest).await?.ok_or(missing)?)?;
        let exhibits = Exhibits::fetch(artifacts, &evidence.commitment).await?;
        Ok(Self {
            format: FORMAT.to_owned(),
            digest,
            evidence,
            base: hex(&exhibits.base),
            shard: hex(&exhibits.shard),
            residual: hex(&exhibits.residual),
            update: hex(&exhibits.update),
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`SwarmError::EvidenceFile`] when it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, SwarmError> {
        let wrong = |reason: String| SwarmError::EvidenceFile { reason };
        if bytes.len() > MAX_FILE {
            return Err(wrong(format!("it has more than {MAX_FILE} bytes")));
        }
        let file: Self = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if file.format != FORMAT {
            return Err(wrong(format!("its format is {:?}, expected {FORMAT:?}", file.format)));
        }
        Ok(file)
    }

    /// Writes it down.
    ///
    /// # Errors
    /// Never in practice: all of it has a JSON form.
    pub fn encode(&self) -> Result<Vec<u8>, SwarmError> {
        serde_json::to_vec_pretty(self)
            .map_err(|error| SwarmError::EvidenceFile { reason: error.to_string() })
    }

    /// What it says.
    #[must_use]
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The digest that the slash in the ledger names.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Repeats the audit from this file alone. `backend` must be one for the model of the evidence.
    ///
    /// # Errors
    /// [`SwarmError`] when a part of the file is not what the accused committed to, or the replay fails.
    pub async fn recheck(&self, backend: &dyn ComputeBackend) -> Result<Ruling, SwarmError> {
        let part = |text: &str| {
            unhex(text)
                .ok_or_else(|| SwarmError::EvidenceFile { reason: "a part is not hexadecimal".to_owned() })
        };
        let exhibits = Exhibits {
            base: part(&self.base)?,
            shard: part(&self.shard)?,
            residual: part(&self.residual)?,
            update: part(&self.update)?,
        };
        Ok(recheck(backend, &self.evidence, &self.digest, &exhibits).await?)
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn unhex(text: &str) -> Option<Bytes> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).ok().map(Bytes::from)
}

//! What a process keeps: a data directory, and the key of its node.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use daa::crypto::{
    Argon2Params, CryptoSuite, KeyFile, KeyFileError, Passphrase, SignatureAlgorithm, SigningKey,
};
use daa::net::NodeIdentity;
use daa::store::data_dir::DataDir;
use daa::store::open::OpenError;

use crate::Failure;

/// Opens a data directory. One that is in use is asked for again for a while.
pub(crate) async fn open_data(path: &Path, patience: Duration) -> Result<DataDir, Failure> {
    let until = Instant::now() + patience;
    loop {
        match DataDir::open(path) {
            Err(OpenError::InUse { .. }) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            opened => return Ok(opened?),
        }
    }
}

/// The node whose key is in this file; a new one where there is none.
///
/// Nobody is there to ask for a passphrase when a process is started again by another one, so what protects the key is that
/// only its owner may read the file: `KeyFile` refuses one that others may.
pub(crate) fn identity(suite: &CryptoSuite, path: &Path) -> Result<NodeIdentity, Failure> {
    let nobody = Passphrase::new("");
    let key: SigningKey = match KeyFile::read(path) {
        Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let key = suite.generate_signing_key(SignatureAlgorithm::MlDsa65)?;
            KeyFile::lock(&key, &nobody, Argon2Params::weakest())?.write_new(path)?;
            key
        }
        file => file?.unlock(suite, &nobody)?,
    };
    Ok(NodeIdentity::new(std::sync::Arc::new(key))?)
}

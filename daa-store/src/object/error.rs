//! What an object store says, in our words.

use std::error::Error as StdError;
use std::io;

use daa_core::artifact::ArtifactError;
use object_store::Error;

/// An error that is none of those that a caller looks for.
pub(super) fn failed(error: Error) -> ArtifactError {
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            ArtifactError::Denied { source: error.into() }
        }
        error if is_full(&error) => ArtifactError::Full { source: error.into() },
        error => ArtifactError::unavailable(error),
    }
}

fn is_full(error: &Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// `None` where there is no such object.
pub(super) fn there<T>(found: Result<T, Error>) -> Result<Option<T>, ArtifactError> {
    match found {
        Err(Error::NotFound { .. }) => Ok(None),
        found => found.map(Some).map_err(failed),
    }
}

//! Rules that are replaced while they govern: by those of a file, and by those that another process installs.

mod file;
mod store;

use std::time::Duration;

use daa_core::clock::Clock;
use daa_core::digest::Digest;
use daa_core::event::DecodeError;
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::shutdown::Shutdown;
use futures_util::future::{Either, select};

pub use file::RulesFile;
pub use store::RulesFollower;

use crate::error::RulesetError;
use crate::event::{FORMAT, InstallError};

/// What a look at where rules come from has brought.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reload {
    /// Nothing new.
    Unchanged,
    /// Other rules govern from now on.
    Switched {
        /// The hash of those before.
        before: Digest,
        /// The hash of those that govern.
        now: Digest,
    },
    /// What is new is not accepted, and the rules before it keep governing.
    Refused(RefusedRuleset),
}

/// Why a new ruleset is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedRuleset {
    /// It is wrong.
    #[error("the new ruleset is not accepted")]
    Ruleset(#[from] RulesetError),
    /// It is right, and could not be put on record.
    #[error("the new ruleset was not recorded")]
    Install(#[from] InstallError),
    /// It was recorded by a newer version of this library, in a format that this one does not know.
    #[error("the new ruleset is written in format {format}, this version reads up to {FORMAT}")]
    TooNew {
        /// The format.
        format: u32,
    },
    /// Its source is not on record, or not all of it.
    #[error("the source of ruleset {digest} is not on record")]
    NoSource {
        /// Its hash.
        digest: Digest,
    },
    /// The source on record is that of another ruleset; or this version of the library takes it for another.
    #[error("the source on record is that of ruleset {found}, not of {digest}")]
    OtherSource {
        /// The hash that was recorded.
        digest: Digest,
        /// The hash of what was found.
        found: Digest,
    },
    /// An event does not decode.
    #[error("an event of the rules is damaged")]
    Damaged(#[from] DecodeError),
}

impl Reaction for RefusedRuleset {
    fn fault(&self) -> Fault {
        match self {
            Self::Ruleset(error) => error.fault(),
            Self::Install(error) => error.fault(),
            Self::TooNew { .. } | Self::NoSource { .. } | Self::OtherSource { .. } => Fault::Peer,
            Self::Damaged(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Ruleset(error) => error.retry(),
            Self::Install(error) => error.retry(),
            Self::TooNew { .. } | Self::NoSource { .. } | Self::OtherSource { .. } => Retry::Never,
            Self::Damaged(error) => error.retry(),
        }
    }
}

/// Waits for the next look; `false` when there is to be none.
pub(crate) async fn wait(clock: &dyn Clock, every: Duration, shutdown: &mut Shutdown) -> bool {
    let (requested, slept) = (std::pin::pin!(shutdown.requested()), clock.sleep(every));
    matches!(select(requested, slept).await, Either::Right(_))
}

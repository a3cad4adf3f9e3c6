//! What a member needs of the run that it takes part in, wherever the coordinator is.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use daa_compute::RunConfig;
use daa_compute::commitment::{Commitment, Round};
use daa_compute::evidence::Evidence;
use daa_compute::protocol::Finding;
use daa_core::action::Authorized;
use daa_core::artifact::Artifacts;
use daa_core::clock::Clock;
use daa_core::digest::Digest;
use daa_core::id::StreamId;
use tokio::sync::watch;

use super::coordinator::Coordinator;
use super::economics::Economics;
use super::error::SwarmError;
use super::view::RunView;

/// A member's access to a run: in this process to the [`Coordinator`] itself, and otherwise to one that is reached over a network.
///
/// # Contract
/// - What a member does to the run needs an [`Authorized`] action of its own: only its gate makes one.
/// - When such a call returns well, [`view`](Self::view) shows what it did.
/// - Every call may be repeated: what the run has taken before is refused as a duplicate, and changes nothing.
///
/// # Cancel safety
/// A dropped call has changed the run wholly or not at all.
#[async_trait]
pub trait RunAccess: Send + Sync + fmt::Debug {
    /// What everybody may know of the run, as far as it is known here.
    fn view(&self) -> Arc<RunView>;

    /// The view, and each change of it.
    fn watch(&self) -> watch::Receiver<Arc<RunView>>;

    /// What the members agree on.
    fn config(&self) -> &RunConfig;

    /// What the run costs and earns.
    fn economics(&self) -> &Economics;

    /// The stream that the run is written to, where the coordinator is.
    fn stream(&self) -> &StreamId;

    /// The time.
    fn clock(&self) -> &Arc<dyn Clock>;

    /// Where models, shards and updates are found, and where this member puts its own.
    fn artifacts(&self) -> &Arc<dyn Artifacts>;

    /// The view, with all that the run had taken when this was called.
    ///
    /// # Errors
    /// [`SwarmError`] when that cannot be found out.
    async fn latest(&self) -> Result<Arc<RunView>, SwarmError>;

    /// Why the run cannot be followed any more, as soon as that is so.
    ///
    /// # Cancel safety
    /// Safe.
    async fn failed(&self) -> Arc<SwarmError>;

    /// Joins with a shard, and locks the stake. The member takes part from the next round on.
    ///
    /// # Errors
    /// As [`Coordinator::join`].
    async fn join(&self, permit: &Authorized, shard: Digest) -> Result<(), SwarmError>;

    /// Commits to an update of the open round.
    ///
    /// # Errors
    /// As [`Coordinator::commit`].
    async fn commit(&self, permit: &Authorized, commitment: Commitment) -> Result<(), SwarmError>;

    /// Reveals a committed update.
    ///
    /// # Errors
    /// As [`Coordinator::reveal`].
    async fn reveal(&self, permit: &Authorized, round: Round, update: Digest) -> Result<(), SwarmError>;

    /// Reports an audit.
    ///
    /// # Errors
    /// As [`Coordinator::audited`].
    async fn audited(
        &self,
        permit: &Authorized,
        commitment: &Commitment,
        accusation: Option<Evidence>,
    ) -> Result<Finding, SwarmError>;

    /// Reports that a member did not hand over what only it has.
    ///
    /// # Errors
    /// As [`Coordinator::withheld`].
    async fn withheld(&self, permit: &Authorized, commitment: &Commitment) -> Result<(), SwarmError>;
}

#[async_trait]
impl RunAccess for Coordinator {
    fn view(&self) -> Arc<RunView> {
        Self::view(self)
    }

    fn watch(&self) -> watch::Receiver<Arc<RunView>> {
        Self::watch(self)
    }

    fn config(&self) -> &RunConfig {
        Self::config(self)
    }

    fn economics(&self) -> &Economics {
        Self::economics(self)
    }

    fn stream(&self) -> &StreamId {
        Self::stream(self)
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        Self::clock(self)
    }

    fn artifacts(&self) -> &Arc<dyn Artifacts> {
        Self::artifacts(self)
    }

    async fn latest(&self) -> Result<Arc<RunView>, SwarmError> {
        Ok(Self::view(self))
    }

    async fn failed(&self) -> Arc<SwarmError> {
        Self::failed(self).await
    }

    async fn join(&self, permit: &Authorized, shard: Digest) -> Result<(), SwarmError> {
        Self::join(self, permit, shard).await
    }

    async fn commit(&self, permit: &Authorized, commitment: Commitment) -> Result<(), SwarmError> {
        Self::commit(self, permit, commitment).await
    }

    async fn reveal(&self, permit: &Authorized, round: Round, update: Digest) -> Result<(), SwarmError> {
        Self::reveal(self, permit, round, update).await
    }

    async fn audited(
        &self,
        permit: &Authorized,
        commitment: &Commitment,
        accusation: Option<Evidence>,
    ) -> Result<Finding, SwarmError> {
        Self::audited(self, permit, commitment, accusation).await
    }

    async fn withheld(&self, permit: &Authorized, commitment: &Commitment) -> Result<(), SwarmError> {
        Self::withheld(self, permit, commitment).await
    }
}

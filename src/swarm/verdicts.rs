//! Audits: what counts of what auditors say.

use daa_compute::commitment::Commitment;
use daa_compute::evidence::{Evidence, Ruling, recheck};
use daa_compute::protocol::{Finding, Input, Refusal};
use daa_compute::replay::{Audit, Exhibits, ReplayError, audit};
use daa_core::action::Authorized;
use daa_core::fault::{Fault, Reaction};
use daa_core::id::AgentId;

use super::coordinator::Coordinator;
use super::error::SwarmError;

impl Coordinator {
    /// An audit is done. An accusation is rechecked before it counts: one that does not hold up, or that this
    /// machine cannot repeat bit for bit, convicts nobody.
    ///
    /// # Errors
    /// [`SwarmError::NotYours`] when the audit falls to somebody else; [`SwarmError::Refused`] when nobody asked for it.
    pub async fn audited(
        &self,
        permit: &Authorized,
        commitment: &Commitment,
        accusation: Option<Evidence>,
    ) -> Result<Finding, SwarmError> {
        self.take_verdict(permit.actor(), commitment, accusation).await
    }

    /// [`Self::audited`] of an agent that has proved who it is.
    pub(super) async fn take_verdict(
        &self,
        auditor: &AgentId,
        commitment: &Commitment,
        accusation: Option<Evidence>,
    ) -> Result<Finding, SwarmError> {
        self.check_auditor(auditor, commitment)?;
        if accusation.as_ref().is_some_and(|evidence| evidence.commitment != *commitment) {
            return Err(SwarmError::OtherEvidence { auditor: auditor.clone() });
        }
        let finding = match accusation {
            None => Finding::Honest,
            Some(evidence) => self.recheck(&evidence).await?,
        };
        let (agent, round) = (commitment.agent.clone(), commitment.round);
        self.take(Input::Audited { agent, round, finding }).await?;
        Ok(finding)
    }

    /// A member did not hand over what only it has, so its submission cannot be audited. It is ejected, not slashed: if that is so.
    /// Where all is here, the audit is made here instead.
    ///
    /// # Errors
    /// As [`Self::audited`].
    pub async fn withheld(&self, permit: &Authorized, commitment: &Commitment) -> Result<(), SwarmError> {
        self.take_absence(permit.actor(), commitment).await
    }

    /// [`Self::withheld`] of an agent that has proved who it is.
    pub(super) async fn take_absence(
        &self,
        auditor: &AgentId,
        commitment: &Commitment,
    ) -> Result<(), SwarmError> {
        self.check_auditor(auditor, commitment)?;
        let finding = self.look_for(commitment).await?;
        let (agent, round) = (commitment.agent.clone(), commitment.round);
        self.take(Input::Audited { agent, round, finding }).await
    }

    fn check_auditor(&self, auditor: &AgentId, commitment: &Commitment) -> Result<(), SwarmError> {
        let view = self.view();
        let (agent, round) = (commitment.agent.clone(), commitment.round);
        // Of that round and agent, and no other: who audits follows from all of it.
        if view.audits.get(&(round, agent.clone())) != Some(commitment) {
            return Err(Refusal::NoSuchAudit { agent, round }.into());
        }
        if view.auditor_of(commitment) == Some(auditor) {
            return Ok(());
        }
        Err(SwarmError::NotYours { agent: auditor.clone() })
    }

    /// Whether a submission can be audited; and if it can, what an audit finds.
    async fn look_for(&self, commitment: &Commitment) -> Result<Finding, SwarmError> {
        let parts = &self.inner().parts;
        let exhibits = match Exhibits::fetch(&*parts.artifacts, commitment).await {
            Ok(exhibits) => exhibits,
            Err(ReplayError::Missing { .. }) => return Ok(Finding::Withheld),
            Err(error) => return Err(error.into()),
        };
        let (backend, config, commitment) = (parts.backend.clone(), parts.config, commitment.clone());
        let accused = commitment.agent.clone();
        let runtime = tokio::runtime::Handle::current();
        let replay = tokio::task::spawn_blocking(move || {
            runtime.block_on(audit(&*backend, &config, &commitment, &exhibits))
        });
        let panicked = |error: tokio::task::JoinError| SwarmError::Panicked { message: error.to_string() };
        match replay.await.map_err(panicked)? {
            Ok(Audit::Forged(evidence)) => self.recheck(&evidence).await,
            Ok(_) => {
                tracing::warn!(%accused, "nothing is withheld");
                Ok(Finding::Honest)
            }
            // What was handed over is not what was committed to, or makes no sense.
            Err(error) if error.fault() == Fault::Peer => Ok(Finding::Withheld),
            Err(error) => Err(error.into()),
        }
    }

    async fn recheck(&self, evidence: &Evidence) -> Result<Finding, SwarmError> {
        let parts = &self.inner().parts;
        let digest = parts.artifacts.put(evidence.encode()?).await?;
        let exhibits = Exhibits::fetch(&*parts.artifacts, &evidence.commitment).await?;
        let (backend, accusation) = (parts.backend.clone(), evidence.clone());
        let runtime = tokio::runtime::Handle::current();
        let replay = tokio::task::spawn_blocking(move || {
            runtime.block_on(recheck(&*backend, &accusation, &digest, &exhibits))
        });
        let panicked = |error: tokio::task::JoinError| SwarmError::Panicked { message: error.to_string() };
        match replay.await.map_err(panicked)?? {
            Ruling::Confirmed => Ok(evidence.finding()?),
            ruling => {
                let accused = &evidence.commitment.agent;
                tracing::warn!(%accused, ?ruling, "an accusation that does not hold up");
                Ok(Finding::Honest)
            }
        }
    }
}

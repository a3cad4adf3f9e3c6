//! Audits find forgeries, spare the honest, and leave evidence that holds.

use std::sync::Arc;

use async_trait::async_trait;
use daa_compute::BurnBackend;
use daa_compute::backend::{ComputeBackend, ComputeError, ComputePath, Evaluation, Trained};
use daa_compute::codec::Residual;
use daa_compute::commitment::Round;
use daa_compute::config::RunConfig;
use daa_compute::dataset::Shard;
use daa_compute::evidence::{Evidence, EvidenceError, Ruling, recheck};
use daa_compute::inner::InnerConfig;
use daa_compute::parameters::{Layout, Parameters};
use daa_compute::replay::{Audit, Exhibits, ReplayError, audit};
use daa_compute::worker::{LocalWorker, Submission};
use daa_core::digest::Digest;
use daa_core::seed::Seed;
use futures_util::FutureExt;

use super::agent;
use super::datasets::digits;

struct Scene {
    config: RunConfig,
    backend: BurnBackend,
    worker: LocalWorker,
    base: Parameters,
    residual: Residual,
    shard: Shard,
}

fn scene() -> Scene {
    let mut config = RunConfig::digits(5);
    config.inner.steps = 4;
    let backend = BurnBackend::flex(config.model).unwrap();
    let shard = Shard::Digits(digits().shards(5, &Seed::from_u64(5)).remove(0));
    let digest = backend.load_shard_blocking(&shard).unwrap();
    let worker = LocalWorker::new(Arc::new(backend.clone()), config, agent(0), digest);
    let base = config.initial().unwrap();
    let residual = Residual::zero(base.layout().clone());
    Scene { config, backend, worker, base, residual, shard }
}

impl Scene {
    fn honest(&self, round: u32) -> Submission {
        self.worker.round(&self.base, &self.residual, Round(round)).now_or_never().unwrap().unwrap()
    }

    fn forged(&self) -> Submission {
        let difference = vec![0.01; self.base.values().len()];
        self.worker.submit(&self.base, &self.residual, Round(0), &difference, 0.0).unwrap()
    }

    fn exhibits(&self, submission: &Submission) -> Exhibits {
        Exhibits {
            base: self.base.encode().into(),
            shard: self.shard.encode(),
            residual: self.residual.encode().into(),
            update: submission.bytes.clone(),
        }
    }

    fn audit(&self, submission: &Submission) -> Result<Audit, ReplayError> {
        let exhibits = self.exhibits(submission);
        audit(&self.backend, &self.config, &submission.commitment, &exhibits).now_or_never().unwrap()
    }

    fn evidence(&self, submission: &Submission) -> Evidence {
        match self.audit(submission).unwrap() {
            Audit::Forged(evidence) => *evidence,
            other => panic!("expected a forgery, found {other:?}"),
        }
    }
}

#[test]
fn an_honest_round_is_recomputed_bit_for_bit() {
    let mut scene = scene();
    let first = scene.honest(0);
    assert_eq!(scene.audit(&first).unwrap(), Audit::Honest);
    scene.residual = first.residual;
    let second = scene.honest(1);
    assert_eq!(second.commitment.residual_before, first.commitment.residual_after);
    assert_eq!(scene.audit(&second).unwrap(), Audit::Honest);
}

#[test]
fn a_forged_update_is_confirmed_by_a_third_party() {
    let scene = scene();
    let forged = scene.forged();
    let evidence = scene.evidence(&forged);
    let named = evidence.digest().unwrap();
    let read = Evidence::decode(&evidence.encode().unwrap()).unwrap();
    assert_eq!(read, evidence);
    let other = BurnBackend::flex(scene.config.model).unwrap();
    let ruling = recheck(&other, &read, &named, &scene.exhibits(&forged)).now_or_never().unwrap().unwrap();
    assert_eq!(ruling, Ruling::Confirmed);
}

#[test]
fn a_lie_in_the_residual_alone_is_found() {
    let scene = scene();
    let mut submission = scene.honest(0);
    submission.commitment.residual_after = Digest::of(b"richer");
    assert!(matches!(scene.audit(&submission).unwrap(), Audit::Forged(_)));
}

#[test]
fn a_false_accusation_is_refuted() {
    let scene = scene();
    let honest = scene.honest(0);
    let mut evidence = scene.evidence(&scene.forged());
    evidence.commitment = honest.commitment.clone();
    evidence.replayed.update = Digest::of(b"slander");
    let named = evidence.digest().unwrap();
    let ruling = recheck(&scene.backend, &evidence, &named, &scene.exhibits(&honest)).now_or_never().unwrap();
    assert_eq!(ruling.unwrap(), Ruling::Refuted);
}

/// Computes the same, and says that it does so elsewhere.
#[derive(Debug)]
struct Elsewhere(BurnBackend);

#[async_trait]
impl ComputeBackend for Elsewhere {
    fn layout(&self) -> &Layout {
        self.0.layout()
    }

    fn path(&self) -> ComputePath {
        ComputePath::new("elsewhere")
    }

    async fn load_shard(&self, shard: &Shard) -> Result<Digest, ComputeError> {
        self.0.load_shard(shard).await
    }

    async fn unload_shard(&self, shard: &Digest) -> bool {
        self.0.unload_shard(shard).await
    }

    async fn train(
        &self,
        base: &Parameters,
        shard: &Digest,
        inner: &InnerConfig,
        seed: &Seed,
    ) -> Result<Trained, ComputeError> {
        self.0.train(base, shard, inner, seed).await
    }

    async fn evaluate(&self, parameters: &Parameters, shard: &Digest) -> Result<Evaluation, ComputeError> {
        self.0.evaluate(parameters, shard).await
    }

    async fn generate(
        &self,
        parameters: &Parameters,
        prompt: &[u8],
        count: usize,
        seed: &Seed,
    ) -> Result<Vec<u8>, ComputeError> {
        self.0.generate(parameters, prompt, count, seed).await
    }
}

#[test]
fn a_worker_commits_to_the_path_of_its_backend() {
    let scene = scene();
    assert_eq!(scene.honest(0).commitment.path, scene.backend.path());
}

#[test]
fn an_audit_on_another_path_accuses_nobody() {
    let scene = scene();
    let elsewhere = Elsewhere(scene.backend.clone());
    let audit = |submission: &Submission| {
        let exhibits = scene.exhibits(submission);
        audit(&elsewhere, &scene.config, &submission.commitment, &exhibits).now_or_never().unwrap().unwrap()
    };
    let forged = scene.forged();
    let committed = forged.commitment.path.clone();
    assert_eq!(audit(&forged), Audit::OtherPath { ours: elsewhere.path(), committed });
    assert_eq!(audit(&scene.honest(0)), Audit::Honest, "the same bits need no further proof");
}

#[test]
fn a_recheck_on_another_path_convicts_nobody() {
    let scene = scene();
    let elsewhere = Elsewhere(scene.backend.clone());
    let forged = scene.forged();
    let mut evidence = scene.evidence(&forged);
    let rule = |backend: &dyn ComputeBackend, evidence: &Evidence| {
        let named = evidence.digest().unwrap();
        recheck(backend, evidence, &named, &scene.exhibits(&forged)).now_or_never().unwrap().unwrap()
    };
    let ours = evidence.replayed;
    assert_eq!(rule(&elsewhere, &evidence), Ruling::Inconclusive { ours, same_path: false });
    // Nor when the accuser computed there as well.
    evidence.path = elsewhere.path();
    assert_eq!(rule(&elsewhere, &evidence), Ruling::Inconclusive { ours, same_path: false });
    // On the committed path it is the bits that count, wherever the accuser was.
    assert_eq!(rule(&scene.backend, &evidence), Ruling::Confirmed);
}

#[test]
fn a_false_accusation_is_refuted_on_any_path() {
    let scene = scene();
    let honest = scene.honest(0);
    let mut evidence = scene.evidence(&scene.forged());
    evidence.commitment = honest.commitment.clone();
    evidence.replayed.update = Digest::of(b"slander");
    let named = evidence.digest().unwrap();
    let elsewhere = Elsewhere(scene.backend.clone());
    let ruling = recheck(&elsewhere, &evidence, &named, &scene.exhibits(&honest)).now_or_never().unwrap();
    assert_eq!(ruling.unwrap(), Ruling::Refuted);
}

#[test]
fn an_accusation_with_wrong_figures_is_inconclusive() {
    let scene = scene();
    let forged = scene.forged();
    let mut evidence = scene.evidence(&forged);
    let ours = evidence.replayed;
    evidence.replayed.update = Digest::of(b"invented");
    let named = evidence.digest().unwrap();
    let ruling = recheck(&scene.backend, &evidence, &named, &scene.exhibits(&forged)).now_or_never().unwrap();
    assert_eq!(ruling.unwrap(), Ruling::Inconclusive { ours, same_path: true });
}

#[test]
fn evidence_with_any_field_changed_is_not_the_named_one() {
    let scene = scene();
    let forged = scene.forged();
    let evidence = scene.evidence(&forged);
    let named = evidence.digest().unwrap();
    let whole = serde_json::to_value(&evidence).unwrap();
    let mut leaves = Vec::new();
    walk(&whole, &mut String::new(), &mut leaves);
    assert!(leaves.len() > 30, "{leaves:?}");
    for path in leaves {
        let mut changed = whole.clone();
        let slot = changed.pointer_mut(&path).unwrap();
        *slot = match &*slot {
            serde_json::Value::Number(n) if n.is_u64() => (n.as_u64().unwrap() ^ 1).into(),
            serde_json::Value::Number(n) => (n.as_f64().unwrap() * 0.5).into(),
            serde_json::Value::String(text) if text.len() == 64 => Digest::of(b"changed").to_string().into(),
            other => format!("{}x", other.as_str().unwrap()).into(),
        };
        let Ok(changed) = serde_json::from_value::<Evidence>(changed) else { continue };
        let result =
            recheck(&scene.backend, &changed, &named, &scene.exhibits(&forged)).now_or_never().unwrap();
        assert!(matches!(result, Err(EvidenceError::Unnamed { .. })), "{path} can be changed");
    }
}

fn walk(value: &serde_json::Value, path: &mut String, leaves: &mut Vec<String>) {
    let Some(object) = value.as_object() else {
        leaves.push(path.clone());
        return;
    };
    for (key, value) in object {
        let len = path.len();
        path.push('/');
        path.push_str(key);
        walk(value, path, leaves);
        path.truncate(len);
    }
}

#[test]
fn an_exhibit_other_than_the_committed_one_is_refused() {
    let scene = scene();
    let forged = scene.forged();
    let mut exhibits = scene.exhibits(&forged);
    exhibits.residual = exhibits.base.clone();
    let result = audit(&scene.backend, &scene.config, &forged.commitment, &exhibits).now_or_never().unwrap();
    assert!(matches!(result, Err(ReplayError::Exhibit { what: "residual", .. })));
}

#[test]
fn an_audit_leaves_the_members_own_shard_loaded() {
    let scene = scene();
    let first = scene.honest(0);
    scene.audit(&first).unwrap();
    assert_eq!(scene.honest(0).commitment, first.commitment);
    assert!(scene.backend.path().as_str().contains("flex"));
}

//! What is played: who is where, what is done, and what has to come of it.

mod autonat;
mod cast;
mod lan;
mod pair;
mod swarm;

use super::failure::Failure;
use super::plan::{Plan, Uplink};
use super::report::Report;
use crate::args::{Args, Scene};

/// Who is where in a scene.
pub(crate) fn plan(scene: Scene) -> Plan {
    match scene {
        Scene::Swarm => swarm::plan(),
        Scene::Punch => pair::plan(Uplink::Cone),
        Scene::Symmetric => pair::plan(Uplink::Symmetric),
        Scene::Autonat => autonat::plan(),
        Scene::Lan => lan::plan(),
    }
}

/// Plays a scene to its end.
pub(crate) async fn play(args: &Args, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    let logs = args.logs.as_deref();
    match args.scene {
        Scene::Swarm => swarm::play(plan, logs, report).await,
        Scene::Punch => pair::play(plan, logs, report, Uplink::Cone).await,
        Scene::Symmetric => pair::play(plan, logs, report, Uplink::Symmetric).await,
        Scene::Autonat => autonat::play(plan, logs, report).await,
        Scene::Lan => lan::play(plan, logs, report).await,
    }
}

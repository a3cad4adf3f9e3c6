//! The plan of a run, found in the journal of its agent by those who are not the agent.

use super::act::{action_plan, run_id};
use super::journal::{PAGE, PlannedCycle, cycle_of, length, page, planned_in};
use crate::event::{EventStore, ReadError, RecordedEvent, Version};
use crate::id::{AgentId, RunId, StreamId};
use crate::workflow::ActionPlan;

/// The plan that an agent performs as this run; `None` where its journal does not have it, or not any more.
///
/// The cycles of a journal are in order: it takes time in proportion to the logarithm of its length.
pub(crate) async fn plan_of(store: &dyn EventStore, run: &RunId) -> Result<Option<ActionPlan>, ReadError> {
    let Some((agent, cycle)) = names(run) else { return Ok(None) };
    let Ok(stream) = StreamId::new(format!("agent/{agent}")) else { return Ok(None) };
    let planned = find(store, &stream, cycle).await?;
    Ok(planned.and_then(|planned| action_plan(&agent, &planned, None).ok()))
}

/// The agent and the cycle that a run is named after.
fn names(run: &RunId) -> Option<(AgentId, u64)> {
    let (agent, cycle) = run.as_str().strip_prefix("agent/")?.rsplit_once('/')?;
    let (agent, cycle) = (AgentId::new(agent).ok()?, cycle.parse().ok()?);
    (run_id(&agent, cycle).ok()? == *run).then_some((agent, cycle))
}

async fn find(
    store: &dyn EventStore,
    stream: &StreamId,
    cycle: u64,
) -> Result<Option<PlannedCycle>, ReadError> {
    // What is looked for stands between the two.
    let (mut after, mut before) = (0, length(store, stream).await?.saturating_add(1));
    while before - after > PAGE {
        let middle = after + (before - after) / 2;
        match told(store, stream, middle, before).await? {
            Some((event, other)) if other < cycle => after = event.version.get(),
            Some((event, _)) => {
                if let Some(planned) = planned_in(&event, cycle) {
                    return Ok(Some(planned));
                }
                before = event.version.get();
            }
            None => before = middle + 1,
        }
    }
    Ok(read(store, stream, after).await?.iter().find_map(|event| planned_in(event, cycle)))
}

/// The first event between two versions that tells its cycle, and which.
async fn told(
    store: &dyn EventStore,
    stream: &StreamId,
    mut after: u64,
    before: u64,
) -> Result<Option<(RecordedEvent, u64)>, ReadError> {
    while after + 1 < before {
        let page = read(store, stream, after).await?;
        let Some(last) = page.last() else { break };
        after = last.version.get();
        let mut between = page.into_iter().take_while(|event| event.version.get() < before);
        let told = between.find_map(|event| cycle_of(&event).map(|cycle| (event, cycle)));
        if told.is_some() {
            return Ok(told);
        }
    }
    Ok(None)
}

async fn read(
    store: &dyn EventStore,
    stream: &StreamId,
    after: u64,
) -> Result<Vec<RecordedEvent>, ReadError> {
    store.read_stream(stream, Version::new(after), page()).await
}

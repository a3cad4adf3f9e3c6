//! Two nodes behind NATs, and a public one that relays.

use std::path::Path;
use std::time::Duration;

use super::cast::{Cast, join};
use crate::linux::failure::Failure;
use crate::linux::message::{Kind, Status, Way};
use crate::linux::plan::{Plan, Uplink};
use crate::linux::report::{How, Pair, Report, seconds};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How long nothing may change where nothing is to change.
const QUIET: Duration = Duration::from_secs(20);

pub(crate) fn plan(uplink: Uplink) -> Plan {
    Plan::default().public("hub").site(uplink, vec!["anna".to_owned()]).site(uplink, vec!["ben".to_owned()])
}

pub(crate) async fn play(
    plan: &Plan,
    logs: Option<&Path>,
    report: &mut Report,
    uplink: Uplink,
) -> Result<(), Failure> {
    let kind = |name: &str| if name == "hub" { Kind::Hub } else { Kind::Leaf };
    let cast = Cast::start(plan, logs, |place| kind(&place.name)).await?;
    let (hub, anna, ben) = (cast.named("hub")?, cast.named("anna")?, cast.named("ben")?);
    join(anna, hub).await?;
    join(ben, hub).await?;
    let hidden = |statuses: &[Status]| statuses.iter().skip(1).all(Status::has_relay);
    let took = cast.until(LIMIT, hidden).await?;
    report.check("a relay listens for each of them", took.is_some(), seconds(took));
    let known = cast.until(LIMIT, |all| all.iter().all(|one| one.alive.len() == 2)).await?;
    report.check("they know each other", known.is_some(), seconds(known));
    let reached = anna.reach(ben).await;
    let shown = reached.as_ref().map_or_else(ToString::to_string, |got| format!("{:.0} ms", got.first));
    report.check("anna reaches ben", reached.is_ok(), shown);
    let way = |statuses: &[Status], of: usize, to: &str| {
        statuses.get(of).and_then(|status| status.ways.get(to).copied())
    };
    let are = |statuses: &[Status], expected| {
        way(statuses, 1, &ben.id) == Some(expected) && way(statuses, 2, &anna.id) == Some(expected)
    };
    let how = if uplink == Uplink::Cone {
        let punched = cast.until(LIMIT, |all| are(all, Way::Direct)).await?;
        report.check("their connection has become a direct one", punched.is_some(), seconds(punched));
        if punched.is_some() { How::Punched } else { How::Relayed }
    } else {
        let changed = cast.until(QUIET, |all| !are(all, Way::Relayed)).await?;
        let said = if changed.is_none() { "relayed, on both sides" } else { "it is not relayed any more" };
        report.check("their connection stays with the relay", changed.is_none(), said.to_owned());
        if changed.is_none() { How::Relayed } else { How::Punched }
    };
    let again = anna.reach(ben).await;
    let shown = again.as_ref().map_or_else(ToString::to_string, |got| format!("{:.0} ms", got.again));
    report.check("anna reaches ben as before", again.is_ok(), shown);
    report.pair(Pair::new(1, 2, how, again.ok()));
    let statuses = cast.statuses().await?;
    let known = [1, 2].map(|at| statuses.get(at).and_then(|status| status.is_public));
    report.check(
        "none of them believes that others can call it",
        !known.contains(&Some(true)),
        String::new(),
    );
    Ok(())
}

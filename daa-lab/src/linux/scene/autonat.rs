//! Who can be called, and who learns that it cannot.

use std::path::Path;
use std::time::Duration;

use super::cast::{Cast, join};
use crate::linux::failure::Failure;
use crate::linux::message::Kind;
use crate::linux::plan::{Plan, Uplink};
use crate::linux::report::{Report, seconds};

/// Somebody tries each 5 s.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn plan() -> Plan {
    let plan = Plan::default().public("hub").public("open");
    plan.site(Uplink::Cone, vec!["home".to_owned()]).site(Uplink::Symmetric, vec!["work".to_owned()])
}

pub(crate) async fn play(plan: &Plan, logs: Option<&Path>, report: &mut Report) -> Result<(), Failure> {
    let kind = |name: &str| if name == "hub" { Kind::Hub } else { Kind::Leaf };
    let cast = Cast::start(plan, logs, |place| kind(&place.name)).await?;
    let hub = cast.named("hub")?;
    for name in ["open", "home", "work"] {
        join(cast.named(name)?, hub).await?;
    }
    let is = |at: usize, public: bool| {
        let cast = &cast;
        async move { cast.until(LIMIT, |all| all.get(at).is_some_and(|one| one.is_public == Some(public))).await }
    };
    let open = is(1, true).await?;
    report.check("the public node learns that others can call it", open.is_some(), seconds(open));
    let home = is(2, false).await?;
    report.check(
        "the node behind a NAT that keeps ports learns that they cannot",
        home.is_some(),
        seconds(home),
    );
    let work = is(3, false).await?;
    report.check("so does the one behind a NAT that changes them", work.is_some(), seconds(work));
    let free = cast.until(LIMIT, |all| all.get(1).is_some_and(|one| !one.has_relay())).await?;
    report.check("who can be called has no relay", free.is_some(), seconds(free));
    let held = cast.until(LIMIT, |all| all.iter().skip(2).all(|one| one.has_relay())).await?;
    report.check("who cannot has one", held.is_some(), seconds(held));
    let found = cast.named("work")?.find().await?;
    let all = cast.nodes.iter().filter(|node| node.place.name != "work");
    let are_found = all.clone().filter(|node| found.contains(&node.id)).count();
    report.check("all others are found by what they offer", are_found == 3, format!("{are_found} of 3"));
    Ok(())
}

//! A local network without the internet: nobody is told of anybody.

use std::path::Path;
use std::time::Duration;

use super::cast::Cast;
use crate::linux::failure::Failure;
use crate::linux::message::{Kind, Way};
use crate::linux::plan::{Plan, Uplink};
use crate::linux::report::{How, Pair, Report, seconds};

const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn plan() -> Plan {
    Plan::default().site(Uplink::None, ["kitchen", "study", "attic"].map(str::to_owned).to_vec())
}

pub(crate) async fn play(plan: &Plan, logs: Option<&Path>, report: &mut Report) -> Result<(), Failure> {
    let cast = Cast::start(plan, logs, |_| Kind::Local).await?;
    let known = cast.until(LIMIT, |all| all.iter().all(|one| one.alive.len() == 2)).await?;
    report.check("all have found all, by multicast", known.is_some(), seconds(known));
    for (from, node) in cast.nodes.iter().enumerate() {
        for (to, other) in cast.nodes.iter().enumerate().skip(from + 1) {
            let reached = node.reach(other).await;
            let is_direct = reached.as_ref().is_ok_and(|got| got.after == Some(Way::Direct));
            let what = format!("{} reaches {}", node.place.name, other.place.name);
            let seen =
                reached.as_ref().map_or_else(ToString::to_string, |got| format!("{:.0} ms", got.again));
            report.check(&what, is_direct, seen);
            let how = if is_direct { How::Local } else { How::Unreached };
            report.pair(Pair::new(from, to, how, reached.ok()));
        }
    }
    Ok(())
}

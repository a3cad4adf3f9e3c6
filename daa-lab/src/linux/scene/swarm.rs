//! Twenty nodes: four hubs, six that can be called, ten behind NATs.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::cast::{Cast, join};
use crate::linux::failure::Failure;
use crate::linux::message::{Kind, Status, Way};
use crate::linux::plan::{Plan, Uplink};
use crate::linux::remote::Remote;
use crate::linux::report::{How, Pair, Rehomed, Report, seconds};

const HUBS: usize = 4;
/// At how many hubs a leaf is at home.
const HOMES: usize = 2;
/// How long it may take until all is in its place.
const LIMIT: Duration = Duration::from_secs(300);
/// How long relayed connections may take to become direct ones, as far as they do.
const SETTLING: Duration = Duration::from_secs(30);

pub(crate) fn plan() -> Plan {
    let mut plan = Plan::default();
    for number in 1..=HUBS {
        plan = plan.public(format!("hub-{number}"));
    }
    for number in 1..=6 {
        plan = plan.public(format!("open-{number}"));
    }
    plan = plan.site(Uplink::Cone, ["flat-1", "flat-2"].map(str::to_owned).to_vec());
    for number in 1..=5 {
        plan = plan.site(Uplink::Cone, vec![format!("home-{number}")]);
    }
    for number in 1..=3 {
        plan = plan.site(Uplink::Symmetric, vec![format!("work-{number}")]);
    }
    plan
}

fn kind(name: &str) -> Kind {
    if name.starts_with("hub") { Kind::Hub } else { Kind::Leaf }
}

pub(crate) async fn play(plan: &Plan, logs: Option<&Path>, report: &mut Report) -> Result<(), Failure> {
    let began = Instant::now();
    let mut cast = Cast::start(plan, logs, |place| kind(&place.name)).await?;
    report.note(format!("{} nodes run after {:.1} s", cast.nodes.len(), began.elapsed().as_secs_f64()));
    gather(&cast, plan, report).await?;
    reach(&cast, plan, report, "").await?;
    lose_a_hub(&mut cast, report).await?;
    reach(&cast, plan, report, ", without that hub").await
}

/// All join by a hub, and find their places.
async fn gather(cast: &Cast, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    let joins = cast.nodes.iter().enumerate().skip(1).map(async |(at, node)| {
        let hub = if at < HUBS { 0 } else { at % HUBS };
        match cast.nodes.get(hub) {
            Some(hub) => join(node, hub).await,
            None => Ok(()),
        }
    });
    for joined in join_all(joins).await {
        joined?;
    }
    let others = cast.nodes.len() - 1;
    let known = cast.until(LIMIT, |all| all.iter().all(|one| one.alive.len() == others)).await?;
    report.check("all know all others", known.is_some(), seconds(known));
    let is_hidden = |at: usize| plan.places.get(at).is_some_and(|place| plan.uplink(place).is_nat());
    let relayed = |all: &[Status]| all.iter().enumerate().all(|(at, one)| !is_hidden(at) || one.has_relay());
    let relayed = cast.until(LIMIT, relayed).await?;
    report.check("a relay listens for each node behind a NAT", relayed.is_some(), seconds(relayed));
    let hubs = hubs(cast);
    let is_home = |one: &Status| one.neighbours.iter().filter(|node| hubs.contains(node)).count() >= HOMES;
    let homed = cast.until(LIMIT, |all| all.iter().skip(HUBS).all(is_home)).await?;
    report.check("each leaf is at home at two hubs", homed.is_some(), seconds(homed));
    for (node, status) in cast.nodes.iter().zip(&cast.statuses().await?).skip(HUBS) {
        if !is_home(status) {
            report.note(homeless(cast, node, status));
        }
    }
    Ok(())
}

/// What a leaf that is not at home sees.
fn homeless(cast: &Cast, leaf: &Remote, status: &Status) -> String {
    let names = |is: &dyn Fn(&Remote) -> bool| {
        let names = cast.nodes.iter().filter(|node| is(node)).map(|node| node.place.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let is_hub = |node: &Remote| kind(&node.place.name) == Kind::Hub;
    format!(
        "{} keeps to [{}]; of the hubs it knows [{}], and is connected to [{}]",
        leaf.place.name,
        names(&|node| status.neighbours.contains(&node.id)),
        names(&|node| is_hub(node) && status.alive.contains(&node.id)),
        names(&|node| is_hub(node) && status.ways.contains_key(&node.id)),
    )
}

fn hubs(cast: &Cast) -> Vec<String> {
    let hubs = cast.nodes.iter().filter(|node| kind(&node.place.name) == Kind::Hub);
    hubs.map(|node| node.id.clone()).collect()
}

/// Each pair: the first calls the second.
async fn reach(cast: &Cast, plan: &Plan, report: &mut Report, when: &str) -> Result<(), Failure> {
    let calls = cast.nodes.iter().enumerate().map(async |(at, node)| {
        let mut reached = Vec::new();
        for other in cast.nodes.iter().skip(at + 1) {
            reached.push((other, node.reach(other).await));
        }
        (node, reached)
    });
    let calls = join_all(calls).await;
    // What can become direct does so by and by.
    let is_settled = |all: &[Status]| {
        let is_done = |(at, node): (usize, &Remote)| {
            cast.nodes.iter().skip(at + 1).all(|other| {
                let way = all.get(at).and_then(|status| status.ways.get(&other.id));
                way == Some(&Way::Direct) || !can_be_direct(plan, node, other)
            })
        };
        cast.nodes.iter().enumerate().all(is_done)
    };
    let settled = cast.until(SETTLING, is_settled).await?;
    let statuses = cast.statuses().await?;
    report.begin_pairs(when);
    for ((node, reached), status) in calls.into_iter().zip(&statuses) {
        for (other, reached) in reached {
            let way = status.ways.get(&other.id).copied();
            let how = how(plan, node, other, reached.is_ok().then_some(way).flatten());
            let (from, to) = (index(plan, node), index(plan, other));
            if let Err(error) = &reached {
                report.note(format!("{} does not reach {}: {error}", node.place.name, other.place.name));
            }
            report.pair(Pair::new(from, to, how, reached.ok()));
        }
    }
    let (reached, all) = report.reached();
    report.check(&format!("all pairs reach each other{when}"), reached == all, format!("{reached} of {all}"));
    report.matrix(plan);
    if settled.is_none() {
        report.note("some connections are still relayed that might be direct".to_owned());
    }
    Ok(())
}

fn index(plan: &Plan, node: &Remote) -> usize {
    plan.places.iter().position(|place| place.name == node.place.name).unwrap_or_default()
}

/// Whether some way without a relay leads from one to the other.
fn can_be_direct(plan: &Plan, one: &Remote, other: &Remote) -> bool {
    let uplinks = [plan.uplink(&one.place), plan.uplink(&other.place)];
    let is_local = one.place.site == other.place.site;
    is_local || uplinks.contains(&Uplink::Public) || uplinks == [Uplink::Cone, Uplink::Cone]
}

fn how(plan: &Plan, one: &Remote, other: &Remote, way: Option<Way>) -> How {
    let are_hidden = plan.uplink(&one.place).is_nat() && plan.uplink(&other.place).is_nat();
    match way {
        None => How::Unreached,
        Some(Way::Relayed) => How::Relayed,
        Some(Way::Direct) if one.place.site == other.place.site => How::Local,
        Some(Way::Direct) if are_hidden => How::Punched,
        Some(Way::Direct) => How::Direct,
    }
}

/// The hub with most leaves is killed.
async fn lose_a_hub(cast: &mut Cast, report: &mut Report) -> Result<(), Failure> {
    let statuses = cast.statuses().await?;
    let leaves_of = |hub: &Remote| {
        let leaves = cast.nodes.iter().zip(&statuses).skip(HUBS);
        let at_home = leaves.filter(|(_, status)| status.neighbours.contains(&hub.id));
        at_home.map(|(node, _)| node.place.name.clone()).collect::<Vec<String>>()
    };
    let all = cast.nodes.iter().take(HUBS).map(leaves_of).enumerate();
    let Some((at, leaves)) = all.max_by_key(|(_, leaves)| leaves.len()) else { return Ok(()) };
    let lost = cast.nodes.remove(at);
    let killed = Instant::now();
    lost.kill()?;
    report.note(format!("killed {}, the home of {} leaves", lost.place.name, leaves.len()));
    let hubs = hubs(cast);
    let mut moved = Vec::new();
    while moved.len() < leaves.len() && killed.elapsed() < LIMIT {
        for name in &leaves {
            if moved.iter().any(|rehomed: &Rehomed| rehomed.leaf == *name) {
                continue;
            }
            let homes = cast.named(name)?.status().await?.neighbours;
            let is_new = homes.iter().filter(|home| hubs.contains(home)).count() >= HOMES;
            if is_new && !homes.contains(&lost.id) {
                moved.push(Rehomed { leaf: name.clone(), seconds: killed.elapsed().as_secs_f64() });
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for name in leaves.iter().filter(|name| moved.iter().all(|rehomed| rehomed.leaf != **name)) {
        let leaf = cast.named(name)?;
        report.note(homeless(cast, leaf, &leaf.status().await?));
    }
    let seen = format!("{} of {}", moved.len(), leaves.len());
    let slowest = moved.iter().map(|rehomed| rehomed.seconds).fold(0.0, f64::max);
    let seen = format!("{seen}, the last one after {slowest:.1} s");
    report.check("its leaves are at home elsewhere", !leaves.is_empty() && moved.len() == leaves.len(), seen);
    report.rehomed = moved;
    Ok(())
}

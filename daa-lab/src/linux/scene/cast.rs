//! The nodes of a scene.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::linux::failure::Failure;
use crate::linux::message::{Kind, Status};
use crate::linux::plan::{Place, Plan};
use crate::linux::remote::Remote;

/// How often nodes are looked at while something is waited for.
const LOOK: Duration = Duration::from_millis(250);
/// How long a node tries to join.
const JOINING: Duration = Duration::from_secs(120);

/// All nodes of a scene, in the order of the plan.
#[derive(Debug)]
pub(crate) struct Cast {
    pub(crate) nodes: Vec<Remote>,
}

impl Cast {
    /// Starts a node in each place.
    pub(crate) async fn start(
        plan: &Plan,
        logs: Option<&Path>,
        kind: impl Fn(&Place) -> Kind,
    ) -> Result<Self, Failure> {
        let mut nodes = Vec::new();
        for place in &plan.places {
            nodes.push(Remote::start(place, kind(place), logs).await?);
        }
        Ok(Self { nodes })
    }

    /// The node of this name.
    pub(crate) fn named(&self, name: &str) -> Result<&Remote, Failure> {
        let found = self.nodes.iter().find(|node| node.place.name == name);
        found.ok_or_else(|| Failure::node(name, "it does not play"))
    }

    /// How all of them are.
    pub(crate) async fn statuses(&self) -> Result<Vec<Status>, Failure> {
        let mut all = Vec::new();
        for node in &self.nodes {
            all.push(node.status().await?);
        }
        Ok(all)
    }

    /// Looks at all nodes until they are as they should be: then how long that took, else nothing.
    pub(crate) async fn until(
        &self,
        limit: Duration,
        is_so: impl Fn(&[Status]) -> bool,
    ) -> Result<Option<Duration>, Failure> {
        let began = Instant::now();
        loop {
            if is_so(&self.statuses().await?) {
                return Ok(Some(began.elapsed()));
            }
            if began.elapsed() > limit {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A node joins by another one. The line loses packets, and machines are busy: it tries until it is there.
pub(crate) async fn join(node: &Remote, by: &Remote) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        match node.join(by.addresses.clone()).await {
            Err(_) if began.elapsed() < JOINING => tokio::time::sleep(LOOK).await,
            joined => return joined,
        }
    }
}

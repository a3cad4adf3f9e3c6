//! How nodes find each other: Kademlia over node ids, as a machine without input and output.
//!
//! The place of a node is its id, which is the hash of its key; the contacts are signed records. A lookup goes along several
//! paths that share no node (S/Kademlia); buckets, lookups and stores hold only so many of one subnet. What is kept for
//! others is verified before, bounded, and expires.

mod bootstrap;
mod candidate;
mod key;
mod lookup;
mod machine;
mod pace;
mod provider;
mod rtt;
#[cfg(test)]
mod simulated;
mod subnet;
mod table;
#[cfg(test)]
pub(crate) mod testing;
mod wire;

use std::time::Duration;

use crate::names::{Name, Resolution};
use crate::record::{Conflict, SignedRecord};

pub use bootstrap::{BootstrapError, BootstrapList, BootstrapPeer};
pub use candidate::{Candidate, Discovered, RankOptions, Sighting, Standing};
pub use provider::{NotOffered, ProviderRecord};
pub use subnet::SubnetLimits;

pub(crate) use candidate::rank;
pub(crate) use key::Key;
pub(crate) use machine::Discovery;
#[cfg(test)]
use table::K;

/// What can be chosen about discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiscoveryOptions {
    subnets: SubnetLimits,
    paths: usize,
    parallel: usize,
    lookups: usize,
}

impl Default for DiscoveryOptions {
    /// The subnet limits of the internet; lookups on 3 paths that ask 3 at a time; 32 lookups at a time.
    fn default() -> Self {
        Self { subnets: SubnetLimits::default(), paths: 3, parallel: 3, lookups: 32 }
    }
}

impl DiscoveryOptions {
    /// How many of one subnet there may be.
    #[must_use]
    pub const fn with_subnets(mut self, subnets: SubnetLimits) -> Self {
        self.subnets = subnets;
        self
    }

    /// On how many disjoint paths a lookup goes, 1 to 8. Each costs messages; one is for networks in which all trust each other.
    #[must_use]
    pub fn with_paths(mut self, paths: usize) -> Self {
        self.paths = paths.clamp(1, lookup::MAX_PATHS);
        self
    }

    /// How many lookups go on at a time, at least one; as many again eight times wait.
    #[must_use]
    pub fn with_lookups(mut self, lookups: usize) -> Self {
        self.lookups = lookups.max(1);
        self
    }
}

/// The number of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LookupId(u64);

/// What discovery tells the rest of its node.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A lookup has ended.
    Found { lookup: LookupId, found: Found },
    /// A lookup was to store something, and so many nodes keep it.
    Stored { lookup: LookupId, by: usize },
    /// The node's own record is in the last third of its life: a newer one is to be signed.
    Renew,
    /// A name that this node has others keep is in the last third of its registration: its owner is to renew it.
    RenewName(Name),
    /// A node has signed two records of one version.
    Conflict(Box<Conflict>),
}

/// What a lookup has found.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// The nodes nearest to a place, nearest first.
    Nodes(Vec<SignedRecord>),
    /// Those who offer a service, in no order.
    Providers(Vec<ProviderRecord>),
    /// What a name leads to.
    Name(Resolution),
}

/// There are as many lookups as may be, under way and waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are as many lookups as may be")]
pub(crate) struct Busy;

/// How often what has been found is looked at again.
const UPKEEP: Duration = Duration::from_secs(60);
/// Who was not heard of for so long is asked whether it is there.
const QUIET: Duration = Duration::from_secs(15 * 60);
/// How often all buckets are filled up.
const REFRESH: Duration = Duration::from_secs(3_600);

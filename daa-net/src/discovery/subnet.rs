//! How many contacts there may be of one subnet.

use std::collections::{BTreeMap, BTreeSet};

use multiaddr::Multiaddr;

use crate::record::SignedRecord;
use crate::subnet::{Subnet, ip, is_local};

/// How many of one subnet there may be.
///
/// The bounds on tables are those of go-ethereum (2 of a /24 in a bucket, 10 in a table). An address of a home or of this machine is
/// an address like any other, unless [`with_local_exempt`](Self::with_local_exempt) says that the network is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubnetLimits {
    pub(crate) per_bucket: usize,
    pub(crate) per_table: usize,
    pub(crate) per_lookup: usize,
    pub(crate) per_service: usize,
    pub(crate) exempts_local: bool,
}

impl Default for SubnetLimits {
    /// 2 in a bucket, 10 in a table, 2 of the closest in a lookup, 8 providers of one service.
    fn default() -> Self {
        Self { per_bucket: 2, per_table: 10, per_lookup: 2, per_service: 8, exempts_local: false }
    }
}

impl SubnetLimits {
    /// Private, link-local and loopback addresses, and addresses without IP, are not limited: for networks that live on one
    /// machine, or within walls.
    #[must_use]
    pub const fn with_local_exempt(mut self) -> Self {
        self.exempts_local = true;
        self
    }

    /// The subnets that count for these addresses.
    pub(crate) fn of<'a>(&self, addresses: impl IntoIterator<Item = &'a Multiaddr>) -> BTreeSet<Subnet> {
        addresses.into_iter().filter_map(|address| self.subnet(address)).collect()
    }

    /// The subnets that a record claims.
    pub(crate) fn of_record(&self, record: &SignedRecord) -> BTreeSet<Subnet> {
        self.of(&record.record().addresses)
    }

    fn subnet(&self, address: &Multiaddr) -> Option<Subnet> {
        let is_local = ip(address).is_none_or(is_local);
        (!(is_local && self.exempts_local)).then(|| Subnet::of(address))
    }
}

/// How many there are of each subnet.
#[derive(Clone, Debug, Default)]
pub(crate) struct SubnetCounts(BTreeMap<Subnet, usize>);

impl SubnetCounts {
    pub(crate) fn add(&mut self, subnets: &BTreeSet<Subnet>) {
        for subnet in subnets {
            *self.0.entry(*subnet).or_default() += 1;
        }
    }

    pub(crate) fn remove(&mut self, subnets: &BTreeSet<Subnet>) {
        for subnet in subnets {
            if let Some(count) = self.0.get_mut(subnet) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(subnet);
                }
            }
        }
    }

    /// Whether one more of these is within the bound.
    pub(crate) fn has_room(&self, subnets: &BTreeSet<Subnet>, max: usize) -> bool {
        subnets.iter().all(|subnet| self.count(subnet) < max)
    }

    pub(crate) fn count(&self, subnet: &Subnet) -> usize {
        self.0.get(subnet).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnets(limits: SubnetLimits, texts: &[&str]) -> Vec<Subnet> {
        let addresses: Vec<Multiaddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
        limits.of(&addresses).into_iter().collect()
    }

    #[test]
    fn local_addresses_count_unless_they_are_exempt() {
        let local = ["/ip4/127.0.0.1/tcp/1", "/ip4/10.1.2.3/tcp/1", "/ip6/::1/tcp/1", "/memory/7"];
        assert_eq!(subnets(SubnetLimits::default(), &local).len(), 4);
        let exempt = SubnetLimits::default().with_local_exempt();
        assert_eq!(subnets(exempt, &local), []);
        assert_eq!(subnets(exempt, &["/ip4/192.0.2.1/tcp/1"]).len(), 1);
    }

    #[test]
    fn counts_go_up_and_down() {
        let (one, two) = (BTreeSet::from([Subnet::V4([1, 2, 3])]), BTreeSet::from([Subnet::Unknown]));
        let mut counts = SubnetCounts::default();
        counts.add(&one);
        counts.add(&one);
        assert!(!counts.has_room(&one, 2) && counts.has_room(&two, 1));
        counts.remove(&one);
        assert!(counts.has_room(&one, 2) && !counts.has_room(&one, 1));
        counts.remove(&two);
        assert_eq!(counts.count(&Subnet::Unknown), 0);
    }
}

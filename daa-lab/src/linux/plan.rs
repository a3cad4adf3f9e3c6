//! Who is where: sites on the internet of the lab, and the places in them.

use std::net::Ipv4Addr;

/// What is between a site and the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uplink {
    /// Nothing: the site is one machine with a public address.
    Public,
    /// A NAT that keeps the port of a machine, to whomever it speaks (RFC 4787: endpoint-independent mapping, and filtering by address and
    /// port). Holes can be punched.
    Cone,
    /// A NAT that takes another port for each connection (endpoint-dependent mapping). Holes cannot be punched.
    Symmetric,
    /// No internet at all.
    None,
}

impl Uplink {
    pub(crate) const fn is_nat(self) -> bool {
        matches!(self, Self::Cone | Self::Symmetric)
    }
}

/// A machine.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    /// Which of the sites.
    pub(crate) site: usize,
    pub(crate) address: Ipv4Addr,
    /// Where it listens; no two have the same, so that a NAT with several machines can keep their ports.
    pub(crate) port: u16,
}

/// Everything that is to be built.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) uplinks: Vec<Uplink>,
    pub(crate) places: Vec<Place>,
}

/// The first port.
const PORT: u16 = 4_000;

impl Plan {
    /// A machine with a public address.
    pub(crate) fn public(self, name: impl Into<String>) -> Self {
        self.site(Uplink::Public, vec![name.into()])
    }

    /// Machines of one local network behind this.
    pub(crate) fn site(mut self, uplink: Uplink, names: Vec<String>) -> Self {
        let site = self.uplinks.len();
        self.uplinks.push(uplink);
        for (index, name) in names.into_iter().enumerate() {
            let address = match uplink {
                Uplink::Public => outer(site),
                // The same in each of them, as at people's homes.
                _ => Ipv4Addr::new(192, 168, 1, octet(index).saturating_add(10)),
            };
            let port = PORT.saturating_add(u16::try_from(self.places.len()).unwrap_or(0));
            self.places.push(Place { name, site, address, port });
        }
        self
    }

    pub(crate) fn uplink(&self, place: &Place) -> Uplink {
        self.uplinks.get(place.site).copied().unwrap_or(Uplink::None)
    }
}

/// The address of a site on the internet: each in a /24 of its own, of those for measurements (RFC 2544).
pub(crate) fn outer(site: usize) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, octet(site), 2)
}

/// The other end of its line.
pub(crate) fn gateway(site: usize) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, octet(site), 1)
}

fn octet(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

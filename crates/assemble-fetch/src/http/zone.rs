//! Which networks an address lies in: a server elsewhere must not make us ask what only this machine or its network can
//! reach. Names are taken as they are; what they resolve to is not looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Whether a server at `from` may send us to `to`: the same host, a public one, or one of the same inner network.
/// False where one of them has no host.
pub fn may_lead_to(from: &Url, to: &Url) -> bool {
    let (Some(from), Some(to)) = (from.host(), to.host()) else { return false };
    from == to
        || matches!(
            (zone(&from), zone(&to)),
            (_, Zone::Public) | (Zone::Loopback, Zone::Loopback) | (Zone::Private, Zone::Private)
        )
}

/// Whether a URL's host is this machine.
pub fn is_this_machine(url: &Url) -> bool {
    url.host().is_some_and(|host| zone(&host) == Zone::Loopback)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Zone {
    Public,
    Loopback,
    Private,
    /// Link-local, unspecified, shared or multicast: never a place to be sent to.
    Odd,
}

fn zone(host: &Host<&str>) -> Zone {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            if name == "localhost" || name.ends_with(".localhost") { Zone::Loopback } else { Zone::Public }
        }
        Host::Ipv4(ip) => zone_v4(*ip),
        Host::Ipv6(ip) => zone_v6(*ip),
    }
}

fn zone_v4(ip: Ipv4Addr) -> Zone {
    let [a, b, ..] = ip.octets();
    if ip.is_loopback() {
        Zone::Loopback
    } else if ip.is_private() {
        Zone::Private
    } else if ip.is_link_local() || a == 0 || a >= 224 || (a == 100 && (64..128).contains(&b)) {
        Zone::Odd
    } else {
        Zone::Public
    }
}

fn zone_v6(ip: Ipv6Addr) -> Zone {
    if let IpAddr::V4(v4) = IpAddr::V6(ip).to_canonical() {
        return zone_v4(v4);
    }
    if ip.is_loopback() {
        Zone::Loopback
    } else if ip.is_unique_local() {
        Zone::Private
    } else if ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_multicast() {
        Zone::Odd
    } else {
        Zone::Public
    }
}

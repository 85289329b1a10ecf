//! The source is on every allowlist that is set, and at least one is set.

use super::Judged;
use crate::facts::{Facts, Source};
use crate::reason::{Allowlist, Reason};
use ipnet::IpNet;

pub(crate) fn allowlisted(facts: &Facts) -> Judged<Source> {
    let lists: [(Allowlist, Option<&Vec<IpNet>>); 3] = [
        (Allowlist::Vendor, facts.vendor.as_ref().map(|vendor| &vendor.sources)),
        (Allowlist::Person, facts.person.as_ref().map(|person| &person.sources)),
        (Allowlist::Device, facts.device.as_ref().map(|device| &device.sources)),
    ];
    let source = facts.source;
    let mut set = 0_u32;
    let mut reasons = Vec::new();
    for (list, networks) in lists {
        let Some(networks) = networks.filter(|networks| !networks.is_empty()) else { continue };
        set += 1;
        if !networks.iter().any(|network| contains(network, source)) {
            reasons.push(Reason::SourceRefused { source, list });
        }
    }
    if set == 0 {
        reasons.push(Reason::SourceUnlisted { source });
    }
    if reasons.is_empty() { Ok(source) } else { Err(reasons) }
}

/// A network written in IPv4-mapped IPv6 holds the same addresses as its IPv4; a `Source` is always the latter.
fn contains(network: &IpNet, source: Source) -> bool {
    if network.contains(&source.address()) {
        return true;
    }
    match (network, source.address()) {
        (IpNet::V6(network), std::net::IpAddr::V4(address)) if network.prefix_len() >= 96 => {
            network.contains(&address.to_ipv6_mapped())
        }
        _ => false,
    }
}

//! Where TURN may send (A2): to the internet and to its own relays, and not into the operator's network.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

#[derive(Clone, Debug)]
pub(super) struct Policy {
    external: IpAddr,
    relay_ports: RangeInclusive<u16>,
    allow_private: bool,
}

impl Policy {
    pub(super) fn new(external: IpAddr, relay_ports: RangeInclusive<u16>, allow_private: bool) -> Self {
        Self { external, relay_ports, allow_private }
    }

    /// The address that relays have.
    pub(super) fn external(&self) -> IpAddr {
        self.external
    }

    pub(super) fn relay_ports(&self) -> RangeInclusive<u16> {
        self.relay_ports.clone()
    }

    /// Whether there can be anything at this address that may be sent to.
    pub(super) fn permits_ip(&self, ip: IpAddr) -> bool {
        ip == self.external || is_public(ip) || (self.allow_private && is_sendable(ip))
    }

    /// Whether a packet may be sent there. Of this machine itself only the relays may be reached.
    pub(super) fn permits(&self, to: SocketAddr) -> bool {
        if to.ip() == self.external && !self.allow_private {
            return self.relay_ports.contains(&to.port());
        }
        self.permits_ip(to.ip())
    }
}

fn is_sendable(ip: IpAddr) -> bool {
    !ip.is_multicast() && !ip.is_unspecified()
}

/// An address that belongs to one machine in the internet.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let protocols = a == 192 && b == 0 && c == 0;
            let benchmarking = a == 198 && (b == 18 || b == 19);
            !(ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.is_documentation()
                || a == 0
                || a >= 240
                || shared
                || protocols
                || benchmarking)
        }
        IpAddr::V6(ip) => match embedded(ip) {
            Some(v4) => is_public(v4),
            // Global unicast, without what documents use.
            None => ip.segments()[0] & 0xe000 == 0x2000 && ip.segments()[..2] != [0x2001, 0x0db8],
        },
    }
}

/// An IPv4 address in IPv6's clothes: mapped, or reached through NAT64 or 6to4.
fn embedded(ip: Ipv6Addr) -> Option<IpAddr> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(IpAddr::from([a, b, c, d]))
    };
    match (a, b) {
        (0x64, 0xff9b) => v4(g, h),
        (0x2002, _) => v4(b, c),
        (0, 0) if (c, d, e) == (0, 0, 0) && (f == 0xffff || f == 0) => v4(g, h),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inside_is_reached() {
        let policy = Policy::new("198.51.100.7".parse().unwrap(), 50_000..=50_100, false);
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "::127.0.0.1",
            "198.18.0.1",
        ] {
            assert!(!policy.permits_ip(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["9.9.9.9", "2620:fe::fe", "64:ff9b::909:909", "198.51.100.7"] {
            assert!(policy.permits_ip(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn of_this_machine_only_the_relays_are_reached() {
        let policy = Policy::new("198.51.100.7".parse().unwrap(), 50_000..=50_100, false);
        assert!(policy.permits("198.51.100.7:50000".parse().unwrap()));
        assert!(!policy.permits("198.51.100.7:22".parse().unwrap()));
    }

    #[test]
    fn private_networks_are_reached_when_that_is_allowed() {
        let policy = Policy::new("127.0.0.1".parse().unwrap(), 50_000..=50_100, true);
        assert!(policy.permits("10.1.2.3:9".parse().unwrap()));
        assert!(policy.permits("127.0.0.1:9".parse().unwrap()));
        assert!(!policy.permits("224.0.0.1:9".parse().unwrap()));
    }
}

//! How many connections an address may have, and whose address that is (A2).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use metrics::counter;

use crate::nodes::NodeToken;

/// The header in which proxies tell for whom they ask, the nearest last.
pub(crate) const FORWARDED: &str = "x-forwarded-for";

/// Counts open WebSockets by address.
pub(crate) struct Addresses {
    most: usize,
    /// Only what these say of others is believed, and what other nodes say.
    proxies: Vec<IpAddr>,
    nodes: Option<NodeToken>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One open connection of an address; dropping it counts it out.
pub(crate) struct Open {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    pub(crate) fn new(most: usize, proxies: Vec<IpAddr>, nodes: Option<NodeToken>) -> Arc<Self> {
        Arc::new(Self { most, proxies, nodes, open: Mutex::default() })
    }

    /// Who asks: the other end, or, when that is a trusted proxy, for whom it asks.
    pub(crate) fn of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let told = headers.get_all(FORWARDED).iter().filter_map(|value| value.to_str().ok());
        let told: Vec<IpAddr> =
            told.flat_map(|line| line.split(',')).map_while(|text| text.trim().parse().ok()).collect();
        if self.nodes.as_ref().is_some_and(|nodes| nodes.is_in(headers)) {
            // The node that has the socket has looked already.
            return told.last().copied().unwrap_or(peer);
        }
        let chain = told.into_iter().chain([peer]).map(|address| address.to_canonical());
        let chain: Vec<IpAddr> = chain.collect();
        let stranger = chain.iter().rev().find(|address| !self.proxies.contains(address));
        stranger.or(chain.first()).copied().unwrap_or(peer)
    }

    /// Counts a connection in; none when there are too many.
    pub(crate) fn enter(self: &Arc<Self>, peer: IpAddr, headers: &HeaderMap) -> Option<Open> {
        let address = self.of(peer, headers);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= self.most {
            counter!("interplay_refusals_total", "reason" => "connections").increment(1);
            return None;
        }
        *count += 1;
        drop(open);
        Some(Open { addresses: Arc::clone(self), address })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.addresses.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn forwarded(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(FORWARDED.parse().unwrap(), text.parse().unwrap())])
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let addresses = Addresses::new(1, vec![ip("10.0.0.1"), ip("10.0.0.2")], None);
        let of = |peer, header| addresses.of(ip(peer), &forwarded(header)).to_string();
        assert_eq!(of("1.2.3.4", "9.9.9.9"), "1.2.3.4", "a stranger says anything");
        assert_eq!(of("10.0.0.1", "9.9.9.9"), "9.9.9.9");
        assert_eq!(of("::ffff:10.0.0.1", "9.9.9.9"), "9.9.9.9");
        assert_eq!(
            of("10.0.0.1", "6.6.6.6, 9.9.9.9, 10.0.0.2"),
            "9.9.9.9",
            "what the stranger told counts not"
        );
        assert_eq!(of("10.0.0.1", "nonsense"), "10.0.0.1");
    }

    #[test]
    fn connections_are_counted_in_and_out() {
        let addresses = Addresses::new(2, Vec::new(), None);
        let enter = |address| addresses.enter(ip(address), &HeaderMap::new());
        let (one, two) = (enter("1.1.1.1"), enter("1.1.1.1"));
        assert!(one.is_some() && two.is_some() && enter("1.1.1.1").is_none() && enter("2.2.2.2").is_some());
        drop(one);
        assert!(enter("1.1.1.1").is_some());
        drop(two);
        assert!(addresses.open.lock().unwrap().is_empty());
    }
}

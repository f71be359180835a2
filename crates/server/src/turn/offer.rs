//! The STUN and TURN that a page is told of. A server alone names itself as the page has named it. Of several nodes each says under
//! which host it is reached itself: what the page has named is likely a load balancer, which passes no UDP on. Credentials are
//! good on all of them, since they are made of one secret (L1).

use base::VisitId;
use serde::{Deserialize, Serialize};
use store::Lookout;
use wire::control::IceServer;

use super::TurnAccess;

/// How many other nodes' TURN a page is told of: with one that is gone there is another, and browsers try all that they are told.
const OTHERS: usize = 2;

/// Where a node's STUN and TURN are, as it tells other nodes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    host: String,
    ports: Vec<u16>,
    tls_ports: Vec<u16>,
}

impl Place {
    pub(crate) fn of(access: &TurnAccess, host: String) -> Self {
        let (ports, tls_ports) = access.ports();
        Self { host, ports: ports.to_vec(), tls_ports: tls_ports.to_vec() }
    }

    fn first(&self) -> Self {
        let first = |ports: &[u16]| ports.iter().take(1).copied().collect();
        Self { host: self.host.clone(), ports: first(&self.ports), tls_ports: first(&self.tls_ports) }
    }

    fn urls(&self) -> impl Iterator<Item = String> {
        let Self { host, ports, tls_ports } = self;
        let turn = ports.iter().flat_map(move |port| {
            ["udp", "tcp"].map(|transport| format!("turn:{host}:{port}?transport={transport}"))
        });
        turn.chain(tls_ports.iter().map(move |port| format!("turns:{host}:{port}?transport=tcp")))
    }
}

/// What pages are told of.
#[derive(Clone, Debug)]
pub(crate) struct TurnOffer {
    access: TurnAccess,
    nodes: Option<Places>,
}

/// Where it is on several nodes.
#[derive(Clone, Debug)]
struct Places {
    own: Option<Place>,
    id: String,
    lookout: Lookout,
}

impl TurnOffer {
    /// Of a server that is alone.
    pub(crate) const fn alone(access: TurnAccess) -> Self {
        Self { access, nodes: None }
    }

    /// Of a node, which may have none of its own.
    pub(crate) const fn of_node(
        access: TurnAccess,
        own: Option<Place>,
        id: String,
        lookout: Lookout,
    ) -> Self {
        Self { access, nodes: Some(Places { own, id, lookout }) }
    }

    pub(crate) fn lifetime_millis(&self) -> u32 {
        self.access.lifetime_millis()
    }

    /// What a page needs, which reached the server under the name `host` (as in HTTP, port and all).
    pub(crate) fn servers(&self, visit: VisitId, host: &str) -> Vec<IceServer> {
        let Some(Places { own, id, lookout }) = &self.nodes else { return self.access.servers(visit, host) };
        let others = lookout.sight().nodes.into_iter().filter(|node| node.id != *id);
        let others = others.filter_map(|node| serde_json::from_str::<Place>(&node.turn?).ok());
        let (name, password) = self.access.credentials(visit);
        told(own.as_ref(), &others.collect::<Vec<_>>(), visit, (name, password))
    }
}

/// One's own with all its ports, and of a few others the first: which ones differs from visit to visit.
fn told(
    own: Option<&Place>,
    others: &[Place],
    visit: VisitId,
    (name, password): (String, String),
) -> Vec<IceServer> {
    let from = visit.to_string().bytes().fold(0, |sum, byte| sum + usize::from(byte));
    let others = others.iter().cycle().skip(from % others.len().max(1)).take(OTHERS.min(others.len()));
    let places: Vec<_> = own.cloned().into_iter().chain(others.map(Place::first)).collect();
    let stun = places.iter().find_map(|place| Some(format!("stun:{}:{}", place.host, place.ports.first()?)));
    let turn: Vec<_> = places.iter().flat_map(Place::urls).collect();
    if turn.is_empty() {
        return Vec::new();
    }
    vec![
        IceServer { urls: stun.into_iter().collect(), username: None, credential: None },
        IceServer { urls: turn, credential: Some(password), username: Some(name) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str, ports: &[u16], tls_ports: &[u16]) -> Place {
        Place { host: host.to_owned(), ports: ports.to_vec(), tls_ports: tls_ports.to_vec() }
    }

    #[test]
    fn a_page_is_told_of_its_node_and_of_two_others() {
        let own = place("a", &[3478, 443], &[5349]);
        let others = ["b", "c", "d"].map(|host| place(host, &[3478, 80], &[]));
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..20 {
            let visit = VisitId::from_random([number; 16]);
            let [stun, turn] = told(Some(&own), &others, visit, ("n".into(), "p".into())).try_into().unwrap();
            assert_eq!(stun.urls, ["stun:a:3478"]);
            assert_eq!(turn.urls.len(), 5 + 2 * 2, "{:?}", turn.urls);
            assert_eq!((turn.username.as_deref(), turn.credential.as_deref()), (Some("n"), Some("p")));
            seen.extend(turn.urls.iter().filter_map(|url| url.split(':').nth(1).map(str::to_owned)));
        }
        assert_eq!(seen.into_iter().collect::<String>(), "abcd", "all are used");
    }

    #[test]
    fn a_node_without_turn_tells_of_others_and_without_any_of_none() {
        let told = |others: &[Place]| told(None, others, VisitId::from_random([1; 16]), Default::default());
        assert_eq!(told(&[]), []);
        assert_eq!(told(&[place("b", &[3478], &[])])[0].urls, ["stun:b:3478"]);
    }
}

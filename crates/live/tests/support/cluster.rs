//! A cluster of three servers, each with a replica.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::server::{Server, ports};

/// How many have slots at the beginning. Each has a replica, as far after it.
const MASTERS: usize = 3;

/// A running cluster.
pub(crate) struct Cluster {
    pub(crate) servers: Vec<Server>,
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Cluster {
    /// One that all tests of this process share, and leave as it is.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Cluster> = LazyLock::new(Cluster::start);
        &SHARED
    }

    pub(crate) fn start() -> Self {
        let ports: [u16; 4 * MASTERS] = ports();
        let servers: Vec<_> = ports
            .chunks(2)
            .map(|ports| {
                let bus = ports[1].to_string();
                let settings = ["--cluster-enabled", "yes", "--cluster-port", &bus];
                let quick = ["--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0"];
                Server::start_on(ports[0], &[&settings[..], &quick[..]].concat())
            })
            .collect();
        let share = 16384 / MASTERS;
        for (at, (server, ports)) in servers.iter().zip(ports.chunks(2)).enumerate() {
            server.say(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]);
            if at < MASTERS {
                let last = if at + 1 == MASTERS { 16383 } else { (at + 1) * share - 1 };
                server.say(&["CLUSTER", "ADDSLOTSRANGE", &(at * share).to_string(), &last.to_string()]);
            }
            let (port, bus) = (ports[0].to_string(), ports[1].to_string());
            servers[0].say(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        let cluster = Self { servers };
        for (at, server) in cluster.servers.iter().enumerate().skip(MASTERS) {
            let master = cluster.servers[at - MASTERS].text(&["CLUSTER", "MYID"]);
            wait_until("a replica", || server.try_say(&["CLUSTER", "REPLICATE", &master]).is_ok());
        }
        for server in &cluster.servers {
            wait_until("a cluster", || {
                let info = server.text(&["CLUSTER", "INFO"]);
                let is_whole = info.contains("cluster_state:ok")
                    && info.contains(&format!("cluster_known_nodes:{}\r", 2 * MASTERS));
                let info = server.text(&["INFO", "replication"]);
                is_whole && (info.contains("connected_slaves:1") || info.contains("master_link_status:up"))
            });
        }
        cluster
    }

    /// All its servers, as seeds.
    pub(crate) fn url(&self) -> String {
        self.servers.iter().map(Server::url).collect::<Vec<_>>().join(",")
    }

    /// Which of the servers has a room, as one of them says.
    pub(crate) fn master_of(&self, room: &wire::room::RoomId, asked: usize) -> usize {
        let asked = &self.servers[asked];
        let slot = asked.number(&["CLUSTER", "KEYSLOT", room.as_str()]);
        let ranges: Vec<Vec<redis::Value>> =
            redis::from_redis_value(asked.say(&["CLUSTER", "SLOTS"])).unwrap();
        let found = ranges.into_iter().find_map(|range| {
            let mut range = range.into_iter();
            let first: i64 = redis::from_redis_value(range.next()?).ok()?;
            let last: i64 = redis::from_redis_value(range.next()?).ok()?;
            let master: Vec<redis::Value> = redis::from_redis_value(range.next()?).ok()?;
            let port: u16 = redis::from_redis_value(master.into_iter().nth(1)?).ok()?;
            (first..=last).contains(&slot).then_some(port)
        });
        self.servers.iter().position(|server| Some(server.port) == found).unwrap()
    }

    /// The other of a master and its replica.
    pub(crate) fn partner(at: usize) -> usize {
        (at + MASTERS) % (2 * MASTERS)
    }

    /// A replica takes its master's place, which loses nothing.
    pub(crate) fn promote(&self, at: usize) {
        wait_until("a promotion", || {
            let _ = self.servers[at].try_say(&["CLUSTER", "FAILOVER"]);
            let role = self.servers[at].text(&["INFO", "replication"]);
            role.contains("role:master")
        });
    }

    /// The keys that have this in them, anywhere.
    pub(crate) fn keys(&self, part: &str) -> BTreeSet<String> {
        self.servers.iter().flat_map(|server| server.keys(part)).collect()
    }
}

//! The whole: a store, nodes, clients, what befalls them, and a memory that forgets nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{Rng, StateHash, derive_seed, hash_state};
use room::log::{Draft, LogRules, Message};
use room::replica::{Applied, Command, NodeId, Outcome as Became, Stored};
use wire::room::{Class, Epoch, Payload};

use crate::client::Client;
use crate::driver::Late;
use crate::node::{Node, label};
use crate::rules::rules;
use crate::sabotage::Sabotage;
use crate::store::Model;

const STEPS: u64 = 120;

/// A violation is told as text.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// What happened in a life; one in which nothing did proves nothing.
#[derive(Default, Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) delivered: u64,
    pub(crate) handed: u64,
    pub(crate) gaps: u64,
    pub(crate) replaced: u64,
    pub(crate) stops: u64,
    pub(crate) repeats: u64,
    pub(crate) overruns: u64,
    pub(crate) opened: u64,
    pub(crate) compactions: u64,
    pub(crate) refusals: u64,
    pub(crate) refused_joins: u64,
    pub(crate) unanswered: u64,
    pub(crate) late: u64,
    pub(crate) missing: u64,
    pub(crate) doubts: u64,
    pub(crate) ended: u64,
    pub(crate) parted: u64,
    pub(crate) joined_apart: u64,
    pub(crate) kills: u64,
    pub(crate) failovers: u64,
    pub(crate) emptied: u64,
    pub(crate) expiries: u64,
    pub(crate) expired: u64,
}

impl Counts {
    pub(crate) fn all(&self) -> [(&'static str, u64); 23] {
        [
            ("delivered", self.delivered),
            ("handed", self.handed),
            ("gaps", self.gaps),
            ("replaced", self.replaced),
            ("stops", self.stops),
            ("repeats", self.repeats),
            ("overruns", self.overruns),
            ("opened", self.opened),
            ("compactions", self.compactions),
            ("refusals", self.refusals),
            ("refused_joins", self.refused_joins),
            ("unanswered", self.unanswered),
            ("late", self.late),
            ("missing", self.missing),
            ("doubts", self.doubts),
            ("ended", self.ended),
            ("parted", self.parted),
            ("joined_apart", self.joined_apart),
            ("kills", self.kills),
            ("failovers", self.failovers),
            ("emptied", self.emptied),
            ("expiries", self.expiries),
            ("expired", self.expired),
        ]
    }
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) rules: LogRules,
    /// The newest last; older ones are still there for nodes that have not noticed.
    pub(crate) stores: Vec<Model>,
    runs: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<Client>,
    /// In milliseconds, by nobody's clock.
    pub(crate) now: u64,
    pub(crate) epochs: u64,
    pub(crate) serials: u64,
    node_ids: u64,
    pub(crate) labels: u64,
    pub(crate) late: Vec<Late>,
    /// Every message that any node had in an epoch, by number from 1.
    pub(crate) history: BTreeMap<Epoch, Vec<Arc<Message>>>,
    /// Where a message is: its epoch and number.
    placed: BTreeMap<u64, (Epoch, u64)>,
    /// What every replica of a version is.
    snapshots: BTreeMap<(Epoch, u64), StateHash>,
    /// Messages without a number: in which epoch others missed them, and on which node's word.
    apart: Vec<(Epoch, NodeId)>,
    pub(crate) handed: BTreeSet<u64>,
    /// Whether all nodes have the same time.
    pub(crate) clocks_agree: bool,
    /// How much befalls this room, from 0 to 3.
    trouble: u64,
    /// Faults have ceased.
    pub(crate) is_calm: bool,
    tell: bool,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) counts: Counts,
}

impl World {
    pub(crate) fn new(seed: u64, tell: bool, sabotage: Option<Sabotage>) -> Self {
        let mut rng = Rng::from_seed(derive_seed(seed, 0));
        let rules = rules(&mut rng);
        let (tail, trouble) = (rng.below(12), rng.below(4));
        let count = 2 + rng.below(3);
        let clocks_agree = rng.below(2) == 0;
        let skew = |rng: &mut Rng| if clocks_agree { 10_000 } else { rng.below(20_000) };
        let nodes = (1..=count).map(|id| Node::new(id, skew(&mut rng))).collect();
        let clients = (0..2 + rng.below(3)).map(Client::new).collect();
        let mut world = Self {
            stores: vec![Model::new(8_000 + rng.below(4_000), 20_000, tail, sabotage)],
            runs: 1,
            rng,
            rules,
            nodes,
            clients,
            now: 1_000_000,
            epochs: 0,
            serials: 0,
            node_ids: count,
            labels: 0,
            late: Vec::new(),
            history: BTreeMap::new(),
            placed: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            apart: Vec::new(),
            handed: BTreeSet::new(),
            clocks_agree,
            trouble,
            is_calm: false,
            tell,
            sabotage,
            counts: Counts::default(),
        };
        world.pass(0);
        world
    }

    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.tell {
            println!("{:9.3}  {}", self.now as f64 / 1e3, what());
        }
    }

    fn newest(&mut self) -> &mut Model {
        self.stores.last_mut().unwrap()
    }

    fn pass(&mut self, millis: u64) {
        self.now += millis;
        for store in &mut self.stores {
            store.now = self.now - 10_000 + store.skew;
        }
    }

    pub(crate) fn run(&mut self) -> Outcome {
        for _ in 0..STEPS {
            self.step()?;
        }
        self.calm()
    }

    fn step(&mut self) -> Outcome {
        let millis = self.rng.below(300);
        self.pass(millis);
        let at = self.rng.below(self.clients.len() as u64) as usize;
        let n = self.rng.below(self.nodes.len() as u64) as usize;
        let some = 1 + self.rng.below(5) as usize;
        match self.rng.below(40) {
            0..=6 => self.send(at)?,
            7..=9 => self.pull(at, some)?,
            10..=12 => self.hear(at, some)?,
            13 => self.acknowledge(at),
            14 => self.reload(at),
            15 => self.cut(at),
            16..=17 => self.notice(at),
            18..=21 if self.clients[at].connection.is_some() => {}
            18..=22 => self.connect(at)?,
            23 => {
                let (draft, _) = self.draft(None);
                self.publish_at(n, draft)?;
            }
            24..=25 => self.bury(n, None),
            26..=27 => self.look(n)?,
            28 => self.compact(n)?,
            29..=30 => self.arrive_late(),
            31..=35 => {}
            _ if self.rng.below(4) <= self.trouble => self.befall(at, n)?,
            _ => {}
        }
        for n in 0..self.nodes.len() {
            if self.rng.below(2) == 0 {
                self.flush(n)?;
            }
            if self.rng.below(2) == 0 {
                self.hear_publications(n, some)?;
            }
        }
        Ok(())
    }

    /// What seldom happens.
    fn befall(&mut self, at: usize, n: usize) -> Outcome {
        match self.rng.below(14) {
            0..=1 => self.kill(n),
            2..=3 => {
                self.nodes[n].reaches = false;
                self.say(|| format!("{n} does not reach the store"));
            }
            4..=5 => self.part(n)?,
            6 => {
                for n in 0..self.nodes.len() {
                    self.reach(n)?;
                }
            }
            7 => {
                self.say(|| "the store is away".into());
                for node in &mut self.nodes {
                    node.reaches = false;
                }
            }
            8 => {
                for n in 0..self.nodes.len() {
                    self.reach(n)?;
                }
            }
            9 => {
                let (lost, forgets) = (self.rng.below(6), self.rng.below(3) == 0);
                let skew = 8_000 + self.rng.below(4_000);
                self.counts.failovers += 1;
                self.runs += 1;
                self.say(|| format!("another store takes over, without the last {lost}"));
                let run = self.runs;
                let next = self.newest().successor(run, skew, lost, forgets);
                self.stores.push(next);
                // Some notice only later.
                let is_split = self.rng.below(2) == 0;
                for node in &mut self.nodes {
                    if !is_split || self.rng.below(2) == 0 {
                        node.store = self.stores.len() - 1;
                    }
                }
            }
            10 => {
                if self.rng.below(3) == 0 {
                    self.say(|| "the store is empty".into());
                    self.counts.emptied += 1;
                    self.runs += 1;
                    let runs = self.runs;
                    self.newest().restart_empty(runs);
                }
            }
            11 => {
                // Nodes with members keep the room from expiring, and may keep it for its time when all are gone.
                let deserts = self.rng.below(3) == 0;
                if deserts {
                    for at in 0..self.clients.len() {
                        self.cut(at);
                        self.notice(at);
                    }
                    for n in 0..self.nodes.len() {
                        self.flush(n)?;
                        self.look(n)?;
                    }
                }
                for _ in 0..self.rng.below(10) {
                    self.pass(4_000);
                    let keeps = |node: &Node| {
                        node.reaches && (deserts || !node.connections.is_empty()) && node.replica.is_some()
                    };
                    if self.nodes.iter().any(keeps) {
                        self.newest().touch();
                    }
                }
                if let Some(replica) = self.nodes[n].replica.as_mut().filter(|_| deserts) {
                    replica.propose(Command::Expire);
                    self.flush(n)?;
                }
                self.counts.expiries += u64::from(self.newest().has_expired());
            }
            12 => {
                let held = self.nodes[self.rng.below(self.nodes.len() as u64) as usize].id;
                self.bury(n, Some(held));
            }
            _ => {
                if self.rng.below(2) == 0 {
                    self.leave(at);
                } else if let Some(replica) =
                    self.nodes[n].replica.as_mut().filter(|_| self.rng.below(3) == 0)
                {
                    let end = if self.rng.below(2) == 0 { Command::End } else { Command::Expire };
                    replica.propose(end);
                }
            }
        }
        Ok(())
    }

    /// A node is killed, and another process begins in its place.
    fn kill(&mut self, n: usize) {
        self.say(|| format!("{n} is killed"));
        self.counts.kills += 1;
        self.node_ids += 1;
        let old = self.nodes[n].id;
        // What it knew of those who missed something, nobody knows any more.
        self.apart.retain(|(_, node)| *node != old);
        self.nodes[n] = self.nodes[n].reborn(self.node_ids);
        for at in 0..self.clients.len() {
            if self.clients[at].connection.is_some_and(|(node, _)| node == n) {
                self.cut(at);
            }
        }
    }

    pub(crate) fn draft(&mut self, own: Option<usize>) -> (Draft, u64) {
        self.labels += 1;
        let to = self.rng.below(self.clients.len() as u64) as usize;
        let to =
            (self.rng.below(3) == 0 && Some(to) != own && !self.is_calm).then(|| self.clients[to].id.clone());
        let class = if self.rng.below(5) == 0 { Class::Keep } else { Class::Normal };
        let pad = "x".repeat(self.rng.below(60) as usize);
        let payload = Payload::Json(format!("[{},\"{pad}\"]", self.labels).into());
        (Draft { to, class, payload }, self.labels)
    }

    pub(crate) fn note_apart(&mut self, n: usize, epoch: Epoch, label: u64) {
        self.counts.handed += 1;
        self.handed.insert(label);
        self.apart.push((epoch, self.nodes[n].id));
    }

    /// Numbers are not used twice, and nothing is sent twice.
    pub(crate) fn check_applied(&mut self, stored: &Stored, applied: &Applied) -> Outcome {
        if applied.outcome == Became::Expired(true) {
            self.counts.expired += 1;
            let history = self.history.get(&stored.epoch).into_iter().flatten();
            let spoken = history.filter(|message| message.from.is_some()).map(|message| message.at.0).max();
            let quiet = spoken.map(|spoken| stored.at.0.saturating_sub(spoken));
            if quiet.is_some_and(|quiet| u128::from(quiet) < self.rules.ttl.as_millis()) {
                return Err(format!("{}: expired {quiet:?} ms after a member spoke", stored.epoch));
            }
        }
        let Some(message) = applied.message() else { return Ok(()) };
        let (epoch, sequence, label) = (stored.epoch, message.sequence, label(&message.payload));
        let history = self.history.entry(epoch).or_default();
        match history.get(sequence as usize - 1) {
            Some(known) if known == message => {}
            Some(_) => return Err(format!("{epoch}: {sequence} is two messages, {label} is one")),
            None if history.len() as u64 + 1 == sequence => history.push(Arc::clone(message)),
            None => return Err(format!("{epoch}: {sequence} follows {}", history.len())),
        }
        let place = *self.placed.entry(label).or_insert((epoch, sequence));
        if place != (epoch, sequence) {
            return Err(format!("{label} is at {place:?} and at {epoch} {sequence}"));
        }
        Ok(())
    }

    /// Replicas at one version are equal.
    pub(crate) fn check_snapshot(&mut self, n: usize) -> Outcome {
        let Some(replica) = &self.nodes[n].replica else { return Ok(()) };
        let at = replica.applied();
        let hash = hash_state(&replica.snapshot().to_bytes());
        if *self.snapshots.entry((at.epoch, at.version)).or_insert(hash) != hash {
            return Err(format!("node {n} has another state at {at:?}"));
        }
        Ok(())
    }

    /// Faults cease: everything must come right.
    fn calm(&mut self) -> Outcome {
        self.say(|| "faults cease".into());
        self.is_calm = true;
        if self.rng.below(3) == 0 {
            // One never comes back.
            self.clients[0].is_gone = true;
            self.cut(0);
        }
        while !self.late.is_empty() {
            self.arrive_late();
        }
        for n in 0..self.nodes.len() {
            self.reach(n)?;
        }
        for _ in 0..12 {
            self.round()?;
        }
        let before = self.labels;
        for at in 0..self.clients.len() {
            if !self.clients[at].is_gone {
                self.send(at)?;
            }
        }
        for _ in 0..12 {
            self.round()?;
        }
        self.check_end(before)
    }

    fn round(&mut self) -> Outcome {
        self.pass(100);
        for at in 0..self.clients.len() {
            // Nobody misses for long that a connection is dead.
            self.notice(at);
            if self.clients[at].connection.is_none() && !self.clients[at].is_gone {
                self.connect(at)?;
            }
        }
        for _ in 0..2 {
            for n in 0..self.nodes.len() {
                self.bury(n, None);
                for _ in 0..8 {
                    self.flush(n)?;
                }
                self.hear_publications(n, 99)?;
                self.look(n)?;
            }
        }
        for at in 0..self.clients.len() {
            self.resend(at)?;
            self.pull(at, 64)?;
            self.hear(at, 64)?;
        }
        Ok(())
    }

    fn check_end(&mut self, before: u64) -> Outcome {
        let (epoch, tip) = self.newest().tip().ok_or("there is no room at the end")?;
        for n in 0..self.nodes.len() {
            self.check_snapshot(n)?;
            let Some(replica) = &self.nodes[n].replica else { continue };
            let at = replica.applied();
            if (at.epoch, at.version) != (epoch, tip) {
                return Err(format!("node {n} is at {at:?}, not at {epoch} {tip}"));
            }
            if !replica.pending().is_empty() {
                return Err(format!("node {n} has not appended {:?}", replica.pending()));
            }
            for (id, member) in replica.log().members() {
                let client = self.clients.iter().find(|client| client.id == *id);
                let fence = client.filter(|client| client.is_joined).and_then(|client| client.fence);
                if member.connection() != fence {
                    return Err(format!("{id} has the connection {fence:?}, not {:?}", member.connection()));
                }
            }
        }
        if self.apart.iter().any(|(missed, _)| *missed == epoch) {
            return Err(format!("{epoch} goes on, in which something was said apart"));
        }
        for (at, client) in self.clients.iter().enumerate().filter(|(_, client)| !client.is_gone) {
            if !client.is_joined || client.epoch != Some(epoch) {
                return Err(format!("{} is not there at the end", client.id));
            }
            if !client.unanswered.is_empty() {
                return Err(format!("{} was never answered", client.id));
            }
            let tip = self.history.get(&epoch).map_or(0, Vec::len) as u64;
            self.check_missing(at, tip + 1)?;
            let missed = (before + 1..=self.labels).find(|label| {
                let from = self.clients.iter().position(|other| other.sent_last == *label);
                from != Some(at) && !client.heard.contains_key(label)
            });
            if let Some(label) = missed {
                return Err(format!("{} has not heard {label}, after all", client.id));
            }
        }
        Ok(())
    }
}

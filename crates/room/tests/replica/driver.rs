//! What nodes do: as the module's documentation asks, with the mistakes that the test must find.

use base::WallTime;
use room::log::{Draft, JoinError, PullError, SendError, Sent};
use room::replica::{
    Applied, ClosedBy, Command, Entry, NodeId, Opened, Origin, Outcome, Position, Refusal, Replica, Reunion,
    Snapshot, Step, Store, Stored,
};
use wire::room::{Epoch, Fence, Resume};

use crate::node::{Connection, Told, Waiting, label_of};
use crate::sabotage::Sabotage;
use crate::store::Model;
use crate::world::{Outcome as Checked, World};

/// An append that was sent, and has not arrived.
pub(crate) struct Late {
    store: usize,
    at: Position,
    entries: Vec<Entry>,
}

impl World {
    fn store(&mut self, n: usize) -> &mut Model {
        &mut self.stores[self.nodes[n].store]
    }

    fn is(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }

    fn fresh(&mut self) -> Epoch {
        self.epochs += 1;
        Epoch(self.epochs)
    }

    /// Sees to it that a node has the room open.
    fn open(&mut self, n: usize) -> Checked {
        if self.nodes[n].replica.is_some() {
            return Ok(());
        }
        let fresh = self.fresh();
        let origin = self.nodes[n].origin();
        if !self.nodes[n].reaches {
            let now = self.nodes[n].clock(self.now);
            self.nodes[n].replica = Some(Replica::open_apart(origin, fresh, self.rules, now));
            self.counts.parted += 1;
            return Ok(());
        }
        let nothing = Snapshot::of_nothing(fresh, self.rules).to_bytes();
        let Opened { mut snapshot, entries } = self.store(n).open((fresh, &nothing));
        if self.is(Sabotage::OwnRules) {
            let mut read = Snapshot::of_bytes(&snapshot).unwrap();
            read.log.rules.normal.least += n;
            snapshot = read.to_bytes();
        }
        self.counts.opened += 1;
        let nothing_after = Opened { snapshot, entries: Vec::new() };
        let replica = Replica::open(origin, &nothing_after).map_err(|error| error.to_string())?;
        self.say(|| format!("{n} opens {:?}", replica.applied()));
        self.nodes[n].replica = Some(replica);
        self.check_snapshot(n)?;
        self.apply_all(n, entries)?;
        // It was over.
        if self.nodes[n].replica.is_none() { self.open(n) } else { Ok(()) }
    }

    /// Closes all of a node's connections, and forgets its replica.
    pub(crate) fn give_up(&mut self, n: usize, doubted: Option<Epoch>) -> Checked {
        self.say(|| format!("{n} gives up, in doubt of {doubted:?}"));
        let node = &mut self.nodes[n];
        (node.replica, node.doubted) = (None, doubted);
        node.waiting.clear();
        for connection in std::mem::take(&mut node.connections) {
            self.tell(connection.client, connection.serial, Told::ComeBack)?;
        }
        self.end_doubted(n);
        Ok(())
    }

    /// Makes an epoch end that is in doubt, whether or not somebody comes.
    pub(crate) fn end_doubted(&mut self, n: usize) {
        if self.nodes[n].reaches
            && let Some(doubted) = self.nodes[n].doubted.take()
        {
            self.store(n).end(doubted);
        }
    }

    fn refused(&mut self, n: usize, refusal: Refusal) -> Checked {
        self.counts.refusals += 1;
        self.say(|| format!("{n} hears that {refusal}"));
        let epoch = self.nodes[n].replica.as_ref().map(|replica| replica.applied().epoch);
        self.give_up(n, epoch.filter(|_| refusal == Refusal::Behind))?;
        // The epoch goes on, and has its connections still.
        if refusal == Refusal::Compacted { self.open(n) } else { Ok(()) }
    }

    /// Appends what is pending, and hears of it or not.
    pub(crate) fn flush(&mut self, n: usize) -> Checked {
        let node = &self.nodes[n];
        let Some(replica) = node.replica.as_ref().filter(|_| node.reaches && !node.is_apart()) else {
            return Ok(());
        };
        let most = 1 + self.rng.below(4) as usize;
        let entries: Vec<Entry> = replica.pending().iter().take(most).cloned().collect();
        if entries.is_empty() {
            return Ok(());
        }
        let at = replica.known();
        let fate = if self.is_calm { 9 } else { self.rng.below(10) };
        if fate == 0 {
            return self.unanswered(n, &entries);
        }
        if fate == 1 {
            self.late.push(Late { store: node.store, at, entries: entries.clone() });
            return self.unanswered(n, &entries);
        }
        match self.store(n).append(at, &entries) {
            Ok(_) if fate == 2 => {
                self.counts.unanswered += 1;
                self.publish_all();
                self.unanswered(n, &entries)
            }
            Ok(stored) => {
                self.publish_all();
                self.apply_all(n, stored)
            }
            Err(_) if fate == 2 => Ok(()),
            Err(refusal) => self.refused(n, refusal),
        }
    }

    /// Nothing is to be done: it is pending still.
    fn unanswered(&mut self, n: usize, entries: &[Entry]) -> Checked {
        if self.is(Sabotage::GivesUpUnanswered) {
            for entry in entries {
                let node = &mut self.nodes[n];
                if let Some(&Waiting::Send { serial, counter }) = node.waiting.get(&entry.id.counter) {
                    node.waiting.remove(&entry.id.counter);
                    let client = self.nodes[n].connection(serial).map(|connection| connection.client);
                    client.map_or(Ok(()), |client| self.tell(client, serial, Told::Refused { counter }))?;
                }
            }
        }
        Ok(())
    }

    /// A first attempt arrives after all.
    pub(crate) fn arrive_late(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let at = self.rng.below(self.late.len() as u64) as usize;
        let Late { store, at, entries } = self.late.swap_remove(at);
        if self.stores[store].append(at, &entries).is_ok() {
            self.counts.late += 1;
        }
        self.publish_all();
    }

    /// Publications are on their way to everybody, or lost.
    fn publish_all(&mut self) {
        for (at, store) in self.stores.iter_mut().enumerate() {
            for stored in std::mem::take(&mut store.published) {
                for node in self.nodes.iter_mut().filter(|node| node.store == at) {
                    if node.replica.is_some() && (self.is_calm || self.rng.below(5) > 0) {
                        node.inbox.push(stored.clone());
                    }
                }
            }
        }
    }

    /// A node hears some publications, in any order.
    pub(crate) fn hear_publications(&mut self, n: usize, most: usize) -> Checked {
        for _ in 0..most {
            let waiting = self.nodes[n].inbox.len() as u64;
            if waiting == 0 {
                break;
            }
            let at = if self.rng.below(3) == 0 { self.rng.below(waiting) as usize } else { 0 };
            let stored = self.nodes[n].inbox.remove(at);
            self.apply_all(n, vec![stored])?;
        }
        Ok(())
    }

    /// A node looks whether it has everything.
    pub(crate) fn look(&mut self, n: usize) -> Checked {
        let node = &self.nodes[n];
        let Some(replica) = node.replica.as_ref().filter(|_| node.reaches && !node.is_apart()) else {
            return Ok(());
        };
        let at = replica.applied();
        if self.is(Sabotage::NeverLooks) {
            return Ok(());
        }
        match self.store(n).read_after(at) {
            Ok(stored) => self.apply_all(n, stored),
            Err(refusal) => self.refused(n, refusal),
        }
    }

    fn apply_all(&mut self, n: usize, all: Vec<Stored>) -> Checked {
        if self.nodes[n].is_apart() {
            return Ok(());
        }
        for mut stored in all {
            if self.is(Sabotage::LocalClock) {
                stored.at = WallTime(self.nodes[n].clock(self.now).as_micros() / 1000);
            }
            let Some(replica) = &mut self.nodes[n].replica else { return Ok(()) };
            let before = replica.applied();
            if self.sabotage == Some(Sabotage::Leap) {
                leap(replica, &stored);
            }
            match replica.apply(&stored) {
                Step::Applied(applied) => self.applied(n, &stored, applied)?,
                Step::Seen => {}
                Step::OtherEpoch | Step::Missing => {
                    self.counts.missing += 1;
                    self.look(n)?;
                }
                Step::Doubt => {
                    self.counts.doubts += 1;
                    self.give_up(n, Some(before.epoch))?;
                }
            }
        }
        Ok(())
    }

    /// An entry has changed this node's replica.
    fn applied(&mut self, n: usize, stored: &Stored, applied: Applied) -> Checked {
        self.say(|| format!("  {n} applies {} {:?} {:?}", stored.version, stored.entry, applied.outcome));
        self.check_applied(stored, &applied)?;
        if self.rng.below(6) == 0 || self.is_calm {
            self.check_snapshot(n)?;
        }
        let node = &mut self.nodes[n];
        let Some(replica) = &node.replica else { return Ok(()) };
        let is_own = stored.entry.id.origin == node.latest();
        let waiting = if is_own && applied.outcome != Outcome::Repeat {
            node.waiting.remove(&stored.entry.id.counter)
        } else {
            None
        };
        let is_over = replica.is_over();
        if let Some(closed) = &applied.closed {
            let found =
                node.connections.iter().find(|own| own.member == closed.member && own.fence == closed.fence);
            if let Some((serial, client)) = found.map(|own| (own.serial, own.client)) {
                node.take(serial);
                let told = match closed.by {
                    ClosedBy::Replaced { is_own: false } | ClosedBy::Left => Told::Stop,
                    ClosedBy::Replaced { is_own: true } | ClosedBy::Dropped => Told::ComeBack,
                };
                self.tell(client, serial, told)?;
            }
        }
        match waiting {
            Some(Waiting::Join { serial }) => self.join_applied(n, serial, stored, applied.outcome)?,
            Some(Waiting::Send { serial, counter }) => {
                self.send_applied(n, serial, counter, &applied.outcome)?;
            }
            None => {}
        }
        self.close_slow(n)?;
        if is_over && self.nodes[n].replica.is_some() {
            self.counts.ended += 1;
            self.give_up(n, Some(stored.epoch))?;
        }
        Ok(())
    }

    fn join_applied(&mut self, n: usize, serial: u64, stored: &Stored, outcome: Outcome) -> Checked {
        let node = &mut self.nodes[n];
        // The socket has closed meanwhile; that it is to be dropped is pending.
        let Some(at) = node.at(serial) else { return Ok(()) };
        let Connection { client, fence, .. } = node.connections[at];
        match outcome {
            Outcome::Joined(joined) => {
                node.connections[at].is_joined = true;
                let Command::Join { resume, .. } = stored.entry.command else { panic!("{stored:?}") };
                let log = node.replica.as_ref().unwrap().log();
                let first = log.messages().next().map_or(log.tip() + 1, |first| first.sequence);
                let trimmed = log.position().1;
                let epoch = stored.epoch;
                self.tell(client, serial, Told::Joined { epoch, fence, joined, resume, first, trimmed })
            }
            Outcome::Refused { error, is_own } => {
                node.connections.remove(at);
                let stop = error == JoinError::Replaced && !is_own;
                self.counts.refused_joins += 1;
                self.tell(client, serial, if stop { Told::Stop } else { Told::ComeBack })
            }
            Outcome::Over => Ok(()),
            other => Err(format!("a join became {other:?}")),
        }
    }

    fn send_applied(&mut self, n: usize, serial: u64, counter: u64, outcome: &Outcome) -> Checked {
        let Some(client) = self.nodes[n].connection(serial).map(|found| found.client) else { return Ok(()) };
        let told = match outcome {
            Outcome::Sent(Ok(Sent::New(_))) => Told::Answer { counter },
            Outcome::Sent(Ok(Sent::Repeat(_))) => {
                self.counts.repeats += 1;
                Told::Answer { counter }
            }
            Outcome::Sent(Err(SendError::NoSuchMember)) => Told::Refused { counter },
            Outcome::Sent(Err(SendError::Fenced)) | Outcome::Over => return Ok(()),
            other => return Err(format!("a send became {other:?}")),
        };
        self.tell(client, serial, told)
    }

    /// Closes what is too slow.
    fn close_slow(&mut self, n: usize) -> Checked {
        let Some(replica) = &self.nodes[n].replica else { return Ok(()) };
        let slow: Vec<_> = replica.overrun().map(|(member, fence)| (member.clone(), fence)).collect();
        for (member, fence) in slow {
            let found =
                self.nodes[n].connections.iter().find(|own| own.member == member && own.fence == fence);
            if let Some((serial, client)) = found.map(|own| (own.serial, own.client)) {
                self.counts.overruns += 1;
                self.disconnect(n, serial);
                self.tell(client, serial, Told::ComeBack)?;
            }
        }
        Ok(())
    }

    /// A socket has closed.
    pub(crate) fn disconnect(&mut self, n: usize, serial: u64) {
        let now = self.nodes[n].clock(self.now);
        let Some(Connection { member, fence, .. }) = self.nodes[n].take(serial) else { return };
        if let Some(replica) = &mut self.nodes[n].replica {
            replica.disconnect(&member, fence, now);
        }
    }

    /// A client's join has come.
    pub(crate) fn join(
        &mut self,
        n: usize,
        mut connection: Connection,
        resume: Option<Resume>,
        after: Option<Fence>,
    ) -> Checked {
        self.open(n)?;
        let clock = self.nodes[n].clock(self.now);
        let by_clock = self.is(Sabotage::FenceByClock);
        let node = &mut self.nodes[n];
        let Some(replica) = &mut node.replica else {
            return self.tell(connection.client, connection.serial, Told::ComeBack);
        };
        let fence = replica.fence(clock, after);
        connection.fence = if by_clock { Fence(clock.as_micros()) } else { fence };
        let Connection { serial, client, fence, ref member, ref sender, .. } = connection;
        let (member, sender) = (member.clone(), sender.clone());
        if let Some(joined) = replica.join_apart(&member, fence, resume, Some(&sender), clock) {
            let epoch = replica.apart().unwrap().epoch();
            let Ok(joined) = joined else {
                return self.tell(client, serial, Told::ComeBack);
            };
            (connection.is_apart, connection.is_joined) = (true, true);
            let older = node.connections.iter().find(|own| own.member == member).map(|own| own.serial);
            node.connections.push(connection);
            older.into_iter().for_each(|older| self.disconnect(n, older));
            self.counts.joined_apart += 1;
            let told = Told::Joined { epoch, fence, joined, resume, first: 1, trimmed: 0 };
            return self.tell(client, serial, told);
        }
        let id = replica.propose(Command::Join { member, fence, resume, after, sender: Some(sender) });
        node.waiting.insert(id.counter, Waiting::Join { serial });
        node.connections.push(connection);
        Ok(())
    }

    /// A client's send has come.
    pub(crate) fn send_over(&mut self, n: usize, serial: u64, counter: u64, draft: Draft) -> Checked {
        let clock = self.nodes[n].clock(self.now);
        let node = &mut self.nodes[n];
        let Some(Connection { client, member, fence, .. }) = node.connection(serial) else { return Ok(()) };
        let (client, member, fence) = (*client, member.clone(), *fence);
        let Some(replica) = &mut node.replica else { return Ok(()) };
        let time = (clock, WallTime(clock.as_micros() / 1000));
        let label = label_of(&draft);
        match replica.send_apart((&member, fence, Some(counter)), draft.clone(), time) {
            None => {
                let id = replica.propose(Command::Send { member, fence, counter: Some(counter), draft });
                node.waiting.insert(id.counter, Waiting::Send { serial, counter });
                Ok(())
            }
            Some(Ok(handed)) => {
                let epoch = replica.applied().epoch;
                if let Some(handed) = handed {
                    for (member, fence) in handed.to {
                        self.hand(n, &member, fence, label)?;
                    }
                    self.note_apart(n, epoch, label);
                }
                self.tell(client, serial, Told::Answer { counter })
            }
            Some(Err(SendError::Fenced)) => {
                self.disconnect(n, serial);
                self.tell(client, serial, Told::ComeBack)
            }
            Some(Err(SendError::NoSuchMember)) => Err("apart, nobody knows who is there".into()),
        }
    }

    fn hand(&mut self, n: usize, member: &wire::room::MemberId, fence: Fence, label: u64) -> Checked {
        let own = |own: &&Connection| own.member == *member && own.fence == fence;
        let Some(Connection { client, serial, .. }) = self.nodes[n].connections.iter().find(own) else {
            return Ok(());
        };
        self.tell(*client, *serial, Told::Handed { label })
    }

    /// The application sends.
    pub(crate) fn publish_at(&mut self, n: usize, draft: Draft) -> Checked {
        self.open(n)?;
        let clock = self.nodes[n].clock(self.now);
        let label = label_of(&draft);
        let Some(replica) = &mut self.nodes[n].replica else { return Ok(()) };
        let epoch = replica.applied().epoch;
        let Some(handed) = replica.publish_apart(draft.clone(), WallTime(clock.as_micros() / 1000)) else {
            replica.propose(Command::Publish { draft });
            return Ok(());
        };
        for (member, fence) in handed.to {
            self.hand(n, &member, fence, label)?;
        }
        self.note_apart(n, epoch, label);
        Ok(())
    }

    /// A client has said that it leaves.
    pub(crate) fn leave_over(&mut self, n: usize, serial: u64) {
        let clock = self.nodes[n].clock(self.now);
        let Some(Connection { member, fence, .. }) = self.nodes[n].take(serial) else { return };
        if let Some(replica) = &mut self.nodes[n].replica {
            replica.leave_apart(&member, clock);
            replica.propose(Command::Leave { member, fence: Some(fence) });
        }
    }

    /// A node drops those who are on nodes that are gone, and those of its own that it has not.
    pub(crate) fn bury(&mut self, n: usize, held_for_dead: Option<NodeId>) {
        let node = &self.nodes[n];
        let Some(replica) = node.replica.as_ref().filter(|_| !node.is_apart()) else { return };
        if self.is(Sabotage::NeverBuries) {
            return;
        }
        let drops = replica.drops(|id, member, fence| match self.nodes.iter().find(|node| node.id == id) {
            Some(other) if other.id == node.id => node.has(member, fence),
            other => other.is_some() && held_for_dead != Some(id),
        });
        let replica = self.nodes[n].replica.as_mut().unwrap();
        for drop in drops {
            replica.propose(drop);
        }
    }

    pub(crate) fn compact(&mut self, n: usize) -> Checked {
        let clock = self.nodes[n].clock(self.now);
        let node = &self.nodes[n];
        let Some(replica) = node.replica.as_ref().filter(|_| node.reaches && !node.is_apart()) else {
            return Ok(());
        };
        let at = replica.applied();
        let mut snapshot = replica.snapshot();
        for member in &mut snapshot.log.members {
            if self.is(Sabotage::NoSenders) {
                member.record.senders.clear();
            }
            if self.is(Sabotage::HeardIsShared) && node.has(&member.id, member.record.fence) {
                member.last_seen = clock.as_micros();
            }
        }
        match self.store(n).compact(at, snapshot.to_bytes()) {
            Ok(()) => {
                self.counts.compactions += 1;
                Ok(())
            }
            Err(refusal) => self.refused(n, refusal),
        }
    }

    /// The store has not answered for a while.
    pub(crate) fn part(&mut self, n: usize) -> Checked {
        let node = &self.nodes[n];
        if node.reaches || node.replica.is_none() || node.is_apart() {
            return Ok(());
        }
        self.say(|| format!("{n} goes apart"));
        self.counts.parted += 1;
        // Whose join was not answered comes again.
        let joining: Vec<_> = node
            .connections
            .iter()
            .filter(|own| !own.is_joined)
            .map(|own| (own.client, own.serial))
            .collect();
        for (client, serial) in joining {
            self.disconnect(n, serial);
            self.tell(client, serial, Told::ComeBack)?;
        }
        let fresh = self.fresh();
        let clock = self.nodes[n].clock(self.now);
        let rules = self.rules;
        let time = (clock, WallTime(clock.as_micros() / 1000));
        let replica = self.nodes[n].replica.as_mut().unwrap();
        let epoch = replica.applied().epoch;
        let pending = replica.pending().clone();
        for (id, handed) in replica.part(fresh, rules, time) {
            let entry = pending.iter().find(|entry| entry.id == id).unwrap();
            let (Command::Send { draft, .. } | Command::Publish { draft }) = &entry.command else {
                return Err(format!("{entry:?} is handed out"));
            };
            let label = label_of(draft);
            for (member, fence) in handed.to {
                self.hand(n, &member, fence, label)?;
            }
            self.note_apart(n, epoch, label);
            if let Some(Waiting::Send { serial, counter }) = self.nodes[n].waiting.remove(&id.counter)
                && let Some(client) = self.nodes[n].connection(serial).map(|own| own.client)
            {
                self.tell(client, serial, Told::Answer { counter })?;
            }
        }
        Ok(())
    }

    /// The store answers again.
    pub(crate) fn reach(&mut self, n: usize) -> Checked {
        (self.nodes[n].reaches, self.nodes[n].store) = (true, self.stores.len() - 1);
        self.end_doubted(n);
        let Some(replica) = &mut self.nodes[n].replica else { return Ok(()) };
        let epoch = replica.applied().epoch;
        match replica.reunite() {
            Reunion::Doubt if !self.is(Sabotage::SpokenAndStays) => self.give_up(n, Some(epoch)),
            Reunion::Doubt => {
                let own: Vec<_> = self.nodes[n]
                    .connections
                    .iter()
                    .filter(|own| own.is_apart)
                    .map(|own| own.serial)
                    .collect();
                self.come_back(n, own)?;
                self.look(n)
            }
            Reunion::GoOn(came) => {
                let own = &self.nodes[n].connections;
                let is_among = |own: &&Connection| came.contains(&(own.member.clone(), own.fence));
                let own: Vec<_> = own.iter().filter(is_among).map(|own| own.serial).collect();
                self.come_back(n, own)?;
                self.look(n)
            }
        }
    }

    fn come_back(&mut self, n: usize, serials: Vec<u64>) -> Checked {
        for serial in serials {
            if let Some(Connection { client, .. }) = self.nodes[n].take(serial) {
                self.tell(client, serial, Told::ComeBack)?;
            }
        }
        Ok(())
    }

    /// What waits for a connection, as its node hands it out.
    pub(crate) fn pull_over(
        &mut self,
        n: usize,
        serial: u64,
        most: usize,
    ) -> Checked<Vec<(u64, std::sync::Arc<room::log::Message>)>> {
        let node = &mut self.nodes[n];
        let Some(own) = node.connection(serial).filter(|own| own.is_joined && !own.is_apart) else {
            return Ok(Vec::new());
        };
        let (client, member, fence) = (own.client, own.member.clone(), own.fence);
        let Some(replica) = &mut node.replica else { return Ok(Vec::new()) };
        match replica.pull(&member, fence, (most, 2000)) {
            Ok(pulled) => Ok(pulled),
            Err(error) => {
                self.counts.overruns += u64::from(error == PullError::Overrun);
                self.disconnect(n, serial);
                self.tell(client, serial, Told::ComeBack)?;
                Ok(Vec::new())
            }
        }
    }
}

/// The mistake of passing over what is missing.
fn leap(replica: &mut Replica, stored: &Stored) {
    while replica.applied().epoch == stored.epoch && replica.applied().version + 1 < stored.version {
        let mut nothing = stored.clone();
        nothing.version = replica.applied().version + 1;
        nothing.entry.id.origin = Origin { node: NodeId(5000), opening: nothing.version };
        nothing.entry.command =
            Command::Drop { member: "nobody".parse().unwrap(), fence: Fence(0), node: NodeId(0) };
        replica.apply(&nothing);
    }
}

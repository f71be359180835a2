//! Members' clients: what they remember, and what they must never see.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use room::log::{Draft, Message};
use wire::room::{Epoch, Fence, GapReason, MemberId, Resume, SenderId};

use crate::node::{Connection, Told, label};
use crate::world::{Outcome, World};

/// A member's client, and its end of a connection.
pub(crate) struct Client {
    pub(crate) id: MemberId,
    /// What it may rely on: nothing, at first.
    pub(crate) epoch: Option<Epoch>,
    /// In which epochs it was, in this life.
    visited: BTreeSet<Epoch>,
    last: u64,
    /// Told as missing: numbers after, and before.
    gaps: Vec<(u64, u64)>,
    pub(crate) fence: Option<Fence>,
    /// The node and serial of the connection that it believes in.
    pub(crate) connection: Option<(usize, u64)>,
    /// A connection that is dead without the node's knowing.
    half_open: Vec<(usize, u64)>,
    pub(crate) is_joined: bool,
    /// It never comes back.
    pub(crate) is_gone: bool,
    under_way: VecDeque<(u64, Arc<Message>)>,
    lives: u64,
    counter: u64,
    /// Sent, and not answered; the first of them over this connection.
    pub(crate) unanswered: VecDeque<(u64, Draft)>,
    submitted: usize,
    /// What came in this life.
    pub(crate) heard: BTreeMap<u64, Option<(usize, u64)>>,
    /// The last message that it sent.
    pub(crate) sent_last: u64,
}

impl Client {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            id: format!("m{number}").parse().unwrap(),
            epoch: None,
            visited: BTreeSet::new(),
            last: 0,
            gaps: Vec::new(),
            fence: None,
            connection: None,
            half_open: Vec::new(),
            is_joined: false,
            is_gone: false,
            under_way: VecDeque::new(),
            lives: 0,
            counter: 0,
            unanswered: VecDeque::new(),
            submitted: 0,
            heard: BTreeMap::new(),
            sent_last: 0,
        }
    }

    pub(crate) fn sender(&self) -> SenderId {
        format!("{}.{}", self.id, self.lives).parse().unwrap()
    }

    /// Whether what it had sent was accepted, it does not know: it counts anew.
    fn begin_anew(&mut self) {
        self.lives += 1;
        self.counter = 0;
        self.unanswered.clear();
    }

    fn forget(&mut self) {
        self.begin_anew();
        (self.epoch, self.fence, self.last) = (None, None, 0);
        self.heard.clear();
        self.visited.clear();
    }
}

impl World {
    /// The network swallows everything from here on; the node does not know.
    pub(crate) fn cut(&mut self, at: usize) {
        let client = &mut self.clients[at];
        client.half_open.extend(client.connection.take());
        client.is_joined = false;
        client.under_way.clear();
        client.submitted = 0;
    }

    /// The page is gone, with all that it knew.
    pub(crate) fn reload(&mut self, at: usize) {
        self.cut(at);
        self.clients[at].forget();
    }

    /// Nodes find out.
    pub(crate) fn notice(&mut self, at: usize) {
        for (n, serial) in std::mem::take(&mut self.clients[at].half_open) {
            self.disconnect(n, serial);
        }
    }

    pub(crate) fn connect(&mut self, at: usize) -> Outcome {
        self.cut(at);
        self.serials += 1;
        let serial = self.serials;
        let n = self.rng.below(self.nodes.len() as u64) as usize;
        let any = [None, Some(Resume::Live), Some(Resume::Start), Some(Resume::Acknowledged)];
        let any = any[self.rng.below(4) as usize];
        let client = &mut self.clients[at];
        client.connection = Some((n, serial));
        let resume = client.epoch.map(|epoch| Resume::After { epoch, sequence: client.last }).or(any);
        let connection = Connection {
            serial,
            client: at,
            member: client.id.clone(),
            fence: Fence(0),
            sender: client.sender(),
            is_joined: false,
            is_apart: false,
        };
        let after = client.fence;
        self.join(n, connection, resume, after)
    }

    pub(crate) fn send(&mut self, at: usize) -> Outcome {
        let (draft, label) = self.draft(Some(at));
        let client = &mut self.clients[at];
        client.counter += 1;
        client.sent_last = label;
        client.unanswered.push_back((client.counter, draft));
        if !self.is_calm && self.rng.below(8) == 0 {
            self.cut(at);
        }
        self.resend(at)
    }

    /// What was not sent over this connection yet goes out, in order.
    pub(crate) fn resend(&mut self, at: usize) -> Outcome {
        loop {
            let client = &mut self.clients[at];
            let Some((n, serial)) = client.connection.filter(|_| client.is_joined) else { return Ok(()) };
            let Some((counter, draft)) = client.unanswered.get(client.submitted).cloned() else {
                return Ok(());
            };
            client.submitted += 1;
            self.send_over(n, serial, counter, draft)?;
        }
    }

    pub(crate) fn leave(&mut self, at: usize) {
        if let Some((n, serial)) = self.clients[at].connection.filter(|_| self.clients[at].is_joined) {
            self.leave_over(n, serial);
            self.reload(at);
        }
    }

    pub(crate) fn acknowledge(&mut self, at: usize) {
        let client = &self.clients[at];
        let Some((n, serial)) = client.connection.filter(|_| client.is_joined) else { return };
        let last = client.last;
        let clock = self.nodes[n].clock(self.now);
        let node = &mut self.nodes[n];
        let Some(own) = node.connection(serial).filter(|own| !own.is_apart) else { return };
        let (member, fence) = (own.member.clone(), own.fence);
        if let Some(replica) = node.replica.as_mut().filter(|replica| replica.apart().is_none()) {
            replica.heard(&member, fence, clock);
            replica.acknowledge(&member, fence, last);
        }
    }

    pub(crate) fn pull(&mut self, at: usize, most: usize) -> Outcome {
        let client = &self.clients[at];
        // A half-open connection is written to, too.
        for (n, serial) in client.half_open.clone() {
            self.pull_over(n, serial, most)?;
        }
        let Some((n, serial)) = self.clients[at].connection else { return Ok(()) };
        let pulled = self.pull_over(n, serial, most)?;
        let client = &mut self.clients[at];
        if client.connection == Some((n, serial)) {
            client.under_way.extend(pulled);
        }
        Ok(())
    }

    pub(crate) fn hear(&mut self, at: usize, most: usize) -> Outcome {
        for _ in 0..most {
            let Some((prev, message)) = self.clients[at].under_way.pop_front() else { return Ok(()) };
            self.check_missing(at, message.sequence)?;
            let client = &mut self.clients[at];
            let Client { ref id, last, epoch, .. } = *client;
            if prev != last {
                return Err(format!("{id}: {} follows {prev}, not {last}", message.sequence));
            }
            if message.sequence <= last || !message.is_for(id) {
                return Err(format!("{id} hears {} after {last}", message.sequence));
            }
            let history = epoch.and_then(|epoch| self.history.get(&epoch));
            if history.and_then(|all| all.get(message.sequence as usize - 1)) != Some(&message) {
                return Err(format!("{id}: {} is another message", message.sequence));
            }
            client.last = message.sequence;
            self.counts.delivered += 1;
            self.hear_label(at, label(&message.payload))?;
        }
        Ok(())
    }

    fn hear_label(&mut self, at: usize, label: u64) -> Outcome {
        let over = self.clients[at].connection;
        let before = self.clients[at].heard.insert(label, over);
        // What was handed out apart may come again with a number, when its answer was lost and it was sent again elsewhere;
        // never over the same connection.
        if before.is_some_and(|before| before == over || !self.handed.contains(&label)) {
            return Err(format!("{} hears {label} twice", self.clients[at].id));
        }
        Ok(())
    }

    /// Everything for this member after its last message and before this number was told as missing.
    pub(crate) fn check_missing(&self, at: usize, before: u64) -> Outcome {
        let client = &self.clients[at];
        let Some(history) = client.epoch.and_then(|epoch| self.history.get(&epoch)) else { return Ok(()) };
        let between = history.iter().filter(|message| {
            message.sequence > client.last && message.sequence < before && message.is_for(&client.id)
        });
        for message in between {
            let sequence = message.sequence;
            if !client.gaps.iter().any(|&(after, before)| after < sequence && sequence < before) {
                return Err(format!("{} never heard {sequence}", client.id));
            }
        }
        Ok(())
    }

    /// A node tells a client something, which hears it if the connection is the one that it believes in.
    pub(crate) fn tell(&mut self, at: usize, serial: u64, told: Told) -> Outcome {
        if self.clients[at].connection.is_none_or(|(_, own)| own != serial) {
            return Ok(());
        }
        // It may be lost, and the connection with it.
        if !self.is_calm && self.rng.below(16) == 0 {
            self.cut(at);
            return Ok(());
        }
        match told {
            Told::Joined { epoch, fence, joined, resume, first, trimmed } => {
                self.joined(at, epoch, fence, &joined, resume, (first, trimmed))
            }
            Told::Answer { counter } | Told::Refused { counter } => {
                let client = &mut self.clients[at];
                let Some(index) = client.unanswered.iter().position(|(own, _)| *own == counter) else {
                    return Ok(());
                };
                let (_, draft) = client.unanswered.remove(index).unwrap_or_else(|| unreachable!());
                client.submitted -= 1;
                if matches!(told, Told::Refused { .. }) && draft.to.is_none() {
                    // Nothing was sent, it was told: it may say it again.
                    client.counter += 1;
                    client.unanswered.push_back((client.counter, draft));
                }
                Ok(())
            }
            Told::Handed { label } => self.hear_label(at, label),
            Told::ComeBack => {
                self.lose(at);
                Ok(())
            }
            Told::Stop => {
                self.counts.stops += 1;
                if self.clocks_agree {
                    return Err(format!("{} is told to stop", self.clients[at].id));
                }
                self.say(|| format!("{at} is told to stop"));
                self.lose(at);
                // Somebody takes it up again.
                self.clients[at].forget();
                Ok(())
            }
        }
    }

    /// The node has closed the connection.
    fn lose(&mut self, at: usize) {
        let own = self.clients[at].connection;
        self.cut(at);
        self.clients[at].half_open.retain(|half_open| Some(*half_open) != own);
    }

    fn joined(
        &mut self,
        at: usize,
        epoch: Epoch,
        fence: Fence,
        joined: &room::log::Joined,
        resume: Option<Resume>,
        (first, trimmed): (u64, u64),
    ) -> Outcome {
        self.say(|| format!("{at} has joined {epoch} by {fence:?}: {joined:?}"));
        self.counts.gaps += u64::from(joined.gap.is_some());
        self.counts.replaced += u64::from(joined.replaced.is_some());
        let client = &mut self.clients[at];
        client.gaps.clear();
        if let Some(gap) = joined.gap {
            client.gaps.push((if gap.reason == GapReason::Epoch { 0 } else { gap.after }, gap.before));
        }
        if resume == Some(Resume::Start) {
            // All that there is was asked for: what is older is not missing.
            client.gaps.extend([(0, first), (0, trimmed + 1)]);
        }
        if let Some(Resume::After { epoch: own, sequence }) = resume {
            let is_told = joined.gap.is_some_and(|gap| gap.reason == GapReason::Epoch);
            if own != epoch && !is_told {
                return Err(format!("{} was not told of another epoch", client.id));
            }
            let elsewhere =
                joined.position != sequence || joined.gap.is_some_and(|gap| gap.after != sequence);
            if own == epoch && elsewhere {
                return Err(format!("{} goes on elsewhere than after {sequence}", client.id));
            }
        }
        let is_other = client.epoch.is_some_and(|own| own != epoch);
        if !client.visited.insert(epoch) && is_other {
            // It was here before, and elsewhere since: nothing is known of before, it was told.
            client.heard.clear();
        }
        (client.epoch, client.last, client.fence) = (Some(epoch), joined.position, Some(fence));
        if is_other {
            client.begin_anew();
            self.cut(at);
            return Ok(());
        }
        let accepted = joined.accepted;
        // Some clients believe `accepted`, others send again what has no answer.
        let believes = self.rng.below(2) == 0;
        let client = &mut self.clients[at];
        while believes && client.unanswered.front().is_some_and(|(counter, _)| *counter <= accepted) {
            client.unanswered.pop_front();
        }
        (client.is_joined, client.submitted) = (true, 0);
        Ok(())
    }
}

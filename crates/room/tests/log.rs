//! Any interleaving of sends, drops, resumes, acknowledgements, expiries, takeovers and restarts gives every member
//! every message once and in order, or an explicit gap (R1, R3, R4, R7, R10, R11), beside a model that forgets nothing.
//!
//! `INTERPLAY_SEED=123 cargo test --release -p interplay-room --test log -- --nocapture` tells one life of a room;
//! `INTERPLAY_SEEDS=1000000` runs more than the usual number.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::{Rng, Timestamp, WallTime, derive_seed};
use room::log::{
    Draft, JoinError, Joined, Log, LogRules, Member, MemberRecord, Message, PullError, SendError, Sent,
};
use wire::room::{Class, Epoch, Fence, Gap, GapReason, MemberId, Payload, Resume, SenderId};

#[path = "support/rules.rs"]
mod rules;
use rules::rules;

const SEEDS: u64 = 100_000;
const STEPS: u64 = 60;

/// A member's client: what it remembers, and its end of a connection.
struct Client {
    id: MemberId,
    /// What it may rely on: nothing, at first.
    epoch: Option<Epoch>,
    last: u64,
    /// Told as missing: numbers after, and before.
    gaps: Vec<(u64, u64)>,
    fence: Option<Fence>,
    /// The connection that it believes in, and what is under way over it.
    open: bool,
    under_way: VecDeque<(u64, Arc<Message>)>,
    lives: u64,
    counter: u64,
    /// Sent, and not answered.
    unanswered: VecDeque<(u64, Draft, u64)>,
    /// What it processed and may acknowledge.
    processed: u64,
}

impl Client {
    fn sender(&self) -> SenderId {
        format!("{}.{}", self.id, self.lives).parse().unwrap()
    }
}

/// What was sent, of this epoch.
struct Record {
    message: Arc<Message>,
    label: u64,
}

struct World {
    rng: Rng,
    rules: LogRules,
    log: Log,
    now: Timestamp,
    fences: u64,
    epochs: u64,
    clients: Vec<Client>,
    history: Vec<Record>,
    /// What senders' counters became, in all epochs.
    accepted: BTreeMap<(SenderId, u64), u64>,
    labels: u64,
    tell: bool,
    counts: Counts,
}

#[derive(Default, Debug)]
struct Counts {
    delivered: u64,
    gaps: u64,
    takeovers: u64,
    repeats: u64,
    overruns: u64,
    expiries: u64,
    restarts: u64,
    refused: u64,
}

type Outcome = Result<(), String>;

impl World {
    fn new(seed: u64, tell: bool) -> Self {
        let mut rng = Rng::from_seed(derive_seed(seed, 0));
        let rules = rules(&mut rng);
        let now = Timestamp::from_millis(1_000_000);
        let client = |number: u64| Client {
            id: format!("m{number}").parse().unwrap(),
            epoch: None,
            last: 0,
            gaps: Vec::new(),
            fence: None,
            open: false,
            under_way: VecDeque::new(),
            lives: 0,
            counter: 0,
            unanswered: VecDeque::new(),
            processed: 0,
        };
        let clients = (0..2 + rng.below(3)).map(client).collect();
        Self {
            log: Log::new(Epoch(1), rules, now),
            rng,
            rules,
            now,
            fences: 0,
            epochs: 1,
            clients,
            history: Vec::new(),
            accepted: BTreeMap::new(),
            labels: 0,
            tell,
            counts: Counts::default(),
        }
    }

    fn run(&mut self) -> Outcome {
        for _ in 0..STEPS {
            self.step()?;
        }
        // Everybody comes back and listens to the end: nothing may be left out.
        for _ in 0..60 {
            for at in 0..self.clients.len() {
                if !self.clients[at].open {
                    self.connect(at)?;
                }
                self.resend(at)?;
                self.pull(at, 64)?;
                self.hear(at, 64)?;
            }
        }
        for at in 0..self.clients.len() {
            self.check_missing(at, self.log.tip() + 1)?;
            if !self.clients[at].unanswered.is_empty() {
                return Err(format!("{at} was never answered"));
            }
        }
        Ok(())
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.tell {
            println!("{:9.3}  {}", self.now.as_micros() as f64 / 1e6, what());
        }
    }

    fn step(&mut self) -> Outcome {
        self.now += Duration::from_millis(self.rng.below(400));
        self.expire();
        let at = self.rng.below(self.clients.len() as u64) as usize;
        let open = self.clients[at].open;
        let some = 1 + self.rng.below(5) as usize;
        match self.rng.below(20) {
            0..=5 if open => self.send(at),
            6..=8 if open => self.pull(at, some),
            9..=10 => self.hear(at, some),
            11 if open => self.acknowledge(at),
            0..=11 => Ok(()),
            12 => {
                // The page is gone, with all that it knew; the server may learn of it or not.
                self.cut(at);
                let client = &mut self.clients[at];
                (client.epoch, client.fence) = (None, None);
                client.lives += 1;
                client.counter = 0;
                client.unanswered.clear();
                Ok(())
            }
            13..=14 => {
                self.cut(at);
                Ok(())
            }
            15 => {
                self.notice(at);
                Ok(())
            }
            16..=17 => self.connect(at),
            18 => self.publish(),
            _ => match self.rng.below(6) {
                0 => self.restart(),
                1 => {
                    self.now += Duration::from_secs(self.rng.below(25));
                    Ok(())
                }
                2 if open => self.leave(at),
                3 => self.old_connection(at),
                _ => Ok(()),
            },
        }
    }

    fn expire(&mut self) {
        if self.log.poll_timeout().is_some_and(|at| at <= self.now) {
            self.log.handle_timeout(self.now);
        }
        if self.log.is_over(self.now) {
            self.say(|| "the room is over".into());
            self.counts.expiries += 1;
            self.epochs += 1;
            self.log = Log::new(Epoch(self.epochs), self.rules, self.now);
            self.history.clear();
            for client in &mut self.clients {
                client.open = false;
                client.under_way.clear();
            }
        }
    }

    fn draft(&mut self, own: Option<usize>) -> (Draft, u64) {
        self.labels += 1;
        let to = self.rng.below(self.clients.len() as u64) as usize;
        let to = (self.rng.below(3) == 0 && Some(to) != own).then(|| self.clients[to].id.clone());
        let class = if self.rng.below(5) == 0 { Class::Keep } else { Class::Normal };
        let pad = "x".repeat(self.rng.below(60) as usize);
        let payload = Payload::Json(format!("[{},\"{pad}\"]", self.labels).into());
        (Draft { to, class, payload }, self.labels)
    }

    fn send(&mut self, at: usize) -> Outcome {
        let (draft, label) = self.draft(Some(at));
        let client = &mut self.clients[at];
        client.counter += 1;
        client.unanswered.push_back((client.counter, draft, label));
        // Sometimes it is lost on the way, and so is all after it: the connection is dead without anybody's knowing.
        if self.rng.below(8) == 0 {
            self.cut(at);
            return Ok(());
        }
        self.resend(at)
    }

    /// What a client has not had answered goes out again, in order.
    fn resend(&mut self, at: usize) -> Outcome {
        let client = &self.clients[at];
        let (id, sender) = (client.id.clone(), client.sender());
        let Some(fence) = client.fence.filter(|_| client.open) else { return Ok(()) };
        while let Some((counter, draft, label)) = self.clients[at].unanswered.front().cloned() {
            let time = (self.now, WallTime(self.now.as_micros() / 1000));
            match self.log.send(&id, fence, Some(counter), draft, time) {
                Ok(Sent::New(message)) => {
                    self.say(|| format!("{id} sends {} as {label}", message.sequence));
                    if self.accepted.insert((sender.clone(), counter), label).is_some() {
                        return Err(format!("{sender} {counter} was sent twice"));
                    }
                    self.add(message, label)?;
                }
                Ok(Sent::Repeat(_)) => {
                    self.counts.repeats += 1;
                    if !self.accepted.contains_key(&(sender.clone(), counter)) {
                        return Err(format!("{sender} {counter} is no repeat"));
                    }
                }
                Err(SendError::NoSuchMember) => self.counts.refused += 1,
                Err(SendError::Fenced) => {
                    self.cut(at);
                    return Ok(());
                }
            }
            self.cut_off_slow();
            // The answer may be lost.
            if self.rng.below(10) == 0 {
                self.cut(at);
                return Ok(());
            }
            self.clients[at].unanswered.pop_front();
        }
        Ok(())
    }

    fn add(&mut self, message: Arc<Message>, label: u64) -> Outcome {
        let next = self.history.last().map_or(1, |record| record.message.sequence + 1);
        if message.sequence != next {
            return Err(format!("number {} after {}", message.sequence, next - 1));
        }
        self.history.push(Record { message, label });
        Ok(())
    }

    fn publish(&mut self) -> Outcome {
        let (draft, label) = self.draft(None);
        match self.log.publish(draft, self.now, WallTime(self.now.as_micros() / 1000)) {
            Ok(message) => {
                self.say(|| format!("the server sends {} as {label}", message.sequence));
                self.add(message, label)?;
                self.cut_off_slow();
            }
            Err(_) => self.counts.refused += 1,
        }
        Ok(())
    }

    /// The server closes what is too slow, as its driver does.
    fn cut_off_slow(&mut self) {
        let slow: Vec<_> = self.log.overrun().map(|(id, fence)| (id.clone(), fence)).collect();
        for (id, fence) in slow {
            self.say(|| format!("{id} is too slow"));
            self.counts.overruns += 1;
            self.log.drop(&id, fence, self.now);
        }
    }

    fn pull(&mut self, at: usize, most: usize) -> Outcome {
        let client = &mut self.clients[at];
        let Some(fence) = client.fence else { return Ok(()) };
        match self.log.pull(&client.id, fence, (most, 2000)) {
            Ok(pulled) if client.open => client.under_way.extend(pulled),
            // Into the void of a half-open connection.
            Ok(_) => {}
            Err(PullError::Overrun) => {
                self.log.drop(&client.id, fence, self.now);
                client.open = false;
            }
            Err(PullError::Fenced) => client.open = false,
        }
        Ok(())
    }

    fn hear(&mut self, at: usize, most: usize) -> Outcome {
        for _ in 0..most {
            let Some((prev, message)) = self.clients[at].under_way.pop_front() else { return Ok(()) };
            self.check_missing(at, message.sequence)?;
            let client = &mut self.clients[at];
            if prev != client.last {
                return Err(format!(
                    "{}: {} follows {prev}, not {}",
                    client.id, message.sequence, client.last
                ));
            }
            if message.sequence <= client.last || !message.is_for(&client.id) {
                return Err(format!("{} hears {} after {}", client.id, message.sequence, client.last));
            }
            let record = &self.history[message.sequence as usize - 1];
            if record.message != message {
                return Err(format!("{} is another message than {}", message.sequence, record.label));
            }
            client.last = message.sequence;
            client.processed = message.sequence;
            self.counts.delivered += 1;
        }
        Ok(())
    }

    /// Everything for this member after its last message and before this number was told as missing.
    fn check_missing(&self, at: usize, before: u64) -> Outcome {
        let client = &self.clients[at];
        for record in &self.history {
            let sequence = record.message.sequence;
            if sequence > client.last && sequence < before && record.message.is_for(&client.id) {
                let told = client.gaps.iter().any(|&(after, before)| after < sequence && sequence < before);
                if !told {
                    return Err(format!("{} never heard {sequence}", client.id));
                }
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, at: usize) -> Outcome {
        let client = &self.clients[at];
        if let Some(fence) = client.fence {
            self.log.acknowledge(&client.id, fence, client.processed, self.now);
        }
        Ok(())
    }

    /// The network swallows everything from here on.
    fn cut(&mut self, at: usize) {
        let client = &mut self.clients[at];
        client.open = false;
        client.under_way.clear();
    }

    /// The server finds out.
    fn notice(&mut self, at: usize) {
        let client = &self.clients[at];
        if let Some(fence) = client.fence.filter(|_| !client.open) {
            self.log.drop(&client.id, fence, self.now);
        }
    }

    fn connect(&mut self, at: usize) -> Outcome {
        self.cut(at);
        self.fences += 1;
        let fence = Fence(self.fences);
        let client = &self.clients[at];
        let (id, sender) = (client.id.clone(), client.sender());
        let remembers = client.epoch;
        let resume = match remembers {
            Some(epoch) => Some(Resume::After { epoch, sequence: client.last }),
            None => [None, Some(Resume::Live), Some(Resume::Start), Some(Resume::Acknowledged)]
                [self.rng.below(4) as usize],
        };
        let known = self.log.member(&id).map(Member::acknowledged);
        let joined = self.log.join(&id, fence, resume, client.fence, Some(&sender), self.now);
        let joined = match joined {
            Ok(joined) => joined,
            Err(JoinError::Full) => return Ok(()),
            Err(JoinError::Replaced) => return Err(format!("{id} is refused as replaced")),
        };
        self.say(|| format!("{id} joins by {fence:?} with {resume:?}: {joined:?}"));
        self.counts.takeovers += u64::from(joined.replaced.is_some());
        self.counts.gaps += u64::from(joined.gap.is_some());
        self.check_joined(at, &joined, resume, known)?;
        // The answer may be lost: the client knows nothing of this connection.
        if self.rng.below(10) == 0 {
            self.clients[at].open = false;
            return Ok(());
        }
        let epoch = self.log.epoch();
        let accepted = joined.accepted;
        let client = &mut self.clients[at];
        client.gaps.clear();
        if let Some(Gap { before, reason, after }) = joined.gap {
            client.gaps.push((if reason == GapReason::Epoch { 0 } else { after }, before));
        }
        if resume == Some(Resume::Start) {
            // All that there is was asked for: what is older is not missing.
            client
                .gaps
                .push((0, self.log.messages().next().map_or(self.log.tip() + 1, |first| first.sequence)));
            let trimmed = self.log.position().1;
            client.gaps.push((0, trimmed + 1));
        }
        if remembers.is_some_and(|remembered| remembered != epoch) {
            // Whether what was not answered had been accepted, nobody knows: a new life counts anew.
            client.lives += 1;
            client.counter = 0;
            client.unanswered.clear();
            client.open = false;
            (client.epoch, client.last, client.fence) = (Some(epoch), joined.position, Some(fence));
            client.processed = joined.position;
            return self.connect(at);
        }
        (client.epoch, client.last, client.fence) = (Some(epoch), joined.position, Some(fence));
        client.processed = joined.position;
        client.open = true;
        // Some clients believe `accepted`, others send again what has no answer.
        let believes = self.rng.below(2) == 0;
        while believes && client.unanswered.front().is_some_and(|(counter, ..)| *counter <= accepted) {
            client.unanswered.pop_front();
        }
        Ok(())
    }

    fn check_joined(
        &self,
        at: usize,
        joined: &Joined,
        resume: Option<Resume>,
        known: Option<u64>,
    ) -> Outcome {
        let client = &self.clients[at];
        match resume {
            Some(Resume::After { epoch, sequence }) if epoch == self.log.epoch() => {
                if joined.position != sequence || joined.gap.is_some_and(|gap| gap.after != sequence) {
                    return Err(format!("{} goes on elsewhere than after {sequence}", client.id));
                }
            }
            Some(Resume::After { .. }) => {
                if joined.gap.is_none_or(|gap| gap.reason != GapReason::Epoch) {
                    return Err(format!("{} was not told of another epoch", client.id));
                }
            }
            Some(Resume::Acknowledged) | None => {
                if known.is_some_and(|known| joined.position != known) {
                    return Err(format!("{} goes on elsewhere than at its acknowledgement", client.id));
                }
            }
            Some(Resume::Live | Resume::Start) => {}
        }
        if joined.away.is_some() != known.is_some() {
            return Err(format!("{} is new, or not", client.id));
        }
        Ok(())
    }

    fn leave(&mut self, at: usize) -> Outcome {
        let client = &mut self.clients[at];
        if let Some(fence) = client.fence {
            self.log.leave(&client.id, Some(fence), self.now);
        }
        (client.open, client.epoch) = (false, None);
        client.lives += 1;
        client.counter = 0;
        client.unanswered.clear();
        client.under_way.clear();
        Ok(())
    }

    /// A connection that was replaced can do nothing more.
    fn old_connection(&mut self, at: usize) -> Outcome {
        let client = &self.clients[at];
        let Some(fence) = client.fence.filter(|fence| fence.0 > 1) else { return Ok(()) };
        let (id, old) = (client.id.clone(), Fence(fence.0 - 1));
        let before = format!("{:?}", self.log);
        let (draft, _) = self.draft(Some(at));
        let time = (self.now, WallTime(0));
        let refused = self.log.send(&id, old, Some(99), draft, time) == Err(SendError::Fenced)
            && self.log.pull(&id, old, (9, 999)) == Err(PullError::Fenced)
            && !self.log.acknowledge(&id, old, 1, self.now)
            && !self.log.drop(&id, old, self.now)
            && !self.log.leave(&id, Some(old), self.now)
            && self.log.member(&id).is_none_or(|_| {
                self.log.clone().join(&id, old, None, None, None, self.now) == Err(JoinError::Replaced)
            });
        if !refused || before != format!("{:?}", self.log) {
            return Err(format!("{id}: an older connection did something"));
        }
        Ok(())
    }

    /// The process is killed, and reads back what it had written down.
    fn restart(&mut self) -> Outcome {
        self.say(|| "a restart".into());
        self.counts.restarts += 1;
        let old = &self.log;
        let mut log = Log::new(old.epoch(), self.rules, self.now);
        let members: Vec<(MemberId, MemberRecord)> =
            old.members().map(|(id, member)| (id.clone(), member.record())).collect();
        let (next, trimmed) = old.position();
        for (id, record) in members {
            log.restore_member(id, record, self.now);
        }
        for message in old.messages() {
            log.restore_message(Arc::clone(message), None);
        }
        log.restore_position(next, trimmed);
        if log.messages().ne(old.messages()) || log.position() != old.position() {
            return Err("a restart lost something".into());
        }
        self.log = log;
        for client in &mut self.clients {
            client.open = false;
            client.under_way.clear();
        }
        Ok(())
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn every_member_hears_everything_once_and_in_order_or_of_a_gap() {
    if let Some(seed) = number("INTERPLAY_SEED") {
        World::new(seed, true).run().unwrap();
        return;
    }
    let seeds = number("INTERPLAY_SEEDS").unwrap_or(SEEDS);
    let mut failures = Vec::new();
    let mut sum = Counts::default();
    for seed in 0..seeds {
        let mut world = World::new(seed, false);
        if let Err(violation) = world.run() {
            failures.push(format!("INTERPLAY_SEED={seed}: {violation}"));
        }
        let Counts { delivered, gaps, takeovers, repeats, overruns, expiries, restarts, refused } =
            world.counts;
        sum.delivered += delivered;
        sum.gaps += gaps;
        sum.takeovers += takeovers;
        sum.repeats += repeats;
        sum.overruns += overruns;
        sum.expiries += expiries;
        sum.restarts += restarts;
        sum.refused += refused;
    }
    println!("{seeds} rooms: {sum:?}");
    let some = failures.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {seeds} rooms failed, among them\n{some}", failures.len());
    // Lives in which nothing happened prove nothing.
    let rare = [sum.gaps, sum.takeovers, sum.repeats, sum.overruns, sum.expiries, sum.restarts, sum.refused];
    assert!(sum.delivered > seeds && rare.iter().all(|&count| count > seeds / 50), "{sum:?}");
}

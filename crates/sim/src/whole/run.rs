//! The loop of events in virtual time.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::{BTreeMap, BinaryHeap};

use base::{Frame, Rng, derive_seed};
use link::{Direct, Lane};
use session::SeatPhase;
use wire::batch::{BatchAcknowledgement, RecordBatch};
use wire::close::CloseCode;
use wire::packet::Packet;

use super::check::{Together, Violation};
use super::outcome::{LastPage, Outcome, Seen};
use super::page::{Out, Page};
use super::plan::{Fault, Plan, Sabotage};
use super::server::{Input, Server, Tell, resume, visit};
use super::store::Store;

/// The server closes a socket from which it has heard nothing for so long.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);

/// How long a page waits for an answer to a request.
const REQUEST_LIMIT: Duration = Duration::from_secs(3);

/// How long a peer connection takes to come about, and how often it is tried.
const CONNECTING: Duration = Duration::from_millis(250);

#[derive(Debug)]
enum Event {
    Begins(usize),
    Ends(usize),
    PageStarts {
        seat: usize,
    },
    PageWakes {
        seat: usize,
        page: u64,
        wake: u64,
    },
    Drawn {
        seat: usize,
        page: u64,
    },
    Packet {
        from: usize,
        to: usize,
        page: u64,
        lane: Lane,
        generation: u64,
        bytes: Vec<u8>,
    },
    /// Something reaches the server over a socket.
    Up {
        socket: usize,
        what: Up,
    },
    /// Something reaches a page over a socket.
    Down {
        socket: usize,
        what: Down,
    },
    ServerWakes {
        life: u64,
    },
    ServerHeartbeat {
        life: u64,
    },
    Committed {
        life: u64,
    },
    /// A request has reached the server.
    Request {
        seat: usize,
        page: u64,
        id: u64,
        what: Request,
    },
    /// Its answer has reached the page, or will never.
    Answer {
        seat: usize,
        page: u64,
        id: u64,
        what: Option<Answer>,
    },
    TryOpen {
        pair: (usize, usize),
        generation: u64,
    },
}

#[derive(Clone, Debug)]
enum Up {
    Hello,
    Text(String),
    Closed,
}

#[derive(Clone, Debug)]
enum Down {
    Text(String),
    Closed(Option<CloseCode>),
}

#[derive(Clone, Debug)]
enum Request {
    Upload(Vec<u8>),
    Kept(Vec<u8>),
    Inputs(Frame),
    GiveState(Vec<u8>),
    State,
}

#[derive(Clone, Debug)]
enum Answer {
    Upload(BatchAcknowledgement),
    Inputs(Vec<u8>),
    State(Vec<u8>),
}

/// One control WebSocket.
struct Socket {
    seat: usize,
    page: u64,
    life: u64,
    hello: (String, u64),
    /// Open at the page, and at the server.
    page_open: bool,
    server_open: bool,
    up_at: Duration,
    down_at: Duration,
    heard: Duration,
}

/// The connection between two pages.
#[derive(Clone, Copy, Default)]
struct Pair {
    generation: u64,
    open: bool,
}

struct World<'a> {
    plan: &'a Plan,
    now: Duration,
    order: u64,
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    events: BTreeMap<u64, Event>,
    pages: Vec<Option<Page>>,
    page_numbers: Vec<u64>,
    wakes: Vec<u64>,
    drawn: Vec<Duration>,
    storage: Vec<BTreeMap<u8, Vec<u8>>>,
    server: Option<Server>,
    lives: u64,
    server_wake: Option<Duration>,
    /// The life of the server whose commit is under way.
    committing: Option<u64>,
    store: Store,
    /// Who has given its state to others, and that.
    given: Option<(usize, Vec<u8>)>,
    sockets: Vec<Socket>,
    pairs: BTreeMap<(usize, usize), Pair>,
    rng: Rng,
    together: Together,
    outcome: Outcome,
    traced: bool,
}

/// Plays what a plan says, to its end or its bound; says what happened in `trace`, if that is wanted.
#[must_use]
pub fn run(plan: &Plan, trace: bool) -> Outcome {
    let seats = usize::from(plan.seats);
    let mut world = World {
        plan,
        now: Duration::ZERO,
        order: 0,
        queue: BinaryHeap::new(),
        events: BTreeMap::new(),
        pages: (0..seats).map(|_| None).collect(),
        page_numbers: vec![0; seats],
        wakes: vec![0; seats],
        drawn: vec![Duration::ZERO; seats],
        storage: vec![BTreeMap::new(); seats],
        server: None,
        lives: 0,
        server_wake: None,
        committing: None,
        store: Store { loses_a_frame: plan.sabotage == Some(Sabotage::LostFrame), ..Store::default() },
        given: None,
        sockets: Vec::new(),
        pairs: BTreeMap::new(),
        rng: Rng::from_seed(derive_seed(plan.seed, 11)),
        together: Together::new(seats),
        outcome: Outcome {
            plan: plan.clone(),
            over: None,
            lasted: Duration::ZERO,
            store: Store::default(),
            seen: Vec::new(),
            made: BTreeMap::new(),
            pages: Vec::new(),
            corrupted: Vec::new(),
            transfers: 0,
            spread: false,
            restarts: 0,
            found: Vec::new(),
            trace: Vec::new(),
        },
        traced: trace,
    };
    world.play();
    world.finish()
}

impl World<'_> {
    fn play(&mut self) {
        self.start_server();
        for seat in 0..self.pages.len() {
            let at = Duration::from_millis(40 * seat as u64 + self.rng.below(20));
            self.schedule(at, Event::PageStarts { seat });
        }
        for (number, trouble) in self.plan.troubles.iter().enumerate() {
            self.schedule(trouble.at, Event::Begins(number));
            if trouble.lasts != Duration::MAX {
                self.schedule(trouble.at + trouble.lasts, Event::Ends(number));
            }
        }
        let bound = self.plan.bound();
        while let Some(Reverse((at, order))) = self.queue.pop() {
            if at > bound {
                self.now = bound;
                return;
            }
            self.now = at;
            let Some(event) = self.events.remove(&order) else { continue };
            self.happen(event);
            if self.is_over() {
                self.outcome.over = Some(self.now);
                return;
            }
        }
    }

    /// Everyone has reached the end, and everything that can become durable is.
    fn is_over(&self) -> bool {
        let has_ended = |seat: usize| {
            let done = self.store.progress.get(&visit(seat));
            done.is_some_and(|done| done.ended.is_some() || done.over.is_some())
        };
        // Whoever never comes back is somewhere, and in no game.
        let is_gone = |seat: usize| self.plan.stays_away(seat, self.now) && self.store.live.is_empty();
        // A bot waits as long as it takes for others, who have come to their end here, or are gone.
        let is_bot = |seat: usize| self.plan.relayed.iter().any(|bot| bot.index() == seat);
        let seats = || 0..self.pages.len();
        let nobody_comes = self.store.live.is_empty()
            && seats().any(|seat| has_ended(seat) || is_gone(seat))
            && seats().all(|seat| is_bot(seat) || has_ended(seat) || is_gone(seat));
        let waits = |seat: usize| is_bot(seat) && nobody_comes;
        let is_done = |seat: usize| has_ended(seat) || is_gone(seat) || waits(seat);
        self.now >= self.plan.faults_end()
            && seats().all(is_done)
            && self.server.as_ref().is_some_and(|server| server.committing.is_none())
            && self.pages.iter().enumerate().all(|(seat, page)| {
                page.as_ref().is_none_or(|page| {
                    let away = self.plan.unreachable(seat, self.now) == Some(Duration::MAX);
                    let is_there = page.ended.is_some() || waits(seat);
                    away || (is_there && page.play.is_none() && page.ending.is_none())
                })
            })
    }

    fn finish(mut self) -> Outcome {
        self.outcome.lasted = self.now;
        self.outcome.pages = self
            .pages
            .iter()
            .map(|page| {
                page.as_ref().map(|page| LastPage {
                    connected: page.is_connected(),
                    ended: page.ended,
                    confirmed: page.confirmed,
                    game: page.play.is_some(),
                    ending: page.ending.as_ref().and_then(|play| play.session.as_ref()).map(|session| {
                        format!("{:?}, due {:?}", session.status().uploads, session.poll_timeout())
                    }),
                    pending: [&page.play, &page.ending]
                        .into_iter()
                        .flatten()
                        .filter_map(|play| play.session.as_ref())
                        .map(|session| session.status().uploads.pending)
                        .sum(),
                })
            })
            .collect();
        self.outcome.store = self.store;
        self.outcome.restarts = self.lives.saturating_sub(1) as u32;
        self.outcome
    }

    fn schedule(&mut self, at: Duration, event: Event) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order)));
        self.events.insert(self.order, event);
    }

    fn trace(&mut self, what: impl FnOnce() -> String) {
        if self.traced {
            let line = format!("{:>9.3}  {}", self.now.as_secs_f64(), what());
            self.outcome.trace.push(line);
        }
    }

    /// The page that an event is for.
    fn whose(&self, event: &Event) -> Option<usize> {
        match *event {
            Event::PageWakes { seat, .. } | Event::Drawn { seat, .. } | Event::Answer { seat, .. } => {
                Some(seat)
            }
            Event::Packet { to, .. } => Some(to),
            Event::Down { socket, .. } => Some(self.sockets[socket].seat),
            _ => None,
        }
    }

    fn happen(&mut self, event: Event) {
        // A page that stands still takes what came when it goes on.
        if let Some(seat) = self.whose(&event)
            && let Some(until) = self.plan.frozen(seat, self.now)
        {
            self.together.forget(seat);
            return self.schedule(until, event);
        }
        match event {
            Event::Begins(number) => self.begins(self.plan.troubles[number].fault),
            Event::Ends(number) => self.ends(self.plan.troubles[number].fault),
            Event::PageStarts { seat } => self.start_page(seat),
            Event::PageWakes { seat, page, wake } => {
                if self.wakes[seat] == wake {
                    self.with_page(seat, page, Page::wake);
                }
            }
            Event::Drawn { seat, page } => self.with_page(seat, page, Page::draw),
            Event::Packet { from, to, page, lane, generation, bytes } => {
                let open = lane == Lane::Server || {
                    let pair = self.pairs.get(&key(from, to)).copied().unwrap_or_default();
                    pair.open && pair.generation == generation
                };
                if open {
                    self.with_page(to, page, |page, now| page.packet(from, lane, &bytes, now));
                }
            }
            Event::Up { socket, what } => self.reaches_server(socket, what),
            Event::Down { socket, what } => self.reaches_page(socket, what),
            Event::ServerWakes { life } => {
                self.server_wake = None;
                self.give_server(life, Input::Wake);
            }
            Event::ServerHeartbeat { life } => self.heartbeat(life),
            Event::Committed { life } => {
                if let Some(server) = self.server.as_mut().filter(|server| server.life == life) {
                    self.committing = None;
                    let told = server.committed(&mut self.store, self.now);
                    self.saved();
                    self.tell(told);
                    self.after_server();
                }
            }
            Event::Request { seat, page, id, what } => self.request(seat, page, id, what),
            Event::Answer { seat, page, id, what } => self.answer(seat, page, id, what),
            Event::TryOpen { pair, generation } => self.try_open(pair, generation),
        }
    }

    // Troubles.

    fn begins(&mut self, fault: Fault) {
        self.trace(|| format!("trouble: {fault:?}"));
        match fault {
            Fault::Reload(seat) => self.stop_page(usize::from(seat)),
            Fault::ServerDown => self.kill_server(),
            Fault::Corrupt(seat) if self.pages[usize::from(seat)].as_mut().is_some_and(Page::corrupt) => {
                self.outcome.corrupted.push((seat, self.now));
            }
            Fault::SlowPing(seat) => {
                if let Some(page) = &mut self.pages[usize::from(seat)] {
                    page.slow_pings = 5;
                }
            }
            Fault::Hidden(seat) => self.look_away(seat, true),
            Fault::Leaves(seat) => {
                let number = self.page_numbers[usize::from(seat)];
                self.with_page(usize::from(seat), number, |page, _| page.leave_study());
            }
            _ => {}
        }
    }

    fn ends(&mut self, fault: Fault) {
        self.trace(|| format!("over: {fault:?}"));
        match fault {
            Fault::Reload(seat) => self.start_page(usize::from(seat)),
            Fault::ServerDown => self.start_server(),
            // It may have gone there twice.
            Fault::Hidden(seat) => self.look_away(seat, self.plan.hidden(usize::from(seat), self.now)),
            _ => {}
        }
    }

    fn look_away(&mut self, seat: u8, hidden: bool) {
        let number = self.page_numbers[usize::from(seat)];
        self.with_page(usize::from(seat), number, |page, _| page.set_hidden(hidden));
    }

    // Pages.

    fn start_page(&mut self, seat: usize) {
        if self.pages[seat].is_some() {
            return;
        }
        self.page_numbers[seat] += 1;
        let number = self.page_numbers[seat];
        let leftovers: Vec<_> = self.storage[seat].values().cloned().collect();
        self.trace(|| format!("page {seat}.{number} is loaded, {} batches in its storage", leftovers.len()));
        self.pages[seat] = Some(Page::new(self.plan, seat, number, &leftovers, self.now));
        self.together.forget(seat);
        let hidden = self.plan.hidden(seat, self.now);
        self.with_page(seat, number, |page, _| {
            if hidden {
                page.set_hidden(true);
            }
        });
    }

    fn stop_page(&mut self, seat: usize) {
        let Some(page) = self.pages[seat].take() else { return };
        self.trace(|| format!("page {seat}.{} is gone", page.number));
        for socket in 0..self.sockets.len() {
            if (self.sockets[socket].seat, self.sockets[socket].page) == (seat, page.number) {
                self.sockets[socket].page_open = false;
                self.send_up(socket, Up::Closed);
            }
        }
        for peer in (0..self.pages.len()).filter(|&peer| peer != seat) {
            let pair = self.pairs.entry(key(seat, peer)).or_default();
            pair.open = false;
            pair.generation += 1;
            // A page that goes away says so, if it can.
            if self.plan.hears(seat, peer, self.now) && self.rng.chance(0.7) {
                let now = self.now;
                if let Some(page) = &mut self.pages[peer] {
                    page.direct(seat, Direct::Dead, now);
                }
            }
        }
    }

    /// Does something with a page, unless it is another by now or stands still, and then what it wants done.
    fn with_page(&mut self, seat: usize, number: u64, act: impl FnOnce(&mut Page, Duration)) {
        let now = self.now;
        let Some(page) = self.pages[seat].as_mut().filter(|page| page.number == number) else { return };
        act(page, now);
        page.load_if_due(self.plan.ending, now);
        let out = core::mem::take(&mut page.out);
        self.observe(seat);
        for out in out {
            self.carry_out(seat, number, out);
        }
        let Some(page) = &self.pages[seat] else { return };
        let wake = page.wake_at().map(|at| at.max(now + Duration::from_micros(200)));
        self.wakes[seat] += 1;
        if let Some(at) = wake {
            let wake = self.wakes[seat];
            self.schedule(at, Event::PageWakes { seat, page: number, wake });
        }
        if self.drawn[seat] <= now {
            let next = Duration::from_micros(16_667);
            self.drawn[seat] = now + next;
            self.schedule(now + next, Event::Drawn { seat, page: number });
        }
    }

    /// Looks at a page, as the checkers do.
    fn observe(&mut self, seat: usize) {
        let Some(page) = &self.pages[seat] else { return };
        let session = page.session();
        if let Some(session) = session {
            let status = session.status();
            if let Some((frame, hash)) = status.hash {
                let incarnations = session.incarnations_at(frame);
                let seen = Seen { at: self.now, seat: seat as u8, incarnations, frame, hash };
                let last = self.outcome.seen.iter().rev().find(|last| last.seat == seen.seat);
                if last.is_none_or(|last| (last.frame, last.hash) != (frame, hash)) {
                    self.outcome.seen.push(seen);
                }
            }
        }
        if let Some(disorder) = page.disorder.clone() {
            self.found(Violation::new("every message once and in order", disorder));
        }
        let Some(page) = &self.pages[seat] else { return };
        let session = page.session();
        let connected = page.welcomed_since.filter(|_| page.is_connected());
        let excused = connected.is_none()
            || self.server.is_none()
            || self.plan.unreachable(seat, self.now).is_some()
            || self.plan.commit(self.now) > Duration::from_secs(1);
        let halted = session
            .map(|session| matches!(session.status().phase, SeatPhase::Paused | SeatPhase::Reconnecting));
        let halted = halted.filter(|_| !excused);
        if let Some(found) = self.together.page(seat, halted, self.now) {
            self.found(found);
        }
    }

    fn found(&mut self, violation: Violation) {
        if !self.outcome.found.contains(&violation) {
            self.trace(|| format!("VIOLATION {violation}"));
            self.outcome.found.push(violation);
        }
    }

    fn carry_out(&mut self, seat: usize, number: u64, out: Out) {
        let now = self.now;
        match out {
            Out::Connect => self.connect(seat, number),
            Out::Disconnect(socket) => {
                self.sockets[socket].page_open = false;
                self.send_up(socket, Up::Closed);
            }
            Out::Text(socket, text) => {
                if self.traced && !text.contains("\"type\":\"ping\"") {
                    self.trace(|| format!("page {seat}.{number} says {text}"));
                }
                self.send_up(socket, Up::Text(text));
            }
            Out::Packet { to, lane, bytes } => self.packet(seat, to, lane, bytes),
            Out::Upload { id, bytes } => {
                let incarnation = bytes[0];
                self.storage[seat].insert(incarnation, bytes.clone());
                self.ask(seat, number, id, Request::Upload(bytes));
            }
            Out::Fetch { id, from } => self.ask(seat, number, id, Request::Inputs(from)),
            Out::FetchState { id } => self.ask(seat, number, id, Request::State),
            Out::GiveState { bytes } => self.ask(seat, number, 0, Request::GiveState(bytes)),
            Out::Rebuild { peer } => {
                let pair = self.pairs.entry(key(seat, peer)).or_default();
                pair.generation += 1;
                pair.open = false;
                let generation = pair.generation;
                for (one, other) in [(seat, peer), (peer, seat)] {
                    if let Some(page) = &mut self.pages[one] {
                        page.direct(other, Direct::Connecting, now);
                    }
                }
                self.schedule(now + CONNECTING, Event::TryOpen { pair: key(seat, peer), generation });
            }
        }
    }

    fn try_open(&mut self, (one, other): (usize, usize), generation: u64) {
        let pair = self.pairs.entry((one, other)).or_default();
        if pair.generation != generation || pair.open {
            return;
        }
        let now = self.now;
        let able = |seat: usize| {
            self.pages[seat].as_ref().is_some_and(|page| page.is_connected() && page.session().is_some())
                && self.plan.frozen(seat, now).is_none()
        };
        let path = self.plan.hears(one, other, now) && self.plan.hears(other, one, now);
        if path && able(one) && able(other) {
            self.pairs.insert((one, other), Pair { generation, open: true });
            self.trace(|| format!("pages {one} and {other} are connected"));
            for (one, other) in [(one, other), (other, one)] {
                if let Some(page) = &mut self.pages[one] {
                    page.direct(other, Direct::Open, now);
                }
            }
        } else if self.pages[one].is_some() && self.pages[other].is_some() {
            self.schedule(now + CONNECTING, Event::TryOpen { pair: (one, other), generation });
        }
    }

    fn packet(&mut self, from: usize, to: usize, lane: Lane, bytes: Vec<u8>) {
        if let Ok(packet) = Packet::decode(&bytes, self.plan.input_size) {
            let made = self.outcome.made.entry((from as u8, packet.incarnation)).or_default();
            for (frame, input) in (packet.first..).zip(packet.inputs(self.plan.input_size)) {
                made.entry(frame).or_insert(input);
            }
        }
        let now = self.now;
        let Some(page) = self.pages[to].as_ref().map(|page| page.number) else { return };
        if lane == Lane::Server {
            let reach = |seat: usize| self.plan.unreachable(seat, now).is_none();
            let Some(server) = &self.server else { return };
            let (Some(up), Some(_)) = (server.socket_of(from), server.socket_of(to)) else { return };
            if reach(from) && reach(to) && self.sockets[up].page_open {
                let at = now + self.plan.uplink * 2;
                self.schedule(at, Event::Packet { from, to, page, lane, generation: 0, bytes });
            }
            return;
        }
        let pair = self.pairs.get(&key(from, to)).copied().unwrap_or_default();
        let direct = self.plan.direct;
        if !pair.open || !self.plan.hears(from, to, now) {
            return;
        }
        let copies = 1 + u8::from(self.rng.chance(direct.repeats));
        for _ in 0..copies {
            if !self.rng.chance(direct.loss) {
                let at = now + direct.delay + direct.jitter.mul_f64(self.rng.unit());
                let (generation, bytes) = (pair.generation, bytes.clone());
                self.schedule(at, Event::Packet { from, to, page, lane, generation, bytes });
            }
        }
    }

    // Requests.

    fn ask(&mut self, seat: usize, page: u64, id: u64, what: Request) {
        let now = self.now;
        self.schedule(now + REQUEST_LIMIT, Event::Answer { seat, page, id, what: None });
        if self.plan.unreachable(seat, now).is_none() {
            self.schedule(now + self.plan.uplink * 2, Event::Request { seat, page, id, what });
        }
    }

    fn request(&mut self, seat: usize, page: u64, id: u64, what: Request) {
        let now = self.now;
        // What the disk has is there, whether or not there still is a server.
        if self.server.is_none() && !matches!(what, Request::Kept(_)) {
            return;
        }
        match what {
            // It is durable once the disk has it; a server that is killed before that has it, or not.
            Request::Upload(bytes) => {
                let at = now + self.plan.commit(now);
                let killed = self.plan.troubles.iter().any(|trouble| {
                    trouble.fault == Fault::ServerDown && trouble.at > now && trouble.at <= at
                });
                if !killed || self.rng.chance(0.5) {
                    self.schedule(
                        at,
                        Event::Request {
                            seat,
                            page: if killed { 0 } else { page },
                            id,
                            what: Request::Kept(bytes),
                        },
                    );
                }
            }
            Request::Kept(bytes) => {
                let Ok(batch) = RecordBatch::decode(&bytes, self.plan.seats, self.plan.input_size) else {
                    return self.found(Violation::new(
                        "uploads are in shape",
                        format!("seat {seat} sent {bytes:02x?}"),
                    ));
                };
                let answer = self.store.append(seat as u8, &batch);
                if self.storage[seat].get(&batch.incarnation) == Some(&bytes) && page != 0 {
                    self.storage[seat].remove(&batch.incarnation);
                }
                self.reply(seat, page, id, Answer::Upload(answer));
            }
            Request::Inputs(from) => {
                let bytes = self.store.inputs(from);
                self.reply(seat, page, id, Answer::Inputs(bytes));
            }
            Request::GiveState(bytes) => self.given = Some((seat, bytes)),
            Request::State => {
                if let Some((_, bytes)) = self.given.clone() {
                    self.reply(seat, page, id, Answer::State(bytes));
                }
            }
        }
    }

    fn reply(&mut self, seat: usize, page: u64, id: u64, answer: Answer) {
        let now = self.now;
        if self.plan.unreachable(seat, now).is_none() {
            let what = Some(answer);
            self.schedule(now + self.plan.uplink, Event::Answer { seat, page, id, what });
        }
    }

    fn answer(&mut self, seat: usize, page: u64, id: u64, what: Option<Answer>) {
        let mut taken = false;
        self.with_page(seat, page, |page, now| match what {
            Some(Answer::Upload(answer)) => page.uploaded(id, Some(answer), now),
            Some(Answer::Inputs(bytes)) => page.fetched(id, Some(&bytes), now),
            Some(Answer::State(bytes)) => taken = page.take_state(&bytes, now),
            None => {
                page.uploaded(id, None, now);
                page.fetched(id, None, now);
            }
        });
        if taken {
            self.trace(|| format!("page {seat}.{page} goes on from another's state"));
            self.outcome.transfers += 1;
            let from = self.given.as_ref().map(|(from, _)| *from as u8);
            if self.outcome.corrupted.iter().any(|&(other, _)| Some(other) == from) {
                self.outcome.corrupted.push((seat as u8, self.now));
                self.outcome.spread = true;
            }
        }
    }

    // Sockets.

    fn connect(&mut self, seat: usize, number: u64) {
        let now = self.now;
        let Some(page) = &mut self.pages[seat] else { return };
        let socket = self.sockets.len();
        page.connecting(socket, now);
        self.sockets.push(Socket {
            seat,
            page: number,
            life: self.server.as_ref().map_or(0, |server| server.life),
            hello: page.hello(),
            page_open: true,
            server_open: false,
            up_at: now,
            down_at: now,
            heard: now,
        });
        if self.plan.unreachable(seat, now).is_some() {
            // Nothing answers; the page gives up by itself.
            return;
        }
        let there = now + self.plan.uplink * 3;
        match self.server {
            Some(_) => {
                self.sockets[socket].up_at = there;
                self.schedule(there, Event::Up { socket, what: Up::Hello });
            }
            None => {
                self.schedule(now + self.plan.uplink * 2, Event::Down { socket, what: Down::Closed(None) });
            }
        }
    }

    /// What is written to a socket arrives in order, when the way is there again.
    fn arrival(&self, seat: usize, after: Duration) -> Option<Duration> {
        let begun = self.plan.unreachable(seat, self.now).unwrap_or(self.now);
        begun.checked_add(self.plan.uplink).map(|at| at.max(after))
    }

    fn send_up(&mut self, socket: usize, what: Up) {
        let Socket { seat, up_at, .. } = self.sockets[socket];
        if let Some(at) = self.arrival(seat, up_at) {
            self.sockets[socket].up_at = at;
            self.schedule(at, Event::Up { socket, what });
        }
    }

    fn send_down(&mut self, socket: usize, what: Down) {
        let Socket { seat, down_at, .. } = self.sockets[socket];
        if let Some(at) = self.arrival(seat, down_at) {
            self.sockets[socket].down_at = at;
            self.schedule(at, Event::Down { socket, what });
        }
    }

    fn reaches_server(&mut self, socket: usize, what: Up) {
        let now = self.now;
        let Some(life) = self.server.as_ref().map(|server| server.life) else { return };
        let known = &mut self.sockets[socket];
        let (seat, page) = (known.seat, known.page);
        if known.life != life {
            return;
        }
        known.heard = now;
        match what {
            Up::Hello => {
                known.server_open = true;
                let (epoch, sequence) = known.hello.clone();
                let resume = resume(&epoch, sequence);
                self.give_server(life, Input::Hello { socket, seat, page, resume });
            }
            Up::Text(text) if known.server_open => self.give_server(life, Input::Text { socket, seat, text }),
            Up::Closed if known.server_open => {
                known.server_open = false;
                self.give_server(life, Input::Dropped { socket, seat });
            }
            Up::Text(_) | Up::Closed => {}
        }
    }

    fn reaches_page(&mut self, socket: usize, what: Down) {
        let Socket { seat, page, page_open, .. } = self.sockets[socket];
        if !page_open {
            return;
        }
        if let Down::Text(text) = &what
            && self.traced
            && !text.contains("\"type\":\"pong\"")
        {
            self.trace(|| format!("page {seat}.{page} hears {text}"));
        }
        if matches!(what, Down::Closed(_)) {
            self.sockets[socket].page_open = false;
        }
        self.with_page(seat, page, |page, now| match what {
            Down::Text(text) => page.hear(socket, &text, now),
            Down::Closed(code) => page.closed(socket, code, now),
        });
    }

    // The server.

    fn start_server(&mut self) {
        if self.server.is_some() {
            return;
        }
        self.lives += 1;
        let life = self.lives;
        self.trace(|| format!("server {life} starts"));
        self.server = Some(Server::start(self.plan, life, &mut self.store, self.now));
        self.schedule(self.now + Duration::from_secs(1), Event::ServerHeartbeat { life });
        self.after_server();
    }

    fn kill_server(&mut self) {
        let Some(server) = self.server.take() else { return };
        self.trace(|| format!("server {} is killed", server.life));
        self.given = None;
        self.server_wake = None;
        // What was being committed is durable or not; nobody was told.
        if let Some((writes, _)) = server.committing
            && self.rng.chance(0.5)
        {
            for write in writes {
                self.store.apply(write, self.now);
            }
            self.saved();
        }
        for socket in 0..self.sockets.len() {
            let open = self.sockets[socket].page_open && self.sockets[socket].life == server.life;
            self.sockets[socket].server_open = false;
            if open {
                self.send_down(socket, Down::Closed(None));
            }
        }
    }

    fn heartbeat(&mut self, life: u64) {
        if self.server.as_ref().is_none_or(|server| server.life != life) {
            return;
        }
        let now = self.now;
        self.store.alive = now;
        for socket in 0..self.sockets.len() {
            let known = &mut self.sockets[socket];
            if known.life == life && known.server_open && now > known.heard + SILENCE_LIMIT {
                known.server_open = false;
                let seat = known.seat;
                self.send_down(socket, Down::Closed(Some(CloseCode::HeartbeatMissed)));
                self.give_server(life, Input::Dropped { socket, seat });
            }
        }
        if let Some(found) = self.together.look(self.plan, now) {
            self.found(found);
        }
        self.schedule(now + Duration::from_secs(1), Event::ServerHeartbeat { life });
    }

    fn give_server(&mut self, life: u64, input: Input) {
        let Some(server) = self.server.as_mut().filter(|server| server.life == life) else { return };
        server.push(input);
        let told = server.pump(&self.store, self.now);
        self.tell(told);
        self.after_server();
    }

    /// Lets what is decided become durable, and sees to it that the server is woken.
    fn after_server(&mut self) {
        let now = self.now;
        let Some(server) = &self.server else { return };
        let (life, wake) = (server.life, server.wake_at());
        if server.committing.is_some() {
            if self.committing != Some(life) {
                self.committing = Some(life);
                self.schedule(now + self.plan.commit(now), Event::Committed { life });
            }
            return;
        }
        if let Some(at) = wake
            && self.server_wake.is_none_or(|known| at < known)
        {
            let at = at.max(now);
            self.server_wake = Some(at);
            self.schedule(at, Event::ServerWakes { life });
        }
    }

    fn tell(&mut self, told: Vec<Tell>) {
        for tell in told {
            match tell {
                Tell::Text(socket, text) => {
                    if self.sockets[socket].server_open {
                        self.send_down(socket, Down::Text(text));
                    }
                }
                Tell::Close(socket, code) => {
                    self.sockets[socket].server_open = false;
                    self.send_down(socket, Down::Closed(Some(code)));
                }
            }
        }
    }

    /// The checkers look at what is durable of the game.
    fn saved(&mut self) {
        let state = self.store.live.values().next().map(|(state, _)| state.clone());
        self.together.saved(state.as_deref(), self.now);
    }
}

fn key(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

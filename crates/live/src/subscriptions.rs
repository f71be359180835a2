//! Hearing of rooms, over connections of their own, wherever the rooms are.
//!
//! One task holds what is wanted, and never waits: connecting and asking are tasks of their own, which report to it.
//! What servers confirm or take back comes in the order in which they said it.
//!
//! A server takes back a subscription when the room's slot goes elsewhere. The library then takes that for the answer
//! to whatever was asked last, so such a connection is given up, and everything that was heard over it is asked for
//! anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{PushInfo, PushKind, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use wire::room::RoomId;

use crate::address::Address;
use crate::codec;
use crate::connection::Connection;
use crate::news::Teller;
use crate::servers::{Servers, Whom};
use crate::slots::slot_of;

/// How often it is looked whether something is to be tried again.
const TICK: Duration = Duration::from_millis(250);

/// How often a server is asked whether it is still there, and a cluster who has which slots. The answer may take as
/// long.
const LOOK: Duration = Duration::from_secs(1);

/// What is wanted.
pub(crate) enum Request {
    /// To hear of a room. Answered when it is so.
    Subscribe(RoomId, oneshot::Sender<()>),
    /// Not to hear of it any more.
    Unsubscribe(RoomId),
}

/// What other tasks report.
enum Event {
    Opened {
        line: u64,
        opened: Result<Connection, String>,
    },
    /// What a server says of subscriptions.
    Said {
        line: u64,
        push: PushInfo,
    },
    /// A server does not tell of a room here.
    Refused {
        line: u64,
        room: RoomId,
        problem: String,
    },
    Silent {
        line: u64,
    },
}

/// A connection to a server.
struct Line {
    address: Address,
    /// None while it is being made.
    connection: Option<Connection>,
    /// How many answers are outstanding that end a subscription.
    leaving: HashMap<RoomId, u32>,
}

/// Where a room is heard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    Asked(u64),
    On(u64),
}

struct Wanted {
    place: Place,
    /// Who waits for it to be heard.
    waiting: Vec<oneshot::Sender<()>>,
    /// Whether it was heard before.
    was_lost: bool,
}

pub(crate) struct Subscriptions {
    servers: Arc<Servers>,
    teller: Teller,
    events: mpsc::UnboundedSender<Event>,
    rooms: BTreeMap<RoomId, Wanted>,
    /// Those of the rooms that are to be asked for.
    nowhere: BTreeSet<RoomId>,
    /// Those that were heard before and are being asked for.
    returning: BTreeSet<RoomId>,
    /// Whether some have come back since that was told.
    has_returned: bool,
    lines: HashMap<u64, Line>,
    next_line: u64,
    /// When a connection could not be made.
    failed: HashMap<Address, Instant>,
    looked: Instant,
}

/// Begins to listen. It ends when nobody can ask any more, or nobody reads the news.
pub(crate) fn start(servers: Arc<Servers>, teller: Teller) -> mpsc::UnboundedSender<Request> {
    let (requests, receiver) = mpsc::unbounded_channel();
    let (events, reports) = mpsc::unbounded_channel();
    let (rooms, nowhere, returning, lines, failed) = Default::default();
    let subscriptions = Subscriptions {
        servers,
        teller,
        events,
        rooms,
        nowhere,
        returning,
        has_returned: false,
        lines,
        next_line: 0,
        failed,
        looked: Instant::now(),
    };
    tokio::spawn(subscriptions.run(receiver, reports));
    requests
}

impl Subscriptions {
    async fn run(
        mut self,
        mut requests: mpsc::UnboundedReceiver<Request>,
        mut reports: mpsc::UnboundedReceiver<Event>,
    ) {
        let mut changes = self.servers.changes();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => self.request(request),
                    None => return,
                },
                Some(event) = reports.recv() => self.report(event),
                Ok(()) = changes.changed() => self.follow(),
                _ = ticks.tick() => {
                    if self.teller.is_closed() {
                        return;
                    }
                    self.tick();
                }
            }
            self.arrange();
            if self.has_returned && self.returning.is_empty() {
                self.has_returned = false;
                self.teller.interrupted();
            }
        }
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Subscribe(room, answer) => {
                let new = || Wanted { place: Place::Nowhere, waiting: Vec::new(), was_lost: false };
                let wanted = self.rooms.entry(room.clone()).or_insert_with(new);
                match wanted.place {
                    // Who has asked may have gone.
                    Place::On(_) => {
                        let _ = answer.send(());
                    }
                    Place::Asked(_) => wanted.waiting.push(answer),
                    Place::Nowhere => {
                        wanted.waiting.retain(|waiting| !waiting.is_closed());
                        wanted.waiting.push(answer);
                        self.nowhere.insert(room);
                    }
                }
            }
            Request::Unsubscribe(room) => {
                self.nowhere.remove(&room);
                self.returning.remove(&room);
                if let Some(Wanted { place: Place::Asked(line) | Place::On(line), .. }) =
                    self.rooms.remove(&room)
                {
                    self.leave(line, room);
                }
            }
        }
    }

    /// Asks a server not to tell of a room any more.
    fn leave(&mut self, line: u64, room: RoomId) {
        let Some(found) = self.lines.get_mut(&line) else { return };
        let Some(connection) = found.connection.clone() else { return };
        let mut command = redis::cmd("SUNSUBSCRIBE");
        command.arg(codec::channel(&room));
        *found.leaving.entry(room).or_default() += 1;
        // Its answer comes as what the server says.
        tokio::spawn(async move { drop(connection.ask(&command).await) });
    }

    fn report(&mut self, event: Event) {
        match event {
            Event::Opened { line, opened: Ok(connection) } => {
                if let Some(found) = self.lines.get_mut(&line) {
                    self.failed.remove(&found.address);
                    found.connection = Some(connection);
                }
            }
            Event::Opened { line, opened: Err(problem) } => {
                tracing::debug!(%problem, "rooms cannot be heard");
                if let Some(Line { address, .. }) = self.lines.remove(&line) {
                    self.failed.insert(address.clone(), Instant::now());
                    self.learn(Some(address));
                }
            }
            Event::Said { line, push } => self.said(line, &push),
            Event::Refused { line, room, problem } => {
                tracing::debug!(%room, %problem, "a room cannot be heard here");
                self.learn(None);
                if let Some(wanted) = self.rooms.get_mut(&room)
                    && wanted.place == Place::Asked(line)
                {
                    // It is tried again at the next tick, or when somebody else is known to have it.
                    wanted.place = Place::Nowhere;
                    self.returning.remove(&room);
                }
            }
            Event::Silent { line } => self.give_up(line, "it is silent"),
        }
    }

    fn said(&mut self, line: u64, push: &PushInfo) {
        let room = match push.data.first() {
            Some(Value::BulkString(channel)) => codec::room_of_channel(channel),
            _ => None,
        };
        match (&push.kind, room) {
            (PushKind::Disconnection, _) => self.give_up(line, "it has closed the connection"),
            (PushKind::SSubscribe, Some(room)) => {
                if let Some(wanted) = self.rooms.get_mut(&room)
                    && wanted.place == Place::Asked(line)
                {
                    wanted.place = Place::On(line);
                    for waiting in wanted.waiting.drain(..) {
                        let _ = waiting.send(());
                    }
                    if core::mem::take(&mut wanted.was_lost) {
                        self.returning.remove(&room);
                        self.has_returned = true;
                    }
                }
            }
            (PushKind::SUnsubscribe, Some(room)) => {
                let Some(found) = self.lines.get_mut(&line) else { return };
                match found.leaving.get_mut(&room) {
                    Some(1) => drop(found.leaving.remove(&room)),
                    Some(outstanding) => *outstanding -= 1,
                    None => {
                        self.learn(None);
                        self.give_up(line, "a room has gone elsewhere");
                        return;
                    }
                }
                // It was wanted again, and asked for before it was taken back.
                if let Some(wanted) = self.rooms.get_mut(&room)
                    && wanted.place == Place::On(line)
                {
                    (wanted.place, wanted.was_lost) = (Place::Nowhere, true);
                    self.nowhere.insert(room);
                }
            }
            _ => {}
        }
    }

    /// A connection is of no use any more.
    fn give_up(&mut self, line: u64, problem: &str) {
        let Some(Line { address, connection, .. }) = self.lines.remove(&line) else { return };
        tracing::info!(server = %address, problem, "a connection over which rooms are heard is lost");
        if let Some(connection) = connection {
            connection.end();
        }
        for (room, wanted) in &mut self.rooms {
            match wanted.place {
                Place::On(on) if on == line => wanted.was_lost = true,
                Place::Asked(on) if on == line => {}
                _ => continue,
            }
            wanted.place = Place::Nowhere;
            self.returning.remove(room);
            self.nowhere.insert(room.clone());
        }
    }

    /// Who has which slots has changed.
    fn follow(&mut self) {
        let map = self.servers.map();
        let mut gone = Vec::new();
        for (room, wanted) in &mut self.rooms {
            if wanted.place == Place::Nowhere {
                self.nowhere.insert(room.clone());
            }
            let (Place::On(line) | Place::Asked(line)) = wanted.place else { continue };
            let owner = map.owner(slot_of(room.as_str()));
            if self.lines.get(&line).map(|line| &line.address) == owner {
                continue;
            }
            wanted.was_lost |= matches!(wanted.place, Place::On(_));
            wanted.place = Place::Nowhere;
            self.returning.remove(room);
            self.nowhere.insert(room.clone());
            gone.push((line, room.clone()));
        }
        for (line, room) in gone {
            self.leave(line, room);
        }
        // Those that have nothing more to tell.
        let servers = map.servers();
        self.lines.retain(|_, line| servers.contains(&line.address));
        self.failed.retain(|address, _| servers.contains(address));
    }

    fn tick(&mut self) {
        self.teller.catch_up();
        let nowhere = self.rooms.iter().filter(|(_, wanted)| wanted.place == Place::Nowhere);
        self.nowhere.extend(nowhere.map(|(room, _)| room.clone()));
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        self.learn(None);
        for (&line, found) in &self.lines {
            let Some(connection) = found.connection.clone() else { continue };
            let events = self.events.clone();
            tokio::spawn(async move {
                let command = redis::cmd("PING");
                let asked = tokio::time::timeout(LOOK, connection.ask(&command)).await;
                if !matches!(asked, Ok(Ok(_))) {
                    // The task that holds the lines may have ended.
                    let _ = events.send(Event::Silent { line });
                }
            });
        }
    }

    fn learn(&self, doubtful: Option<Address>) {
        let servers = Arc::clone(&self.servers);
        tokio::spawn(async move {
            let whom = doubtful.as_ref().map_or(Whom::Anyone, Whom::AnyoneBut);
            servers.learn(whom).await;
        });
    }

    /// Asks for what is to be asked for, as far as there are connections, and makes those that there are not.
    fn arrange(&mut self) {
        if self.nowhere.is_empty() {
            return;
        }
        let map = self.servers.map();
        let by_address: HashMap<Address, u64> =
            self.lines.iter().map(|(line, found)| (found.address.clone(), *line)).collect();
        let mut missing = BTreeSet::new();
        let mut stay = BTreeSet::new();
        for room in core::mem::take(&mut self.nowhere) {
            let (Some(wanted), Some(owner)) = (self.rooms.get_mut(&room), map.owner(slot_of(room.as_str())))
            else {
                continue;
            };
            let line = by_address.get(owner).copied();
            let connection = line.and_then(|line| self.lines.get(&line)?.connection.clone());
            let (Some(line), Some(connection)) = (line, connection) else {
                if line.is_none() {
                    missing.insert(owner.clone());
                }
                stay.insert(room);
                continue;
            };
            wanted.place = Place::Asked(line);
            if wanted.was_lost {
                self.returning.insert(room.clone());
            }
            let events = self.events.clone();
            tokio::spawn(async move {
                let mut command = redis::cmd("SSUBSCRIBE");
                command.arg(codec::channel(&room));
                if let Err(error) = connection.ask(&command).await {
                    let _ = events.send(Event::Refused { line, room, problem: error.to_string() });
                }
            });
        }
        self.nowhere = stay;
        for address in missing {
            if self.failed.get(&address).is_none_or(|at| at.elapsed() >= TICK) {
                self.open(address);
            }
        }
    }

    fn open(&mut self, address: Address) {
        self.next_line += 1;
        let line = self.next_line;
        let (teller, events, servers) = (self.teller.clone(), self.events.clone(), Arc::clone(&self.servers));
        let found = Line { address: address.clone(), connection: None, leaving: HashMap::new() };
        self.lines.insert(line, found);
        tokio::spawn(async move {
            let reports = events.clone();
            let pushes = move |push: PushInfo| match push.kind {
                PushKind::SMessage => {
                    teller.publication(push);
                    Ok(())
                }
                _ => reports.send(Event::Said { line, push }),
            };
            let opened = servers.connector().listen(&address, pushes).await;
            let _ = events.send(Event::Opened { line, opened });
        });
    }
}

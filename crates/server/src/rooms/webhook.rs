//! Tells an application's own server what becomes of members: webhooks, signed as standardwebhooks.com describes.
//!
//! An event is in the journal before anybody hears of what it tells, and until the application has answered that it
//! got it. Events are told in order, several at a time when they come faster than they are answered, and again until
//! they are: each at least once, also when this process is killed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use base::WallTime;
use metrics::{counter, gauge};
use room::replica::NodeId;
use serde::{Deserialize, Serialize};
use wire::room::{MemberId, Presence, RoomId};

use super::local::journal::{Journal, Record, Revocations};
use crate::webhook::{Backoff, Caller};

/// The most events of one request.
const BATCH: usize = 100;

/// The most events that wait; the oldest are lost when an application is away for so long.
const WAITING: usize = 100_000;

/// Where an application wants to hear of members.
#[derive(Clone)]
pub(crate) struct Webhook {
    pub(crate) url: String,
    pub(crate) caller: Caller,
}

/// Something became of a member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) id: u64,
    pub(super) member: MemberId,
    pub(super) presence: Presence,
    pub(super) at: WallTime,
}

/// An event as the application gets it.
#[derive(Serialize)]
struct Told<'a> {
    id: String,
    r#type: &'static str,
    room: &'a RoomId,
    member: &'a MemberId,
    /// Milliseconds since the Unix epoch.
    time: u64,
}

#[derive(Serialize)]
struct Body<'a> {
    events: Vec<Told<'a>>,
}

/// What the application has not heard yet.
pub(super) struct Events {
    journal: Arc<Journal>,
    /// Which node tells, where there are several: their events' numbers may be alike.
    node: Option<NodeId>,
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

struct Waiting {
    events: VecDeque<(RoomId, Event)>,
    next: u64,
}

impl Events {
    /// Begins to tell, first what was not told before this process. `next` is greater than the id of any event.
    pub(super) fn start(
        webhook: Webhook,
        journal: Arc<Journal>,
        waiting: BTreeMap<u64, (RoomId, Event)>,
        next: u64,
        node: Option<NodeId>,
    ) -> anyhow::Result<Arc<Self>> {
        let waiting = Waiting { events: waiting.into_values().collect(), next };
        let events = Arc::new(Self { journal, node, waiting: Mutex::new(waiting), wake: Condvar::new() });
        webhook.caller.check(&webhook.url)?;
        let own = Arc::clone(&events);
        // It waits for another machine, and for as long as that takes: a thread of its own, which ends with the process.
        let thread = std::thread::Builder::new().name("webhook".to_owned());
        thread.spawn(move || own.deliver(&webhook)).context("cannot start a thread")?;
        Ok(events)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something became of members: it is written down together with `records` of the room, which say why.
    pub(super) fn tell(
        &self,
        room: &RoomId,
        became: &[(&MemberId, Presence)],
        at: WallTime,
        mut records: Vec<Record>,
    ) -> anyhow::Result<()> {
        let mut waiting = self.lock();
        for &(member, presence) in became {
            let event = Event { id: waiting.next, member: member.clone(), presence, at };
            waiting.next += 1;
            records.push(Record::Event(event.clone()));
            waiting.events.push_back((room.clone(), event));
            if waiting.events.len() > WAITING {
                waiting.events.pop_front();
                counter!("interplay_webhook_lost_total").increment(1);
            }
        }
        // Before anybody can be told; a journal that fails ends rooms, and the application hears of it all the same.
        let written = self.journal.write(room, &records);
        gauge!("interplay_webhook_waiting").set(waiting.events.len() as f64);
        drop(waiting);
        self.wake.notify_one();
        written
    }

    /// Writes down again what waits, for a journal that begins another file.
    pub(super) fn write_whole(&self) -> anyhow::Result<()> {
        let waiting = self.lock();
        let told = waiting.events.front().map_or(waiting.next, |(_, event)| event.id) - 1;
        self.journal.write_events(told, waiting.events.iter())
    }

    /// Begins another file if that is due, of a journal in which there is nothing else but void tokens.
    pub(super) fn turn_over(&self, revoked: &Revocations) -> anyhow::Result<()> {
        let Some(number) = self.journal.turn_over()? else { return Ok(()) };
        self.write_whole()?;
        self.journal.write_revocations(revoked)?;
        self.journal.sync()?;
        self.journal.remove_before(number)
    }

    fn deliver(&self, webhook: &Webhook) {
        loop {
            let batch = self.batch();
            // Names and numbers: there is nothing in it that cannot be written.
            if let Ok((id, body)) = message(&batch, self.node) {
                let mut pauses = Backoff::default();
                while let Err(pause) = webhook.caller.tell(&webhook.url, &id, &body, &mut pauses) {
                    std::thread::sleep(pause);
                }
            }
            self.told(&batch);
        }
    }

    /// The next events, as soon as there are some.
    fn batch(&self) -> Vec<(RoomId, Event)> {
        let idle = |waiting: &mut Waiting| waiting.events.is_empty();
        let waiting = self.wake.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        waiting.events.iter().take(BATCH).cloned().collect()
    }

    fn told(&self, batch: &[(RoomId, Event)]) {
        let Some((room, last)) = batch.last() else { return };
        let mut waiting = self.lock();
        let waits = waiting.events.partition_point(|(_, event)| event.id <= last.id);
        waiting.events.drain(..waits);
        self.journal.write(room, &[Record::Told { event: last.id }]).ok();
        gauge!("interplay_webhook_waiting").set(waiting.events.len() as f64);
    }
}

/// Events as the application gets them, and what is the same for the same events, however often they are told.
fn message(batch: &[(RoomId, Event)], node: Option<NodeId>) -> anyhow::Result<(String, String)> {
    let of_node = node.map(|node| format!("-{node:?}")).unwrap_or_default();
    let told = batch.iter().map(|(room, event)| Told {
        id: format!("{}{of_node}", event.id),
        r#type: match event.presence {
            Presence::Joined => "member.joined",
            Presence::Dropped => "member.dropped",
            Presence::Returned => "member.returned",
            Presence::Left => "member.left",
        },
        room,
        member: &event.member,
        time: event.at.0,
    });
    let body = serde_json::to_string(&Body { events: told.collect() })?;
    let (first, last) = batch.first().zip(batch.last()).context("there are events")?;
    Ok((format!("{}-{}{of_node}", first.1.id, last.1.id), body))
}

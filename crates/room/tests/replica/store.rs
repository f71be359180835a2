//! A store that keeps to the contract, until it fails.

use base::WallTime;
use room::replica::{Entry, NodeId, Opened, Origin, Position, Refusal, Store, Stored};
use wire::room::Epoch;

use crate::sabotage::Sabotage;

#[derive(Clone)]
struct Compaction {
    /// The tip when it was made.
    tip: u64,
    version: u64,
    base: u64,
    snapshot: Vec<u8>,
}

/// Everything that there ever was of a room's epoch; what is gone is only marked so, for a failover to bring it back.
#[derive(Clone)]
struct Room {
    epoch: Epoch,
    run: u64,
    entries: Vec<Stored>,
    compactions: Vec<Compaction>,
    touched: u64,
}

impl Room {
    fn tip(&self) -> u64 {
        self.entries.len() as u64
    }

    fn newest(&self) -> &Compaction {
        self.compactions.last().unwrap()
    }
}

/// The store of one room.
#[derive(Clone)]
pub(crate) struct Model {
    run: u64,
    /// How far its clock is ahead, in milliseconds, from 10 s behind.
    pub(crate) skew: u64,
    /// The room, and those of its name before it.
    rooms: Vec<Option<Room>>,
    /// By its own clock, in milliseconds.
    pub(crate) now: u64,
    ttl: u64,
    /// How many entries stay before a snapshot.
    tail: u64,
    /// What was not published yet.
    pub(crate) published: Vec<Stored>,
    sabotage: Option<Sabotage>,
}

impl Model {
    pub(crate) fn new(skew: u64, ttl: u64, tail: u64, sabotage: Option<Sabotage>) -> Self {
        let (run, now, published) = (1, 0, Vec::new());
        Self { run, skew, rooms: vec![None], now, ttl, tail, published, sabotage }
    }

    fn room(&mut self) -> Option<&mut Room> {
        let (now, ttl) = (self.now, self.ttl);
        let room = self.rooms.last_mut().unwrap();
        if room.as_ref().is_some_and(|room| now.saturating_sub(room.touched) > ttl) {
            *room = None;
        }
        if let Some(room) = room {
            room.touched = room.touched.max(now);
        }
        room.as_mut()
    }

    /// A node looks.
    pub(crate) fn touch(&mut self) {
        self.room();
    }

    /// Whether the room has just expired.
    pub(crate) fn has_expired(&self) -> bool {
        let room = self.rooms.last().unwrap().as_ref();
        room.is_some_and(|room| self.now.saturating_sub(room.touched) > self.ttl)
    }

    pub(crate) fn tip(&self) -> Option<(Epoch, u64)> {
        self.rooms.last().unwrap().as_ref().map(|room| (room.epoch, room.tip()))
    }

    fn check(&mut self, at: Position) -> Result<&mut Room, Refusal> {
        let (run, sabotage) = (self.run, self.sabotage);
        let room = self.room().ok_or(Refusal::Gone)?;
        if room.epoch != at.epoch {
            return Err(Refusal::OtherEpoch);
        }
        let other_run = room.run != run && sabotage != Some(Sabotage::VersionsOnly);
        let behind = other_run || room.tip() < at.version;
        if behind && sabotage != Some(Sabotage::NeverBehind) {
            return Err(Refusal::Behind);
        }
        Ok(room)
    }

    /// It was killed, and has nothing any more.
    pub(crate) fn restart_empty(&mut self, run: u64) {
        (self.run, self.rooms) = (run, vec![None]);
    }

    /// The one that takes over from it, which lacks the last entries, or even that the room had begun anew.
    pub(crate) fn successor(&self, run: u64, skew: u64, lost: u64, forgets_epoch: bool) -> Self {
        let mut next = Self { run, skew, ..self.clone() };
        if forgets_epoch && next.rooms.len() > 1 {
            next.rooms.pop();
        }
        next.now = self.now + skew - self.skew;
        if let Some(room) = next.rooms.last_mut().unwrap() {
            let tip = room.tip().saturating_sub(lost);
            room.entries.truncate(tip as usize);
            room.compactions.retain(|made| made.tip <= tip);
            room.touched = next.now;
        }
        next
    }
}

impl Store for Model {
    fn open(&mut self, fresh: (Epoch, &[u8])) -> Opened {
        let (now, run, sabotage) = (self.now, self.run, self.sabotage);
        let runs_on = matches!(sabotage, Some(Sabotage::VersionsOnly | Sabotage::NeverBehind));
        let stays = self.room().is_some_and(|room| room.run == run || runs_on);
        if !stays {
            let first = Compaction { tip: 0, version: 0, base: 0, snapshot: fresh.1.to_vec() };
            let (entries, compactions) = (Vec::new(), vec![first]);
            self.rooms.push(Some(Room { epoch: fresh.0, run, entries, compactions, touched: now }));
        }
        let room = self.room().unwrap();
        let Compaction { version, snapshot, .. } = room.newest().clone();
        Opened { snapshot, entries: room.entries[version as usize..].to_vec() }
    }

    fn append(&mut self, at: Position, entries: &[Entry]) -> Result<Vec<Stored>, Refusal> {
        let (now, sabotage) = (self.now, self.sabotage);
        let room = self.check(at)?;
        let mut added = Vec::new();
        for entry in entries {
            let time = room.entries.last().map_or(0, |last| last.at.0).max(now);
            let mut entry = entry.clone();
            if sabotage == Some(Sabotage::NoRepeats)
                && room.entries.iter().any(|old| old.entry.id == entry.id)
            {
                entry.id.origin = Origin { node: NodeId(1000 + room.tip()), opening: 0 };
            }
            let stored = Stored { epoch: at.epoch, version: room.tip() + 1, at: WallTime(time), entry };
            room.entries.push(stored.clone());
            added.push(stored);
        }
        self.published.extend(added.iter().cloned());
        Ok(added)
    }

    fn read_after(&mut self, at: Position) -> Result<Vec<Stored>, Refusal> {
        let room = self.check(at)?;
        if at.version < room.newest().base {
            return Err(Refusal::Compacted);
        }
        Ok(room.entries.get(at.version as usize..).unwrap_or_default().to_vec())
    }

    fn compact(&mut self, at: Position, snapshot: Vec<u8>) -> Result<(), Refusal> {
        let tail = self.tail;
        let room = self.check(at)?;
        if at.version > room.newest().version {
            let base = room.newest().base.max(at.version.saturating_sub(tail));
            let made = Compaction { tip: room.tip(), version: at.version, base, snapshot };
            room.compactions.push(made);
        }
        Ok(())
    }

    fn end(&mut self, epoch: Epoch) {
        if self.room().is_some_and(|room| room.epoch == epoch) {
            self.rooms.push(None);
        }
    }
}

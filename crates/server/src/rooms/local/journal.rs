//! What must survive the process: rooms, their members and messages, in files that are only appended to (R11).
//!
//! A record is handed to the system before anybody is told of what it says, so that `kill -9` loses nothing. It is
//! not synced: after power was lost the files are of another boot of the machine, and whatever is in them is in
//! doubt. Then, and when a record is damaged, rooms are thrown away, and begin another epoch. What is never wrong to
//! believe stays: which tokens were revoked (that is synced), and what a webhook has not been told.
//!
//! Records that belong together are one entry: after a kill in the middle of writing there is all of it or nothing, and
//! nobody was told of what is not there.
//!
//! ```text
//!  rooms/000001.log   header: magic, boot    then entries: length, its check, check, postcard
//!  rooms/000002.log   … once a file is long enough; rooms write themselves whole into it, and the older one goes
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail, ensure};
use base::{Timestamp, WallTime, hash_state};
use room::log::{Draft, Log, LogRules, MemberRecord, Message};
use serde::{Deserialize, Serialize};
use wire::room::{Class, Epoch, Fence, MemberId, Payload, Presence, RoomId, SenderId};

use crate::rooms::wall;
use crate::rooms::webhook::Event;

/// The least length at which another file begins, in bytes.
const SEGMENT: u64 = 32 << 20;

const MAGIC: &[u8; 8] = b"rooms-3\n";

/// How much memory is kept for the next entry, in bytes: a room that was written whole may have needed more.
const MEMORY: usize = 1 << 20;

/// The length of a boot's id, and of an entry's header: its length, a check of that, and one of the entry.
const BOOT: usize = 37;
const HEADER: usize = 16;

/// One thing that happened, as it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::rooms) enum Record {
    /// The room begins here: what was written of it before counts no more.
    Opened {
        epoch: u64,
    },
    /// Numbers up to here are taken, and up to there trimmed.
    Position {
        next: u64,
        trimmed: u64,
    },
    Message {
        sequence: u64,
        from: Option<MemberId>,
        to: Option<MemberId>,
        class: Class,
        at: WallTime,
        sender: Option<(SenderId, u64)>,
        is_binary: bool,
        payload: Vec<u8>,
    },
    Member {
        member: MemberId,
        record: MemberRecord,
    },
    Acknowledged {
        member: MemberId,
        sequence: u64,
    },
    Left {
        member: MemberId,
    },
    Closed,
    /// Its connection is gone.
    Dropped {
        member: MemberId,
        at: WallTime,
    },
    /// Tokens that it was given up to then, in seconds since the Unix epoch, open this room no more, nor another of
    /// the same name.
    Revoked {
        member: MemberId,
        until: u64,
    },
    /// For the application's webhook.
    Event(Event),
    /// Events up to this one were told.
    Told {
        event: u64,
    },
}

impl Record {
    pub(in crate::rooms) fn message(message: &Message, sender: Option<(SenderId, u64)>) -> Self {
        let (is_binary, payload) = match &message.payload {
            Payload::Json(text) => (false, text.as_bytes().to_vec()),
            Payload::Binary(bytes) => (true, bytes.to_vec()),
        };
        Self::Message {
            sequence: message.sequence,
            from: message.from.clone(),
            to: message.to.clone(),
            class: message.class,
            at: message.at,
            sender,
            is_binary,
            payload,
        }
    }
}

/// What was read back.
#[derive(Default)]
pub(in crate::rooms) struct Restored {
    pub(in crate::rooms) rooms: HashMap<RoomId, Log>,
    /// Who had a connection.
    pub(in crate::rooms) connected: BTreeSet<(RoomId, MemberId)>,
    /// Members of rooms that begin anew, because what was written of them is in doubt.
    pub(in crate::rooms) lost: Vec<(RoomId, MemberId)>,
    /// No connection had a greater number.
    pub(in crate::rooms) fence: Fence,
    pub(in crate::rooms) revoked: Revocations,
    /// What was not told.
    pub(in crate::rooms) events: BTreeMap<u64, (RoomId, Event)>,
    /// The last event that was.
    told: u64,
}

/// Up to when members' tokens are void, in seconds since the Unix epoch.
pub(in crate::rooms) type Revocations = HashMap<(RoomId, MemberId), u64>;

/// The files.
pub(in crate::rooms) struct Journal {
    folder: PathBuf,
    state: Mutex<State>,
}

struct State {
    number: u64,
    file: File,
    bytes: u64,
    /// When the file is long enough for another to begin: at twice what there was to write at its beginning.
    enough: u64,
    buffer: Vec<u8>,
    is_broken: bool,
}

impl Journal {
    /// Opens a data folder's journal, and reads back what is certain. With `tells`, what became of members because of
    /// the restart is among the events.
    pub(in crate::rooms) fn open(
        data: &Path,
        rules: LogRules,
        now: Timestamp,
        tells: bool,
    ) -> anyhow::Result<(Self, Restored)> {
        let folder = data.join("rooms");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let boot = boot();
        let old = segments(&folder)?;
        let mut restored = Restored::default();
        let mut is_doubtful = false;
        for (_, path) in &old {
            let mut reading = Reading { rules, now, restored: &mut restored };
            if let Err(doubt) = read_back(path, &boot, &mut reading) {
                tracing::warn!(path = %path.display(), %doubt, "rooms begin anew");
                is_doubtful = true;
            }
        }
        if is_doubtful {
            restored.throw_away();
        }
        if tells {
            restored.add_events(now);
        }
        let number = old.last().map_or(1, |(number, _)| number + 1);
        let file = begin(&folder, number, &boot)?;
        let state = State { number, file, bytes: 0, enough: SEGMENT, buffer: Vec::new(), is_broken: false };
        let journal = Self { state: Mutex::new(state), folder };
        // First: a kill before all is written repeats what became of members, and does not forget it.
        journal.write_events(restored.told, restored.events.values())?;
        for (room, log) in &restored.rooms {
            journal.write_whole(room, log)?;
        }
        journal.write_revocations(&restored.revoked)?;
        journal.sync()?;
        journal.remove_before(number)?;
        Ok((journal, restored))
    }

    /// Writes down what belongs together. After a failure everything fails: what is in the file is then in doubt.
    pub(in crate::rooms) fn write(&self, room: &RoomId, records: &[Record]) -> anyhow::Result<()> {
        let mut state = self.lock();
        if state.is_broken {
            bail!("rooms could not be written before");
        }
        let written = state.write(room, records);
        state.is_broken = written.is_err();
        written
    }

    /// Writes a whole room down: nothing older is needed for it.
    pub(in crate::rooms) fn write_whole(&self, room: &RoomId, log: &Log) -> anyhow::Result<()> {
        let (next, trimmed) = log.position();
        let mut records = vec![Record::Opened { epoch: log.epoch().0 }];
        for (member, state) in log.members() {
            records.push(Record::Member { member: member.clone(), record: state.record() });
            if !state.is_connected() {
                records.push(Record::Dropped { member: member.clone(), at: wall(state.last_seen()) });
            }
        }
        records.extend(log.messages().map(|message| Record::message(message, None)));
        records.push(Record::Position { next, trimmed });
        self.write(room, &records)
    }

    /// Writes down whose tokens are void.
    pub(in crate::rooms) fn write_revocations(&self, revoked: &Revocations) -> anyhow::Result<()> {
        revoked.iter().try_for_each(|((room, member), until)| {
            self.write(room, &[Record::Revoked { member: member.clone(), until: *until }])
        })
    }

    /// Writes down which events were told, and which were not.
    pub(in crate::rooms) fn write_events<'a>(
        &self,
        told: u64,
        mut waiting: impl Iterator<Item = &'a (RoomId, Event)>,
    ) -> anyhow::Result<()> {
        // This one is of no room.
        self.write(&"webhook".parse()?, &[Record::Told { event: told }])?;
        waiting.try_for_each(|(room, event)| self.write(room, &[Record::Event(event.clone())]))
    }

    /// Waits for the disk: what was written holds after power was lost too. Others can write meanwhile.
    pub(in crate::rooms) fn sync(&self) -> anyhow::Result<()> {
        let file = self.lock().file.try_clone();
        let synced =
            file.and_then(|file| file.sync_data()).and_then(|()| File::open(&self.folder)?.sync_all());
        synced.context("cannot sync the rooms' journal")
    }

    pub(in crate::rooms) fn is_broken(&self) -> bool {
        self.lock().is_broken
    }

    /// Begins another file, if the present one is long enough, or in doubt. Every room must then write itself whole,
    /// and the files before this number may be removed.
    pub(in crate::rooms) fn turn_over(&self) -> anyhow::Result<Option<u64>> {
        let mut state = self.lock();
        if state.bytes < state.enough && !state.is_broken {
            return Ok(None);
        }
        let number = state.number + 1;
        state.file = begin(&self.folder, number, &boot())?;
        (state.number, state.bytes, state.is_broken) = (number, 0, false);
        Ok(Some(number))
    }

    /// All is written down again: what was before is no longer needed.
    pub(in crate::rooms) fn remove_before(&self, number: u64) -> anyhow::Result<()> {
        {
            let mut state = self.lock();
            state.enough = SEGMENT.max(2 * state.bytes);
        }
        for (_, path) in segments(&self.folder)?.into_iter().filter(|(old, _)| *old < number) {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, room: &RoomId, records: &[Record]) -> anyhow::Result<()> {
        self.buffer.clear();
        self.buffer.resize(HEADER, 0);
        self.buffer = postcard::to_extend(&(room, records), std::mem::take(&mut self.buffer))?;
        let (header, body) = self.buffer.split_at_mut(HEADER);
        let length = u32::try_from(body.len())?.to_le_bytes();
        header[..4].copy_from_slice(&length);
        header[4..8].copy_from_slice(&check_of(&length));
        header[8..].copy_from_slice(&hash_state(body).0.to_le_bytes());
        self.file.write_all(&self.buffer).context("cannot write to the rooms' journal")?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.shrink_to(MEMORY);
        Ok(())
    }
}

/// The check of a length.
fn check_of(length: &[u8]) -> [u8; 4] {
    (hash_state(length).0 as u32).to_le_bytes()
}

/// What tells one running of the machine from the next.
fn boot() -> Vec<u8> {
    let mut id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.resize(BOOT, b' ');
    id
}

fn begin(folder: &Path, number: u64, boot: &[u8]) -> anyhow::Result<File> {
    let path = folder.join(format!("{number:06}.log"));
    let made = File::create_new(&path).and_then(|mut file| {
        let begun = file.write_all(&[MAGIC, boot].concat());
        if begun.is_err() {
            // The next attempt makes it again.
            std::fs::remove_file(&path).ok();
        }
        begun.map(|()| file)
    });
    made.with_context(|| format!("cannot make {}", path.display()))
}

/// The files there are, oldest first.
fn segments(folder: &Path) -> anyhow::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|ending| ending == "log")) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Reads a file back. An error is a doubt; an entry that was not written to its end is none: nobody was told of it.
fn read_back(path: &Path, boot: &[u8], reading: &mut Reading<'_>) -> anyhow::Result<()> {
    let bytes = std::fs::read(path)?;
    let Some((header, mut rest)) = bytes.split_at_checked(MAGIC.len() + BOOT) else { return Ok(()) };
    let written_in = header.strip_prefix(MAGIC).context("it is no journal of rooms")?;
    while let Some((header, after)) = rest.split_at_checked(HEADER) {
        let (length, checks) = header.split_at(4);
        ensure!(checks.starts_with(&check_of(length)), "an entry is damaged");
        let length = u32::from_le_bytes(length.try_into()?);
        let Some((body, after)) = after.split_at_checked(length as usize) else { break };
        ensure!(checks.ends_with(&hash_state(body).0.to_le_bytes()), "an entry is damaged");
        let (room, records): (RoomId, Vec<Record>) = postcard::from_bytes(body)?;
        for record in records {
            reading.apply(room.clone(), record)?;
        }
        rest = after;
    }
    ensure!(written_in == boot, "the machine was started since");
    Ok(())
}

impl Restored {
    /// Nothing is known of rooms any more.
    fn throw_away(&mut self) {
        for (room, log) in self.rooms.drain() {
            self.lost.extend(log.members().map(|(member, _)| (room.clone(), member.clone())));
        }
        self.connected.clear();
    }

    /// The id of the next event.
    pub(in crate::rooms) fn next_event(&self, now: Timestamp) -> u64 {
        let last = self.events.keys().next_back().copied().unwrap_or_default().max(self.told);
        now.as_micros().max(last + 1)
    }

    /// What became of members because of the restart.
    fn add_events(&mut self, now: Timestamp) {
        let dropped = std::mem::take(&mut self.connected).into_iter().map(|who| (who, Presence::Dropped));
        let left = std::mem::take(&mut self.lost).into_iter().map(|who| (who, Presence::Left));
        for ((room, member), presence) in dropped.chain(left).collect::<Vec<_>>() {
            let id = self.next_event(now);
            self.events.insert(id, (room, Event { id, member, presence, at: wall(now) }));
        }
    }
}

struct Reading<'a> {
    rules: LogRules,
    now: Timestamp,
    restored: &'a mut Restored,
}

impl Reading<'_> {
    fn apply(&mut self, room: RoomId, record: Record) -> anyhow::Result<()> {
        let Restored { rooms, connected, fence, revoked, events, told, .. } = &mut *self.restored;
        match record {
            Record::Opened { epoch } => {
                rooms.insert(room, Log::new(Epoch(epoch), self.rules, self.now));
                return Ok(());
            }
            Record::Revoked { member, until } => {
                revoked.insert((room, member), until);
                return Ok(());
            }
            Record::Event(event) => {
                events.insert(event.id, (room, event));
                return Ok(());
            }
            Record::Told { event } => {
                *events = events.split_off(&(event + 1));
                *told = (*told).max(event);
                return Ok(());
            }
            _ => {}
        }
        // Of a room that has written itself whole into a later file.
        let Some(log) = rooms.get_mut(&room) else { return Ok(()) };
        match record {
            Record::Opened { .. } | Record::Revoked { .. } | Record::Event(_) | Record::Told { .. } => {}
            Record::Position { next, trimmed } => log.restore_position(next, trimmed),
            Record::Member { member, record } => {
                *fence = (*fence).max(record.fence);
                connected.insert((room, member.clone()));
                log.restore_member(member, record, self.now);
            }
            Record::Dropped { member, at } => {
                log.restore_drop(&member, Timestamp::from_millis(at.0));
                connected.remove(&(room, member));
            }
            Record::Acknowledged { member, sequence } => log.restore_acknowledgement(&member, sequence),
            Record::Left { member } => {
                log.leave(&member, None, self.now);
                connected.remove(&(room, member));
            }
            Record::Closed => {
                rooms.remove(&room);
                connected.retain(|(other, _)| *other != room);
            }
            Record::Message { sequence, from, to, class, at, sender, is_binary, payload } => {
                let payload = if is_binary {
                    Payload::Binary(payload.into())
                } else {
                    Payload::Json(String::from_utf8(payload)?.into())
                };
                let kept_since = Timestamp::from_millis(at.0);
                let message = Message::new(sequence, from, Draft { to, class, payload }, (kept_since, at));
                let counted = sender.as_ref().map(|(sender, counter)| (sender, *counter));
                log.restore_message(message.into(), counted);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    fn open(data: &Path) -> (Journal, Restored) {
        Journal::open(data, LogRules::default(), now(), false).unwrap()
    }

    fn room() -> RoomId {
        "room".parse().unwrap()
    }

    /// A room with two members and three messages, written down as it came about.
    fn lived(journal: &Journal) -> Log {
        let mut log = Log::new(Epoch(7), LogRules::default(), now());
        journal.write(&room(), &[Record::Opened { epoch: 7 }]).unwrap();
        let (ann, bob): (MemberId, MemberId) = ("ann".parse().unwrap(), "bob".parse().unwrap());
        let sender: SenderId = "page".parse().unwrap();
        for (member, fence) in [(&ann, 1), (&bob, 2)] {
            log.join(member, Fence(fence), None, None, Some(&sender), now()).unwrap();
            let record = log.member(member).unwrap().record();
            journal.write(&room(), &[Record::Member { member: member.clone(), record }]).unwrap();
        }
        for counter in 1..=3 {
            let draft = Draft { to: None, class: Class::Normal, payload: Payload::Json("[1]".into()) };
            let sent = log.send(&ann, Fence(1), Some(counter), draft, (now(), wall(now()))).unwrap();
            let room::log::Sent::New(message) = sent else { panic!("{sent:?}") };
            journal.write(&room(), &[Record::message(&message, Some((sender.clone(), counter)))]).unwrap();
        }
        log.pull(&bob, Fence(2), (9, 9999)).unwrap();
        log.acknowledge(&bob, Fence(2), 2, now());
        journal.write(&room(), &[Record::Acknowledged { member: bob, sequence: 2 }]).unwrap();
        log
    }

    fn same(log: &Log, other: &Log) {
        assert_eq!((log.epoch(), log.position()), (other.epoch(), other.position()));
        assert!(log.messages().eq(other.messages()));
        let records = |log: &Log| -> Vec<_> {
            log.members().map(|(id, member)| (id.clone(), member.record())).collect()
        };
        assert_eq!(records(log), records(other));
    }

    #[test]
    fn what_was_written_is_read_back() {
        let data = tempfile::tempdir().unwrap();
        let (journal, restored) = open(data.path());
        assert!(restored.rooms.is_empty());
        let log = lived(&journal);
        drop(journal);
        // Once as it was written, once as the room wrote itself whole.
        for _ in 0..2 {
            let (_, restored) = open(data.path());
            same(&restored.rooms[&room()], &log);
            assert_eq!(restored.fence, Fence(2));
        }
        assert_eq!(std::fs::read_dir(data.path().join("rooms")).unwrap().count(), 1);
    }

    #[test]
    fn what_is_damaged_or_of_another_boot_begins_anew() {
        let data = tempfile::tempdir().unwrap();
        let (journal, _) = open(data.path());
        lived(&journal);
        drop(journal);
        let path = data.path().join("rooms/000001.log");
        let whole = std::fs::read(&path).unwrap();
        let header = MAGIC.len() + BOOT;
        let mut doubtful = Vec::new();
        for at in [0, MAGIC.len(), header, header + 4, header + 8, header + HEADER, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            doubtful.push(bytes);
        }
        for bytes in doubtful {
            let data = tempfile::tempdir().unwrap();
            std::fs::create_dir(data.path().join("rooms")).unwrap();
            std::fs::write(data.path().join("rooms/000001.log"), bytes).unwrap();
            let (_, restored) = open(data.path());
            assert!(restored.rooms.is_empty());
        }
    }

    /// A kill in the middle of writing anything: what was told before is there, and numbers are not used twice.
    #[test]
    fn an_entry_that_was_not_written_to_its_end_never_was() {
        let data = tempfile::tempdir().unwrap();
        let (journal, _) = open(data.path());
        let log = lived(&journal);
        drop(journal);
        let first = std::fs::read(data.path().join("rooms/000001.log")).unwrap();
        // The room as it is written whole at a start, in another file.
        let (journal, _) = open(data.path());
        drop(journal);
        let second = std::fs::read(data.path().join("rooms/000002.log")).unwrap();
        for end in 0..second.len() {
            let data = tempfile::tempdir().unwrap();
            std::fs::create_dir(data.path().join("rooms")).unwrap();
            std::fs::write(data.path().join("rooms/000001.log"), &first).unwrap();
            std::fs::write(data.path().join("rooms/000002.log"), &second[..end]).unwrap();
            let (_, restored) = open(data.path());
            same(&restored.rooms[&room()], &log);
        }
        let entries = |bytes: &[u8]| {
            let data = tempfile::tempdir().unwrap();
            std::fs::create_dir(data.path().join("rooms")).unwrap();
            std::fs::write(data.path().join("rooms/000001.log"), bytes).unwrap();
            open(data.path()).1.rooms.get(&room()).map_or(0, Log::tip)
        };
        let tips: Vec<u64> = (0..=first.len()).map(|end| entries(&first[..end])).collect();
        assert!(tips.is_sorted(), "{tips:?}");
        assert_eq!((tips[0], tips[first.len() - 1], tips[first.len()]), (0, 3, 3));
    }

    #[test]
    fn a_closed_room_is_not_read_back() {
        let data = tempfile::tempdir().unwrap();
        let (journal, _) = open(data.path());
        lived(&journal);
        journal.write(&room(), &[Record::Closed]).unwrap();
        drop(journal);
        assert!(open(data.path()).1.rooms.is_empty());
    }
}

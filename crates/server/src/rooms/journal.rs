//! What must survive the process: rooms, their members and messages, in files that are only appended to (R11).
//!
//! A record is handed to the system before anybody is told of what it says, so that `kill -9` loses nothing. It is
//! not synced: after power was lost the files are of another boot of the machine, and whatever is in them is in
//! doubt. Then, and when a record is damaged, rooms are thrown away, and begin another epoch. What is never wrong to
//! believe stays: which tokens were revoked (that is synced), and what a webhook has not been told.
//!
//! ```text
//!  rooms/000001.log   header: magic, boot    then records: length, check, postcard
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
use wire::room::{Class, Epoch, Fence, MemberId, Payload, RoomId, SenderId};

use super::wall;
use super::webhook::Event;

/// When a file is long enough for another to begin, in bytes.
const SEGMENT: u64 = 32 << 20;

const MAGIC: &[u8; 8] = b"rooms-1\n";

/// The length of a boot's id, and of a record's header: length and check.
const BOOT: usize = 37;
const HEADER: usize = 12;

/// One thing that happened, as it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Record {
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
    pub(super) fn message(message: &Message, sender: Option<(SenderId, u64)>) -> Self {
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
pub(super) struct Restored {
    pub(super) rooms: HashMap<RoomId, Log>,
    /// Who had a connection.
    pub(super) connected: BTreeSet<(RoomId, MemberId)>,
    /// Members of rooms that begin anew, because what was written of them is in doubt.
    pub(super) lost: Vec<(RoomId, MemberId)>,
    /// No connection had a greater number.
    pub(super) fence: Fence,
    pub(super) revoked: Revocations,
    /// What was not told.
    pub(super) events: BTreeMap<u64, (RoomId, Event)>,
}

/// Up to when members' tokens are void, in seconds since the Unix epoch.
pub(super) type Revocations = HashMap<(RoomId, MemberId), u64>;

/// The files.
pub(super) struct Journal {
    folder: PathBuf,
    state: Mutex<State>,
}

struct State {
    number: u64,
    file: File,
    bytes: u64,
    buffer: Vec<u8>,
    is_broken: bool,
}

impl Journal {
    /// Opens a data folder's journal, and reads back what is certain.
    pub(super) fn open(data: &Path, rules: LogRules, now: Timestamp) -> anyhow::Result<(Self, Restored)> {
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
        let number = old.last().map_or(1, |(number, _)| number + 1);
        let journal = Self {
            state: Mutex::new(State {
                number,
                file: begin(&folder, number, &boot)?,
                bytes: 0,
                buffer: Vec::new(),
                is_broken: false,
            }),
            folder,
        };
        for (room, log) in &restored.rooms {
            journal.write_whole(room, log)?;
        }
        journal.write_revocations(&restored.revoked)?;
        for (room, event) in restored.events.values() {
            journal.write(room, &Record::Event(event.clone()))?;
        }
        for (_, path) in old {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok((journal, restored))
    }

    /// Writes something down. After a failure everything fails: what is in the file is then in doubt.
    pub(super) fn write(&self, room: &RoomId, record: &Record) -> anyhow::Result<()> {
        let mut state = self.lock();
        if state.is_broken {
            bail!("rooms could not be written before");
        }
        let written = state.write(room, record);
        state.is_broken = written.is_err();
        written
    }

    /// Writes a whole room down: nothing older is needed for it.
    pub(super) fn write_whole(&self, room: &RoomId, log: &Log) -> anyhow::Result<()> {
        let (next, trimmed) = log.position();
        self.write(room, &Record::Opened { epoch: log.epoch().0 })?;
        for (member, state) in log.members() {
            let record = state.record(wall);
            self.write(room, &Record::Member { member: member.clone(), record })?;
            if !state.is_connected() {
                self.write(room, &Record::Dropped { member: member.clone() })?;
            }
        }
        for message in log.messages() {
            self.write(room, &Record::message(message, None))?;
        }
        self.write(room, &Record::Position { next, trimmed })
    }

    /// Writes down whose tokens are void, and waits for the disk: this must hold after power was lost too.
    pub(super) fn write_revocations(&self, revoked: &Revocations) -> anyhow::Result<()> {
        if revoked.is_empty() {
            return Ok(());
        }
        for ((room, member), until) in revoked {
            self.write(room, &Record::Revoked { member: member.clone(), until: *until })?;
        }
        self.lock().file.sync_data().context("cannot sync the rooms' journal")
    }

    pub(super) fn is_broken(&self) -> bool {
        self.lock().is_broken
    }

    /// Begins another file, if the present one is long enough, or in doubt. Every room must then write itself whole,
    /// and the files before this number may be removed.
    pub(super) fn turn_over(&self) -> anyhow::Result<Option<u64>> {
        let mut state = self.lock();
        if state.bytes < SEGMENT && !state.is_broken {
            return Ok(None);
        }
        let number = state.number + 1;
        state.file = begin(&self.folder, number, &boot())?;
        (state.number, state.bytes, state.is_broken) = (number, 0, false);
        Ok(Some(number))
    }

    /// Removes what is no longer needed.
    pub(super) fn remove_before(&self, number: u64) -> anyhow::Result<()> {
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
    fn write(&mut self, room: &RoomId, record: &Record) -> anyhow::Result<()> {
        self.buffer.clear();
        self.buffer.resize(HEADER, 0);
        self.buffer = postcard::to_extend(&(room, record), std::mem::take(&mut self.buffer))?;
        let (header, body) = self.buffer.split_at_mut(HEADER);
        header[..4].copy_from_slice(&u32::try_from(body.len())?.to_le_bytes());
        header[4..].copy_from_slice(&hash_state(body).0.to_le_bytes());
        self.file.write_all(&self.buffer).context("cannot write to the rooms' journal")?;
        self.bytes += self.buffer.len() as u64;
        Ok(())
    }
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
        file.write_all(MAGIC)?;
        file.write_all(boot)?;
        Ok(file)
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

/// Reads a file back. An error is a doubt.
fn read_back(path: &Path, boot: &[u8], reading: &mut Reading<'_>) -> anyhow::Result<()> {
    let bytes = std::fs::read(path)?;
    let rest = bytes.strip_prefix(MAGIC).context("it is no journal of rooms")?;
    let (written_in, mut rest) = rest.split_at_checked(BOOT).context("it is cut off")?;
    while !rest.is_empty() {
        let (header, body) = rest.split_at_checked(HEADER).context("a record is cut off")?;
        let length = u32::from_le_bytes(header[..4].try_into()?);
        let (body, after) = body.split_at_checked(length as usize).context("a record is cut off")?;
        if hash_state(body).0.to_le_bytes() != header[4..] {
            bail!("a record is damaged");
        }
        let (room, record) = postcard::from_bytes(body)?;
        reading.apply(room, record)?;
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
}

struct Reading<'a> {
    rules: LogRules,
    now: Timestamp,
    restored: &'a mut Restored,
}

impl Reading<'_> {
    fn apply(&mut self, room: RoomId, record: Record) -> anyhow::Result<()> {
        let Restored { rooms, connected, fence, revoked, events, .. } = &mut *self.restored;
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
            Record::Dropped { member } => {
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
        Journal::open(data, LogRules::default(), now()).unwrap()
    }

    fn room() -> RoomId {
        "room".parse().unwrap()
    }

    /// A room with two members and three messages, written down as it came about.
    fn lived(journal: &Journal) -> Log {
        let mut log = Log::new(Epoch(7), LogRules::default(), now());
        journal.write(&room(), &Record::Opened { epoch: 7 }).unwrap();
        let (ann, bob): (MemberId, MemberId) = ("ann".parse().unwrap(), "bob".parse().unwrap());
        let sender: SenderId = "page".parse().unwrap();
        for (member, fence) in [(&ann, 1), (&bob, 2)] {
            log.join(member, Fence(fence), None, None, Some(&sender), now()).unwrap();
            let record = log.member(member).unwrap().record(wall);
            journal.write(&room(), &Record::Member { member: member.clone(), record }).unwrap();
        }
        for counter in 1..=3 {
            let draft = Draft { to: None, class: Class::Normal, payload: Payload::Json("[1]".into()) };
            let sent = log.send(&ann, Fence(1), Some(counter), draft, (now(), wall(now()))).unwrap();
            let room::log::Sent::New(message) = sent else { panic!("{sent:?}") };
            journal.write(&room(), &Record::message(&message, Some((sender.clone(), counter)))).unwrap();
        }
        log.pull(&bob, Fence(2), (9, 9999)).unwrap();
        log.acknowledge(&bob, Fence(2), 2, now());
        journal.write(&room(), &Record::Acknowledged { member: bob, sequence: 2 }).unwrap();
        log
    }

    fn same(log: &Log, other: &Log) {
        assert_eq!((log.epoch(), log.position()), (other.epoch(), other.position()));
        assert!(log.messages().eq(other.messages()));
        let records = |log: &Log| -> Vec<_> {
            log.members().map(|(id, member)| (id.clone(), member.record(|_| WallTime(0)))).collect()
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
        let mut doubtful = vec![whole[..whole.len() - 1].to_vec()];
        for at in [0, MAGIC.len(), header, header + 4, header + HEADER, whole.len() - 1] {
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

    #[test]
    fn a_closed_room_is_not_read_back() {
        let data = tempfile::tempdir().unwrap();
        let (journal, _) = open(data.path());
        lived(&journal);
        journal.write(&room(), &Record::Closed).unwrap();
        drop(journal);
        assert!(open(data.path()).1.rooms.is_empty());
    }
}

//! A disk in memory that remembers what it was told, in order, and can say what of it a power loss leaves.
//!
//! What was written before a file's last sync is there. Of what was written since, any sectors may be there, and
//! any may not: a disk orders its writes as it likes, and a write of several sectors can be torn between them.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::Rng;
use sqlite_vfs::wip::{WalIndex, WalIndexLock};
use sqlite_vfs::{DatabaseHandle, LockKind, OpenAccess, OpenOptions, Vfs};

/// What a disk writes at once or not at all, in bytes. Newer disks have larger ones, which tear less.
const SECTOR: u64 = 512;

/// One thing that the disk was told, or that the test noted between two of them.
#[derive(Clone)]
pub(crate) enum Entry<N> {
    Write { file: String, at: u64, bytes: Vec<u8> },
    Resize { file: String, size: u64 },
    Sync { file: String },
    Delete { file: String },
    Note(N),
}

/// The contents of files, by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

struct State<N> {
    log: Vec<Entry<N>>,
    /// What a program sees: everything written, synced or not.
    seen: Files,
}

/// The disk; clones share it.
pub(crate) struct Disk<N>(Arc<Mutex<State<N>>>);

impl<N> Clone for Disk<N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<N: Clone> Disk<N> {
    /// A disk that was told `log` by a process that is gone. The power stayed on, so the system still knows all.
    pub(crate) fn after(log: &[Entry<N>]) -> Self {
        let mut seen = Files::new();
        for entry in log {
            apply(&mut seen, entry);
        }
        Self(Arc::new(Mutex::new(State { log: log.to_vec(), seen })))
    }

    /// Marks a moment among the writes.
    pub(crate) fn note(&self, note: N) {
        self.0.lock().unwrap().log.push(Entry::Note(note));
    }

    /// Everything so far.
    pub(crate) fn log(&self) -> Vec<Entry<N>> {
        self.0.lock().unwrap().log.clone()
    }

    fn tell(&self, entry: Entry<N>) {
        let mut state = self.0.lock().unwrap();
        apply(&mut state.seen, &entry);
        state.log.push(entry);
    }
}

fn apply<N>(files: &mut Files, entry: &Entry<N>) {
    match entry {
        Entry::Write { file, at, bytes } => {
            let contents = files.entry(file.clone()).or_default();
            let end = *at as usize + bytes.len();
            if contents.len() < end {
                contents.resize(end, 0);
            }
            contents[*at as usize..end].copy_from_slice(bytes);
        }
        Entry::Resize { file, size } => files.entry(file.clone()).or_default().resize(*size as usize, 0),
        Entry::Delete { file } => {
            files.remove(file);
        }
        Entry::Sync { .. } | Entry::Note(_) => {}
    }
}

/// What is there after a power loss at the end of `log`. A disk that is not `honest` takes no notice of syncs.
pub(crate) fn lose_power<N: Clone>(log: &[Entry<N>], honest: bool, rng: &mut Rng) -> Files {
    let mut durable = Files::new();
    let mut waiting: Vec<&Entry<N>> = Vec::new();
    for entry in log {
        match entry {
            Entry::Sync { file } if honest => {
                waiting.retain(|waits| {
                    let synced = about(waits) == Some(file.as_str());
                    if synced {
                        apply(&mut durable, waits);
                    }
                    !synced
                });
                durable.entry(file.clone()).or_default();
            }
            // SQLite deletes a journal with a sync of the folder, so it does not come back.
            Entry::Delete { file } => {
                waiting.retain(|waits| about(waits) != Some(file.as_str()));
                apply(&mut durable, entry);
            }
            Entry::Sync { .. } | Entry::Note(_) => {}
            Entry::Write { .. } | Entry::Resize { .. } => waiting.push(entry),
        }
    }
    // Nothing, everything, or something between: each is a disk of its own.
    let lucky = [0.0, 0.2, 0.5, 0.9, 1.0][rng.below(5) as usize];
    for entry in waiting {
        match entry {
            Entry::Write { file, at, bytes } => {
                for (at, bytes) in sectors(*at, bytes) {
                    if rng.chance(lucky) {
                        apply(
                            &mut durable,
                            &Entry::<N>::Write { file: file.clone(), at, bytes: bytes.to_vec() },
                        );
                    }
                }
            }
            _ if rng.chance(lucky) => apply(&mut durable, entry),
            _ => {}
        }
    }
    durable
}

fn about<N>(entry: &Entry<N>) -> Option<&str> {
    match entry {
        Entry::Write { file, .. }
        | Entry::Resize { file, .. }
        | Entry::Sync { file }
        | Entry::Delete { file } => Some(file),
        Entry::Note(_) => None,
    }
}

fn sectors(mut at: u64, mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let room = (SECTOR - at % SECTOR) as usize;
        let (piece, rest) = bytes.split_at(room.min(bytes.len()));
        pieces.push((at, piece));
        at += piece.len() as u64;
        bytes = rest;
    }
    pieces
}

/// An open file of the disk.
pub(crate) struct Handle<N> {
    disk: Disk<N>,
    file: String,
    lock: LockKind,
}

impl<N: Clone + Send> Vfs for Disk<N> {
    type Handle = Handle<N>;

    fn open(&self, file: &str, options: OpenOptions) -> Result<Handle<N>, Error> {
        let is_there = self.exists(file)?;
        if !is_there && !matches!(options.access, OpenAccess::Create | OpenAccess::CreateNew) {
            return Err(ErrorKind::NotFound.into());
        }
        if !is_there {
            self.tell(Entry::Resize { file: file.to_owned(), size: 0 });
        }
        Ok(Handle { disk: self.clone(), file: file.to_owned(), lock: LockKind::None })
    }

    fn delete(&self, file: &str) -> Result<(), Error> {
        self.tell(Entry::Delete { file: file.to_owned() });
        Ok(())
    }

    fn exists(&self, file: &str) -> Result<bool, Error> {
        Ok(self.0.lock().unwrap().seen.contains_key(file))
    }

    fn access(&self, file: &str, _write: bool) -> Result<bool, Error> {
        self.exists(file)
    }

    fn temporary_name(&self) -> String {
        "temporary".to_owned()
    }

    /// The salts of the log come from here; the same ones in every run keep a seed's run the same.
    fn random(&self, buffer: &mut [i8]) {
        buffer.fill(7);
    }

    fn sleep(&self, duration: Duration) -> Duration {
        std::thread::sleep(duration);
        duration
    }
}

impl<N: Clone + Send> DatabaseHandle for Handle<N> {
    type WalIndex = NoSharedMemory;

    fn size(&self) -> Result<u64, Error> {
        let state = self.disk.0.lock().unwrap();
        Ok(state.seen.get(&self.file).map_or(0, |contents| contents.len() as u64))
    }

    fn read_exact_at(&mut self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        let state = self.disk.0.lock().unwrap();
        let contents = state.seen.get(&self.file).map_or(&[][..], Vec::as_slice);
        let there = contents.get(offset as usize..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        // SQLite wants what is past the end as zeros, besides being told.
        buffer[count..].fill(0);
        if count < buffer.len() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        self.disk.tell(Entry::Write { file: self.file.clone(), at: offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn sync(&mut self, _data_only: bool) -> Result<(), Error> {
        self.disk.tell(Entry::Sync { file: self.file.clone() });
        Ok(())
    }

    fn set_len(&mut self, size: u64) -> Result<(), Error> {
        self.disk.tell(Entry::Resize { file: self.file.clone(), size });
        Ok(())
    }

    fn lock(&mut self, lock: LockKind) -> Result<bool, Error> {
        self.lock = lock;
        Ok(true)
    }

    fn reserved(&mut self) -> Result<bool, Error> {
        Ok(false)
    }

    fn current_lock(&self) -> Result<LockKind, Error> {
        Ok(self.lock)
    }

    fn wal_index(&self, _readonly: bool) -> Result<NoSharedMemory, Error> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// There is one connection, with the database to itself, so the log's index is in its own memory.
pub(crate) struct NoSharedMemory;

impl WalIndex for NoSharedMemory {
    fn enabled() -> bool {
        false
    }

    fn map(&mut self, _region: u32) -> Result<[u8; 32768], Error> {
        Err(ErrorKind::Unsupported.into())
    }

    fn lock(&mut self, _locks: core::ops::Range<u8>, _lock: WalIndexLock) -> Result<bool, Error> {
        Err(ErrorKind::Unsupported.into())
    }

    fn delete(self) -> Result<(), Error> {
        Ok(())
    }
}

//! What was acknowledged survives a power loss (D1).
//!
//! The real store runs over a [`disk`] in memory that remembers every write and sync. One run, with two seats
//! uploading overlapping batches at once, is cut at hundreds of moments; for each, the files are rebuilt as a power
//! loss may leave them and opened by the real store with real files. Every acknowledged frame must be there, once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod disk;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use base::{Frame, Rng, Seat, SeatSet, StateHash};
use disk::{Disk, Entry, Files, lose_power};
use rusqlite::{Connection, OpenFlags};
use store::{DATABASE, Reader, Store};
use support::{GAME, put_a_game};
use wire::batch::{FrameRecord, RecordBatch};

/// How many frames each seat tells. Enough that SQLite moves its log into the database on its own on the way.
const FRAMES: Frame = 6_000;

/// How often power is lost when nothing else is said.
const CRASHES: u64 = 400;

/// What the test notes between the disk's writes.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Note {
    /// The game exists, as the store has said.
    GameMade,
    /// A seat has sent every frame before this one.
    Sent { seat: u8, end: Frame },
    /// The store has said that every frame of a seat before this one is durable.
    Acknowledged { seat: u8, durable: Frame },
}

type Log = Vec<Entry<Note>>;

#[test]
fn every_acknowledged_frame_survives_a_power_loss_at_any_moment() {
    let log = a_run(0..FRAMES);
    let mut rng = Rng::from_seed(20);
    let crashes = std::env::var("INTERPLAY_CRASHES").map_or(CRASHES, |crashes| crashes.parse().unwrap());
    for round in 0..crashes {
        let moment = a_moment(&log, &mut rng);
        let files = lose_power(&log[..moment], true, &mut rng);
        check(&files, &told(&log[..moment]))
            .unwrap_or_else(|problem| panic!("round {round}, moment {moment}: {problem}"));
    }
}

/// `kill -9` leaves what was written but not synced in the system's memory: the next process reads it as if it were
/// durable. A page whose answer was lost sends its batch again, and the store finds every frame there: what it
/// acknowledges then, it must have synced itself.
#[test]
fn a_batch_repeated_after_a_kill_is_durable_when_it_is_acknowledged() {
    let log = a_run(0..2_000);
    let before_syncs: Vec<usize> = (0..log.len())
        .filter(|&at| matches!(&log[at], Entry::Sync { file } if file.ends_with("-wal")))
        .collect();
    let mut rng = Rng::from_seed(21);
    let mut repeated = 0;
    while repeated < 100 {
        let moment = before_syncs[rng.below(before_syncs.len() as u64) as usize];
        let killed = &log[..moment];
        let (Some(told), sent) = (told(killed), sent(killed)) else { continue };
        let unanswered = [told[0]..sent[0], told[1]..sent[1]];
        if unanswered.iter().all(core::ops::Range::is_empty) {
            continue;
        }
        let resumed = a_repetition(killed, unanswered);
        let files = lose_power(&resumed, true, &mut rng);
        check(&files, &self::told(&resumed)).unwrap_or_else(|problem| panic!("moment {moment}: {problem}"));
        repeated += 1;
    }
}

/// The tests above would be worth nothing if a disk that forgets could pass them.
#[test]
fn a_disk_that_takes_no_notice_of_syncs_is_found_out() {
    let log = a_run(0..2_000);
    let mut rng = Rng::from_seed(22);
    let found_out = (0..50)
        .filter(|_| {
            let moment = a_moment(&log, &mut rng);
            let files = lose_power(&log[..moment], false, &mut rng);
            check(&files, &told(&log[..moment])).is_err()
        })
        .count();
    assert!(found_out > 10, "found out in {found_out} of 50 power losses");
}

/// What the store has acknowledged: each seat's durable frame, once the game exists.
fn told(log: &[Entry<Note>]) -> Option<[Frame; 2]> {
    let notes = log.iter().filter_map(|entry| if let Entry::Note(note) = entry { Some(*note) } else { None });
    let mut told = None;
    for note in notes {
        match note {
            Note::Sent { .. } => {}
            Note::GameMade => told = told.or(Some([0; 2])),
            Note::Acknowledged { seat, durable } => {
                let told = &mut told.as_mut().unwrap()[usize::from(seat)];
                *told = durable.max(*told);
            }
        }
    }
    told
}

/// How far each seat has sent its frames.
fn sent(log: &[Entry<Note>]) -> [Frame; 2] {
    let mut sent = [0; 2];
    for entry in log {
        if let Entry::Note(Note::Sent { seat, end }) = entry {
            sent[usize::from(*seat)] = *end;
        }
    }
    sent
}

/// A moment to lose power at: anywhere, or right after an acknowledgement, before anything else is written.
fn a_moment(log: &Log, rng: &mut Rng) -> usize {
    let mut moment = 1 + rng.below(log.len() as u64) as usize;
    if rng.chance(0.5) {
        while moment < log.len() && !matches!(log[moment - 1], Entry::Note(_)) {
            moment += 1;
        }
    }
    moment
}

/// Opens what a power loss left with the real store, and looks.
fn check(files: &Files, told: &Option<[Frame; 2]>) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, contents) in files {
        std::fs::write(folder.path().join(name), contents).unwrap();
    }
    // Opening is what recovers.
    let store = Store::open(folder.path()).map_err(|error| error.to_string())?;
    let connection = Connection::open(folder.path().join(DATABASE)).unwrap();
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(|error| error.to_string())?;
    if verdict != "ok" {
        return Err(verdict);
    }
    let Some(durable) = told else { return Ok(()) };
    let reader = Reader::open(folder.path()).map_err(|error| error.to_string())?;
    let mut times = BTreeMap::<(u8, Frame), u32>::new();
    for row in reader.frames(GAME).map_err(|error| error.to_string())? {
        let seat = row.reporter.number();
        let expected = frame(seat, row.frame);
        if (&row.inputs, row.hash) != (&expected.inputs, expected.hash) {
            return Err(format!("frame {} of seat {seat} has other contents", row.frame));
        }
        *times.entry((seat, row.frame)).or_default() += 1;
    }
    if let Some((which, times)) = times.iter().find(|(_, times)| **times != 1) {
        return Err(format!("{which:?} is there {times} times"));
    }
    for (seat, durable) in (0..).zip(durable) {
        if let Some(lost) = (0..*durable).find(|frame| !times.contains_key(&(seat, *frame))) {
            return Err(format!(
                "frame {lost} of seat {seat} was acknowledged (all before {durable}) and is lost"
            ));
        }
    }
    drop(store);
    Ok(())
}

/// Both seats upload their frames, in overlapping batches; returns all that the disk was told.
fn a_run(frames: core::ops::Range<Frame>) -> Log {
    let disk = Disk::after(&[]);
    let store = store_on(&disk);
    block_on(async {
        put_a_game(&store).await;
        disk.note(Note::GameMade);
        let upload = async |seat: u8| {
            let mut rng = Rng::from_seed(u64::from(seat));
            let mut next = frames.start;
            while next < frames.end {
                let first = next.saturating_sub(rng.below(10) as Frame).max(frames.start);
                next = (next + 1 + rng.below(30) as Frame).min(frames.end);
                send(&store, &disk, seat, first..next).await;
            }
        };
        tokio::join!(upload(0), upload(1));
    });
    disk.log()
}

/// A new process finds what a killed one left, and each seat sends again what was not answered.
fn a_repetition(killed: &[Entry<Note>], unanswered: [core::ops::Range<Frame>; 2]) -> Log {
    let disk = Disk::after(killed);
    let store = store_on(&disk);
    let [first, second] = unanswered;
    block_on(async { tokio::join!(send(&store, &disk, 0, first), send(&store, &disk, 1, second)) });
    disk.log()
}

async fn send(store: &Store, disk: &Disk<Note>, seat: u8, frames: core::ops::Range<Frame>) {
    disk.note(Note::Sent { seat, end: frames.end });
    let answer = store.append_batch(GAME, Seat::new(seat).unwrap(), batch(seat, frames)).await;
    disk.note(Note::Acknowledged { seat, durable: answer.unwrap().durable_frame });
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// The real store on a disk. Such disks have no memory to share, so its connection takes the database for itself.
fn store_on(disk: &Disk<Note>) -> Store {
    let layer = layer_name();
    sqlite_vfs::register(&layer, disk.clone(), false).unwrap();
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(DATABASE, flags, layer.as_str()).unwrap();
    connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE").unwrap();
    Store::from_connection(connection, Path::new(DATABASE)).unwrap()
}

/// A name that no other disk of this process has: SQLite keeps what is registered for good.
fn layer_name() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("disk-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn frame(seat: u8, number: Frame) -> FrameRecord {
    FrameRecord {
        inputs: vec![number as u8, (number >> 8) as u8],
        filled: SeatSet::EMPTY,
        hash: StateHash(base::derive_seed(u64::from(seat), u64::from(number))),
        simulated_millis: number * 33,
        shown_millis: None,
        predicted: SeatSet::EMPTY,
        rollback_depth: 0,
    }
}

fn batch(seat: u8, frames: core::ops::Range<Frame>) -> RecordBatch {
    RecordBatch {
        incarnation: 0,
        incarnations: vec![0, 0],
        first: frames.start,
        frames: frames.map(|number| frame(seat, number)).collect(),
        events: vec![],
    }
}

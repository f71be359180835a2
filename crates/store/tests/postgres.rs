//! What only a database has that several share, over a network, with a server that may be ended and started again (C1, C2).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use base::{Frame, Rng, Seat, SeatSet, StateHash, WallTime};
use store::{DatabaseUrl, Location, Reader, Store, StoreError, Write};
use support::database::Database;
use support::postgres::{PostgresServer, Syncs};
use support::{GAME, VISITS, put_a_game};
use tokio_postgres::NoTls;
use wire::batch::{FrameRecord, RecordBatch};

fn url(text: &str) -> DatabaseUrl {
    text.parse().unwrap()
}

fn seat(number: u8) -> Seat {
    Seat::new(number).unwrap()
}

fn batch(frames: core::ops::Range<Frame>) -> RecordBatch {
    let record = |number: Frame| FrameRecord {
        inputs: number.to_le_bytes().to_vec(),
        filled: SeatSet::EMPTY,
        hash: StateHash(u64::from(number)),
        simulated_millis: number * 33,
        shown_millis: None,
        predicted: SeatSet::EMPTY,
        rollback_depth: 0,
    };
    let first = frames.start;
    let frames = frames.map(record).collect();
    RecordBatch { incarnation: 0, incarnations: vec![0, 0], first, frames, events: vec![] }
}

/// Something that would show when it was written twice, or not at all.
fn mark(number: u64) -> Write {
    let at = WallTime(number);
    Write::ServerEvent { game: GAME, seat: None, kind: "mark", detail: serde_json::Value::Null, at }
}

fn read<T: Send>(url: &str, read: impl FnOnce(&Reader) -> T + Send) -> T {
    let location = Location::from(self::url(url));
    std::thread::scope(|scope| scope.spawn(|| read(&Reader::open(location).unwrap())).join().unwrap())
}

fn marks(url: &str) -> Vec<u64> {
    read(url, |reader| reader.server_events(GAME).unwrap().iter().map(|row| row.at.0).collect())
}

/// Somebody else on the same database.
async fn somebody_else(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn refusal(location: impl Into<Location>) -> String {
    match Store::open(location) {
        Ok(_) => panic!("opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_hear_the_same_pages_at_once_keep_each_frame_once() {
    const FRAMES: Frame = 600;
    let database = PostgresServer::shared().database();
    let stores = [(); 2].map(|()| Store::open_shared(url(&database)).unwrap());
    put_a_game(&stores[0]).await;
    let mut telling = Vec::new();
    for (store, from) in stores.iter().zip(0_u64..) {
        for (page, part) in [(0, 0), (0, 1), (1, 2)] {
            let store = store.clone();
            let mut rng = Rng::from_seed(10 * from + part);
            telling.push(tokio::spawn(async move {
                let (mut next, mut last) = (0, 0);
                while next < FRAMES {
                    let first = next - (rng.below(20) as Frame).min(next);
                    next = (next + 1 + rng.below(30) as Frame).min(FRAMES);
                    let answer = store.append_batch(GAME, seat(page), batch(first..next)).await.unwrap();
                    assert!(answer.durable_frame >= last.max(next), "what was acknowledged stays");
                    last = answer.durable_frame;
                }
            }));
        }
    }
    for telling in telling {
        telling.await.unwrap();
    }
    let rows = read(&database, |reader| reader.frames(GAME).unwrap());
    let mut kept: Vec<_> = rows.iter().map(|row| (row.reporter.number(), row.frame, row.version)).collect();
    kept.sort_unstable();
    let expected: Vec<_> = (0..2).flat_map(|page| (0..FRAMES).map(move |frame| (page, frame, 0))).collect();
    assert_eq!(kept, expected);
    for store in &stores {
        for page in 0..2 {
            let answer = store.append_batch(GAME, seat(page), batch(7..7)).await.unwrap();
            assert_eq!(answer.durable_frame, FRAMES);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_comes_to_two_servers_at_once_has_one_visit() {
    let database = PostgresServer::shared().database();
    let stores = [(); 2].map(|()| Store::open_shared(url(&database)).unwrap());
    let all: Vec<_> = (1..=40_u8)
        .map(|number| {
            let store = stores[usize::from(number % 2)].clone();
            let new = store::NewVisit {
                visit: base::VisitId::from_random([number; 16]),
                participant: base::ParticipantId::from_random([number; 16]),
                experiment: "tag".into(),
                experiment_sha256: "ab".into(),
                entry: serde_json::Map::new(),
                person: Some("prolific:a".into()),
                created: WallTime(5),
            };
            tokio::spawn(async move { store.create_visit(new).await.unwrap() })
        })
        .collect();
    let mut first = 0;
    for one in all {
        first += u32::from(one.await.unwrap().is_none());
    }
    assert_eq!((first, read(&database, |reader| reader.visits().unwrap().len())), (1, 1));
}

#[test]
fn two_that_start_at_once_on_an_empty_database_make_one_schema() {
    let database = PostgresServer::shared().database();
    let together = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                together.wait();
                Store::open_shared(url(&database)).unwrap();
            });
        }
    });
    assert!(read(&database, |reader| reader.visits().unwrap()).is_empty());
}

#[tokio::test]
async fn a_database_has_one_server_until_that_lets_go_of_it() {
    let database = PostgresServer::shared().database();
    let first = Store::open(url(&database)).unwrap();
    let text = refusal(url(&database));
    assert!(
        text.contains("is in use by another server; stop that one") && text.contains("--database"),
        "{text}"
    );
    put_a_game(&first).await;
    drop(first);
    Store::open(url(&database)).unwrap().flush().await.unwrap();
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_left_alone() {
    let database = PostgresServer::shared().database();
    Store::open(url(&database)).unwrap().flush().await.unwrap();
    somebody_else(&database).await.execute("UPDATE schema_version SET version = 99", &[]).await.unwrap();
    let text = refusal(url(&database));
    assert!(text.contains("newer release (schema 99"), "{text}");
}

#[test]
fn what_cannot_be_used_is_named_with_the_cure_and_without_the_password() {
    let database = PostgresServer::shared().database();
    let nowhere = "postgres://ann:hush@127.0.0.1:1/study";
    let no_such = PostgresServer::url_through(PostgresServer::shared().folder(), "nobodys");
    let empty = Reader::open(url(&database)).err().unwrap().to_string();
    for text in [refusal(url(nowhere)), refusal(url(&no_such)), empty] {
        assert!(text.contains("postgres://") && text.contains("--database"), "{text}");
        assert!(!text.contains("hush"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_in_anothers_way_is_done_again() {
    let database = PostgresServer::shared().database();
    let store = Store::open(url(&database)).unwrap();
    put_a_game(&store).await;
    let mut other = somebody_else(&database).await;
    // Whoever looks first finds that both wait for each other, and is undone: let that be the store.
    other.batch_execute("SET deadlock_timeout = '1min'").await.unwrap();
    let other = other.transaction().await.unwrap();
    let touch = "UPDATE visits SET changed = 1 WHERE visit = $1";
    other.execute(touch, &[&VISITS[0].to_string()]).await.unwrap();
    let progress = |visit| Write::Progress {
        visit,
        scene: 3,
        ended: None,
        condition: None,
        progress: "{}".into(),
        at: WallTime(9),
    };
    let writes = vec![mark(1), progress(VISITS[1]), progress(VISITS[0])];
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.apply(writes).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    other.execute(touch, &[&VISITS[1].to_string()]).await.unwrap();
    other.commit().await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(store.visit(VISITS[0]).await.unwrap().unwrap().scene, 3);
    assert_eq!(marks(&database), [1], "what was undone left nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_ended_comes_back() {
    let database = PostgresServer::shared().database();
    let store = Store::open(url(&database)).unwrap();
    put_a_game(&store).await;
    let other = somebody_else(&database).await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for number in 0..10 {
        let ended: i64 = other.query_one(end, &[]).await.unwrap().get(0);
        // The one before may still be on its way out: it has let go of everything before it is in the list no more.
        assert!(ended > 0);
        store.apply(vec![mark(number)]).await.unwrap();
    }
    assert_eq!(marks(&database), (0..10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_waits_while_the_server_is_started_again() {
    let mut server = PostgresServer::start(Syncs::No, &["listen_addresses="]);
    let database = server.database();
    let store = Store::open(url(&database)).unwrap();
    put_a_game(&store).await;
    server.stop();
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.apply(vec![mark(number)]).await })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    server.start_again();
    for waiting in waiting {
        waiting.await.unwrap().unwrap();
    }
    let mut marks = marks(&database);
    marks.sort_unstable();
    assert_eq!(marks, (0..20).collect::<Vec<_>>());
}

/// The server and all its processes die at some moment in the middle of writes, several times. Everything that was answered is
/// there afterwards, once, and whoever had no answer yet gets one.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_survives_kill_9_of_the_server() {
    let mut server = PostgresServer::start(Syncs::Yes, &["listen_addresses="]);
    let database = server.database();
    let store = Store::open(url(&database)).unwrap();
    put_a_game(&store).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4_u64)
        .map(|writer| {
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut answered = Vec::new();
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let number = writer * 1_000_000 + number;
                    store.apply(vec![mark(number)]).await.unwrap();
                    answered.push(number);
                }
                answered
            })
        })
        .collect();
    let mut rng = Rng::from_seed(3);
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(100 + rng.below(400))).await;
        server.kill();
        server.start_again();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.store(true, Ordering::Relaxed);
    let mut answered = Vec::new();
    for writer in writers {
        answered.extend(writer.await.unwrap());
    }
    assert!(answered.len() > 20, "{} were answered", answered.len());
    answered.sort_unstable();
    let mut kept = marks(&database);
    kept.sort_unstable();
    assert_eq!(kept, answered);
}

/// Carries everything between a store and the server, but the first commit: of that the store hears nothing.
struct Cut {
    folder: tempfile::TempDir,
    is_cut: Arc<AtomicBool>,
}

/// What becomes of the commit that is not heard of.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Arrives,
    Lost,
}

impl Cut {
    fn start(server: &Path, fate: Fate) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let is_cut = Arc::new(AtomicBool::new(true));
        let (server, cut) = (server.join(".s.PGSQL.5432"), Arc::clone(&is_cut));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                carry(client.unwrap(), server.clone(), Arc::clone(&cut), fate);
            }
        });
        Self { folder, is_cut }
    }
}

fn carry(mut client: UnixStream, server: PathBuf, is_cut: Arc<AtomicBool>, fate: Fate) {
    let mut upstream = UnixStream::connect(server).unwrap();
    let (mut back, mut to_client) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
    let deaf = Arc::new(AtomicBool::new(false));
    let is_deaf = Arc::clone(&deaf);
    std::thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok(count @ 1..) = back.read(&mut bytes) {
            if is_deaf.load(Ordering::SeqCst) || to_client.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        to_client.shutdown(std::net::Shutdown::Both).ok();
    });
    std::thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok(count @ 1..) = client.read(&mut bytes) {
            let is_commit = bytes[..count].windows(7).any(|part| part == b"COMMIT\0");
            if is_commit && !is_cut.swap(true, Ordering::SeqCst) {
                deaf.store(true, Ordering::SeqCst);
                if fate == Fate::Lost {
                    break;
                }
            }
            if upstream.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        client.shutdown(std::net::Shutdown::Both).ok();
        upstream.shutdown(std::net::Shutdown::Both).ok();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_done_once_whatever_became_of_it() {
    for fate in [Fate::Arrives, Fate::Lost] {
        let server = PostgresServer::shared();
        let name = server.create_database();
        let cut = Cut::start(server.folder(), fate);
        let store = Store::open(url(&PostgresServer::url_through(cut.folder.path(), &name))).unwrap();
        put_a_game(&store).await;
        for number in 0..5 {
            cut.is_cut.store(false, Ordering::SeqCst);
            store.apply(vec![mark(number)]).await.unwrap();
            assert!(cut.is_cut.load(Ordering::SeqCst), "the commit went through");
        }
        let direct = PostgresServer::url_through(server.folder(), &name);
        assert_eq!(marks(&direct), (0..5).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_the_database_takes_for_wrong_is_told_apart_from_its_being_away() {
    let database = Database::postgres();
    let store = database.store_with_a_game().await;
    let twice = store.apply(vec![Write::CreateGame(Box::new(support::game(GAME)))]).await.unwrap_err();
    assert!(twice.is_refusal(), "{twice}");
    let write = Write::Answers {
        visit: VISITS[0],
        scene: "nul\0".into(),
        answers: [("field".to_owned(), serde_json::json!("x"))].into_iter().collect(),
        at: WallTime(1),
    };
    let unwritable: StoreError = store.apply(vec![write]).await.unwrap_err();
    assert!(unwritable.is_refusal(), "{unwritable}");
    store.apply(vec![mark(1)]).await.unwrap();
}

//! What keeping a batch costs the writer's thread: a second of play of one seat, told while many others tell theirs.
//!
//! In SQLite in a folder in memory where there is one, and in a Postgres server of its own on this machine that does not sync: so the
//! disk's syncs, which a group shares, are left out.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(missing_docs, reason = "criterion's macros make items without docs")]

#[path = "../tests/support/postgres.rs"]
#[expect(dead_code, reason = "the tests end it and start it again")]
mod postgres;

use std::path::Path;
use std::time::{Duration, Instant};

use base::{Frame, GameId, ParticipantId, Seat, SeatSet, StateHash, VisitId, WallTime};
use criterion::{Criterion, criterion_group, criterion_main};
use store::{DatabaseUrl, NewGame, NewVisit, Store, Write};
use wire::batch::{FrameRecord, RecordBatch};
use wire::control::GameRules;

use postgres::{PostgresServer, Syncs};

/// How many seats tell at once.
const SEATS: u8 = 64;

/// How many frames a batch has.
const FRAMES: Frame = 30;

fn batch(first: Frame) -> RecordBatch {
    let record = |number: Frame| FrameRecord {
        inputs: number.to_le_bytes().to_vec(),
        filled: SeatSet::EMPTY,
        hash: StateHash(u64::from(number)),
        simulated_millis: number * 33,
        shown_millis: Some(number * 33 + 5),
        predicted: SeatSet::EMPTY,
        rollback_depth: 1,
    };
    RecordBatch {
        incarnation: 0,
        incarnations: vec![0, 0],
        first,
        frames: (first..first + FRAMES).map(record).collect(),
        events: vec![],
    }
}

fn games() -> Vec<GameId> {
    (0..SEATS / 2).map(|number| GameId::from_random([number + 1; 16])).collect()
}

async fn make_games(store: &Store) {
    for (game, number) in games().into_iter().zip(0..) {
        let seats = [0_u8, 1].map(|seat| VisitId::from_random([2 * number + seat + 1; 16]));
        for visit in seats {
            let new = NewVisit {
                visit,
                participant: ParticipantId::from_random([9; 16]),
                experiment: "tag".into(),
                experiment_sha256: "ab".into(),
                entry: serde_json::Map::new(),
                person: None,
                created: WallTime(5),
            };
            store.create_visit(new).await.unwrap();
        }
        let new = NewGame {
            game,
            experiment: "tag".into(),
            experiment_sha256: "ab".into(),
            scene: "play".into(),
            environment_sha256: "cd".into(),
            options: vec![],
            epoch: 7,
            seed: 11,
            rules: GameRules::default(),
            input_size: 2,
            seats: seats.to_vec(),
            created: WallTime(6),
        };
        store.apply(vec![Write::CreateGame(Box::new(new))]).await.unwrap();
    }
}

/// One batch of every seat, all at once.
async fn tell(store: &Store, first: Frame) {
    let told = games().into_iter().flat_map(|game| [(game, 0), (game, 1)]).map(|(game, seat)| {
        let store = store.clone();
        tokio::spawn(async move {
            store.append_batch(game, Seat::new(seat).unwrap(), batch(first)).await.unwrap()
        })
    });
    for told in told.collect::<Vec<_>>() {
        assert_eq!(told.await.unwrap().durable_frame, first + FRAMES);
    }
}

fn in_sqlite(criterion: &mut Criterion) {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    append(criterion, "SQLite", &Store::open(folder.path()).unwrap());
}

fn in_postgres(criterion: &mut Criterion) {
    let server = PostgresServer::start(Syncs::No, &["listen_addresses="]);
    let url: DatabaseUrl = server.database().parse().unwrap();
    append(criterion, "Postgres", &Store::open(url).unwrap());
}

fn append(criterion: &mut Criterion, database: &str, store: &Store) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(make_games(store));
    let mut first = 0;
    criterion.bench_function(&format!("{database}: a batch of 30 frames, of 64 at once"), |bencher| {
        bencher.iter_custom(|iterations| {
            let begun = Instant::now();
            for _ in 0..iterations.div_ceil(SEATS.into()) {
                runtime.block_on(tell(store, first));
                first += FRAMES;
            }
            let rounds = iterations.div_ceil(SEATS.into()) as u32;
            // As if exactly the wanted number of batches had been told.
            begun.elapsed().mul_f64(iterations as f64 / f64::from(rounds * u32::from(SEATS)))
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(10)).sample_size(30);
    targets = in_sqlite, in_postgres
}
criterion_main!(benches);

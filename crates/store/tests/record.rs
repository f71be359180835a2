//! The record of play is kept frame by frame, whatever way it comes (D1, D2). The suite holds for each
//! of the databases.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base::{Frame, GameId, Rng, Seat, SeatSet, StateHash, VisitId, WallTime};
use store::{FrameRow, InCondition, SeatEnding, Store, Write};
use wire::batch::{BatchAcknowledgement, EventRecord, FrameRecord, PlayEvent, RecordBatch};
use wire::control::{TerminationReason, VisitEnding};

mod support;
use support::database::{Database, on_each_database};
use support::{GAME, VISITS, game};

on_each_database!(
    the_acknowledgement_names_the_first_missing_frame,
    an_equal_repeat_is_dropped_and_a_different_one_kept_beside_it,
    reporters_are_kept_apart,
    events_are_kept_once_and_acknowledged,
    a_batch_of_a_game_that_there_is_not_is_refused_and_spoils_no_other,
    any_order_of_overlapping_batches_gives_every_frame_once,
    visits_games_and_endings_come_back_as_they_were,
);

fn frame(number: Frame, salt: u8) -> FrameRecord {
    FrameRecord {
        inputs: vec![number as u8, salt],
        filled: SeatSet::EMPTY,
        hash: StateHash(u64::MAX - u64::from(number)),
        simulated_millis: number * 33,
        shown_millis: Some(number * 33 + 5),
        predicted: SeatSet(2),
        rollback_depth: 1,
    }
}

fn batch(frames: core::ops::Range<Frame>) -> RecordBatch {
    RecordBatch {
        incarnation: 0,
        incarnations: vec![0, 0],
        first: frames.start,
        frames: frames.map(|number| frame(number, 0)).collect(),
        events: vec![],
    }
}

fn seat(number: u8) -> Seat {
    Seat::new(number).unwrap()
}

fn frames(database: &Database) -> Vec<FrameRow> {
    database.read(|reader| reader.frames(GAME).unwrap())
}

async fn the_acknowledgement_names_the_first_missing_frame(database: &Database) {
    let store = database.store_with_a_game().await;
    let append = |range| store.append_batch(GAME, seat(0), batch(range));
    let durable = |answer: Result<BatchAcknowledgement, _>| answer.unwrap().durable_frame;
    assert_eq!(durable(append(0..10).await), 10);
    assert_eq!(durable(append(20..30).await), 10, "a hole is not durable");
    assert_eq!(durable(append(5..20).await), 30, "overlapping batches fill it");
    assert_eq!(durable(append(0..0).await), 30);
    assert_eq!(frames(database).len(), 30);
}

async fn an_equal_repeat_is_dropped_and_a_different_one_kept_beside_it(database: &Database) {
    let store = database.store_with_a_game().await;
    let mut other = batch(0..3);
    other.frames[1].inputs = vec![99, 99];
    for batch in [batch(0..3), batch(0..3), other.clone(), other] {
        store.append_batch(GAME, seat(1), batch).await.unwrap();
    }
    let kept: Vec<_> = frames(database).iter().map(|row| (row.frame, row.version)).collect();
    assert_eq!(kept, [(0, 0), (1, 0), (1, 1), (2, 0)]);
}

async fn reporters_are_kept_apart(database: &Database) {
    let store = database.store_with_a_game().await;
    store.append_batch(GAME, seat(0), batch(0..5)).await.unwrap();
    let answer = store.append_batch(GAME, seat(1), batch(0..3)).await.unwrap();
    assert_eq!(answer.durable_frame, 3);
    let row = &frames(database)[1];
    assert_eq!((row.reporter, row.hash, row.shown_ms), (seat(1), StateHash(u64::MAX), Some(5)));
}

async fn events_are_kept_once_and_acknowledged(database: &Database) {
    let store = database.store_with_a_game().await;
    let event =
        EventRecord { number: 0, frame: 4, millis: 130, event: PlayEvent::EpisodeBegan { episode: 1 } };
    let with_event = RecordBatch { events: vec![event.clone()], ..batch(0..1) };
    for _ in 0..2 {
        let answer = store.append_batch(GAME, seat(0), with_event.clone()).await.unwrap();
        assert_eq!(answer, BatchAcknowledgement { durable_frame: 1, durable_event: 1 });
    }
    let events = database.read(|reader| reader.play_events(GAME).unwrap());
    assert_eq!(events.iter().map(|row| &row.event).collect::<Vec<_>>(), [&event.event]);
}

async fn a_batch_of_a_game_that_there_is_not_is_refused_and_spoils_no_other(database: &Database) {
    let store = database.store_with_a_game().await;
    let unknown = store.append_batch(GameId::from_random([8; 16]), seat(0), batch(0..5));
    let known = store.append_batch(GAME, seat(0), batch(0..5));
    let (unknown, known) = tokio::join!(unknown, known);
    assert!(unknown.is_err());
    assert_eq!(known.unwrap().durable_frame, 5);
}

async fn any_order_of_overlapping_batches_gives_every_frame_once(database: &Database) {
    let store = database.store_with_a_game().await;
    for seed in 0..40 {
        let id = GameId::from_random([seed as u8 + 50; 16]);
        store.apply(vec![Write::CreateGame(Box::new(game(id)))]).await.unwrap();
        let mut rng = Rng::from_seed(seed);
        let mut held = [false; 120];
        for _ in 0..60 {
            let first = rng.below(120) as usize;
            let end = (first + rng.below(30) as usize).min(120);
            let answer = store.append_batch(id, seat(0), batch(first as u32..end as u32)).await.unwrap();
            held[first..end].fill(true);
            let contiguous = held.iter().take_while(|held| **held).count();
            assert_eq!(answer.durable_frame as usize, contiguous, "seed {seed}");
        }
        let kept = database.read(|reader| reader.frames(id).unwrap());
        let kept: Vec<_> = kept.iter().map(|row| row.frame as usize).collect();
        let expected: Vec<_> = (0..120).filter(|&frame| held[frame]).collect();
        assert_eq!(kept, expected, "seed {seed}");
    }
}

fn visit_experiment(database: &Database) -> String {
    database.read(|reader| reader.visits().unwrap().remove(0).experiment)
}

async fn visits_games_and_endings_come_back_as_they_were(database: &Database) {
    let store = database.store_with_a_game().await;
    let (ended, progress) = (Some(VisitEnding::PartnerLost), "{\"scene\":2}".to_owned());
    let condition = Some("fast".to_owned());
    let (visit, at) = (VISITS[0], WallTime(7));
    let write = Write::Progress {
        visit,
        scene: 2,
        ended,
        condition: condition.clone(),
        progress: progress.clone(),
        at,
    };
    let step = |name: &str| {
        let detail = serde_json::json!({ "counts": { "fast": 0 } });
        Write::Path { visit, kind: "condition", name: name.into(), detail, at }
    };
    store.apply(vec![write, step("fast"), step("slow")]).await.unwrap();
    let ending =
        SeatEnding { reason: TerminationReason::PartnerLost, frame: 17, at: WallTime(70), is_partial: true };
    let later = SeatEnding { reason: TerminationReason::Normal, ..ending };
    for ending in [ending, later] {
        store.apply(vec![Write::EndSeat { game: GAME, seat: seat(0), ending }]).await.unwrap();
    }
    drop(store);

    let store = database.store();
    let visit = store.visit(VISITS[0]).await.unwrap().unwrap();
    assert_eq!((visit.scene, visit.ended), (2, Some(VisitEnding::PartnerLost)));
    assert_eq!(visit.progress, Some(progress));
    assert_eq!(store.visit(VisitId::from_random([77; 16])).await.unwrap(), None);
    let in_condition = InCondition { visit: VISITS[0], condition: "fast".into(), ended, changed: at };
    assert_eq!(store.in_conditions(visit_experiment(database)).await.unwrap(), [in_condition]);
    assert_eq!(store.in_conditions("another".into()).await.unwrap(), []);
    let path = database.read(|reader| reader.path().unwrap());
    let names: Vec<_> = path.iter().map(|row| (row.kind.as_str(), row.name.as_str(), row.at)).collect();
    assert_eq!(names, [("condition", "fast", at), ("condition", "slow", at)], "in the order of their coming");
    let row = store.seat_of(GAME, VISITS[1]).await.unwrap().unwrap();
    assert_eq!((row.seat, row.seats, row.input_size), (seat(1), 2, 1));
    let games = database.read(|reader| reader.games().unwrap());
    assert_eq!((games[0].game.seed, games[0].game.options.as_slice()), (u64::MAX, &[3.0, 0.1][..]));
    assert_eq!(games[0].endings, [Some(ending), None], "the first ending stands");
}

#[test]
fn a_folder_that_cannot_be_made_is_named_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let Err(error) = Store::open(&file) else { panic!("a file was taken for a folder") };
    let text = error.to_string();
    assert!(text.contains(&file.display().to_string()) && text.contains("--data"), "{text}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(store::DATABASE), vec![b'x'; 8192]).unwrap();
    let Err(error) = Store::open(folder.path()) else { panic!("opened") };
    assert!(error.to_string().contains("not a database"), "{error}");
}

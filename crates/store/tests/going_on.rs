//! What a server needs to go on with its games: where they stood, and what of their record counts (P6, N5).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base::{Frame, GameId, Seat, SeatSet, StateHash, WallTime};
use store::{DATABASE, History, LiveGame, LiveGames, Reader, SeatEnding, Store, Write};
use wire::batch::{FrameRecord, RecordBatch};
use wire::control::{TerminationReason, VisitEnding};

mod support;
use support::database::{Database, on_each_database};
use support::{GAME, VISITS, game};

on_each_database!(
    a_game_that_is_on_comes_back_as_it_stood,
    what_is_decided_together_is_written_together_or_not_at_all,
    the_history_ends_where_nobody_has_told_of_a_frame,
    what_was_made_of_a_lost_input_is_kept_and_acknowledged_and_does_not_count,
    a_later_pages_record_begins_with_the_first_frame_that_it_tells_of,
    of_several_tellings_the_last_counts,
    an_answer_has_whole_frames_only,
);

fn seat(number: u8) -> Seat {
    Seat::new(number).unwrap()
}

/// Frames with their number, and a mark of who told them, as inputs.
fn batch(incarnation: u8, frames: core::ops::Range<Frame>, mark: u8) -> RecordBatch {
    let record = |number: Frame| FrameRecord {
        inputs: vec![number as u8, mark],
        filled: SeatSet::EMPTY,
        hash: StateHash(0),
        simulated_millis: 0,
        shown_millis: None,
        predicted: SeatSet::EMPTY,
        rollback_depth: 0,
    };
    let first = frames.start;
    let frames = frames.map(record).collect();
    RecordBatch { incarnation, incarnations: vec![0, 0], first, frames, events: vec![] }
}

async fn tell(store: &Store, reporter: u8, incarnation: u8, frames: core::ops::Range<Frame>) -> Frame {
    let mark = 10 * reporter + incarnation;
    store.append_batch(GAME, seat(reporter), batch(incarnation, frames, mark)).await.unwrap().durable_frame
}

fn fence(reporter: u8, incarnation: u8, cut_frame: Frame) -> Write {
    Write::Fence { game: GAME, seat: seat(reporter), incarnation, cut_frame }
}

/// The marks of who told the frames from one on, and each frame's number must be right.
fn marks(database: &Database, from: Frame) -> Vec<u8> {
    let inputs = database.read(|reader| reader.inputs(GAME, from, usize::MAX).unwrap());
    let check = |(frame, row): (Frame, &[u8])| {
        assert_eq!(row[0], frame as u8);
        row[1]
    };
    (from..).zip(inputs.chunks(2)).map(check).collect()
}

async fn a_game_that_is_on_comes_back_as_it_stood(database: &Database) {
    let store = database.store_with_a_game().await;
    let other = GameId::from_random([7; 16]);
    let save = |game, state: &str, at| Write::SaveGame { game, state: Some(state.into()), at: WallTime(at) };
    let ending =
        SeatEnding { reason: TerminationReason::Normal, frame: 1, at: WallTime(9), is_partial: false };
    store
        .apply(vec![
            save(GAME, "first", 10),
            save(GAME, "second", 20),
            Write::EndSeat { game: GAME, seat: seat(0), ending },
            Write::CreateGame(Box::new(game(other))),
            save(other, "over", 21),
            Write::SaveGame { game: other, state: None, at: WallTime(22) },
        ])
        .await
        .unwrap();
    assert_eq!(store.live_games().await.unwrap().alive, None);
    store.beat(WallTime(30));
    store.beat(WallTime(31));
    store.flush().await.unwrap();
    drop(store);
    let seats = vec![None, Some(VISITS[1])];
    let experiment = "tag".into();
    let on = LiveGame { game: GAME, experiment, state: "second".into(), saved: WallTime(20), seats };
    let store = database.store();
    let live = store.live_games().await.unwrap();
    assert_eq!(live, LiveGames { games: vec![on], alive: Some(WallTime(31)) });
}

async fn what_is_decided_together_is_written_together_or_not_at_all(database: &Database) {
    let store = database.store_with_a_game().await;
    let save = Write::SaveGame { game: GAME, state: Some("x".into()), at: WallTime(1) };
    let again = Write::CreateGame(Box::new(game(GAME)));
    let progress = Write::Progress {
        visit: VISITS[0],
        scene: 5,
        ended: None,
        condition: None,
        progress: "{}".into(),
        at: WallTime(7),
    };
    assert!(store.apply(vec![progress, save, again]).await.is_err());
    assert_eq!(store.live_games().await.unwrap(), LiveGames::default());
    assert_eq!(store.visit(VISITS[0]).await.unwrap().unwrap().scene, 0);
}

async fn the_history_ends_where_nobody_has_told_of_a_frame(database: &Database) {
    let store = database.store_with_a_game().await;
    assert_eq!(store.history(GAME).await.unwrap(), History::default());
    tell(&store, 1, 0, 0..150).await;
    tell(&store, 0, 0, 0..10).await;
    // Beyond a hole in its own record, but not in all together; then a hole in both.
    tell(&store, 0, 0, 140..200).await;
    tell(&store, 0, 0, 201..300).await;
    let history = store.history(GAME).await.unwrap();
    assert_eq!((history.end, history.first, history.rows.len()), (200, 72, 128));
    assert_eq!(history.rows[0], [72, 10]);
    assert_eq!(history.rows[127], [199, 0]);
    assert_eq!(marks(database, 130), [[10; 10].as_slice(), &[0; 60]].concat());
    assert_eq!(marks(database, 200), [0; 0]);
    assert_eq!(marks(database, 290), [0; 10], "they are asked for by number");
}

async fn what_was_made_of_a_lost_input_is_kept_and_acknowledged_and_does_not_count(database: &Database) {
    let store = database.store_with_a_game().await;
    tell(&store, 1, 0, 0..45).await;
    tell(&store, 0, 0, 0..40).await;
    store.apply(vec![fence(0, 1, 45)]).await.unwrap();
    // The dead page's last words come late.
    assert_eq!(tell(&store, 0, 0, 40..60).await, 60);
    let history = store.history(GAME).await.unwrap();
    assert_eq!((history.end, history.rows[44].clone()), (45, vec![44, 0]));
    // The page that took its place, and its partner, say whose inputs they mean.
    let told = async |reporter: u8, incarnation: u8, incarnations: [u8; 2], frames| {
        let mark = 10 * reporter + incarnation;
        let batch = RecordBatch { incarnations: incarnations.to_vec(), ..batch(incarnation, frames, mark) };
        store.append_batch(GAME, seat(reporter), batch).await.unwrap().durable_frame
    };
    assert_eq!(told(0, 1, [1, 0], 48..70).await, 70);
    assert_eq!(store.history(GAME).await.unwrap().end, 45, "there is a hole");
    assert_eq!(told(1, 0, [1, 0], 45..60).await, 60);
    assert_eq!(marks(database, 40), [[0; 5].as_slice(), &[10; 3], &[1; 22]].concat());
    // The partner is gone too, with inputs that only the first of these pages had.
    store.apply(vec![fence(1, 1, 65)]).await.unwrap();
    assert_eq!(store.history(GAME).await.unwrap().end, 65);
    // Another has none to tell of, but another word on where it begins.
    store.apply(vec![fence(0, 2, 60), fence(0, 2, 62)]).await.unwrap();
    assert_eq!(store.history(GAME).await.unwrap().end, 62);
    assert_eq!(database.read(|reader| reader.frames(GAME).unwrap()).len(), 45 + 60 + 22 + 15);
}

async fn a_later_pages_record_begins_with_the_first_frame_that_it_tells_of(database: &Database) {
    let store = database.store_with_a_game().await;
    assert_eq!(tell(&store, 0, 1, 7..7).await, 7, "it has told of none yet");
    assert_eq!(tell(&store, 0, 1, 30..35).await, 35);
    assert_eq!(tell(&store, 0, 1, 36..40).await, 35);
    assert_eq!(tell(&store, 0, 1, 35..36).await, 40);
    assert_eq!(tell(&store, 0, 0, 5..9).await, 0, "the first page's begins with the game");
}

async fn of_several_tellings_the_last_counts(database: &Database) {
    let store = database.store_with_a_game().await;
    for mark in [3, 4] {
        store.append_batch(GAME, seat(0), batch(0, 0..5, mark)).await.unwrap();
    }
    tell(&store, 1, 0, 0..9).await;
    assert_eq!(marks(database, 0), [[4; 5].as_slice(), &[10; 4]].concat());
}

async fn an_answer_has_whole_frames_only(database: &Database) {
    let store = database.store_with_a_game().await;
    for first in (0..9000).step_by(1000) {
        tell(&store, 0, 0, first..first + 1000).await;
    }
    database.read(|reader| {
        let bytes = |from, limit| reader.inputs(GAME, from, limit).unwrap().len();
        assert_eq!((bytes(0, 7), bytes(0, usize::MAX), bytes(8192, usize::MAX)), (6, 18_000, 1616));
        assert_eq!((bytes(9000, 7), bytes(Frame::MAX, 7)), (0, 0));
        assert_eq!(reader.inputs(GameId::from_random([8; 16]), 0, 7).unwrap(), [0; 0]);
    });
}

#[tokio::test]
async fn a_database_of_the_first_release_is_read_as_it_is_and_brought_up_to_date_by_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(folder.path().join(DATABASE)).unwrap();
    connection.execute_batch(include_str!("../src/schema/sqlite/1.sql")).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    connection
        .execute_batch(
            "INSERT INTO visits VALUES ('02020202020202020202020202020202', '09090909090909090909090909090909', 'tag',
                'ab', '{}', 2, 'normal', 5);
             INSERT INTO games VALUES ('01010101010101010101010101010101', 'tag', 'ab', 'play', 'cd', 7,
                '000000000000000b', '{}', 1, 6);
             INSERT INTO frames VALUES ('01010101010101010101010101010101', 0, 0, 0, 0, x'0000', x'0100', 0, 0,
                0, NULL, 0, 0);
             INSERT INTO durable VALUES ('01010101010101010101010101010101', 0, 0, 1, 0);",
        )
        .unwrap();
    drop(connection);
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!((reader.frames(GAME).unwrap().len(), reader.fences(GAME).unwrap()), (1, Default::default()));
    let read = reader.visits().unwrap();
    assert_eq!((read[0].ended, read[0].progress.clone()), (Some(VisitEnding::Completed), None));
    drop(reader);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.visit(VISITS[0]).await.unwrap().as_ref(), read.first());
    assert_eq!(store.history(GAME).await.unwrap(), History { end: 1, first: 0, rows: vec![vec![1, 0]] });
    assert_eq!(tell(&store, 0, 0, 1..3).await, 3);
    drop(store);
    Store::open(folder.path()).unwrap().flush().await.unwrap();
}

//! Whoever is forgotten is nowhere any more, not even in what the disk keeps of pages that were overwritten; what others have
//! of a game that they played together stays whole (D5, S7).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use base::{Frame, GameId, ParticipantId, Seat, SeatSet, StateHash, VisitId, WallTime};
use serde_json::{Map, Value, json};
use store::{Belongings, Forget, Location, NewGame, NewVisit, Reader, Store, StoreError, Write};
use wire::batch::{EventRecord, FrameRecord, PlayEvent, RecordBatch};
use wire::control::VisitEnding;

mod support;
use support::database::{Database, on_each_database};
use support::{GAME, VISITS, game};

on_each_database!(
    nothing_is_left_of_one_and_all_of_the_other,
    games_with_others_go_when_that_is_wanted,
    what_a_game_needs_that_is_on_goes_when_it_is_over,
    who_has_data_elsewhere_is_told_whose_to_delete,
    what_nobody_else_told_of_a_game_stays_without_what_says_more,
    nothing_more_is_written_down_of_who_is_forgotten,
);

/// In everything that is of the one who is to be forgotten.
const MARK: &str = "MARK-of-one";

const PROGRESS: Forget = Forget { progress: true, games: false, tells_who: false };

fn entry(person: &str) -> Map<String, Value> {
    Map::from_iter([("PROLIFIC_PID".to_owned(), json!(person))])
}

fn coming(visit: VisitId, person: &str) -> NewVisit {
    NewVisit {
        visit,
        participant: ParticipantId::from_random([7; 16]),
        experiment: "tag".into(),
        experiment_sha256: "ab".into(),
        entry: entry(person),
        person: Some(format!("prolific:{person}")),
        created: WallTime(5),
    }
}

/// As many frames, of which everyone tells the same, and an event.
fn batch(count: Frame) -> RecordBatch {
    let frame = |number: Frame| FrameRecord {
        inputs: vec![number as u8, 7],
        filled: SeatSet::EMPTY,
        hash: StateHash(u64::from(number)),
        simulated_millis: 0,
        shown_millis: None,
        predicted: SeatSet::EMPTY,
        rollback_depth: 0,
    };
    let event = PlayEvent::EpisodeBegan { episode: 0 };
    RecordBatch {
        incarnation: 0,
        incarnations: vec![0, 0],
        first: 0,
        frames: (0..count).map(frame).collect(),
        events: vec![EventRecord { number: 0, frame: 0, millis: 0, event }],
    }
}

/// Two people who have played a game together; the first has a mark on everything.
async fn two_people(database: &Database) -> Store {
    let store = database.store();
    store.create_visit(coming(VISITS[0], MARK)).await.unwrap();
    store.create_visit(coming(VISITS[1], "other")).await.unwrap();
    let mut writes = vec![Write::CreateGame(Box::new(game(GAME)))];
    for (visit, mark) in [(VISITS[0], MARK), (VISITS[1], "other")] {
        let answers = [("name".to_owned(), json!(mark))].into();
        writes.push(Write::Answers { visit, scene: "you".into(), answers, at: WallTime(8) });
        let (name, detail) = (mark.to_owned(), json!({ "order": mark }));
        writes.push(Write::Path { visit, kind: "order", name, detail, at: WallTime(8) });
        writes.push(Write::Progress {
            visit,
            scene: 2,
            ended: Some(VisitEnding::Completed),
            condition: Some(mark.to_owned()),
            progress: json!({ "variables": mark }).to_string(),
            at: WallTime(9),
        });
    }
    store.apply(writes).await.unwrap();
    for seat in [0, 1] {
        store.append_batch(GAME, Seat::new(seat).unwrap(), batch(40)).await.unwrap();
    }
    store
}

/// Where the mark is to be found among the bytes of SQLite's folder. (What Postgres has deleted it cleans up in its own time.)
fn marked(database: &Database) -> Vec<String> {
    let Location::Folder(folder) = &database.location else { return Vec::new() };
    let holds = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(MARK.len()).any(|window| window == MARK.as_bytes())
    };
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| holds(path)).map(|path| path.display().to_string()).collect()
}

async fn nothing_is_left_of_one_and_all_of_the_other(database: &Database) {
    let store = two_people(database).await;
    assert!(matches!(database.location, Location::Postgres(_)) || !marked(database).is_empty());
    assert_eq!(store.visits_of(vec![MARK.into(), format!("prolific:{MARK}")]).await.unwrap(), [VISITS[0]]);
    assert_eq!(store.visits_of(vec![VISITS[1].to_string()]).await.unwrap(), [VISITS[1]]);
    assert_eq!(store.visits_of(vec!["nobody".into()]).await.unwrap(), []);

    assert_eq!(store.belongings(VISITS[0]).await.unwrap(), Belongings { answers: 1, seats: 1, on: 0 });
    store.forget(VISITS[0], PROGRESS, WallTime(10)).await.unwrap();
    assert_eq!(store.belongings(VISITS[0]).await.unwrap(), Belongings { answers: 0, seats: 1, on: 0 });
    assert!(store.scrub().await.unwrap());
    assert_eq!(marked(database), [""; 0]);

    let [gone, other] = database.read(Reader::visits).unwrap().try_into().unwrap();
    assert!(gone.is_deleted && !other.is_deleted);
    assert_eq!((gone.entry, gone.progress, gone.ended), (Map::new(), None, Some(VisitEnding::Completed)));
    assert_eq!(other.entry, entry("other"));
    let answers = database.read(Reader::answers).unwrap();
    assert_eq!(answers.iter().map(|row| row.visit).collect::<Vec<_>>(), [VISITS[1]]);
    assert_eq!(database.read(Reader::path).unwrap().len(), 1);
    let frames = database.read(|reader| reader.frames(GAME).unwrap());
    assert!(frames.len() == 40 && frames.iter().all(|row| row.reporter == Seat::new(1).unwrap()));
    assert_eq!(database.read(|reader| reader.play_events(GAME).unwrap()).len(), 1);

    // What its page still sends is not kept, and it is not known when it comes again.
    assert_eq!(store.seat_of(GAME, VISITS[0]).await.unwrap(), None);
    let late = store.append_batch(GAME, Seat::new(0).unwrap(), batch(41)).await;
    assert!(matches!(late, Err(StoreError::Forgotten)), "{late:?}");
    assert_eq!(store.visits_of(vec![MARK.into(), format!("prolific:{MARK}")]).await.unwrap(), []);
    let again = VisitId::from_random([4; 16]);
    assert_eq!(store.create_visit(coming(again, MARK)).await.unwrap(), None);

    // With the last one who played it, the game goes too.
    store.forget(VISITS[1], PROGRESS, WallTime(11)).await.unwrap();
    assert!(database.read(Reader::games).unwrap().is_empty());
}

async fn games_with_others_go_when_that_is_wanted(database: &Database) {
    let store = two_people(database).await;
    // At first it is not wanted; then the visit is still to be found by its own id.
    store.forget(VISITS[0], PROGRESS, WallTime(10)).await.unwrap();
    assert_eq!(database.read(|reader| reader.frames(GAME).unwrap()).len(), 40);
    assert_eq!(store.visits_of(vec![VISITS[0].to_string()]).await.unwrap(), [VISITS[0]]);
    store.forget(VISITS[0], Forget { games: true, ..PROGRESS }, WallTime(10)).await.unwrap();
    assert!(database.read(Reader::games).unwrap().is_empty());
    assert!(database.read(|reader| reader.frames(GAME).unwrap()).is_empty());
    assert_eq!(database.read(Reader::answers).unwrap().len(), 1);
}

async fn what_a_game_needs_that_is_on_goes_when_it_is_over(database: &Database) {
    let store = two_people(database).await;
    let alone = GameId::from_random([5; 16]);
    let save = |game, state: Option<&str>| Write::SaveGame {
        game,
        state: state.map(str::to_owned),
        at: WallTime(9),
    };
    let new = NewGame { seats: vec![VISITS[0]], ..game(alone) };
    let on = vec![save(GAME, Some("on")), Write::CreateGame(Box::new(new)), save(alone, Some("on"))];
    store.apply(on).await.unwrap();
    // By its own wish: what is left of its progress stays.
    let delete = Write::Delete { visit: VISITS[0], tells_who: false, at: WallTime(10) };
    store.apply(vec![delete]).await.unwrap();
    let frames = || database.read(|reader| reader.frames(GAME).unwrap().len());
    assert_eq!(frames(), 80);
    assert!(store.visit(VISITS[0]).await.unwrap().unwrap().progress.is_some());
    store.forget(VISITS[0], PROGRESS, WallTime(11)).await.unwrap();
    assert_eq!(store.belongings(VISITS[0]).await.unwrap(), Belongings { answers: 0, seats: 2, on: 2 });
    // What is told of a game that has gone in the same commit spoils nothing else of it.
    let late =
        Write::ServerEvent { game: alone, seat: None, kind: "late", detail: json!({}), at: WallTime(12) };
    let fence = Write::Fence { game: alone, seat: Seat::new(0).unwrap(), incarnation: 1, cut_frame: 5 };
    store
        .apply(vec![save(alone, None), late, fence, save(alone, Some("on")), save(GAME, None)])
        .await
        .unwrap();
    assert_eq!(frames(), 40);
    assert_eq!(database.read(Reader::games).unwrap().len(), 1);
}

async fn who_has_data_elsewhere_is_told_whose_to_delete(database: &Database) {
    let store = two_people(database).await;
    let (visit, at) = (VISITS[0], WallTime(10));
    let ended = Write::VisitEnded { visit, ending: VisitEnding::Withdrawn, exit: None, at, due: at };
    store.apply(vec![ended, Write::Delete { visit, tells_who: true, at }]).await.unwrap();
    let told = store.visit_events("tag".into(), WallTime(11), 10).await.unwrap();
    let [event] = told.due.try_into().unwrap();
    assert_eq!((event.visit, event.entry, event.is_deleted), (visit, entry(MARK), true));
    assert_eq!(event.participant, ParticipantId::from_random([7; 16]));
    // Then it need not be known any more.
    store.visit_events_were_told(vec![event.id]).await.unwrap();
    store.forget(visit, PROGRESS, WallTime(12)).await.unwrap();
    assert!(store.scrub().await.unwrap());
    assert_eq!(marked(database), [""; 0]);
}

/// The one who is forgotten has told of more frames than the other.
async fn what_nobody_else_told_of_a_game_stays_without_what_says_more(database: &Database) {
    let store = two_people(database).await;
    let long = RecordBatch { events: vec![], ..batch(60) };
    store
        .append_batch(GAME, Seat::new(0).unwrap(), RecordBatch { incarnation: 1, ..long.clone() })
        .await
        .unwrap();
    store.forget(VISITS[0], PROGRESS, WallTime(10)).await.unwrap();
    let frames = database.read(|reader| reader.frames(GAME).unwrap());
    let of = |seat: u8| frames.iter().filter(move |row| row.reporter == Seat::new(seat).unwrap());
    let kept: Vec<_> = of(0).map(|row| (row.incarnation, row.frame)).collect();
    assert_eq!((kept, of(1).count()), ((40..60).map(|frame| (1, frame)).collect(), 40));
    assert!(of(0).all(|row| row.shown_ms.is_none() && row.simulated_ms == 0 && row.rollback_depth == 0));
}

async fn nothing_more_is_written_down_of_who_is_forgotten(database: &Database) {
    let store = two_people(database).await;
    store.forget(VISITS[0], PROGRESS, WallTime(10)).await.unwrap();
    let (visit, at) = (VISITS[0], WallTime(11));
    let progress =
        Write::Progress { visit, scene: 1, ended: None, condition: None, progress: MARK.into(), at };
    let answers = [("name".to_owned(), json!(MARK))].into();
    let path = Write::Path { visit, kind: "scene", name: MARK.into(), detail: Value::Null, at };
    store
        .apply(vec![progress, Write::Answers { visit, scene: "you".into(), answers, at }, path])
        .await
        .unwrap();
    let row = store.visit(visit).await.unwrap().unwrap();
    assert_eq!((row.progress, row.ended), (None, Some(VisitEnding::Completed)));
    assert_eq!(store.belongings(visit).await.unwrap().answers, 0);
    assert_eq!(database.read(Reader::path).unwrap().len(), 1);
}

#[tokio::test]
async fn the_files_are_cleaned_up_when_nobody_reads() {
    let database = Database::sqlite();
    let store = two_people(&database).await;
    let reader = Reader::open(&database.location).unwrap();
    store.forget(VISITS[0], PROGRESS, WallTime(10)).await.unwrap();
    let begun = std::time::Instant::now();
    assert!(!store.scrub().await.unwrap(), "an export reads what was there at its beginning");
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "nobody waits for it");
    drop(reader);
    assert!(store.scrub().await.unwrap());
    assert_eq!(marked(&database), [""; 0]);
}

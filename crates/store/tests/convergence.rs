//! However a game's record is cut, ordered, repeated or told differently by several reporters, the store ends up
//! with the same: every telling of a frame once, and acknowledgements that name the first frame missing (D1, D2).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use base::{Frame, GameId, ParticipantId, Seat, SeatSet, StateHash, VisitId, WallTime};
use proptest::prelude::*;
use store::{NewGame, NewVisit, Store, Write};
use wire::batch::{FrameRecord, RecordBatch};
use wire::control::GameRules;

mod support;
use support::database::Database;

const GAME: GameId = GameId::from_random([1; 16]);
const SEATS: u8 = 3;
const FRAMES: Frame = 60;

/// A batch, as the property makes it: who tells which frames, and in which of two ways.
#[derive(Clone, Debug)]
struct Telling {
    reporter: u8,
    incarnation: u8,
    first: Frame,
    count: Frame,
    /// The frame that is told differently from the others, if it is among them.
    differs: Option<Frame>,
}

fn tellings() -> impl Strategy<Value = Vec<Telling>> {
    let telling = (0..SEATS, 0..2_u8, 0..FRAMES, 0..20_u32, proptest::option::weighted(0.2, 0..FRAMES))
        .prop_map(|(reporter, incarnation, first, count, differs)| Telling {
            reporter,
            incarnation,
            first,
            count,
            differs,
        });
    // Mostly a page goes on from where it was, so that prefixes without a hole grow long.
    let from_the_start = (0..SEATS, 0..2_u8, 1..FRAMES).prop_map(|(reporter, incarnation, count)| Telling {
        reporter,
        incarnation,
        first: 0,
        count,
        differs: None,
    });
    proptest::collection::vec(prop_oneof![3 => telling, 1 => from_the_start], 1..40)
}

fn frame(telling: &Telling, number: Frame) -> FrameRecord {
    let differs = telling.differs == Some(number);
    FrameRecord {
        inputs: vec![number as u8, telling.reporter, u8::from(differs)],
        filled: SeatSet::EMPTY,
        hash: StateHash(u64::from(number)),
        simulated_millis: 0,
        shown_millis: None,
        predicted: SeatSet::EMPTY,
        rollback_depth: 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_agrees_with_a_model(tellings in tellings(), at_once in any::<bool>()) {
        agrees_with_a_model(&Database::sqlite(), &tellings, at_once);
    }
}

proptest! {
    // A database for each takes a while to make.
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn postgres_agrees_with_a_model(tellings in tellings(), at_once in any::<bool>()) {
        agrees_with_a_model(&Database::postgres(), &tellings, at_once);
    }
}

fn agrees_with_a_model(database: &Database, tellings: &[Telling], at_once: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = database.store();
        make_the_game(&store).await;
        // Reporter, its incarnation, frame: the inputs that it told, in the order of telling.
        let mut model: BTreeMap<(u8, u8, Frame), Vec<Vec<u8>>> = BTreeMap::new();
        let mut begins: BTreeMap<(u8, u8), Frame> = BTreeMap::new();
        let mut waiting = Vec::new();
        for telling in tellings {
            let frames = telling.first..(telling.first + telling.count).min(FRAMES);
            let records: Vec<_> = frames.clone().map(|number| frame(telling, number)).collect();
            for (number, record) in frames.zip(&records) {
                let told = model.entry((telling.reporter, telling.incarnation, number)).or_default();
                if !told.contains(&record.inputs) {
                    told.push(record.inputs.clone());
                }
            }
            let batch = RecordBatch {
                incarnation: telling.incarnation,
                incarnations: vec![0; SEATS.into()],
                first: telling.first,
                frames: records,
                events: vec![],
            };
            let (page, store) = ((telling.reporter, telling.incarnation), store.clone());
            // A page that was loaded later begins with the first frame that it tells of.
            if telling.incarnation == 0 || !batch.frames.is_empty() {
                let first = if telling.incarnation == 0 { 0 } else { telling.first };
                begins.entry(page).or_insert(first);
            }
            let first = begins.get(&page).copied();
            let missing = |&number: &Frame| !model.contains_key(&(page.0, page.1, number));
            let expected = first.map_or(telling.first, |first| (first..).find(missing).unwrap());
            let reporter = Seat::new(telling.reporter).unwrap();
            let answer = tokio::spawn(async move { store.append_batch(GAME, reporter, batch).await });
            waiting.push((answer, expected));
            // Either each batch waits for the answer to the last, or all share as few commits as they can.
            if !at_once {
                answered(&mut waiting).await;
            }
        }
        answered(&mut waiting).await;
        let mut stored: BTreeMap<(u8, u8, Frame), Vec<Vec<u8>>> = BTreeMap::new();
        for row in database.read(|reader| reader.frames(GAME).unwrap()) {
            let told = stored.entry((row.reporter.number(), row.incarnation, row.frame)).or_default();
            assert_eq!(told.len(), row.version as usize, "versions are counted in the order of telling");
            told.push(row.inputs);
        }
        assert_eq!(stored, model);
    });
}

async fn answered(
    waiting: &mut Vec<(
        tokio::task::JoinHandle<Result<wire::batch::BatchAcknowledgement, store::StoreError>>,
        Frame,
    )>,
) {
    for (answer, expected) in waiting.drain(..) {
        assert_eq!(answer.await.unwrap().unwrap().durable_frame, expected);
    }
}

async fn make_the_game(store: &Store) {
    let visits: Vec<_> = (0..SEATS).map(|seat| VisitId::from_random([seat + 2; 16])).collect();
    for &visit in &visits {
        let participant = ParticipantId::from_random([9; 16]);
        let (experiment, experiment_sha256, entry) = ("tag".into(), "ab".into(), serde_json::Map::new());
        let (person, created) = (None, WallTime(5));
        let new = NewVisit { visit, participant, experiment, experiment_sha256, entry, person, created };
        store.create_visit(new).await.unwrap();
    }
    let game = NewGame {
        game: GAME,
        experiment: "tag".into(),
        experiment_sha256: "ab".into(),
        scene: "play".into(),
        environment_sha256: "cd".into(),
        options: vec![],
        epoch: 7,
        seed: 11,
        rules: GameRules::default(),
        input_size: 1,
        seats: visits,
        created: WallTime(6),
    };
    store.apply(vec![Write::CreateGame(Box::new(game))]).await.unwrap();
}

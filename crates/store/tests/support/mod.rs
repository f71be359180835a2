//! A store with a game in it, on each of the databases, for every test that needs no more than that.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, unused_imports, unused_macros, reason = "each test uses what it needs")]

pub(crate) mod database;
pub(crate) mod postgres;

use base::{GameId, ParticipantId, VisitId, WallTime};
use store::{NewGame, NewVisit, Store, Write};
use wire::control::GameRules;

pub(crate) const GAME: GameId = GameId::from_random([1; 16]);
pub(crate) const VISITS: [VisitId; 2] = [VisitId::from_random([2; 16]), VisitId::from_random([3; 16])];

pub(crate) async fn put_a_game(store: &Store) {
    for visit in VISITS {
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
    store.apply(vec![Write::CreateGame(Box::new(game(GAME)))]).await.unwrap();
}

pub(crate) fn game(game: GameId) -> NewGame {
    NewGame {
        game,
        experiment: "tag".into(),
        experiment_sha256: "ab".into(),
        scene: "play".into(),
        environment_sha256: "cd".into(),
        options: vec![3.0, 0.1],
        epoch: 7,
        seed: u64::MAX,
        rules: GameRules::default(),
        input_size: 1,
        seats: VISITS.to_vec(),
        created: WallTime(6),
    }
}

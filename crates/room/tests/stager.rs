//! What happens to visits, lobbies and games.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use base::{GameId, ParticipantId, Rng, Seat, Timestamp, VisitId};
use room::{
    Effect, EndScene, Experiment, GameScene, Identity, Restored, SceneSpec, SceneSpecKind, Stager, StartScene,
};
use wire::control::{
    ClientMessage, EnvironmentRef, GameRules, SceneKind, ServerMessage, Signal, TerminationReason,
};

fn experiment(players: u8) -> Experiment {
    let scene = |id: &str, kind| SceneSpec { id: id.into(), kind };
    let game = GameScene {
        players,
        rules: GameRules::default(),
        seed: None,
        environment: EnvironmentRef { url: "/e.wasm".into(), sha256: "e".into() },
        input_size: 1,
        keys: BTreeMap::new(),
        ice_servers: vec![],
    };
    Experiment {
        title: "Tag".into(),
        scenes: vec![
            scene("welcome", SceneSpecKind::Start(StartScene { body: vec![], button: "Start".into() })),
            scene("play", SceneSpecKind::Game(Box::new(game))),
            scene("thanks", SceneSpecKind::End(EndScene { texts: BTreeMap::new() })),
        ],
    }
}

/// A stager, a clock, and what everyone was told.
struct World {
    stager: Stager,
    now: Timestamp,
    told: BTreeMap<VisitId, Vec<ServerMessage>>,
    effects: Vec<Effect>,
}

fn visit(number: u8) -> VisitId {
    VisitId::from_random([number; 16])
}

impl World {
    fn new(players: u8) -> Self {
        let stager = Stager::new(experiment(players), 1);
        Self { stager, now: Timestamp::from_millis(0), told: BTreeMap::new(), effects: vec![] }
    }

    fn settle(&mut self) {
        while let Some(effect) = self.stager.poll_effect() {
            if let Effect::Send { visit, message } = &effect {
                self.told.entry(*visit).or_default().push(message.clone());
            }
            self.effects.push(effect);
        }
    }

    fn join(&mut self, number: u8, page: u64) {
        let identity =
            Identity { visit: visit(number), participant: ParticipantId::from_random([number; 16]) };
        self.stager.handle_joined(identity, page, Restored::default(), self.now);
        self.settle();
    }

    fn say(&mut self, number: u8, message: ClientMessage) {
        self.stager.handle_message(visit(number), message, self.now);
        self.settle();
    }

    fn drop(&mut self, number: u8) {
        self.stager.handle_dropped(visit(number), self.now);
        self.settle();
    }

    fn wait(&mut self, seconds: u64) {
        let until = self.now + core::time::Duration::from_secs(seconds);
        while let Some(due) = self.stager.poll_timeout().filter(|due| due.at <= until) {
            self.now = self.now.max(due.at);
            self.stager.handle_timeout(self.now);
            self.settle();
        }
        self.now = until;
    }

    fn start(&mut self, number: u8) {
        self.join(number, u64::from(number));
        self.say(number, ClientMessage::AdvanceScene { scene_id: "welcome".into() });
    }

    fn game(&self, number: u8) -> Option<(GameId, Seat)> {
        self.told.get(&visit(number))?.iter().rev().find_map(|message| match message {
            ServerMessage::GameStart(start) => Some((start.game_id, start.seat)),
            _ => None,
        })
    }

    fn scene(&self, number: u8) -> Option<(String, Option<TerminationReason>)> {
        self.told.get(&visit(number))?.iter().rev().find_map(|message| match message {
            ServerMessage::ActivateScene { scene } => Some((
                scene.id.clone(),
                match scene.kind {
                    SceneKind::End { reason, .. } => Some(reason),
                    _ => None,
                },
            )),
            _ => None,
        })
    }

    fn ended(&self, number: u8) -> Option<TerminationReason> {
        self.scene(number)?.1
    }

    fn two_playing() -> (Self, GameId) {
        let mut world = Self::new(2);
        world.start(1);
        world.start(2);
        let (game_id, _) = world.game(1).unwrap();
        world.say(1, ClientMessage::GameReady { game_id });
        world.say(2, ClientMessage::GameReady { game_id });
        (world, game_id)
    }

    fn finish(&mut self, number: u8, game_id: GameId) {
        let hash = base::StateHash(0);
        self.say(number, ClientMessage::GameFinished { game_id, frames: 1350, hash });
    }
}

#[test]
fn two_visits_are_matched() {
    let (world, game) = World::two_playing();
    assert_eq!(world.game(1).map(|(_, seat)| seat.number()), Some(0));
    assert_eq!(world.game(2), Some((game, Seat::new(1).unwrap())));
    for number in [1, 2] {
        assert_eq!(world.told[&visit(number)].last(), Some(&ServerMessage::GameGo { game_id: game }));
    }
}

#[test]
fn a_game_is_written_down_before_anyone_is_told() {
    let (world, _) = World::two_playing();
    let created = world.effects.iter().position(|effect| matches!(effect, Effect::CreateGame(_))).unwrap();
    let told = world
        .effects
        .iter()
        .position(|effect| matches!(effect, Effect::Send { message: ServerMessage::GameStart(_), .. }));
    assert!(created < told.unwrap());
}

#[test]
fn whoever_waits_is_told_how_many_there_are() {
    let mut world = World::new(3);
    world.start(1);
    world.start(2);
    let status = ServerMessage::LobbyStatus { waiting: 2, needed: 3 };
    assert_eq!(world.told[&visit(1)].last(), Some(&status));
    world.drop(2);
    world.wait(11);
    let status = ServerMessage::LobbyStatus { waiting: 1, needed: 3 };
    assert_eq!(world.told[&visit(1)].last(), Some(&status));
}

#[test]
fn a_late_or_repeated_advance_changes_nothing() {
    let mut world = World::new(2);
    world.start(1);
    for scene in ["welcome", "play", "thanks", "nowhere"] {
        world.say(1, ClientMessage::AdvanceScene { scene_id: scene.into() });
        assert_eq!(world.scene(1).unwrap().0, "play");
    }
}

#[test]
fn signals_pass_only_between_seats_of_one_game_and_carry_the_senders_seat() {
    let (mut world, game_id) = World::two_playing();
    let signal = Signal::Description { attempt: 0, sdp_type: "offer".into(), sdp: "v=0".into() };
    let to = Seat::new(1).unwrap();
    world.say(1, ClientMessage::Signal { game_id, to, signal: signal.clone() });
    let from = Seat::new(0).unwrap();
    let expected = ServerMessage::Signal { game_id, from, signal: signal.clone() };
    assert_eq!(world.told[&visit(2)].last(), Some(&expected));
    world.start(3);
    let before = world.told[&visit(2)].len();
    world.say(3, ClientMessage::Signal { game_id, to, signal });
    assert_eq!(world.told[&visit(2)].len(), before, "a stranger's signal passed");
}

#[test]
fn everyone_who_finishes_goes_on_and_nobody_is_told_of_a_later_drop() {
    let (mut world, game) = World::two_playing();
    world.finish(1, game);
    assert_eq!(world.ended(1), Some(TerminationReason::Normal));
    assert_eq!(world.scene(2).unwrap().0, "play");
    world.drop(1);
    world.finish(2, game);
    assert_eq!(world.ended(2), Some(TerminationReason::Normal));
    world.wait(30);
    let ended = world.told[&visit(2)].iter().any(|told| matches!(told, ServerMessage::P2pGameEnded { .. }));
    assert!(!ended);
}

#[test]
fn a_vanished_partner_never_strands_the_other() {
    let (mut world, game_id) = World::two_playing();
    world.drop(2);
    world.wait(9);
    assert_eq!(world.ended(1), None, "it may yet come back");
    world.wait(2);
    assert_eq!(world.ended(1), Some(TerminationReason::PartnerLost));
    world.finish(1, game_id);
    let endings: Vec<_> = world
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::EndSeat { seat, ending, .. } => Some((seat.number(), ending.reason, ending.is_partial)),
            _ => None,
        })
        .collect();
    assert_eq!(endings, [(0, TerminationReason::PartnerLost, true), (1, TerminationReason::Left, true)]);
}

#[test]
fn who_is_back_with_its_page_in_time_plays_on() {
    let (mut world, game_id) = World::two_playing();
    world.drop(2);
    world.wait(9);
    world.join(2, 2);
    world.wait(30);
    assert_eq!(world.ended(1), None);
    assert_eq!(world.told[&visit(2)].last(), Some(&ServerMessage::GameGo { game_id }));
}

#[test]
fn a_reload_ends_the_game_for_everyone_once() {
    let (mut world, _) = World::two_playing();
    world.drop(2);
    world.join(2, 77);
    assert_eq!(world.ended(1), Some(TerminationReason::PartnerLost));
    assert_eq!(world.ended(2), Some(TerminationReason::Left));
    let ends = world.told[&visit(1)].iter().filter(|told| matches!(told, ServerMessage::P2pGameEnded { .. }));
    assert_eq!(ends.count(), 1);
}

#[test]
fn a_group_that_cannot_connect_is_not_left_waiting() {
    let mut world = World::new(2);
    world.start(1);
    world.start(2);
    let (game_id, _) = world.game(1).unwrap();
    world.say(1, ClientMessage::GameReady { game_id });
    world.wait(31);
    for number in [1, 2] {
        assert_eq!(world.ended(number), Some(TerminationReason::PartnerLost));
    }
}

#[test]
fn a_failed_environment_ends_the_game_and_is_written_down() {
    let (mut world, game_id) = World::two_playing();
    world.say(1, ClientMessage::GameFailed { game_id, frame: 30, reason: "x".repeat(5000) });
    assert_eq!(world.ended(2), Some(TerminationReason::Server));
    let failure = world.effects.iter().find_map(|effect| match effect {
        Effect::Record { kind: "game_failed", detail, .. } => Some(detail.clone()),
        _ => None,
    });
    assert_eq!(failure.unwrap()["reason"].as_str().map(str::len), Some(1000));
}

#[test]
fn a_visit_that_sat_in_a_game_before_the_server_restarted_is_taken_on() {
    let mut world = World::new(2);
    let identity = Identity { visit: visit(1), participant: ParticipantId::from_random([1; 16]) };
    let open_game = Some((GameId::from_random([5; 16]), Seat::default()));
    world.stager.handle_joined(identity, 1, Restored { scene: 1, ended: None, open_game }, world.now);
    world.settle();
    assert_eq!(world.ended(1), Some(TerminationReason::Server));
}

#[test]
fn whatever_happens_every_visit_ends_once_and_hears_of_its_own_game_only() {
    for seed in 0..2_000 {
        let mut rng = Rng::from_seed(seed);
        let mut world = World::new(2 + rng.below(3) as u8);
        for _ in 0..150 {
            let number = 1 + rng.below(7) as u8;
            let game = world.game(1 + rng.below(7) as u8).map_or(GameId::from_random([9; 16]), |(id, _)| id);
            match rng.below(8) {
                0 | 1 => world.join(number, rng.below(2)),
                2 => world.drop(number),
                3 => world.say(number, ClientMessage::AdvanceScene { scene_id: "welcome".into() }),
                4 => world.say(number, ClientMessage::GameReady { game_id: game }),
                5 => world.finish(number, game),
                6 => world.wait(rng.below(8)),
                _ => {
                    let to = Seat::new(rng.below(8) as u8).unwrap();
                    let signal =
                        Signal::Description { attempt: 0, sdp_type: "offer".into(), sdp: String::new() };
                    world.say(number, ClientMessage::Signal { game_id: game, to, signal });
                }
            }
        }
        for (id, told) in &world.told {
            let mut own = std::collections::BTreeSet::new();
            for message in told {
                match message {
                    ServerMessage::GameStart(start) => {
                        own.insert(start.game_id);
                    }
                    ServerMessage::Signal { game_id, .. }
                    | ServerMessage::GameGo { game_id }
                    | ServerMessage::P2pGameEnded { game_id, .. } => {
                        assert!(own.contains(game_id), "seed {seed}: {id} heard of another's game");
                    }
                    _ => {}
                }
            }
        }
        let mut seats = BTreeMap::new();
        for effect in &world.effects {
            match effect {
                Effect::CreateGame(game) => {
                    for seat in Seat::all(game.seats.len() as u8) {
                        seats.insert((game.game, seat), 0);
                    }
                }
                Effect::EndSeat { game, seat, .. } => *seats.get_mut(&(*game, *seat)).unwrap() += 1,
                _ => {}
            }
        }
        assert!(seats.values().all(|&endings| endings <= 1), "seed {seed}: a seat ended twice");
        for number in 1..8 {
            world.drop(number);
        }
        world.wait(60);
        assert_eq!(world.stager.counts(), (0, 0), "seed {seed}: something is left when all are gone");
    }
}

//! Conditions: who gets which, however many drop out, and whatever becomes of the server.

use core::time::Duration;
use std::collections::BTreeMap;

use base::{ParticipantId, Rng, Timestamp, VisitId};
use room::{
    After, Assignment, Condition, Counted, Effect, EndScene, Experiment, GameScene, Guard, Identity,
    Progress, Restored, SceneSpec, SceneSpecKind, Setting, Stager, Unit,
};
use serde_json::json;
use wire::control::{ClientMessage, Sheet, VisitEnding};

use crate::world::{World, advance, experiment_of, game_scene, scene, visit};

fn condition(id: &str, quota: Option<u32>) -> Condition {
    Condition { id: id.into(), quota, variables: [("speed".to_owned(), json!(id.len()))].into() }
}

fn read(id: &str) -> SceneSpec {
    scene(id, SceneSpecKind::Static(Sheet::default()))
}

fn end(id: &str) -> SceneSpec {
    scene(id, SceneSpecKind::End(EndScene::default()))
}

fn only(condition: &str, id: &str) -> SceneSpec {
    SceneSpec { guard: Guard { conditions: vec![condition.into()], when: None }, ..read(id) }
}

fn study(conditions: Vec<Condition>, on_full: Option<&str>) -> Experiment {
    let assignment = Assignment { on_full: on_full.map(str::to_owned), ..Assignment::default() };
    let scenes = vec![
        read("welcome"),
        only("fast", "quick"),
        only("slow", "calm"),
        read("both"),
        end("thanks"),
        read("full"),
        end("sorry"),
    ];
    Experiment { conditions, assignment, ..experiment_of(scenes) }
}

fn person(number: u32) -> VisitId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    VisitId::from_random(bytes)
}

/// Many visits, and what is known of each from outside.
struct Many {
    stager: Stager,
    now: Timestamp,
    progress: BTreeMap<VisitId, Progress>,
    /// When each was last written down.
    changed: BTreeMap<VisitId, Timestamp>,
    /// Since when each that is away is so.
    away: BTreeMap<VisitId, Timestamp>,
}

const LIMIT: Duration = Duration::from_secs(1800);

impl Many {
    fn new(experiment: &Experiment) -> Self {
        let stager = Stager::new(experiment.clone(), 5);
        let now = Timestamp::from_millis(0);
        Self { stager, now, progress: BTreeMap::new(), changed: BTreeMap::new(), away: BTreeMap::new() }
    }

    fn settle(&mut self) {
        while let Some(effect) = self.stager.poll_effect() {
            if let Effect::Progress { visit, progress } = effect {
                self.progress.insert(visit, progress);
                self.changed.insert(visit, self.now);
            }
        }
    }

    fn join(&mut self, number: u32) {
        let visit = person(number);
        let progress = self.progress.get(&visit).cloned().unwrap_or_default();
        let restored = Restored { version: "1".into(), progress, ..Restored::default() };
        let identity = Identity { visit, participant: ParticipantId::from_random([1; 16]) };
        self.away.remove(&visit);
        self.stager.handle_joined(identity, 1, None, restored, self.now);
        self.settle();
    }

    fn say(&mut self, number: u32, message: ClientMessage) {
        self.stager.handle_message(person(number), message, self.now);
        self.settle();
    }

    fn drop(&mut self, number: u32) {
        self.away.insert(person(number), self.now);
        self.stager.handle_dropped(person(number), self.now);
        self.settle();
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.stager.handle_timeout(self.now);
        self.settle();
    }

    /// The server is killed; everybody who is here comes back to another one.
    fn restart(&mut self, experiment: &Experiment) {
        self.stager = Stager::new(experiment.clone(), 6);
        let now = self.now;
        let counted = self.progress.iter().filter_map(|(&visit, progress)| {
            let (condition, ended) = (progress.condition.clone()?, progress.ended);
            Some(Counted { visit, condition, ended, idle: now.saturating_since(self.changed[&visit]) })
        });
        self.stager.restore_conditions(counted, now);
    }

    /// How many count, as the specification has it: on or completed.
    fn counts(&self) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for (visit, progress) in &self.progress {
            let Some(condition) = &progress.condition else { continue };
            let away = self.away.get(visit);
            let is_on = progress.ended.is_none()
                && away.is_none_or(|&since| self.now.saturating_since(since) < LIMIT);
            if is_on || progress.ended == Some(VisitEnding::Completed) {
                *counts.entry(condition.clone()).or_default() += 1;
            }
        }
        counts
    }

    fn condition(&self, number: u32) -> Option<&str> {
        self.progress[&person(number)].condition.as_deref()
    }
}

#[test]
fn a_thousand_visits_are_balanced_however_many_drop_out() {
    for seed in 0..5 {
        let names = ["fast", "slow", "medium"];
        let experiment = study(names.map(|name| condition(name, None)).into(), None);
        let mut many = Many::new(&experiment);
        let mut rng = Rng::from_seed(seed);
        let mut dropped = 0;
        for number in 0..1000 {
            many.join(number);
            many.wait(rng.below(60));
            let before = many.counts();
            many.say(number, advance("welcome"));
            let got = many.condition(number).unwrap().to_owned();
            let count = |name: &str| before.get(name).copied().unwrap_or(0);
            let fewest = names.iter().map(|name| count(name)).min().unwrap();
            assert_eq!(count(&got), fewest, "{number} came into {got} of {before:?}");
            let at = many.progress[&person(number)].scene_id.clone();
            let expected = match got.as_str() {
                "fast" => "quick",
                "slow" => "calm",
                _ => "both",
            };
            assert_eq!(at, expected);
            assert_eq!(many.progress[&person(number)].variables["speed"], json!(got.len()));
            // Slow ones drop out more often than others, by leaving or by not coming back.
            let weight = if got == "slow" { 0.6 } else { 0.2 };
            if rng.chance(weight) {
                dropped += 1;
                if rng.chance(0.5) {
                    many.say(number, ClientMessage::LeaveStudy { delete: false });
                } else {
                    many.drop(number);
                }
            } else {
                for scene in [expected, "both"] {
                    many.say(number, advance(scene));
                }
                assert_eq!(many.progress[&person(number)].ended, Some(VisitEnding::Completed));
            }
        }
        many.wait(1900);
        let counts = many.counts();
        let (most, least) = (counts.values().max().unwrap(), counts.values().min().unwrap());
        // Whoever closed the page within the last half hour is not missed yet; about 60 visits come in that time.
        assert!(dropped > 250 && most - least <= 15, "{dropped} dropped out, {counts:?}");
    }
}

#[test]
fn a_restart_changes_nothing_about_who_counts() {
    let names = ["fast", "slow"];
    let experiment = study(names.map(|name| condition(name, Some(30))).into(), Some("full"));
    let mut many = Many::new(&experiment);
    let mut rng = Rng::from_seed(3);
    let mut turned_away = 0;
    for number in 0..120 {
        many.join(number);
        let before = many.counts();
        many.say(number, advance("welcome"));
        let counts = many.counts();
        assert!(counts.values().all(|&count| count <= 30), "{counts:?}");
        match many.condition(number).map(str::to_owned) {
            Some(got) => {
                let count = |name: &str| before.get(name).copied().unwrap_or(0);
                assert_eq!(count(&got), names.iter().map(|name| count(name)).min().unwrap());
            }
            None => {
                turned_away += 1;
                assert!(names.iter().all(|name| before[*name] == 30), "{before:?}");
                assert_eq!(many.progress[&person(number)].scene_id, "full");
                many.say(number, advance("full"));
                let ended = many.progress[&person(number)].ended;
                assert_eq!(ended, Some(VisitEnding::ScreenedOut), "it went on from there");
                assert_eq!(many.condition(number), None);
            }
        }
        if rng.chance(0.3) {
            many.say(number, ClientMessage::LeaveStudy { delete: false });
        }
        if rng.chance(0.2) {
            many.restart(&experiment);
        }
    }
    assert!(turned_away > 10, "{turned_away}");
    // Another version of the experiment counts the same people.
    let wider =
        Experiment { version: "2".into(), ..study(names.map(|name| condition(name, Some(31))).into(), None) };
    many.restart(&wider);
    let before = many.counts();
    for number in 200..203 {
        let identity = Identity { visit: person(number), participant: ParticipantId::from_random([1; 16]) };
        let restored = Restored { version: "2".into(), ..Restored::default() };
        many.stager.handle_joined(identity, 1, None, restored, many.now);
        many.say(number, advance("welcome"));
    }
    assert_eq!(before.values().sum::<u32>(), 60);
    assert_eq!(many.counts().values().sum::<u32>(), 62);
    assert_eq!(
        many.progress[&person(202)].ended,
        Some(VisitEnding::ScreenedOut),
        "without on_full to the end"
    );
}

#[test]
fn who_has_been_away_for_long_does_not_count_until_it_comes_back() {
    let experiment = study(vec![condition("fast", Some(1))], None);
    let mut many = Many::new(&experiment);
    many.join(0);
    many.say(0, advance("welcome"));
    many.drop(0);
    many.wait(1799);
    many.join(1);
    many.say(1, advance("welcome"));
    assert_eq!(many.condition(1), None, "it may yet come back");
    many.wait(2);
    many.join(2);
    many.say(2, advance("welcome"));
    assert_eq!(many.condition(2), Some("fast"));
    many.join(0);
    many.say(0, advance("quick"));
    assert_eq!((many.condition(0), many.progress[&person(0)].scene_id.as_str()), (Some("fast"), "both"));
    many.say(2, ClientMessage::LeaveStudy { delete: false });
    many.join(3);
    many.say(3, advance("welcome"));
    assert_eq!(many.condition(3), None, "who is back counts again");
}

#[test]
fn what_was_counted_is_written_down_with_the_condition() {
    let mut world = World::of(study(vec![condition("fast", None), condition("slow", None)], None), 2);
    for number in 0..10 {
        world.join(number, 1);
        world.say(number, advance("welcome"));
        let way = world.way(number, "condition");
        let [(got, detail)] = way.as_slice() else { panic!("{way:?}") };
        assert_eq!(Some(got), world.progress[&visit(number)].condition.as_ref());
        let counted = |name: &str| detail["counts"][name].as_u64().unwrap();
        assert_eq!(counted("fast") + counted("slow"), u64::from(number));
        // Going on is no reason for another.
        for scene in ["quick", "calm", "both"] {
            world.say(number, advance(scene));
        }
        assert_eq!(world.way(number, "condition").len(), 1);
    }
}

/// Two who play together get one condition, and play with their like.
fn groups(quota: u32) -> World {
    let game = || GameScene { on_partner_lost: After::Lobby, ..game_scene(2) };
    let play = |id: &str| scene(id, SceneSpecKind::Game(Box::new(game())));
    let assignment = Assignment { unit: Unit::Group, on_full: Some("full".into()), ..Assignment::default() };
    let conditions = ["fast", "slow"].map(|name| condition(name, Some(quota))).into();
    let scenes = vec![
        read("welcome"),
        play("one"),
        only("fast", "quick"),
        only("slow", "calm"),
        play("two"),
        end("thanks"),
        read("full"),
        end("sorry"),
    ];
    World::of(Experiment { conditions, assignment, ..experiment_of(scenes) }, 2)
}

impl World {
    fn play_out(&mut self, numbers: [u8; 2]) {
        let (game_id, _) = self.game(numbers[0]).unwrap();
        for number in numbers {
            self.say(number, ClientMessage::GameReady { game_id });
        }
        for number in numbers {
            self.finish(number, game_id);
        }
    }

    fn condition(&self, number: u8) -> Option<String> {
        self.progress[&visit(number)].condition.clone()
    }
}

#[test]
fn a_group_gets_one_condition_and_plays_with_its_like() {
    let mut world = groups(100);
    let pairs = [[1, 2], [3, 4]];
    for pair in pairs {
        pair.into_iter().for_each(|number| world.start(number));
        assert!(world.condition(pair[0]).is_some());
        assert_eq!(world.condition(pair[0]), world.condition(pair[1]));
        world.play_out(pair);
    }
    let [one, other] = pairs.map(|[first, _]| world.condition(first));
    assert_ne!(one, other, "they are balanced");
    // One of each comes to the second game first: they wait for their like.
    let advance_in_own = |world: &mut World, number: u8| {
        let at = world.scene(number).unwrap();
        world.say(number, advance(at));
    };
    for number in [1, 3] {
        advance_in_own(&mut world, number);
        assert_eq!(world.scene(number).as_deref(), Some("two"));
    }
    let first = world.game(1);
    let told = world.told[&visit(3)].last();
    let alone = matches!(told, Some(wire::control::ServerMessage::LobbyStatus { waiting: 1, .. }));
    assert!(alone, "who may not play with it is not counted: {told:?}");
    advance_in_own(&mut world, 4);
    assert_ne!(world.game(3), world.game(1));
    assert_eq!(world.game(1), first, "still waiting");
    advance_in_own(&mut world, 2);
    assert_eq!(world.game(1).map(|(game, _)| game), world.game(2).map(|(game, _)| game));
    assert_ne!(world.game(1), first);
}

#[test]
fn who_has_lost_its_group_does_not_play_with_those_who_have_no_condition() {
    let mut world = groups(100);
    world.start(1);
    world.start(2);
    let (game_id, _) = world.game(1).unwrap();
    for number in [1, 2] {
        world.say(number, ClientMessage::GameReady { game_id });
    }
    world.say(2, ClientMessage::LeaveStudy { delete: false });
    world.say(1, advance("one"));
    world.start(3);
    assert_eq!(world.game(3), None);
    world.start(4);
    assert_eq!(world.game(3).map(|(game, _)| game), world.game(4).map(|(game, _)| game));
    assert_eq!(world.game(1).map(|(game, _)| game), Some(game_id));
    assert_ne!(world.condition(3), None);
}

#[test]
fn a_group_for_which_there_is_no_room_is_turned_away_before_it_waits() {
    let mut world = groups(3);
    for pair in [[1, 2], [3, 4]] {
        pair.into_iter().for_each(|number| world.start(number));
    }
    // One more would fit into each, and two would not.
    world.start(5);
    assert_eq!((world.scene(5).as_deref(), world.condition(5)), (Some("full"), None));
    world.say(5, advance("full"));
    assert_eq!(world.ended(5), Some(VisitEnding::ScreenedOut));
    // Two who wait when the last room is taken: it is given back when somebody leaves.
    world.say(1, ClientMessage::LeaveStudy { delete: false });
    world.say(2, ClientMessage::LeaveStudy { delete: false });
    world.start(6);
    assert_eq!(world.scene(6).as_deref(), Some("one"));
}

#[test]
fn a_game_has_one_set_of_options_and_only_those_meet_who_have_it() {
    let speed = Setting::Variable { name: "speed".into(), usual: 9.0 };
    let game = || GameScene { options: vec![Setting::Number(0.5), speed.clone()], ..game_scene(2) };
    let play = || scene("play", SceneSpecKind::Game(Box::new(game())));
    let study = |unit| Experiment {
        conditions: ["fast", "medium"].map(|name| condition(name, None)).into(),
        assignment: Assignment { unit, ..Assignment::default() },
        ..experiment_of(vec![read("welcome"), play(), end("thanks")])
    };
    let started = |world: &World, number: u8| {
        let created = world.effects.iter().filter_map(|effect| match effect {
            Effect::CreateGame(new) if new.seats.contains(&visit(number)) => Some(new.options.clone()),
            _ => None,
        });
        let told = world.told[&visit(number)].iter().filter_map(|message| match message {
            wire::control::ServerMessage::GameStart(start) => Some(start.options.clone()),
            _ => None,
        });
        let created: Vec<_> = created.collect();
        assert_eq!(created, told.collect::<Vec<_>>());
        created.into_iter().next()
    };
    // Each has a condition of its own: the first two have different ones.
    let mut world = World::of(study(Unit::Person), 2);
    (1..=4).for_each(|number| world.start(number));
    let of = |world: &World, wanted: &str| -> Vec<u8> {
        (1..=4).filter(|&number| world.condition(number).as_deref() == Some(wanted)).collect()
    };
    for (name, value) in [("fast", 4.0), ("medium", 6.0)] {
        let pair = of(&world, name);
        assert_eq!(pair.len(), 2);
        assert_eq!(world.game(pair[0]).map(|(game, _)| game), world.game(pair[1]).map(|(game, _)| game));
        assert_eq!(started(&world, pair[0]), Some(vec![0.5, value]));
    }
    // A group has its options from the condition that it gets when it is formed.
    let mut world = World::of(study(Unit::Group), 2);
    (1..=2).for_each(|number| world.start(number));
    let value = world.condition(1).unwrap().len() as f64;
    assert_eq!(started(&world, 2), Some(vec![0.5, value]));
}

#[test]
fn a_group_that_does_not_come_about_gives_its_condition_back() {
    let mut world = groups(2);
    world.start(1);
    world.start(2);
    let got = world.condition(1);
    assert!(got.is_some() && got == world.condition(2));
    // Before the first frame one of them leaves: the other may meet anybody.
    world.say(2, ClientMessage::LeaveStudy { delete: false });
    assert_eq!((world.condition(1), world.condition(2)), (None, None));
    assert_eq!(world.progress[&visit(1)].variables, [].into());
    assert_eq!(world.way(1, "released").len(), 1);
    world.start(3);
    assert_eq!(world.game(1).map(|(game, _)| game), world.game(3).map(|(game, _)| game));
    world.play_out([1, 3]);
    // Nobody who has left takes room: there is one for another two.
    world.start(4);
    world.start(5);
    assert!(world.condition(4).is_some() && world.condition(4) == world.condition(5));
    assert_ne!(world.condition(4), world.condition(1));
}

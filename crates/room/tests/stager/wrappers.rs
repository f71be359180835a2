//! Blocks, branches and variables: which scenes a visit comes to, in which order, and what it reads there.

use core::time::Duration;

use proptest::prelude::*;
use room::{
    After, Block, Comprehension, Effect, EndScene, Experiment, FormScene, Guard, SceneSpec, SceneSpecKind,
    Test, When,
};
use serde_json::{Value, json};
use wire::control::{ClientMessage, SceneKind, ServerMessage, Sheet, VisitEnding};
use wire::form::{Field, Kind};

use crate::world::{World, advance, experiment_of, game_scene, scene, visit};

fn read(id: &str) -> SceneSpec {
    scene(id, SceneSpecKind::Static(Sheet::default()))
}

fn end(id: &str) -> SceneSpec {
    scene(id, SceneSpecKind::End(EndScene::default()))
}

/// A form with one question, `q`.
fn ask(id: &str) -> SceneSpec {
    let field = Field { id: "q".into(), kind: Kind::Text, max_length: 100, ..Field::default() };
    let sheet = Sheet { fields: vec![field], ..Sheet::default() };
    scene(id, SceneSpecKind::Form(FormScene { sheet, comprehension: None }))
}

fn block(id: &str, parts: &[&str], repeat: u32) -> Block {
    let parts = parts.iter().map(|&part| part.to_owned()).collect();
    Block { id: id.into(), parts, repeat, ..Block::default() }
}

fn when(variable: &str, test: Test) -> Guard {
    Guard { when: Some(When { variable: variable.into(), tests: vec![test] }), conditions: vec![] }
}

fn answer(scene_id: &str, words: &str) -> ClientMessage {
    let answers = [("q".to_owned(), words.into())].into();
    ClientMessage::AdvanceScene { scene_id: scene_id.into(), answers }
}

impl World {
    pub(crate) fn with(scenes: Vec<SceneSpec>, blocks: Vec<Block>) -> Self {
        Self::of(Experiment { blocks, ..experiment_of(scenes) }, 2)
    }

    /// Presses the button until the end, answering every question with the same; the passages on the way.
    fn walk(&mut self, number: u8, words: &str, mut before_each: impl FnMut(&mut Self)) -> Vec<String> {
        let mut way = Vec::new();
        self.join(number, 1);
        while self.progress[&visit(number)].ended.is_none() {
            before_each(self);
            let at = self.scene(number).unwrap();
            self.say(number, answer(&at, words));
            way.push(at);
            assert!(way.len() < 1000, "it does not end: {way:?}");
        }
        way.push(self.scene(number).unwrap());
        way
    }

    /// What was written down of a visit's way, of one kind.
    pub(crate) fn way(&self, number: u8, wanted: &str) -> Vec<(String, Value)> {
        let own = |effect: &Effect| match effect {
            Effect::RecordVisit { visit: of, kind, name, detail }
                if *of == visit(number) && *kind == wanted =>
            {
                Some((name.clone(), detail.clone()))
            }
            _ => None,
        };
        self.effects.iter().filter_map(own).collect()
    }

    fn names(&self, number: u8, wanted: &str) -> Vec<String> {
        self.way(number, wanted).into_iter().map(|(name, _)| name).collect()
    }
}

#[test]
fn every_repetition_is_a_passage_of_its_own() {
    let mut world = World::with(
        vec![read("hello"), ask("easy"), ask("hard"), end("thanks")],
        vec![block("trials", &["easy", "hard"], 2)],
    );
    world.join(1, 1);
    world.say(1, advance("hello"));
    world.say(1, answer("easy", "one"));
    world.say(1, answer("hard", "two"));
    assert_eq!(world.scene(1).as_deref(), Some("easy.2"));
    // What is late, or of no passage, changes nothing (S2).
    for passage in ["easy", "hard", "easy.1", "easy.3", "hard.2", "easy.02"] {
        world.say(1, answer(passage, "late"));
        assert_eq!(world.scene(1).as_deref(), Some("easy.2"));
    }
    world.restart(Duration::ZERO);
    world.join(1, 2);
    world.say(1, answer("easy.2", "three"));
    world.say(1, answer("hard.2", "four"));
    assert_eq!(world.ended(1), Some(VisitEnding::Completed));
    let rows = world.effects.iter().filter_map(|effect| match effect {
        Effect::Answers { scene, answers, .. } => Some((scene.as_str(), answers["q"].as_str().unwrap())),
        _ => None,
    });
    let expected = [("easy", "one"), ("hard", "two"), ("easy.2", "three"), ("hard.2", "four")];
    assert_eq!(rows.collect::<Vec<_>>(), expected);
    assert_eq!(world.names(1, "scene"), ["hello", "easy", "hard", "easy.2", "hard.2", "thanks"]);
    assert_eq!(world.way(1, "scene")[3].1, json!({ "trials": 2 }));
}

#[test]
fn a_random_order_is_each_visits_own_and_is_written_down() {
    let parts = ["a", "b", "c", "d"];
    let mut firsts = std::collections::BTreeMap::<String, u32>::new();
    let mut same = 0;
    for number in 0..200 {
        let mut scenes: Vec<_> = parts.map(read).into();
        scenes.push(end("thanks"));
        let trials = Block { is_random: true, ..block("trials", &parts, 2) };
        let mut world = World::with(scenes, vec![trials]);
        let way = world.walk(number, "", |_| {});
        let plain = |passage: &String| passage.split('.').next().unwrap().to_owned();
        let rounds: Vec<Vec<_>> = way[..8].chunks(4).map(|round| round.iter().map(plain).collect()).collect();
        same += u32::from(rounds[0] == rounds[1]);
        *firsts.entry(rounds[0][0].clone()).or_default() += 1;
        let drawn = world.way(number, "order");
        for (round, repetition) in rounds.iter().zip(1..) {
            assert!(parts.iter().all(|part| round.iter().any(|at| at == part)), "{way:?}");
            assert_eq!(drawn[repetition - 1].1, json!({ "repetition": repetition, "order": round }));
        }
    }
    assert!(firsts.values().all(|&first| (30..70).contains(&first)), "each comes first as often: {firsts:?}");
    assert!(same < 30, "each repetition has an order of its own, one in 24 the same: {same}");
}

#[test]
fn who_has_answered_so_goes_that_way() {
    let guarded = |id: &str, test| SceneSpec { guard: when("you.q", test), ..read(id) };
    let scenes = || {
        vec![
            ask("you"),
            guarded("cats", Test::Equals(json!("cat"))),
            guarded("others", Test::Not(json!("cat"))),
            guarded("rare", Test::OneOf(vec![json!("yak"), json!("emu")])),
            read("all"),
            end("thanks"),
        ]
    };
    for (words, expected) in [
        ("Cat", vec!["you", "cats", "all", "thanks"]),
        ("yak", vec!["you", "others", "rare", "all", "thanks"]),
        ("", vec!["you", "others", "all", "thanks"]),
    ] {
        let mut world = World::with(scenes(), vec![]);
        assert_eq!(world.walk(1, words, |_| {}), expected);
        let passed_over: Vec<_> =
            ["cats", "others", "rare"].into_iter().filter(|id| !expected.contains(id)).collect();
        assert_eq!(world.names(1, "passed_over"), passed_over);
    }
    // A block is passed over with all that is in it, and decided on once.
    let inner = Block { guard: when("you.q", Test::Equals(json!("cat"))), ..block("inner", &["cats"], 3) };
    let mut scenes = scenes();
    scenes[1].guard = Guard::default();
    let mut world = World::with(scenes.clone(), vec![inner.clone(), block("outer", &["inner", "others"], 2)]);
    assert_eq!(world.walk(1, "yak", |_| {}), ["you", "others", "others.2", "rare", "all", "thanks"]);
    assert_eq!(world.names(1, "passed_over"), ["inner", "inner"]);
    let mut world = World::with(scenes, vec![inner]);
    assert_eq!(world.walk(1, "cat", |_| {}), ["you", "cats", "cats.2", "cats.3", "all", "thanks"]);
}

#[test]
fn the_last_answer_counts_and_one_that_was_taken_back_is_none() {
    let again = SceneSpec { guard: when("more.q", Test::Equals(json!("yes"))), ..read("again") };
    let mut world =
        World::with(vec![ask("more"), again, end("thanks")], vec![block("loop", &["more", "again"], 4)]);
    world.join(1, 1);
    for (passage, words, next) in [
        ("more", "yes", "again"),
        ("again", "", "more.2"),
        ("more.2", "no", "more.3"),
        ("more.3", "yes", "again.3"),
        ("again.3", "", "more.4"),
        ("more.4", "", "thanks"),
    ] {
        world.say(1, answer(passage, words));
        assert_eq!(world.scene(1).as_deref(), Some(next));
    }
    assert_eq!(world.progress[&visit(1)].variables, [].into());
}

#[test]
fn what_was_answered_is_read_as_words() {
    let sheet = Sheet {
        body: "<p>Hello {{ you.q }}, {{you.q}}!{{ other.q }}</p>".into(),
        button: "Go on, {{ you.q }}".into(),
        ..Sheet::default()
    };
    let field = Field { id: "q".into(), label: "Why {{ you.q }}?".into(), ..Field::default() };
    let form = FormScene { sheet: Sheet { fields: vec![field], ..sheet }, comprehension: None };
    let thanks = EndScene {
        texts: [(VisitEnding::Completed, "Bye, {{ you.q }}".to_owned())].into(),
        ..EndScene::default()
    };
    let mut world = World::with(
        vec![
            ask("you"),
            scene("why", SceneSpecKind::Form(form)),
            scene("thanks", SceneSpecKind::End(thanks)),
        ],
        vec![],
    );
    world.join(1, 1);
    world.say(1, answer("you", "<b>A & B</b>"));
    let shown = |world: &World| match world.told[&visit(1)].last() {
        Some(ServerMessage::ActivateScene { scene }) => scene.kind.clone(),
        other => panic!("{other:?}"),
    };
    let escaped = "&lt;b&gt;A &amp; B&lt;/b&gt;";
    world.restart(Duration::ZERO);
    world.join(1, 2);
    let SceneKind::Form(sheet) = shown(&world) else { panic!() };
    assert_eq!(sheet.body, format!("<p>Hello {escaped}, {escaped}!</p>"));
    assert_eq!(
        (sheet.button.as_str(), sheet.fields[0].label.as_str()),
        ("Go on, <b>A & B</b>", "Why <b>A & B</b>?")
    );
    world.say(1, advance("why"));
    let SceneKind::End { body, .. } = shown(&world) else { panic!() };
    assert_eq!(body, format!("Bye, {escaped}"));
    assert_eq!(world.progress[&visit(1)].variables, [("you.q".to_owned(), json!("<b>A & B</b>"))].into());
}

#[test]
fn a_scene_that_is_named_is_its_next_passage_and_else_its_first() {
    // Who fails goes to `help`, which is in the block, before the check and after it.
    let check = |on_failed: &str| {
        let comprehension = Some(Comprehension {
            correct: [("q".to_owned(), "right".into())].into(),
            attempts: 1,
            on_failed: Some(on_failed.to_owned()),
        });
        let SceneSpecKind::Form(form) = ask("check").kind else { panic!() };
        scene("check", SceneSpecKind::Form(FormScene { comprehension, ..form }))
    };
    let world = |on_failed: &str| {
        let nobodys = Guard { conditions: vec!["nobody".into()], ..Guard::default() };
        World::with(
            vec![
                read("first"),
                read("before"),
                check(on_failed),
                SceneSpec { guard: nobodys, ..read("after") },
                read("outside"),
                end("thanks"),
            ],
            vec![block("round", &["before", "check", "after"], 2)],
        )
    };
    for (on_failed, first, second) in [
        // In the same repetition, whomever it is for; and in the last.
        ("after", "after", "after.2"),
        // In the next repetition; in the last there is none left.
        ("before", "before.2", "before"),
        ("check", "check.2", "check"),
        ("outside", "outside", "outside"),
        ("first", "first", "first"),
        ("thanks", "thanks", "thanks"),
    ] {
        let mut one = world(on_failed);
        one.join(1, 1);
        one.say(1, advance("first"));
        one.say(1, advance("before"));
        one.say(1, answer("check", "wrong"));
        assert_eq!(one.scene(1).as_deref(), Some(first), "{on_failed}");
        let mut two = world(on_failed);
        two.join(1, 1);
        two.say(1, advance("first"));
        two.say(1, advance("before"));
        two.say(1, answer("check", "right"));
        two.say(1, advance("before.2"));
        two.say(1, answer("check.2", "wrong"));
        assert_eq!(two.scene(1).as_deref(), Some(second), "{on_failed} in the last repetition");
        // Whoever was sent anywhere comes to the end.
        let way = two.walk(1, "right", |_| {});
        assert_eq!(way.last().map(String::as_str), Some("thanks"));
    }
}

#[test]
fn a_game_that_comes_again_is_another_and_only_itself_is_made_good() {
    let play = || scene("play", SceneSpecKind::Game(Box::new(game_scene(2))));
    let mut world =
        World::with(vec![read("welcome"), play(), end("thanks")], vec![block("games", &["play"], 2)]);
    world.start(1);
    world.start(2);
    let (first, _) = world.game(1).unwrap();
    world.say(2, ClientMessage::GameReady { game_id: first });
    world.say(1, ClientMessage::GameReady { game_id: first });
    world.say(2, ClientMessage::LeaveStudy { delete: false });
    world.say(1, advance("play"));
    assert_eq!(world.scene(1).as_deref(), Some("play.2"));
    world.say(1, advance("play"));
    assert_eq!(world.scene(1).as_deref(), Some("play.2"));
    // Who comes for the first time meets who comes for the second.
    world.start(3);
    let (second, _) = world.game(1).unwrap();
    assert_eq!((world.game(3).map(|(game, _)| game), first == second), (Some(second), false));
    for number in [1, 3] {
        world.say(number, ClientMessage::GameReady { game_id: second });
    }
    // The server is killed in it.
    world.restart(Duration::ZERO);
    for number in [1, 3] {
        world.join(number, u64::from(number));
        world.finish(number, second);
    }
    assert_eq!(
        world.ended(1),
        Some(VisitEnding::PartnerLost),
        "the second game does not make the first one good"
    );
    assert_eq!(world.scene(3).as_deref(), Some("play.2"));
    assert_eq!(world.names(1, "game"), ["play", "play.2"]);
    assert_eq!(world.way(3, "game")[0], ("play".to_owned(), json!({ "game": second, "seat": 1 })));
}

#[test]
fn back_to_the_lobby_is_the_same_passage() {
    let game = room::GameScene { on_partner_lost: After::Lobby, ..game_scene(2) };
    let play = scene("play", SceneSpecKind::Game(Box::new(game)));
    let mut world =
        World::with(vec![read("welcome"), play, end("thanks")], vec![block("games", &["play"], 2)]);
    world.start(1);
    world.start(2);
    let (game_id, _) = world.game(1).unwrap();
    for number in [1, 2] {
        world.say(number, ClientMessage::GameReady { game_id });
    }
    world.say(2, ClientMessage::LeaveStudy { delete: false });
    world.say(1, advance("play"));
    assert_eq!(world.scene(1).as_deref(), Some("play"));
    assert!(matches!(world.told[&visit(1)].last(), Some(ServerMessage::LobbyStatus { .. })));
    world.start(3);
    let (game_id, _) = world.game(1).unwrap();
    world.ready_with(1, &[1, 3]);
    for number in [1, 3] {
        world.finish(number, game_id);
    }
    assert_eq!(world.scene(1).as_deref(), Some("play.2"));
    assert_eq!(world.progress[&visit(1)].outcome, None);
}

#[test]
fn an_end_is_for_those_for_whom_it_is() {
    let only = |id: &str, test| SceneSpec { guard: when("you.q", test), ..end(id) };
    let scenes = || vec![ask("you"), read("go"), only("cats", Test::Equals(json!("cat"))), end("all")];
    for (words, expected) in [("cat", "cats"), ("dog", "all")] {
        let mut world = World::with(scenes(), vec![]);
        assert_eq!(world.walk(1, words, |_| {}).last().map(String::as_str), Some(expected));
        let mut world = World::with(scenes(), vec![]);
        world.join(1, 1);
        world.say(1, answer("you", words));
        world.say(1, ClientMessage::LeaveStudy { delete: false });
        assert_eq!(world.scene(1).as_deref(), Some(expected));
    }
}

/// Any nest of blocks.
#[derive(Clone, Debug)]
enum Tree {
    /// A scene; some are for those only who have answered so.
    Scene(Option<&'static str>),
    Block {
        is_random: bool,
        repeat: u32,
        of: Option<&'static str>,
        parts: Vec<Tree>,
    },
}

fn whom() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![3 => Just(None), 1 => Just(Some("a")), 1 => Just(Some("b"))]
}

fn trees() -> impl Strategy<Value = Vec<Tree>> {
    let tree = whom().prop_map(Tree::Scene).prop_recursive(3, 12, 4, |inner| {
        let parts = prop::collection::vec(inner, 1..4);
        (any::<bool>(), 1..4_u32, whom(), parts).prop_map(|(is_random, repeat, of, parts)| Tree::Block {
            is_random,
            repeat,
            of,
            parts,
        })
    });
    prop::collection::vec(tree, 0..5)
}

/// An experiment, and how often each scene should be come to by one who answers `a`.
#[derive(Default)]
struct Planted {
    scenes: Vec<SceneSpec>,
    blocks: Vec<Block>,
    expected: Vec<(String, u32)>,
}

impl Planted {
    fn plant(&mut self, tree: &Tree, times: u32) -> String {
        let guard =
            |of: Option<&str>| of.map(|of| when("you.q", Test::Equals(json!(of)))).unwrap_or_default();
        let comes = |of: Option<&str>| u32::from(of.is_none_or(|of| of == "a"));
        match tree {
            Tree::Scene(of) => {
                let id = format!("s{}", self.scenes.len());
                self.scenes.push(SceneSpec { guard: guard(*of), ..read(&id) });
                self.expected.push((id.clone(), times * comes(*of)));
                id
            }
            Tree::Block { is_random, repeat, of, parts } => {
                let times = times * repeat * comes(*of);
                let parts: Vec<_> = parts.iter().map(|part| self.plant(part, times)).collect();
                let id = format!("b{}", self.blocks.len());
                let (is_random, repeat) = (*is_random, *repeat);
                self.blocks.push(Block { id: id.clone(), parts, is_random, repeat, guard: guard(*of) });
                id
            }
        }
    }
}

proptest! {
    #[test]
    fn any_plan_is_gone_through_once_for_each_repetition_whatever_becomes_of_the_server(
        trees in trees(),
        number in 0..=255_u8,
    ) {
        let mut planted = Planted { scenes: vec![ask("you")], ..Planted::default() };
        for tree in &trees {
            planted.plant(tree, 1);
        }
        planted.scenes.push(end("thanks"));
        let world = || World::with(planted.scenes.clone(), planted.blocks.clone());
        let mut steady = world();
        let way = steady.walk(number, "a", |_| {});
        for (id, times) in &planted.expected {
            let passages: Vec<_> =
                way.iter().filter(|passage| passage.split('.').next() == Some(id)).collect();
            prop_assert_eq!(passages.len() as u32, *times, "{} in {:?}", id, way);
            prop_assert!((1..passages.len()).all(|at| !passages[..at].contains(&passages[at])), "{:?}", way);
        }
        prop_assert_eq!(steady.names(number, "scene"), way.clone());

        // Killed before every step, and loaded anew.
        let mut shaken = world();
        let again = shaken.walk(number, "a", |world| {
            world.restart(Duration::ZERO);
            world.join(number, 9);
        });
        prop_assert_eq!(again, way);
        prop_assert_eq!(shaken.names(number, "order"), steady.names(number, "order"));
    }
}

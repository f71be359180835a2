//! What participants read that is not the study's own: each visit has the words of the version that it began with.

use core::time::Duration;

use room::{Comprehension, EndScene, FormScene, GameScene, SceneSpecKind};
use wire::control::{ClientMessage, OnPlayerLost, SceneKind, ServerMessage, Sheet};
use wire::form::{Answers, Field, Kind};
use wire::texts::Texts;

use crate::world::{World, advance, experiment_of, experiment_with, game_scene, scene, visit};

fn texts(id: &str, words: &[(&str, &str)]) -> Texts {
    let words = words.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
    Texts { id: id.into(), language: "de".into(), words }
}

/// The kinds of what a visit was told last, from its last welcome on, and the texts among it.
fn told(world: &World, number: u8) -> (Vec<&'static str>, Option<Texts>) {
    let told = &world.told[&visit(number)];
    let begin = told.iter().rposition(|message| matches!(message, ServerMessage::Welcome { .. })).unwrap();
    let kind = |message: &ServerMessage| match message {
        ServerMessage::Welcome { .. } => "welcome",
        ServerMessage::Texts { .. } => "texts",
        ServerMessage::ActivateScene { .. } => "scene",
        _ => "more",
    };
    let texts = told[begin..].iter().find_map(|message| match message {
        ServerMessage::Texts { id, language, words } => {
            Some(Texts { id: id.clone(), language: language.clone(), words: words.clone() })
        }
        _ => None,
    });
    (told[begin..].iter().map(kind).collect(), texts)
}

#[test]
fn a_page_gets_the_texts_of_its_visits_version_before_the_scene_unless_it_has_them() {
    let mut world = World::new(2);
    world.experiment.texts = texts("old", &[("leave", "Früher")]);
    world.restart(Duration::ZERO);
    world.join_with(1, 1, Some("old"));
    assert_eq!(told(&world, 1), (vec!["welcome", "scene"], None), "it has them");
    world.join(1, 1);
    assert_eq!(told(&world, 1).1, None, "it needs none");
    // The experiment gets other words while the visit is on its way.
    let old = world.experiment.clone();
    world.experiment = experiment_with(2, OnPlayerLost::End);
    world.experiment.version = "2".into();
    world.experiment.texts = texts("new", &[("leave", "Jetzt")]);
    world.restart(Duration::ZERO);
    world.stager.add_version(old.clone());
    world.join_with(1, 2, Some("new"));
    assert_eq!(told(&world, 1), (vec!["welcome", "texts", "scene"], Some(old.texts)));
    // It comes back with what it was told.
    world.join_with(1, 2, Some("old"));
    assert_eq!(told(&world, 1).1, None);
}

#[test]
fn what_the_server_says_itself_is_in_the_visits_language() {
    let words = [
        ("answer_missing", "Bitte antworten."),
        ("answer_wrong_one", "Noch ein Versuch."),
        ("answer_wrong_many", "Noch {tries} Versuche."),
        ("partner_excluded", "Technisches Problem."),
    ];
    let field = |id: &str| Field { id: id.into(), max_length: 9, required: true, ..Field::default() };
    assert_eq!(field("a").kind, Kind::Text);
    let correct: Answers = [("a".to_owned(), "1".into())].into();
    let comprehension = Some(Comprehension { correct, attempts: 3, on_failed: None });
    let sheet = Sheet { fields: vec![field("a"), field("b")], ..Sheet::default() };
    let mut experiment = experiment_of(vec![
        scene("check", SceneSpecKind::Form(FormScene { sheet, comprehension })),
        scene("thanks", SceneSpecKind::End(EndScene::default())),
    ]);
    experiment.texts = texts("de", &words);
    let mut world = World::of(experiment, 2);
    world.join(1, 1);
    let mut refused = |answers: &[(&str, &str)]| {
        let answers = answers.iter().map(|&(field, answer)| (field.to_owned(), answer.into())).collect();
        world.say(1, ClientMessage::AdvanceScene { scene_id: "check".into(), answers });
        match world.told[&visit(1)].last() {
            Some(ServerMessage::AnswersRefused { problems, .. }) => problems.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&[("a", "2")]), [("b".to_owned(), "Bitte antworten.".to_owned())].into());
    for (answer, words) in [("2", "Noch 2 Versuche."), ("3", "Noch ein Versuch.")] {
        let problems = refused(&[("a", answer), ("b", "x")]);
        assert_eq!(problems, [("a".to_owned(), words.to_owned())].into());
    }
}

#[test]
fn a_legend_of_keys_has_the_games_own_names_for_buttons() {
    let keys = [("Space", "dash"), ("ArrowUp", "up")].map(|(key, button)| (key.into(), button.into()));
    let texts = [("button_dash".to_owned(), "Sprinten".to_owned())].into();
    let game = GameScene { keys: keys.into(), texts, ..game_scene(2) };
    let mut world = World::of(
        experiment_of(vec![
            scene("welcome", SceneSpecKind::Start(Sheet::default())),
            scene("play", SceneSpecKind::Game(Box::new(game))),
            scene("thanks", SceneSpecKind::End(EndScene::default())),
        ]),
        2,
    );
    world.join(1, 1);
    let Some(ServerMessage::ActivateScene { scene }) = world.told[&visit(1)].last() else { panic!() };
    let SceneKind::Start(sheet) = &scene.kind else { panic!("{scene:?}") };
    let shown: Vec<_> = sheet.keys.iter().map(|(key, name)| (key.as_str(), name.as_str())).collect();
    assert_eq!(shown, [("ArrowUp", "up"), ("Space", "Sprinten")]);
    for number in [1, 2] {
        world.join(number, 1);
        world.say(number, advance("welcome"));
    }
    let start = world.told[&visit(1)].iter().find_map(|message| match message {
        ServerMessage::GameStart(start) => Some(start),
        _ => None,
    });
    assert_eq!(start.unwrap().keys["Space"], "dash", "the game itself knows its own names only");
}

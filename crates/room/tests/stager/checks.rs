//! A study's own check: asked of everyone who plays, and before the first scene; what is not answered excludes nobody (X2, X3).

use room::{
    CheckAnswer, CheckId, CheckResult, CheckRule, Effect, EndScene, Experiment, GameScene, SceneSpecKind,
    Screening, ScreeningRule,
};
use serde_json::{Value, json};
use wire::control::{
    ClientMessage, ExclusionReason, SceneKind, ServerMessage, Sheet, TerminationReason, VisitEnding,
};

use crate::world::{World, advance, experiment_of, game_scene, scene, visit};

fn rule() -> CheckRule {
    CheckRule { url: "https://a.b/".into(), deadline_millis: 2_000, every_millis: 5_000, message: None }
}

fn with_game() -> Experiment {
    let game = GameScene { check: Some(rule()), ..game_scene(2) };
    experiment_of(vec![
        scene("play", SceneSpecKind::Game(Box::new(game))),
        scene("between", SceneSpecKind::Static(Sheet::default())),
        scene("thanks", SceneSpecKind::End(EndScene::default())),
    ])
}

impl World {
    fn two_are_checked() -> Self {
        let mut world = Self::of(with_game(), 2);
        world.join(1, 1);
        world.join(2, 2);
        let (game_id, _) = world.game(1).unwrap();
        world.say(1, ClientMessage::GameReady { game_id });
        world.say(2, ClientMessage::GameReady { game_id });
        world
    }

    /// All questions so far, with the number of whom each is about.
    fn questions(&self) -> Vec<(u8, CheckId, Value)> {
        let asked = |effect: &Effect| match effect {
            Effect::AskCheck { check, question, .. } => {
                let about = (1..=9).find(|&number| question["visit"] == json!(visit(number)))?;
                Some((about, *check, question.clone()))
            }
            _ => None,
        };
        self.effects.iter().filter_map(asked).collect()
    }

    fn question(&self, number: u8) -> CheckId {
        self.questions().iter().rfind(|(about, ..)| *about == number).unwrap().1
    }

    fn answer(&mut self, check: CheckId, answer: CheckAnswer) {
        self.stager.handle_check(check, answer, self.now);
        self.settle();
    }

    fn results(&self) -> Vec<CheckResult> {
        let result = |effect: &Effect| match effect {
            Effect::Checked { result, .. } => Some(*result),
            _ => None,
        };
        self.effects.iter().filter_map(result).collect()
    }

    fn rows(&self, prefix: &str) -> Vec<(&'static str, Value)> {
        let row = |effect: &Effect| match effect {
            Effect::Record { kind, detail, .. } if kind.starts_with(prefix) => Some((*kind, detail.clone())),
            _ => None,
        };
        self.effects.iter().filter_map(row).collect()
    }
}

#[test]
fn everyone_who_plays_is_asked_about_again_and_again_and_not_while_the_game_stands_still() {
    let mut world = World::two_are_checked();
    world.wait(4);
    assert!(world.questions().is_empty());
    world.say(1, ClientMessage::Ping { time: 0.0, sequence: 0, rtt_millis: Some(12.0), frame: Some(120) });
    world.wait(1);
    let (game, _) = world.game(1).unwrap();
    let question = &world.questions()[0].2;
    let expected = json!({
        "type": "game", "visit": visit(1), "game": game, "seat": 0, "scene": "play", "frame": 120, "rtt_ms": 12.0,
        "hidden": false, "connected": true,
    });
    assert_eq!(*question, expected);
    for number in [1, 2] {
        world.answer(world.question(number), CheckAnswer::Keep);
    }
    world.wait(5);
    assert_eq!(world.questions().iter().map(|(about, ..)| *about).collect::<Vec<_>>(), [1, 2, 1, 2]);
    world.lost(1, 1, 0);
    world.wait(11);
    assert_eq!(world.questions().len(), 4);
    world.come_back((1, 1));
    world.wait(4);
    assert_eq!(world.questions().len(), 4, "it begins anew when the game goes on");
    world.wait(1);
    assert_eq!(world.questions().len(), 6);
}

#[test]
fn whom_the_check_excludes_reads_its_words_and_the_partner_goes_on() {
    let mut world = World::two_are_checked();
    world.wait(5);
    let (first, second) = (world.question(1), world.question(2));
    world.answer(second, CheckAnswer::Exclude(Some("Your camera is off.".into())));
    let told = |world: &World, number: u8| world.told[&visit(number)].clone();
    let excluded = told(&world, 2).into_iter().find_map(|message| match message {
        ServerMessage::MidGameExclusion { reason, message, .. } => Some((reason, message)),
        _ => None,
    });
    assert_eq!(excluded, Some((ExclusionReason::Custom, Some("Your camera is off.".into()))));
    assert!(told(&world, 1).iter().any(|message| matches!(message, ServerMessage::PartnerExcluded { .. })));
    assert_eq!(
        world.endings(),
        [(0, TerminationReason::PartnerExclusion, true), (1, TerminationReason::SelfExclusion, true)]
    );
    // Asked at the same moment, answered a moment later: written down beside the other's, and nothing else (X4).
    world.answer(first, CheckAnswer::Exclude(None));
    let rows = world.rows("mid_game_exclusion");
    assert_eq!((rows.len(), &rows[1].1["after"]), (2, &json!("partner_exclusion")));
    assert_eq!(world.endings().len(), 2);
    // Who comes back reads the same, also from a server that was started since.
    world.restart(core::time::Duration::ZERO);
    world.join(2, 5);
    assert!(told(&world, 2).iter().rev().take(3).any(|message| {
        matches!(message, ServerMessage::MidGameExclusion { message: Some(words), .. } if words == "Your camera is off.")
    }));
    world.say(2, advance("play"));
    assert_eq!(world.progress[&visit(2)].excluded_words, None);
}

#[test]
fn what_is_not_answered_excludes_nobody_and_is_written_down_once() {
    let mut world = World::two_are_checked();
    world.wait(5);
    let (first, second) = (world.question(1), world.question(2));
    world.answer(first, CheckAnswer::Failed("it answered 500".into()));
    world.wait(2);
    // Too late.
    world.answer(second, CheckAnswer::Exclude(None));
    world.wait(13);
    assert_eq!(world.ended(2), None);
    let (first, second) = (world.question(1), world.question(2));
    world.answer(first, CheckAnswer::Keep);
    world.answer(second, CheckAnswer::Keep);
    // Of the first player three questions, of the second three.
    assert_eq!(world.results().iter().filter(|result| **result == CheckResult::Late).count(), 5);
    let rows: Vec<_> = world.rows("custom_check");
    let unanswered =
        |result: &str, cause: Value| ("custom_check_unanswered", json!({ "result": result, "cause": cause }));
    let answered = ("custom_check_answered", json!({ "unanswered": 3 }));
    assert_eq!(
        rows,
        [
            unanswered("failed", json!("it answered 500")),
            unanswered("late", Value::Null),
            answered.clone(),
            answered
        ]
    );
}

#[test]
fn an_answer_for_a_game_that_is_over_changes_nothing() {
    let mut world = World::two_are_checked();
    let (game, _) = world.game(1).unwrap();
    world.wait(5);
    let (first, second) = (world.question(1), world.question(2));
    world.finish(1, game);
    world.finish(2, game);
    let effects = world.effects.len();
    world.answer(first, CheckAnswer::Exclude(None));
    world.answer(second, CheckAnswer::Failed(String::new()));
    let since = &world.effects[effects..];
    assert!(since.iter().all(|effect| matches!(effect, Effect::Checked { .. })), "{since:?}");
    assert_eq!(world.scene(1).as_deref(), Some("between"));
}

#[test]
fn the_check_has_a_word_before_the_first_scene() {
    let scenes = vec![
        scene("welcome", SceneSpecKind::Start(Sheet::default())),
        scene("thanks", SceneSpecKind::End(EndScene::default())),
    ];
    let check = CheckRule { every_millis: 0, message: Some("Not today.".into()), ..rule() };
    let screening = Screening { check: Some(check), ..Screening::default() };
    let mut world = World::of(Experiment { screening, ..experiment_of(scenes) }, 2);
    let report = ClientMessage::ScreeningReport {
        touch_points: 0,
        fine_pointer: true,
        screen: [1, 1],
        round_trips_millis: vec![],
    };
    let found = |world: &World, number: u8| world.progress[&visit(number)].screened.clone().unwrap();
    for number in 1..=4 {
        world.join(number, 1);
        world.say(number, report.clone());
        assert_eq!(world.scene(number), None, "it waits for an answer");
    }
    world.answer(world.question(1), CheckAnswer::Keep);
    assert_eq!((world.scene(1).as_deref(), found(&world, 1).unanswered), (Some("welcome"), false));
    world.answer(world.question(2), CheckAnswer::Exclude(None));
    assert_eq!(found(&world, 2).rule, Some(ScreeningRule::Webhook));
    let shown = world.told[&visit(2)].last().unwrap();
    let ServerMessage::ActivateScene { scene } = shown else { panic!("{shown:?}") };
    let SceneKind::End { reason: VisitEnding::ScreenedOut, body, .. } = &scene.kind else {
        panic!("{scene:?}")
    };
    assert_eq!(body, "<p>Not today.</p>\n");
    // However often the page reports, loaded anew or not, it is asked once, and that answer counts.
    let before = world.question(3);
    world.say(3, report.clone());
    world.drop(3);
    world.join(3, 2);
    world.say(3, report);
    assert_eq!(world.question(3), before);
    world.answer(before, CheckAnswer::Exclude(None));
    assert_eq!(world.scene(3).as_deref(), Some("thanks"));
    world.wait(2);
    assert_eq!((world.scene(4).as_deref(), found(&world, 4).unanswered), (Some("welcome"), true));
}

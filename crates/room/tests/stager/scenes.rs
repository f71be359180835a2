//! The way through the scenes: waiting, leaving, being taken out, and where it goes from there.

use base::{Seat, SeatSet};
use room::{
    After, Comprehension, Effect, EndScene, Experiment, FormScene, GameScene, LobbyRules, MonitorRules,
    OnHidden, SceneSpecKind,
};
use wire::control::{
    ClientMessage, ExclusionReason, Exit, GameRules, OnPlayerLost, PauseReason, SceneKind, ServerMessage,
    Sheet, TerminationReason, VisitEnding,
};

use wire::form::{Choice, Field, Kind};

use crate::world::{World, advance, experiment_of, experiment_with, game_scene, scene, seats, visit};

/// Start, game, form, second game, an end for those who go all the way and one for those who do not.
pub(crate) fn two_games(game: &GameScene) -> World {
    let sheet = || Sheet::default();
    let code = |code: &str| Exit { code: Some(code.into()), redirect: None };
    let exits = |exits: &[(VisitEnding, &str)]| EndScene {
        exits: exits.iter().map(|&(ending, text)| (ending, code(text))).collect(),
        ..EndScene::default()
    };
    let played = |_| SceneSpecKind::Game(Box::new(game.clone()));
    World::of(
        experiment_of(vec![
            scene("welcome", SceneSpecKind::Start(sheet())),
            scene("one", played(1)),
            scene("between", SceneSpecKind::Form(FormScene::default())),
            scene("two", played(2)),
            scene("thanks", SceneSpecKind::End(exits(&[(VisitEnding::Completed, "DONE")]))),
            scene("sorry", SceneSpecKind::End(exits(&[(VisitEnding::Withdrawn, "GONE")]))),
        ]),
        game.players,
    )
}

impl World {
    /// Everyone is in the first game, and it is on.
    pub(crate) fn begin(game: &GameScene) -> Self {
        let mut world = two_games(game);
        for number in 1..=game.players {
            world.start(number);
        }
        world.ready(game.players);
        world
    }

    pub(crate) fn ready(&mut self, players: u8) {
        let (game_id, _) = self.game(1).unwrap();
        (1..=players).for_each(|number| self.say(number, ClientMessage::GameReady { game_id }));
    }

    /// Those who sit in a participant's game are ready.
    pub(crate) fn ready_with(&mut self, number: u8, numbers: &[u8]) {
        let (game_id, _) = self.game(number).unwrap();
        for &number in numbers {
            self.say(number, ClientMessage::GameReady { game_id });
        }
    }

    pub(crate) fn ping(&mut self, number: u8, rtt_millis: f32) {
        self.say(
            number,
            ClientMessage::Ping { time: 0.0, sequence: 0, rtt_millis: Some(rtt_millis), frame: Some(50) },
        );
    }

    /// What a page was told since a game of it ended early: the message, and the export's reason.
    pub(crate) fn over(&self, number: u8) -> (&ServerMessage, TerminationReason) {
        let told = &self.told[&visit(number)];
        let is_export = |message: &ServerMessage| matches!(message, ServerMessage::TriggerDataExport { .. });
        let at = told.iter().rposition(is_export).unwrap();
        let ServerMessage::TriggerDataExport { termination_reason, is_partial: true, .. } = told[at] else {
            panic!("{:?}", told[at]);
        };
        (&told[at - 1], termination_reason)
    }

    fn exit(&self, number: u8) -> Option<String> {
        self.told[&visit(number)].iter().rev().find_map(|message| match message {
            ServerMessage::ActivateScene { scene } => match &scene.kind {
                SceneKind::End { exit, .. } => Some(exit.clone()?.code?),
                _ => None,
            },
            _ => None,
        })
    }

    pub(crate) fn recorded(&self, wanted: &str) -> Vec<(Option<Seat>, serde_json::Value)> {
        let record = |effect: &Effect| match effect {
            Effect::Record { kind, seat, detail, .. } if *kind == wanted => Some((*seat, detail.clone())),
            _ => None,
        };
        self.effects.iter().filter_map(record).collect()
    }
}

#[test]
fn who_waits_too_long_is_taken_on_and_the_others_wait_in_peace() {
    let mut world = two_games(&GameScene {
        lobby: LobbyRules {
            max_wait_millis: 20_000,
            on_timeout: Some("sorry".into()),
            ..LobbyRules::default()
        },
        ..game_scene(3)
    });
    world.start(1);
    world.wait(15);
    world.start(2);
    let told = |world: &World, number| match world.told[&visit(number)].last().unwrap() {
        ServerMessage::LobbyStatus { waiting, remaining_ms, .. } => (*waiting, *remaining_ms),
        other => panic!("{other:?}"),
    };
    assert_eq!((told(&world, 1), told(&world, 2)), ((2, 5_000), (2, 20_000)));
    // A reload is no reason to wait anew.
    world.drop(1);
    world.wait(2);
    world.join(1, 12);
    assert_eq!(told(&world, 1), (2, 3_000));
    world.wait(4);
    assert_eq!(
        (world.scene(1).as_deref(), world.ended(1)),
        (Some("sorry"), Some(VisitEnding::WaitroomTimeout))
    );
    assert_eq!(told(&world, 2), (1, 15_000));
    assert_eq!(world.scene(2).as_deref(), Some("one"));
    world.say(2, ClientMessage::LeaveLobby { scene_id: "welcome".into() });
    assert_eq!(world.scene(2).as_deref(), Some("one"), "a late word changes nothing");
    world.say(2, ClientMessage::LeaveLobby { scene_id: "one".into() });
    assert_eq!((world.scene(2).as_deref(), world.ended(2)), (Some("sorry"), Some(VisitEnding::Left)));
}

#[test]
fn a_lost_partner_is_no_reason_to_stop_and_the_ending_says_so() {
    let mut world = World::begin(&game_scene(2));
    world.drop(2);
    world.lost(1, 1, 0);
    world.wait(31);
    let (message, reason) = world.over(1);
    assert!(
        matches!(message, ServerMessage::P2pGameEnded { missing, .. } if *missing == seats(&[1])),
        "{message:?}"
    );
    assert_eq!((reason, world.scene(1).as_deref()), (TerminationReason::ReconnectTimeout, Some("one")));
    world.say(1, advance("one"));
    world.say(1, advance("one"));
    assert_eq!(world.scene(1).as_deref(), Some("between"), "once");
    // The other finds out what happened when it comes, after however long, and whatever became of the server.
    world.restart(core::time::Duration::ZERO);
    world.wait(1000);
    world.join(2, 2);
    assert_eq!(world.over(2).1, TerminationReason::ReconnectTimeout);
    assert_eq!(world.scene(2).as_deref(), Some("one"));
    world.wait(9);
    assert_eq!(world.scene(2).as_deref(), Some("one"));
    world.wait(2);
    assert_eq!(world.scene(2).as_deref(), Some("between"), "nobody is left there for ever");
    // A second game that goes well does not make the first one good.
    world.join(1, 1);
    for number in [1, 2] {
        world.say(number, advance("between"));
    }
    let (game_id, _) = world.game(1).unwrap();
    world.ready(2);
    world.finish(1, game_id);
    assert_eq!(world.ended(1), Some(VisitEnding::ReconnectTimeout));
    assert_eq!(world.exit(1), None);
}

#[test]
fn back_to_the_lobby_makes_good_what_went_wrong() {
    let mut world = World::begin(&GameScene { on_partner_lost: After::Lobby, ..game_scene(2) });
    let (first, _) = world.game(1).unwrap();
    world.say(2, ClientMessage::LeaveStudy { delete: false });
    assert_eq!(world.ended(2), Some(VisitEnding::Withdrawn));
    assert_eq!((world.scene(2).as_deref(), world.exit(2).as_deref()), (Some("sorry"), Some("GONE")));
    assert_eq!(world.over(1).1, TerminationReason::PartnerLost);
    world.say(1, advance("one"));
    world.start(3);
    let (second, _) = world.game(1).unwrap();
    assert_ne!(first, second);
    world.ready_with(1, &[1, 3]);
    for number in [1, 3] {
        world.finish(number, second);
        world.say(number, advance("between"));
    }
    let (third, _) = world.game(1).unwrap();
    world.ready_with(1, &[1, 3]);
    world.finish(1, third);
    assert_eq!((world.ended(1), world.exit(1).as_deref()), (Some(VisitEnding::Completed), Some("DONE")));
    let ended: Vec<_> = world.endings().iter().map(|(_, reason, _)| *reason).collect();
    let normal = TerminationReason::Normal;
    assert_eq!(ended, [TerminationReason::PartnerLost, TerminationReason::Withdrawn, normal, normal, normal]);
}

#[test]
fn what_failed_on_our_side_is_not_tried_again() {
    let mut world = World::begin(&GameScene { on_partner_lost: After::Lobby, ..game_scene(2) });
    let (game_id, _) = world.game(1).unwrap();
    world.say(1, ClientMessage::GameFailed { game_id, frame: 3, reason: "no memory".into() });
    world.say(2, advance("one"));
    assert_eq!(world.scene(2).as_deref(), Some("between"));
}

#[test]
fn a_slow_connection_is_taken_out_and_the_partner_goes_on() {
    let monitor = MonitorRules { max_ping_millis: Some(200), ..MonitorRules::default() };
    let mut world =
        World::begin(&GameScene { monitor, on_excluded: After::Scene("sorry".into()), ..game_scene(2) });
    for rtt in [900.0, 30.0, 900.0, 30.0, 30.0, 900.0] {
        world.ping(2, rtt);
    }
    assert_eq!(world.ended(2), None, "two of the last five");
    // What is measured while the game stands still does not count, nor what was measured before.
    world.lost(1, 1, 0);
    (0..9).for_each(|_| world.ping(2, 900.0));
    world.come_back((1, 1));
    world.ping(2, 900.0);
    world.ping(2, 900.0);
    assert_eq!(world.ended(2), None);
    world.ping(2, 900.0);
    let (message, reason) = world.over(2);
    let excluded = ServerMessage::MidGameExclusion {
        message: None,
        game_id: world.game(2).unwrap().0,
        reason: ExclusionReason::SustainedPing,
        frame: 50,
    };
    assert_eq!((message, reason), (&excluded, TerminationReason::SelfExclusion));
    let (message, reason) = world.over(1);
    let ServerMessage::PartnerExcluded { message, .. } = message else { panic!("{message:?}") };
    assert_eq!(message, "Your partner experienced a technical issue. The game has ended.");
    assert_eq!(reason, TerminationReason::PartnerExclusion);
    // The other's own cause is written down, once, and changes nothing (X4).
    (0..9).for_each(|_| world.ping(1, 900.0));
    let recorded = world.recorded("mid_game_exclusion");
    assert_eq!(recorded.len(), 2);
    assert_eq!((recorded[1].0, &recorded[1].1["after"]), (Seat::new(0), &"partner_exclusion".into()));
    assert_eq!(world.over(1).1, TerminationReason::PartnerExclusion);
    world.say(1, advance("one"));
    world.say(2, advance("one"));
    assert_eq!((world.scene(1).as_deref(), world.scene(2).as_deref()), (Some("between"), Some("sorry")));
    assert_eq!(world.ended(2), Some(VisitEnding::SelfExclusion));
}

#[test]
fn everyone_waits_for_a_page_in_the_background() {
    let monitor = MonitorRules { on_hidden: OnHidden::Pause, ..MonitorRules::default() };
    let hide = |hidden, frame| ClientMessage::Visibility { hidden, frame: Some(frame) };
    let mut world = World::begin(&GameScene { monitor, ..game_scene(2) });
    world.say(1, hide(true, 40));
    let notice = world.pause(2).unwrap();
    assert_eq!((notice.reason, notice.missing), (PauseReason::TabHidden, seats(&[0])));
    // All are equal, and it is not looked at: nobody goes on.
    world.come_back((1, 1));
    assert_eq!((world.resumes(2), world.pause(2).unwrap().missing), (vec![], seats(&[0])));
    world.say(1, hide(false, 54));
    assert_eq!(world.resumes(2), [(1, 54)]);
    let noted = |world: &World, kind: &str| -> Vec<_> {
        world
            .recorded(kind)
            .into_iter()
            .map(|(seat, detail)| (seat.unwrap().number(), detail["frame"].clone()))
            .collect()
    };
    assert_eq!(
        (noted(&world, "tab_hidden"), noted(&world, "tab_shown")),
        (vec![(0, 40.into())], vec![(0, 54.into())])
    );
    // Told again, as after every connection, it is not noted again.
    world.say(1, hide(false, 60));
    assert_eq!(noted(&world, "tab_shown").len(), 1);

    // For too long: the study's rules take it out.
    world.say(2, hide(true, 70));
    world.report(1, (2, 1), 60, &[64, 62]);
    world.report(2, (2, 1), 60, &[62, 64]);
    world.wait(29);
    assert_eq!(world.ended(1), None);
    world.wait(1);
    let excluded = ServerMessage::MidGameExclusion {
        game_id: world.game(2).unwrap().0,
        reason: ExclusionReason::TabHidden,
        frame: 70,
        message: None,
    };
    assert_eq!(world.over(2), (&excluded, TerminationReason::FocusTimeout));
    assert_eq!(world.over(1).1, TerminationReason::PartnerExclusion);
}

#[test]
fn a_page_that_was_in_the_background_before_the_game_is_waited_for_too() {
    let monitor = MonitorRules { on_hidden: OnHidden::Pause, ..MonitorRules::default() };
    let mut world = two_games(&GameScene { monitor, ..game_scene(2) });
    world.start(1);
    world.say(1, ClientMessage::Visibility { hidden: true, frame: None });
    world.start(2);
    world.ready(2);
    assert_eq!(world.pause(2).map(|notice| notice.reason), Some(PauseReason::TabHidden));
    assert_eq!(world.recorded("tab_hidden").len(), 1);
    // A page that is loaded anew is another, and says so if it is not looked at either.
    world.join(1, 9);
    world.report(2, (1, 2), 10, &[10, 10]);
    world.success(1, (1, 2), 10, 7);
    world.success(2, (1, 2), 10, 7);
    assert_eq!(world.resumes(2).len(), 1);
}

#[test]
fn a_page_in_the_background_is_taken_out_after_a_while() {
    let monitor = MonitorRules { on_hidden: OnHidden::Exclude, ..MonitorRules::default() };
    let hide = |hidden| ClientMessage::Visibility { hidden, frame: None };
    let mut world = World::begin(&GameScene { monitor, ..game_scene(2) });
    world.say(1, hide(true));
    world.wait(9);
    world.say(1, hide(false));
    world.wait(30);
    assert_eq!(world.ended(1), None);
    // Time in which the game stands still does not count.
    world.say(1, hide(true));
    world.wait(8);
    world.lost(2, 0, 0);
    world.wait(15);
    world.come_back((1, 1));
    assert_eq!(world.ended(1), None);
    world.wait(11);
    assert!(matches!(
        world.over(1),
        (
            ServerMessage::MidGameExclusion { reason: ExclusionReason::TabHidden, .. },
            TerminationReason::FocusTimeout
        )
    ));
    assert_eq!(world.over(2).1, TerminationReason::PartnerExclusion);
    let hidden = world.recorded("tab_hidden");
    assert_eq!((hidden.len(), world.recorded("tab_shown").len()), (2, 1));
    // A page that is gone is not in the background.
    let mut world = World::begin(&GameScene { monitor, ..game_scene(2) });
    world.say(1, hide(true));
    world.drop(1);
    world.wait(100);
    assert_eq!(world.recorded("mid_game_exclusion"), []);
}

#[test]
fn of_three_two_play_on() {
    let monitor = MonitorRules { max_ping_millis: Some(200), ..MonitorRules::default() };
    let rules = GameRules { on_player_lost: OnPlayerLost::Continue, ..GameRules::default() };
    let mut world = World::begin(&GameScene { monitor, rules, ..game_scene(3) });
    (0..3).for_each(|_| world.ping(3, 900.0));
    assert_eq!(world.over(3).1, TerminationReason::SelfExclusion);
    let notice = world.pause(1).unwrap();
    assert_eq!(
        (notice.reason.name(), notice.playing, notice.missing),
        ("player_left", seats(&[0, 1]), SeatSet::EMPTY)
    );
    let round = notice.round;
    world.report(1, (1, round), 50, &[54, 52, 51]);
    world.report(2, (1, round), 50, &[52, 54, 53]);
    world.success(1, (1, round), 54, 7);
    world.success(2, (1, round), 54, 7);
    assert_eq!(world.resumes(2), [(1, 54)]);
    // Of two, one cannot play on.
    world.say(2, ClientMessage::LeaveStudy { delete: false });
    assert_eq!(world.over(1).1, TerminationReason::PartnerLost);
}

#[test]
fn leaving_ends_a_visit_wherever_it_is_and_only_once() {
    for steps in 0..4 {
        let mut world = World::of(experiment_with(2, OnPlayerLost::End), 2);
        world.join(1, 1);
        if steps > 0 {
            world.say(1, advance("welcome"));
        }
        if steps > 1 {
            world.start(2);
        }
        if steps > 2 {
            let (game_id, _) = world.game(1).unwrap();
            world.ready(2);
            world.finish(1, game_id);
        }
        world.say(1, ClientMessage::LeaveStudy { delete: false });
        world.say(1, ClientMessage::LeaveStudy { delete: false });
        let expected = if steps > 2 { VisitEnding::Completed } else { VisitEnding::Withdrawn };
        assert_eq!((world.scene(1).as_deref(), world.ended(1)), (Some("thanks"), Some(expected)));
        world.restart(core::time::Duration::ZERO);
        world.join(1, 2);
        assert_eq!(world.ended(1), Some(expected));
        assert_eq!(world.progress[&visit(1)].ended, Some(expected));
    }
}

#[test]
fn who_does_not_find_the_right_answers_goes_elsewhere_after_some_tries() {
    let choice = |value: &str| Choice { value: value.into(), label: value.into() };
    let options = vec![choice("Catch"), choice("Run"), choice("Hide")];
    let goal = Field { id: "goal".into(), kind: Kind::Choice, options, required: true, ..Field::default() };
    let answer = |word: &str| ClientMessage::AdvanceScene {
        scene_id: "check".into(),
        answers: [("goal".to_owned(), word.into())].into(),
    };
    for (on_failed, last) in [(None, "thanks"), (Some("again".to_owned()), "again")] {
        let comprehension = Some(Comprehension {
            correct: [("goal".to_owned(), "Run".into())].into(),
            attempts: 2,
            on_failed,
        });
        let sheet = Sheet { fields: vec![goal.clone()], ..Sheet::default() };
        let mut world = World::of(
            experiment_of(vec![
                scene("check", SceneSpecKind::Form(FormScene { sheet, comprehension })),
                scene("thanks", SceneSpecKind::End(EndScene::default())),
                scene("again", SceneSpecKind::End(EndScene::default())),
            ]),
            2,
        );
        let refused = |world: &World, number| match world.told[&visit(number)].last() {
            Some(ServerMessage::AnswersRefused { problems, .. }) => problems["goal"].clone(),
            other => panic!("{other:?}"),
        };
        world.join(1, 1);
        world.say(1, answer("Chase"));
        assert_eq!(refused(&world, 1), "Please choose one of the answers.", "that is no try");
        for _ in 0..3 {
            world.say(1, answer("Catch"));
            assert!(refused(&world, 1).contains("one more try"), "the same again is no other try");
        }
        world.restart(core::time::Duration::ZERO);
        world.join(1, 2);
        world.say(1, answer("Run"));
        assert_eq!(
            (world.scene(1).as_deref(), world.ended(1)),
            (Some("thanks"), Some(VisitEnding::Completed))
        );
        world.join(2, 1);
        world.say(2, answer("Catch"));
        assert!(refused(&world, 2).contains("one more try"));
        world.say(2, answer("Hide"));
        assert_eq!((world.scene(2).as_deref(), world.ended(2)), (Some(last), Some(VisitEnding::ScreenedOut)));
        let tries = world.effects.iter().filter_map(|effect| match effect {
            Effect::Answers { answers, .. } => Some(answers["attempts"].clone()),
            _ => None,
        });
        assert_eq!(tries.collect::<Vec<_>>(), [2, 2]);
    }
}

#[test]
fn a_visit_keeps_the_version_that_it_began_with() {
    let mut world = two_games(&game_scene(2));
    world.start(1);
    world.say(1, ClientMessage::LeaveStudy { delete: false });
    world.start(2);
    let old = world.experiment.clone();
    world.experiment = experiment_with(2, OnPlayerLost::End);
    world.experiment.version = "2".into();
    world.restart(core::time::Duration::ZERO);
    assert!(!world.stager.knows_version("1"));
    world.stager.add_version(old);
    world.join(2, 2);
    assert_eq!(world.scene(2).as_deref(), Some("one"), "of the old version");
    world.join(1, 1);
    assert_eq!(world.scene(1).as_deref(), Some("sorry"));
    // Without it, the scene of the same name is where it goes on; else the same place.
    world.restart(core::time::Duration::ZERO);
    world.join(1, 1);
    assert_eq!((world.scene(1).as_deref(), world.ended(1)), (Some("thanks"), Some(VisitEnding::Withdrawn)));
}

#[test]
fn time_in_the_background_before_a_game_goes_on_does_not_count() {
    let monitor = MonitorRules { on_hidden: OnHidden::Exclude, ..MonitorRules::default() };
    let mut world = World::begin(&GameScene { monitor, ..game_scene(2) });
    world.say(1, ClientMessage::Visibility { hidden: true, frame: None });
    world.wait(1);
    world.lost(2, 0, 0);
    world.wait(8);
    world.come_back((1, 1));
    world.wait(9);
    assert_eq!(world.ended(1), None, "9 s of play in the background");
    world.wait(2);
    assert_eq!(world.over(1).1, TerminationReason::FocusTimeout);
    // A page that goes into the background when all is over has done nothing.
    world.say(2, ClientMessage::Visibility { hidden: true, frame: None });
    world.wait(9);
    assert_eq!(world.recorded("mid_game_exclusion").len(), 1);
}

#[test]
fn of_two_games_of_a_scene_the_last_counts_and_of_two_scenes_the_first() {
    let monitor = MonitorRules { max_ping_millis: Some(200), ..MonitorRules::default() };
    let mut world = World::begin(&GameScene { monitor, on_partner_lost: After::Lobby, ..game_scene(2) });
    world.say(2, ClientMessage::LeaveStudy { delete: false });
    world.say(1, advance("one"));
    world.start(3);
    world.ready_with(1, &[1, 3]);
    (0..3).for_each(|_| world.ping(1, 900.0));
    let outcome = |world: &World| world.progress[&visit(1)].outcome.map(|outcome| outcome.ending);
    assert_eq!(outcome(&world), Some(VisitEnding::SelfExclusion));
    world.say(1, advance("one"));
    world.say(1, advance("between"));
    world.start(4);
    world.say(3, advance("one"));
    world.say(3, ClientMessage::LeaveStudy { delete: false });
    world.wait(130);
    assert_eq!(world.ended(1), Some(VisitEnding::WaitroomTimeout), "who is turned away is told why");
}

#[test]
fn who_leaves_is_forgotten_where_the_study_does_that() {
    use wire::control::Withdrawal::{Delete, Keep, OfferDeletion};
    for (withdrawal, delete, is_deleted) in [
        (Keep, false, false),
        (Keep, true, false),
        (OfferDeletion, false, false),
        (OfferDeletion, true, true),
        (Delete, false, true),
    ] {
        // Before the first game, while waiting for it, and in it.
        for steps in 0..3 {
            let study = Experiment { withdrawal, ..experiment_with(2, OnPlayerLost::End) };
            let mut world = World::of(study, 2);
            world.join(1, 1);
            if steps > 0 {
                world.say(1, advance("welcome"));
            }
            if steps > 1 {
                world.start(2);
                world.ready(2);
            }
            world.say(1, ClientMessage::LeaveStudy { delete });
            let deletions = |world: &World| {
                let deletes = |effect: &&Effect| matches!(effect, Effect::Delete { .. });
                world.effects.iter().filter(deletes).count()
            };
            let case = format!("{withdrawal:?}, {delete}, after {steps}");
            assert_eq!(deletions(&world), usize::from(is_deleted), "{case}");
            let told = world.told[&visit(1)].iter().rev().find_map(|message| match message {
                ServerMessage::ActivateScene { scene } => Some(scene.clone()),
                _ => None,
            });
            let told = told.unwrap();
            assert_eq!(told.withdrawal, withdrawal);
            let SceneKind::End { reason, is_deleted: says, .. } = told.kind else { panic!("{case}") };
            assert_eq!((reason, says), (VisitEnding::Withdrawn, is_deleted), "{case}");
            let left = world.progress[&visit(1)].clone();
            assert_eq!(left == left.without_data(), is_deleted, "{case}: {left:?}");
            // A server that is started anew says the same, and nothing is written down of it any more.
            let written = world.effects.len();
            world.restart(core::time::Duration::ZERO);
            world.join(1, 2);
            assert_eq!(world.ended(1), Some(VisitEnding::Withdrawn), "{case}");
            let recorded = world.effects[written..]
                .iter()
                .any(|effect| matches!(effect, Effect::RecordVisit { visit: id, .. } if *id == visit(1)));
            assert!(!recorded, "{case}");
        }
    }
}

#[test]
fn who_is_forgotten_by_the_researcher_is_told_wherever_they_are() {
    let mut world = World::new(2);
    world.start(1);
    world.start(2);
    world.ready(2);
    let (game_id, _) = world.game(1).unwrap();
    for number in [1, 2] {
        world.finish(number, game_id);
    }
    // One who has been all the way stays there; the page that is open says so.
    let before = world.told[&visit(2)].len();
    assert!(world.stager.handle_forgotten(visit(2), world.now));
    world.settle();
    assert_eq!((world.ended(2), world.told[&visit(2)].len()), (Some(VisitEnding::Completed), before + 1));
    // One who is on the way has left.
    world.start(3);
    assert!(world.stager.handle_forgotten(visit(3), world.now));
    world.settle();
    assert_eq!(world.ended(3), Some(VisitEnding::Withdrawn));
    assert!(world.progress[&visit(3)].is_deleted);
    assert!(!world.stager.handle_forgotten(visit(4), world.now));
}

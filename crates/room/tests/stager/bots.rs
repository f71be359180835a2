//! Scripted participants fill games up, and take nobody's place (H1).

use base::{Seat, SeatSet};
use wire::control::{ClientMessage, OnPlayerLost, ServerMessage, VisitEnding};

use crate::world::{World, advance, experiment_of, experiment_with, game_scene, scene, visit};
use room::{Condition, Effect, EndScene, Experiment, PingRule, SceneSpecKind, Screening};
use wire::control::{Sheet, Withdrawal};

/// A world in which these are bots.
fn world(players: u8, bots: &[u8]) -> World {
    let mut world = World::of(experiment_with(players, OnPlayerLost::End), players);
    world.bots = bots.iter().map(|&number| visit(number)).collect();
    world
}

fn relayed(world: &World, number: u8) -> SeatSet {
    let start = world.told[&visit(number)].iter().rev().find_map(|message| match message {
        ServerMessage::GameStart(start) => Some(start.relayed),
        _ => None,
    });
    start.unwrap()
}

#[test]
fn who_comes_plays_with_the_bot_that_waits_and_all_know_that_there_is_no_direct_lane() {
    let mut world = world(2, &[1]);
    world.start(1);
    world.wait(1000);
    assert_eq!(
        (world.scene(1).as_deref(), world.game(1)),
        (Some("play"), None),
        "a bot waits as long as it takes"
    );
    world.start(2);
    let (game, bot) = world.game(1).unwrap();
    assert_eq!(world.game(2), Some((game, Seat::new(1).unwrap())));
    assert_eq!([relayed(&world, 1), relayed(&world, 2)], [[bot].into_iter().collect(); 2]);
}

#[test]
fn bots_do_not_play_among_themselves_while_somebody_is_on_the_way() {
    let mut world = world(2, &[1, 2]);
    world.join(3, 3);
    world.start(1);
    world.start(2);
    assert_eq!((world.game(1), world.game(2)), (None, None));
    world.say(3, advance("welcome"));
    assert!(world.game(3).is_some());
    assert_eq!(world.game(1).is_some(), world.game(2).is_none(), "one plays, and one waits for another");
}

#[test]
fn without_anybody_bots_play_among_themselves_and_leave_that_when_somebody_comes() {
    let mut world = world(2, &[1, 2]);
    world.start(1);
    world.start(2);
    assert!(world.game(1).is_some() && world.game(1).map(|(id, _)| id) == world.game(2).map(|(id, _)| id));
    world.join(3, 3);
    assert_eq!([1, 2].map(|bot| world.scene(bot)), [Some("thanks".into()), Some("thanks".into())]);
    assert_eq!(world.scene(3).as_deref(), Some("welcome"));
    assert_eq!(world.stager.counts().1, 0, "no game is left behind");
}

#[test]
fn what_a_bot_was_stays_known_where_data_are_deleted() {
    let study = Experiment { withdrawal: Withdrawal::Delete, ..experiment_with(2, OnPlayerLost::End) };
    let mut world = World::of(study, 2);
    world.bots = vec![visit(1), visit(2)];
    world.start(1);
    world.start(2);
    // They leave the game that they have among themselves, and somebody leaves who is none.
    world.join(3, 3);
    world.say(3, ClientMessage::LeaveStudy { delete: false });
    let deleted: Vec<_> = world
        .effects
        .iter()
        .filter_map(|effect| if let Effect::Delete { visit } = effect { Some(*visit) } else { None })
        .collect();
    assert_eq!(deleted, [visit(3)]);
}

#[test]
fn bots_play_among_themselves_once_the_last_has_gone() {
    for leaves in [true, false] {
        let mut world = world(2, &[1, 2]);
        world.join(3, 3);
        world.start(1);
        world.start(2);
        if leaves {
            world.say(3, ClientMessage::LeaveStudy { delete: false });
        } else {
            world.drop(3);
            world.wait(5);
            assert_eq!(world.game(1), None, "a page that is loaded anew comes back");
            world.wait(6);
        }
        assert!(world.game(1).is_some() && world.game(2).is_some(), "{leaves}");
    }
}

#[test]
fn a_bot_that_waits_where_nobody_comes_is_called_to_where_somebody_waits() {
    let game = |id| scene(id, SceneSpecKind::Game(Box::new(game_scene(2))));
    let scenes = vec![
        scene("welcome", SceneSpecKind::Start(Sheet::default())),
        game("first"),
        game("second"),
        scene("thanks", SceneSpecKind::End(EndScene::default())),
    ];
    let mut world = World::of(experiment_of(scenes), 2);
    world.bots = vec![visit(1)];
    world.start(1);
    world.start(2);
    let (game_id, _) = world.game(2).unwrap();
    for number in [1, 2] {
        world.say(number, ClientMessage::GameReady { game_id });
    }
    for number in [1, 2] {
        world.finish(number, game_id);
    }
    // Whoever played with it closes the page before the second game has begun.
    world.drop(2);
    world.wait(6);
    assert_eq!(world.scene(1).as_deref(), Some("second"));
    world.start(3);
    assert_eq!(world.game(3), None);
    world.wait(2);
    assert_eq!(world.ended(1), Some(VisitEnding::Withdrawn), "its driver begins another visit");
    assert_eq!(world.scene(3).as_deref(), Some("first"));
}

#[test]
fn a_bot_whose_partner_has_closed_the_page_is_called_to_who_waits_and_not_before() {
    let mut world = world(2, &[1]);
    world.start(1);
    world.start(2);
    let (game_id, _) = world.game(2).unwrap();
    for number in [1, 2] {
        world.say(number, ClientMessage::GameReady { game_id });
    }
    world.drop(2);
    world.wait(3);
    world.start(3);
    world.wait(1);
    assert_eq!(world.ended(1), None, "a page that is loaded anew comes back to its game");
    world.wait(2);
    assert_eq!((world.ended(1), world.scene(3).as_deref()), (Some(VisitEnding::Withdrawn), Some("play")));
    assert_eq!(world.stager.counts().1, 0);
}

#[test]
fn a_bot_that_has_not_quite_finished_a_game_with_somebody_is_not_disturbed() {
    let mut world = world(2, &[1]);
    world.start(1);
    world.start(2);
    let (game_id, _) = world.game(2).unwrap();
    for number in [1, 2] {
        world.say(number, ClientMessage::GameReady { game_id });
    }
    world.finish(2, game_id);
    world.start(3);
    world.wait(3);
    assert_eq!(world.scene(1).as_deref(), Some("play"));
    world.finish(1, game_id);
    assert_eq!(world.ended(1), Some(VisitEnding::Completed));
}

#[test]
fn bots_are_not_screened_and_nobody_is_told_of_them() {
    let ping = Some(PingRule { max_millis: 100, samples: 5, message: None });
    let screening = Screening { ping, ..Screening::default() };
    let mut world = World::of(Experiment { screening, ..experiment_with(2, OnPlayerLost::End) }, 2);
    world.bots = vec![visit(1)];
    world.join(1, 1);
    world.join(2, 2);
    assert_eq!([1, 2].map(|number| world.scene(number)), [Some("welcome".into()), None]);
    world.say(1, ClientMessage::LeaveStudy { delete: false });
    assert_eq!(world.ended(1), Some(VisitEnding::Withdrawn));
    assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::VisitEnded { .. })));
}

#[test]
fn a_bot_gets_the_condition_of_who_is_there_and_counts_in_none() {
    let condition = |id: &str| Condition { id: id.into(), quota: Some(1), variables: [].into() };
    let conditions = vec![condition("a"), condition("b")];
    let mut world = World::of(Experiment { conditions, ..experiment_with(2, OnPlayerLost::End) }, 2);
    world.bots = (11..20).map(visit).collect();
    let of = |world: &World, number| world.progress[&visit(number)].condition.clone().unwrap();
    world.start(1);
    let first = of(&world, 1);
    for bot in 11..20 {
        world.start(bot);
        assert_eq!(of(&world, bot), first);
    }
    assert_eq!(world.game(1).map(|(id, _)| id), world.game(11).map(|(id, _)| id));
    world.start(2);
    assert_ne!(of(&world, 2), first, "there is room for the second");
}

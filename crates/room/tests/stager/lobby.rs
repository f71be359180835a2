//! Who plays with whom: the check of the links, groups that do not come about, and the same group again (S4).

use core::time::Duration;

use base::{GameId, Seat};
use room::{Effect, GameScene, LinkRules, LobbyRules, MatchBy, RequiredLane, SceneSpecKind, Seating};
use wire::control::{ClientMessage, ServerMessage, Sheet, TerminationReason, VisitEnding};
use wire::lane::Lane;

use crate::scenes::two_games;
use crate::world::{World, experiment_of, game_scene, scene, visit};

/// Two games of two, within a round trip of 150 ms.
fn by_rtt() -> World {
    let links = LinkRules { max_rtt_millis: Some(150), ..LinkRules::default() };
    let lobby = LobbyRules { match_by: MatchBy::Rtt, links, ..LobbyRules::default() };
    two_games(&GameScene { lobby, ..game_scene(2) })
}

impl World {
    /// What a visit was told last, but that an older group did not come about.
    fn last(&self, number: u8) -> &ServerMessage {
        let is_news = |message: &&ServerMessage| !matches!(message, ServerMessage::GameCancelled { .. });
        self.told[&visit(number)].iter().rfind(is_news).unwrap()
    }

    fn waits(&self, number: u8) -> bool {
        matches!(self.last(number), ServerMessage::LobbyStatus { waiting, needed, .. } if waiting < needed)
    }

    fn plays(&self, number: u8) -> bool {
        matches!(self.last(number), ServerMessage::GameGo { .. })
    }

    /// Two who sit in a game measure their link, and are ready.
    fn measure(&mut self, a: u8, b: u8, lane: Lane, rtt_millis: f32) {
        let (game_id, _) = self.game(a).unwrap();
        for (from, to) in [(a, b), (b, a)] {
            let Some((_, peer)) = self.game(to).filter(|(game, _)| *game == game_id) else {
                panic!("{a} and {b} are not in one game");
            };
            self.say(from, ClientMessage::LinkChecked { game_id, peer, lane, rtt_millis, is_final: true });
        }
        for number in [a, b] {
            self.say(number, ClientMessage::GameReady { game_id });
        }
    }

    fn cancelled(&self) -> Vec<GameId> {
        let cancelled = |effect: &Effect| match effect {
            Effect::CancelGame { game, .. } => Some(*game),
            _ => None,
        };
        self.effects.iter().filter_map(cancelled).collect()
    }
}

#[test]
fn a_link_within_the_limit_is_the_games() {
    let mut world = by_rtt();
    world.start(1);
    world.start(2);
    let full = ServerMessage::LobbyStatus { waiting: 2, needed: 2, remaining_ms: 120_000 };
    assert!(world.told[&visit(1)].contains(&full), "everyone is there");
    let (game, _) = world.game(1).unwrap();
    world.measure(1, 2, Lane::Direct, 150.0);
    assert!(world.plays(1) && world.plays(2));
    assert_eq!(world.game(1).unwrap().0, game);
    assert_eq!(world.cancelled(), []);
    assert_eq!(world.recorded("link_checked").len(), 2);
}

#[test]
fn who_is_too_far_apart_waits_for_somebody_else_and_is_never_tried_again() {
    let mut world = by_rtt();
    world.start(1);
    world.wait(50);
    world.start(2);
    world.wait(2);
    world.measure(1, 2, Lane::Direct, 151.0);
    assert_eq!(world.cancelled().len(), 1);
    assert!(world.waits(1) && world.waits(2));
    let ServerMessage::LobbyStatus { remaining_ms, .. } = world.last(1) else { unreachable!() };
    assert_eq!(*remaining_ms, 68_000, "what it has waited counts");
    // Neither a reconnection nor a message of the old game changes that.
    world.drop(2);
    world.join(2, 2);
    let (old, _) = world.game(1).unwrap();
    world.say(1, ClientMessage::GameReady { game_id: old });
    assert!(world.waits(1) && world.waits(2));
    world.start(3);
    world.measure(1, 3, Lane::Direct, 20.0);
    assert!(world.plays(1) && world.plays(3) && world.waits(2));
    assert_eq!(world.progress[&visit(1)].group, [visit(1), visit(3)]);
    world.wait(68);
    assert_eq!(world.ended(2), None);
    world.wait(51);
    assert_eq!(world.ended(2), Some(VisitEnding::WaitroomTimeout));
}

#[test]
fn those_near_the_server_are_tried_with_each_other_first() {
    let mut world = by_rtt();
    for (number, rtt) in [(1, 400.0), (2, 30.0)] {
        world.start(number);
        world.ping(number, rtt);
    }
    world.measure(1, 2, Lane::Direct, 300.0);
    world.start(3);
    // Who waits longest comes first.
    world.measure(1, 3, Lane::Direct, 300.0);
    world.measure(2, 3, Lane::Direct, 30.0);
    assert!(world.plays(2) && world.plays(3) && world.waits(1));
}

#[test]
fn seats_by_lot_do_not_depend_on_who_comes_first() {
    let lobby = LobbyRules { seats: Seating::Random, ..LobbyRules::default() };
    let mut world = two_games(&GameScene { lobby, ..game_scene(2) });
    world.start(2);
    world.start(1);
    assert_eq!([1, 2].map(|number| world.game(number).unwrap().1.number()), [0, 1]);
}

#[test]
fn leaving_while_links_are_checked_disturbs_nobody() {
    type Leave = fn(&mut World);
    let ways: [(Leave, VisitEnding); 2] = [
        (|world| world.say(2, ClientMessage::LeaveLobby { scene_id: "one".into() }), VisitEnding::Left),
        (|world| world.say(2, ClientMessage::LeaveStudy { delete: false }), VisitEnding::Withdrawn),
    ];
    for (leave, ending) in ways {
        let mut world = by_rtt();
        world.start(1);
        world.start(2);
        leave(&mut world);
        assert_eq!(world.ended(2), Some(ending));
        let told = &world.told[&visit(1)];
        assert!(told.iter().all(|told| !matches!(told, ServerMessage::TriggerDataExport { .. })));
        assert!(world.waits(1));
        world.start(3);
        world.measure(1, 3, Lane::Server, 20.0);
        assert!(world.plays(1));
        let (game, _) = world.game(1).unwrap();
        world.finish(1, game);
        assert_eq!(world.progress[&visit(1)].outcome, None);
    }
}

#[test]
fn who_is_away_before_the_game_begins_is_waited_for_briefly() {
    let mut world = by_rtt();
    world.start(1);
    world.start(2);
    world.drop(2);
    world.wait(4);
    world.join(2, 2);
    world.wait(4);
    world.drop(2);
    world.wait(4);
    assert!(!world.waits(1));
    world.wait(2);
    assert!(world.waits(1), "within 10 s there may be another");
    // Whoever comes back is as welcome as before.
    world.join(2, 2);
    world.measure(1, 2, Lane::Direct, 20.0);
    assert!(world.plays(1) && world.plays(2));
}

#[test]
fn a_direct_lane_that_does_not_come_about_is_the_end_of_the_group() {
    let links = LinkRules { require: RequiredLane::Direct, ..LinkRules::default() };
    let lobby = LobbyRules { links, ..LobbyRules::default() };
    let mut world = two_games(&GameScene { lobby, ..game_scene(2) });
    world.start(1);
    world.start(2);
    world.measure(1, 2, Lane::Server, 20.0);
    assert!(!world.plays(1));
    world.wait(19);
    assert!(!world.waits(1), "it may yet come");
    world.wait(2);
    assert!(world.waits(1) && world.waits(2), "not tried again");
    world.start(3);
    world.measure(1, 3, Lane::Direct, 20.0);
    assert!(world.plays(1));
}

#[test]
fn who_was_not_ready_in_time_may_try_again_but_not_for_ever() {
    let mut world = two_games(&game_scene(2));
    world.start(1);
    world.start(2);
    let (first, _) = world.game(1).unwrap();
    world.wait(21);
    let (second, _) = world.game(1).unwrap();
    assert_ne!(first, second, "there is nobody else");
    world.wait(121);
    for number in [1, 2] {
        assert_eq!(world.ended(number), Some(VisitEnding::WaitroomTimeout));
    }
    assert_eq!(world.saved.len(), 0);
}

#[test]
fn a_group_that_is_being_tried_when_time_is_up_may_still_begin() {
    let mut world = by_rtt();
    world.start(1);
    world.wait(119);
    world.start(2);
    world.wait(3);
    assert_eq!(world.ended(1), None);
    world.measure(1, 2, Lane::Direct, 20.0);
    assert!(world.plays(1));

    let mut world = by_rtt();
    world.start(1);
    world.wait(119);
    world.start(2);
    world.wait(3);
    world.measure(1, 2, Lane::Direct, 200.0);
    world.wait(0);
    assert_eq!(world.ended(1), Some(VisitEnding::WaitroomTimeout));
    assert!(world.waits(2));
}

#[test]
fn a_page_that_is_loaded_anew_is_measured_anew() {
    let mut world = by_rtt();
    world.start(1);
    world.start(2);
    let (game_id, _) = world.game(1).unwrap();
    let peer = Seat::new(1).unwrap();
    let (lane, rtt_millis, is_final) = (Lane::Direct, 900.0, false);
    world.say(1, ClientMessage::LinkChecked { game_id, peer, lane, rtt_millis, is_final });
    world.join(2, 20);
    let begun: Vec<_> = world.told[&visit(2)]
        .iter()
        .filter_map(|told| match told {
            ServerMessage::GameStart(start) => Some(start.begun),
            _ => None,
        })
        .collect();
    assert_eq!(begun, [false, false], "the page shows the lobby");
    world.measure(1, 2, Lane::Direct, 20.0);
    assert!(world.plays(1) && world.plays(2));
}

#[test]
fn a_page_that_cannot_play_ends_alone() {
    let mut world = by_rtt();
    world.start(1);
    world.start(2);
    let (game_id, _) = world.game(2).unwrap();
    world.say(2, ClientMessage::GameFailed { game_id, frame: 0, reason: "no WebRTC".into() });
    assert_eq!(world.over(2).1, TerminationReason::Server);
    assert!(world.waits(1));
}

#[test]
fn a_check_outlives_the_server() {
    let mut world = by_rtt();
    world.start(1);
    world.start(2);
    let (game, _) = world.game(1).unwrap();
    world.restart(Duration::ZERO);
    world.join(1, 1);
    world.join(2, 2);
    assert_eq!(world.game(1).unwrap().0, game);
    world.measure(1, 2, Lane::Direct, 20.0);
    assert!(world.plays(1) && world.plays(2));
}

/// A game, then another for the same groups.
fn same_again() -> World {
    let again =
        GameScene { lobby: LobbyRules { match_by: MatchBy::Same, ..LobbyRules::default() }, ..game_scene(2) };
    let played = |game| SceneSpecKind::Game(Box::new(game));
    World::of(
        experiment_of(vec![
            scene("welcome", SceneSpecKind::Start(Sheet::default())),
            scene("one", played(game_scene(2))),
            scene("two", played(again)),
            scene("thanks", SceneSpecKind::End(room::EndScene::default())),
        ]),
        2,
    )
}

/// Two groups have played their first game, 1 with 2 and 3 with 4; nobody has gone on.
fn two_groups() -> (World, [GameId; 2]) {
    let mut world = same_again();
    for number in 1..=4 {
        world.start(number);
    }
    world.ready_with(1, &[1, 2]);
    world.ready_with(3, &[3, 4]);
    let games = [1, 3].map(|number| world.game(number).unwrap().0);
    (world, games)
}

#[test]
fn the_same_group_again_is_the_same_group_whoever_comes_first() {
    let (mut world, [one, other]) = two_groups();
    world.finish(1, one);
    world.finish(3, other);
    assert!(world.waits(1) && world.waits(3), "not with each other");
    // What is known of the groups outlives the server.
    world.finish(4, other);
    let (again, _) = world.game(3).unwrap();
    assert_eq!(world.game(4).unwrap().0, again);
    assert_ne!(again, other);
    world.finish(2, one);
    assert_eq!(world.game(1).unwrap().0, world.game(2).unwrap().0);
    assert_ne!(world.game(1).unwrap().0, again);
}

#[test]
fn whose_group_has_lost_one_need_not_wait() {
    let (mut world, [one, _]) = two_groups();
    world.finish(1, one);
    world.say(2, ClientMessage::LeaveStudy { delete: false });
    assert_eq!(world.ended(1), Some(VisitEnding::WaitroomTimeout));

    // Whoever comes later finds that out at once.
    let (mut world, [one, _]) = two_groups();
    world.say(2, ClientMessage::LeaveStudy { delete: false });
    assert_eq!(world.over(1).1, TerminationReason::PartnerLost);
    world.say(1, crate::world::advance("one"));
    assert_eq!(world.ended(1), Some(VisitEnding::WaitroomTimeout));
    assert!(!world.saved.contains_key(&one));
}

#[test]
fn whose_group_has_lost_one_need_not_wait_though_that_page_is_long_gone() {
    let (mut world, [one, _]) = two_groups();
    world.say(2, ClientMessage::LeaveStudy { delete: false });
    world.drop(2);
    world.wait(60);
    assert!(!world.stager.knows(visit(2)), "it is forgotten");
    assert_ne!(world.game(1).unwrap().0, GameId::from_random([0; 16]));
    assert!(!world.saved.contains_key(&one));
    world.say(1, crate::world::advance("one"));
    assert_eq!(world.ended(1), Some(VisitEnding::WaitroomTimeout));
}

#[test]
fn a_lobby_that_leads_to_itself_leads_to_the_end() {
    let lobby = LobbyRules { on_timeout: Some("one".into()), ..LobbyRules::default() };
    let mut world = two_games(&GameScene { lobby, ..game_scene(2) });
    world.start(1);
    world.wait(121);
    assert_eq!(world.ended(1), Some(VisitEnding::WaitroomTimeout));
}

#[test]
fn no_game_begins_with_somebody_who_is_away() {
    let mut world = two_games(&game_scene(2));
    world.start(1);
    world.start(2);
    let (game_id, _) = world.game(1).unwrap();
    world.say(1, ClientMessage::GameReady { game_id });
    world.drop(1);
    world.say(2, ClientMessage::GameReady { game_id });
    assert!(!world.plays(2));
    world.join(1, 1);
    assert!(world.plays(1) && world.plays(2));
}

/// The server was started again in between: what the page was to be told then is lost.
#[test]
fn a_page_that_gets_ready_for_a_group_that_did_not_come_about_is_told_so() {
    let mut world = World::new(2);
    world.start(1);
    world.start(2);
    let (game_id, _) = world.game(1).unwrap();
    world.drop(1);
    world.say(2, ClientMessage::LeaveStudy { delete: false });
    world.restart(Duration::ZERO);
    world.join(1, 1);
    assert_ne!(world.newest(1), &ServerMessage::GameCancelled { game_id });
    world.say(1, ClientMessage::GameReady { game_id });
    assert_eq!(world.newest(1), &ServerMessage::GameCancelled { game_id });
}

#[test]
fn nobody_finishes_a_game_that_has_not_begun() {
    let mut world = two_games(&game_scene(2));
    world.start(1);
    world.start(2);
    let (game, _) = world.game(1).unwrap();
    world.finish(1, game);
    assert_eq!(world.scene(1).as_deref(), Some("one"));
    world.ready_with(1, &[1, 2]);
    assert!(world.plays(2));
}

//! Games, from a complete group to their ends.

use core::time::Duration;
use std::collections::BTreeMap;

use base::{Frame, GameId, ParticipantId, Rng, Seat, SeatSet, StateHash};
use room::{After, Effect, History, Identity, MonitorRules, OnHidden, Progress, Restored, SceneSpecKind};
use wire::control::{
    ClientMessage, Hex, OnPlayerLost, PauseReason, ServerMessage, Signal, TerminationReason, VisitEnding,
};

use crate::world::{World, advance, experiment_with, seats, visit};

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
    let status = ServerMessage::LobbyStatus { waiting: 2, needed: 3, remaining_ms: 120_000 };
    assert_eq!(world.told[&visit(1)].last(), Some(&status));
    world.drop(2);
    world.wait(11);
    let status = ServerMessage::LobbyStatus { waiting: 1, needed: 3, remaining_ms: 110_000 };
    assert_eq!(world.told[&visit(1)].last(), Some(&status));
}

#[test]
fn a_late_or_repeated_advance_changes_nothing() {
    let mut world = World::new(2);
    world.start(1);
    for scene in ["welcome", "play", "thanks", "nowhere"] {
        world.say(1, advance(scene));
        assert_eq!(world.scene(1).as_deref(), Some("play"));
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
    assert_eq!(world.ended(1), Some(VisitEnding::Completed));
    assert_eq!(world.scene(2).as_deref(), Some("play"));
    world.drop(1);
    world.finish(2, game);
    assert_eq!(world.ended(2), Some(VisitEnding::Completed));
    world.wait(30);
    let ended = world.told[&visit(2)].iter().any(|told| matches!(told, ServerMessage::P2pGameEnded { .. }));
    assert!(!ended);
}

#[test]
fn a_drop_that_nobody_misses_is_no_pause() {
    let (mut world, game) = World::two_playing();
    world.drop(2);
    world.wait(300);
    assert_eq!((world.pause(1), world.ended(1)), (None, None), "they may hear each other all the same");
    world.join(2, 2);
    assert_eq!(world.told[&visit(2)].last(), Some(&ServerMessage::GameGo { game_id: game }));
}

#[test]
fn the_first_report_pauses_everyone_and_later_ones_change_nothing() {
    let (mut world, _) = World::two_playing();
    world.lost(1, 1, 0);
    world.lost(2, 0, 0);
    for number in [1, 2] {
        let notice = world.pause(number).unwrap();
        assert_eq!((notice.pause_id, notice.round, notice.reason), (1, 1, PauseReason::ConnectionLost));
        assert_eq!((notice.missing, notice.remaining_ms, notice.pause_frame), (seats(&[1]), 30_000, 50));
    }
}

#[test]
fn who_does_not_come_back_in_time_ends_the_game_for_everyone_once() {
    let (mut world, game_id) = World::two_playing();
    world.drop(2);
    world.lost(1, 1, 0);
    world.wait(29);
    assert_eq!(world.ended(1), None, "it may yet come back");
    world.wait(2);
    for number in [1, 2] {
        assert_eq!(world.ended(number), Some(VisitEnding::ReconnectTimeout));
    }
    world.finish(1, game_id);
    world.join(2, 2);
    let reason = TerminationReason::ReconnectTimeout;
    assert_eq!(world.endings(), [(0, reason, true), (1, reason, true)]);
    assert!(world.saved.is_empty());
}

#[test]
fn all_go_on_when_all_are_equal() {
    let (mut world, _) = World::two_playing();
    world.lost(1, 1, 0);
    let at = (1, 1);
    world.report(1, at, 50, &[54, 51]);
    assert_eq!(world.cut(1), None, "the other has not reported");
    world.report(2, at, 50, &[52, 53]);
    let cut = world.cut(1).unwrap().clone();
    assert_eq!((cut.first, world.cut(2)), (18, Some(&cut)));
    let frames = |seat: usize| (cut.seats[seat].cut_frame, cut.seats[seat].first_own_frame);
    assert_eq!((frames(0), frames(1)), ((54, 54), (53, 53)));
    assert_eq!(cut.seats[1].inputs, Hex(vec![2; 35]));
    world.success(1, at, 53, 7);
    world.success(2, at, 52, 6);
    assert_eq!(world.resumes(1), [], "one is behind");
    world.success(2, at, 53, 7);
    assert_eq!((world.resumes(1), world.resumes(2)), (vec![(1, 53)], vec![(1, 53)]));
    world.wait(300);
    assert_eq!(world.ended(1), None, "a deadline outlives its pause");
}

#[test]
fn a_loss_from_before_a_pause_changes_nothing_after_it() {
    let (mut world, _) = World::two_playing();
    world.lost(1, 1, 0);
    world.come_back((1, 1));
    world.lost(2, 0, 0);
    assert_eq!(world.pause(1).unwrap().pause_id, 1);
    world.lost(2, 0, 1);
    assert_eq!(world.pause(1).unwrap().pause_id, 2, "a loss during the countdown is another pause");
}

#[test]
fn what_is_said_of_another_pause_or_round_is_not_heard() {
    let (mut world, _) = World::two_playing();
    world.lost(1, 1, 0);
    for at in [(0, 1), (2, 1), (1, 0), (1, 2)] {
        world.come_back(at);
        assert_eq!((world.cut(1), world.resumes(1)), (None, vec![]));
    }
    world.come_back((1, 1));
    assert_eq!(world.resumes(1).len(), 1);
    world.come_back((1, 1));
    assert_eq!(world.resumes(1).len(), 1, "said again it was heard again");
}

#[test]
fn nobody_goes_on_without_one_who_is_away() {
    let (mut world, _) = World::two_playing();
    world.lost(1, 1, 0);
    world.report(1, (1, 1), 50, &[54, 52]);
    world.report(2, (1, 1), 50, &[52, 54]);
    world.success(2, (1, 1), 54, 7);
    world.drop(2);
    world.success(1, (1, 1), 54, 7);
    assert_eq!(world.resumes(1), []);
    world.join(2, 2);
    assert_eq!(world.cut(2).map(|cut| cut.round), Some(1), "it is told again where the game stands");
    world.success(2, (1, 1), 54, 7);
    assert_eq!(world.resumes(1).len(), 1);
}

#[test]
fn a_reload_is_a_pause_and_fences_what_the_old_page_said() {
    let (mut world, game) = World::two_playing();
    world.history = History { end: 48, first: 46, rows: vec![vec![1, 2], vec![1, 2]] };
    world.drop(2);
    world.join(2, 77);
    let notice = world.pause(1).unwrap().clone();
    assert_eq!(
        (notice.reason, notice.round, notice.incarnations.as_slice()),
        (PauseReason::Reload, 2, &[0, 1][..])
    );
    let begun =
        world.told[&visit(2)].iter().rev().take_while(|told| !matches!(told, ServerMessage::GameStart(_)));
    assert!(
        begun.clone().all(|told| !matches!(told, ServerMessage::GameGo { .. })),
        "it has nothing to begin with"
    );
    world.report(1, (1, 2), 45, &[54, 46]);
    let cut = world.cut(2).unwrap();
    assert_eq!(
        (cut.rebuild, cut.first, cut.seats[1].cut_frame),
        (seats(&[1]), 13, 48),
        "its own durable inputs count"
    );
    let seat = Seat::new(1).unwrap();
    assert!(world.effects.contains(&Effect::Fence { game, seat, incarnation: 1, cut_frame: 48 }));
    world.success(1, (1, 2), 48, 7);
    world.success(2, (1, 2), 48, 7);
    assert_eq!(world.resumes(2), [(1, 48)]);
}

#[test]
fn a_state_is_asked_of_one_after_another_of_those_who_hold_it() {
    let mut world = World::new(3);
    (1..=3).for_each(|number| world.start(number));
    let (game_id, _) = world.game(1).unwrap();
    (1..=3).for_each(|number| world.say(number, ClientMessage::GameReady { game_id }));
    let wanted = |world: &World| -> Vec<usize> {
        let asks = |message: &&ServerMessage| matches!(message, ServerMessage::P2pStateWanted { .. });
        [1, 2, 3].map(|number| world.told[&visit(number)].iter().filter(asks).count()).to_vec()
    };
    let ask = |world: &mut World, from: u8, round: u32| {
        world.say(from, ClientMessage::P2pStateRequest { game_id, pause_id: 1, round });
    };
    world.join(2, 77);
    ask(&mut world, 2, 2);
    assert_eq!(wanted(&world), [0, 0, 0], "nothing is agreed on yet");
    world.report(1, (1, 2), 50, &[54, 52, 51]);
    world.report(3, (1, 2), 50, &[52, 52, 54]);
    ask(&mut world, 2, 1);
    ask(&mut world, 1, 2);
    assert_eq!(wanted(&world), [0, 0, 0], "another round, and one who has lost nothing");
    ask(&mut world, 2, 2);
    ask(&mut world, 2, 2);
    ask(&mut world, 2, 2);
    assert_eq!(wanted(&world), [2, 0, 1]);
    world.drop(1);
    ask(&mut world, 2, 2);
    assert_eq!(wanted(&world), [2, 0, 2], "who is away is not asked");
    let desync = ClientMessage::P2pDesync {
        game_id,
        peer: Seat::new(0).unwrap(),
        frame: 49,
        own: StateHash(1),
        theirs: StateHash(2),
    };
    world.say(3, desync);
    ask(&mut world, 2, 2);
    assert_eq!(wanted(&world), [2, 0, 2], "whose state is right is not known");
}

#[test]
fn when_all_have_lost_their_memory_and_still_differ_they_begin_anew_without_a_word() {
    let (mut world, _) = World::two_playing();
    world.join(1, 77);
    world.join(2, 78);
    world.success(1, (1, 3), 0, 7);
    world.success(2, (1, 3), 0, 8);
    let cut = world.cut(1).unwrap();
    assert_eq!((cut.round, cut.rebuild), (4, seats(&[0, 1])), "there is no report to wait for");
    world.success(1, (1, 4), 0, 7);
    world.success(2, (1, 4), 0, 7);
    assert_eq!(world.resumes(1), [(1, 0)]);
}

#[test]
fn what_was_agreed_on_and_is_lost_again_is_void_from_further_back() {
    let (mut world, game) = World::two_playing();
    world.history = History { end: 10, first: 0, rows: vec![vec![1, 2]; 10] };
    world.join(2, 77);
    world.report(1, (1, 2), 50, &[54, 52]);
    let seat = |number| Seat::new(number).unwrap();
    let fence = |number, cut_frame| Effect::Fence { game, seat: seat(number), incarnation: 1, cut_frame };
    assert!(world.effects.contains(&fence(1, 52)));
    // The only one who held it is loaded anew too, before any of it is durable.
    world.join(1, 78);
    let cut = world.cut(2).unwrap();
    assert_eq!((cut.first, cut.seats[1].cut_frame, &cut.seats[1].fences[..]), (10, 10, &[(1, 10)][..]));
    assert!(world.effects.contains(&fence(0, 10)) && world.effects.contains(&fence(1, 10)));
}

#[test]
fn a_second_reload_in_a_pause_voids_what_was_said_of_the_first() {
    let (mut world, _) = World::two_playing();
    world.join(2, 77);
    world.report(1, (1, 2), 45, &[54, 46]);
    world.join(1, 78);
    let notice = world.pause(2).unwrap();
    assert_eq!((notice.round, notice.incarnations.as_slice()), (3, &[1, 1][..]));
    // Nobody knows anything: the durable record is all there is.
    let cut = world.cut(2).unwrap();
    assert_eq!((cut.round, cut.first, cut.rebuild), (3, 0, seats(&[0, 1])));
    world.success(1, (1, 2), 0, 7);
    world.success(2, (1, 3), 0, 7);
    assert_eq!(world.resumes(1), [], "one of them was of another round");
    world.success(1, (1, 3), 0, 7);
    assert_eq!(world.resumes(1), [(1, 0)]);
}

#[test]
fn states_that_differ_are_made_anew_once_and_then_the_game_ends() {
    let (mut world, game_id) = World::two_playing();
    let peer = Seat::new(1).unwrap();
    let desync =
        ClientMessage::P2pDesync { game_id, peer, frame: 49, own: StateHash(1), theirs: StateHash(2) };
    world.say(1, desync.clone());
    world.say(1, desync);
    assert_eq!(world.pause(2).map(|notice| (notice.pause_id, notice.reason)), Some((1, PauseReason::Desync)));
    let differ = |world: &mut World, at| {
        world.report(1, at, 50, &[54, 52]);
        world.report(2, at, 50, &[52, 54]);
        world.success(1, at, 54, 7);
        world.success(2, at, 54, 8);
    };
    differ(&mut world, (1, 1));
    assert_eq!(world.pause(1).unwrap().round, 2);
    world.report(1, (1, 2), 50, &[54, 52]);
    world.report(2, (1, 2), 50, &[52, 54]);
    assert_eq!(world.cut(1).unwrap().rebuild, seats(&[0, 1]));
    differ(&mut world, (1, 2));
    assert_eq!(world.ended(1), Some(VisitEnding::Server));
}

#[test]
fn a_fourth_pause_and_a_third_minute_end_the_game() {
    let (mut world, _) = World::two_playing();
    for pause in 1..=3 {
        world.lost(1, 1, pause - 1);
        world.come_back((pause, 1));
        assert_eq!(world.resumes(1).len(), pause as usize);
    }
    world.lost(1, 1, 3);
    assert_eq!(world.ended(2), Some(VisitEnding::ReconnectTimeout));
}

#[test]
fn who_is_gone_with_everyone_else_has_the_usual_time() {
    let (mut world, _) = World::two_playing();
    world.drop(1);
    world.drop(2);
    world.wait(11);
    assert_eq!(world.pause(1).map(|notice| notice.reason), Some(PauseReason::EveryoneGone));
    world.join(1, 1);
    world.wait(28);
    assert_eq!(world.ended(1), None);
    world.wait(2);
    assert_eq!(world.ended(1), Some(VisitEnding::ReconnectTimeout));
}

#[test]
fn a_partner_who_finished_and_left_leaves_its_inputs_with_the_server() {
    let (mut world, game_id) = World::two_playing();
    world.history = History { end: 60, first: 59, rows: vec![vec![1, 2]] };
    world.finish(1, game_id);
    world.lost(2, 0, 0);
    let notice = world.pause(2).unwrap();
    assert_eq!(
        (notice.reason, notice.missing, notice.playing),
        (PauseReason::Finishing, SeatSet::EMPTY, seats(&[1]))
    );
    assert_eq!(world.pause(1), None, "who has gone on hears nothing of it");
    world.report(2, (1, 1), 58, &[59, 60]);
    assert_eq!(world.cut(2).unwrap().seats[0].cut_frame, 60);
    world.success(2, (1, 1), 60, 0);
    assert_eq!(world.resumes(2), [], "the end is further on");
    world.success(2, (1, 1), 1351, 0);
    assert_eq!(world.pause(2).unwrap().round, 2, "it went past the end: its state is made anew");
    world.report(2, (1, 2), 58, &[59, 60]);
    world.success(2, (1, 2), 1350, 0);
    assert_eq!(world.resumes(2), [(1, 1350)]);
    world.lost(2, 0, 1);
    assert_eq!(world.pause(2).unwrap().pause_id, 1, "it has all that there is of who has left");
}

#[test]
fn the_others_play_on_without_one_who_does_not_come_back() {
    let mut world = World::of(experiment_with(3, OnPlayerLost::Continue), 3);
    (1..=3).for_each(|number| world.start(number));
    let (game_id, _) = world.game(1).unwrap();
    (1..=3).for_each(|number| world.say(number, ClientMessage::GameReady { game_id }));
    world.drop(3);
    world.lost(1, 2, 0);
    world.report(1, (1, 1), 50, &[54, 52, 51]);
    world.report(2, (1, 1), 50, &[52, 54, 53]);
    // Its socket blinks, which is no reason to give it up.
    world.drop(2);
    world.join(2, 2);
    world.wait(31);
    assert_eq!(world.ended(3), Some(VisitEnding::ReconnectTimeout));
    let notice = world.pause(1).unwrap();
    assert_eq!((notice.round, notice.playing), (2, seats(&[0, 1])));
    world.report(1, (1, 2), 50, &[54, 52, 51]);
    world.report(2, (1, 2), 50, &[52, 54, 53]);
    let lost = &world.cut(1).unwrap().seats[2];
    assert_eq!(
        (lost.cut_frame, lost.first_own_frame, lost.fences.as_slice()),
        (53, base::FRAME_LIMIT, &[(1, 53)][..])
    );
    world.success(1, (1, 2), 54, 7);
    world.success(2, (1, 2), 54, 7);
    assert_eq!(world.resumes(2), [(1, 54)]);
    world.lost(2, 2, 1);
    assert_eq!(world.pause(2).unwrap().pause_id, 1, "nobody misses who was given up");
    world.finish(1, game_id);
    world.finish(2, game_id);
    let endings = world.endings();
    assert_eq!(endings.len(), 3);
    assert_eq!(world.ended(1), Some(VisitEnding::Completed));
}

#[test]
fn a_reload_before_the_first_frame_makes_the_links_anew() {
    let mut world = World::new(2);
    world.start(1);
    world.start(2);
    let (game_id, _) = world.game(1).unwrap();
    world.say(1, ClientMessage::GameReady { game_id });
    world.join(2, 77);
    world.say(2, ClientMessage::GameReady { game_id });
    let go = ServerMessage::GameGo { game_id };
    assert!(!world.told[&visit(1)].contains(&go), "its link to the new page is not made");
    world.say(1, ClientMessage::GameReady { game_id });
    assert!(world.told[&visit(1)].contains(&go) && world.pause(1).is_none());
}

#[test]
fn a_server_that_was_killed_goes_on_where_it_stood() {
    let (mut world, game_id) = World::two_playing();
    world.restart(Duration::ZERO);
    world.join(1, 1);
    world.join(2, 2);
    assert_eq!(world.told[&visit(2)].last(), Some(&ServerMessage::GameGo { game_id }));
    world.lost(1, 1, 0);
    world.wait(5);
    world.restart(Duration::from_secs(5));
    world.join(1, 1);
    assert_eq!(world.pause(1).unwrap().remaining_ms, 25_000, "its time away does not count");
    world.restart(Duration::from_secs(29));
    world.join(1, 1);
    assert_eq!(world.pause(1).unwrap().remaining_ms, 10_000, "ten seconds remain at least");
    world.join(2, 2);
    world.come_back((1, 1));
    assert_eq!(world.resumes(2), [(1, 54)]);
    world.restart(Duration::ZERO);
    world.join(2, 2);
    assert_eq!(world.resumes(2), [(1, 54), (1, 54)], "who did not hear of it would stand still for ever");
    world.join(1, 99);
    assert_eq!(
        world.pause(2).unwrap().reason,
        PauseReason::Reload,
        "a reload while the server was away is noticed"
    );
    world.wait(60);
    assert_eq!(world.endings().len(), 2);
}

#[test]
fn who_says_to_have_finished_and_has_not_strands_nobody() {
    let (mut world, game_id) = World::two_playing();
    world.finish(1, game_id);
    world.wait(59);
    assert_eq!(world.ended(2), None);
    world.wait(2);
    assert_eq!(world.ended(2), Some(VisitEnding::PartnerLost));
}

#[test]
fn inputs_that_cannot_all_be_true_end_the_game_and_fence_nothing() {
    let (mut world, _) = World::two_playing();
    let rows = (0..128).map(|_| vec![1, 2]).collect();
    world.history = History { end: 400, first: 272, rows };
    world.join(2, 77);
    let (game_id, _) = world.game(1).unwrap();
    let inputs = vec![Hex(vec![]), Hex(vec![])];
    let report = ClientMessage::P2pPauseReport {
        game_id,
        pause_id: 1,
        round: 2,
        confirmed_frame: 0,
        first: 0,
        inputs,
    };
    world.say(1, report);
    assert_eq!(world.ended(2), Some(VisitEnding::Server));
    assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::Fence { .. })));
}

#[test]
fn everyone_gone_while_the_server_was_away_ends_in_time() {
    let (mut world, _) = World::two_playing();
    world.restart(Duration::ZERO);
    world.wait(41);
    assert_eq!(world.endings().len(), 2);
}

#[test]
fn a_failed_environment_ends_the_game_and_is_written_down() {
    let (mut world, game_id) = World::two_playing();
    world.say(1, ClientMessage::GameFailed { game_id, frame: 30, reason: "x".repeat(5000) });
    assert_eq!(world.ended(2), Some(VisitEnding::Server));
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
    let progress = Progress { scene: 1, ..Progress::default() };
    let open_game = Some((GameId::from_random([5; 16]), Seat::default()));
    world.stager.handle_joined(
        identity,
        1,
        None,
        Restored { progress, open_game, ..Restored::default() },
        world.now,
    );
    world.settle();
    assert_eq!(world.ended(1), Some(VisitEnding::Server));
}

#[test]
fn whatever_happens_every_visit_ends_once_and_hears_of_its_own_game_only() {
    for seed in 0..2_000 {
        let mut rng = Rng::from_seed(seed);
        let players = 2 + rng.below(3) as u8;
        let monitor = MonitorRules {
            max_ping_millis: Some(200),
            on_hidden: if rng.below(2) == 0 { OnHidden::Exclude } else { OnHidden::Pause },
            ..MonitorRules::default()
        };
        let on_player_lost = if rng.below(2) == 0 { OnPlayerLost::End } else { OnPlayerLost::Continue };
        let mut experiment = experiment_with(players, on_player_lost);
        if let SceneSpecKind::Game(game) = &mut experiment.scenes[1].kind {
            game.monitor = monitor;
            game.on_partner_lost = if rng.below(2) == 0 { After::Next } else { After::Lobby };
        }
        let mut world = World::of(experiment, players);
        for _ in 0..200 {
            let number = 1 + rng.below(7) as u8;
            let game = world.game(1 + rng.below(7) as u8).map_or(GameId::from_random([9; 16]), |(id, _)| id);
            match rng.below(15) {
                0 | 1 => world.join(number, rng.below(2)),
                2 => world.drop(number),
                3 => world.say(number, advance("welcome")),
                4 => world.say(number, ClientMessage::GameReady { game_id: game }),
                5 => world.finish(number, game),
                6 => world.wait(rng.below(8)),
                7 => {
                    if world.game(number).is_some() {
                        world.lost(number, rng.below(4) as u8, rng.below(4) as u32);
                    }
                }
                8 => {
                    if world.game(number).is_some() {
                        let at = (1 + rng.below(3) as u32, 1 + rng.below(4) as u32);
                        let ends = vec![50 + rng.below(4) as Frame; usize::from(world.players)];
                        world.report(number, at, 50, &ends);
                        world.success(number, at, 53, rng.below(2));
                    }
                }
                9 => world.say(number, advance("play")),
                10 => world.say(number, ClientMessage::LeaveLobby { scene_id: "play".into() }),
                11 => world.say(number, ClientMessage::LeaveStudy { delete: false }),
                12 => {
                    let rtt_millis = Some(rng.below(400) as f32);
                    let ping = ClientMessage::Ping { time: 0.0, sequence: 0, rtt_millis, frame: None };
                    (0..4).for_each(|_| world.say(number, ping.clone()));
                    world.say(number, ClientMessage::Visibility { hidden: rng.below(2) == 0, frame: None });
                }
                13 => {
                    let lived = Duration::from_secs(rng.below(40));
                    world.restart(lived);
                }
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
                    | ServerMessage::P2pResume { game_id, .. }
                    | ServerMessage::P2pGameEnded { game_id, .. }
                    | ServerMessage::MidGameExclusion { game_id, .. }
                    | ServerMessage::PartnerExcluded { game_id, .. }
                    | ServerMessage::TriggerDataExport { game_id, .. } => {
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
        // Whoever comes back finds a place to be: nobody is left in a game that is over.
        for number in 1..8 {
            let Some(progress) = world.progress.get(&visit(number)).cloned() else { continue };
            world.join(number, 50);
            world.wait(11);
            let over = world.progress[&visit(number)].over;
            assert_eq!(over, None, "seed {seed}: {number} had {progress:?}");
            world.drop(number);
            world.wait(60);
        }
    }
}

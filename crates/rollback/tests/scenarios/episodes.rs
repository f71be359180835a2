//! Episodes begin and end on confirmed frames (N6).

use base::{Frame, Input};
use rollback::{Advance, Config, Prediction, Rollback, Simulation};

use crate::toy::{Ending, Toy};
use crate::{seat, serial, two_seats};

fn input(value: u8) -> Input {
    Input::new(&[value]).unwrap()
}

fn begin(core: &mut Rollback, toy: &mut Toy, episode: u32) {
    toy.begin(2, episode);
    core.begin_episode(toy);
}

fn advance(core: &mut Rollback, toy: &mut Toy) -> Advance {
    let Ok(advance) = core.advance(input(0), toy);
    advance
}

fn short(max_frames: Frame) -> (Rollback, Toy) {
    let config = Config { max_frames, input_delay: 0, ..two_seats() };
    (Rollback::new(config).unwrap(), Toy::new(config.window, 3, None))
}

#[test]
fn before_the_first_episode_nothing_is_simulated() {
    let (mut core, mut toy) = short(3);
    assert_eq!(advance(&mut core, &mut toy), Advance::EpisodeOver);
    assert_eq!((core.frame(), toy.steps), (0, 0));
}

#[test]
fn nothing_is_simulated_past_the_last_frame_before_it_is_confirmed() {
    let (mut core, mut toy) = short(3);
    begin(&mut core, &mut toy, 0);
    for frame in 0..3 {
        assert_eq!(advance(&mut core, &mut toy), Advance::Stepped { frame });
    }
    for _ in 0..5 {
        assert_eq!(advance(&mut core, &mut toy), Advance::EpisodeEnding);
    }
    assert_eq!(core.add_remote(seat(1), 0, [1, 2, 3].map(input).into_iter()), Ok(()));
    assert_eq!(advance(&mut core, &mut toy), Advance::EpisodeOver);
    assert_eq!((core.frame(), core.confirmed()), (3, 3));
}

#[test]
fn frames_run_on_through_the_episodes_and_inputs_with_them() {
    let (mut core, mut toy) = short(2);
    // A peer that is ahead has made inputs for the next episode already.
    assert_eq!(core.add_remote(seat(1), 0, [1, 2, 3, 4].map(input).into_iter()), Ok(()));
    for episode in 0..2 {
        begin(&mut core, &mut toy, episode);
        assert_eq!(advance(&mut core, &mut toy), Advance::Stepped { frame: 2 * episode });
        assert_eq!(advance(&mut core, &mut toy), Advance::Stepped { frame: 2 * episode + 1 });
        assert_eq!(advance(&mut core, &mut toy), Advance::EpisodeOver);
    }
    let truths = serial::play(&mut Toy::new(8, 3, None), 2, 2, 2, |seat, frame| {
        input(if seat == 1 { frame as u8 + 1 } else { 0 })
    });
    let told: Vec<_> = core::iter::from_fn(|| core.poll_confirmed()).map(|told| told.hash).collect();
    assert_eq!(told, truths.iter().map(|truth| truth.hash).collect::<Vec<_>>());
}

#[test]
fn an_episode_cannot_begin_while_one_is_played() {
    let (mut core, mut toy) = short(3);
    begin(&mut core, &mut toy, 0);
    assert_eq!(advance(&mut core, &mut toy), Advance::Stepped { frame: 0 });
    let playing = toy.current_hash();
    begin(&mut core, &mut toy, 1);
    assert_eq!(toy.current_hash(), playing, "the reset is undone");
    for _ in 0..2 {
        advance(&mut core, &mut toy);
    }
    assert_eq!(advance(&mut core, &mut toy), Advance::EpisodeEnding);
    let ending = toy.current_hash();
    begin(&mut core, &mut toy, 1);
    assert_eq!(toy.current_hash(), ending);
    assert_eq!(advance(&mut core, &mut toy), Advance::EpisodeEnding, "not confirmed yet");
}

/// The outcomes of the first frame with each value of the peer's input, when an episode may end at any frame.
fn first_frame_ends_with(value: u8, seed: u64) -> bool {
    let mut toy = Toy::new(8, seed, Some(Ending { after: 1, one_in: 2 }));
    toy.begin(2, 0);
    let Ok(outcome) = toy.step(0, &[input(0), input(value)]);
    outcome.over
}

/// A seed with which the peer's input decides whether the first frame is the last.
fn deciding_seed(ends_with_0: bool) -> u64 {
    (0..)
        .find(|&seed| {
            first_frame_ends_with(0, seed) == ends_with_0 && first_frame_ends_with(1, seed) != ends_with_0
        })
        .unwrap()
}

fn decided(ends_with_0: bool) -> (Rollback, Toy) {
    let config = Config { input_delay: 0, prediction: Prediction::Default, ..two_seats() };
    let mut core = Rollback::new(config).unwrap();
    let mut toy = Toy::new(config.window, deciding_seed(ends_with_0), Some(Ending { after: 1, one_in: 2 }));
    begin(&mut core, &mut toy, 0);
    assert_eq!(advance(&mut core, &mut toy), Advance::Stepped { frame: 0 });
    (core, toy)
}

#[test]
fn an_end_that_was_predicted_wrongly_is_taken_back() {
    let (mut core, mut toy) = decided(true);
    assert_eq!(advance(&mut core, &mut toy), Advance::EpisodeEnding);
    assert_eq!(core.add_remote(seat(1), 0, core::iter::once(input(1))), Ok(()));
    assert_eq!(advance(&mut core, &mut toy), Advance::Stepped { frame: 1 });
    assert_eq!(core.poll_confirmed().map(|told| told.outcome.over), Some(false));
}

#[test]
fn an_end_that_was_not_predicted_takes_frames_back_but_not_the_inputs_made_for_them() {
    let (mut core, mut toy) = decided(false);
    let mut made = 1;
    for value in 1..4 {
        let Ok(advance) = core.advance(input(value), &mut toy);
        made += u8::from(matches!(advance, Advance::Stepped { .. }));
    }
    let simulated = core.frame();
    assert_eq!(core.add_remote(seat(1), 0, core::iter::once(input(1))), Ok(()));
    assert_eq!(advance(&mut core, &mut toy), Advance::EpisodeOver);
    assert_eq!((core.frame(), core.confirmed()), (1, 1));
    assert_eq!(core.poll_confirmed().map(|told| told.outcome.over), Some(true));
    // The next episode's first frame has the input that was made for it before.
    begin(&mut core, &mut toy, 1);
    assert_eq!(advance(&mut core, &mut toy), Advance::Stepped { frame: 1 });
    assert_eq!(
        core.inputs(seat(0), 0).map(|made| made.as_bytes()[0]).collect::<Vec<_>>(),
        (0..made).collect::<Vec<_>>()
    );
    assert!(simulated >= 2);
}

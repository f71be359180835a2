//! Every frame is simulated with a wrong prediction first, and rolled back as deep as the window goes.

use base::{Frame, Input, MAX_SEATS};
use rollback::{Advance, Config, MAX_WINDOW, Prediction, Rollback};

use crate::toy::Toy;
use crate::{seat, serial, two_seats};

const FRAMES: Frame = 300;

/// Never what it was before, and never nothing pressed: no prediction is right.
fn restless(seat: u8, frame: Frame) -> Input {
    Input::new(&[1 + ((frame + Frame::from(seat)) % 200) as u8]).unwrap()
}

/// What was made of a frame, with the default inputs before the delay.
fn made(delay: u8, seat: u8, frame: Frame) -> Input {
    if frame < Frame::from(delay) { Input::none(1) } else { restless(seat, frame) }
}

fn forced(window: u8, input_delay: u8, prediction: Prediction) {
    let config = Config { window, input_delay, prediction, ..two_seats() };
    let mut core = Rollback::new(config).unwrap();
    let mut toy = Toy::new(window, 7, None);
    toy.begin(2, 0);
    core.begin_episode(&mut toy);
    let mut confirmed = Vec::new();
    while core.confirmed() < FRAMES {
        let local = restless(0, core.frame() + Frame::from(input_delay));
        let Ok(advance) = core.advance(local, &mut toy);
        if let Advance::Waiting { missing } = advance {
            assert_eq!(missing, [seat(1)].into_iter().collect());
            // The window is full: now the peer's inputs come, one by one, each of them a surprise.
            for frame in core.known_until(seat(1))..core.frame() {
                let depth = core.frame() - frame;
                assert_eq!(core.add_remote(seat(1), frame, core::iter::once(restless(1, frame))), Ok(()));
                assert_eq!(core.synchronise(&mut toy), Ok(depth));
                assert_eq!(core.synchronise(&mut toy), Ok(0), "nothing is left to do");
                assert_eq!(core.confirmed(), frame + 1);
            }
        }
        confirmed.extend(core::iter::from_fn(|| core.poll_confirmed()));
    }
    let truths = serial::play(&mut Toy::new(window, 7, None), 2, 1, core.confirmed(), |seat, frame| {
        made(input_delay, seat, frame)
    });
    assert_eq!(confirmed.len(), truths.len());
    for (frame, (told, truth)) in (0..).zip(confirmed.iter().zip(&truths)) {
        assert_eq!((told.frame, told.hash, told.outcome), (frame, truth.hash, truth.outcome));
        assert_eq!(told.inputs[..2], truth.inputs[..]);
        assert_eq!(told.inputs[2..], [Input::none(1); MAX_SEATS - 2], "seats that there are not");
        let predicted = frame >= Frame::from(input_delay);
        assert_eq!(told.predicted.contains(seat(1)), predicted);
        // The first surprise of each round goes back the whole window; the shallower ones after it do not count.
        assert_eq!(told.rollback_depth, if predicted { window } else { 0 });
    }
    assert_eq!(core.deepest_rollback(), Frame::from(window));
    assert!(core.rollbacks() >= u64::from(FRAMES - Frame::from(input_delay)));
}

#[test]
fn frames_that_were_all_predicted_wrongly_are_all_confirmed_rightly() {
    for window in 1..=MAX_WINDOW {
        for input_delay in [0, 1, 2, 8] {
            forced(window, input_delay, Prediction::RepeatLast);
            forced(window, input_delay, Prediction::Default);
        }
    }
}

#[test]
fn a_right_prediction_costs_nothing() {
    let mut core = Rollback::new(two_seats()).unwrap();
    let mut toy = Toy::new(8, 7, None);
    toy.begin(2, 0);
    core.begin_episode(&mut toy);
    for _ in 0..8 {
        let Ok(Advance::Stepped { .. }) = core.advance(Input::none(1), &mut toy) else {
            panic!("the window")
        };
    }
    assert_eq!(core.add_remote(seat(1), 2, core::iter::repeat_n(Input::none(1), 6)), Ok(()));
    assert_eq!(core.synchronise(&mut toy), Ok(0));
    assert_eq!((core.confirmed(), core.rollbacks(), toy.steps), (8, 0, 8));
}

#[test]
fn a_key_that_is_held_is_predicted_or_not_as_the_game_says() {
    for (prediction, rollbacks) in [(Prediction::RepeatLast, 0), (Prediction::Default, 1)] {
        let mut core = Rollback::new(Config { prediction, ..two_seats() }).unwrap();
        let mut toy = Toy::new(8, 7, None);
        toy.begin(2, 0);
        core.begin_episode(&mut toy);
        let held = |frames| core::iter::repeat_n(Input::new(&[5]).unwrap(), frames);
        assert_eq!(core.add_remote(seat(1), 2, held(1)), Ok(()));
        for _ in 0..8 {
            let Ok(_) = core.advance(Input::none(1), &mut toy);
        }
        assert_eq!(core.add_remote(seat(1), 3, held(5)), Ok(()));
        let Ok(_) = core.synchronise(&mut toy);
        assert_eq!((core.confirmed(), core.rollbacks()), (8, rollbacks), "{prediction:?}");
    }
}

#[test]
fn only_what_is_wrong_is_simulated_anew() {
    let mut core = Rollback::new(two_seats()).unwrap();
    let mut toy = Toy::new(8, 7, None);
    toy.begin(2, 0);
    core.begin_episode(&mut toy);
    for _ in 0..8 {
        let Ok(_) = core.advance(Input::none(1), &mut toy);
    }
    let inputs = [0, 0, 0, 9].map(|value| Input::new(&[value]).unwrap());
    assert_eq!(core.add_remote(seat(1), 2, inputs.into_iter()), Ok(()));
    assert_eq!(core.synchronise(&mut toy), Ok(3), "frames 5, 6 and 7");
    assert_eq!(toy.steps, 8 + 3);
    let depths: Vec<_> =
        core::iter::from_fn(|| core.poll_confirmed()).map(|told| told.rollback_depth).collect();
    assert_eq!(depths, [0, 0, 0, 0, 0, 3]);
}

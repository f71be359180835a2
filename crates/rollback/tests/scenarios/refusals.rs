//! What a peer sends that cannot be is refused, and changes nothing (N4).

use base::{Frame, Input, Rng, Seat};
use rollback::{Advance, Config, RemoteInputError, Rollback};

use crate::toy::Toy;
use crate::{seat, two_seats};

fn input(value: u8) -> Input {
    Input::new(&[value]).unwrap()
}

fn inputs(values: &[u8]) -> impl Iterator<Item = Input> {
    values.iter().map(|&value| input(value))
}

fn started(config: Config) -> (Rollback, Toy) {
    let mut core = Rollback::new(config).unwrap();
    let mut toy = Toy::new(config.window, 1, None);
    toy.begin(config.seats, 0);
    core.begin_episode(&mut toy);
    (core, toy)
}

#[test]
fn inputs_come_from_peers_only() {
    let (mut core, _) = started(two_seats());
    for stranger in [seat(0), seat(2), seat(7)] {
        let refused = core.add_remote(stranger, 2, inputs(&[1]));
        assert_eq!(refused, Err(RemoteInputError::NotAPeer(stranger)));
    }
}

#[test]
fn inputs_beyond_a_gap_are_not_taken() {
    let (mut core, _) = started(two_seats());
    let refused = core.add_remote(seat(1), 3, inputs(&[1]));
    assert_eq!(refused, Err(RemoteInputError::Gap { first: 3, known: 2 }));
    assert_eq!(core.known_until(seat(1)), 2);
    let refused = core.add_remote(seat(1), Frame::MAX, inputs(&[1]));
    assert_eq!(refused, Err(RemoteInputError::Gap { first: Frame::MAX, known: 2 }));
}

#[test]
fn the_first_value_of_an_input_stands() {
    let (mut core, _) = started(two_seats());
    assert_eq!(core.add_remote(seat(1), 2, inputs(&[1, 2])), Ok(()));
    assert_eq!(core.add_remote(seat(1), 2, inputs(&[1, 2])), Ok(()), "an equal repeat");
    let refused = core.add_remote(seat(1), 2, inputs(&[1, 9, 3]));
    assert_eq!(refused, Err(RemoteInputError::Conflict { frame: 3 }));
    assert_eq!(core.known_until(seat(1)), 4);
    assert_eq!(core.add_remote(seat(1), 2, inputs(&[1, 2, 3])), Ok(()));
}

#[test]
fn the_inputs_before_the_delay_are_not_a_peers_to_choose() {
    let (mut core, _) = started(two_seats());
    assert_eq!(core.add_remote(seat(1), 0, inputs(&[0, 5])), Err(RemoteInputError::Conflict { frame: 1 }));
}

#[test]
fn ten_thousand_inputs_are_taken_only_as_far_as_a_peer_can_be() {
    let (mut core, _) = started(two_seats());
    let refused = core.add_remote(seat(1), 2, inputs(&[1; 10_000]));
    assert_eq!(refused, Err(RemoteInputError::TooFarAhead { frame: 80 }));
    assert_eq!(core.known_until(seat(1)), 80);
}

#[test]
fn an_input_of_another_size_is_refused_with_what_follows() {
    let (mut core, _) = started(two_seats());
    let mixed = [Input::new(&[1]).unwrap(), Input::new(&[1, 1]).unwrap(), Input::new(&[1]).unwrap()];
    let refused = core.add_remote(seat(1), 2, mixed.into_iter());
    assert_eq!(refused, Err(RemoteInputError::WrongSize { frame: 3 }));
    assert_eq!(core.known_until(seat(1)), 3);
}

#[test]
fn what_is_known_entirely_is_made_up_without_an_input_of_our_own() {
    let (mut core, mut toy) = started(two_seats());
    assert_eq!(core.add_remote(seat(1), 0, inputs(&[0, 0, 1, 1, 1, 1])), Ok(()));
    for frame in 0..2 {
        assert_eq!(core.advance_known(&mut toy), Ok(Advance::Stepped { frame }));
    }
    assert!(matches!(core.advance_known(&mut toy), Ok(Advance::Waiting { .. })), "our own input is missing");
    assert_eq!((core.frame(), core.confirmed(), core.known_until(seat(0))), (2, 2, 2));
    // The first input after that fills the delay that was used up.
    let Ok(_) = core.advance(input(7), &mut toy);
    let made: Vec<_> = core.inputs(seat(0), 0).map(|made| made.as_bytes()[0]).collect();
    assert_eq!(made, [0, 0, 7, 7, 7]);
    assert_eq!(core.inputs(seat(0), Frame::MAX).count(), 0);
}

#[test]
fn our_own_inputs_may_come_from_others() {
    let (mut core, mut toy) = started(two_seats());
    assert_eq!(core.add_known(seat(0), 0, inputs(&[0, 0, 5, 6])), Ok(()));
    assert_eq!(core.add_known(seat(1), 0, inputs(&[0, 0, 1, 2])), Ok(()));
    assert_eq!(core.add_known(seat(0), 2, inputs(&[9])), Err(RemoteInputError::Conflict { frame: 2 }));
    while let Ok(Advance::Stepped { .. }) = core.advance_known(&mut toy) {}
    assert_eq!((core.frame(), core.confirmed()), (4, 4));
    assert_eq!(core.add_known(seat(7), 0, inputs(&[0])), Err(RemoteInputError::NotAPeer(seat(7))));
}

#[test]
fn confirmed_frames_that_nobody_takes_hold_the_game_up_and_nothing_is_lost() {
    let (mut core, mut toy) = started(two_seats());
    let mut sent = 2;
    let mut held_up = false;
    for _ in 0..200 {
        while core.add_remote(seat(1), sent, inputs(&[1])).is_ok() {
            sent += 1;
        }
        let Ok(advance) = core.advance(input(0), &mut toy);
        held_up |= matches!(advance, Advance::Waiting { missing } if missing.is_empty());
    }
    assert!(held_up);
    assert!(core.confirmed() <= 64, "{}", core.confirmed());
    let first: Vec<_> = core::iter::from_fn(|| core.poll_confirmed()).map(|told| told.frame).collect();
    let Ok(_) = core.synchronise(&mut toy);
    let more = core::iter::from_fn(|| core.poll_confirmed()).map(|told| told.frame);
    let frames: Vec<_> = first.into_iter().chain(more).collect();
    assert_eq!(frames, (0..core.confirmed()).collect::<Vec<_>>());
}

#[test]
fn garbage_changes_nothing_that_is_known() {
    let config = Config { seats: 3, ..two_seats() };
    let (mut core, mut toy) = started(config);
    let rng = &mut Rng::from_seed(5);
    let truth = |seat: Seat, frame: Frame| input((frame as u8).wrapping_mul(7).wrapping_add(seat.number()));
    let mut confirmed = 0;
    for _ in 0..100_000 {
        let from = seat(rng.below(8) as u8);
        let known = core.known_until(from);
        let first = match rng.below(4) {
            0 => rng.next_u64() as Frame,
            1 => known.saturating_add(1 + rng.below(100) as Frame),
            _ => known.saturating_sub(rng.below(80) as Frame),
        };
        // The right inputs as far as they are known, garbage or another size after.
        let size = rng.below(17) as usize;
        let lies = (known.saturating_sub(first) as usize).min(100);
        let sent = (0..).take(rng.below(200) as usize).map(|offset: Frame| match offset as usize {
            offset if offset < lies => input(rng.below(256) as u8),
            _ => Input::none(if size == 1 { 2 } else { size }),
        });
        let result = core.add_remote(from, first, sent.collect::<Vec<_>>().into_iter());
        assert_eq!(core.known_until(from), known, "{result:?}");
        if rng.chance(0.05) {
            for peer in [seat(1), seat(2)] {
                let next = core.known_until(peer);
                let _ = core.add_remote(peer, next, core::iter::once(truth(peer, next)));
            }
            let Ok(_) = core.advance(input(1), &mut toy);
        }
        while let Some(told) = core.poll_confirmed() {
            for peer in [seat(1), seat(2)] {
                let right = if told.frame < 2 { Input::none(1) } else { truth(peer, told.frame) };
                assert_eq!(told.inputs[peer.index()], right, "frame {}", told.frame);
            }
            confirmed += 1;
        }
    }
    assert!(confirmed > 1000, "{confirmed}");
}

//! A core that begins with another's confirmed state comes to the same states as one that was there from the start (P5).

use base::{Frame, Input, Rng};
use rollback::{Advance, Config, Rollback, Standing};

use crate::toy::{Ending, Toy};
use crate::{seat, two_seats};

const ENDING: Option<Ending> = Some(Ending { after: 20, one_in: 30 });

fn input(frame: Frame) -> Input {
    Input::new(&[(frame % 7) as u8]).unwrap()
}

/// Seat 0's core and simulation, and the episode that is played.
struct Player {
    core: Rollback,
    toy: Toy,
    episode: u32,
    first: Option<Frame>,
}

impl Player {
    fn new(config: Config) -> Self {
        Self {
            core: Rollback::new(config).unwrap(),
            toy: Toy::new(config.window, 3, ENDING),
            episode: 0,
            first: None,
        }
    }

    fn hear(&mut self, until: Frame) {
        let known = self.core.known_until(seat(1));
        self.core.add_remote(seat(1), known, (known..until.max(known)).map(input)).unwrap();
    }

    /// One frame, or the next episode's beginning; the peer's inputs come `behind` frames late.
    fn go_on(&mut self, behind: Frame) {
        self.hear((self.core.frame() + 1).saturating_sub(behind));
        let Ok(advance) = self.core.advance(input(self.core.frame() + 2), &mut self.toy);
        if !matches!(advance, Advance::Stepped { .. }) {
            self.hear(self.core.frame() + 1);
        }
        if advance == Advance::EpisodeOver {
            self.episode += u32::from(self.first.is_some());
            self.first = Some(self.core.frame());
            self.toy.begin(2, self.episode);
            self.core.begin_episode(&mut self.toy);
        }
    }
}

#[test]
fn whoever_goes_on_from_a_confirmed_state_comes_to_the_same_states() {
    let config = two_seats();
    let mut rng = Rng::from_seed(8);
    for _ in 0..200 {
        let mut one = Player::new(config);
        let frames = 1 + rng.below(120) as Frame;
        while one.core.confirmed() < frames {
            one.go_on(rng.below(6) as Frame);
            while one.core.poll_confirmed().is_some() {}
        }
        // In mid-window: what is not confirmed is nobody's business.
        let (frame, state) = (one.core.confirmed(), one.core.confirmed_state(&one.toy));
        if one.first.is_some_and(|first| frame < first) {
            continue;
        }
        let inputs_from = frame.saturating_sub(32);
        let standing = Standing { frame, inputs_from, episode: one.first };
        let mut two = Player { episode: one.episode, first: one.first, ..Player::new(config) };
        two.core = Rollback::resume(config, standing, &state, &mut two.toy).unwrap().unwrap();
        for seat in [seat(0), seat(1)] {
            let known: Vec<_> = one.core.inputs(seat, inputs_from).collect();
            two.core.add_known(seat, inputs_from, known.into_iter()).unwrap();
        }
        assert_eq!((two.core.frame(), two.core.confirmed()), (frame, frame));
        let mut told = [one, two].map(|mut player| {
            let mut told = Vec::new();
            while player.core.confirmed() < frame + 60 {
                player.go_on(2);
                while let Some(confirmed) = player.core.poll_confirmed() {
                    told.push((confirmed.frame, confirmed.inputs, confirmed.hash));
                }
            }
            told
        });
        told.iter_mut().for_each(|told| told.retain(|(at, ..)| *at < frame + 60));
        assert_eq!((told[0].len(), &told[0]), (60, &told[1]));
    }
}

#[test]
fn what_cannot_be_a_state_is_refused() {
    let config = two_seats();
    let mut toy = Toy::new(config.window, 3, None);
    let mut resume =
        |standing, state: &[u8]| Rollback::resume(config, standing, state, &mut toy).unwrap().is_none();
    let standing = Standing { frame: 40, inputs_from: 8, episode: Some(0) };
    assert!(resume(standing, &[1; 7]), "too short");
    assert!(resume(Standing { inputs_from: 41, ..standing }, &[1; 16]), "inputs are missing");
    assert!(resume(Standing { episode: Some(41), ..standing }, &[1; 16]), "its episode has not begun");
}

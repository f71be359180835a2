//! A game of tag for two to eight on a field with obstacles.
//!
//! One player is "it". Touching another passes it on: the new one stands still for a moment, and cannot pass it
//! straight back. Every moment in which one is not it earns points. Five buttons: four directions and a dash.
//!
//! Lengths are in the field's units, times in frames, tuned for 30 frames a second.

mod drawing;
mod field;
mod player;

use field::Field;
use guest::{Actions, DrawList, Environment, Observation, Outcome, Random};
use player::Player;

/// The field's width and height.
const WIDTH: f32 = 640.0;
const HEIGHT: f32 = 400.0;

/// After passing it on one is safe from it for so long.
const IMMUNE_FRAMES: u32 = 45;

/// Points for every frame in which one is not it.
const REWARD: f64 = 0.1;

/// How long a tag's flash is seen.
const FLASH_FRAMES: u32 = 16;

struct Tag {
    field: Field,
    players: Vec<Player>,
    it: usize,
    flash: Option<Flash>,
    frame: u32,
    /// After being tagged one stands still for so long.
    frozen_frames: u32,
}

/// Where somebody was just tagged.
struct Flash {
    x: f32,
    y: f32,
    age: u32,
}

impl Environment for Tag {
    const MANIFEST: &'static str = r#"{
        "abi": 1, "name": "Tag", "seats": [2, 8], "size": [640, 400], "input_bytes": 1,
        "buttons": ["left", "right", "up", "down", "dash"],
        "observation": ["x", "y", "vx", "vy", "it", "frozen", "dash_ready", "nearest_dx", "nearest_dy"],
        "info": ["score", "tags_made", "times_tagged"],
        "options": [["frozen_frames", 24]]
    }"#;
    const INPUT_BYTES: usize = 1;

    fn reset(seats: u8, _episode: u32, seed: u64) -> Self {
        let mut random = Random::from_seed(seed);
        let turn = random.unit();
        let count = f32::from(seats.max(1));
        let players =
            (0..seats).map(|seat| Player::at_start((f32::from(seat) / count + turn).fract())).collect();
        Self {
            field: Field::layout(random.below(field::LAYOUTS)),
            players,
            it: random.below(u32::from(seats)) as usize,
            flash: None,
            frame: 0,
            frozen_frames: 0,
        }
    }

    fn configure(&mut self, options: &[f64]) {
        self.frozen_frames = options[0] as u32;
    }

    fn step(&mut self, _frame: u32, actions: &Actions, outcome: &mut Outcome) -> bool {
        for (seat, player) in (0_u8..).zip(&mut self.players) {
            let hurried = usize::from(seat) == self.it;
            player.step(|button| actions.button(seat, button), hurried, &self.field);
        }
        player::push_apart(&mut self.players);
        self.pass_on();
        for (seat, player) in (0_u8..).zip(&mut self.players) {
            if usize::from(seat) != self.it {
                player.score += REWARD;
                outcome.reward(seat, REWARD);
            }
        }
        if let Some(flash) = &mut self.flash {
            flash.age += 1;
        }
        self.flash.take_if(|flash| flash.age > FLASH_FRAMES);
        self.frame += 1;
        false
    }

    fn observe(&self, seat: u8, observation: &mut Observation) {
        let Some(own) = self.players.get(usize::from(seat)) else { return };
        let nearest = self
            .players
            .iter()
            .enumerate()
            .filter(|&(other, _)| other != usize::from(seat))
            .map(|(_, other)| (other.x - own.x, other.y - own.y))
            .min_by(|a, b| a.0.hypot(a.1).total_cmp(&b.0.hypot(b.1)))
            .unwrap_or_default();
        for number in [own.x, own.y, own.vx, own.vy] {
            observation.push(number.into());
        }
        for flag in [usize::from(seat) == self.it, own.frozen > 0, own.dash_wait == 0] {
            observation.push(f64::from(u8::from(flag)));
        }
        observation.push(nearest.0.into());
        observation.push(nearest.1.into());
        observation.push(own.score);
        observation.push(own.tags_made.into());
        observation.push(own.times_tagged.into());
    }

    fn draw(&self, seat: u8, list: &mut DrawList) {
        drawing::draw(self, seat, list);
    }
}

impl Tag {
    /// Who is it and touches somebody who may be tagged passes it on.
    fn pass_on(&mut self) {
        let tagger = &self.players[self.it];
        if tagger.frozen > 0 {
            return;
        }
        let touched = (0..self.players.len()).find(|&other| {
            let player = &self.players[other];
            other != self.it && player.immune == 0 && tagger.touches(player)
        });
        let Some(touched) = touched else { return };
        self.players[self.it].immune = IMMUNE_FRAMES;
        self.players[self.it].tags_made += 1;
        let player = &mut self.players[touched];
        (player.frozen, player.vx, player.vy) = (self.frozen_frames, 0.0, 0.0);
        player.times_tagged += 1;
        self.flash = Some(Flash { x: player.x, y: player.y, age: 0 });
        self.it = touched;
    }
}

guest::environment!(Tag);

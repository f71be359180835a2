//! How a player moves.

use core::f32::consts::TAU;

use super::field::Field;
use super::{HEIGHT, WIDTH};

pub const RADIUS: f32 = 13.0;

/// Speed gained in a frame, and kept of it in a frame.
const ACCELERATION: f32 = 1.0;
const GLIDE: f32 = 0.84;
/// Who is it runs a little faster.
const HURRY: f32 = 1.12;

/// A dash: its speed, how long it lasts and how long until the next.
const DASH_SPEED: f32 = 13.0;
const DASH_FRAMES: u32 = 5;
pub const DASH_WAIT: u32 = 75;

/// How many places a trail remembers.
pub const TRAIL: usize = 10;

/// The buttons, in the manifest's order.
const LEFT: usize = 0;
const RIGHT: usize = 1;
const UP: usize = 2;
const DOWN: usize = 3;
const DASH: usize = 4;

#[derive(Clone, Default)]
pub struct Player {
    pub x: f32,
    pub y: f32,
    pub vx: f32,
    pub vy: f32,
    pub frozen: u32,
    pub immune: u32,
    pub dashing: u32,
    pub dash_wait: u32,
    pub score: f64,
    pub tags_made: u32,
    pub times_tagged: u32,
    pub trail: [(f32, f32); TRAIL],
}

impl Player {
    /// A player on the starting ellipse, at a part of its way round.
    pub fn at_start(part: f32) -> Self {
        let angle = part * TAU;
        let x = WIDTH / 2.0 + angle.cos() * 265.0;
        let y = HEIGHT / 2.0 + 18.0 + angle.sin() * 150.0;
        Self { x, y, trail: [(x, y); TRAIL], ..Self::default() }
    }

    pub fn touches(&self, other: &Self) -> bool {
        (self.x - other.x).hypot(self.y - other.y) <= 2.0 * RADIUS + 1.0
    }

    pub fn step(&mut self, pressed: impl Fn(usize) -> bool, hurried: bool, field: &Field) {
        for wait in [&mut self.immune, &mut self.dash_wait, &mut self.dashing] {
            *wait = wait.saturating_sub(1);
        }
        self.trail.rotate_right(1);
        self.trail[0] = (self.x, self.y);
        if self.frozen > 0 {
            self.frozen -= 1;
            return;
        }
        let axis = |less, more| f32::from(i8::from(pressed(more)) - i8::from(pressed(less)));
        let (mut dx, mut dy) = (axis(LEFT, RIGHT), axis(UP, DOWN));
        if dx != 0.0 && dy != 0.0 {
            (dx, dy) = (dx * core::f32::consts::FRAC_1_SQRT_2, dy * core::f32::consts::FRAC_1_SQRT_2);
        }
        if pressed(DASH) && self.dash_wait == 0 && (dx != 0.0 || dy != 0.0) {
            (self.dashing, self.dash_wait) = (DASH_FRAMES, DASH_WAIT);
            (self.vx, self.vy) = (dx * DASH_SPEED, dy * DASH_SPEED);
        }
        if self.dashing == 0 {
            let push = ACCELERATION * if hurried { HURRY } else { 1.0 };
            self.vx = (self.vx + dx * push) * GLIDE;
            self.vy = (self.vy + dy * push) * GLIDE;
        }
        let (x, y, pushed) = field.keep_out(self.x + self.vx, self.y + self.vy, RADIUS);
        (self.x, self.y) = (x, y);
        if let Some((nx, ny)) = pushed {
            let into = self.vx * nx + self.vy * ny;
            if into < 0.0 {
                (self.vx, self.vy) = (self.vx - into * nx, self.vy - into * ny);
            }
        }
    }
}

/// Players are solid: who overlaps is pushed apart, each by half.
pub fn push_apart(players: &mut [Player]) {
    for second in 1..players.len() {
        let (before, after) = players.split_at_mut(second);
        let b = &mut after[0];
        for a in before {
            let (dx, dy) = (b.x - a.x, b.y - a.y);
            let distance = dx.hypot(dy);
            if distance < 2.0 * RADIUS && distance > 0.0 {
                let push = (2.0 * RADIUS - distance) / 2.0 / distance;
                (a.x, a.y) = (a.x - dx * push, a.y - dy * push);
                (b.x, b.y) = (b.x + dx * push, b.y + dy * push);
            }
        }
    }
}

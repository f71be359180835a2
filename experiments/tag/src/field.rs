//! The field and its obstacles.

use super::{HEIGHT, WIDTH};

/// How many layouts there are.
pub const LAYOUTS: u32 = 3;

/// A wall with round ends: everything within `radius` of the line between two points. Two equal points make a
/// pillar.
#[derive(Clone, Copy)]
pub struct Wall {
    pub from: (f32, f32),
    pub to: (f32, f32),
    pub radius: f32,
}

const fn pillar(x: f32, y: f32, radius: f32) -> Wall {
    Wall { from: (x, y), to: (x, y), radius }
}

const fn wall(from: (f32, f32), to: (f32, f32)) -> Wall {
    Wall { from, to, radius: 11.0 }
}

const COURTYARD: [Wall; 5] = [
    pillar(320.0, 205.0, 42.0),
    wall((150.0, 120.0), (150.0, 190.0)),
    wall((490.0, 220.0), (490.0, 290.0)),
    wall((230.0, 320.0), (300.0, 320.0)),
    wall((340.0, 95.0), (410.0, 95.0)),
];
const GARDEN: [Wall; 6] = [
    pillar(160.0, 130.0, 26.0),
    pillar(480.0, 130.0, 26.0),
    pillar(160.0, 290.0, 26.0),
    pillar(480.0, 290.0, 26.0),
    wall((285.0, 170.0), (355.0, 170.0)),
    wall((285.0, 245.0), (355.0, 245.0)),
];
const ALLEYS: [Wall; 4] = [
    wall((200.0, 90.0), (200.0, 235.0)),
    wall((440.0, 175.0), (440.0, 320.0)),
    pillar(320.0, 120.0, 24.0),
    pillar(320.0, 300.0, 24.0),
];

/// Where one may run.
pub struct Field {
    pub walls: &'static [Wall],
}

impl Field {
    pub fn layout(number: u32) -> Self {
        let walls: &[Wall] = match number {
            0 => &COURTYARD,
            1 => &GARDEN,
            _ => &ALLEYS,
        };
        Self { walls }
    }

    /// Moves a disc out of walls and back onto the field. Returns where it then is, and the direction in which
    /// it was pushed.
    pub fn keep_out(&self, x: f32, y: f32, radius: f32) -> (f32, f32, Option<(f32, f32)>) {
        let (mut x, mut y, mut pushed) = (x, y, None);
        for wall in self.walls {
            let (nearest_x, nearest_y) = wall.nearest(x, y);
            let (dx, dy) = (x - nearest_x, y - nearest_y);
            let distance = dx.hypot(dy);
            let clearance = wall.radius + radius;
            if distance < clearance && distance > 0.0 {
                let (nx, ny) = (dx / distance, dy / distance);
                (x, y) = (nearest_x + nx * clearance, nearest_y + ny * clearance);
                pushed = Some((nx, ny));
            }
        }
        let (inside_x, inside_y) = (x.clamp(radius, WIDTH - radius), y.clamp(TOP + radius, HEIGHT - radius));
        if inside_x != x {
            pushed = Some(((inside_x - x).signum(), 0.0));
        }
        if inside_y != y {
            pushed = Some((0.0, (inside_y - y).signum()));
        }
        (inside_x, inside_y, pushed)
    }
}

/// The scores stand above this line.
pub const TOP: f32 = 40.0;

impl Wall {
    /// The point of the wall's middle line that is nearest.
    fn nearest(&self, x: f32, y: f32) -> (f32, f32) {
        let (dx, dy) = (self.to.0 - self.from.0, self.to.1 - self.from.1);
        let length = dx * dx + dy * dy;
        let along =
            if length > 0.0 { ((x - self.from.0) * dx + (y - self.from.1) * dy) / length } else { 0.0 };
        let along = along.clamp(0.0, 1.0);
        (self.from.0 + along * dx, self.from.1 + along * dy)
    }
}

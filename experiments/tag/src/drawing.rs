//! What a player sees.

use core::f32::consts::{PI, TAU};

use guest::{Align, DrawList};

use super::field::{TOP, Wall};
use super::player::{DASH_WAIT, Player, RADIUS};
use super::{FLASH_FRAMES, HEIGHT, Tag, WIDTH};

/// Okabe and Ito's palette, told apart by colour-blind people too, brightened for a dark field.
const COLOURS: [u32; 8] =
    [0x56b4_e9ff, 0xf0b2_3fff, 0x1fc7_98ff, 0xf2e5_62ff, 0x5b8c_ffff, 0xff7b_45ff, 0xe695_c4ff, 0xd8dd_e6ff];

const GROUND: u32 = 0x1720_2eff;
const GRID: u32 = 0x1e29_3aff;
const WALL: u32 = 0x3a49_60ff;
const WALL_EDGE: u32 = 0x5a6d_8aff;
const HEAD: u32 = 0x1119_26ff;
const INK: u32 = 0xf3f6_fbff;
const SOFT_INK: u32 = 0x9fb0_c8ff;
const IT: u32 = 0xff5a_5fff;

/// A colour with another opacity, 0.0 to 1.0.
fn faded(colour: u32, opacity: f32) -> u32 {
    colour & 0xffff_ff00 | (opacity.clamp(0.0, 1.0) * 255.0) as u32
}

pub fn draw(tag: &Tag, seat: u8, list: &mut DrawList) {
    ground(list);
    for wall in tag.field.walls {
        draw_wall(wall, list);
    }
    for (index, player) in tag.players.iter().enumerate() {
        trail(player, COLOURS[index % 8], list);
    }
    for (index, player) in tag.players.iter().enumerate() {
        let it = index == tag.it;
        body(player, COLOURS[index % 8], it, index == usize::from(seat), tag.frame, list);
    }
    if let Some(flash) = &tag.flash {
        let part = flash.age as f32 / FLASH_FRAMES as f32;
        list.depth(6).colour(faded(IT, 1.0 - part)).stroke(4.0 * (1.0 - part) + 0.5);
        list.circle(flash.x, flash.y, RADIUS + 44.0 * part);
    }
    scores(tag, seat, list);
}

fn ground(list: &mut DrawList) {
    list.depth(0).colour(GROUND).rect(0.0, 0.0, WIDTH, HEIGHT, 0.0);
    list.colour(GRID).stroke(1.0);
    for column in 1..16 {
        list.line(column as f32 * 40.0, TOP, column as f32 * 40.0, HEIGHT);
    }
    for row in 1..10 {
        list.line(0.0, row as f32 * 40.0, WIDTH, row as f32 * 40.0);
    }
}

fn draw_wall(wall: &Wall, list: &mut DrawList) {
    for (grow, colour, depth) in [(0.0, WALL_EDGE, 1), (-2.5, WALL, 2)] {
        let radius = wall.radius + grow;
        list.depth(depth).colour(colour);
        list.circle(wall.from.0, wall.from.1, radius).circle(wall.to.0, wall.to.1, radius);
        list.stroke(2.0 * radius).line(wall.from.0, wall.from.1, wall.to.0, wall.to.1);
    }
}

fn trail(player: &Player, colour: u32, list: &mut DrawList) {
    list.depth(3);
    let strength = if player.dashing > 0 { 0.5 } else { 0.16 };
    for (age, &(x, y)) in (1_u8..).zip(&player.trail) {
        let left = 1.0 - f32::from(age) / (player.trail.len() as f32 + 1.0);
        list.colour(faded(colour, strength * left)).circle(x, y, RADIUS * (0.35 + 0.6 * left));
    }
}

fn body(player: &Player, colour: u32, it: bool, own: bool, frame: u32, list: &mut DrawList) {
    let (x, y) = (player.x, player.y);
    if it {
        let pulse = (frame as f32 * TAU / 24.0).sin();
        list.depth(4).colour(faded(IT, 0.22)).circle(x, y, RADIUS + 9.0 + 2.0 * pulse);
        list.colour(IT).stroke(3.0).circle(x, y, RADIUS + 5.0);
    }
    let shade = if player.immune > 0 && frame % 6 < 3 { 0.55 } else { 1.0 };
    list.depth(5).colour(faded(colour, shade)).circle(x, y, RADIUS);
    if player.frozen > 0 {
        list.colour(0xd7ec_ffb0).circle(x, y, RADIUS);
    }
    // Eyes look where one runs.
    let speed = player.vx.hypot(player.vy).max(0.01);
    let (lx, ly) = (player.vx / speed * 3.0, player.vy / speed * 3.0);
    list.colour(HEAD).circle(x - 4.5 + lx, y - 2.0 + ly, 2.3).circle(x + 4.5 + lx, y - 2.0 + ly, 2.3);
    if own {
        list.colour(INK).polygon(&[(x - 5.0, y - 27.0), (x + 5.0, y - 27.0), (x, y - 20.0)]);
        if player.dash_wait > 0 {
            let ready = 1.0 - player.dash_wait as f32 / DASH_WAIT as f32;
            list.colour(SOFT_INK).stroke(2.0).arc(x, y, RADIUS + 2.0, -PI / 2.0, -PI / 2.0 + TAU * ready);
        }
    }
}

fn scores(tag: &Tag, seat: u8, list: &mut DrawList) {
    list.depth(8).colour(HEAD).rect(0.0, 0.0, WIDTH, TOP, 0.0);
    let width = WIDTH / tag.players.len() as f32;
    for (index, player) in tag.players.iter().enumerate() {
        let x = width * index as f32 + 18.0;
        let own = index == usize::from(seat);
        list.depth(9).colour(COLOURS[index % 8]).circle(x, TOP / 2.0, 7.0);
        if index == tag.it {
            list.colour(IT).stroke(2.5).circle(x, TOP / 2.0, 10.5);
        }
        list.colour(if own { INK } else { SOFT_INK });
        let mut digits = [0; 10];
        list.text(x + 18.0, TOP / 2.0 + 6.0, 17.0, Align::Left, decimal(player.score as u32, &mut digits));
        if own && tag.players.len() <= 4 {
            list.text(x + 56.0, TOP / 2.0 + 5.0, 13.0, Align::Left, "you");
        }
    }
}

/// A number's digits, without allocating: drawing happens sixty times a second.
fn decimal(number: u32, digits: &mut [u8; 10]) -> &str {
    let (mut rest, mut start) = (number, digits.len());
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return core::str::from_utf8(&digits[start..]).unwrap_or("");
        }
    }
}

//! The way through an experiment's scenes: their order, blocks of them, and what is passed over (S1).
//!
//! # The algorithm
//!
//! Scenes and blocks of scenes are *parts*. A visit stands in a scene, and has a [`Turn`] in each block around it, the
//! outermost first: which repetition it is, and in which order the block's parts come in it. What comes next is the part
//! after the scene in the innermost block's order; after the last one the block's next repetition; after the last of those
//! what comes after the block. A part that is not for this visit is passed over when the visit gets to it, by what it has
//! answered until then, and a block with all that is in it, once for all its repetitions.
//!
//! - **A passage** is a scene in one repetition of each block around it. Their number counts through all repetitions,
//!   whether or not they were passed over: `easy`, `easy.2`, `easy.3`.
//! - **An order** that is random is a function of the visit, the block, and the repetitions: the same after any restart.
//! - **A scene that is named**, as by `on_partner_lost`, means its next passage from here on, and if none is left its first.
//!   It is entered whomever it is for.

use std::iter::successors;

use base::{Rng, VisitId, hash_state};
use serde::{Deserialize, Serialize};

use crate::experiment::{Experiment, SceneSpec};
use crate::guard::Guard;

/// Parts that belong together.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Block {
    /// Its name.
    pub id: String,
    /// The scenes and blocks in it, in the order of the file.
    pub parts: Vec<String>,
    /// Whether each repetition has an order of its own, at random.
    pub is_random: bool,
    /// How often it is gone through.
    pub repeat: u32,
    /// Whom it is for.
    pub guard: Guard,
}

/// Where a visit is in a block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Turn {
    /// The block's id.
    pub block: String,
    /// Which repetition, from 1.
    pub repetition: u32,
    /// The block's parts, in the order in which they come in it.
    pub order: Vec<String>,
}

impl Turn {
    /// The part that follows; the first when nothing is done yet.
    fn after(&self, done: Option<&str>) -> Option<&String> {
        match done {
            None => self.order.first(),
            Some(done) => self.order.get(self.order.iter().position(|part| part == done)? + 1),
        }
    }
}

/// A passage of a scene.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Position {
    /// The index of the scene.
    pub(crate) scene: usize,
    /// In the blocks around it, the outermost first.
    pub(crate) turns: Vec<Turn>,
}

enum Part<'a> {
    Scene(usize, &'a SceneSpec),
    Block(&'a Block),
}

impl Experiment {
    fn part(&self, name: &str) -> Option<Part<'_>> {
        if let Some(index) = self.index_of(name) {
            return Some(Part::Scene(index, &self.scenes[index]));
        }
        self.block(name).map(Part::Block)
    }

    fn block(&self, id: &str) -> Option<&Block> {
        self.blocks.iter().find(|block| block.id == id)
    }

    /// The block that a part is in.
    fn block_around(&self, part: &str) -> Option<&Block> {
        self.blocks.iter().find(|block| block.parts.iter().any(|name| name == part))
    }

    /// The blocks around a scene, the innermost first.
    pub(crate) fn blocks_around(&self, scene: usize) -> impl Iterator<Item = &Block> {
        let innermost = self.scenes.get(scene).and_then(|scene| self.block_around(&scene.id));
        successors(innermost, |block| self.block_around(&block.id))
    }

    /// The outermost block that a scene is in, or the scene.
    fn outermost(&self, scene: usize) -> &str {
        self.blocks_around(scene).last().map_or(&self.scenes[scene].id, |block| &block.id)
    }

    /// The part that follows in the file, of those that are in no block.
    fn after(&self, done: Option<&str>) -> Option<String> {
        let done = match done {
            None => 0,
            Some(done) => (0..self.scenes.len()).rposition(|scene| self.outermost(scene) == done)? + 1,
        };
        (done < self.scenes.len()).then(|| self.outermost(done).to_owned())
    }

    /// Settles in which order a block's parts come in the repetition that the last turn says.
    fn draw(visit: VisitId, block: &Block, turns: &mut [Turn]) {
        let mut order = block.parts.clone();
        if block.is_random {
            let place = turns.iter().map(|turn| format!("/{}.{}", turn.block, turn.repetition));
            let name = format!("{visit}{}", place.collect::<String>());
            Rng::from_seed(hash_state(name.as_bytes()).0).shuffle(&mut order);
        }
        if let Some(turn) = turns.last_mut() {
            turn.order = order;
        }
    }

    /// The passage that follows one, or the first of all. `admits` says, of each part that the visit gets to, whether it is
    /// for this visit.
    pub(crate) fn next(
        &self,
        visit: VisitId,
        from: Option<&Position>,
        mut admits: impl FnMut(&str, &Guard) -> bool,
    ) -> Option<Position> {
        let mut turns = from.map_or_else(Vec::new, |from| from.turns.clone());
        let mut done = from.and_then(|from| Some(self.scenes.get(from.scene)?.id.clone()));
        loop {
            let following = match turns.last() {
                Some(turn) => turn.after(done.as_deref()).cloned(),
                None => Some(self.after(done.as_deref())?),
            };
            let Some(name) = following else {
                let mut turn = turns.pop()?;
                let block = self.block(&turn.block)?;
                if turn.repetition < block.repeat {
                    turn.repetition += 1;
                    turns.push(turn);
                    Self::draw(visit, block, &mut turns);
                    done = None;
                } else {
                    done = Some(turn.block);
                }
                continue;
            };
            match self.part(&name)? {
                Part::Scene(scene, spec) if admits(&name, &spec.guard) => {
                    return Some(Position { scene, turns });
                }
                Part::Block(block) if admits(&name, &block.guard) => {
                    turns.push(Turn { block: name, repetition: 1, order: Vec::new() });
                    Self::draw(visit, block, &mut turns);
                    done = None;
                }
                Part::Scene(..) | Part::Block(_) => done = Some(name),
            }
        }
    }

    /// The next passage of a scene from somewhere on; if none is left, its first.
    pub(crate) fn seek(&self, visit: VisitId, from: Option<&Position>, scene: usize) -> Option<Position> {
        let from_on = |from: Option<&Position>| {
            let next = |from: Option<&Position>| self.next(visit, from, |_, _| true);
            successors(next(from), move |at| self.next(visit, Some(at), |_, _| true))
                .find(|at| at.scene == scene)
        };
        from_on(from).or_else(|| from_on(None))
    }

    /// Whether a block has orders of its own.
    pub(crate) fn is_random(&self, block: &str) -> bool {
        self.block(block).is_some_and(|block| block.is_random)
    }

    /// Which passage of its scene this is, from 1.
    pub(crate) fn number(&self, turns: &[Turn]) -> u32 {
        let repeat = |turn: &Turn| self.block(&turn.block).map_or(1, |block| block.repeat);
        let before = |before: u32, turn: &Turn| {
            before.saturating_mul(repeat(turn)).saturating_add(turn.repetition.saturating_sub(1))
        };
        turns.iter().fold(0, before).saturating_add(1)
    }

    /// Its name: the scene's id, and behind the first passage its number.
    pub(crate) fn passage(&self, scene: usize, turns: &[Turn]) -> Option<String> {
        let id = &self.scenes.get(scene)?.id;
        Some(match self.number(turns) {
            1 => id.clone(),
            number => format!("{id}.{number}"),
        })
    }

    /// Whether there is such a passage.
    pub(crate) fn has(&self, Position { scene, turns }: &Position) -> bool {
        let mut around: Vec<_> = self.blocks_around(*scene).collect();
        around.reverse();
        let fits = |(block, turn): (&&Block, &Turn)| {
            let mut order: Vec<_> = turn.order.iter().collect();
            let mut parts: Vec<_> = block.parts.iter().collect();
            order.sort_unstable();
            parts.sort_unstable();
            turn.block == block.id && (1..=block.repeat).contains(&turn.repetition) && order == parts
        };
        *scene < self.scenes.len() && around.len() == turns.len() && around.iter().zip(turns).all(fits)
    }
}

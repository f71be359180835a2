//! Blocks of scenes, as the file has them (S1).

use std::collections::BTreeSet;
use std::iter::successors;
use std::ops::RangeInclusive;

use room::Block;
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::guard::{self, WhenFile};
use super::mistakes::did_you_mean;
use super::schema::{Id, Words};
use super::{Reader, is_plain};

/// The most passages that all scenes have together, with all repetitions.
const MOST_PASSAGES: u32 = 1000;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    #[default]
    Fixed,
    Random,
}

/// Scenes that belong together.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BlockFile {
    /// The block's name: letters, digits, `-` and `_`; no scene or other block has it.
    #[schemars(with = "Id")]
    id: String,
    /// The ids of the scenes, or other blocks, that are in it. They follow one another in the file.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    scenes: Vec<String>,
    /// `fixed`: in the order of the file. `random`: in an order that is drawn for each visit.
    #[schemars(with = "Option<Words<Order>>", extend("default" = "fixed"))]
    order: Option<Order>,
    /// How often participants go through it. With all repetitions there may be 1000 scenes to go through.
    #[schemars(range(min = 1, max = MOST_PASSAGES), extend("default" = 1))]
    repeat: Option<u32>,
    /// Whom it is for: those of whom this holds. Others pass over it.
    when: Option<WhenFile>,
    /// The ids of the conditions that it is for; for all, when it is left out.
    #[schemars(length(min = 1))]
    conditions: Option<Vec<String>>,
}

/// Scenes' ids in the order of the file, and blocks with the places where they begin.
pub(super) struct Outline<'a> {
    pub(super) ids: &'a [String],
    pub(super) blocks: &'a [(usize, Block)],
}

impl<'a> Outline<'a> {
    fn block(&self, id: &str) -> Option<&'a Block> {
        self.blocks.iter().map(|(_, block)| block).find(|block| block.id == id)
    }

    /// The blocks around a part, the innermost first.
    pub(super) fn around(&self, part: &str) -> impl Iterator<Item = &'a Block> {
        let around = |part: &str| {
            let has = |block: &&Block| block.parts.iter().any(|name| name == part);
            self.blocks.iter().map(|(_, block)| block).find(has)
        };
        successors(around(part), move |block| around(&block.id))
    }

    /// The indices of the scenes of a part; none when it has none that are known.
    pub(super) fn scenes(&self, part: &str) -> Option<RangeInclusive<usize>> {
        if let Some(at) = self.ids.iter().position(|id| id == part) {
            return Some(at..=at);
        }
        let parts = &self.block(part)?.parts;
        let ranges: Vec<_> = parts.iter().filter_map(|part| self.scenes(part)).collect();
        Some(
            *ranges.iter().map(RangeInclusive::start).min()?
                ..=*ranges.iter().map(RangeInclusive::end).max()?,
        )
    }

    /// Whether a visit always comes to a scene before it comes to a part, if it comes to it at all.
    pub(super) fn comes_before(&self, scene: usize, part: &str) -> bool {
        let Some(id) = self.ids.get(scene) else { return false };
        // Within a block of random order, of two parts either may come first.
        let path = |name: &str| -> Vec<(String, bool)> {
            let mut path = vec![(name.to_owned(), false)];
            path.extend(self.around(name).map(|block| (block.id.clone(), block.is_random)));
            path.reverse();
            path
        };
        let (one, other) = (path(id), path(part));
        let apart = one.iter().zip(&other).position(|(a, b)| a.0 != b.0);
        let is_drawn = apart.and_then(|at| one.get(at.checked_sub(1)?)).is_some_and(|(_, random)| *random);
        !is_drawn && self.scenes(part).is_some_and(|scenes| scene < *scenes.start())
    }

    /// Whether a block is somewhere within itself.
    fn is_within_itself(&self, id: &str) -> bool {
        self.around(id).take(self.blocks.len()).any(|block| block.id == id)
    }
}

impl Reader<'_, '_> {
    /// Every block, with where it begins.
    pub(super) fn blocks(&mut self, files: Vec<Spanned<BlockFile>>) -> Vec<(usize, Block)> {
        let mut blocks = Vec::new();
        for file in files {
            let start = file.span().start;
            let BlockFile { id, scenes, order, repeat, when, conditions } = file.into_inner();
            let block = self.file.within(start, |file| {
                if id.is_empty() || !id.chars().all(is_plain) {
                    file.add("id", "an id has letters, digits, - and _ only; it is a name in the data");
                }
                let repeat = file.number("repeat", repeat, 1, 1..=MOST_PASSAGES);
                let guard = guard::read(file, when, conditions);
                let is_random = order.unwrap_or_default() == Order::Random;
                Block { id, parts: scenes, is_random, repeat, guard }
            });
            blocks.push((start, block));
        }
        blocks
    }

    /// What is wrong with blocks beside each other and the scenes. False when it is of no use to look further.
    pub(super) fn check_blocks(&mut self, outline: &Outline<'_>, ends: &BTreeSet<&str>) -> bool {
        let before = self.file.count();
        for (at, (start, block)) in outline.blocks.iter().enumerate() {
            let found = wrong_with(outline, at, block);
            self.file.within(*start, |file| {
                for (field, text) in found {
                    file.add(field, text);
                }
            });
        }
        if self.file.count() > before {
            return false;
        }
        for (start, block) in outline.blocks {
            if let Some(text) = out_of_order(outline, block) {
                self.file.within(*start, |file| file.add("scenes", text));
            }
            let last = outline.ids.last();
            let end = block.parts.iter().find(|part| ends.contains(part.as_str()));
            if let Some(end) = end {
                let is_plain = !block.is_random && block.repeat == 1;
                let text = if last == Some(end) {
                    format!(
                        "{end:?} is the last scene, where everybody must be able to arrive; it cannot be in a block"
                    )
                } else if is_plain {
                    continue;
                } else {
                    format!(
                        "{end:?} is an end, and nobody comes to what follows it in this block; leave it out"
                    )
                };
                self.file.within(*start, |file| file.add("scenes", text));
            }
        }
        let passages = |id: &String| {
            outline.around(id).fold(1_u32, |passages, block| passages.saturating_mul(block.repeat))
        };
        let all = outline.ids.iter().map(passages).fold(0_u32, u32::saturating_add);
        if let Some((start, _)) = outline.blocks.iter().max_by_key(|(_, block)| block.repeat)
            && all > MOST_PASSAGES
        {
            let text = format!(
                "with all repetitions there are {all} scenes to go through; there may be {MOST_PASSAGES}"
            );
            self.file.within(*start, |file| file.add("repeat", text));
        }
        self.file.count() == before
    }
}

/// What is wrong with a block's names: the fields, and what to tell.
fn wrong_with(outline: &Outline<'_>, at: usize, block: &Block) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let id = &block.id;
    if outline.ids.contains(id) || outline.blocks[..at].iter().any(|(_, other)| other.id == *id) {
        found.push(("id", format!("id {id:?} is used twice; give each scene and block its own")));
    }
    if block.parts.is_empty() {
        found.push(("scenes", "scenes is empty; it names what is in the block".to_owned()));
    }
    for (place, part) in block.parts.iter().enumerate() {
        let is_known = outline.ids.contains(part) || outline.block(part).is_some();
        let elsewhere = outline.blocks[..at].iter().find(|(_, other)| other.parts.contains(part));
        if !is_known {
            let blocks = outline.blocks.iter().map(|(_, block)| &block.id);
            let hint = did_you_mean(part, outline.ids.iter().chain(blocks).map(String::as_str));
            found.push(("scenes", format!("scenes names {part:?}, and no scene or block has that id{hint}")));
        } else if block.parts[..place].contains(part) {
            found.push(("scenes", format!("scenes names {part:?} twice; for that there is repeat")));
        } else if let Some((_, other)) = elsewhere {
            let text = format!(
                "{part:?} is in the block {:?} too; blocks may not overlap, but one may name the other",
                other.id
            );
            found.push(("scenes", text));
        }
    }
    if outline.is_within_itself(id) {
        found.push(("scenes", format!("the block {id:?} is within itself")));
    }
    found
}

/// What to tell of a block whose parts do not follow one another in the file.
fn out_of_order(outline: &Outline<'_>, block: &Block) -> Option<String> {
    block.parts.windows(2).find_map(|pair| {
        let (first, second) = (&pair[0], &pair[1]);
        let follows = outline.scenes(first)?.end() + 1;
        let begins = *outline.scenes(second)?.start();
        if begins == follows {
            return None;
        }
        Some(match outline.ids.get(follows).filter(|_| begins > follows) {
            Some(between) => format!(
                "scenes has {second:?} after {first:?}, and {between:?} is between them in the file; what is in a block \
                 must follow one another there"
            ),
            None => format!(
                "scenes has {second:?} after {first:?}, and in the file it comes before; write them as they come there"
            ),
        })
    })
}

//! Writes what was collected as tables (D3, D4).
//!
//! A game's steps are made anew: its environment is run natively from its seed and the confirmed inputs that its
//! seats reported, and the hash of every state is compared with what every page had. Safe while a server is
//! writing; what comes meanwhile belongs to the next export.

mod files;
mod game;
mod gaps;
mod hidden;
mod inputs;
mod visits;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Context;
use base::{ParticipantId, VisitId};
use store::{Location, Reader};

use files::Files;

/// Who made a visit.
#[derive(Clone, Copy)]
struct Person {
    participant: ParticipantId,
    is_bot: bool,
}

impl Person {
    fn id(&self) -> String {
        self.participant.to_string()
    }
}

/// What an export wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Games.
    pub games: u64,
    /// Rows of `steps`.
    pub steps: u64,
    /// Frames whose native hash every reporting page had.
    pub verified: u64,
    /// Frames where some page had another.
    pub mismatched: u64,
    /// Games that could not be played again to the end.
    pub failed: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { games, steps, verified, mismatched, failed } = self;
        write!(f, "{games} games, {steps} step rows, {verified} frames verified, {mismatched} mismatched")?;
        if *failed > 0 {
            write!(f, "; {failed} games could not be run to their end, see events")?;
        }
        Ok(())
    }
}

/// Writes all tables of what was collected somewhere into a folder.
///
/// # Errors
/// Names the place; the tables that were there before are left as they were.
pub fn export(location: Location, out: &Path, with_platform_ids: bool) -> anyhow::Result<Summary> {
    let reader = Reader::open(location)?;
    // Of those who are forgotten only others' games tell: that somebody sat there.
    let visits: Vec<_> = reader.visits()?.into_iter().filter(|visit| !visit.is_deleted).collect();
    let person = |visit: &store::VisitRow| Person {
        participant: visit.participant,
        is_bot: visit.entry.contains_key(bot::MARK),
    };
    let people: BTreeMap<VisitId, Person> = visits.iter().map(|visit| (visit.visit, person(visit))).collect();
    let mut files = Files::new(out)?;
    let mut summary = Summary::default();

    let mut tables = game::Tables::new(&mut files)?;
    for game in reader.games()? {
        let id = game.game.game;
        tables
            .add(&reader, &game, &people, &mut files, &mut summary)
            .with_context(|| format!("game {id}"))?;
        summary.games += u64::from(!game.is_cancelled);
    }
    tables.finish(&mut files)?;

    let mut table = files.table(record::ANSWERS, record::answers())?;
    for answer in reader.answers()? {
        let text = match answer.answer {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        table.row(vec![
            answer.visit.to_string().into(),
            people.get(&answer.visit).map(Person::id).into(),
            answer.scene.into(),
            answer.field.into(),
            text.into(),
            record::Value::Time(answer.at.0),
        ])?;
    }
    files.close(record::ANSWERS, table)?;

    visits::write(&reader, visits, &people, &mut files, with_platform_ids)?;
    files.publish()?;
    Ok(summary)
}

//! One game's rows.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use base::{MAX_SEATS, Seat, VisitId};
use host::replay::{Game, Replay, ReplayedFrame};
use host::{Module, NativeEnvironment};
use record::Value;
use serde_json::json;
use store::{GameRow, PlayEventRow, Reader, ServerEventRow};
use wire::batch::PlayEvent;
use wire::manifest::Manifest;

use super::files::{FileTable, Files};
use super::gaps::{Gap, gaps, paused};
use super::hidden::Hidden;
use super::inputs::{Record, Reported};
use super::{Person, Summary};

/// The tables that games fill. `steps` has the columns of its environment; a second environment has a table of
/// its own, named after it.
pub(super) struct Tables {
    steps: BTreeMap<String, Steps>,
    episodes: FileTable,
    sessions: FileTable,
    events: FileTable,
    gaps: FileTable,
}

struct Steps {
    name: String,
    table: FileTable,
    module: Module,
}

/// What is counted for a seat while its game is replayed.
#[derive(Clone, Copy, Default)]
struct SeatCounts {
    reported: u64,
    verified: u64,
    mismatched: u64,
    conflicts: u64,
    rollbacks: u64,
    deepest: u8,
}

#[derive(Default)]
struct Episode {
    first_frame: u32,
    steps: u32,
    complete: bool,
    rewards: [f64; MAX_SEATS],
}

/// What happened in a game beside its frames.
struct Happened<'a> {
    played: &'a [PlayEventRow],
    told: &'a [ServerEventRow],
    gaps: &'a [Gap],
    /// How many frames of each seat are void.
    void: [u64; MAX_SEATS],
}

/// What replaying a game found out.
struct Replayed {
    counts: [SeatCounts; MAX_SEATS],
    completed_episodes: u32,
}

impl Tables {
    pub(super) fn new(files: &mut Files) -> anyhow::Result<Self> {
        Ok(Self {
            steps: BTreeMap::new(),
            episodes: files.table(record::EPISODES, record::episodes())?,
            sessions: files.table(record::SESSIONS, record::sessions())?,
            events: files.table(record::EVENTS, record::events())?,
            gaps: files.table(record::GAPS, record::gaps())?,
        })
    }

    pub(super) fn finish(self, files: &mut Files) -> anyhow::Result<()> {
        for steps in self.steps.into_values() {
            files.close((&steps.name, record::STEPS.1), steps.table)?;
        }
        files.close(record::EPISODES, self.episodes)?;
        files.close(record::SESSIONS, self.sessions)?;
        files.close(record::EVENTS, self.events)?;
        files.close(record::GAPS, self.gaps)
    }

    pub(super) fn add(
        &mut self,
        reader: &Reader,
        game: &GameRow,
        people: &BTreeMap<VisitId, Person>,
        files: &mut Files,
        summary: &mut Summary,
    ) -> anyhow::Result<()> {
        let id = game.game.game;
        if game.is_cancelled {
            // It has no more than what was measured.
            return self.add_events(game, &reader.play_events(id)?, &reader.server_events(id)?);
        }
        self.open_steps(reader, &game.game.environment_sha256, files)?;
        let record = Record::new(reader.frames(id)?, &reader.fences(id)?, game.game.input_size);
        let played = reader.play_events(id)?;
        let told = reader.server_events(id)?;
        let ends: Option<Vec<_>> = game.endings.iter().map(|ending| ending.map(|ending| ending.at)).collect();
        let gaps = gaps(&played, &told, ends.and_then(|ends| ends.into_iter().max()));
        let hidden = Hidden::of(&told);
        let replayed = self.replay(game, people, (&record.frames, &hidden), &connections(&told), summary)?;
        for (number, gap) in (0..).zip(&gaps) {
            self.gaps.row(gap.row(&id.to_string(), number))?;
        }
        let happened = Happened { played: &played, told: &told, gaps: &gaps, void: record.void };
        self.add_sessions(game, people, &happened, &replayed)?;
        self.add_events(game, &played, &told)
    }

    fn open_steps(&mut self, reader: &Reader, sha256: &str, files: &mut Files) -> anyhow::Result<()> {
        if self.steps.contains_key(sha256) {
            return Ok(());
        }
        let prepared =
            reader.environment(sha256)?.with_context(|| format!("the data has no environment {sha256}"))?;
        let module = Module::new(&prepared).with_context(|| format!("environment {sha256}"))?;
        let name = match self.steps.len() {
            0 => record::STEPS.0.to_owned(),
            _ => format!("{}_{}", record::STEPS.0, &sha256[..8.min(sha256.len())]),
        };
        let table = files.table((&name, record::STEPS.1), record::steps(module.manifest()))?;
        self.steps.insert(sha256.to_owned(), Steps { name, table, module });
        Ok(())
    }

    fn replay(
        &mut self,
        game: &GameRow,
        people: &BTreeMap<VisitId, Person>,
        (frames, hidden): (&[Reported], &Hidden),
        joined: &[Joined],
        summary: &mut Summary,
    ) -> anyhow::Result<Replayed> {
        let id = game.game.game.to_string();
        let steps = self.steps.get_mut(&game.game.environment_sha256).context("its steps were not opened")?;
        let mut environment = NativeEnvironment::new(&steps.module)?;
        let options = &game.game.options;
        // Games of earlier releases have none, and were played with the usual ones.
        if !options.is_empty() && !environment.set_options(options) {
            anyhow::bail!("its environment has no place for its {} options", options.len());
        }
        let seats = game.game.seats.len() as u8;
        let rules = Game { seats, seed: game.game.seed, max_frames: game.game.rules.max_frames };
        let mut counts = [SeatCounts::default(); MAX_SEATS];
        let mut episodes: Vec<Episode> = Vec::new();
        let mut failure = None;
        match Replay::new(&mut environment, rules) {
            Err(error) => failure = Some((0, error)),
            Ok(mut replay) => {
                for reported in frames {
                    let replayed = match replay.next(&reported.inputs) {
                        Ok(replayed) => replayed,
                        Err(error) => {
                            let frame = episodes.iter().map(|episode| episode.steps).sum();
                            failure = Some((frame, error));
                            break;
                        }
                    };
                    let verified = count(reported, &replayed, &mut counts);
                    *if verified { &mut summary.verified } else { &mut summary.mismatched } += 1;
                    if replayed.step == 0 {
                        episodes.push(Episode { first_frame: replayed.frame, ..Episode::default() });
                    }
                    if let Some(episode) = episodes.last_mut() {
                        episode.steps += 1;
                        episode.complete = replayed.last;
                        for (sum, reward) in episode.rewards.iter_mut().zip(replayed.outcome.rewards) {
                            *sum += reward;
                        }
                    }
                    for (seat, visit) in Seat::all(seats).zip(&game.game.seats) {
                        let person = people.get(visit).map(Person::id);
                        let mut row =
                            step_row(&id, person, seat, reported, &replayed, steps.module.manifest());
                        row.extend([
                            hidden.at(seat, replayed.frame).into(),
                            replayed.hash.to_string().into(),
                            verified.into(),
                        ]);
                        steps.table.row(row)?;
                        summary.steps += 1;
                    }
                }
            }
        }
        if let Some((frame, error)) = failure {
            summary.failed += 1;
            let detail = json!({ "fault": error.fault.name(), "message": error.to_string() }).to_string();
            self.events.row(vec![
                id.clone().into(),
                Value::Empty,
                Value::Empty,
                "export".into(),
                frame.into(),
                Value::Empty,
                Value::Empty,
                "replay_failed".into(),
                detail.into(),
            ])?;
        }
        let completed_episodes = episodes.iter().filter(|episode| episode.complete).count() as u32;
        for (number, episode) in (0_u32..).zip(episodes) {
            let sums = &episode.rewards[..usize::from(seats)];
            self.episodes.row(vec![
                id.clone().into(),
                number.into(),
                episode.first_frame.into(),
                episode.steps.into(),
                episode.complete.into(),
                sums.iter().map(f64::to_string).collect::<Vec<_>>().join(" ").into(),
                joined_at(joined, episode.first_frame + episode.steps).into(),
            ])?;
        }
        Ok(Replayed { counts, completed_episodes })
    }

    fn add_sessions(
        &mut self,
        game: &GameRow,
        people: &BTreeMap<VisitId, Person>,
        Happened { played, told, gaps, void }: &Happened<'_>,
        replayed: &Replayed,
    ) -> anyhow::Result<()> {
        let new = &game.game;
        let (pauses, paused_millis) = paused(gaps);
        let steps = self.steps.get(&new.environment_sha256).context("its steps were not opened")?;
        let names = steps.module.manifest().options.iter().map(|(name, _)| name);
        let options: BTreeMap<_, _> = names.zip(&new.options).collect();
        let options = serde_json::to_string(&options)?;
        for (seat, (visit, ending)) in
            Seat::all(new.seats.len() as u8).zip(new.seats.iter().zip(&game.endings))
        {
            let own = || played.iter().filter(|event| event.reporter == seat);
            let desyncs = own().filter(|event| matches!(event.event, PlayEvent::Desync { .. })).count();
            let stalls: Vec<u32> = own()
                .filter_map(|event| match event.event {
                    PlayEvent::Stalled { millis, .. } => Some(millis),
                    _ => None,
                })
                .collect();
            let of_kind =
                |kind: fn(&PlayEvent) -> bool| own().filter(|event| kind(&event.event)).count() as u64;
            let (restarts, rebuilds) = (
                of_kind(|event| matches!(event, PlayEvent::IceRestarted { .. })),
                of_kind(|event| matches!(event, PlayEvent::ConnectionRebuilt { .. })),
            );
            let told_of =
                |is: &dyn Fn(&ServerEventRow) -> bool| told.iter().filter(|event| is(event)).count();
            // One loss may be told again, after a reconnection; its time says that it is the same.
            let losses: BTreeSet<String> = told
                .iter()
                .filter(|event| event.kind == "p2p_connection_lost")
                .filter(|event| event.detail["lostPeer"] == u64::from(seat.number()))
                .map(|event| format!("{:?} {}", event.seat, event.detail["timestamp"]))
                .collect();
            let losses = losses.len();
            let reloads = told_of(&|event| event.kind == "reload" && event.seat == Some(seat));
            let counts = replayed.counts[seat.index()];
            self.sessions.row(vec![
                new.game.to_string().into(),
                seat.number().into(),
                people.get(visit).map(Person::id).into(),
                people.get(visit).map(|_| visit.to_string()).into(),
                people.get(visit).is_some_and(|person| person.is_bot).into(),
                new.experiment.clone().into(),
                new.experiment_sha256.clone().into(),
                new.scene.clone().into(),
                new.environment_sha256.clone().into(),
                options.clone().into(),
                format!("{:016x}", new.seed).into(),
                new.rules.fps.into(),
                new.rules.input_delay.into(),
                new.rules.window.into(),
                Value::Time(new.created.0),
                ending.map(|ending| ending.is_partial).into(),
                ending.map(|ending| ending.reason.name()).into(),
                ending.map(|ending| ending.frame).into(),
                ending.map_or(Value::Empty, |ending| Value::Time(ending.at.0)),
                replayed.completed_episodes.into(),
                counts.reported.into(),
                counts.verified.into(),
                counts.mismatched.into(),
                counts.conflicts.into(),
                void[seat.index()].into(),
                (desyncs as u64).into(),
                counts.rollbacks.into(),
                counts.deepest.into(),
                (stalls.len() as u64).into(),
                stalls.iter().map(|&millis| u64::from(millis)).sum::<u64>().into(),
                of_kind(|event| matches!(event, PlayEvent::LaneSwitched { .. })).into(),
                restarts.into(),
                rebuilds.into(),
                pauses.into(),
                paused_millis.into(),
                (losses as u64).into(),
                (restarts + rebuilds).into(),
                (reloads as u64).into(),
            ])?;
        }
        Ok(())
    }

    fn add_events(
        &mut self,
        game: &GameRow,
        played: &[PlayEventRow],
        told: &[ServerEventRow],
    ) -> anyhow::Result<()> {
        let id = game.game.game;
        for event in played {
            // `{"episode_began": {"episode": 0}}`: the kind, and the rest of it.
            let (kind, detail) = match serde_json::to_value(&event.event)? {
                serde_json::Value::Object(object) => object.into_iter().next().unwrap_or_default(),
                other => (other.to_string(), serde_json::Value::Null),
            };
            self.events.row(vec![
                id.to_string().into(),
                event.reporter.number().into(),
                event.incarnation.into(),
                "play".into(),
                event.frame.into(),
                event.ms.into(),
                Value::Empty,
                kind.into(),
                detail.to_string().into(),
            ])?;
        }
        for event in told {
            self.events.row(vec![
                id.to_string().into(),
                event.seat.map(Seat::number).into(),
                Value::Empty,
                "server".into(),
                Value::Empty,
                Value::Empty,
                Value::Time(event.at.0),
                event.kind.clone().into(),
                event.detail.to_string().into(),
            ])?;
        }
        Ok(())
    }
}

/// How a page was joined to a peer from some frame on.
struct Joined {
    seat: Seat,
    peer: u64,
    frame: u64,
    kind: String,
}

/// What pages told of their connections, in the order in which they did (L3).
fn connections(events: &[ServerEventRow]) -> Vec<Joined> {
    let told = events.iter().filter(|event| event.kind == "p2p_connection_type");
    told.filter_map(|event| {
        let connection = &event.detail["connection"];
        Some(Joined {
            seat: event.seat?,
            peer: event.detail["peer"].as_u64()?,
            frame: connection["detectedAtFrame"].as_u64()?,
            kind: connection["connectionType"].as_str()?.to_owned(),
        })
    })
    .collect()
}

/// How everyone was joined before a frame: the last word of each.
fn joined_at(joined: &[Joined], frame: u32) -> String {
    let before = joined.iter().filter(|joined| joined.frame < u64::from(frame));
    let last: BTreeMap<_, _> = before.map(|joined| ((joined.seat, joined.peer), &joined.kind)).collect();
    last.iter().map(|((seat, peer), kind)| format!("{seat}-{peer}:{kind}")).collect::<Vec<_>>().join(" ")
}

/// Counts a frame for every seat that reported it; true when all had the native run's hash.
fn count(reported: &Reported, replayed: &ReplayedFrame, counts: &mut [SeatCounts; MAX_SEATS]) -> bool {
    let mut all = !reported.rows.is_empty();
    for row in &reported.rows {
        let counts = &mut counts[row.reporter.index()];
        let equal = row.hash == replayed.hash;
        all &= equal;
        counts.mismatched += u64::from(!equal);
        counts.verified += u64::from(equal);
        counts.reported += 1;
        counts.rollbacks += u64::from(row.rollback_depth > 0);
        counts.deepest = counts.deepest.max(row.rollback_depth);
    }
    for seat in &reported.in_conflict {
        counts[seat.index()].conflicts += 1;
    }
    all
}

fn step_row(
    game: &str,
    person: Option<String>,
    seat: Seat,
    reported: &Reported,
    replayed: &ReplayedFrame,
    manifest: &Manifest,
) -> Vec<Value> {
    let input = reported.inputs.get(seat.index()).map_or(&[][..], base::Input::as_bytes);
    let own = reported.of(seat);
    let mut row = vec![
        game.into(),
        replayed.episode.into(),
        replayed.step.into(),
        replayed.frame.into(),
        seat.number().into(),
        person.into(),
    ];
    let observed = replayed.observations.get(seat.index());
    let numbers = manifest.observation.len() + manifest.info.len();
    row.extend((0..numbers).map(|at| observed.and_then(|numbers| numbers.get(at)).copied().into()));
    row.push(input.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into());
    row.extend(
        (0..manifest.buttons.len())
            .map(|bit| Value::from(input.get(bit / 8).map_or(0, |byte| byte >> (bit % 8) & 1))),
    );
    let (terminated, truncated) = replayed.flags[seat.index()];
    row.extend([
        replayed.outcome.rewards[seat.index()].into(),
        terminated.into(),
        truncated.into(),
        own.map(|row| row.incarnation).into(),
        own.map(|row| row.simulated_ms).into(),
        own.and_then(|row| row.shown_ms).into(),
        own.map(|row| !row.predicted.is_empty()).into(),
        own.map(|row| row.predicted.0).into(),
        own.map(|row| row.rollback_depth).into(),
    ]);
    row
}

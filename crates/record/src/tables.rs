//! The tables' columns. What fills them is in the server's `export`.

use wire::manifest::Manifest;

use crate::Column;
use crate::column::Kind::{Boolean, Integer, Number, Text, Time};

/// The tables' names and what a row of each is.
pub const STEPS: (&str, &str) = ("steps", "One row for each agent in each confirmed frame.");
/// See [`STEPS`].
pub const EPISODES: (&str, &str) = ("episodes", "One row for each episode of each game.");
/// See [`STEPS`].
pub const SESSIONS: (&str, &str) = ("sessions", "One row for each seat of each game.");
/// See [`STEPS`].
pub const EVENTS: (&str, &str) =
    ("events", "One row for each thing that happened at a seat or at the server.");
/// See [`STEPS`].
pub const GAPS: (&str, &str) =
    ("gaps", "One row for each interruption of a game: by the server for all, by each page for what it saw.");
/// See [`STEPS`].
pub const ANSWERS: (&str, &str) = ("answers", "One row for each answer in a form.");
/// See [`STEPS`].
pub const VISITS: (&str, &str) = ("visits", "One row for each visit.");
/// See [`STEPS`].
pub const PATH: (&str, &str) = ("path", "One row for each thing that a visit came to on its way.");

fn column(name: &str, kind: crate::Kind, meaning: &str) -> Column {
    Column::new(name, kind, meaning)
}

/// The columns of `steps` for an environment.
#[must_use]
pub fn steps(manifest: &Manifest) -> Vec<Column> {
    let mut columns = vec![
        column("game_id", Text, "The game."),
        column("episode", Integer, "The episode within the game, from 0."),
        column("step", Integer, "The frame within the episode, from 0."),
        column("frame", Integer, "The frame within the game, from 0."),
        column("agent", Integer, "The seat, from 0."),
        column("participant_id", Text, "The person in that seat."),
    ];
    for name in &manifest.observation {
        let meaning = format!("What the agent observes after the step: the environment's `{name}`.");
        columns.push(Column::new(format!("obs_{name}"), Number, meaning));
    }
    for name in &manifest.info {
        let meaning = format!("After the step: the environment's info `{name}`.");
        columns.push(Column::new(format!("info_{name}"), Number, meaning));
    }
    columns.push(column("action", Text, "The input that the step was made with, in hex, first byte first."));
    for name in &manifest.buttons {
        let meaning = format!("1 while `{name}` was held, else 0.");
        columns.push(Column::new(format!("action_{name}"), Integer, meaning));
    }
    columns.extend([
        column("reward", Number, "The agent's reward for the step."),
        column("terminated", Boolean, "The environment ended the episode for the agent."),
        column("truncated", Boolean, "The episode was cut off at its last frame."),
        column(
            "incarnation",
            Integer,
            "Which of the agent's own pages told of the frame: 0 the first, one more with each reload.",
        ),
        column(
            "simulated_ms",
            Integer,
            "When the agent's own page first simulated the frame, since the game began there; another page has \
             another clock.",
        )
        .unit("ms"),
        column(
            "shown_ms",
            Integer,
            "When the agent's own page first drew it; empty if a newer one was drawn instead.",
        )
        .unit("ms"),
        column(
            "predicted",
            Boolean,
            "Whether the agent's own page first simulated it with a predicted input.",
        ),
        column("predicted_seats", Integer, "Whose inputs were predicted then: a bit set of seats."),
        column(
            "rollback_depth",
            Integer,
            "The deepest rollback of the agent's own page that simulated it anew; 0: none.",
        )
        .unit("frames"),
        column(
            "hidden",
            Boolean,
            "Whether the agent's own page was in the background when it came to the frame, as it told the server.",
        ),
        column("hash", Text, "XXH64 of the state after the frame, from the native run."),
        column(
            "verified",
            Boolean,
            "Whether every page that reported the frame had this hash, and at least one did.",
        ),
    ]);
    columns
}

/// The columns of `episodes`.
#[must_use]
pub fn episodes() -> Vec<Column> {
    vec![
        column("game_id", Text, "The game."),
        column("episode", Integer, "The episode within the game, from 0."),
        column("first_frame", Integer, "Its first frame within the game."),
        column("steps", Integer, "How many frames it has, as far as is known."),
        column("complete", Boolean, "Whether its last frame is known."),
        column("rewards", Text, "Each seat's sum of rewards, in seat order, separated by spaces."),
        column(
            "connection_types",
            Text,
            "How each page was joined to each other at the episode's end, like `0-1:direct 1-0:direct`.",
        ),
    ]
}

/// The columns of `sessions`.
#[must_use]
pub fn sessions() -> Vec<Column> {
    vec![
        column("game_id", Text, "The game."),
        column("seat", Integer, "The seat, from 0."),
        column("participant_id", Text, "The person."),
        column("visit_id", Text, "The person's way through the experiment."),
        column("is_bot", Boolean, "Whether the person is one of the server's scripted participants (`--bots`)."),
        column("experiment", Text, "The experiment's id."),
        column("experiment_sha256", Text, "The version of the experiment: the SHA-256 of all of it."),
        column("scene", Text, "The scene's id."),
        column("environment_sha256", Text, "The prepared environment's SHA-256."),
        column("options", Text, "The environment's options, as a JSON object."),
        column("seed", Text, "The game's seed, 16 hex digits."),
        column("fps", Integer, "Frames a second.").unit("1/s"),
        column("input_delay", Integer, "Frames between a key and its effect.").unit("frames"),
        column("window", Integer, "The most frames simulated ahead of the confirmed one.").unit("frames"),
        column("started_at", Time, "When the game was formed, by the server's clock."),
        column("is_partial", Boolean, "Whether the game was not played to its end; empty while it goes on."),
        column("termination_reason", Text, "Why the seat ended; empty while it goes on."),
        column(
            "terminated_at_frame",
            Integer,
            "The frame that would have been next, as far as the server knew.",
        ),
        column("terminated_at", Time, "When the seat ended, by the server's clock."),
        column("completed_episodes", Integer, "Episodes whose last frame is confirmed."),
        column("frames_reported", Integer, "Frames of `steps` that this seat reported.").unit("frames"),
        column("frames_verified", Integer, "Of those, how many had the native run's hash.").unit("frames"),
        column("hash_mismatches", Integer, "Of those, how many had another.").unit("frames"),
        column(
            "conflicts",
            Integer,
            "Frames that this seat reported in different versions, or with other inputs than the game's.",
        )
        .unit("frames"),
        column(
            "frames_void",
            Integer,
            "Frames that a page of this seat reported after another had taken its place; they are not in `steps`.",
        )
        .unit("frames"),
        column("desyncs_reported", Integer, "How often this page found a peer's state to differ."),
        column("rollbacks", Integer, "Frames that this page simulated anew at least once.").unit("frames"),
        column("max_rollback_depth", Integer, "This page's deepest rollback.").unit("frames"),
        column("stalls", Integer, "How often this page stood still because inputs were missing."),
        column("stalled_ms", Integer, "For how long in all.").unit("ms"),
        column("lane_switches", Integer, "How often inputs came first over another lane than before."),
        column("ice_restarts", Integer, "ICE restarts that this page began."),
        column("rebuilds", Integer, "Connections that this page made anew while it played."),
        column("pauses", Integer, "How often the game was paused, for everyone."),
        column("total_pause_ms", Integer, "For how long in all, by the server's clock, as far as pauses are over.")
            .unit("ms"),
        column("disconnections", Integer, "How often another page reported that it had lost this seat."),
        column("reconnection_attempts", Integer, "`ice_restarts` and `rebuilds` together."),
        column("reloads", Integer, "How often this seat's page was loaded anew in the game."),
    ]
}

/// The columns of `events`.
#[must_use]
pub fn events() -> Vec<Column> {
    vec![
        column("game_id", Text, "The game."),
        column("seat", Integer, "The seat where it happened, or that told of it; empty for the server."),
        column("incarnation", Integer, "Which of the seat's pages told of it, from 0; empty for the server."),
        column("source", Text, "`play` from the seat's own record, `server` from the server's."),
        column("frame", Integer, "The frame that would have been next at the seat; empty for the server."),
        column("ms", Integer, "Since the game began at that page; empty for the server.").unit("ms"),
        column("at", Time, "By the server's clock; empty for a seat's own record."),
        column("kind", Text, "What happened."),
        column("detail", Text, "More of it, as JSON."),
    ]
}

/// The columns of `gaps`.
#[must_use]
pub fn gaps() -> Vec<Column> {
    vec![
        column("game_id", Text, "The game."),
        column("gap", Integer, "Counts the game's interruptions, from 0, in the order of their frames."),
        column(
            "kind",
            Text,
            "`pause`: the server stopped everyone. `stall`: a page stood still, because inputs were missing. `lane`: \
             inputs came by the server, because the direct lane failed. `lost`: nothing came over any lane.",
        ),
        column("reporter", Integer, "The seat whose page told of it; empty for the server."),
        column("pause_id", Integer, "Which pause of the game, from 1; empty for other kinds."),
        column("reason", Text, "What it began with: a pause's reason, or why a lane was given up."),
        column(
            "cause",
            Text,
            "Where it came from, as far as can be known: `network`, `tab` (a page was loaded anew), `server` (it was \
             restarted meanwhile, or less than 15 s before), `state` (states differed).",
        ),
        column("seats", Text, "Who was missing, was not heard, or differed; separated by spaces."),
        column("lane", Text, "What failed: `direct`, or `all`; empty for pauses and stalls."),
        column("first_frame", Integer, "The frame that was next when it began."),
        column(
            "last_frame",
            Integer,
            "The frame that was next when it was over; empty if the game ended in it.",
        ),
        column("began", Time, "By the server's clock; empty when only a page's clock is known."),
        column("duration_ms", Integer, "For how long; empty if that is not known.").unit("ms"),
        column(
            "outcome",
            Text,
            "`resumed` after a pause, `recovered` without one, `ended`: it lasted to the game's end. Empty while it \
             goes on, and when the page that told of it was loaded anew.",
        ),
        column("rebuilt", Text, "The seats that played the game anew for it; separated by spaces."),
    ]
}

/// The columns of `answers`.
#[must_use]
pub fn answers() -> Vec<Column> {
    vec![
        column("visit_id", Text, "The visit."),
        column("participant_id", Text, "The person."),
        column(
            "scene",
            Text,
            "The scene's id; behind the first of several passages its number, like `easy.2`.",
        ),
        column("field", Text, "The field's id."),
        column(
            "answer",
            Text,
            "The answer: a text and a choice as they are, several choices as a JSON list.",
        ),
        column("answered_at", Time, "When it was accepted, by the server's clock."),
    ]
}

/// The columns of `visits`; platforms' ids only when they were asked for.
#[must_use]
pub fn visits(with_platform_ids: bool) -> Vec<Column> {
    let mut columns = vec![
        column("visit_id", Text, "The visit."),
        column("participant_id", Text, "The person."),
        column("experiment", Text, "The experiment's id."),
        column("experiment_sha256", Text, "The version of the experiment: the SHA-256 of all of it."),
        column("started_at", Time, "When it began, by the server's clock."),
        column("scene", Integer, "The index of the scene that it has come to, from 0."),
        column("ended", Text, "How it ended: `completed`, or what went wrong; empty while it goes on."),
        column(
            "screening",
            Text,
            "Whether the participant could take part: `passed`, or the rule that was not met (`device`, `browser`, `ping`, `webhook`); `passed_unanswered` when the study's own check has not answered; empty where nothing was asked.",
        ),
        column(
            "device",
            Text,
            "What the study was opened with: `desktop`, `phone` or `tablet`; empty where that was not asked, or could not be told.",
        ),
        column(
            "browser",
            Text,
            "In which browser: `chrome`, `edge`, `firefox`, `safari` or `other`; empty as with `device`.",
        ),
        column("browser_version", Integer, "Its version; empty as with `device`."),
        column(
            "ping_ms",
            Number,
            "The median of the round trips to the server before the first scene, in milliseconds; empty where they were not measured.",
        ),
        column("condition", Text, "The condition that it is in; empty before it has got one."),
        column(
            "variables",
            Text,
            "Its variables, as a JSON object: its condition's, and the last answers to those questions that some text or \
             branch names, as `scene.field`.",
        ),
        column(
            "path",
            Text,
            "The scenes that it came to, in order, separated by spaces; `easy.2` is the second passage of `easy`.",
        ),
        column("is_bot", Boolean, "Whether it is one of the server's scripted participants' (`--bots`)."),
    ];
    if with_platform_ids {
        columns.push(column("entry", Text, "The entry link's parameters, as JSON. Personal data."));
    }
    columns
}

/// The columns of `path`.
#[must_use]
pub fn path() -> Vec<Column> {
    vec![
        column("visit_id", Text, "The visit."),
        column("participant_id", Text, "The person."),
        column("at", Time, "When, by the server's clock."),
        column(
            "kind",
            Text,
            "`scene`: it came to a scene. `order`: the order of a block was drawn. `passed_over`: a scene or a block was \
             not for it. `condition`: it got its condition. `released`: it has that no longer, because its group did not come \
             about. `game`: a game began for it.",
        ),
        column(
            "name",
            Text,
            "Of the scene and the game, the passage: the scene's id, and behind the first passage its number; of the \
             others, the id.",
        ),
        column(
            "detail",
            Text,
            "More of it, as JSON: the repetition of each block around a scene; an order; how many visits were on or \
             completed in each condition before; the game and the seat.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_in_the_documentation() {
        let document = include_str!("../../../docs/data.md");
        let tables = [STEPS, EPISODES, SESSIONS, EVENTS, GAPS, ANSWERS, VISITS, PATH];
        for (name, _) in tables {
            assert!(document.contains(&format!("\n| `{name}` | ")), "docs/data.md has no {name}");
        }
        assert_eq!(document.matches("\n| `").count(), tables.len(), "docs/data.md has another table");
    }

    #[test]
    fn every_column_of_a_table_has_a_name_of_its_own_and_a_meaning() {
        for columns in [episodes(), sessions(), events(), gaps(), answers(), visits(true), path()] {
            let mut names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
            assert!(columns.iter().all(|column| column.meaning.ends_with(['.', '`'])), "{names:?}");
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }
}

//! Logs and metrics for operators.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// Starts logging to standard error; `RUST_LOG` chooses what, `info` by default.
pub(crate) fn log(format: LogFormat, node: Option<&str>) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,turn_server_proto=off,stun_proto=off"));
    let beginning: Arc<str> = beginning(node, format).into();
    let writer = move || Lines { beginning: Arc::clone(&beginning) };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// Puts the node before every line, whatever task or thread it comes from.
struct Lines {
    beginning: Arc<str>,
}

impl Write for Lines {
    /// An event comes as one.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(&begun_with(&self.beginning, line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn begun_with(beginning: &str, line: &[u8]) -> Vec<u8> {
    // In JSON it becomes the first field.
    let rest = if beginning.starts_with('{') { line.strip_prefix(b"{") } else { None };
    [beginning.as_bytes(), rest.unwrap_or(line)].concat()
}

fn beginning(node: Option<&str>, format: LogFormat) -> String {
    match (node, format) {
        (None, _) => String::new(),
        (Some(node), LogFormat::Text) => format!("{node} "),
        // Hosts and ports have nothing in them that must be written otherwise.
        (Some(node), LogFormat::Json) => format!("{{\"node\":\"{node}\","),
    }
}

/// How often what histograms have gathered is put into their buckets, so that it does not pile up where nobody asks.
const UPKEEP: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Every metric, and what it means to an operator.
const METRICS: &[(Kind, &str, &str)] = &[
    (Kind::Gauge, "interplay_connections", "Open control connections."),
    (Kind::Gauge, "interplay_node_info", "1, with the node's name, on one of several nodes."),
    (Kind::Gauge, "interplay_stage_owner", "Whether this node runs the experiment's stage: 1 or 0."),
    (Kind::Gauge, "interplay_games", "Games that are on."),
    (Kind::Gauge, "interplay_games_paused", "Games that stand still until somebody is back."),
    (Kind::Counter, "interplay_visits_total", "Visits that began."),
    (Kind::Counter, "interplay_visits_deleted_total", "Visits whose data were deleted."),
    (Kind::Counter, "interplay_visits_ended_total", "Visits that came to an end, by how."),
    (
        Kind::Counter,
        "interplay_screenings_total",
        "People who were screened before the first scene, by result.",
    ),
    (Kind::Counter, "interplay_checks_total", "Questions to studies' own checks, by result."),
    (
        Kind::Counter,
        "interplay_games_cancelled_total",
        "Groups that did not come about, of those in interplay_games_total.",
    ),
    (Kind::Counter, "interplay_games_total", "Groups that were formed, each for a game."),
    (Kind::Counter, "interplay_seats_ended_total", "Seats that ended, by reason."),
    (Kind::Counter, "interplay_messages_total", "Control messages received."),
    (Kind::Counter, "interplay_closes_total", "Control connections closed by the server, by code."),
    (Kind::Counter, "interplay_lane_packets_total", "Game packets on the server lane, by result."),
    (Kind::Counter, "interplay_batches_total", "Batches of the record that were acknowledged."),
    (Kind::Counter, "interplay_frames_total", "Frames of the record that were acknowledged."),
    (Kind::Histogram, "interplay_batch_seconds", "From a batch's arrival to its being durable."),
    (Kind::Gauge, "interplay_rooms", "Rooms that there are."),
    (Kind::Gauge, "interplay_room_connections", "Open connections to rooms."),
    (Kind::Counter, "interplay_room_messages_total", "Messages that rooms have numbered."),
    (Kind::Counter, "interplay_room_volatile_total", "Volatile messages, by recipient and result."),
    (
        Kind::Histogram,
        "interplay_room_delivery_seconds",
        "From a message's number to its being handed to a recipient's socket.",
    ),
    (
        Kind::Counter,
        "interplay_room_unsequenced_total",
        "Messages handed out without a number, because Redis did not answer.",
    ),
    (
        Kind::Counter,
        "interplay_room_partings_total",
        "Rooms whose members reached others on this node only, because Redis did not answer.",
    ),
    (
        Kind::Counter,
        "interplay_room_doubts_total",
        "Epochs that ended because Redis told something else than before.",
    ),
    (Kind::Gauge, "interplay_redis_up", "Whether Redis answers; with --redis only."),
    (Kind::Counter, "interplay_room_returns_total", "Members that came back."),
    (Kind::Counter, "interplay_room_replayed_total", "Messages that members had missed and got."),
    (Kind::Counter, "interplay_room_gaps_total", "Returns to which something was missing for good."),
    (Kind::Counter, "interplay_room_repeats_total", "Sends that were repeated and not passed on."),
    (Kind::Counter, "interplay_room_closes_total", "Room connections closed by the server, by code."),
    (Kind::Counter, "interplay_rooms_ended_total", "Rooms that ended, by reason."),
    (Kind::Counter, "interplay_refusals_total", "What was refused, by reason."),
    (Kind::Gauge, "interplay_webhook_waiting", "Events that the application was not told yet."),
    (Kind::Counter, "interplay_webhook_lost_total", "Events that were lost because too many waited."),
    (
        Kind::Gauge,
        "interplay_visit_events_waiting",
        "Visits that have ended, of which the study's own server was not told yet.",
    ),
    (
        Kind::Counter,
        "interplay_webhook_requests_total",
        "Requests to the application or the study's own server that tell it something, by result.",
    ),
    (Kind::Gauge, "interplay_turn_allocations", "TURN allocations that there are."),
    (Kind::Counter, "interplay_turn_packets_total", "Packets that TURN has relayed."),
    (Kind::Counter, "interplay_turn_bytes_total", "Bytes that TURN has relayed."),
    (Kind::Counter, "interplay_turn_refusals_total", "What TURN has refused, by reason."),
];

/// Starts collecting metrics, for `/metrics`.
pub(crate) fn metrics() -> anyhow::Result<PrometheusHandle> {
    // A fast disk or a waiting task take a tenth of a millisecond, a slow one a second.
    let buckets = [0.0001, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];
    let recorder = PrometheusBuilder::new().set_buckets(&buckets)?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    for &(kind, name, meaning) in METRICS {
        match kind {
            Kind::Counter => metrics::describe_counter!(name, meaning),
            Kind::Gauge => metrics::describe_gauge!(name, meaning),
            Kind::Histogram => metrics::describe_histogram!(name, meaning),
        }
    }
    let own = handle.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            own.run_upkeep();
        }
    });
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The metrics' names that a text has, without what Prometheus adds to a histogram's.
    fn names(text: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (at, _) in text.match_indices("interplay_") {
            let is_word = |byte: char| byte.is_ascii_lowercase() || byte == '_';
            if text[..at].chars().next_back().is_some_and(|before| is_word(before) || "/-.".contains(before))
            {
                continue;
            }
            let name: String = text[at..].chars().take_while(|&byte| is_word(byte)).collect();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|ending| name.strip_suffix(ending));
            found.insert(base.map_or_else(|| name.clone(), str::to_owned));
        }
        found
    }

    fn sources(folder: &Path, found: &mut BTreeSet<(Kind, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let kinds =
                [(Kind::Counter, "counter!("), (Kind::Gauge, "gauge!("), (Kind::Histogram, "histogram!(")];
            for (kind, call) in kinds {
                for part in text.split(&format!("{call}\"interplay_")).skip(1) {
                    found.insert((kind, format!("interplay_{}", part.split('"').next().unwrap())));
                }
            }
        }
    }

    #[test]
    fn a_line_says_which_node_it_is_of() {
        let node = "10.0.0.2:80";
        let line = |node, format, line: &str| {
            String::from_utf8(begun_with(&beginning(node, format), line.as_bytes())).unwrap()
        };
        assert_eq!(line(Some(node), LogFormat::Text, "x\n"), "10.0.0.2:80 x\n");
        let json = line(Some(node), LogFormat::Json, "{\"level\":\"INFO\"}\n");
        assert_eq!(json, "{\"node\":\"10.0.0.2:80\",\"level\":\"INFO\"}\n");
        assert_eq!(line(None, LogFormat::Json, "{}\n"), "{}\n");
    }

    #[test]
    fn every_metric_is_described_and_documented() {
        let mut used = BTreeSet::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut used);
        let described: BTreeSet<_> =
            METRICS.iter().map(|(kind, name, _)| (*kind, (*name).to_owned())).collect();
        assert_eq!(used, described);
        let known: BTreeSet<_> = described.into_iter().map(|(_, name)| name).collect();
        let documents = [include_str!("../../../docs/rooms.md"), include_str!("../../../docs/networks.md")];
        let documented = names(&documents.concat());
        let dashboard = names(include_str!("../../../docs/grafana/interplay.json"));
        let unknown =
            |names: BTreeSet<String>| -> Vec<String> { names.difference(&known).cloned().collect() };
        assert_eq!((unknown(documented.clone()), unknown(dashboard.clone())), (vec![], vec![]));
        let rooms = known.iter().filter(|name| name.contains("room") || name.contains("webhook"));
        let missing = |names: &BTreeSet<String>| rooms.clone().filter(|name| !names.contains(*name)).count();
        assert_eq!(missing(&documented), 0, "docs/rooms.md has every metric of rooms");
        assert_eq!(missing(&dashboard), 0, "so has the dashboard");
    }
}

//! Logs and metrics for operators.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// Starts logging to standard error; `RUST_LOG` chooses what, `info` by default.
pub(crate) fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,turn_server_proto=off,stun_proto=off"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// Starts collecting metrics, for `/metrics`.
pub(crate) fn metrics() -> anyhow::Result<PrometheusHandle> {
    // Commits of batches: from a fast disk's tenth of a millisecond to a slow one's second.
    let buckets = [0.0001, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];
    let recorder = PrometheusBuilder::new().set_buckets(&buckets)?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    metrics::describe_gauge!("interplay_connections", "Open control connections.");
    metrics::describe_gauge!("interplay_games", "Games that are on.");
    metrics::describe_counter!("interplay_visits_total", "Visits that began.");
    metrics::describe_counter!("interplay_games_total", "Games that began.");
    metrics::describe_counter!("interplay_seats_ended_total", "Seats that ended, by reason.");
    metrics::describe_counter!("interplay_messages_total", "Control messages received.");
    metrics::describe_counter!(
        "interplay_closes_total",
        "Control connections closed by the server, by code."
    );
    metrics::describe_counter!("interplay_batches_total", "Batches of the record that were acknowledged.");
    metrics::describe_counter!("interplay_frames_total", "Frames of the record that were acknowledged.");
    metrics::describe_gauge!("interplay_rooms", "Rooms that there are.");
    metrics::describe_gauge!("interplay_room_connections", "Open connections to rooms.");
    metrics::describe_counter!("interplay_room_messages_total", "Messages that rooms have numbered.");
    metrics::describe_counter!(
        "interplay_room_volatile_total",
        "Volatile messages, by recipient and result."
    );
    metrics::describe_counter!("interplay_room_returns_total", "Members that came back.");
    metrics::describe_counter!("interplay_room_replayed_total", "Messages that members had missed and got.");
    metrics::describe_counter!(
        "interplay_room_gaps_total",
        "Returns to which something was missing for good."
    );
    metrics::describe_counter!("interplay_room_repeats_total", "Sends that were repeated and not passed on.");
    metrics::describe_counter!(
        "interplay_room_closes_total",
        "Room connections closed by the server, by code."
    );
    metrics::describe_counter!("interplay_rooms_ended_total", "Rooms that ended, by reason.");
    metrics::describe_counter!("interplay_refusals_total", "What was refused, by reason.");
    metrics::describe_histogram!("interplay_batch_seconds", "From a batch's arrival to its being durable.");
    Ok(handle)
}

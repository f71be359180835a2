//! The command line. Exit codes: 0, 1 (failed), 2 (wrong usage).

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::experiment::{self, Loaded, Overrides};
use crate::{export, serve, telemetry};

/// Multi-participant, real-time experiments and games in ordinary browsers.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  interplay demo                                  serve a game of tag for two
  interplay demo --players 3 --listen 0.0.0.0:80  for three, on the network
  interplay run my-experiment                     serve an experiment of your own
  interplay export --data interplay-data --out tables --format csv"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a game of tag, from inside the binary.
    Demo(Demo),
    /// Serve an experiment from its folder.
    Run(Run),
    /// Write what was collected as tables.
    Export(Export),
}

/// Where to listen and where to keep data.
#[derive(Debug, Args)]
struct Serving {
    /// The address and port to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", env = "INTERPLAY_LISTEN")]
    listen: SocketAddr,
    /// The folder that data is kept in; made when it is missing.
    #[arg(long, value_name = "DIR", default_value = "interplay-data", env = "INTERPLAY_DATA")]
    data: PathBuf,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "INTERPLAY_LOG_FORMAT")]
    log: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: interplay demo --players 3 --episodes 2 --max-frames 900")]
struct Demo {
    #[command(flatten)]
    serving: Serving,
    /// How many play together, 2 to 8.
    #[arg(long, value_name = "N")]
    players: Option<u8>,
    /// How many rounds a game has.
    #[arg(long, value_name = "N")]
    episodes: Option<u32>,
    /// How many frames a round has.
    #[arg(long, value_name = "N")]
    max_frames: Option<u32>,
    /// Frames a second.
    #[arg(long, value_name = "N")]
    fps: Option<u16>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: interplay run experiments/tag --listen 127.0.0.1:9000")]
struct Run {
    /// The folder with experiment.toml.
    #[arg(value_name = "EXPERIMENT_DIR")]
    folder: PathBuf,
    #[command(flatten)]
    serving: Serving,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: interplay export --data interplay-data --out tables --format csv")]
struct Export {
    /// The folder that data was kept in. A server may be running on it.
    #[arg(long, value_name = "DIR", default_value = "interplay-data", env = "INTERPLAY_DATA")]
    data: PathBuf,
    /// The folder to write to; made when it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The tables' format.
    #[arg(long, value_enum, default_value_t = TableFormat::Csv)]
    format: TableFormat,
    /// Write platforms' ids (PROLIFIC_PID and the like) too.
    #[arg(long)]
    with_platform_ids: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum TableFormat {
    /// Comma-separated values, RFC 4180.
    Csv,
}

/// Does what the command line asks.
///
/// # Errors
/// In words for the person at the terminal.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Demo(Demo { serving, players, episodes, max_frames, fps }) => {
            let loaded = experiment::demo(&Overrides { players, episodes, max_frames, fps })?;
            serve_until_stopped(&serving, loaded)
        }
        Command::Run(Run { folder, serving }) => {
            let loaded = experiment::load(&folder)?;
            serve_until_stopped(&serving, loaded)
        }
        Command::Export(Export { data, out, format: TableFormat::Csv, with_platform_ids }) => {
            let summary = export::export(&data, &out, with_platform_ids)?;
            println!("{summary}");
            Ok(())
        }
    }
}

fn serve_until_stopped(serving: &Serving, loaded: Loaded) -> anyhow::Result<()> {
    telemetry::log(serving.log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve::serve(serving.listen, &serving.data, loaded))
}

//! The command line. Exit codes: 0, 1 (failed), 2 (wrong usage).

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use room::log::LogRules;
use room::{Experiment, SceneSpec};
use serde_json::json;
use store::{DatabaseUrl, Location};

use crate::experiment::{self, Loaded, Mistakes, Overrides, is_web_address};
use crate::nodes::NodeAddress;
use crate::serve::{Access, BotsWanted, Limits, Served};
use crate::turn::{TlsFiles, TurnConfig};
use crate::{bots, doctor, export, forget, rooms, serve, telemetry, texts};

/// Multi-participant, real-time experiments and games in ordinary browsers.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  interplay demo                                  serve a game of tag for two
  interplay demo --players 3 --listen 0.0.0.0:80  for three, on the network
  interplay demo --bots 1                         to play it alone, in one tab
  interplay new my-experiment                     make a folder to begin with
  interplay check my-experiment                   look for mistakes in it
  interplay schema                                tell editors what may be in its file
  interplay run my-experiment                     serve it
  interplay run my-experiment --bots 1            try it alone
  interplay rooms                                 serve rooms alone, for a web application
  interplay rooms --redis redis://10.0.0.5        serve them together with other nodes
  interplay export --data interplay-data --out tables --format csv
  interplay forget 5f3c… --data interplay-data    delete what there is of a person
  interplay doctor --server study.example.org     say whether STUN and TURN work from here"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a game of tag, from inside the binary.
    Demo(Demo),
    /// Make a folder with an experiment to begin with.
    New(New),
    /// Look for mistakes in an experiment's folder: all of them, with line and cure.
    Check(Check),
    /// Print the JSON Schema of experiment.toml, with which editors complete and check it while it is written.
    Schema(Schema),
    /// Print what participants read that is not the study's own: what an experiment's own texts begin with.
    Texts(TextsOf),
    /// Serve an experiment from its folder.
    Run(Run),
    /// Serve rooms alone, for a web application of your own.
    Rooms(Rooms),
    /// Write what was collected as tables.
    Export(Export),
    /// Delete everything that was written down of a person.
    Forget(ForgetArgs),
    /// Measure what this machine can do.
    Bench(Bench),
    /// Say whether a server's STUN and TURN work from here, and what to open in a firewall.
    Doctor(Doctor),
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
    /// Other sites whose pages may join rooms, like https://app.example.org.
    #[arg(long, value_name = "ORIGIN,…", env = "INTERPLAY_ALLOW_ORIGIN", value_delimiter = ',', value_parser = origin)]
    allow_origin: Vec<String>,
    /// The most WebSockets that one address may have open. A lab behind one router is one address.
    #[arg(long, value_name = "N", default_value_t = 50, env = "INTERPLAY_CONNECTIONS_PER_ADDRESS")]
    connections_per_address: usize,
    /// Proxies in front of this server, whose X-Forwarded-For is believed.
    #[arg(long, value_name = "IP,…", env = "INTERPLAY_TRUSTED_PROXIES", value_delimiter = ',')]
    trusted_proxies: Vec<IpAddr>,
    /// The most rooms.
    #[arg(long, value_name = "N", default_value_t = 100_000, env = "INTERPLAY_ROOMS")]
    rooms: usize,
    /// The most members of a room, absent ones too.
    #[arg(long, value_name = "N", default_value_t = 64, env = "INTERPLAY_ROOM_MEMBERS")]
    room_members: usize,
    /// How long a room lives without a connection, in seconds.
    #[arg(long, value_name = "S", default_value_t = 300, env = "INTERPLAY_ROOM_TTL")]
    room_ttl: u64,
    /// The longest message in a room, in bytes.
    #[arg(long, value_name = "N", default_value_t = 65_536, env = "INTERPLAY_ROOM_MESSAGE_BYTES", value_parser = clap::value_parser!(u32).range(1..=262_144))]
    room_message_bytes: u32,
    /// The most messages a second of a room's member, with as many saved up.
    #[arg(long, value_name = "N", default_value_t = 200, env = "INTERPLAY_ROOM_MESSAGES_PER_SECOND", value_parser = clap::value_parser!(u32).range(1..))]
    room_messages_per_second: u32,
    /// The most bytes a second of a room's member, with as many saved up.
    #[arg(long, value_name = "N", default_value_t = 262_144, env = "INTERPLAY_ROOM_BYTES_PER_SECOND", value_parser = clap::value_parser!(u32).range(1..))]
    room_bytes_per_second: u32,
    /// Where the application's own server wants to hear of rooms' members, like https://app.example.org/hook.
    #[arg(long, value_name = "URL", env = "INTERPLAY_WEBHOOK", value_parser = web_address)]
    webhook: Option<String>,
    /// A Redis or Valkey server, or some nodes of a cluster, through which rooms are shared with other nodes, like
    /// redis://user:password@host:6379. All nodes need the same secrets: give INTERPLAY_SECRET and INTERPLAY_API_KEY.
    // Whoever asks for help is not to see its password.
    #[arg(long, value_name = "URL,…", env = "INTERPLAY_REDIS", hide_env_values = true)]
    redis: Option<String>,
    /// How long this server takes to let go of its connections when it is told to stop, in seconds: `/readyz` says so from the beginning,
    /// and those that another node can serve are closed one after another [default: 2 on one of several nodes, else 0].
    #[arg(long, value_name = "S", env = "INTERPLAY_DRAIN", value_parser = clap::value_parser!(u64).range(..=600))]
    drain: Option<u64>,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "INTERPLAY_LOG_FORMAT")]
    log: LogFormat,
}

/// This server's own STUN and TURN.
#[derive(Debug, Args)]
struct Turn {
    /// The ports on which STUN and TURN are served, over UDP and TCP [default: 3478, if it is free]; `off` for none.
    #[arg(long, value_name = "PORT,…", env = "INTERPLAY_TURN_PORTS", value_parser = ports)]
    turn_ports: Option<Ports>,
    /// A certificate, as a PEM file, for TURN over TLS.
    #[arg(long, value_name = "FILE", env = "INTERPLAY_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, as a PEM file.
    #[arg(long, value_name = "FILE", env = "INTERPLAY_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The ports on which TURN over TLS is served, when there is a certificate.
    #[arg(long, value_name = "PORT,…", default_value = "5349", env = "INTERPLAY_TURNS_PORTS", value_parser = ports)]
    turns_ports: Ports,
    /// The address under which others reach this machine, when that is not its own.
    #[arg(long, value_name = "IP", env = "INTERPLAY_EXTERNAL_IP")]
    external_ip: Option<IpAddr>,
    /// The ports of relayed connections.
    #[arg(long, value_name = "FIRST-LAST", default_value = "49152-65535", env = "INTERPLAY_RELAY_PORTS", value_parser = port_range)]
    relay_ports: RangeInclusive<u16>,
    /// Let TURN relay to private addresses, this machine's own included.
    #[arg(long, env = "INTERPLAY_TURN_ALLOW_PRIVATE")]
    turn_allow_private: bool,
    /// How long TURN credentials are good, in seconds.
    #[arg(long, value_name = "S", default_value_t = 3600, env = "INTERPLAY_TURN_LIFETIME", value_parser = clap::value_parser!(u32).range(5..=86_400))]
    turn_lifetime: u32,
    /// The most TURN allocations of a participant at a time.
    #[arg(long, value_name = "N", default_value_t = 32, env = "INTERPLAY_TURN_ALLOCATIONS")]
    turn_allocations: usize,
    /// The most bytes a second that TURN moves for a participant.
    #[arg(long, value_name = "N", default_value_t = 1_048_576, env = "INTERPLAY_TURN_BANDWIDTH")]
    turn_bandwidth: u32,
}

/// Where what was collected is kept, when that is not the data folder.
#[derive(Debug, Args)]
struct Kept {
    /// A Postgres database to keep what is collected in, like postgres://user:password@host/name?sslmode=require. The data
    /// folder still has the server's secrets and rooms.
    // Whoever asks for help is not to see its password.
    #[arg(long, value_name = "URL", env = "INTERPLAY_DATABASE", hide_env_values = true)]
    database: Option<String>,
}

/// Other nodes that serve the same experiment.
#[derive(Debug, Args)]
struct NodeArgs {
    /// Serve the experiment on several nodes, which share a Postgres database: the address under which other nodes reach this one,
    /// like http://10.0.0.2:8080.
    #[arg(long, value_name = "URL", env = "INTERPLAY_NODE", requires = "database")]
    node: Option<NodeAddress>,
}

impl Kept {
    fn url(&self) -> anyhow::Result<Option<DatabaseUrl>> {
        let url = self.database.as_deref().map(str::parse).transpose();
        url.context("--database")
    }
}

/// Scripted participants, with whom one can try a study alone.
#[derive(Clone, Copy, Debug, Args)]
struct BotArgs {
    /// So many scripted participants take part, for trying a study alone: they fill up games, and are marked in the data.
    #[arg(long, value_name = "N", env = "INTERPLAY_BOTS", value_parser = clap::value_parser!(u16).range(1..=32))]
    bots: Option<u16>,
    /// What they press and answer follows from it [default: a random one, which is said at the start].
    #[arg(long, value_name = "SEED", requires = "bots")]
    bot_seed: Option<u64>,
}

impl BotArgs {
    /// Ends the process as with any wrong usage when bots cannot play the experiment's games.
    fn wanted(self, experiment: &Experiment) -> anyhow::Result<Option<BotsWanted>> {
        let Some(count) = self.bots else { return Ok(None) };
        if let Err(error) = bots::check(experiment) {
            Cli::command().error(ErrorKind::ValueValidation, error).exit();
        }
        Ok(Some(BotsWanted::new(count, self.bot_seed)?))
    }
}

/// Ports to listen on; none for `off`.
#[derive(Clone, Debug)]
struct Ports(Vec<u16>);

fn port(text: &str) -> Result<u16, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|&port| port > 0)
        .ok_or_else(|| format!("{text:?} is no port; they are 1 to 65535"))
}

fn ports(text: &str) -> Result<Ports, String> {
    if text == "off" {
        return Ok(Ports(Vec::new()));
    }
    text.split(',').map(port).collect::<Result<_, _>>().map(Ports)
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').ok_or("it must be like 49152-65535")?;
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err("the first port must not be greater than the last".to_owned());
    }
    Ok(first..=last)
}

fn origin(text: &str) -> Result<String, String> {
    let is_origin = text.split_once("://").is_some_and(|(scheme, host)| {
        ["http", "https"].contains(&scheme) && !host.is_empty() && !host.contains(['/', '*'])
    });
    is_origin.then(|| text.to_owned()).ok_or_else(|| "it must be like https://app.example.org".to_owned())
}

fn web_address(text: &str) -> Result<String, String> {
    is_web_address(text)
        .then(|| text.to_owned())
        .ok_or_else(|| "it must be like https://app.example.org/hook".to_owned())
}

fn language(text: &str) -> Result<String, String> {
    let languages = texts::languages();
    let known = languages.iter().find(|language| *language == text).cloned();
    known.ok_or_else(|| format!("there are {}", languages.join(", ")))
}

impl Serving {
    /// What a node is called that has no address for others.
    fn own_name(&self) -> String {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let is_plain =
            |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        let host = Some(host.trim()).filter(is_plain).filter(|host| !host.is_empty()).unwrap_or("node");
        format!("{host}:{}", self.listen.port())
    }

    fn access(&self) -> anyhow::Result<Access> {
        let usual = Limits::default();
        Ok(Access {
            redis: self.redis.as_deref().map(str::parse).transpose().context("--redis")?,
            origins: self.allow_origin.clone(),
            connections: self.connections_per_address,
            proxies: self.trusted_proxies.clone(),
            rooms: Limits {
                log: LogRules {
                    members: self.room_members,
                    ttl: Duration::from_secs(self.room_ttl),
                    ..usual.log
                },
                rooms: self.rooms,
                message: self.room_message_bytes as usize,
                messages_per_second: self.room_messages_per_second.into(),
                bytes_per_second: self.room_bytes_per_second.into(),
            },
            webhook: self.webhook.clone(),
            node: None,
            drain: self.drain.map(Duration::from_secs),
        })
    }
}

impl Turn {
    fn config(&self) -> TurnConfig {
        TurnConfig {
            ports: self.turn_ports.clone().map(|ports| ports.0),
            tls: self
                .tls_cert
                .clone()
                .zip(self.tls_key.clone())
                .map(|(certificate, key)| TlsFiles { certificate, key }),
            tls_ports: self.turns_ports.0.clone(),
            external_ip: self.external_ip,
            relay_ports: self.relay_ports.clone(),
            allow_private: self.turn_allow_private,
            lifetime: Duration::from_secs(self.turn_lifetime.into()),
            allocations: self.turn_allocations,
            bytes_per_second: self.turn_bandwidth,
        }
    }
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
    #[command(flatten)]
    kept: Kept,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    turn: Turn,
    #[command(flatten)]
    bots: BotArgs,
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
#[command(after_help = "Example: interplay new my-experiment --template survey-and-game")]
struct New {
    /// The folder to make; its name becomes the experiment's id.
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// What to begin with.
    #[arg(long, value_parser = PossibleValuesParser::new(experiment::new::TEMPLATES), default_value = experiment::new::TEMPLATES[0])]
    template: String,
    /// In which language participants are to read it.
    #[arg(long, value_parser = PossibleValuesParser::new(experiment::new::LANGUAGES), default_value = experiment::new::LANGUAGES[0])]
    language: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: interplay check my-experiment

The exit code is 0 when there is no mistake, and 1 when there is one.")]
struct Check {
    /// The folder with experiment.toml.
    #[arg(value_name = "EXPERIMENT_DIR")]
    folder: PathBuf,
    /// One JSON object instead of words.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: interplay schema > my-experiment/experiment.schema.json

`interplay new` writes that file too. Editors find it by the first line of experiment.toml:
  #:schema ./experiment.schema.json")]
struct Schema {}

#[derive(Debug, Args)]
#[command(after_help = "Example: interplay texts de > my-experiment/texts.toml

docs/experiments.md tells how an experiment uses them.")]
struct TextsOf {
    /// In which language.
    #[arg(value_name = "LANGUAGE", value_parser = language, default_value = texts::USUAL)]
    language: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  interplay run my-experiment --reload            while it is being written
  interplay run my-experiment --reload --bots 1   the same, alone: a bot is the other player")]
struct Run {
    /// The folder with experiment.toml.
    #[arg(value_name = "EXPERIMENT_DIR")]
    folder: PathBuf,
    /// Take up changes of the folder while serving: new visits get them, those that are on their way do not.
    #[arg(long, conflicts_with = "node")]
    reload: bool,
    #[command(flatten)]
    bots: BotArgs,
    #[command(flatten)]
    serving: Serving,
    #[command(flatten)]
    kept: Kept,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    turn: Turn,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: interplay rooms --allow-origin https://app.example.org --data rooms-data

docs/rooms.md tells how an application uses them.")]
struct Rooms {
    #[command(flatten)]
    serving: Serving,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  interplay export --data interplay-data --out tables --format csv
  interplay export --database postgres://ann@db.example.org/study --out tables")]
struct Export {
    /// The folder that data was kept in. A server may be running on it.
    #[arg(long, value_name = "DIR", default_value = "interplay-data", env = "INTERPLAY_DATA")]
    data: PathBuf,
    #[command(flatten)]
    kept: Kept,
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

#[derive(Debug, Args)]
#[command(after_help = "Example: interplay bench --data interplay-data

Measures operations of rooms, in this process, with 10 members in each, and says what they should take at most.")]
struct Bench {
    /// A folder on the disk that data will be kept on; what is made in it is removed.
    #[arg(long, value_name = "DIR", default_value = ".")]
    data: PathBuf,
    /// How many rooms.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rooms: u32,
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: interplay doctor --server study.example.org --data interplay-data

The server's secret is needed, for credentials: it is in its data folder, or in INTERPLAY_SECRET.")]
struct Doctor {
    /// The server's name or address.
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    server: String,
    /// Its ports for STUN and TURN.
    #[arg(long, value_name = "PORT,…", default_value = "3478", value_parser = ports)]
    turn_ports: Ports,
    /// The folder that the server keeps its data in.
    #[arg(long, value_name = "DIR", default_value = "interplay-data", env = "INTERPLAY_DATA")]
    data: PathBuf,
    /// One JSON object instead of words.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: interplay forget 5f3c9a7be3c7f20001a1b2c3 --data interplay-data

Works while a server is serving from the folder, too: a visit that is on its way ends. docs/data.md tells what stays.
The exit code is 1 when nobody has this id.")]
struct ForgetArgs {
    /// Whom: what a platform calls the person (as in PROLIFIC_PID), a participant's id, or a visit's.
    #[arg(value_name = "ID")]
    id: String,
    /// The folder that data was kept in.
    #[arg(long, value_name = "DIR", default_value = "interplay-data", env = "INTERPLAY_DATA")]
    data: PathBuf,
    #[command(flatten)]
    kept: Kept,
    /// Delete the games that others sat in, too: their data of these games are gone then.
    #[arg(long)]
    with_games: bool,
    /// One JSON object instead of words.
    #[arg(long)]
    json: bool,
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
        Command::Demo(Demo {
            serving,
            kept,
            node: NodeArgs { node },
            turn,
            bots,
            players,
            episodes,
            max_frames,
            fps,
        }) => {
            let database = kept.url()?;
            let loaded = experiment::demo(&Overrides { players, episodes, max_frames, fps })?;
            let bots = bots.wanted(&loaded.experiment)?;
            serve_until_stopped(
                &serving,
                Some(Served { loaded, database, node, turn: turn.config(), reload: None, bots }),
            )
        }
        Command::New(New { folder, template, language }) => {
            let files = experiment::new::make(&folder, &template, &language)?;
            let name = folder.display();
            println!("{name} is ready: {}", files.join(", "));
            println!("\n  interplay check {name}   look for mistakes\n  interplay run {name}     serve it");
            Ok(())
        }
        Command::Check(Check { folder, json }) => check(&folder, json),
        Command::Schema(Schema {}) => {
            // Longer than a pipe holds: whoever reads may have gone.
            std::io::stdout()
                .write_all(experiment::schema::file().as_bytes())
                .context("cannot write the schema")
        }
        Command::Texts(TextsOf { language }) => {
            print!("{}", texts::file(&language).context("there is no such language")?);
            Ok(())
        }
        Command::Run(Run { folder, reload, bots, serving, kept, node: NodeArgs { node }, turn }) => {
            let database = kept.url()?;
            let loaded = experiment::load(&folder)?;
            let bots = bots.wanted(&loaded.experiment)?;
            let reload = reload.then_some(folder);
            serve_until_stopped(
                &serving,
                Some(Served { loaded, database, node, turn: turn.config(), reload, bots }),
            )
        }
        Command::Rooms(Rooms { serving }) => serve_until_stopped(&serving, None),
        Command::Export(Export { data, kept, out, format: TableFormat::Csv, with_platform_ids }) => {
            let location = kept.url()?.map_or(Location::Folder(data), Location::Postgres);
            let summary = export::export(location, &out, with_platform_ids)?;
            println!("{summary}");
            Ok(())
        }
        Command::Forget(ForgetArgs { id, data, kept, with_games, json }) => {
            forget::forget(&data, kept.url()?, &id, with_games, json)
        }
        Command::Bench(Bench { data, rooms, json }) => bench(&data, rooms as usize, json),
        Command::Doctor(Doctor { server, turn_ports, data, json }) => {
            doctor::doctor(&server, &turn_ports.0, &data, json)
        }
    }
}

fn check(folder: &Path, is_json: bool) -> anyhow::Result<()> {
    let Loaded { id, experiment, .. } = match experiment::load(folder) {
        Ok(loaded) => loaded,
        Err(error) => {
            let Some(Mistakes { file, mistakes }) = error.downcast_ref::<Mistakes>() else {
                return Err(error);
            };
            if is_json {
                println!("{}", json!({ "ok": false, "file": file, "mistakes": mistakes }));
            }
            let count = mistakes.len();
            let words = if count == 1 { "1 mistake".to_owned() } else { format!("{count} mistakes") };
            bail!("{} has {words}:\n{error}", folder.display());
        }
    };
    let kind = |scene: &SceneSpec| format!("{} ({})", scene.id, scene.kind.name());
    let scenes: Vec<_> = experiment.scenes.iter().map(kind).collect();
    if is_json {
        let version = &experiment.version;
        println!("{}", json!({ "ok": true, "id": id, "version": version, "scenes": scenes }));
    } else {
        println!("{id} has no mistakes: {}", scenes.join(", "));
    }
    Ok(())
}

fn bench(data: &Path, rooms: usize, is_json: bool) -> anyhow::Result<()> {
    let folder = data.join(format!("interplay-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let measured = rooms::bench::measure(&folder, rooms, is_json);
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    print!("{}", measured?);
    Ok(())
}

fn serve_until_stopped(serving: &Serving, served: Option<Served>) -> anyhow::Result<()> {
    let address = served.as_ref().and_then(|served| served.node.as_ref()).map(ToString::to_string);
    let node = address.or_else(|| serving.redis.is_some().then(|| serving.own_name()));
    telemetry::log(serving.log, node.as_deref());
    let access = Access { node, ..serving.access()? };
    if access.redis.is_some() && served.as_ref().is_some_and(|served| served.database.is_none()) {
        bail!(
            "with --redis, games and data have to be where all nodes can reach them: give --database postgres://…"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve::serve(serving.listen, &serving.data, access, served))
}

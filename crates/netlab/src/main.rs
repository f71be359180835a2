//! `netlab TOPOLOGY`: networks to try browsers in.
//!
//! Every host is a network namespace of its own. What leaves one comes to a router in this process, which loses,
//! delays and reorders packets as it is told: seeded, so that it can be told again. It ends, and takes everything
//! away, when its standard input does.
//!
//! ```text
//!   host ──tun── router ──tun── host          lan
//!   host ──veth── NAT ──tun── router ── …      nat, symmetric, udp-blocked, server-only
//! ```
//!
//! It prints one line of JSON when it is ready, `{"hosts": {"a": {"namespace": "…", "address": "…"}, …}}`, and one
//! line for each command, `ok …` or `error: …`.

mod command;
mod impairment;
mod namespaces;
mod router;

use std::io::{BufRead, Write};

use clap::{Parser, ValueEnum};

/// Networks to try browsers in.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Commands, one a line on standard input (FROM and TO are hosts, or * for all):
  set FROM TO [delay=MS] [jitter=MS] [loss=PERCENT] [burst=PACKETS] [reorder=on|off] [cut=on|off]
  flap FROM TO UP_MS DOWN_MS          up and down by turns; both 0 ends it
  move HOST ADDRESS                   the host has another address from now on
  stats                               what was passed on and lost, by pair
Example: printf 'set a b cut=on\\n' | netlab lan"
)]
struct Arguments {
    /// How the hosts are joined.
    #[arg(value_enum)]
    topology: Topology,
    /// Of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many hosts there are beside the server; they are called a, b, c …
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    hosts: u8,
}

/// How hosts are joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Topology {
    /// All reach each other directly.
    Lan,
    /// Each but the server is behind a NAT of its own, of the kind that lets peers in which were spoken to.
    Nat,
    /// Each but the server is behind a NAT of its own that shows every destination another port.
    Symmetric,
    /// As `nat`, and host `a`'s lets no UDP through.
    UdpBlocked,
    /// As `nat`, and every NAT lets only TCP to the server's port 8080 through.
    ServerOnly,
}

fn main() -> anyhow::Result<()> {
    let Arguments { topology, seed, hosts } = Arguments::parse();
    let mut lab = namespaces::Lab::build(topology, hosts)?;
    let router = router::Router::start(lab.take_sites(), seed);
    let mut out = std::io::stdout();
    writeln!(out, "{}", lab.describe())?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        match command::run(&line, &mut lab, &router) {
            Ok(answer) => writeln!(out, "{}", format!("ok {answer}").trim_end())?,
            Err(error) => writeln!(out, "error: {error:#}")?,
        }
    }
    Ok(())
}

//! Builds the namespaces, and takes them away.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::json;
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::Topology;

/// The routed network: public addresses, as far as anybody in it can tell.
const NETWORK: [u8; 3] = [11, 77, 0];

/// The only port that `server-only` lets through.
const SERVER_PORT: &str = "8080";

/// Where the router meets a host, or its NAT.
pub(crate) struct Site {
    pub(crate) device: SyncDevice,
    pub(crate) address: Ipv4Addr,
}

struct Host {
    name: String,
    /// Where programs run.
    namespace: String,
    /// Where the router's device is: the same, or the NAT's.
    edge: String,
    device: String,
    /// What the host believes to have.
    address: Ipv4Addr,
    /// What the router knows it by.
    outer: Ipv4Addr,
}

/// Everything that was made.
pub(crate) struct Lab {
    hosts: Vec<Host>,
    made: Vec<String>,
    sites: Vec<Site>,
}

impl Lab {
    pub(crate) fn build(topology: Topology, hosts: u8) -> anyhow::Result<Self> {
        let mark = format!("nl{}", std::process::id() % 100_000);
        let mut lab = Self { hosts: Vec::new(), made: Vec::new(), sites: Vec::new() };
        let names =
            std::iter::once("server".to_owned()).chain((b'a'..).map(|name| char::from(name).to_string()));
        for (number, name) in (1..=hosts + 1).zip(names) {
            lab.add(&mark, number, name, topology)?;
        }
        Ok(lab)
    }

    fn add(&mut self, mark: &str, number: u8, name: String, topology: Topology) -> anyhow::Result<()> {
        let outer = Ipv4Addr::new(NETWORK[0], NETWORK[1], NETWORK[2], number);
        let namespace = format!("{mark}-{name}");
        self.namespace(&namespace)?;
        let behind_nat = topology != Topology::Lan && name != "server";
        let (edge, address) = if behind_nat {
            let edge = format!("{namespace}-nat");
            self.namespace(&edge)?;
            let inner = Ipv4Addr::new(192, 168, number, 2);
            self.join(&namespace, &edge, number)?;
            (edge, inner)
        } else {
            (namespace.clone(), outer)
        };
        let device = format!("{mark}t{number}");
        self.attach(&edge, &device, outer)?;
        if behind_nat {
            ip(&["netns", "exec", &edge, "sysctl", "-qw", "net.ipv4.ip_forward=1"])?;
            nft(&edge, &nat_rules(topology, &name, &device, outer))?;
        }
        self.hosts.push(Host { name, namespace, edge, device, address, outer });
        Ok(())
    }

    fn namespace(&mut self, name: &str) -> anyhow::Result<()> {
        ip(&["netns", "add", name])?;
        self.made.push(name.to_owned());
        ip(&["-n", name, "link", "set", "lo", "up"])
    }

    /// Joins a host to its NAT.
    fn join(&self, host: &str, nat: &str, number: u8) -> anyhow::Result<()> {
        ip(&["-n", nat, "link", "add", "inside", "type", "veth", "peer", "name", "eth0", "netns", host])?;
        ip(&["-n", nat, "address", "add", &format!("192.168.{number}.1/24"), "dev", "inside"])?;
        ip(&["-n", nat, "link", "set", "inside", "up"])?;
        ip(&["-n", host, "address", "add", &format!("192.168.{number}.2/24"), "dev", "eth0"])?;
        ip(&["-n", host, "link", "set", "eth0", "up"])?;
        ip(&["-n", host, "route", "add", "default", "via", &format!("192.168.{number}.1")])
    }

    /// Makes the device by which a namespace reaches the router. It keeps its file when it moves there.
    fn attach(&mut self, edge: &str, name: &str, address: Ipv4Addr) -> anyhow::Result<()> {
        let device = DeviceBuilder::new()
            .name(name)
            .mtu(1400)
            .enable(false)
            .build_sync()
            .context("cannot make a TUN device; netlab needs root and /dev/net/tun")?;
        ip(&["link", "set", name, "netns", edge])?;
        ip(&["-n", edge, "address", "add", &format!("{address}/32"), "dev", name])?;
        ip(&["-n", edge, "link", "set", name, "up"])?;
        ip(&["-n", edge, "route", "add", "default", "dev", name])?;
        self.sites.push(Site { device, address });
        Ok(())
    }

    /// The routers' ends, once.
    pub(crate) fn take_sites(&mut self) -> Vec<Site> {
        std::mem::take(&mut self.sites)
    }

    pub(crate) fn describe(&self) -> serde_json::Value {
        let hosts = self.hosts.iter().map(|host| {
            let about = json!({
                "namespace": host.namespace, "address": host.address.to_string(), "outer": host.outer.to_string(),
            });
            (host.name.clone(), about)
        });
        json!({ "hosts": hosts.collect::<serde_json::Map<_, _>>() })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.hosts.iter().map(|host| host.name.as_str())
    }

    /// The sites that a name means: one, or all for `*`.
    pub(crate) fn sites_named(&self, name: &str) -> anyhow::Result<Vec<usize>> {
        if name == "*" {
            return Ok((0..self.hosts.len()).collect());
        }
        self.site(name).map(|site| vec![site])
    }

    fn site(&self, name: &str) -> anyhow::Result<usize> {
        let names = || self.names().collect::<Vec<_>>().join(", ");
        self.names()
            .position(|other| other == name)
            .with_context(|| format!("there is no host {name:?}; they are {}", names()))
    }

    /// Gives a host another address, as when it goes from one network to another.
    pub(crate) fn move_host(&mut self, name: &str, to: Ipv4Addr) -> anyhow::Result<usize> {
        let site = self.site(name)?;
        let host = &mut self.hosts[site];
        if host.edge != host.namespace {
            bail!("{name} is behind a NAT; only hosts of `lan` can move");
        }
        ip(&["-n", &host.edge, "address", "del", &format!("{}/32", host.outer), "dev", &host.device])?;
        ip(&["-n", &host.edge, "address", "add", &format!("{to}/32"), "dev", &host.device])?;
        ip(&["-n", &host.edge, "route", "replace", "default", "dev", &host.device])?;
        (host.address, host.outer) = (to, to);
        Ok(site)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in self.made.iter().rev() {
            if let Err(error) = ip(&["netns", "delete", namespace]) {
                eprintln!("{error:#}");
            }
        }
    }
}

fn nat_rules(topology: Topology, name: &str, device: &str, outer: Ipv4Addr) -> String {
    let how = if topology == Topology::Symmetric { " random,fully-random" } else { "" };
    let filter = match topology {
        Topology::UdpBlocked if name == "a" => "meta l4proto udp drop".to_owned(),
        Topology::ServerOnly => {
            let [a, b, c] = NETWORK;
            format!(
                "ct state established accept
                 oifname {device} ip daddr {a}.{b}.{c}.1 tcp dport {SERVER_PORT} accept
                 drop"
            )
        }
        _ => String::new(),
    };
    format!(
        "table ip netlab {{
            chain out {{
                type nat hook postrouting priority 100;
                oifname {device} ip saddr 192.168.0.0/16 masquerade{how} comment \"{outer}\"
            }}
            chain in {{
                type filter hook input priority 0;
                # What nobody asked for must leave no trace: it would take the port that the answer needs.
                iifname {device} ct state new drop
            }}
            chain through {{
                type filter hook forward priority 0;
                {filter}
            }}
        }}"
    )
}

fn ip(words: &[&str]) -> anyhow::Result<()> {
    run(Command::new("ip").args(words))
}

fn nft(namespace: &str, rules: &str) -> anyhow::Result<()> {
    run(Command::new("ip").args(["netns", "exec", namespace, "nft", rules]))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {command:?}; netlab needs iproute2 and nftables"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

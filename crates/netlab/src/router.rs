//! Moves packets between the sites, as their impairments say.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base::{Rng, derive_seed};
use serde_json::json;
use tun_rs::SyncDevice;

use crate::impairment::Impairment;
use crate::namespaces::Site;

/// The most packets under way; what comes then is lost.
const MOST_UNDER_WAY: usize = 50_000;

pub(crate) struct Router {
    shared: Arc<Shared>,
}

struct Shared {
    start: Instant,
    state: Mutex<State>,
    sooner: Condvar,
}

struct State {
    /// By site, the address that it is known by.
    addresses: Vec<Ipv4Addr>,
    /// By where a packet comes from and where it goes.
    impairments: Vec<Vec<Impairment>>,
    rngs: Vec<Vec<Rng>>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    count: u64,
}

/// When it arrives, its number, where, and what: in that order.
type UnderWay = (Duration, u64, usize, Vec<u8>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Router {
    /// Starts a thread for each site and one for what is under way; they end with the process.
    pub(crate) fn start(sites: Vec<Site>, seed: u64) -> Self {
        let count = sites.len();
        let row =
            |from: usize| (0..count).map(move |to| derive_seed(derive_seed(seed, from as u64), to as u64));
        let state = State {
            addresses: sites.iter().map(|site| site.address).collect(),
            impairments: vec![vec![Impairment::default(); count]; count],
            rngs: (0..count).map(|from| row(from).map(Rng::from_seed).collect()).collect(),
            under_way: BinaryHeap::new(),
            count: 0,
        };
        let shared =
            Arc::new(Shared { start: Instant::now(), state: Mutex::new(state), sooner: Condvar::new() });
        let devices: Arc<Vec<SyncDevice>> = Arc::new(sites.into_iter().map(|site| site.device).collect());
        for site in 0..count {
            let (shared, devices) = (Arc::clone(&shared), Arc::clone(&devices));
            std::thread::spawn(move || receive(site, &devices[site], &shared));
        }
        let delivering = Arc::clone(&shared);
        std::thread::spawn(move || deliver(&devices, &delivering));
        Self { shared }
    }

    pub(crate) fn change(&self, from: usize, to: usize, change: impl Fn(&mut Impairment)) {
        change(&mut self.shared.lock().impairments[from][to]);
    }

    /// A site is known by another address from now on.
    pub(crate) fn readdress(&self, site: usize, address: Ipv4Addr) {
        self.shared.lock().addresses[site] = address;
    }

    pub(crate) fn stats<'a>(&self, names: &(impl Iterator<Item = &'a str> + Clone)) -> serde_json::Value {
        let state = self.shared.lock();
        let pairs = names.clone().zip(&state.impairments).flat_map(|(from, row)| {
            names.clone().zip(row).filter(move |(to, _)| *to != from).map(move |(to, pair)| {
                (format!("{from}>{to}"), json!({ "passed": pair.passed, "lost": pair.lost }))
            })
        });
        serde_json::Value::Object(pairs.collect())
    }
}

fn receive(site: usize, device: &SyncDevice, shared: &Shared) {
    let mut buffer = vec![0; 2048];
    while let Ok(length) = device.recv(&mut buffer) {
        let packet = &buffer[..length];
        let Some(to) = destination(packet) else { continue };
        let now = shared.start.elapsed();
        let state = &mut *shared.lock();
        let Some(other) = state.addresses.iter().position(|&address| address == to) else { continue };
        if other == site || state.under_way.len() >= MOST_UNDER_WAY {
            continue;
        }
        let Some(arrival) = state.impairments[site][other].arrival(now, &mut state.rngs[site][other]) else {
            continue;
        };
        state.count += 1;
        state.under_way.push(Reverse((arrival, state.count, other, packet.to_vec())));
        shared.sooner.notify_one();
    }
}

/// Of an IPv4 packet; everything else stays where it is.
fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let header = packet.first_chunk::<20>().filter(|header| header[0] >> 4 == 4)?;
    Some(Ipv4Addr::new(header[16], header[17], header[18], header[19]))
}

fn deliver(devices: &[SyncDevice], shared: &Shared) {
    let mut state = shared.lock();
    loop {
        let now = shared.start.elapsed();
        match state.under_way.peek() {
            Some(Reverse((arrival, ..))) if *arrival <= now => {
                if let Some(Reverse((_, _, to, packet))) = state.under_way.pop() {
                    drop(state);
                    // A device that is down takes nothing: the packet is lost.
                    devices[to].send(&packet).ok();
                    state = shared.lock();
                }
            }
            Some(Reverse((arrival, ..))) => {
                let wait = *arrival - now;
                state = shared.sooner.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
            }
            None => state = shared.sooner.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

//! Many seeds, on every processor.

use core::ops::Range;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Plan, check, run};

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Many {
    /// Those that failed, in order, and how.
    pub failures: Vec<(u64, String)>,
    /// How much virtual time went by.
    pub virtually: Duration,
    /// What happened: see [`super::Outcome::counts`].
    pub counts: [u64; 7],
}

impl Many {
    /// With what came of others.
    pub fn add(&mut self, other: Self) {
        self.failures.extend(other.failures);
        self.virtually += other.virtually;
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
    }
}

/// Runs every seed of a range, and checks what came of it. A panic is a failure like any other.
#[must_use]
pub fn many(seeds: Range<u64>) -> Many {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let part = |first: usize| {
        let mut part = Many::default();
        for seed in seeds.clone().skip(first).step_by(threads) {
            part.add(one(seed));
        }
        part
    };
    let mut all = Many::default();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(move || part(first))).collect();
        for part in running {
            all.add(part.join().expect("panics are caught"));
        }
    });
    all.failures.sort_unstable();
    all
}

fn one(seed: u64) -> Many {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let outcome = run(&Plan::of(seed), false);
        (check::all(&outcome), outcome.lasted, outcome.counts())
    }));
    match played {
        Ok((result, virtually, counts)) => {
            let failures = result.err().map(|violation| (seed, violation.to_string()));
            Many { failures: failures.into_iter().collect(), virtually, counts }
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let failures = vec![(seed, format!("a panic: {}", text.unwrap_or_default()))];
            Many { failures, ..Many::default() }
        }
    }
}

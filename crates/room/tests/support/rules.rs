//! Rules for rooms so small that everything they bound happens often.

use std::time::Duration;

use base::Rng;
use room::log::{Bounds, LogRules};

pub(crate) fn rules(rng: &mut Rng) -> LogRules {
    let normal = Bounds {
        least: 1 + rng.below(5) as usize,
        most: 6 + rng.below(12) as usize,
        bytes: 600 + rng.below(4000) as usize,
        age: Duration::from_secs(10),
    };
    LogRules {
        normal,
        keep: Bounds { most: 20, age: Duration::from_secs(30), ..normal },
        members: 4,
        ttl: Duration::from_secs(20),
        behind: 4 + rng.below(6) as usize,
        behind_bytes: 1000 + rng.below(4000) as usize,
    }
}

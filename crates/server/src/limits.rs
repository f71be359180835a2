//! How much somebody may do (A2).

use tokio::time::Instant;

/// So much a second, with as much saved up.
pub(crate) struct Allowance {
    rate: f64,
    left: f64,
    counted: Instant,
}

impl Allowance {
    pub(crate) fn new(rate: f64) -> Self {
        Self { rate, left: rate, counted: Instant::now() }
    }

    /// Takes some, if there is enough.
    pub(crate) fn take(&mut self, some: f64) -> bool {
        let now = Instant::now();
        self.left = (self.left + (now - self.counted).as_secs_f64() * self.rate).min(self.rate);
        self.counted = now;
        let enough = self.left >= some;
        if enough {
            self.left -= some;
        }
        enough
    }
}

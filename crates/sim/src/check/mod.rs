//! What must hold of every outcome: one property a file.

mod agreement;
mod finish;
mod serial;
mod uploads;

use core::fmt;

use crate::outcome::Outcome;

pub use agreement::agreement;
pub use finish::finish;
pub use serial::serial;
pub use uploads::uploads;

/// A property that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    property: &'static str,
    what: String,
}

impl Violation {
    pub(crate) fn new(property: &'static str, what: String) -> Self {
        Self { property, what }
    }

    /// Which property.
    #[must_use]
    pub fn property(&self) -> &'static str {
        self.property
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.what)
    }
}

impl std::error::Error for Violation {}

/// The violation of a property, unless it holds.
pub(crate) fn demand(
    holds: bool,
    property: &'static str,
    what: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { property, what: what() }) }
}

/// Every property.
///
/// # Errors
/// The first that does not hold.
pub fn all(outcome: &Outcome) -> Result<(), Violation> {
    finish(outcome)?;
    uploads(outcome)?;
    serial(outcome)?;
    agreement(outcome)
}

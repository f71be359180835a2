//! What an environment says of itself: `interplay_manifest` returns this as JSON.

use base::{MAX_INPUT_BYTES, MAX_SEATS};
use serde::{Deserialize, Serialize};

/// The version of the environment ABI that this release runs.
pub const ABI_VERSION: u32 = 1;

/// The most columns that an environment may observe, and as many infos.
pub const MAX_COLUMNS: usize = 256;

/// The most options that an environment may have.
pub const MAX_OPTIONS: usize = 64;

/// An environment's description of itself. Unknown keys are refused.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`ABI_VERSION`].
    pub abi: u32,
    /// What people call it.
    pub name: String,
    /// The fewest and the most seats.
    pub seats: (u8, u8),
    /// The drawing's width and height, in the draw list's units; the page scales it to fit.
    pub size: (f32, f32),
    /// Bytes of one seat's input in one frame, 1 to 16.
    pub input_bytes: usize,
    /// The names of the input's bits, lowest first, as an experiment's `keys` use them.
    pub buttons: Vec<String>,
    /// The names of the numbers that a seat observes.
    #[serde(default)]
    pub observation: Vec<String>,
    /// The names of the numbers that only the researcher sees.
    #[serde(default)]
    pub info: Vec<String>,
    /// What an experiment may set: names, and the values that they have when it does not.
    #[serde(default)]
    pub options: Vec<(String, f64)>,
}

/// What is wrong with a manifest.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the JSON that it must be.
    #[error("the manifest is not valid: {0}")]
    Json(String),
    /// A field has a value that cannot be.
    #[error("the manifest's `{field}` {problem}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// Names the field and what would be right.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self =
            serde_json::from_slice(json).map_err(|error| ManifestError::Json(error.to_string()))?;
        let field = |field, problem| Err(ManifestError::Field { field, problem });
        if manifest.abi != ABI_VERSION {
            return field("abi", format!("is {}; this release runs {ABI_VERSION}", manifest.abi));
        }
        let (fewest, most) = manifest.seats;
        if fewest < 1 || fewest > most || usize::from(most) > MAX_SEATS {
            return field("seats", format!("is [{fewest}, {most}]; it must be 1 ≤ fewest ≤ most ≤ 8"));
        }
        let (width, height) = manifest.size;
        if !(1.0..=10_000.0).contains(&width) || !(1.0..=10_000.0).contains(&height) {
            return field("size", "must be two numbers from 1 to 10000".into());
        }
        if !(1..=MAX_INPUT_BYTES).contains(&manifest.input_bytes) {
            return field("input_bytes", format!("is {}; it must be from 1 to 16", manifest.input_bytes));
        }
        if manifest.buttons.len() > manifest.input_bytes * 8 {
            return field("buttons", format!("has more names than {} bytes have bits", manifest.input_bytes));
        }
        let options: Vec<_> = manifest.options.iter().map(|(name, _)| name.clone()).collect();
        if options.len() > MAX_OPTIONS {
            return field("options", format!("has {} names; the most is {MAX_OPTIONS}", options.len()));
        }
        for (name, names) in [
            ("buttons", &manifest.buttons),
            ("observation", &manifest.observation),
            ("info", &manifest.info),
            ("options", &options),
        ] {
            if names.len() > MAX_COLUMNS {
                return field(name, format!("has {} names; the most is {MAX_COLUMNS}", names.len()));
            }
            if let Some(bad) = names.iter().find(|name| !is_column_name(name)) {
                return field(name, format!("has {bad:?}; use lower-case letters, digits and _"));
            }
            if (1..names.len()).any(|at| names[..at].contains(&names[at])) {
                return field(name, "has a name twice".to_owned());
            }
        }
        Ok(manifest)
    }
}

fn is_column_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"abi":1,"name":"Tag","seats":[2,8],"size":[640,400],"input_bytes":1,
        "buttons":["left","right"],"observation":["x","y"]}"#;

    #[test]
    fn a_good_manifest_is_read() {
        assert_eq!(Manifest::parse(GOOD.as_bytes()).map(|manifest| manifest.seats), Ok((2, 8)));
    }

    #[test]
    fn a_mistake_is_named_with_its_cure() {
        for (from, to, expected) in [
            ("[2,8]", "[2,9]", "`seats` is [2, 9]; it must be 1 ≤ fewest ≤ most ≤ 8"),
            ("\"abi\":1", "\"abi\":2", "`abi` is 2; this release runs 1"),
            ("\"input_bytes\":1", "\"input_bytes\":17", "`input_bytes` is 17; it must be from 1 to 16"),
            ("\"y\"", "\"Y\"", "`observation` has \"Y\"; use lower-case letters, digits and _"),
            ("\"y\"", "\"x\"", "`observation` has a name twice"),
            ("\"name\"", "\"nam\"", "unknown field `nam`"),
            (
                "\"seats\"",
                "\"options\":[[\"speed\",1],[\"speed\",2]],\"seats\"",
                "`options` has a name twice",
            ),
        ] {
            let error = Manifest::parse(GOOD.replace(from, to).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

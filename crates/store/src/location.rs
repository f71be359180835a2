//! Where the data is.

use core::fmt;
use std::path::{Path, PathBuf};

use crate::DatabaseUrl;

/// Where the data is.
#[derive(Clone, Debug)]
pub enum Location {
    /// In a folder of this machine.
    Folder(PathBuf),
    /// In a Postgres database.
    Postgres(DatabaseUrl),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

impl From<&Path> for Location {
    fn from(folder: &Path) -> Self {
        Self::Folder(folder.to_owned())
    }
}

impl From<&PathBuf> for Location {
    fn from(folder: &PathBuf) -> Self {
        Self::Folder(folder.clone())
    }
}

impl From<DatabaseUrl> for Location {
    fn from(url: DatabaseUrl) -> Self {
        Self::Postgres(url)
    }
}

impl From<&Self> for Location {
    fn from(location: &Self) -> Self {
        location.clone()
    }
}

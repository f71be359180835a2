//! What an experiment's texts show: pictures, sound and video, kept for the visits that see them (S2).

use crate::database::{Connection, values};
use crate::{Reader, StoreError};

/// How long the parts of a file are but the last, in bytes: whoever sends one holds no more of it than that.
pub const FILE_PART: u32 = 64 * 1024;

pub(crate) fn insert(
    connection: &mut Connection,
    (sha256, kind): (&str, &str),
    content: &[u8],
) -> Result<(), StoreError> {
    // Of an empty one there is an empty part.
    let parts = content.chunks(FILE_PART as usize).chain(content.is_empty().then_some(content));
    for (number, part) in (0_u32..).zip(parts) {
        let sql = "INSERT INTO files VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        connection.execute(sql, &values![sha256, kind, number, part])?;
    }
    Ok(())
}

impl Reader {
    /// How many bytes a file has, by its SHA-256 and its kind. None when it was not kept.
    ///
    /// # Errors
    /// The database's.
    pub fn file_length(&self, sha256: &str, kind: &str) -> Result<Option<u32>, StoreError> {
        let sql = "SELECT sum(length(content)) FROM files WHERE sha256 = ?1 AND kind = ?2";
        Ok(self.all(sql, &values![sha256, kind], |row| row.get(0))?.pop().flatten())
    }

    /// One of a file's parts, from 0 on, each of [`FILE_PART`] bytes but the last. None where there is none.
    ///
    /// # Errors
    /// The database's.
    pub fn file_part(&self, (sha256, kind): (&str, &str), part: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT content FROM files WHERE sha256 = ?1 AND kind = ?2 AND part = ?3";
        Ok(self.all(sql, &values![sha256, kind, part], |row| row.get(0))?.pop())
    }
}

//! What an experiment's texts show: pictures, sound and video, kept for the visits that see them (S2).

use rusqlite::{Connection, params};

use crate::{Reader, StoreError};

pub(crate) fn insert(
    connection: &Connection,
    (sha256, kind): (&str, &str),
    content: &[u8],
) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO files VALUES (?1, ?2, ?3)")?
        .execute(params![sha256, kind, content])?;
    Ok(())
}

impl Reader {
    /// How many bytes a file has, by its SHA-256 and its kind. None when it was not kept.
    ///
    /// # Errors
    /// The database's.
    pub fn file_length(&self, sha256: &str, kind: &str) -> Result<Option<u32>, StoreError> {
        let sql = "SELECT length(content) FROM files WHERE sha256 = ?1 AND kind = ?2";
        Ok(self.all(sql, [sha256, kind], |row| Ok(row.get(0)?))?.pop())
    }

    /// So many bytes of a file, from one on; fewer where it ends.
    ///
    /// # Errors
    /// The database's.
    pub fn file_part(
        &self,
        (sha256, kind): (&str, &str),
        from: u32,
        count: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        // SQL counts from 1, and of nothing a part is null.
        let sql =
            "SELECT coalesce(substr(content, ?3 + 1, ?4), x'') FROM files WHERE sha256 = ?1 AND kind = ?2";
        Ok(self.all(sql, params![sha256, kind, from, count], |row| Ok(row.get(0)?))?.pop())
    }
}

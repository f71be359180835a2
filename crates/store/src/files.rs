//! What an experiment's texts show: pictures, sound and video, kept for the visits that see them (S2).

use crate::database::{Connection, values};
use crate::{Reader, StoreError};

pub(crate) fn insert(
    connection: &mut Connection,
    (sha256, kind): (&str, &str),
    content: &[u8],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO files VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    connection.execute(sql, &values![sha256, kind, content])?;
    Ok(())
}

impl Reader {
    /// How many bytes a file has, by its SHA-256 and its kind. None when it was not kept.
    ///
    /// # Errors
    /// The database's.
    pub fn file_length(&self, sha256: &str, kind: &str) -> Result<Option<u32>, StoreError> {
        let sql = "SELECT length(content) FROM files WHERE sha256 = ?1 AND kind = ?2";
        Ok(self.all(sql, &values![sha256, kind], |row| row.get(0))?.pop())
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
        // SQL counts from 1, and Postgres with 32 bits; of nothing a part is null in SQLite.
        let sql = "SELECT substr(content, CAST(CAST(?3 AS BIGINT) AS INTEGER) + 1, CAST(CAST(?4 AS BIGINT) AS INTEGER))
                   FROM files WHERE sha256 = ?1 AND kind = ?2";
        let part = self.all(sql, &values![sha256, kind, from, count], |row| row.get::<Option<_>>(0))?.pop();
        Ok(part.map(Option::unwrap_or_default))
    }
}

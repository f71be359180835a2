//! The schema, version by version. A version means the same in both databases: the same tables with the same columns, but for
//! what only servers need that share a database.

/// What makes each version of the one before it. `PRAGMA user_version` says which a database has.
pub(crate) const SQLITE: [&str; 8] = [
    include_str!("sqlite/1.sql"),
    include_str!("sqlite/2.sql"),
    include_str!("sqlite/3.sql"),
    include_str!("sqlite/4.sql"),
    include_str!("sqlite/5.sql"),
    include_str!("sqlite/6.sql"),
    include_str!("sqlite/7.sql"),
    include_str!("sqlite/8.sql"),
];

/// The version that each brings a Postgres database to; the first makes an empty one into what SQLite had by then. The table
/// `schema_version` says which a database has.
pub(crate) const POSTGRES: [(u32, &str); 3] = [
    (6, include_str!("postgres/6.sql")),
    (7, include_str!("postgres/7.sql")),
    (8, include_str!("postgres/8.sql")),
];

/// The version that this release knows.
pub(crate) const VERSION: u32 = SQLITE.len() as u32;

/// Nobody adds to one and forgets the other.
const _: () = assert!(POSTGRES[POSTGRES.len() - 1].0 == VERSION, "the databases' schemas differ");

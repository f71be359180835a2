//! What happened, as tables: their columns, what each means, and how they are written (D4).
//!
//! A [`Table`] knows its columns before its first row; the data dictionary is written from the same columns, so
//! that no column goes without its meaning.

mod column;
mod table;
mod tables;

pub use column::{Column, Kind};
pub use table::{Table, Value, write_dictionary};
pub use tables::{
    ANSWERS, EPISODES, EVENTS, GAPS, PATH, SESSIONS, STEPS, VISITS, answers, episodes, events, gaps, path,
    sessions, steps, visits,
};

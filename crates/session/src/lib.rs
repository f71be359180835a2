//! The participant's machine: links, rollback and the record of play.

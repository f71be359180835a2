//! What happened: facts, tables and the data dictionary.

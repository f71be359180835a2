//! The whole system in virtual time.

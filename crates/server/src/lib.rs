//! The interplay binary.

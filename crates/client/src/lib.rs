//! The participant page.

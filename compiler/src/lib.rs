//! nirc-compiler

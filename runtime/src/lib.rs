//! nirc-runtime

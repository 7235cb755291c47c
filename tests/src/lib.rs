//! nirc-tests

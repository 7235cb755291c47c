//! nirc-host
